"""Pearson's r, Spearman's rho and Kendall's tau-b of two columns, under many weightings at once.

Weights are whole counts (how often a bootstrap drew a row), so a weighted coefficient is exactly
that of the rows repeated. `Correlator` sorts once; then all resamples go through together.

    rho      Pearson's r of average ranks (ties share the mean of their places)
    tau-b    (C - D) / sqrt((n0 - n1)(n0 - n2)), n0 = n(n-1)/2, n1 and n2 the pairs tied in x and in
             y (Kendall 1945); counted value by value of the coarser column, so scores on a scale
             cost (values of x) times (values of y), however many rows there are

NaN where a column is constant or there are fewer than two rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from data.schema import Struct

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


_SHORT = 40
"""Rows up to which looking at every pair is the quickest way."""


class Coefficients(Struct, frozen=True):
    """All three, or none of them."""

    pearson: float | None = None
    spearman: float | None = None
    kendall: float | None = None


class Correlator:
    """The coefficients of `x` and `y` (equally long, finite), again and again."""

    def __init__(self, x: Array, y: Array) -> None:
        self._values = (_unit(x), _unit(y))
        self._sides = (_Side(x), _Side(y))
        coarse, fine = sorted(self._sides, key=lambda side: side.size)
        self._fine_size = fine.size
        self._cells = [
            _Groups(members, fine.codes[members])
            for members in np.split(coarse.groups.order, coarse.groups.starts[1:])
        ]

    def __call__(self, weights: Array) -> Array:
        """`weights`: one row a resample, one column a row of x. A row (r, rho, tau-b) for each."""
        counts = [side.groups.sums(weights) for side in self._sides]
        ranks = [_midranks(n)[:, s.codes] for n, s in zip(counts, self._sides, strict=True)]
        found = np.stack(
            [
                _pearson(*self._values, weights),
                _pearson(ranks[0], ranks[1], weights),
                self._kendall(weights, counts[0], counts[1]),
            ],
            axis=1,
        )
        varied = np.all([(n > 0).sum(axis=1) >= 2 for n in counts], axis=0)
        found[~varied] = np.nan
        return found

    def _kendall(self, weights: Array, x_counts: Array, y_counts: Array) -> Array:
        """For each value of the coarse column: what is below and above it on the fine one."""
        below = np.zeros((len(weights), self._fine_size))
        surplus = np.zeros(len(weights))
        for cell in self._cells:
            row = cell.sums(weights)
            up_to = np.cumsum(below, axis=1)
            less_and_more = 2 * up_to - below - up_to[:, -1:]
            surplus += (row * less_and_more[:, cell.values]).sum(axis=1)
            below[:, cell.values] += row
        pairs = _pairs(weights.sum(axis=1))
        free = [pairs - _pairs(counts).sum(axis=1) for counts in (x_counts, y_counts)]
        return _ratio(surplus, np.sqrt(free[0]) * np.sqrt(free[1]))


class _Groups:
    """Rows by value: sums of weights over all rows of a value."""

    def __init__(self, rows: Codes, codes: Codes) -> None:
        order = np.argsort(codes, kind="stable")
        self.order = rows[order]
        self.values, self.starts = np.unique(codes[order], return_index=True)

    def sums(self, weights: Array) -> Array:
        return np.asarray(np.add.reduceat(weights[:, self.order], self.starts, axis=1))


class _Side:
    """One column: each row's value as a number from 0, in order."""

    def __init__(self, column: Array) -> None:
        distinct, self.codes = np.unique(column, return_inverse=True)
        self.size = len(distinct)
        self.groups = _Groups(np.arange(len(column)), self.codes)


def coefficients(x: Array, y: Array) -> Coefficients:
    """All three, once."""
    if why_undefined(x, y, ("", "")):
        return Coefficients()
    short = len(x) <= _SHORT
    found = rowwise(x[None], y[None]) if short else Correlator(x, y)(np.ones((1, len(x))))
    return Coefficients() if np.isnan(found).any() else Coefficients(*map(float, found[0]))


def rowwise(x: Array, y: Array) -> Array:
    """Of each row of `x` with the same row of `y`: a row (r, rho, tau-b) for each. For short rows:
    every pair is looked at. A row with a NaN in it gives NaN."""
    above_x, above_y = (np.sign(c[:, :, None] - c[:, None, :]) for c in (x, y))
    ones = np.ones_like(x)
    centred = (x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True))
    concordance = (above_x * above_y).sum(axis=(1, 2))
    free = [np.abs(above).sum(axis=(1, 2)) for above in (above_x, above_y)]
    found = np.stack(
        [
            _pearson(*centred, ones),
            _pearson(above_x.sum(axis=2), above_y.sum(axis=2), ones),
            _ratio(concordance, np.sqrt(free[0]) * np.sqrt(free[1])),
        ],
        axis=1,
    )
    found[(free[0] == 0) | (free[1] == 0)] = np.nan
    return found


def why_undefined(x: Array, y: Array, names: tuple[str, str]) -> str:
    """The reason in words; empty where the coefficients are defined. `names`: who gave x and y."""
    if len(x) < 2:
        return f"{len(x)} to compare; it takes two"
    for values, name in ((x, names[0]), (y, names[1])):
        if (values == values[0]).all():
            return f"{name} gave the same score to all"
    return ""


def _unit(values: Array) -> Array:
    """Centred and scaled to about 1, which no correlation feels, so that nothing overflows."""
    centred = values - values.mean()
    largest = np.abs(centred).max()
    return np.asarray(centred / largest) if largest else centred


def _midranks(counts: Array) -> Array:
    """The average rank of each value, of which there are so many."""
    return np.asarray(np.cumsum(counts, axis=1) - (counts - 1) / 2)


def _pearson(x: Array, y: Array, w: Array) -> Array:
    total = np.maximum(w.sum(axis=1, keepdims=True), 1.0)
    dx = x - (w * x).sum(axis=1, keepdims=True) / total
    dy = y - (w * y).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((w * dx * dx).sum(axis=1)) * np.sqrt((w * dy * dy).sum(axis=1))
    return _ratio((w * dx * dy).sum(axis=1), spread)


def _pairs(n: Array) -> Any:
    return n * (n - 1) / 2


def _ratio(part: Array, whole: Array) -> Array:
    """Within [-1, 1], whatever rounding does; NaN of nothing."""
    gone = np.full_like(part, np.nan)
    ratio = np.divide(part, whole, out=gone, where=whole > 0)
    return np.asarray(np.clip(ratio, -1.0, 1.0))
