"""What changed between two runs, as lines for a terminal. Pure; everything foreign is made inert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.cells import cut, inert
from engine.diff import Diff, Line
from engine.reports.plain import Heading, grid_lines, paragraph

_SHOWN = 12
"""Changes of one kind that are listed; the rest is counted, and stands in the JSON."""


def lines(found: Diff, columns: int = 100) -> Iterator[str]:
    """All of it, top to bottom, no line longer than `columns` cells."""
    for line in _all(found, columns):
        yield cut(line, columns)


def _all(found: Diff, columns: int) -> Iterator[str]:
    a, b = (f"{inert(n)} ({inert(i)})" for n, i in zip(found.runs, found.run_ids, strict=True))
    yield f"{a} -> {b}"
    if found.identical:
        yield "  the same questions, models, judges and settings"
    for warning in found.warnings:
        yield f"  ! {inert(warning)}: compare the scores with care"
    yield from _changes("configuration", found.configuration)
    for kind, (removed, added) in (("models", found.models), ("judges", found.judges)):
        yield from _changes(f"{kind} removed", removed)
        yield from _changes(f"{kind} added", added)
    yield from _asked(found, columns)
    yield from _tables(found.scores, columns)
    yield from _money(found)


def _changes(title: str, items: Sequence[str]) -> Iterator[str]:
    if not items:
        return
    yield f"{title} ({len(items)})"
    for item in items[:_SHOWN]:
        yield f"  {inert(item)}"
    if len(items) > _SHOWN:
        yield f"  and {len(items) - _SHOWN:,} more"


def _asked(found: Diff, columns: int) -> Iterator[str]:
    asked = found.questions
    yield f"questions    {figures.count(asked.common)} in both"
    for title, ids in (
        ("removed", asked.removed),
        ("added", asked.added),
        ("changed", asked.changed),
    ):
        if ids:
            more = " …" if len(ids) > _SHOWN else ""
            shown = ", ".join(map(inert, ids[:_SHOWN]))
            yield f"  {title} {figures.count(len(ids))}: {shown}{more}"
    yield (
        f"answers      {figures.count(found.answers.common)} in both,"
        f" {figures.count(found.answers.same)} with the same text"
    )
    for verdict in found.verdicts:
        shift = "" if verdict.shift is None else f", mean {verdict.shift:+.2f}"
        said = (
            f"{figures.count(verdict.common)} of the same trials by {inert(verdict.judge)},"
            f" {figures.count(verdict.same)} with the same score{shift}"
        )
        yield from paragraph(said, columns, first="verdicts     ")


_HEADS = (
    Heading("model", right=False),
    Heading("before"),
    Heading("after"),
    Heading("change"),
    Heading("95 % CI of it"),
    Heading("n"),
    Heading("rank", optional=True),
    Heading("scored", optional=True),
    Heading("most in", right=False, optional=True),
)
_CHANGE = (
    "change: of the total, on the n questions that both runs scored; an interval without 0 is a"
    " change that chance alone would seldom make"
)


def _tables(scores: Sequence[Line], columns: int) -> Iterator[str]:
    for judge in dict.fromkeys(line.judge for line in scores):
        rows = [_row(line) for line in scores if line.judge == judge]
        yield ""
        yield f"by {inert(judge)}"
        yield from (f"  {line}" for line in grid_lines(_HEADS, rows, columns - 2, name=0))
    if any(line.moved is not None and line.moved.value is not None for line in scores):
        yield from paragraph(_CHANGE, columns, first="  ")
    why = {line.moved.reason for line in scores if line.moved and line.moved.value is None}
    for reason in sorted(why):
        yield from paragraph(f"no change of a total: {inert(reason)}", columns, first="  ")


def _row(line: Line) -> list[str]:
    ranks = line.rank[0] if line.rank[0] == line.rank[1] else " -> ".join(line.rank)
    shares = [figures.percent(share) for share in line.coverage]
    coverage = shares[0] if shares[0] == shares[1] else " -> ".join(shares)
    found = line.moved
    bounds = figures.NONE
    if found is not None and found.low is not None:
        bounds = f"{signed(found.low)} to {signed(found.high)}"
    return [
        inert(line.model),
        *map(figures.score, line.total),
        signed(found.value if found else None),
        bounds,
        figures.count(found.n) if found else figures.NONE,
        ranks,
        coverage,
        _largest(line),
    ]


def _largest(line: Line) -> str:
    known = [(name, d) for name, d in line.columns.items() if d is not None]
    name, most = max(known, key=lambda item: abs(item[1]), default=("", 0.0))
    return f"{inert(name)} {signed(most)}" if round(most, 2) else ""


def signed(value: float | None) -> str:
    """+0.17, -0.14, 0.00 or –"""
    if value is None:
        return figures.NONE
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _money(found: Diff) -> Iterator[str]:
    yield ""
    before, after = map(figures.count, found.requests)
    yield f"requests     {before} -> {after}"
    for cost in found.costs:
        old, new = (figures.money(nano, cost.currency) for nano in (cost.before, cost.after))
        yield f"money        {old} -> {new}"
