"""The standard error and interval of a weighted sum of category means. Pure.

A column is sum_c w_c mean_c (see `design.py`). Its questions are taken as a sample of the questions
that could have been asked in each category, so the categories' errors are independent and

    SE² = sum_c w_c² s_c² / n_c        s_c² the variance among the n_c questions, divisor n_c - 1

(stratified sampling: Cochran, Sampling Techniques, 3rd edition 1977, 5.10-5.13; for evaluations:
Miller 2024, arXiv 2411.00640). The interval is value ± t SE with Satterthwaite's degrees of freedom

    df = (sum_c a_c)² / sum_c a_c² / (n_c - 1)        a_c = w_c² s_c² / n_c        (Cochran 5.16)

Clustered: questions of one subcategory may share their difficulty, so subcategories are what was
sampled. With G_c of them in category c, and e_i a score's distance from the category's mean,

    s_c² / n_c becomes  G_c / (G_c - 1) * sum_g (sum_{i in g} e_i)² / n_c²

(Miller 2024, appendix A, with the correction for few clusters as in inspect_ai, scorer/_metrics/std.py)
and n_c - 1 in df becomes G_c - 1. With one question, or one cluster, there is no error to be had.
"""

from __future__ import annotations

import math

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Flags, Floats, Ints, summed
from engine.stats.design import Column, Layout
from engine.stats.student import quantile

LEVEL = 0.95
NO_SPREAD = 1e-9
"""A standard error below this is rounding: every question has the same value."""


class Estimate(Struct, frozen=True, kw_only=True):
    """A figure and how sure it is. `reason` says why anything here is None; else it is empty."""

    value: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    """The 95 % interval."""
    df: float | None = None
    n: int = 0
    """Questions behind it."""
    clusters: int | None = None
    """Subcategories, where those are what was sampled."""
    reason: str = ""


class Parts(Struct, frozen=True, eq=False):
    """By category: how many questions, their mean, its variance, and how many were sampled."""

    counts: Ints
    means: Floats
    variances: Floats
    units: Ints


def estimate(
    values: Floats, layout: Layout, column: Column, *, clustered: bool = False
) -> Estimate:
    """The column of `values` (one per question, NaN for none) with its 95 % interval."""
    if column.reason:
        return Estimate(reason=column.reason)
    weights = np.array(column.weights)
    used = weights > 0
    parts = parts_of(values, layout, clustered=clustered)
    n = int(parts.counts[used].sum())
    empty = used & (parts.counts == 0)
    if empty.any():
        return Estimate(n=n, reason=f"no score in {_names(layout, empty)}")
    value = float((weights * parts.means)[used].sum())
    clusters = int(parts.units[used].sum()) if clustered else None
    single = used & (parts.units < 2)
    if single.any():
        unit = "subcategory" if clustered else "question"
        reason = f"only one {unit} in {_names(layout, single)}: no spread to measure"
        return Estimate(value=value, n=n, clusters=clusters, reason=reason)
    shares = (weights**2 * parts.variances)[used]
    se = math.sqrt(shares.sum())
    if se < NO_SPREAD:
        reason = "the same on every question: no spread to measure"
        return Estimate(value=value, se=0.0, n=n, clusters=clusters, reason=reason)
    df = float(shares.sum() ** 2 / (shares**2 / (parts.units[used] - 1)).sum())
    half = quantile((1 + LEVEL) / 2, df) * se
    return Estimate(
        value=value, se=se, low=value - half, high=value + half, df=df, n=n, clusters=clusters
    )


def parts_of(values: Floats, layout: Layout, *, clustered: bool = False) -> Parts:
    """Each category for itself; where nothing is known, mean and variance are 0."""
    strata = len(layout.strata)
    there = ~np.isnan(values)
    stratum, known = layout.stratum[there], values[there]
    counts = np.bincount(stratum, minlength=strata)
    divisor = np.maximum(counts, 1)
    means = summed(stratum, known, strata) / divisor
    errors = known - means[stratum]
    if not clustered:
        squares = summed(stratum, errors**2, strata)
        return Parts(counts, means, squares / divisor / np.maximum(counts - 1, 1), counts)
    sums = summed(layout.cluster[there], errors, layout.clusters)
    home, present = _homes(layout, there)
    units = np.bincount(home[present], minlength=strata)
    squares = summed(home[present], sums[present] ** 2, strata)
    correction = units / np.maximum(units - 1, 1)
    return Parts(counts, means, correction * squares / divisor**2, units)


def _homes(layout: Layout, there: Flags) -> tuple[Ints, Flags]:
    """The category of each cluster, and whether it has a score at all."""
    home = np.zeros(layout.clusters, dtype=np.int64)
    home[layout.cluster] = layout.stratum
    return home, np.bincount(layout.cluster[there], minlength=layout.clusters) > 0


def _names(layout: Layout, flags: Flags) -> str:
    return ", ".join(name for name, flag in zip(layout.strata, flags, strict=True) if flag)
