"""The leaderboard as GitHub Markdown whose source is aligned too.

Columns are padded by cell width, so Chinese heads line up in any editor. Foreign text is made inert
and escaped: no link, no tag, no code span, no table cell can come out of a model's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine import figures
from engine.cells import fit, inert, width
from engine.reports.table import TOTAL, Entry, Sheet, duel_sheets, sheets
from engine.reports.uncertainty import Interval, Intervals, neighbours
from engine.scores import Scores

_ESCAPED = str.maketrans({char: f"\\{char}" for char in "\\|<>[]`*_#~&!"})


Fact = tuple[str, str]


def render(
    scores: Scores,
    *,
    partial: bool = False,
    sure: Intervals | None = None,
    facts: Sequence[Fact] = (),
) -> str:
    """The whole document, ending in a newline.

    `sure` adds the 95 % intervals of totals and ranks; `facts` is the list at the end (what was run).
    """
    title = f"# {text(scores.benchmark)}"
    asked = f"Questions: sha256 `{scores.benchmark_sha256}`" if scores.benchmark_sha256 else ""
    parts = [title + (" (simulated)" if scores.simulated else ""), asked]
    for sheet in sheets(scores, partial=partial):
        bounds = {m: found for (judge, m), found in (sure or {}).items() if judge == sheet.judge}
        parts += [f"## {text(sheet.judge)}", _means(sheet, bounds)]
        notes = [*([_BOUNDS] if bounds else []), *_apart(sheet, bounds), *sheet.notes]
        parts += ["\n".join(f"- {text(note)}" for note in notes)]
        if sheet.dimensions:
            parts += ["### Dimensions", _dimensions(sheet)]
    for duel in duel_sheets(scores, sure):
        heads, found = duel.with_intervals()
        rows = [(rank, text(model), *cells) for rank, model, *cells in found]
        parts += [f"## {text(duel.judge)}", _table(heads, rows)]
        parts += ["\n".join(f"- {text(note)}" for note in duel.notes)]
    if facts:
        parts += ["## Run", "\n".join(f"- {text(word)}: {text(value)}" for word, value in facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(foreign: str) -> str:
    """Foreign text for one place in a line of Markdown."""
    return inert(foreign).translate(_ESCAPED)


_BOUNDS = "95 % CI: of the total; ranks: the middle 95 % of this model's own ranks over resampled questions"


def _apart(sheet: Sheet, bounds: Mapping[str, Interval]) -> list[str]:
    """The line on neighbours, where the statistics have one."""
    found = [bounds[entry.model] for entry in sheet.entries if entry.model in bounds]
    said = neighbours(found)
    return [said[0]] if said else []


def _means(sheet: Sheet, bounds: Mapping[str, Interval]) -> str:
    other = [sheet.other_policy] if sheet.other_policy else []
    sure = ["95 % CI", "ranks"] if bounds else []
    names = [text(head.name) for head in sheet.heads]
    head = ["rank", "model", TOTAL, *sure, *other, *names, "scored", "n"]
    return _table(head, [_cells(sheet, entry, bounds) for entry in sheet.entries])


def _cells(sheet: Sheet, entry: Entry, bounds: Mapping[str, Interval]) -> list[str]:
    other = [figures.score(entry.other_total)] if sheet.other_policy else []
    return [
        entry.rank,
        text(entry.model),
        figures.score(entry.total),
        *(_bounds(entry, bounds.get(entry.model, Interval())) if bounds else ()),
        *other,
        *map(figures.score, entry.values),
        figures.percent(entry.coverage.share),
        figures.count(entry.coverage.scored),
    ]


def _bounds(entry: Entry, found: Interval) -> list[str]:
    """`7.85-8.17` and `1-3`; of a total that is not shown, nothing."""
    if entry.total is None or found.low is None:
        return [figures.NONE] * 2
    ranks = f"{found.rank_low}-{found.rank_high}"
    if found.rank_low is None or found.rank_low == found.rank_high:
        ranks = figures.NONE if found.rank_low is None else str(found.rank_low)
    return [f"{figures.score(found.low)}-{figures.score(found.high)}", ranks]


def _dimensions(sheet: Sheet) -> str:
    rows = []
    for entry in sheet.entries:
        found = entry.row.dimensions
        means = [figures.score(found[d].mean if d in found else None) for d in sheet.dimensions]
        rows.append([entry.rank, text(entry.model), *means])
    return _table(["rank", "model", *map(text, sheet.dimensions)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers to the right, the second column (the name) to the left."""
    sizes = [max(3, *(width(cell) for cell in column)) for column in zip(head, *rows, strict=True)]
    rule = [f"{'-' * size}" if i == 1 else f"{'-' * (size - 1)}:" for i, size in enumerate(sizes)]
    lines = [
        [
            fit(cell, size, right=i != 1)
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        for row in (head, *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
