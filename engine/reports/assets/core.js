"use strict";
// What every other script uses: the index, words in two languages, elements, and the address.
// Elements are built by name and text only; nothing here, or anywhere, turns a string into markup.

const byId = (id) => document.getElementById(id);
const index = JSON.parse(byId("index").textContent);
const words = JSON.parse(byId("words").textContent);
const pointwise = index.judges.map((_, j) => j).filter((j) => !index.judges[j].pairwise);

// --- what a reader chose last time; a browser may refuse to remember -----------------------------

const memory = {
  get(key) {
    try { return localStorage.getItem(`alignsweep.${key}`); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`alignsweep.${key}`, value); } catch { /* then not */ }
  },
};

// --- words --------------------------------------------------------------------------------------

let language = memory.get("language") || (navigator.language || "en").slice(0, 2).toLowerCase();
if (language !== "zh") language = "en";

const t = (key) => (words[key] ? words[key][language === "zh" ? 1 : 0] : key);
const gloss = (name) => (language === "en" && words.glosses[name] ? `${name} ${words.glosses[name]}` : name);

/** Put the chosen language into everything that stands in the page from the start. */
function translate(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-en]")) node.textContent = node.dataset[language];
}

// --- numbers: the same writing as engine/figures.py ---------------------------------------------

const NONE = "–";
const count = (n) => n.toLocaleString("en-US");
const score = (value, digits = 2) => (value === null || value === undefined ? NONE : value.toFixed(digits));
const brief = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** The class of a heat cell, as axis.py has it. */
function heat(value, low = index.low, high = index.high) {
  if (value === null) return "hx";
  const share = high > low ? (value - low) / (high - low) : 0.5;
  return `h${Math.min(9, Math.max(0, Math.floor(share * 10)))}`;
}

// --- elements -----------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (key === "value") node.value = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** A row of buttons of which one is pressed. */
function choice(label, options, chosen, pick) {
  return el("div", { class: "choice", role: "group", "aria-label": label },
    options.map(([value, text]) => el("button", {
      type: "button", title: text, "aria-pressed": String(value === chosen), onclick: () => pick(value),
    }, text)));
}

function select(label, options, chosen, pick) {
  return el("select", { "aria-label": label, onchange: (event) => pick(event.target.value) },
    options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)));
}

// --- the address: every state of the page can be linked to --------------------------------------
// #lead/0   #questions?c=2&m=5   #q/12/3   #q/12/3/7   #cmp/3/7/0   #dim/0?m=1,4   #judges  #duels  #run

function address() {
  const [path, query] = location.hash.slice(1).split("?");
  const parts = path.split("/").map(decodeURIComponent);
  return { view: parts[0], parts: parts.slice(1), query: new URLSearchParams(query || "") };
}

function href(view, parts = [], query = {}) {
  const search = new URLSearchParams(
    Object.entries(query).filter(([, v]) => v !== "" && v !== null && v !== undefined),
  ).toString();
  return `#${[view, ...parts.map((p) => encodeURIComponent(p))].join("/")}${search ? `?${search}` : ""}`;
}

const go = (hash) => { if (location.hash !== hash) location.hash = hash; };

/** Change the address without a step in the browser's history. */
function become(hash) {
  history.replaceState(null, "", hash);
}

const whole = (text, below) => (/^\d+$/.test(text || "") && Number(text) < below ? Number(text) : null);
const modelOf = (text) => whole(text, index.models.length);
const placeOf = new Map(index.questions.map((q, i) => [q[0], i]));
