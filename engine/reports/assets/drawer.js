"use strict";
// One question opened: what was asked, what a model answered, what every judge wrote about it. With two
// models the answers stand side by side. What models and judges wrote is only ever a text node.

const CLIP = 20000;
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const drawer = { under: "", shown: null };

/** Open question `place` for one model or two. */
async function openDrawer(place, models) {
  const dialog = byId("drawer");
  const wanted = { place, models };
  drawer.shown = wanted;
  const found = await block(place);
  if (drawer.shown !== wanted) return;
  const pressed = [...dialog.querySelectorAll(".head button")].indexOf(document.activeElement);
  dialog.replaceChildren(drawerHead(place, models), drawerBody(found, place, models));
  if (!dialog.open) dialog.showModal();
  const buttons = dialog.querySelectorAll(".head button");
  (buttons[pressed] || dialog.querySelector(".close")).focus();
  dialog.scrollTop = 0;
}

/** Close without touching the address. */
function shutDrawer() {
  drawer.shown = null;
  if (byId("drawer").open) byId("drawer").close();
}

function leaveDrawer() {
  if (drawer.shown) go(drawer.under || "#questions");
}

/** Neighbours are those of the matrix as it is filtered now. */
function step(down, right) {
  if (!drawer.shown) return;
  const { place, models } = drawer.shown;
  const rows = questions.rows.includes(place) ? questions.rows : [...index.questions.keys()];
  const row = rows[rows.indexOf(place) + down];
  const column = ranked[ranked.indexOf(models[0]) + right];
  if (row === undefined || column === undefined) return;
  if (questions.rows === rows) questions.focus = [rows.indexOf(row), ranked.indexOf(column)];
  become(href("q", [index.questions[row][0], ...(models.length > 1 ? models : [column])]));
  openDrawer(row, models.length > 1 ? models : [column]);
}

function drawerHead(place, models) {
  const [id, category, sub] = index.questions[place];
  const button = (label, text, down, right) =>
    el("button", { type: "button", title: label, "aria-label": label, onclick: () => step(down, right) }, text);
  const copy = el("button", { type: "button", onclick: () => copyLink(copy) }, t("copy_link"));
  return el("div", { class: "head" },
    el("h2", { id: "drawer-title" }, `#${id} `,
      el("span", { class: "dim" }, `${gloss(index.categories[category])} / ${sub}`)),
    button(t("previous"), "↑", -1, 0), button(t("next"), "↓", 1, 0),
    models.length > 1 ? null : [button(t("left"), "←", 0, -1), button(t("right"), "→", 0, 1)],
    copy,
    el("button", { type: "button", class: "close", onclick: leaveDrawer }, t("close")));
}

async function copyLink(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = t("copied");
  } catch { /* a page from disk may not be allowed to; the address line has it */ }
}

function drawerBody(found, place, models) {
  const body = el("div", { class: "body" });
  if (!found) {
    body.append(el("h4", {}, t("question")), prose(index.questions[place][3]),
      el("p", { class: "dim" }, t(canUnpack ? "no_text" : "old_browser")));
    for (const m of models) body.append(who(place, m));
    return body;
  }
  found.t.forEach((text, turn) => body.append(asked(found, turn, text)));
  if (found.e) body.append(evidence(found.e));
  if (models.length > 1) {
    body.append(el("div", { class: "two" }, models.map((m, i) => el("div", {},
      who(place, m, i), answers(found, m), verdicts(found, m)))));
  } else {
    body.append(who(place, models[0]), el("div", { class: "three-two" },
      answers(found, models[0]), verdicts(found, models[0])));
  }
  const duels = found.d.filter((d) => models.includes(d[1]) || models.includes(d[2]));
  const between = models.length > 1 ? duels.filter((d) => models.includes(d[1]) && models.includes(d[2])) : duels;
  if (between.length) body.append(el("h3", {}, t("duels")), between.map(duelCard).reduce(append, el("div", {})));
  body.append(el("p", { class: "keys" }, t("keys")));
  return body;
}

const append = (parent, child) => { parent.append(child); return parent; };

// --- question -----------------------------------------------------------------------------------

function asked(found, turn, text) {
  const several = found.t.length > 1 ? ` (${t("turn")} ${turn + 1})` : "";
  const reference = found.r[turn];
  return el("div", { class: reference ? "two" : "" },
    el("div", {}, titled(t("question") + several), prose(text)),
    reference ? el("div", {}, titled(t("reference") + several), prose(reference)) : null);
}

function evidence(pairs) {
  return el("details", {}, el("summary", {}, `${t("evidence")} (${pairs.length})`),
    pairs.map(([url, quote]) => [prose(quote), el("p", { class: "facts-line" }, url)]));
}

const titled = (text) => el("h4", { style: { margin: "14px 0 6px" } }, text);

/** What somebody wrote: exact, and marked where it holds more than meets the eye. */
function prose(text) {
  const body = el("div", { class: "prose", dir: "auto" });
  const cut = text.length > CLIP;
  body.append(document.createTextNode(cut ? text.slice(0, CLIP) : text));
  const found = [body];
  if (cut) {
    const more = el("button", { type: "button", class: "more", onclick: () => {
      body.replaceChildren(document.createTextNode(text));
      more.remove();
    } }, `${t("show_rest")} ${count(text.length)} ${t("characters")}`);
    found.push(more);
  }
  const hidden = (text.match(HIDDEN) || []).length;
  if (hidden) found.push(el("p", { class: "marks" }, `${count(hidden)} ${t("invisible")}`));
  return el("div", {}, found);
}

