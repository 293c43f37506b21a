"use strict";
// The address decides what is shown; everything else only changes the address.

const VIEWS = {
  lead: { section: "v-lead", word: "lead", show: ({ parts }) => showLead(parts), usable: index.sheets.length > 0 },
  questions: { section: "v-questions", word: "questions", show: ({ query }) => showQuestions(query) },
  cmp: { section: "v-cmp", word: "compare", show: ({ parts }) => showCompare(parts), usable: index.models.length > 1 && pointwise.length > 0 },
  dim: { section: "v-dim", word: "dimensions", show: ({ parts, query }) => showDimensions(parts, query), usable: index.sheets.some((s) => s.dimensions.length) },
  judges: { section: "v-judges", word: "judges", usable: pointwise.length > 1 },
  duels: { section: "v-duels", word: "duels", usable: index.judges.some((j) => j.pairwise) },
  run: { section: "v-run", word: "run" },
};
const usable = Object.entries(VIEWS).filter(([, v]) => v.usable !== false).map(([key]) => key);
const home = ["lead", "duels", "questions"].find((key) => usable.includes(key));
let current = "";

function route() {
  const where = address();
  if (where.view === "q") return routeQuestion(where);
  const view = usable.includes(where.view) ? where.view : home;
  const closing = drawer.shown && current === view && drawer.under === location.hash;
  shutDrawer();
  if (closing) return returnFocus(view);
  drawer.under = location.hash || `#${view}`;
  return present(view, where);
}

function routeQuestion({ parts }) {
  const place = placeOf.get(parts[0]);
  const models = parts.slice(1, 3).map(modelOf).filter((m) => m !== null);
  if (place === undefined || !models.length) return go("#questions");
  if (!current) {
    drawer.under = models.length > 1 ? href("cmp", models) : "#questions";
    const [path, query] = drawer.under.slice(1).split("?");
    present(path.split("/")[0], { parts: path.split("/").slice(1), query: new URLSearchParams(query || "") });
  }
  return openDrawer(place, models);
}

/** Back from a question: what lay below is as it was, the focus on the question that was left. */
function returnFocus(view) {
  if (view !== "questions") return;
  scrollToFocus();
  focusCell();
}

function present(view, where) {
  const same = current === view;
  current = view;
  for (const key of Object.keys(VIEWS)) byId(VIEWS[key].section).hidden = key !== view;
  tabs(view);
  if (VIEWS[view].show) VIEWS[view].show(where);
  if (!same) scrollTo(0, 0);
}

function tabs(view) {
  const had = byId("tabs").contains(document.activeElement);
  byId("tabs").replaceChildren(...usable.map((key) => el("button", {
    type: "button", "data-word": t(VIEWS[key].word), "aria-current": key === view ? "page" : null,
    onclick: () => go(`#${key}`),
  }, t(VIEWS[key].word))));
  const now = byId("tabs").querySelector("[aria-current]");
  now.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (had) now.focus();
}

// --- language, light and dark -------------------------------------------------------------------

function controls() {
  byId("controls").replaceChildren(
    el("button", { type: "button", id: "language", onclick: () => speak(language === "zh" ? "en" : "zh") }, t("language")),
    el("button", { type: "button", id: "theme", title: t("theme"), "aria-label": t("theme"), onclick: turnTheme }, "◐"));
}

function speak(wanted) {
  language = wanted;
  memory.set("language", wanted);
  translate(document);
  controls();
  route();
}

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  memory.set("theme", root.dataset.theme);
}

// --- begin --------------------------------------------------------------------------------------

if (["light", "dark"].includes(memory.get("theme"))) document.documentElement.dataset.theme = memory.get("theme");
document.documentElement.classList.add("scripted");
enliven();
translate(document);
controls();
if (!canUnpack) {
  byId("notice").textContent = t("old_browser");
  byId("notice").hidden = false;
}
addEventListener("hashchange", route);
addEventListener("resize", () => requestAnimationFrame(() => {
  const { view, parts, query } = address();
  if (view === "dim") showDimensions(parts, query);
  else paint();
}));
route();
