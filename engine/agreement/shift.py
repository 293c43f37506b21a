"""By how much one column of scores lies above the other, with an interval over questions."""

from __future__ import annotations

import numpy as np

from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import estimates
from engine.agreement.sample import Sample


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
