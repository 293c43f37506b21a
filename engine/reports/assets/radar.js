"use strict";
// Two or three chosen models as outlines over the dimensions that all of them have. More outlines than
// three cannot be told apart, so then there is none.

const RADAR = { least: 2, most: 3, rim: 120 };

/** A figure, or null where there is nothing to outline. */
function radar(sheet, picked) {
  const shown = picked.map((m) => sheet.entries.find((e) => e.m === m)).filter(Boolean);
  const common = sheet.dimensions.map((name, d) => [name, d]).filter(([, d]) => shown.every((e) => e.dimensions[d]));
  if (shown.length < RADAR.least || shown.length > RADAR.most || common.length < 3) return null;
  const values = shown.flatMap((e) => common.map(([, d]) => e.dimensions[d][0]));
  const [low, high] = [Math.floor(Math.min(...values) - 0.5), Math.ceil(Math.max(...values))];
  const width = Math.min(520, Math.max(340, byId("strips").clientWidth || 520));
  const radius = width / 4;
  const height = 2 * radius + RADAR.rim;
  const at = radarPlace(common.length, low, high, [width / 2, height / 2, radius]);
  const outlines = shown.map((e) => {
    const k = picked.indexOf(e.m) + 1;
    const points = common.map(([, d], i) => at(i, e.dimensions[d][0]).join(",")).join(" ");
    return svg("polygon", { points, class: `outline f${k} s${k}` }, svg("title", {}, index.models[e.m]));
  });
  const drawn = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`,
    role: "img", "aria-label": `${t("dimensions")}: ${shown.map((e) => index.models[e.m]).join(", ")}`,
  }, radarGrid(common, low, high, at), outlines);
  return el("figure", { class: "radar" }, drawn, el("figcaption", {},
    shown.map((e) => el("span", { class: `k${picked.indexOf(e.m) + 1}` }, `● ${index.models[e.m]} `)),
    el("span", {}, t("radar_hint").replace("{low}", low).replace("{high}", high))));
}

/** (number of the spoke, value) -> [x, y]. The first spoke points up. */
function radarPlace(count, low, high, [x, y, radius]) {
  return (i, value) => {
    const reach = (radius * (value - low)) / (high - low || 1);
    const angle = (2 * Math.PI * i) / count - Math.PI / 2;
    return [x + reach * Math.cos(angle), y + reach * Math.sin(angle)].map((v) => Math.round(v * 10) / 10);
  };
}

function radarGrid(common, low, high, at) {
  const marks = [];
  for (let ring = low + 1; ring <= high; ring += 1) {
    const points = common.map((_, i) => at(i, ring).join(",")).join(" ");
    marks.push(svg("polygon", { points, class: "ring" }));
    const [x, y] = at(0, ring);
    marks.push(svg("text", { x: x - 5, y: y + 11, "text-anchor": "end" }, ring));
  }
  common.forEach(([name], i) => {
    const [x, y] = at(i, high);
    const [mx, my] = at(i, low);
    const aside = x - mx;
    const shown = matchMedia("(max-width: 760px)").matches ? name : gloss(name);
    const anchor = Math.abs(aside) < 8 ? "middle" : aside > 0 ? "start" : "end";
    marks.push(svg("line", { x1: mx, y1: my, x2: x, y2: y, class: "grid" }));
    marks.push(svg("text", { x: x + aside * 0.07, y: y + (y - my) * 0.1 + 4, "text-anchor": anchor, class: "strip-name" }, shown));
  });
  return marks;
}
