"use strict";
// Which questions the matrix shows, and in which order. No element is touched here.

const judgesN = index.judges.length;

/** One model's score of a question: one judge's, or the mean of those that gave one. */
function scoreAt(place, model, judge = null) {
  const row = index.scores[place];
  if (judge !== null) return row[model * judgesN + judge];
  let sum = 0, n = 0;
  for (const j of pointwise) {
    const value = row[model * judgesN + j];
    if (value !== null) { sum += value; n += 1; }
  }
  return n ? sum / n : null;
}

/** How far a question's judges are apart, about one model or at most about any. */
function apart(place, model) {
  const models = model === null ? index.models.keys() : [model];
  let widest = 0;
  for (const m of models) {
    const values = pointwise.map((j) => scoreAt(place, m, j)).filter((v) => v !== null);
    if (values.length > 1) widest = Math.max(widest, Math.max(...values) - Math.min(...values));
  }
  return widest;
}

const STATES = { missing: "pfrxuw", refused: "r", truncated: "t", failed: "fx" };

const someState = (place, model, states) =>
  (model === null ? [...index.states[place]] : [index.states[place][model]]).some((s) => states.includes(s));

const rowScores = (place, filter) => {
  const models = filter.m === null ? [...index.models.keys()] : [filter.m];
  return models.map((m) => scoreAt(place, m, filter.j)).filter((v) => v !== null);
};

const ORDERS = {
  mean: (values) => (values.length ? mean(values) : Infinity),
  easy: (values) => (values.length ? -mean(values) : Infinity),
  spread: (values) => (values.length ? Math.min(...values) - Math.max(...values) : Infinity),
};

/** What the address says about the matrix. */
function filterFrom(query) {
  const pair = (query.get("pair") || "").split(",").map((p) => p.split(":").map(Number));
  return {
    text: query.get("text") || "",
    deep: query.get("deep") || "",
    c: whole(query.get("c"), index.categories.length),
    m: modelOf(query.get("m")),
    j: whole(query.get("j"), judgesN),
    show: query.get("show") in STATES || query.get("show") === "apart" ? query.get("show") : "all",
    k: Number(query.get("k")) || 3,
    sort: query.get("sort") in ORDERS ? query.get("sort") : "id",
    pair: pair.length === 2 && pair.flat().every(Number.isFinite) && pair.flat().length === 4 ? pair : null,
  };
}

function queryOf(filter) {
  return {
    text: filter.text, deep: filter.deep, c: filter.c, m: filter.m, j: filter.j,
    show: filter.show === "all" ? "" : filter.show,
    k: filter.show === "apart" ? filter.k : "",
    sort: filter.sort === "id" ? "" : filter.sort,
    pair: filter.pair ? filter.pair.map((p) => p.join(":")).join(",") : "",
  };
}

/** Did one judge give the one score and the other the other, to a model of the filter? */
function pairAt(place, filter) {
  const [[j1, a], [j2, b]] = filter.pair;
  const models = filter.m === null ? index.models.keys() : [filter.m];
  for (const m of models) {
    const x = scoreAt(place, m, j1), y = scoreAt(place, m, j2);
    if (x !== null && y !== null && Math.floor(x + 0.5) === a && Math.floor(y + 0.5) === b) return true;
  }
  return false;
}

/** Places of the questions that pass, in order. `hits`: what a search of the texts found, or null. */
function chosen(filter, hits) {
  const needle = filter.text.toLowerCase();
  const found = [];
  index.questions.forEach(([id, category, sub, title], place) => {
    if (filter.c !== null && category !== filter.c) return;
    if (needle && !title.toLowerCase().includes(needle) && id !== filter.text && !sub.includes(filter.text)) return;
    if (hits && !hits.has(place)) return;
    if (filter.show === "apart" && apart(place, filter.m) < filter.k) return;
    if (filter.show in STATES && !someState(place, filter.m, STATES[filter.show])) return;
    if (filter.pair && !pairAt(place, filter)) return;
    found.push(place);
  });
  const order = ORDERS[filter.sort];
  if (!order) return found;
  const keys = new Map(found.map((place) => [place, order(rowScores(place, filter))]));
  return found.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
}

/** Models from best to worst, by the first table that names them. */
const ranked = (() => {
  const first = index.sheets[0] ? index.sheets[0].entries.map((e) => e.m) : [];
  return [...first, ...index.models.keys()].filter((m, i, all) => all.indexOf(m) === i);
})();
