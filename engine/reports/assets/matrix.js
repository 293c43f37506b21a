"use strict";
// Questions down, models across. Only the rows in sight are elements; a table of 683 x 17 stays below
// two thousand nodes. One cell takes the focus; arrows move it, Enter opens it.

const ROW = 28;
const AHEAD = 12;

const questions = {
  filter: filterFrom(new URLSearchParams()),
  hits: null,
  rows: [],
  focus: [0, 0],
  searching: 0,
};

function showQuestions(query) {
  const filter = filterFrom(query);
  if (filter.deep !== questions.filter.deep) questions.hits = null;
  questions.filter = filter;
  const view = byId("v-questions");
  view.replaceChildren(filterBar(), el("div", { id: "matrix" }));
  refilter();
  if (filter.deep && !questions.hits) deepSearch(filter.deep);
}

/** Take a change of the filter in: into the address, and into the rows. */
function refine(change, { rebuild = true } = {}) {
  Object.assign(questions.filter, change);
  become(href("questions", [], queryOf(questions.filter)));
  if (rebuild) showQuestions(address().query);
  else refilter();
}

function filterBar() {
  const f = questions.filter;
  const find = el("input", {
    type: "search", id: "find", placeholder: t("find"), "aria-label": t("find"), value: f.text,
    oninput: (event) => refine({ text: event.target.value }, { rebuild: false }),
  });
  const deep = el("button", { type: "button", id: "deep", title: t("search_texts_long"), onclick: () => toggleDeep(find.value) },
    f.deep ? `${t("clear")}: ${f.deep}` : t("search_texts"));
  const shows = [["all", t("show_all")], ["apart", t("show_apart")], ["missing", t("show_missing")],
    ["refused", t("show_refused")], ["truncated", t("show_truncated")], ["failed", t("show_failed")]];
  const usable = shows.filter(([key]) => !(key in STATES)
    || index.questions.some((_, place) => someState(place, null, STATES[key])));
  return el("div", { class: "bar-line" },
    find,
    byId("b0") || index.texts !== "none" ? deep : null,
    select(t("category"), [["", t("all_categories")], ...index.categories.map((c, i) => [i, gloss(c)])],
      f.c ?? "", (v) => refine({ c: v === "" ? null : Number(v) })),
    select(t("model"), [["", t("all_models")], ...ranked.map((m) => [m, index.models[m]])],
      f.m ?? "", (v) => refine({ m: v === "" ? null : Number(v) })),
    pointwise.length > 1 ? select(t("judge"),
      [["", t("all_judges")], ...pointwise.map((j) => [j, index.judges[j].name])],
      f.j ?? "", (v) => refine({ j: v === "" ? null : Number(v) })) : null,
    select(t("show_all"), usable.filter(([key]) => key !== "apart" || pointwise.length > 1), f.show,
      (v) => refine({ show: v })),
    f.show === "apart" ? el("input", { type: "number", min: 0, max: 100, step: 1, "aria-label": t("show_apart"),
      value: f.k, oninput: (event) => refine({ k: Number(event.target.value) || 0 }, { rebuild: false }) }) : null,
    select(t("sort"), [["id", t("sort_id")], ["mean", t("sort_mean")], ["easy", t("sort_easy")],
      ["spread", t("sort_spread")]], f.sort, (v) => refine({ sort: v })),
    f.pair ? el("button", { type: "button", onclick: () => refine({ pair: null }) }, `${pairText(f.pair)} ×`) : null,
    el("span", { id: "count", role: "status" }));
}

const pairText = (pair) => pair.map(([j, v]) => `${(index.judges[j] || { name: "?" }).name} = ${v}`).join(", ");

// --- search in all texts ------------------------------------------------------------------------

function toggleDeep(needle) {
  if (questions.filter.deep) refine({ deep: "", text: "" });
  else if (needle) refine({ deep: needle, text: "" });
  else byId("find").focus();
}

async function deepSearch(needle) {
  const mine = questions.searching += 1;
  const say = (n) => {
    const status = byId("count");
    if (status && mine === questions.searching) {
      status.textContent = `${t("searching")} ${count(n)} ${t("of")} ${count(index.questions.length)}…`;
    }
  };
  say(0);
  const hits = await searchTexts(needle, say, () => mine !== questions.searching);
  if (mine !== questions.searching || questions.filter.deep !== needle) return;
  questions.hits = hits;
  if (!byId("v-questions").hidden) refilter();
}

// --- the table ----------------------------------------------------------------------------------

function refilter() {
  const matrix = byId("matrix");
  const waiting = questions.filter.deep && !questions.hits;
  questions.rows = waiting ? [] : chosen(questions.filter, questions.hits);
  questions.focus = [0, 0];
  const status = byId("count");
  if (!waiting) {
    status.textContent = `${count(questions.rows.length)} ${t("of")} ${count(index.questions.length)}`;
  }
  matrix.replaceChildren(questions.rows.length || waiting ? table() : el("p", { class: "empty" }, t("no_match")));
  matrix.scrollTop = 0;
  matrix.onscroll = () => requestAnimationFrame(paint);
  paint();
}

