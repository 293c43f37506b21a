"""Intervals for every mean of a leaderboard: what a report puts beside its numbers. Pure.

One call for all judges, models and columns; the value is the very mean of `engine/scores.py`, its error
that of `stratified.py`.
"""

from __future__ import annotations

from data.codec import replace
from data.schema import Benchmark, Struct
from engine.scores import Means, Scores
from engine.stats.design import Column
from engine.stats.grid import Grid, grids
from engine.stats.stratified import Estimate, estimate


class Intervals(Struct, frozen=True, kw_only=True):
    """One model as one judge sees it, each mean of its `Means` with its error."""

    total: Estimate
    groups: dict[str, Estimate]
    categories: dict[str, Estimate]


def intervals_of(
    scores: Scores, benchmark: Benchmark, *, clustered: bool = False
) -> dict[tuple[str, str], Intervals]:
    """By (judge, model). `clustered`: subcategories are what was sampled, not single questions.

    A model whose coverage is too low for a total has an estimate all the same (`Row.complete` says
    whether to show it); what cannot be known is None with its reason.
    """
    found: dict[tuple[str, str], Intervals] = {}
    for table, grid in zip(scores.tables, grids(scores, benchmark), strict=True):
        for row in table.rows:
            found[table.judge, row.model] = _intervals(
                grid, row.model, table.headline(row), clustered
            )
    return found


def _intervals(grid: Grid, model: str, headline: Means, clustered: bool) -> Intervals:
    values = grid.row(model)

    def of(column: Column, mean: float | None) -> Estimate:
        return _moved(estimate(values, grid.layout, column, clustered=clustered), mean)

    groups = [c for c in grid.columns if c.kind == "group"]
    categories = [c for c in grid.columns if c.kind == "category"]
    return Intervals(
        total=of(grid.total, headline.total),
        groups={c.name: of(c, headline.groups[c.name]) for c in groups},
        categories={c.name: of(c, headline.categories[c.name]) for c in categories},
    )


def _moved(guess: Estimate, mean: float | None) -> Estimate:
    """The interval around the mean that is shown; they differ in the last digits of a float, and under
    the compat policy where a question lost some of its repeats."""
    if mean is None or guess.value is None or guess.low is None or guess.high is None:
        return guess
    by = mean - guess.value
    return replace(guess, value=mean, low=guess.low + by, high=guess.high + by)
