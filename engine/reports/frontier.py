"""Judges by agreement, money and speed, in 80 columns. Names are other people's words and inert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.agreement.estimate import Estimate
from engine.benching.frontier import JudgePoint, UnderLoad
from engine.benching.quantiles import Range
from engine.cells import inert
from engine.money import NANO
from engine.reports.plain import Heading, grid_lines, paragraph

MEASURE = {"labels": "share of pairs ordered as people did"}
SPEARMAN = "Spearman's correlation over answers"


def lines(points: Sequence[JudgePoint], currency: str, columns: int) -> Iterator[str]:
    """A line a judge, then what happens to it under load."""
    if not points:
        yield "no judge was measured"
        return
    heads = (
        Heading("judge", right=False),
        Heading("agrees"),
        Heading("95%"),
        Heading(f"{inert(currency) or 'cost'}/1k"),
        Heading("use/min"),
        Heading("in flight"),
        Heading("", right=False),
    )
    yield from grid_lines(heads, [_row(point) for point in points], columns, name=0)
    beside = next((point.beside for point in points if point.beside), "")
    if beside:
        measure = MEASURE.get(beside, SPEARMAN)
        text = f"agrees: {measure}, beside {beside}"
    else:
        text = (
            "agrees: nobody to agree with; a run with two judges, or --human FILE with a run, tells"
        )
    yield from paragraph(text, columns, rest="  ")
    for point in points:
        if point.under_load is not None:
            said = _under_load(point.under_load)
            yield from paragraph(said, columns, first=f"{inert(point.judge)}: ", rest="  ")


def _row(point: JudgePoint) -> list[str]:
    known = point.agreement is not None and point.cost is not None and point.per_min is not None
    place = f"dominated by {inert(point.dominated_by)}" if point.dominated_by else ""
    return [
        inert(point.judge),
        _value(point.agreement),
        _interval(point.agreement),
        figures.NONE if point.cost is None else f"{1000 * point.cost / NANO:.4g}",
        figures.NONE if point.per_min is None else f"{point.per_min:.1f}",
        figures.NONE if point.level is None else f"{point.level:g}",
        place or ("on the frontier" if known else ""),
    ]


def _under_load(found: UnderLoad) -> str:
    """What changes from the lowest rung to the highest."""
    how = f"{found.questions} questions one by one" if found.questions else "two samples"
    end = "it judges otherwise under load" if found.shifted else "no difference shown"
    return (
        f"from {found.low:g} to {found.high:g} in flight: readable {_shift(found.parsed, 100, ' %')},"
        f" score {_shift(found.score, 1, '')} ({how}): {end}"
    )


def _shift(found: Range | None, times: float, unit: str) -> str:
    if found is None or found.low is None or found.high is None:
        return figures.NONE
    est, low, high = (times * value for value in (found.est, found.low, found.high))
    return f"{est:+.2f}{unit} ({low:+.2f} to {high:+.2f})"


def _value(found: Estimate | None) -> str:
    return figures.NONE if found is None or found.value is None else f"{found.value:.3f}"


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return figures.NONE
    return f"{found.low:.2f}–{found.high:.2f}"
