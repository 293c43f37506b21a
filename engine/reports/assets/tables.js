"use strict";
// The tables that stand in the page from the start come alive: sorting, one judge at a time, cells that
// lead to their questions.

/** Show what belongs to one judge, and hide the others. */
function showSheet(view, chosenSheet) {
  for (const part of byId(view).querySelectorAll(".of-judge")) {
    part.hidden = Number(part.dataset.sheet) !== chosenSheet;
  }
}

function showLead(parts) {
  const at = whole(parts[0], index.sheets.length) ?? 0;
  showSheet("v-lead", at);
  const old = byId("lead-judges");
  if (old) old.remove();
  if (index.sheets.length > 1) {
    byId("v-lead").prepend(el("div", { class: "bar-line", id: "lead-judges" },
      el("span", { class: "dim" }, t("by_judge")),
      choice(t("judge"), index.sheets.map((s, i) => [i, index.judges[s.judge].name]), at, (i) => go(href("lead", [i])))));
  }
}

/** Heads become buttons that sort; heat cells lead to the questions of their category. */
function enliven() {
  for (const table of document.querySelectorAll("table.board")) {
    const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
    [...heads].forEach((cell, column) => {
      if (cell.tagName !== "TH") return;
      const button = el("button", { type: "button", class: "sort", onclick: () => sortBy(table, column) });
      button.append(...cell.childNodes);
      cell.append(button);
    });
    for (const cell of table.querySelectorAll("td[data-c]")) {
      const row = Number(cell.parentNode.dataset.m);
      const button = el("button", { type: "button", onclick: () => go(href("questions", [], { c: cell.dataset.c, m: row })) });
      button.append(...cell.childNodes);
      cell.append(button);
    }
  }
  for (const cell of document.querySelectorAll("td[data-pair]")) {
    const button = el("button", { type: "button", onclick: () => go(href("questions", [], { pair: cell.dataset.pair })) });
    button.append(...cell.childNodes);
    cell.append(button);
  }
}

function sortBy(table, column) {
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  const before = heads[column].getAttribute("aria-sort");
  const named = heads[column].classList.contains("name") || heads[column].querySelector('[data-t="rank"]');
  const way = before ? (before === "ascending" ? "descending" : "ascending") : named ? "ascending" : "descending";
  for (const cell of heads) cell.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", way);
  const sign = way === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  const keyOf = (row) => {
    const cell = row.cells[column];
    if (cell.tagName === "TH") return cell.textContent;
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  rows.sort((p, q) => {
    const a = keyOf(p), b = keyOf(q);
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b, "zh") : a - b);
  });
  table.tBodies[0].append(...rows);
}
