"""The leaderboard as it stands in the page before any script runs: one table per judge.

Rank, model, total, dot and whisker, the official columns as heat cells, how many verdicts, the cost,
and what the other judges say, all in one row. `data-v` on a cell is the unrounded value to sort by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from data.schema import Struct
from engine import figures
from engine.dossier import Dossier
from engine.reports.overview import money_of
from engine.reports.table import Entry, Head, Sheet
from engine.reports.uncertainty import Interval, Intervals
from engine.reports.web.axis import Axis, axis_for, heat, tick_text
from engine.reports.web.markup import Markup, drawing, tag
from engine.reports.web.words import glossed, label, words

PLOT, ROW = 160, 22
"""Units of the whisker column: its width and a row's height."""


class Board(Struct, frozen=True, kw_only=True):
    """All that the tables of a page share."""

    dossier: Dossier
    sheets: tuple[Sheet, ...]
    intervals: Intervals
    notes: tuple[Markup, ...] = ()

    def interval(self, sheet: Sheet, entry: Entry) -> Interval:
        return self.intervals.get((sheet.judge, entry.model), Interval())

    @property
    def models(self) -> dict[str, int]:
        """Name -> place in the sweep."""
        return {m.name: i for i, m in enumerate(self.dossier.run.sweep.models)}


def leaderboard(board: Board, number: int) -> Markup:
    """The table of one judge."""
    sheet = board.sheets[number]
    axis = _axis(board, sheet)
    span = _heat_span(sheet)
    rows = [_row(board, number, entry, axis, span) for entry in sheet.entries]
    head = tag("thead", _group_row(board, sheet), _head_row(board, number, axis))
    table = tag("table", head, tag("tbody", *rows), class_="board", data_judge=number)
    return tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=sheet.judge)


# --- heads -------------------------------------------------------------------------------------


def _group_row(board: Board, sheet: Sheet) -> Markup:
    """The official groups above their columns."""
    before = 4 + bool(sheet.other_policy) + 2 * _sure(board, sheet)
    cells = [tag("td", colspan=before)]
    for name, heads in _grouped(board, sheet):
        content = glossed(name) if name else None
        cells.append(tag("th", content, colspan=len(heads), scope="colgroup", class_="over"))
    return tag("tr", *cells, tag("td", colspan=2 + len(board.sheets) - 1), class_="groups")


def _head_row(board: Board, number: int, axis: Axis) -> Markup:
    sheet = board.sheets[number]
    sure = _sure(board, sheet)
    cells = [_head("rank", "num"), _head("rank_range", "num") if sure else None]
    cells += [_head("model", "name"), _head("total", "num total")]
    cells += [_head(sheet.other_policy, "num") if sheet.other_policy else None]
    cells += [_head("interval", "num") if sure else None, tag("td", _scale(axis), class_="plot")]
    first = {heads[0].name for _, heads in _grouped(board, sheet)}
    cells += [_category_head(board, head, head.name in first) for head in sheet.heads]
    cells += [_head("n", "num far"), _cost_head(board)]
    cells += [
        tag(
            "th",
            tag("span", other.judge, class_="cut", title=other.judge),
            scope="col",
            class_="num other",
        )
        for i, other in enumerate(board.sheets)
        if i != number
    ]
    return tag("tr", *cells)


def _head(key: str, class_: str) -> Markup:
    return tag("th", label(key), scope="col", class_=class_)


def _category_head(board: Board, head: Head, first: bool) -> Markup:
    group = head.name in board.dossier.scores.groups
    kind = "num cat" + (" group" if group else "") + (" first" if first else "")
    shown = label("group_mean") if group else glossed(head.name, head.short)
    return tag("th", shown, scope="col", class_=kind, title=head.name)


def _grouped(board: Board, sheet: Sheet) -> list[tuple[str, list[Head]]]:
    """Columns under the group they belong to; those of none under an empty name."""
    groups = board.dossier.scores.groups
    of = {member: group for group, members in groups.items() for member in (group, *members)}
    found: list[tuple[str, list[Head]]] = []
    for head in sheet.heads:
        name = of.get(head.name, "")
        if not found or found[-1][0] != name:
            found.append((name, []))
        found[-1][1].append(head)
    return found


# --- rows --------------------------------------------------------------------------------------


def _row(board: Board, number: int, entry: Entry, axis: Axis, span: tuple[float, float]) -> Markup:
    sheet = board.sheets[number]
    sure, interval = _sure(board, sheet), board.interval(sheet, entry)
    cells = [tag("td", entry.rank.replace("-", "–"), class_="num rank", data_v=_first(entry))]
    if sure:
        ranks = _range(interval.rank_low, interval.rank_high)
        cells.append(tag("td", ranks, class_="num dim", data_v=interval.rank_low))
    cells.append(tag("th", entry.model, scope="row", class_="name", title=entry.model))
    cells.append(_number(entry.total, "num total"))
    if sheet.other_policy:
        cells.append(_number(entry.other_total, "num dim"))
    if sure:
        cells.append(_half(entry.total, interval))
    cells.append(tag("td", _whisker(entry.total, interval, axis), class_="plot"))
    cells += list(_values(board, sheet, entry, span))
    cells += [_scored(entry), _cost(board, entry), *_others(board, number, entry)]
    return tag("tr", *cells, data_m=board.models[entry.model])


