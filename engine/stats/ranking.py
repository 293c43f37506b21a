"""Who ranks where, and which ranks the data can tell apart. Pure.

- All pairs of ranked models are compared on the same questions (`paired.py`) and corrected together
  by Holm, over all columns asked for. A pair is told apart where the adjusted p is below 5 %.
- A run is a longest stretch of neighbouring ranks of which no two are told apart. Runs may overlap: 4
  may not be told from 5, nor 5 from 6, though 4 is from 6.
- The rank interval is the middle 95 % of a model's ranks over the resamples of `resample.py`, and
  `outranks` the share of them in which one model is ahead of another (equal counts half). They
  describe one model, or one pair, at a time; for a claim about the whole table take the pairs.
- `among` holds for the whole table at once: the model's rank is at least 1 + those told to be above,
  at most all minus those told to be below (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of
  Economic Studies 91:476; lmsys FastChat, monitor.py, ranks likewise from intervals).

Models below the coverage threshold of `engine/scores.py` are not ranked and compared with nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Flags, Floats
from engine.stats.design import Column
from engine.stats.grid import Grid
from engine.stats.holm import holm
from engine.stats.paired import ALPHA, Comparison, compare
from engine.stats.resample import resamples, totals
from engine.stats.stratified import LEVEL, Estimate, estimate


class Standing(Struct, frozen=True, kw_only=True):
    """One ranked model."""

    model: str
    place: int
    """1 is best; models with the same value stand by name."""
    estimate: Estimate
    rank_low: int | None
    rank_high: int | None
    """The 95 % rank interval of this model; None where there is no error to resample."""
    among: tuple[int, int]
    """The ranks that the told-apart pairs leave, for all models at once."""


class Pair(Struct, frozen=True, kw_only=True):
    """Two ranked models, the better one first."""

    comparison: Comparison
    p_holm: float | None
    told_apart: bool
    outranks: float | None
    """Share of resamples in which the first is ahead."""


class Ranking(Struct, frozen=True, kw_only=True):
    """One column's ranking by one judge."""

    judge: str
    column: str
    standings: tuple[Standing, ...]
    unranked: tuple[tuple[str, str], ...]
    """(model, why)."""
    pairs: tuple[Pair, ...]
    """Every pair once: 1-2, 1-3, …, 2-3, …"""
    runs: tuple[tuple[int, int], ...]
    """First and last place of each stretch that cannot be told apart."""
    family: int
    """Tests that were corrected together."""
    questions: int

    def pair(self, place: int, other: int) -> Pair:
        """The pair of two places, the lower number first."""
        n = len(self.standings)
        skipped = (place - 1) * n - place * (place - 1) // 2
        return self.pairs[skipped + other - place - 1]

    @property
    def neighbours(self) -> tuple[Pair, ...]:
        """Each place with the next."""
        return tuple(self.pair(place, place + 1) for place in range(1, len(self.standings)))


def rankings(
    grid: Grid, heads: Sequence[Column], *, clustered: bool = False
) -> tuple[Ranking, ...]:
    """One ranking per column; the pairs of all of them are one family."""
    weights = resamples(grid.layout, clustered=clustered)
    drafts = [_Draft(grid, column, clustered, weights) for column in heads]
    tests = [c.p if c.p is not None else c.p_flip for d in drafts for c in d.comparisons]
    adjusted = iter(holm(tests))
    family = sum(p is not None for p in tests)
    return tuple(
        draft.finished([next(adjusted) for _ in draft.comparisons], family) for draft in drafts
    )


def places(grid: Grid, models: Sequence[str], column: Column) -> dict[str, tuple[int, int]]:
    """The 95 % rank interval of each of these models among them; empty where nothing can be resampled."""
    rows = [grid.models.index(model) for model in models]
    if not rows or any(estimate(grid.values[row], grid.layout, column).se is None for row in rows):
        return {}
    lows, highs = _rank_intervals(
        totals(grid.values[rows], grid.layout, column, resamples(grid.layout))
    )
    return dict(zip(models, zip(lows, highs, strict=True), strict=True))


