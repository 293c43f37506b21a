"""How much of an error is the judge's own noise, and whether repeats were worth their money. Pure.

A judge asked twice about one answer may give two scores. With the scores of one (question, turn,
sample) as a group, their variance s_w² is pooled over the groups of a model's category (one-way random
effects: Searle, Casella and McCulloch, Variance Components 1992, 3.6). A question's value is the mean of
its k scores and so carries s_w² / k of judge noise, the column

    J² = sum_c (w_c / n_c)² sum_q s_w,c² / k_q

J is the error of asking about the same questions and answers again, with the questions fixed. What
is left of SE² is the choice of questions (and of answers, if a model samples). More repeats only shrink
J: with r' for r repeats SE'² = SE² - J² + J² r / r'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Floats
from engine.stats.design import Column
from engine.stats.grid import Grid, means
from engine.stats.paired import EVEN
from engine.stats.stratified import estimate

UNKNOWN = "one judgment per answer: judge noise shows only with `repeats` of 2 or more"


class Noise(Struct, frozen=True, kw_only=True):
    """One model's error in one column, taken apart. None where it cannot be known; see `reason`."""

    model: str
    se: float | None = None
    judge_se: float | None = None
    """J: what judging the same answers again would move."""
    share: float | None = None
    """J² / SE², at most 1."""
    se_without: float | None = None
    """The standard error with infinitely many repeats."""
    reason: str = ""


class Worth(Struct, frozen=True, kw_only=True):
    """What the repeats did to the order of the models."""

    repeats: int
    enough: int
    """With the first so many repeats, or more of them, the order was already the final one."""
    enough_to_tell: int
    """Likewise, for the order of those pairs only that can be told apart."""
    swapped: int
    """Pairs of models that the first repeat alone has the other way round."""


def noise(grid: Grid, model: str, column: Column, *, clustered: bool = False) -> Noise:
    """The judge's part of one model's standard error."""
    row = grid.models.index(model)
    whole = estimate(grid.values[row], grid.layout, column, clustered=clustered)
    if not whole.se:
        return Noise(model=model, se=whole.se, reason=whole.reason)
    if grid.repeats < 2:
        return Noise(model=model, se=whole.se, reason=UNKNOWN)
    part = _judge_variance(grid, row, column)
    if part is None:
        return Noise(model=model, se=whole.se, reason="no answer was judged twice")
    variance = whole.se**2
    return Noise(
        model=model,
        se=whole.se,
        judge_se=math.sqrt(part),
        share=min(part / variance, 1.0),
        se_without=math.sqrt(max(variance - part, 0.0)),
    )


def worth(grid: Grid, column: Column, apart: Iterable[tuple[str, str]]) -> Worth | None:
    """How the order by the first 1, 2, … repeats differs from the final one; None without repeats.

    `apart`: pairs that are told apart, the better model first.
    """
    rows = [i for i, complete in enumerate(grid.complete) if complete]
    if grid.repeats < 2 or len(rows) < 2:
        return None
    told = set(apart)
    final = _order(grid, rows, column, grid.repeats)
    swapped = [
        _swapped(_order(grid, rows, column, first), final) for first in range(1, grid.repeats)
    ]
    return Worth(
        repeats=grid.repeats,
        enough=_from_then_on([not pairs for pairs in swapped]),
        enough_to_tell=_from_then_on([not pairs & told for pairs in swapped]),
        swapped=len(swapped[0]),
    )


def _swapped(before: dict[str, float], final: dict[str, float]) -> set[tuple[str, str]]:
    """Pairs, better one first in `final`, that `before` has the other way round."""
    best_first = sorted(final, key=lambda model: (-final[model], model))
    return {
        (a, b)
        for a, b in combinations(best_first, 2)
        if a in before and b in before and before[a] < before[b] - EVEN
    }


def _from_then_on(same: list[bool]) -> int:
    """The first repeat from which on all is well; the last one always is."""
    enough = len(same) + 1
    while enough > 1 and same[enough - 2]:
        enough -= 1
    return enough


def _judge_variance(grid: Grid, row: int, column: Column) -> float | None:
    """J²; None where a category of the column has no answer that was judged twice."""
    groups = grid.marks[row].reshape(len(grid.layout.questions), -1, grid.repeats)
    there = ~np.isnan(groups)
    sizes = there.sum(axis=2)
    centre = means(groups)[:, :, None]
    squares = np.where(there, (groups - centre) ** 2, 0.0).sum(axis=(1, 2))
    freedom = np.maximum(sizes - 1, 0).sum(axis=1)
    scores = sizes.sum(axis=1)
    total = 0.0
    for stratum, weight in enumerate(column.weights):
        own = (grid.layout.stratum == stratum) & (scores > 0)
        if weight <= 0:
            continue
        if freedom[own].sum() == 0:
            return None
        within = squares[own].sum() / freedom[own].sum()
        total += (weight / own.sum()) ** 2 * (within / scores[own]).sum()
    return float(total)


def _order(grid: Grid, rows: list[int], column: Column, first: int) -> dict[str, float]:
    """Each model's value by its first so many repeats, where it has one."""
    shape = (*grid.marks.shape[:2], -1, grid.repeats)
    some: Floats = means(grid.marks.reshape(shape)[..., :first].reshape(*shape[:2], -1))
    values = {grid.models[row]: estimate(some[row], grid.layout, column).value for row in rows}
    return {model: value for model, value in values.items() if value is not None}
