"""Agreement beyond chance, for ratings on one scale.

    quadratic kappa  1 - sum (x - y)^2 / expected sum of it if x and y were independent (Cohen 1968).
                     With quadratic weights that needs no table: the expectation is
                     var x + var y + (mean x - mean y)^2, so kappa is Lin's concordance coefficient
    alpha            Krippendorff's (Computing Krippendorff's Alpha-Reliability, 2011): any number of
                     raters, ratings may be missing. Ordinal differences are those of the average
                     ranks of all pairable ratings, so ordinal alpha is interval alpha of ranks

Both are 1 for identical ratings and about 0 for chance. Where nothing varies they are undefined.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import estimates
from engine.agreement.sample import Sample

Metric = Literal["nominal", "ordinal", "interval"]


def quadratic_kappa(sample: Sample) -> Estimate:
    """Of x and y, which must be on one scale, with an interval over questions."""
    x, y, n = sample.x, sample.y, len(sample)
    if not n:
        return undefined("nothing to compare")
    if x.min() == x.max() == y.min() == y.max():
        return undefined(
            f"{sample.names[0]} and {sample.names[1]} gave one and the same score to all", n
        )
    (kappa,) = estimates(
        lambda drawn: _kappa(x, y, drawn[:, sample.question]),
        sample.questions,
        seed=sample.seed,
        rows=n,
        n=n,
    )
    return kappa


def krippendorff_alpha(ratings: Array, metric: Metric = "ordinal") -> Estimate:
    """`ratings`: one row a rater, one column a thing rated, NaN where missing. `n` counts things
    with two ratings at least."""
    rated = ~np.isnan(ratings)
    pairable = ratings[:, rated.sum(axis=0) >= 2]
    n = pairable.shape[1]
    if not n:
        return undefined("nothing has two ratings")
    values = pairable[~np.isnan(pairable)]
    if (values == values[0]).all():
        return undefined("all ratings are equal", n)
    if metric == "nominal":
        observed, expected = _nominal(pairable, values)
    else:
        if metric == "ordinal":
            distinct, counts = np.unique(values, return_counts=True)
            ranks = np.cumsum(counts) - (counts - 1) / 2
            pairable = np.where(
                np.isnan(pairable), np.nan, ranks[np.searchsorted(distinct, pairable) % len(ranks)]
            )
            values = pairable[~np.isnan(pairable)]
        observed = _squared_within(pairable)
        expected = 2 * len(values) * float(((values - values.mean()) ** 2).sum())
    return Estimate(value=1 - (len(values) - 1) * observed / expected, n=n)


def _kappa(x: Array, y: Array, w: Array) -> Array:
    """A column of them, one a weighting."""
    total = w.sum(axis=1)
    mx, my = w @ x / total, w @ y / total
    vx = (w * (x - mx[:, None]) ** 2).sum(axis=1) / total
    vy = (w * (y - my[:, None]) ** 2).sum(axis=1) / total
    chance = vx + vy + (mx - my) ** 2
    gone = np.full_like(chance, np.nan)
    ratio = np.divide(w @ (x - y) ** 2 / total, chance, out=gone, where=chance > 0)
    return np.asarray(1 - ratio)[:, None]


def _squared_within(ratings: Array) -> float:
    """The sum over things of all ordered pairs' squared differences, each by 1 / (raters - 1)."""
    counts = (~np.isnan(ratings)).sum(axis=0)
    deviations = np.nansum((ratings - np.nanmean(ratings, axis=0)) ** 2, axis=0)
    return float((2 * counts * deviations / (counts - 1)).sum())


def _nominal(ratings: Array, values: Array) -> tuple[float, float]:
    """Disagreeing pairs within things (each by 1 / (raters - 1)), and among all ratings."""
    per_value = np.array([(ratings == value).sum(axis=0) for value in np.unique(values)])
    raters = per_value.sum(axis=0)
    within = ((raters**2 - (per_value**2).sum(axis=0)) / (raters - 1)).sum()
    totals = per_value.sum(axis=1)
    return float(within), float(totals.sum() ** 2 - (totals**2).sum())
