"""Stratified bootstrap weights, and totals under them. Pure; seeded by the questions.

Each resample draws n_c - 1 of a category's n_c questions (clustered: subcategories), with replacement,
and weighs each by n_c / (n_c - 1) times how often it was drawn: so the spread of a weighted sum over
resamples has the very variance of `stratified.py`, also in small categories, where drawing n_c
of n_c is too narrow by (n_c - 1) / n_c (Rao and Wu 1988, JASA 83:231; Rao, Wu and Yue 1992, Survey
Methodology 18:209). All models get the same questions in a resample: that is what pairs them.
"""

from __future__ import annotations

import numpy as np

from engine.stats.arrays import Floats
from engine.stats.design import Column, Layout
from engine.stats.signflip import seed_of
from engine.stats.stratified import parts_of

RESAMPLES = 2_000


def resamples(layout: Layout, *, clustered: bool = False, count: int = RESAMPLES) -> Floats:
    """`count` x questions: what each question weighs in each resample (1 on average)."""
    rng = np.random.default_rng(seed_of(layout, "resamples"))
    weights = np.ones((count, len(layout.questions)))
    for stratum in range(len(layout.strata)):
        questions = np.flatnonzero(layout.stratum == stratum)
        names = layout.cluster[questions] if clustered else questions
        units, unit = np.unique(names, return_inverse=True)
        n = units.size
        if n > 1:
            drawn = rng.multinomial(n - 1, np.full(n, 1 / n), size=count)
            weights[:, questions] = drawn[:, unit] * (n / (n - 1))
    return weights


def totals(values: Floats, layout: Layout, column: Column, weights: Floats) -> Floats:
    """resamples x models: the column under each resample, linearised around its value.

    A category's mean moves by the weighted distances of its questions from that mean, over n_c; so a
    resample that happens to hold only a small subcategory cannot throw the mean about, as a ratio would.
    NaN for a model without a value.
    """
    moves = np.zeros((values.shape[1], values.shape[0]))
    centres = np.full(values.shape[0], np.nan)
    shares = np.array(column.weights)[layout.stratum]
    for m, mine in enumerate(values):
        parts = parts_of(mine, layout)
        if (parts.counts[np.array(column.weights) > 0] == 0).any():
            continue
        centres[m] = (np.array(column.weights) * parts.means).sum()
        distance = np.nan_to_num(mine - parts.means[layout.stratum])
        moves[:, m] = shares * distance / np.maximum(parts.counts, 1)[layout.stratum]
    found: Floats = centres + weights @ moves
    return found
