"""The humans' mean for all answers, from human scores of a few and a judge's of all.

Prediction-powered inference (Angelopoulos et al. 2023, Science 382, doi 10.1126/science.adi6000),
power-tuned (PPI++, arXiv 2311.01453, section 6). With n labelled answers (human Y, judge f) and N
that only the judge has scored (F):

    estimate  mean Y + L (mean F - mean f)
    L         cov(Y, f) / ((1 + n/N) var(f and F together)), at least 0
    variance  var(Y - L f) / n + L^2 var(F) / N

It holds whatever the judge is worth: with a useless one L is about 0 and the interval that of the
labels alone. Since L is fitted the judge's scale does not matter. It does need the labelled answers
to be a random choice; then the interval is right for many labels and a little narrow for few.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import LEVEL

MIN_LABELLED = 10
"""With fewer, neither L nor a normal interval means anything."""


class Anchored(Struct, frozen=True, kw_only=True):
    """A model's mean on the humans' scale: from the labels alone, and with the judge's help."""

    labelled: int
    unlabelled: int
    judge: float | None
    """The judge's own mean over all, on its own scale."""
    human: Estimate
    powered: Estimate
    weight: float | None = None
    """L: how much the judge is trusted."""


def prediction_powered(y: Array, f: Array, others: Array) -> Anchored:
    """`y` and `f`: human's and judge's scores of the labelled answers; `others`: the judge's of the
    unlabelled ones. One independent answer each (one a question)."""
    n, big_n = len(y), len(others)
    together = np.concatenate([f, others])
    said = Anchored(
        labelled=n,
        unlabelled=big_n,
        judge=float(together.mean()) if len(together) else None,
        human=_mean(y),
        powered=undefined(_why_not(n, big_n), n),
    )
    if _why_not(n, big_n):
        return said
    spread = float(together.var(ddof=1))
    covariance = float(((y - y.mean()) * (f - f.mean())).sum()) / (n - 1)
    weight = max(covariance / ((1 + n / big_n) * spread), 0.0) if spread else 0.0
    value = float(y.mean() + weight * (others.mean() - f.mean()))
    variance = (y - weight * f).var(ddof=1) / n + weight**2 * others.var(ddof=1) / big_n
    return Anchored(
        labelled=n,
        unlabelled=big_n,
        judge=said.judge,
        human=said.human,
        powered=_around(value, float(variance) ** 0.5, n),
        weight=weight,
    )


def _why_not(n: int, big_n: int) -> str:
    if n < MIN_LABELLED:
        return f"it takes {MIN_LABELLED} human scores, not {n}"
    if big_n < 2:
        return "every answer has a human score: their mean needs no help"
    return ""


def _mean(y: Array) -> Estimate:
    if len(y) < 2:
        value = float(y[0]) if len(y) else None
        return Estimate(value=value, n=len(y), why="" if len(y) else "no human score")
    return _around(float(y.mean()), float(y.std(ddof=1)) / len(y) ** 0.5, len(y))


def _around(value: float, error: float, n: int) -> Estimate:
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    return Estimate(value=value, n=n, low=value - half, high=value + half)
