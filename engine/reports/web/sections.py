"""The other views that stand in the page before any script runs: dimensions, judges, comparisons."""

from __future__ import annotations

from collections.abc import Iterator

from engine import figures
from engine.duels import DuelTable
from engine.judge_pairs import JudgePair
from engine.reports.table import DuelSheet, Sheet
from engine.reports.web.axis import heat
from engine.reports.web.board import Board
from engine.reports.web.markup import Markup, drawing, join, tag
from engine.reports.web.notes import note
from engine.reports.web.words import glossed, label

_DUEL_KEYS = ("rank", "model", "win_rate", "wins", "ties", "losses", "inconsistent", "missing")


def table(head: list[Markup], rows: list[Markup], class_: str = "") -> Markup:
    """A plain table that scrolls by itself where it is too wide."""
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=class_ or None)
    return tag("div", whole, class_="scroll", tabindex=0)


def head(key: str, class_: str = "num") -> Markup:
    """A column's head."""
    return tag("th", label(key), scope="col", class_=class_)


# --- dimensions --------------------------------------------------------------------------------


def dimensions(board: Board, number: int) -> Markup:
    """Means of one judge's dimensions, models down, dimensions across."""
    sheet = board.sheets[number]
    cells = [head("rank"), head("model", "name")]
    cells += [tag("th", glossed(d), scope="col", class_="num") for d in sheet.dimensions]
    return table(cells, list(_dimension_rows(sheet)), "means")


def _dimension_rows(sheet: Sheet) -> Iterator[Markup]:
    means = [d.mean for entry in sheet.entries for d in entry.row.dimensions.values()]
    span = (min(means), max(means)) if means else (0.0, 1.0)
    for entry in sheet.entries:
        cells = [tag("td", entry.rank.replace("-", "–"), class_="num rank")]
        cells.append(tag("th", entry.model, scope="row", class_="name"))
        for name in sheet.dimensions:
            found = entry.row.dimensions.get(name)
            mean = found.mean if found else None
            count = f"n {figures.count(found.n)}" if found else None
            kind = "num heat " + heat(mean, *span)
            cells.append(tag("td", figures.score(mean), class_=kind, title=count))
        yield tag("tr", *cells)


# --- judges ------------------------------------------------------------------------------------


def judge_pair(pair: JudgePair, place: tuple[int, int]) -> Markup:
    """Two judges against each other; `place` are their numbers in the sweep."""
    title = tag("h3", pair.first, tag("span", " × ", class_="dim"), pair.second)
    grid = tag("figure", _counts(pair, place), tag("figcaption", label("counts_caption")))
    shifts = tag("div", label("model_shift", "h4"), _shifts(pair))
    return tag(
        "div", title, _agreement(pair), tag("div", grid, shifts, class_="side"), class_="pair"
    )


def _agreement(pair: JudgePair) -> Markup:
    shown = (
        ("answers_both", figures.count(pair.n)),
        ("same", figures.percent(pair.same)),
        ("near", figures.percent(pair.near)),
        ("shift", signed(pair.shift)),
        ("pearson", figures.score(pair.pearson, 3)),
        ("spearman", figures.score(pair.spearman, 3)),
        ("kendall", figures.score(pair.kendall, 3)),
    )
    return tag(
        "dl",
        *(tag("div", label(key, "dt"), tag("dd", value)) for key, value in shown),
        class_="tiles",
    )


def _counts(pair: JudgePair, place: tuple[int, int]) -> Markup:
    found = {(a, b): n for a, b, n in pair.counts}
    values = [v for a, b, _ in pair.counts for v in (a, b)]
    levels = list(range(int(min(values)), int(max(values)) + 1))
    most = max(found.values())
    across = tag("span", pair.second, " →", class_="cut", title=pair.second)
    down = tag("span", pair.first, " ↓", class_="cut", title=pair.first)
    corner = tag("td", across, down, class_="corner dim")
    rows = [tag("tr", corner, *(tag("th", str(b), scope="col") for b in levels))]
    for a in levels:
        cells = [tag("th", str(a), scope="row")]
        for b in levels:
            n = found.get((a, b), 0)
            kind = f"cell {heat(n**0.5, 0, most**0.5 * 1.001)}" if n else "cell none"
            where = f"{place[0]}:{a},{place[1]}:{b}" if n else None
            cells.append(tag("td", figures.count(n) if n else "", class_=kind, data_pair=where))
        rows.append(tag("tr", *cells))
    return tag("table", tag("tbody", *rows), class_="counts")


def _shifts(pair: JudgePair) -> Markup:
    ordered = sorted(pair.models, key=lambda m: -m.shift)
    widest = max((abs(m.shift) for m in ordered), default=0) or 1
    rows = [
        tag(
            "tr",
            tag("th", m.model, scope="row", class_="name"),
            tag("td", signed(m.shift), class_="num"),
            tag("td", _bar(m.shift / widest), class_="plot"),
        )
        for m in ordered
    ]
    return tag("table", tag("tbody", *rows), class_="shifts")


def signed(value: float) -> str:
    """+0.17, −0.14"""
    return f"{value:+.2f}".replace("-", "−")


def _bar(share: float, width: int = 160) -> Markup:
    """A bar to the left or right of the middle; `share` from -1 to 1."""
    middle = width / 2
    reach = round(abs(share) * (middle - 4), 1)
    left = middle if share >= 0 else middle - reach
    bar = tag("rect", x=left, y=6, width=reach, height=10, class_="up" if share >= 0 else "down")
    zero = tag("line", x1=middle, x2=middle, y1=0, y2=22, class_="grid")
    return drawing(width, 22, zero, bar, class_="bar")


# --- comparisons -------------------------------------------------------------------------------


def duel(sheet: DuelSheet, found: DuelTable) -> Markup:
    """One pairwise judge's table: wins, ties and losses as one bar, then as figures."""
    cells = [head(key, "name" if key == "model" else "num") for key in _DUEL_KEYS]
    if sheet.intervals:
        cells.insert(3, head("interval"))
    cells += [head("decided_rate"), head("wins_ties_losses", "name")]
    rows = []
    for row, counts in zip(sheet.with_intervals()[1], found.rows, strict=True):
        rank, model, *rest = row
        line = [tag("td", rank.replace("-", "–"), class_="num rank")]
        line.append(tag("th", model, scope="row", class_="name"))
        line += [_duel_cell(cell) for cell in rest]
        parts = (counts.wins, counts.ties + counts.inconsistent, counts.losses)
        rows.append(tag("tr", *line, tag("td", _stack(parts), class_="plot")))
    notes = tag("ul", *(note(n) for n in sheet.notes), class_="notes")
    other = f"{found.judge} 的两两比较" + (f"（基准：{found.baseline}）" if found.baseline else "")
    title = tag("h3", sheet.title, data_en=sheet.title, data_zh=other)
    return join(title, table(cells, rows, "duels"), notes)


def _duel_cell(text: str) -> Markup:
    if text == "baseline":
        return tag("td", text, class_="num", data_en=text, data_zh="基准")
    return tag("td", text, class_="num")


def _stack(parts: tuple[int, int, int], width: int = 220) -> Markup:
    """Wins from the left, losses from the right, what is neither between."""
    whole = sum(parts) or 1
    bars, x = [], 0.0
    for count, class_ in zip(parts, ("win", "tie", "loss"), strict=True):
        size = round(width * count / whole, 1)
        bars.append(tag("rect", x=round(x, 1), y=5, width=size, height=12, class_=class_))
        x += size
    return drawing(width, 22, *bars, class_="stack")
