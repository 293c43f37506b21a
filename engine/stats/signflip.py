"""The sign-flip test: a paired permutation test that assumes no distribution. Pure.

If two models are equally good, a question's difference could as well have had the other sign. The p
value is the share of sign patterns whose weighted sum is at least as large as the one observed
(Fisher 1935; Good, Permutation Tests, 2nd edition 2000, 3.2). Up to 12 questions that differ, all
patterns are counted; beyond, 9,999 random ones, and p = (1 + hits) / (1 + 9,999), which is never 0
(Phipson and Smyth 2010). Clustered: a whole subcategory flips together.

The patterns are seeded by the questions' ids, so the same comparison has the same p everywhere, in any
order, in any command.
"""

from __future__ import annotations

import numpy as np

from data.codec import sha256
from engine.stats.arrays import Floats, Ints
from engine.stats.design import Layout

FLIPS = 9_999
EXACT_UP_TO = 12
_CELLS = 1_000_000
"""Of patterns held at once."""
_SLACK = 1 - 1e-10
"""Sums that are equal on paper differ in their last digits."""


def flip_p(contributions: Floats, layout: Layout, *, clustered: bool = False) -> Floats:
    """A p value per column of `contributions` (questions x columns), whose sums are the effects.

    A question that is left out contributes 0. Without any difference p is 1.
    """
    sums = _by_cluster(contributions, layout) if clustered else contributions
    found = np.ones(sums.shape[1])
    differing = (sums != 0).sum(axis=0)
    for column in np.flatnonzero((differing > 0) & (differing <= EXACT_UP_TO)):
        found[column] = _exact(sums[:, column])
    many = np.flatnonzero(differing > EXACT_UP_TO)
    if many.size:
        found[many] = _sampled(sums[:, many], _seed(layout, clustered))
    return found


def seed_of(layout: Layout, purpose: str) -> int:
    """A seed that the questions decide, whatever order they were read in."""
    return int(sha256(repr((purpose, layout.questions)).encode("utf-8", "replace")), 16)


def _seed(layout: Layout, clustered: bool) -> int:
    return seed_of(layout, "flips of clusters" if clustered else "flips")


def _by_cluster(contributions: Floats, layout: Layout) -> Floats:
    sums = np.zeros((layout.clusters, contributions.shape[1]))
    np.add.at(sums, layout.cluster, contributions)
    return sums


def _exact(sums: Floats) -> float:
    """Every pattern once."""
    known = sums[sums != 0]
    patterns = np.arange(2**known.size)[:, None] >> np.arange(known.size) & 1
    flipped = np.abs((1 - 2 * patterns) @ known)
    return float((flipped >= abs(known.sum()) * _SLACK).mean())


def _sampled(sums: Floats, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero((sums != 0).any(axis=1))
    observed = np.abs(sums.sum(axis=0)) * _SLACK
    hits: Ints = np.zeros(sums.shape[1], dtype=np.int64)
    chunk = max(_CELLS // sums.shape[0], 1)
    for start in range(0, FLIPS, chunk):
        size = (min(chunk, FLIPS - start), sums.shape[0])
        signs = 2.0 * rng.integers(0, 2, size=size, dtype=np.int8)[:, rows] - 1.0
        hits += (np.abs(signs @ sums[rows]) >= observed).sum(axis=0)
    found: Floats = (hits + 1) / (FLIPS + 1)
    return found
