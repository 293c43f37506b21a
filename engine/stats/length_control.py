"""The win rate of one model over another at equal length. Pure.

Dubois et al. 2024, arXiv 2404.04475; tatsu-lab/alpaca_eval, metrics/glm_winrate.py, its variant
`length_controlled_minimal`: fit

    logit P(a wins) = theta + phi tanh((len_a - len_b) / std(len_a - len_b))

to the outcomes (a tie is 0.5) and read it at equal length: 1 / (1 + exp(-theta)). AlpacaEval adds an L1
penalty whose strength it cross-validates; here there is none, and the figure differs by less than two
tenths of a point on the data of our tests. The interval comes from the robust (sandwich) error of theta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from data.schema import QuestionId, Struct
from engine.stats.arrays import Floats
from engine.stats.style import Styles

_Z = NormalDist().inv_cdf(0.975)
_STEPS, _LONGEST, _CLOSE, _ENDLESS = 200, 1.0, 1e-9, 30.0


class LengthControlled(Struct, frozen=True, kw_only=True):
    """The first model's win rate if both answered at the same length. None: see `reason`."""

    win_rate: float | None = None
    low: float | None = None
    high: float | None = None
    length_effect: float | None = None
    """phi: above 0, the longer answer tends to win."""
    mean_lengths: tuple[float, float] | None = None
    """Characters."""
    n: int = 0
    reason: str = ""


def length_controlled(results: Floats, lengths: Floats) -> LengthControlled:
    """`results` by question (1, 0.5, 0 or NaN), `lengths` 2 x questions, NaN where unknown."""
    known = ~np.isnan(results) & ~np.isnan(lengths).any(axis=0)
    y, both = results[known], lengths[:, known]
    n = int(y.size)
    if n < 3:
        return LengthControlled(n=n, reason="fewer than three battles with known lengths")
    gap = both[0] - both[1]
    spread = gap.std(ddof=1)
    longer = np.tanh(gap / spread) if spread > 0 else np.zeros(n)
    means = (float(both[0].mean()), float(both[1].mean()))
    fitted = _logit(np.column_stack([np.ones(n), longer]), y)
    if fitted is None:
        reason = "the outcomes follow from length, or one model always won"
        return LengthControlled(mean_lengths=means, n=n, reason=reason)
    (theta, phi), error = fitted
    low, middle, high = (_share(theta + z * error) for z in (-_Z, 0.0, _Z))
    return LengthControlled(
        win_rate=middle,
        low=low,
        high=high,
        length_effect=phi if spread > 0 else None,
        mean_lengths=means,
        n=n,
    )


def lengths_of(styles: Styles, models: Sequence[str], questions: Sequence[QuestionId]) -> Floats:
    """models x questions, characters; NaN for an answer that is not known."""
    return np.array(
        [
            [style.length if (style := styles.of(model, q)) else np.nan for q in questions]
            for model in models
        ]
    )


def _logit(x: Floats, y: Floats) -> tuple[tuple[float, float], float] | None:
    """Both coefficients, and the sandwich error of the first; None without a maximum."""
    point = np.zeros(2)
    for _ in range(_STEPS):
        chance = 0.5 * (1 + np.tanh(x @ point / 2))
        hessian = x.T @ ((chance * (1 - chance))[:, None] * x)
        step = np.linalg.pinv(hessian) @ (x.T @ (y - chance))
        step *= min(1.0, _LONGEST / np.abs(step).max(initial=_LONGEST))
        point += step
        if np.abs(point).max() > _ENDLESS:
            return None
        if np.abs(step).max() < _CLOSE:
            break
    pulls = x * (y - chance)[:, None]
    inverse = np.linalg.pinv(hessian)
    covariance = len(y) / (len(y) - 1) * inverse @ (pulls.T @ pulls) @ inverse
    return (float(point[0]), float(point[1])), math.sqrt(max(covariance[0, 0], 0.0))


def _share(logit: float) -> float:
    return 0.5 * (1 + math.tanh(logit / 2))
