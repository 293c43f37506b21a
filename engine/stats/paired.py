"""Two models on the same questions: the difference, its interval, p values, what could be seen. Pure.

The differences of the questions that both models have a score for are one column of their own, so
effect, standard error and interval are those of `stratified.py`. What both models find hard cancels
out, and the error is smaller than that of two separate scores (Miller 2024, arXiv 2411.00640, 4.2).
A question that lacks a score for either model is left out and counted; nothing stands in for it.

- p: t = effect / SE against Student's t with Satterthwaite's degrees of freedom, two-sided.
- p_flip: the sign-flip test (`signflip.py`), which needs no distribution.
- detectable: the smallest true difference that a test at 5 % finds in 80 % of such benchmarks,
  (t_0.975 + t_0.8) SE (Bloom 1995, Evaluation Review 19:547; Miller 2024, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Floats
from engine.stats.battles import LOSS, TIE, WIN, outcomes
from engine.stats.design import Column
from engine.stats.grid import Grid
from engine.stats.signflip import flip_p
from engine.stats.stratified import Estimate, estimate
from engine.stats.student import quantile, two_sided

ALPHA = 0.05
POWER = 0.8
EVEN = 1e-9
"""Values that differ by less are equal: the rest is rounding."""


class Comparison(Struct, frozen=True, kw_only=True):
    """`a` against `b` in one column; the effect is a minus b."""

    a: str
    b: str
    column: str
    effect: Estimate
    p: float | None
    p_flip: float | None
    detectable: float | None
    left_out: int
    """Questions of this column that lack a score for one of the two, or for both."""
    wins: int
    """Questions on which a is better; `losses` on which b is. Ties as in `battles.py`."""
    ties: int
    losses: int


def compare(
    grid: Grid, pairs: Sequence[tuple[str, str]], column: Column, *, clustered: bool = False
) -> tuple[Comparison, ...]:
    """Each pair of models in one column."""
    differences = [grid.row(a) - grid.row(b) for a, b in pairs]
    flips = _flips(grid, differences, column, clustered)
    return tuple(
        _comparison(grid, a, b, difference, column, float(p), clustered)
        for (a, b), difference, p in zip(pairs, differences, flips, strict=True)
    )


def shared_means(grid: Grid, a: str, b: str, column: Column) -> tuple[float | None, float | None]:
    """Both means on the questions that both have a score for; their difference is the effect."""
    ours, theirs = grid.row(a), grid.row(b)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    first, second = (
        estimate(np.where(both, values, np.nan), grid.layout, column).value
        for values in (ours, theirs)
    )
    return first, second


def in_column(grid: Grid, column: Column) -> Floats:
    """Of each question, the weight of its category."""
    found: Floats = np.array(column.weights)[grid.layout.stratum]
    return found


def _comparison(
    grid: Grid,
    a: str,
    b: str,
    difference: Floats,
    column: Column,
    p_flip: float,
    clustered: bool,
) -> Comparison:
    effect = estimate(difference, grid.layout, column, clustered=clustered)
    asked = in_column(grid, column) > 0
    ours = difference[asked & ~np.isnan(difference)]
    fought = outcomes(ours)
    p = detectable = None
    if effect.value is not None and effect.se and effect.df:
        p = two_sided(effect.value / effect.se, effect.df)
        detectable = (quantile(1 - ALPHA / 2, effect.df) + quantile(POWER, effect.df)) * effect.se
    return Comparison(
        a=a,
        b=b,
        column=column.name,
        effect=effect,
        p=p,
        p_flip=None if effect.value is None else p_flip,
        detectable=detectable,
        left_out=int(asked.sum()) - ours.size,
        wins=int((fought == WIN).sum()),
        ties=int((fought == TIE).sum()),
        losses=int((fought == LOSS).sum()),
    )


def _flips(grid: Grid, differences: Sequence[Floats], column: Column, clustered: bool) -> Floats:
    """The sign-flip p of every pair, from one set of patterns."""
    contributions = np.zeros((len(grid.layout.questions), len(differences)))
    weights = in_column(grid, column)
    for i, difference in enumerate(differences):
        there = ~np.isnan(difference)
        real = np.where(np.abs(difference) > EVEN, difference, 0.0)
        counts = np.bincount(grid.layout.stratum[there], minlength=len(grid.layout.strata))
        share = weights / np.maximum(counts, 1)[grid.layout.stratum]
        contributions[:, i] = np.where(there, share * real, 0.0)
    return flip_p(contributions, grid.layout, clustered=clustered)
