"""Quantiles and shares with intervals that assume no shape of the distribution. Pure.

A quantile's estimate is Hyndman and Fan's type 8 (The American Statistician 50, 1996: median-unbiased
whatever the distribution); its interval is a pair of order statistics. The number of values below the
true quantile p is binomial(n, p), so the l-th and u-th smallest values hold it between them with
probability P(l <= B < u) (David and Nagaraja, Order Statistics, 3rd edition, section 7.1); l and u leave
at most 2.5 % on either side. With too few values there is no such pair, and then there is no interval
and no estimate either: a p99 of 64 values would be their maximum.

A share's interval is Wilson's (JASA 22, 1927).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from data.schema import Struct

TAIL = 0.025
"""What an interval leaves out on either side."""
Z = 1.959963984540054
"""The normal quantile that belongs to it."""


class Range(Struct, frozen=True):
    """An estimate and its 95 % interval; `low` and `high` are None where there is none."""

    est: float
    low: float | None = None
    high: float | None = None

    @property
    def precision(self) -> float:
        """Half the interval's width, relative to the estimate; infinite where there is none."""
        if self.low is None or self.high is None or self.est <= 0:
            return math.inf
        return (self.high - self.low) / 2 / self.est


class Share(Struct, frozen=True):
    """`k` of `n`, with Wilson's interval."""

    k: int
    n: int
    low: float
    high: float

    @property
    def est(self) -> float | None:
        """None: of nothing."""
        return self.k / self.n if self.n else None


def share(k: int, n: int) -> Share:
    """`k` of `n`. Of nothing, anything may be true: 0 to 1."""
    if n == 0:
        return Share(0, 0, 0.0, 1.0)
    p, zz = k / n, Z * Z / n
    middle = (p + zz / 2) / (1 + zz)
    half = Z * math.sqrt(p * (1 - p) / n + zz / (4 * n)) / (1 + zz)
    low = 0.0 if k == 0 else max(0.0, middle - half)
    high = 1.0 if k == n else min(1.0, middle + half)
    return Share(k, n, low, high)


def quantile(values: Sequence[float], p: float) -> float:
    """Type 8 of rising `values` (at least one), 0 < p < 1. Infinite values are allowed."""
    n = len(values)
    position = (n + 1 / 3) * p + 1 / 3
    below = min(max(math.floor(position), 1), n)
    above = min(below + 1, n)
    low, high = values[below - 1], values[above - 1]
    part = min(max(position - below, 0.0), 1.0)
    return low if part == 0 or low == high else low + part * (high - low)


def percentile(values: Sequence[float], p: float) -> Range | None:
    """Quantile `p` of rising `values` with its interval; None: too few of them."""
    places = places_of(len(values), p)
    if places is None:
        return None
    low, high = places
    return Range(quantile(values, p), values[low - 1], values[high - 1])


@lru_cache(maxsize=4096)
def places_of(n: int, p: float) -> tuple[int, int] | None:
    """Places (from 1) of the order statistics around quantile `p` of `n` values; None: too few."""
    low, high, below = 0, 0, 0.0
    for k, probability in enumerate(_binomial(n, p)):
        below += probability  # P(B <= k)
        if below <= TAIL:
            low = k + 1  # P(B < low) = P(B <= low - 1)
        if not high and 1 - below <= TAIL and k < n:
            high = k + 1  # P(B >= high) = 1 - P(B <= high - 1)
    return (low, high) if low and high else None


def _binomial(n: int, p: float) -> list[float]:
    """P(B = k) for k from 0 to n, by logarithms: n may be large."""
    log_p, log_q, whole = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return [
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q)
        for k in range(n + 1)
    ]