def _values(
    board: Board, sheet: Sheet, entry: Entry, span: tuple[float, float]
) -> Iterator[Markup]:
    categories = {name: i for i, name in enumerate(board.dossier.scores.categories)}
    first = {heads[0].name for _, heads in _grouped(board, sheet)}
    for head, value in zip(sheet.heads, entry.values, strict=True):
        kind = "num heat " + heat(value, *span)
        kind += " group" if head.name in board.dossier.scores.groups else ""
        kind += " first" if head.name in first else ""
        yield _number(value, kind, data_c=categories.get(head.name))


def _scored(entry: Entry) -> Markup:
    """How many verdicts; the share too where some are missing."""
    coverage = entry.coverage
    whole = coverage.scored == coverage.planned
    kind = "" if whole else " some" if entry.row.complete else " short"
    said = f"{figures.count(coverage.scored)} / {figures.count(coverage.planned)}"
    shown = figures.count(coverage.scored)
    if not entry.row.complete:
        shown = f"{figures.percent(coverage.share)}  {shown}"
    return tag(
        "td",
        tag("span", shown, class_=kind.strip() or None),
        class_="num far dim",
        data_v=coverage.scored,
        title=said,
    )


def _cost(board: Board, entry: Entry) -> Markup:
    party = board.dossier.parties[board.models[entry.model]]
    nano = sum(party.booked.values()) if len(party.booked) == 1 else None
    shown = money_of(party.booked, party.unpriced).removeprefix(f"{_currency(board)} ")
    return tag("td", shown, class_="num dim", data_v=nano)


def _cost_head(board: Board) -> Markup:
    """Of the answers; the currency stands here where there is only one."""
    shown = _currency(board) or label("cost")
    said = " / ".join(words()["cost_long"])
    return tag("th", shown, scope="col", class_="num", title=said)


def _currency(board: Board) -> str:
    codes = {code for party in board.dossier.parties for code in party.booked}
    return codes.pop() if len(codes) == 1 else ""


def _others(board: Board, number: int, entry: Entry) -> Iterator[Markup]:
    for i, sheet in enumerate(board.sheets):
        if i != number:
            same = next(e for e in sheet.entries if e.model == entry.model)
            yield _number(same.total, "num dim other")


def _number(value: float | None, class_: str, **more: Any) -> Markup:
    return tag("td", figures.score(value), class_=class_, data_v=value, **more)


def _half(total: float | None, interval: Interval) -> Markup:
    """`±0.13`, the longer half of the interval, which stands in the title."""
    if total is None or interval.low is None or interval.high is None:
        return tag("td", figures.NONE, class_="num dim")
    half = max(total - interval.low, interval.high - total)
    bounds = f"{figures.score(interval.low)} – {figures.score(interval.high)}"
    return tag("td", f"±{figures.score(half)}", class_="num dim", data_v=half, title=bounds)


def _first(entry: Entry) -> int | None:
    head = entry.rank.partition("-")[0]
    return int(head) if head.isdigit() else None


def _range(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return figures.NONE
    return str(low) if low == high else f"{low}–{high}"


# --- dot and whisker ---------------------------------------------------------------------------


def _sure(board: Board, sheet: Sheet) -> bool:
    """Does any model of this table have an interval?"""
    return any(board.interval(sheet, entry).low is not None for entry in sheet.entries)


def _axis(board: Board, sheet: Sheet) -> Axis:
    values: list[float] = []
    for entry in sheet.entries:
        interval = board.interval(sheet, entry)
        if entry.total is not None:
            values += [v for v in (entry.total, interval.low, interval.high) if v is not None]
    return axis_for(values, PLOT) if values else Axis(0.0, 1.0, (), PLOT)


def _heat_span(sheet: Sheet) -> tuple[float, float]:
    values = [v for entry in sheet.entries for v in entry.values if v is not None]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _scale(axis: Axis) -> Markup:
    marks: Sequence[Markup] = [
        tag("text", tick_text(axis, tick), x=axis.place(tick), y=15, text_anchor="middle")
        for tick in axis.ticks
    ]
    return drawing(PLOT, ROW, *marks, class_="scale")


def _whisker(total: float | None, interval: Interval, axis: Axis) -> Markup:
    middle = ROW / 2
    marks = [
        tag("line", x1=axis.place(t), x2=axis.place(t), y1=0, y2=ROW, class_="grid")
        for t in axis.ticks
    ]
    if total is not None and interval.low is not None and interval.high is not None:
        left, right = axis.place(interval.low), axis.place(interval.high)
        band = {"x": left, "y": middle - 5, "width": round(right - left, 1)}
        marks.append(tag("rect", **band, height=10, rx=2, class_="ci"))
    if total is not None:
        size = 4 if interval.low is None else 2.4
        marks.append(tag("circle", cx=axis.place(total), cy=middle, r=size, class_="dot"))
    return drawing(PLOT, ROW, *marks, class_="whisker")
