"""How sure a mean is when its values come one after the other and lean on each other. Pure.

Non-overlapping batch means: the values in their order are cut into `BATCHES` stretches, each gives its
own mean (or ratio of sums), and those are taken as independent (Law, Simulation Modeling and Analysis,
5th edition, section 9.5.3). The interval is Student's t with one degree of freedom less than batches.

Calls that wait in the same queue lean on as many neighbours as there are places, so a batch should hold a
few rounds of them (`places`): then there are fewer batches, but at least `LEAST_BATCHES`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import stdev

from engine.benching.quantiles import TAIL, Range
from engine.stats.student import quantile

BATCHES = 10
LEAST_IN_A_BATCH = 2
LEAST_BATCHES = 5
ROUNDS_IN_A_BATCH = 4


def ratio(tops: Sequence[float], bottoms: Sequence[float], *, places: float = 0) -> Range | None:
    """Sum of `tops` over sum of `bottoms`, with an interval where there are enough pairs.

    None where the bottoms come to nothing.
    """
    whole = sum(bottoms)
    if whole <= 0:
        return None
    estimate = sum(tops) / whole
    parts = [(sum(tops[a:b]), sum(bottoms[a:b])) for a, b in _cuts(len(tops), places)]
    if not parts or any(bottom <= 0 for _, bottom in parts):
        return Range(estimate)
    return _student(estimate, [top / bottom for top, bottom in parts])


def mean(values: Sequence[float], *, places: float = 0) -> Range | None:
    """Their mean, with an interval where there are enough; None of nothing."""
    return ratio(values, [1.0] * len(values), places=places)


def _student(estimate: float, means: Sequence[float]) -> Range:
    half = quantile(1 - TAIL, len(means) - 1) * stdev(means) / math.sqrt(len(means))
    # What is estimated (durations, counts) is never below zero.
    return Range(estimate, max(0.0, estimate - half), estimate + half)


def _cuts(n: int, places: float) -> list[tuple[int, int]]:
    """Where the stretches begin and end; none where there are too few values."""
    if n < LEAST_BATCHES * LEAST_IN_A_BATCH:
        return []
    wished = n // max(LEAST_IN_A_BATCH, int(ROUNDS_IN_A_BATCH * places))
    batches = min(max(wished, LEAST_BATCHES), BATCHES)
    marks = [round(i * n / batches) for i in range(batches + 1)]
    return list(pairwise(marks))
