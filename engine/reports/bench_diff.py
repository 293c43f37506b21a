"""Two benchmarks side by side, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.benching.compared import Change
from engine.benching.folder import Benched
from engine.cells import inert
from engine.money import NANO
from engine.reports.plain import Heading, grid_lines, paragraph

HEADS = (
    Heading("target", right=False),
    Heading("load"),
    Heading("figure", right=False),
    Heading("before"),
    Heading("after"),
    Heading("ratio"),
    Heading("95%"),
    Heading("", right=False),
)


def lines(old: Benched, new: Benched, changes: Sequence[Change], columns: int) -> Iterator[str]:
    """A table, and what to keep in mind about the two."""
    if not changes:
        yield "the two have no rung in common"
        return
    yield from grid_lines(HEADS, [_row(change) for change in changes], columns, name=0)
    yield ""
    shown = sum(change.shown for change in changes)
    yield f"{shown} of {len(changes)} differ beyond noise; * marks them"
    a, b = old.header.sweep, new.header.sweep
    if old.simulated != new.simulated:
        yield "note: one of the two is simulated"
    if a.benchmark_sha256 != b.benchmark_sha256:
        yield "note: they asked different questions"
    if old.header.digest != new.header.digest:
        text = "the sweep files differ in what decides results (models, rubrics, parameters)"
        yield from paragraph(text, columns, first="note: ", rest="  ")


def _row(change: Change) -> list[str]:
    scale, digits = {"useful/min": (1.0, 1), "latency": (1.0, 3), "cost": (1000 / NANO, 3)}[
        change.metric
    ]
    words = {"latency": "latency s", "cost": "cost/1k"}.get(change.metric, change.metric)
    low, high = change.ratio.low, change.ratio.high
    span = "–" if low is None or high is None else f"{low:.2f}–{high:.2f}"
    return [
        inert(change.target),
        f"{change.level:g}",
        words,
        f"{change.before * scale:.{digits}f}",
        f"{change.after * scale:.{digits}f}",
        f"{change.ratio.est:.2f}",
        span,
        "*" if change.shown else "",
    ]
