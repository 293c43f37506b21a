"""Several rubrics against the same human scores, as lines of text for 80 columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.agreement.estimate import Estimate
from engine.agreement.rubrics import RubricDifference, RubricTable
from engine.cells import inert
from engine.reports.estimates import UNDEFINED, number, ranged, reasons, row
from engine.reports.ranked import p_value

HEADS = ("item r", "text rho", "system r", "pairs")
_NAME, _CELL = 21, 14
ALPHA = 0.05


def rubric_lines(found: RubricTable) -> Iterator[str]:
    """A row a judge, baselines below, then what tells the judges apart."""
    low, high = found.human_range
    yield (
        f"  {figures.count(found.n)} answers to {figures.count(found.questions)} questions by"
        f" {found.models} models that every judge scored; humans gave {low:g} to {high:g}"
    )
    if found.left_out:
        yield f"  {figures.count(found.left_out)} more lack a score by some judge: left out for all"
    yield ""
    yield row("judge", HEADS, name_width=_NAME, cell=_CELL)
    for own in found.rows:
        yield row(own.name, map(_value, own.measures), name_width=_NAME, cell=_CELL)
        if own.rubric:
            told = f"  rubric {own.rubric}" if own.rubric != own.name else ""
            yield row(told, map(_ends, own.measures), name_width=_NAME, cell=_CELL)
    yield "  item r: Pearson over all answers; text rho: Spearman within questions;"
    yield "  system r: Pearson over models; pairs: ordered as by people, ties left out"
    yield from _gone(found)
    yield ""
    yield row("difference", HEADS, name_width=_NAME, cell=_CELL)
    for one in found.differences:
        yield row(one.first, map(_signed, one.measures), name_width=_NAME, cell=_CELL)
        ends = map(_ends, one.measures)
        yield row(f"- {one.second}", ends, name_width=_NAME, cell=_CELL)
        p = [figures.NONE if p is None else f"p {p_value(p)}" for p in one.p_holm]
        yield row("", p, name_width=_NAME, cell=_CELL)
    yield "  the same 1,000 resamples of the questions for all; p after Holm, over the"
    yield f"  {figures.count(len(found.differences))} pairs of judges of a column"
    yield ""
    yield from (f"  {text}" for text in _verdict(found.differences))


def _value(found: Estimate) -> str:
    return UNDEFINED if found.value is None else number(found.value)


def _signed(found: Estimate) -> str:
    return figures.NONE if found.value is None else number(found.value, signed=True)


def _ends(found: Estimate) -> str:
    """`[.50, .70]`"""
    return ranged(found).partition(" ")[2]


def _gone(found: RubricTable) -> Iterator[str]:
    told = [(head, e) for own in found.rows for head, e in zip(HEADS, own.measures, strict=True)]
    yield from reasons(told)


def _verdict(differences: Sequence[RubricDifference]) -> Iterator[str]:
    """Which rubric is nearer to people, measure by measure, in words."""
    for m, head in enumerate(HEADS):
        told = []
        for one in differences:
            value, p = one.measures[m].value, one.p_holm[m]
            if value is not None and p is not None and p < ALPHA:
                pair = (one.first, one.second) if value > 0 else (one.second, one.first)
                told.append(f"{inert(pair[0])} is nearer to people than {inert(pair[1])}")
        if any(one.measures[m].value is not None for one in differences):
            yield f"By {head}: {'; '.join(told) or 'no two are told apart'}."
