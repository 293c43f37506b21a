"""What changed between two runs, as lines for a terminal. Pure; everything foreign is made inert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.cells import cut, fit, inert, width
from engine.diff import Diff, Line

_SHOWN = 12
"""Changes of one kind that are listed; the rest is counted, and stands in the JSON."""
_NAME = 30


def lines(found: Diff, columns: int = 100) -> Iterator[str]:
    """All of it, top to bottom, no line longer than `columns` cells."""
    for line in _all(found):
        yield cut(line, columns)


def _all(found: Diff) -> Iterator[str]:
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
    yield from _asked(found)
    yield from _tables(found.scores)
    yield from _money(found)


def _changes(title: str, items: Sequence[str]) -> Iterator[str]:
    if not items:
        return
    yield f"{title} ({len(items)})"
    for item in items[:_SHOWN]:
        yield f"  {inert(item)}"
    if len(items) > _SHOWN:
        yield f"  and {len(items) - _SHOWN:,} more"


def _asked(found: Diff) -> Iterator[str]:
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
        yield (
            f"verdicts     {figures.count(verdict.common)} of the same trials by"
            f" {inert(verdict.judge)}, {figures.count(verdict.same)} with the same score{shift}"
        )


def _tables(scores: Sequence[Line]) -> Iterator[str]:
    for judge in dict.fromkeys(line.judge for line in scores):
        mine = [line for line in scores if line.judge == judge]
        name = min(_NAME, max(5, *(width(inert(line.model)) for line in mine)))
        bounds = any(bound is not None for line in mine for bound in line.bounds)
        yield ""
        yield f"by {inert(judge)}"
        sure = f"{'95 % before':>13}{'95 % after':>13}" if bounds else ""
        yield (
            f"  {fit('model', name)}{'before':>8}{'after':>8}{'change':>8}{sure}"
            f"{'rank':>12}{'scored':>14}  largest change"
        )
        yield from (_row(line, name, bounds) for line in mine)


def _row(line: Line, name: int, bounds: bool) -> str:
    before, after = line.total
    sure = "".join(
        f"{figures.score(b.low)}–{figures.score(b.high)}".rjust(13) if b else " " * 13
        for b in line.bounds
    )
    ranks = line.rank[0] if line.rank[0] == line.rank[1] else " -> ".join(line.rank)
    shares = [figures.percent(share) for share in line.coverage]
    coverage = shares[0] if shares[0] == shares[1] else " -> ".join(shares)
    return (
        f"  {fit(inert(line.model), name)}{figures.score(before):>8}{figures.score(after):>8}"
        f"{signed(line.difference):>8}{sure if bounds else ''}{ranks:>12}{coverage:>14}  {_largest(line)}"
    ).rstrip()


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