// --- answers and verdicts -----------------------------------------------------------------------

function who(place, model, i = null) {
  const value = scoreAt(place, model);
  const state = index.states[place][model];
  return el("div", { class: "who" },
    el("h3", { class: i === null ? "" : ["ink-a", "ink-b"][i] }, index.models[model]),
    el("span", { class: "score" }, value === null ? "" : score(value, 1)),
    state === "." ? null : el("span", { class: "badge warn" }, stateText(state)));
}

function answers(found, model) {
  const mine = found.a.filter((a) => a[0] === model);
  if (!mine.length) return el("p", { class: "dim" }, t(index.texts === "all" ? "no_answer" : "no_text"));
  return el("div", {}, mine.map(([, sample, turn, state, text, facts]) => {
    const heading = [
      mine.some((a) => a[1] > 0) ? `${t("sample")} ${sample + 1}` : "",
      found.t.length > 1 ? `${t("turn")} ${turn + 1}` : "",
      state === "answered" ? "" : t(state),
    ].filter(Boolean).join(" · ");
    return [
      heading ? titled(heading) : null,
      text === null ? el("p", { class: "bad" }, t("no_answer")) : prose(text),
      thinking(facts), factsLine(facts),
    ];
  }));
}

function verdicts(found, model) {
  const mine = found.j.filter((j) => j[1] === model);
  return el("div", {}, mine.map((judgment) => card(found, judgment)));
}

function card(found, [judge, model, sample, turn, repeat, value, dimensions, replies, facts]) {
  const all = found.j.filter((j) => j[1] === model && j[0] === judge);
  const heading = [
    all.some((j) => j[2] > 0) ? `${t("sample")} ${sample + 1}` : "",
    found.t.length > 1 ? `${t("turn")} ${turn + 1}` : "",
    all.some((j) => j[4] > 0) ? `${t("repeat")} ${repeat + 1}` : "",
  ].filter(Boolean).join(" · ");
  const names = Object.entries(dimensions);
  const last = replies.at(-1);
  return el("div", { class: "card" },
    el("header", {}, el("b", {}, index.judges[judge].name), el("span", { class: "dim" }, heading),
      el("span", { class: value === null ? "score bad" : "score" }, value === null ? t("unscorable") : brief(value))),
    names.length ? el("div", { class: "tags" }, names.map(([name, v]) => el("span", {}, `${gloss(name)} `, el("b", {}, brief(v))))) : null,
    last === undefined ? null : prose(last),
    replies.length > 1 ? el("details", { class: "facts-line" },
      el("summary", {}, `${t("earlier_asks")} (${replies.length - 1})`), replies.slice(0, -1).map(prose)) : null,
    thinking(facts), factsLine(facts));
}

function thinking(facts) {
  if (!facts.thinking) return null;
  return el("details", { class: "facts-line" }, el("summary", {}, t("thinking")), prose(facts.thinking));
}

function factsLine(facts) {
  const shown = [
    facts.error || "", facts.served || "", facts.stop || "",
    facts.latency ? `${facts.latency.toFixed(1)} ${t("latency")}` : "",
    facts.in || facts.out ? `${count(facts.in || 0)} → ${count(facts.out || 0)} token` : "",
    facts.attempts > 1 ? `${facts.attempts} ${t("attempts")}` : "",
    facts.cached ? t("cached") : "",
    facts.source && facts.source !== "complete" ? `${t("source")} ${facts.source}` : "",
    ...(facts.flags || []), facts.origin || "",
  ].filter(Boolean);
  return shown.length ? el("p", { class: "facts-line" }, shown.join(" · ")) : null;
}

// --- comparisons --------------------------------------------------------------------------------

const CHOICES = {
  "first+": [0, "much_better"], first: [0, "better"], tie: [null, "tie"],
  second: [1, "better"], "second+": [1, "much_better"],
};

function duelCard([judge, one, two, , , repeat, position, verdict, replies]) {
  const names = [index.models[one], index.models[two]];
  const [winner, word] = CHOICES[verdict] || [null, "unscorable"];
  const said = winner === null ? t(word) : `${names[winner]} ${t(word)}`;
  return el("div", { class: "card" },
    el("header", {}, el("b", {}, index.judges[judge].name),
      el("span", { class: "dim" }, `${names[0]} × ${names[1]} · ${t("position_first")}: ${names[position] || ""}${repeat ? ` · ${t("repeat")} ${repeat + 1}` : ""}`),
      el("span", { class: "score" }, said)),
    replies.length ? prose(replies.at(-1)) : null);
}

// --- keys ---------------------------------------------------------------------------------------

byId("drawer").addEventListener("cancel", (event) => {
  event.preventDefault();
  leaveDrawer();
});
byId("drawer").addEventListener("click", (event) => {
  if (event.target === byId("drawer")) leaveDrawer();
});
byId("drawer").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const steps = { j: [1, 0], k: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (event.key in steps) {
    event.preventDefault();
    step(...steps[event.key]);
  }
});
