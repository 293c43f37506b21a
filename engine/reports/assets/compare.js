"use strict";
// Two models on the same questions. Means are those of the tables; only the paired differences, which
// depend on the pair a reader chooses, are reckoned here.

const LARGEST = 40;

function showCompare(parts) {
  const a = modelOf(parts[0]) ?? ranked[0] ?? 0;
  const b = modelOf(parts[1]) ?? ranked[1] ?? a;
  const judge = pointwise.includes(whole(parts[2], judgesN)) ? Number(parts[2]) : null;
  const move = (x, y, j) => go(href("cmp", [x, y, ...(j === null ? [] : [j])]));
  const names = ranked.map((m) => [m, index.models[m]]);
  const pairs = paired(a, b, judge);
  byId("v-cmp").replaceChildren(
    el("div", { class: "bar-line" },
      el("span", { class: "labelled" }, el("b", { class: "ink-a" }, t("baseline")),
        select(t("baseline"), names, a, (v) => move(Number(v), b, judge))),
      el("span", { class: "labelled" }, el("b", { class: "ink-b" }, t("other")),
        select(t("other"), names, b, (v) => move(a, Number(v), judge))),
      el("button", { type: "button", onclick: () => move(b, a, judge) }, t("swap")),
      pointwise.length > 1 ? choice(t("judge"),
        [[null, t("all_judges")], ...pointwise.map((j) => [j, index.judges[j].name])], judge,
        (j) => move(a, b, j)) : null),
    pairs.length ? summary(pairs) : el("p", { class: "empty" }, t("no_match")),
    el("div", { class: "halves" },
      el("div", {}, el("h3", {}, t("by_category")), categoryTable(a, b, pairs)),
      el("div", {}, el("h3", {}, t("largest")), largestTable(a, b, pairs))));
}

/** [place, A's score, B's score] of every question that has both. */
function paired(a, b, judge) {
  const found = [];
  index.questions.forEach((_, place) => {
    const x = scoreAt(place, a, judge), y = scoreAt(place, b, judge);
    if (x !== null && y !== null) found.push([place, x, y]);
  });
  return found;
}

/** Mean difference and 1.96 standard errors of it. */
function spread(pairs) {
  const d = pairs.map(([, x, y]) => x - y);
  if (!d.length) return null;
  const m = mean(d);
  const error = d.length > 1 ? Math.sqrt(d.reduce((s, v) => s + (v - m) ** 2, 0) / (d.length - 1) / d.length) : null;
  return { mean: m, half: error === null ? null : 1.96 * error, n: d.length };
}

function summary(pairs) {
  const better = pairs.filter(([, x, y]) => x > y).length;
  const worse = pairs.filter(([, x, y]) => x < y).length;
  const equal = pairs.length - better - worse;
  const found = spread(pairs);
  const part = (n, kind) => el("div", { class: kind, style: { "flex-grow": n }, title: count(n) });
  const tile = (key, value) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value));
  return el("div", {},
    el("div", { class: "versus", role: "img", "aria-label": `${better} / ${equal} / ${worse}` },
      part(better, "a"), part(equal, "t"), part(worse, "b")),
    el("dl", { class: "tiles" },
      tile("win_tie_loss", `${count(better)} · ${count(equal)} · ${count(worse)}`),
      tile("mean_difference", difference(found)),
      tile("both_scored", count(found.n))),
    el("p", { class: "legend" }, t("compare_hint")));
}

const difference = (found) => (found === null ? NONE
  : `${signed(found.mean)}${found.half === null ? "" : ` ± ${found.half.toFixed(2)}`}`);

function categoryTable(a, b, pairs) {
  const rows = index.categories.map((name, c) => {
    const own = pairs.filter(([place]) => index.questions[place][1] === c);
    const found = spread(own);
    const sure = found && found.half !== null && Math.abs(found.mean) > found.half;
    return el("tr", {},
      el("th", { class: "name", scope: "row" }, gloss(name)),
      el("td", { class: "num" }, own.length ? score(mean(own.map((p) => p[1]))) : NONE),
      el("td", { class: "num" }, own.length ? score(mean(own.map((p) => p[2]))) : NONE),
      el("td", { class: `num ${sure ? (found.mean > 0 ? "ink-a" : "ink-b") : "dim"}` }, difference(found)),
      el("td", { class: "num dim" }, count(own.length)));
  });
  return el("table", { class: "cmp-table" },
    el("thead", {}, el("tr", {}, el("th", { class: "name", scope: "col" }, t("category")),
      el("th", { class: "num ink-a", scope: "col" }, "A"), el("th", { class: "num ink-b", scope: "col" }, "B"),
      el("th", { class: "num", scope: "col" }, t("difference")), el("th", { class: "num", scope: "col" }, t("n")))),
    el("tbody", {}, rows));
}

function largestTable(a, b, pairs) {
  const ordered = [...pairs].sort((p, q) => Math.abs(q[1] - q[2]) - Math.abs(p[1] - p[2]) || p[0] - q[0]);
  const rows = ordered.slice(0, LARGEST).map(([place, x, y]) => {
    const [id, category, , title] = index.questions[place];
    const open = () => go(href("q", [id, a, b]));
    return el("tr", { class: "row", onclick: open },
      el("td", { class: "dim" }, id),
      el("td", { class: "dim name" }, index.categories[category]),
      el("td", { class: "num" }, brief(x)), el("td", { class: "num" }, brief(y)),
      el("td", { class: `num ${x > y ? "ink-a" : "ink-b"}` }, signed(x - y)),
      el("td", { class: "title" }, el("button", { type: "button", class: "plain", onclick: (event) => { event.stopPropagation(); open(); } }, title)));
  });
  return el("div", { class: "scroll" }, el("table", { class: "cmp-table" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "#"), el("th", { scope: "col" }, t("category")),
      el("th", { class: "num ink-a", scope: "col" }, "A"), el("th", { class: "num ink-b", scope: "col" }, "B"),
      el("th", { class: "num", scope: "col" }, t("difference")), el("th", { class: "title", scope: "col" }, t("question")))),
    el("tbody", {}, rows)));
}
