"""Percentile bootstrap over clusters, with chance that comes from the data.

A cluster is what could have been another one: a question with all its answers (Miller 2024, arXiv
2411.00640, on why not the single answer). Each resample draws as many clusters as there are, with
replacement; a statistic gets how often each was drawn. The seed is a hash of the data, so the same
data give the same interval, in any order and on any machine (`RandomState` is frozen by NEP 19).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from data import codec
from data.schema import Struct
from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined

RESAMPLES = 1000
LEVEL = 0.95
MIN_CLUSTERS = 5
"""With fewer there is nothing to resample from."""
MIN_DEFINED = 0.9
"""Share of resamples in which a statistic must exist for its interval to be told."""
_AT_ONCE = 1_000_000
"""Weights held in memory at a time."""


class Interval(Struct, frozen=True):
    """Both ends, or neither."""

    low: float | None = None
    high: float | None = None


Statistic = Callable[[Array], Array]
"""How often each cluster was drawn, a row a resample -> the numbers, a row a resample; NaN for one
that does not exist then."""


def seed_of(data: Any) -> int:
    """A seed of 32 bits from plain data."""
    return int(codec.sha256(codec.canonical(data))[:8], 16)


def bootstrap(statistic: Statistic, clusters: int, *, seed: int, rows: int = 0) -> list[Interval]:
    """One 95 % interval for each number that `statistic` gives; `rows`: of what it multiplies out."""
    if clusters < MIN_CLUSTERS:
        return [Interval() for _ in statistic(np.ones((1, clusters)))[0]]
    found = resampled(statistic, clusters, seed=seed, rows=rows)
    return [interval_of(column) for column in found.T]


def resampled(statistic: Statistic, clusters: int, *, seed: int, rows: int = 0) -> Array:
    """What `statistic` gives for each resample, a row each."""
    at_once = max(1, _AT_ONCE // max(rows, clusters))
    return np.concatenate([statistic(drawn) for drawn in _draws(clusters, seed, at_once)])


def interval_of(values: Array) -> Interval:
    """The middle 95 % of a statistic over resamples; neither end where it often does not exist."""
    kept = values[~np.isnan(values)]
    if len(kept) < MIN_DEFINED * len(values):
        return Interval()
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def estimates(
    statistic: Statistic, clusters: int, *, seed: int, rows: int, n: int
) -> list[Estimate]:
    """The numbers for the data as they are, each with its interval."""
    whole = statistic(np.ones((1, clusters)))[0]
    ranges = bootstrap(statistic, clusters, seed=seed, rows=rows)
    return [
        Estimate(value=float(value), n=n, low=found.low, high=found.high)
        if np.isfinite(value)
        else undefined("too little spread for a number", n)
        for value, found in zip(whole, ranges, strict=True)
    ]


def _draws(clusters: int, seed: int, at_once: int) -> Iterator[Array]:
    """All resamples, some at a time; how many at a time changes nothing about them."""
    chance = np.random.RandomState(seed)
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        drawn = (chance.random_sample((size, clusters)) * clusters).astype(np.intp)
        flat = (drawn + np.arange(size)[:, None] * clusters).ravel()
        counts = np.bincount(flat, minlength=size * clusters)
        yield counts.reshape(size, clusters).astype(np.float64)
