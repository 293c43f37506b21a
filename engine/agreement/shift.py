"""By how much one column of scores lies above the other: interval, test, what could be seen. Pure.

The test: t = shift / SE against Student's t, G - 1 degrees of freedom, for G questions with all their
answers as clusters,

    SE² = G / (G - 1) * sum_g (sum_{i in g} (d_i - mean d))² / n²

(Miller 2024, arXiv 2411.00640, appendix A, with the correction for few clusters). The minimum detectable
shift is (t_0.975 + t_0.8) SE: a true shift of that size is found in 80 % of such canaries (Bloom 1995).
"""

from __future__ import annotations

import math

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import estimates
from engine.agreement.sample import Sample
from engine.stats.student import quantile, two_sided

POWER = 0.8
NO_SPREAD = 1e-9


class ShiftTest(Struct, frozen=True, kw_only=True):
    """None where nothing varies, or there are fewer than two questions."""

    p: float | None = None
    """Two-sided, of no shift at all."""
    detectable: float | None = None
    """The minimum detectable shift, in points."""


def shift_test(sample: Sample) -> ShiftTest:
    """Is the mean of x - y another one than 0, and how small a shift could have been seen?"""
    d = sample.x - sample.y
    questions, n = sample.questions, len(d)
    if questions < 2:
        return ShiftTest()
    sums = np.zeros(questions)
    np.add.at(sums, sample.question, d - d.mean())
    error = math.sqrt(questions / (questions - 1) * float((sums**2).sum())) / n
    if error < NO_SPREAD:
        return ShiftTest()
    freedom = questions - 1
    seen = (quantile(0.975, freedom) + quantile(POWER, freedom)) * error
    return ShiftTest(p=two_sided(float(d.mean()) / error, freedom), detectable=seen)


def mean_shift(sample: Sample) -> Estimate:
    """The mean of x - y over all rows."""
    return _mean(sample.x - sample.y, sample)


def share_within(sample: Sample, distance: float) -> Estimate:
    """The share of rows whose scores are no further apart than `distance`."""
    return _mean((np.abs(sample.x - sample.y) <= distance).astype(np.float64), sample)


def _mean(values: Array, sample: Sample) -> Estimate:
    if not len(values):
        return undefined("nothing to compare")

    def mean(drawn: Array) -> Array:
        w = drawn[:, sample.question]
        return np.asarray(w @ values / w.sum(axis=1))[:, None]

    n = len(values)
    (found,) = estimates(mean, sample.questions, seed=sample.seed, rows=n, n=n)
    return found