function table() {
  const heads = ranked.map((m) => el("th", {
    class: "m", scope: "col", "aria-selected": String(questions.filter.m === m),
  }, el("button", {
    type: "button", title: index.models[m],
    onclick: () => refine({ m: questions.filter.m === m ? null : m }),
  }, index.models[m])));
  return el("table", {
    style: { width: `max(100%, calc(var(--q) + ${44 * ranked.length}px))` },
    role: "grid", "aria-rowcount": questions.rows.length + 1, "aria-label": t("questions"),
    onclick: openCell, onkeydown: steer,
  },
  el("thead", {}, el("tr", { "aria-rowindex": 1 }, el("th", { class: "corner", scope: "col" }, t("question")), heads)),
  el("tbody", { id: "rows" }));
}

/** Draw the rows in sight, with empty space for those above and below. */
function paint() {
  const matrix = byId("matrix");
  const body = byId("rows");
  if (!matrix || !body) return;
  const whole = questions.rows.length;
  const top = Math.floor(matrix.scrollTop / ROW);
  const bottom = Math.min(whole, top + Math.ceil(matrix.clientHeight / ROW) + 1);
  const old = painted.body === body ? painted : { first: 0, last: 0, rows: new Map() };
  if (old.first <= top && bottom <= old.last) return;
  const [first, last] = [Math.max(0, top - AHEAD), Math.min(whole, bottom + AHEAD)];
  const focused = body.contains(document.activeElement);
  const rows = new Map();
  for (let at = first; at < last; at += 1) rows.set(at, old.rows.get(at) || matrixRow(at));
  body.replaceChildren(spacer(first), ...rows.values(), spacer(whole - last));
  painted = { body, first, last, rows };
  if (focused) focusCell();
}

/** Which rows are elements now: those that stay in sight are kept. */
let painted = { body: null, first: 0, last: 0, rows: new Map() };

const spacer = (rows) => el("tr", { class: "spacer", "aria-hidden": "true", style: { height: `${rows * ROW}px` } },
  el("td", { colspan: ranked.length + 1 }));

function matrixRow(at) {
  const place = questions.rows[at];
  const [id, category, sub, title] = index.questions[place];
  const cells = ranked.map((m, column) => {
    const value = scoreAt(place, m, questions.filter.j);
    const state = index.states[place][m];
    const flag = state !== "." ? " flag" : "";
    const here = at === questions.focus[0] && column === questions.focus[1];
    return el("td", {
      class: `cell ${heat(value)}${flag}`, role: "gridcell", tabindex: here ? 0 : -1,
      "data-at": at, "data-column": column, title: flag ? `${index.models[m]}: ${stateText(state)}` : index.models[m],
    }, value === null ? stateMark(state) : brief(value));
  });
  return el("tr", { "aria-rowindex": at + 2 },
    el("th", { class: "q", scope: "row", title: `${gloss(index.categories[category])} / ${sub}\n${title}` },
      el("b", {}, id), title), cells);
}

const STATE_WORDS = {
  p: "pending", f: "failed", r: "refused", x: "failed", u: "no_verdict", w: "pending", t: "truncated", ".": "answered",
};
const stateText = (state) => t(STATE_WORDS[state]);
const stateMark = (state) => ({ p: "…", w: "…", f: "×", x: "×", r: "⊘", u: "?" })[state] || NONE;

// --- mouse and keys -----------------------------------------------------------------------------

function openCell(event) {
  const cell = event.target.closest("td.cell");
  if (cell) openAt(Number(cell.dataset.at), Number(cell.dataset.column));
}

function openAt(at, column) {
  questions.focus = [at, column];
  go(href("q", [index.questions[questions.rows[at]][0], ranked[column]]));
}

function steer(event) {
  const cell = event.target.closest("td.cell");
  if (!cell) return;
  const page = Math.max(1, Math.floor(byId("matrix").clientHeight / ROW) - 6);
  const steps = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -Infinity], End: [0, Infinity],
  };
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    openAt(Number(cell.dataset.at), Number(cell.dataset.column));
  } else if (event.key in steps) {
    event.preventDefault();
    const [down, right] = steps[event.key];
    const [at, column] = questions.focus;
    questions.focus = [
      Math.min(questions.rows.length - 1, Math.max(0, at + down)),
      Math.min(ranked.length - 1, Math.max(0, column + right)),
    ];
    scrollToFocus();
    focusCell();
  }
}

function scrollToFocus() {
  const matrix = byId("matrix");
  const head = matrix.querySelector("thead").offsetHeight;
  const top = questions.focus[0] * ROW;
  if (top < matrix.scrollTop) matrix.scrollTop = top;
  else if (top + ROW + head > matrix.scrollTop + matrix.clientHeight) {
    matrix.scrollTop = top + ROW + head - matrix.clientHeight;
  }
  paint();
}

function focusCell() {
  const [at, column] = questions.focus;
  const body = byId("rows");
  if (!body) return;
  for (const old of body.querySelectorAll('td.cell[tabindex="0"]')) old.tabIndex = -1;
  const cell = body.querySelector(`td[data-at="${at}"][data-column="${column}"]`);
  if (!cell) return;
  cell.tabIndex = 0;
  cell.focus({ preventScroll: false });
}
