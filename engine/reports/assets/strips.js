"use strict";
// Dimensions as dot strips on one axis cut to the data: every model a grey dot, chosen ones in colour
// with their name beside the dot.

const STRIP = 62;
const LANES = [-11, 20, -23, 32];
const COLOURS = 5;

function showDimensions(parts, query) {
  const usable = index.sheets.map((s, i) => [i, s]).filter(([, s]) => s.dimensions.length);
  const home = byId("strips");
  if (!usable.length) return home.replaceChildren(el("p", { class: "empty" }, NONE));
  const at = usable.some(([i]) => i === whole(parts[0], index.sheets.length)) ? Number(parts[0]) : usable[0][0];
  const sheet = index.sheets[at];
  const asked = (query.get("m") || "").split(",").map(modelOf).filter((m) => m !== null);
  const picked = query.has("m") ? asked.slice(0, COLOURS) : ranked.slice(0, 3);
  const move = (i, list) => go(href("dim", [i], { m: list.join(",") || "-" }));
  showSheet("v-dim", at);
  home.replaceChildren(
    usable.length > 1 ? el("div", { class: "bar-line" }, choice(t("judge"),
      usable.map(([i, s]) => [i, index.judges[s.judge].name]), at, (i) => move(i, picked))) : "",
    el("p", { class: "legend" }, t("dim_hint")),
    el("div", { class: "chips" }, ranked.map((m) => {
      const k = picked.indexOf(m);
      const next = k < 0 ? [...picked, m].slice(-COLOURS) : picked.filter((p) => p !== m);
      return el("button", {
        type: "button", "aria-pressed": String(k >= 0), class: k < 0 ? "" : `k${k + 1}`, onclick: () => move(at, next),
      }, index.models[m]);
    })),
    strips(sheet, picked),
    radar(sheet, picked) || "",
    el("h3", {}, t("dim_means")));
}

function strips(sheet, picked) {
  const width = Math.min(1240, Math.max(340, byId("strips").clientWidth || 900));
  const narrow = width < 640;
  const left = narrow ? 8 : 190;
  const top = narrow ? 20 : 0;
  const step = STRIP + top;
  const values = sheet.entries.flatMap((e) => e.dimensions.filter(Boolean).map((d) => d[0]));
  const [low, high] = [Math.floor(Math.min(...values) * 2) / 2, Math.ceil(Math.max(...values) * 2) / 2];
  const x = (v) => left + 12 + ((v - low) / (high - low || 1)) * (width - left - 60);
  const height = sheet.dimensions.length * step + 26;
  const ticks = [];
  for (let v = Math.ceil(low); v <= high; v += 1) ticks.push(v);
  const marks = ticks.map((v) => [
    svg("line", { x1: x(v), x2: x(v), y1: 0, y2: height - 22, class: "grid" }),
    svg("text", { x: x(v), y: height - 6, "text-anchor": "middle" }, v),
  ]).flat();
  sheet.dimensions.forEach((name, d) => {
    const y = d * step + STRIP / 2 + top + 6;
    marks.push(svg("text", { x: narrow ? left : left - 8, y: narrow ? y - 37 : y + 5, "text-anchor": narrow ? "start" : "end", class: "strip-name" }, gloss(name)));
    marks.push(svg("line", { x1: x(low), x2: x(high), y1: y, y2: y, class: "grid" }));
    const dots = sheet.entries.filter((e) => e.dimensions[d]);
    for (const e of dots.filter((e2) => !picked.includes(e2.m))) {
      marks.push(svg("circle", { cx: x(e.dimensions[d][0]), cy: y, r: 4, class: "grey" },
        svg("title", {}, `${index.models[e.m]} ${score(e.dimensions[d][0])}, n ${count(e.dimensions[d][1])}`)));
    }
    marks.push(...labelled(dots.filter((e) => picked.includes(e.m)), d, picked, x, y, width));
  });
  return svg("svg", {
    class: "strips", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("dimensions"),
  }, marks);
}

/** Chosen dots with their names, in the first lane above or below where two do not touch. */
function labelled(entries, d, picked, x, y, width) {
  const ordered = [...entries].sort((a, b) => a.dimensions[d][0] - b.dimensions[d][0]);
  const ends = LANES.map(() => -Infinity);
  const marks = [];
  for (const e of ordered) {
    const k = picked.indexOf(e.m) + 1;
    const at = x(e.dimensions[d][0]);
    const text = `${short(index.models[e.m], width < 640 ? 10 : 20)} ${score(e.dimensions[d][0])}`;
    const half = widthOf(text) / 2;
    const middle = Math.max(half, Math.min(at, width - half - 2));
    const lane = ends.findIndex((end) => middle - half > end + 8);
    marks.push(svg("circle", { cx: at, cy: y, r: 5.5, class: `f${k}` },
      svg("title", {}, `${index.models[e.m]} ${score(e.dimensions[d][0])}, n ${count(e.dimensions[d][1])}`)));
    if (lane < 0) continue;
    ends[lane] = middle + half;
    marks.push(svg("text", { x: middle, y: y + LANES[lane], "text-anchor": "middle", class: `strip-label f${k}` }, text));
  }
  return marks;
}

const pen = document.createElement("canvas").getContext("2d");

function widthOf(text) {
  pen.font = `600 11.5px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

const short = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
