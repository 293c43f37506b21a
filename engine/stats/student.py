"""Student's t distribution, for degrees of freedom that need not be whole. Pure, without numpy.

P(T > t) = I_x(df/2, 1/2) / 2 with x = df / (df + t²) and t >= 0, I the regularised incomplete beta
function (Abramowitz and Stegun 1964, 26.7.1), here by its continued fraction (Press et al.,
Numerical Recipes, 3rd edition, section 6.4, with Lentz's algorithm). Small tails keep their digits.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_NORMAL_FROM = 1e6
"""Degrees of freedom from which on t and normal agree to six digits."""
_TINY, _EPSILON = 1e-300, 1e-15
_STEPS = 10_000


def upper_tail(t: float, df: float) -> float:
    """P(T > t). `df` > 0; t may be infinite."""
    if t < 0:
        return 1 - upper_tail(-t, df)
    if math.isinf(t):
        return 0.0
    if df > _NORMAL_FROM:
        return math.erfc(t / math.sqrt(2)) / 2
    return _incomplete_beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t)) / 2


def two_sided(t: float, df: float) -> float:
    """P(|T| > |t|)."""
    return 2 * upper_tail(abs(t), df)


def quantile(p: float, df: float) -> float:
    """The t below which a share `p` of the distribution lies, 0 < p < 1."""
    if not 0 < p < 1:
        raise ValueError(f"a share between 0 and 1, not {p}")
    if p < 0.5:
        return -quantile(1 - p, df)
    if df > _NORMAL_FROM:
        return _NORMAL.inv_cdf(p)
    return _solve(1 - p, df)


def _solve(tail: float, df: float) -> float:
    """Newton's method on the upper tail, kept inside a bracket that shrinks at every step."""
    low, high = 0.0, 1.0
    while upper_tail(high, df) > tail:
        low, high = high, high * 2
    t = (low + high) / 2
    for _ in range(200):
        excess = upper_tail(t, df) - tail
        low, high = (t, high) if excess > 0 else (low, t)
        step = excess / _density(t, df)
        after = t + step
        if not low < after < high:
            after = (low + high) / 2
        if abs(after - t) <= 1e-14 * max(abs(t), 1):
            return after
        t = after
    return t


def _density(t: float, df: float) -> float:
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return math.exp(scale - (df + 1) / 2 * math.log1p(t * t / df))


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b), with y = 1 - x handed in to all its digits."""
    if x <= 0 or y <= 0:
        return float(y <= 0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log(y))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; elsewhere by symmetry
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b)."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _EPSILON:
            break
    return value


def _away(value: float) -> float:
    """`value`, away from zero."""
    return value if abs(value) > _TINY else _TINY