class _Draft:
    """One column before its p values are corrected."""

    def __init__(self, grid: Grid, column: Column, clustered: bool, weights: Floats) -> None:
        self._grid, self._column = grid, column
        found = [
            (model, estimate(grid.row(model), grid.layout, column, clustered=clustered))
            for model in grid.models
        ]
        self._unranked = [
            (model, why)
            for model, guess in found
            if (why := grid.thin(model) or (guess.reason if guess.value is None else ""))
        ]
        out = {model for model, _ in self._unranked}
        ranked = [(model, guess) for model, guess in found if model not in out]
        # Models come sorted by name, and those with the same value stay so.
        self._ranked = sorted(ranked, key=lambda one: -(one[1].value or 0.0))
        names = [model for model, _ in self._ranked]
        self.comparisons = compare(grid, list(combinations(names, 2)), column, clustered=clustered)
        self._draws = self._resampled(names, weights)

    def _resampled(self, names: Sequence[str], weights: Floats) -> Floats | None:
        """resamples x ranked models, best first; None where a category has nothing to resample."""
        if not names or any(guess.se is None for _, guess in self._ranked):
            return None
        rows = [self._grid.models.index(name) for name in names]
        return totals(self._grid.values[rows], self._grid.layout, self._column, weights)

    def finished(self, adjusted: Sequence[float | None], family: int) -> Ranking:
        told = [p is not None and p < ALPHA for p in adjusted]
        n = len(self._ranked)
        apart = np.zeros((n, n), dtype=np.bool_)
        for (i, j), is_told in zip(combinations(range(n), 2), told, strict=True):
            apart[i, j] = apart[j, i] = is_told
        ahead = _ahead(self._draws)
        pairs = [
            Pair(comparison=c, p_holm=p, told_apart=t, outranks=ahead(i, j))
            for c, p, t, (i, j) in zip(
                self.comparisons, adjusted, told, combinations(range(n), 2), strict=True
            )
        ]
        asked = np.array(self._column.weights)[self._grid.layout.stratum] > 0
        return Ranking(
            judge=self._grid.judge,
            column=self._column.name,
            standings=tuple(self._standings(apart)),
            unranked=tuple(self._unranked),
            pairs=tuple(pairs),
            runs=runs(lambda i, j: bool(apart[i, j]), n),
            family=family,
            questions=int(asked.sum()),
        )

    def _standings(self, apart: Flags) -> list[Standing]:
        lows, highs = _rank_intervals(self._draws)
        n = len(self._ranked)
        return [
            Standing(
                model=model,
                place=i + 1,
                estimate=guess,
                rank_low=lows[i] if lows else None,
                rank_high=highs[i] if highs else None,
                among=(1 + int(apart[i, :i].sum()), n - int(apart[i, i + 1 :].sum())),
            )
            for i, (model, guess) in enumerate(self._ranked)
        ]


def runs(apart: Callable[[int, int], bool], n: int) -> tuple[tuple[int, int], ...]:
    """The longest stretches of places (from 1) of which no two are told apart; two places at least."""
    found: list[tuple[int, int]] = []
    for first in range(n):
        last = first
        while last + 1 < n and not any(apart(i, last + 1) for i in range(first, last + 1)):
            last += 1
        if last > first and (not found or last + 1 > found[-1][1]):
            found.append((first + 1, last + 1))
    return tuple(found)


def _rank_intervals(draws: Floats | None) -> tuple[list[int], list[int]]:
    if draws is None:
        return [], []
    ranks = 1 + np.stack([(draws > mine[:, None]).sum(axis=1) for mine in draws.T])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=1, method="inverted_cdf")
    return low.astype(int).tolist(), high.astype(int).tolist()


def _ahead(draws: Floats | None) -> Callable[[int, int], float | None]:
    def share(i: int, j: int) -> float | None:
        if draws is None:
            return None
        ours, theirs = draws[:, i], draws[:, j]
        return float((ours > theirs).mean() + (ours == theirs).mean() / 2)

    return share
