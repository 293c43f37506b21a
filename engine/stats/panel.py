"""Several judges as one: a panel. Pure.

Scores are combined slot by slot (one answer, one repeat), so a panel has the same slots as its judges and
goes through every other file as a judge does:

- mean, median: of the scores that are there (a panel of small judges: Verga et al. 2024, arXiv
  2404.18796);
- majority: the score that more than half of the judges who scored gave. Where there is none, the slot
  has no score and is counted; nobody casts a deciding vote.

A slot with fewer scores than the quorum has none. Judges differ in strictness, so a slot that only
some of them scored is not quite like the others: `short` counts those. How far the judges disagreed is
kept beside the result, as evalscope does (api/judge/aggregation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from data.codec import replace
from data.schema import Struct
from engine.stats.arrays import Floats, Ints
from engine.stats.grid import Grid, means

Method = Literal["mean", "median", "majority"]
METHODS: tuple[Method, ...] = ("mean", "median", "majority")
FAR = 3.0
"""Scores of one answer that are so far apart are a disagreement worth reading."""


class Disagreement(Struct, frozen=True, kw_only=True):
    """How far the judges were apart, over the slots that all of them scored. None: there are none."""

    judges: tuple[str, ...]
    quorum: int
    slots: int
    """Slots that at least one judge scored."""
    short: int
    """Decided by some of the judges, but enough for the quorum."""
    below_quorum: int
    no_majority: int
    unanimous: float | None
    """Share of slots with one and the same score from all."""
    mean_range: float | None
    """Highest minus lowest score, on average."""
    mean_sd: float | None
    """Standard deviation among the judges (divisor: judges), on average."""
    far: float | None
    """Share of slots with scores `FAR` or more apart."""
    severity: tuple[float | None, ...]
    """Each judge's mean distance from the panel of all; below 0 is strict."""


def default_quorum(judges: int) -> int:
    """More than half of them."""
    return judges // 2 + 1


def panel(
    members: Sequence[Grid], method: Method = "mean", *, quorum: int, min_coverage: float
) -> tuple[Grid, Disagreement]:
    """The judges of one run as one judge. `members` share models and questions; there is at least one."""
    first = members[0]
    marks = np.stack([grid.marks for grid in members])
    count = (~np.isnan(marks)).sum(axis=0)
    combined = _combined(marks, method)
    no_majority = (count >= quorum) & np.isnan(combined)
    combined = np.where(count >= quorum, combined, np.nan)
    share = (~np.isnan(combined)).sum(axis=(1, 2)) / max(first.planned, 1)
    grid = replace(
        first,
        judge=f"panel ({method} of {len(members)})",
        marks=combined,
        values=means(combined),
        complete=tuple(bool(s >= min_coverage) for s in share),
        coverage=tuple(share.tolist()),
    )
    return grid, _disagreement(members, marks, count, quorum, int(no_majority.sum()))


def _combined(marks: Floats, method: Method) -> Floats:
    """judges x models x questions x slots to models x questions x slots; NaN where nothing comes out."""
    stacked: Floats = np.moveaxis(marks, 0, -1)
    if method == "mean":
        return means(stacked)
    if method == "median":
        return _median(stacked)
    return _majority(stacked)


def _median(scores: Floats) -> Floats:
    """Of what is not NaN, over the last axis."""
    count = (~np.isnan(scores)).sum(axis=-1)
    ordered = np.sort(scores, axis=-1)  # NaN comes last
    upper = np.take_along_axis(ordered, (count // 2)[..., None] % scores.shape[-1], axis=-1)
    lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)
    middle: Floats = ((lower + upper) / 2)[..., 0]
    return np.where(count % 2 == 1, lower[..., 0], middle)


def _majority(scores: Floats) -> Floats:
    count = (~np.isnan(scores)).sum(axis=-1)
    found = np.full(count.shape, np.nan)
    for mine in np.moveaxis(scores, -1, 0):
        votes = (scores == mine[..., None]).sum(axis=-1)
        found = np.where(2 * votes > count, mine, found)
    return found


def _disagreement(
    members: Sequence[Grid], marks: Floats, count: Ints, quorum: int, no_majority: int
) -> Disagreement:
    full = count == len(members)
    by_judge: Floats = marks[:, full]
    facts: dict[str, float | None] = dict.fromkeys(("unanimous", "mean_range", "mean_sd", "far"))
    severity: tuple[float | None, ...] = (None,) * len(members)
    if by_judge.size:
        spread = by_judge.max(axis=0) - by_judge.min(axis=0)
        facts = {
            "unanimous": float((spread == 0).mean()),
            "mean_range": float(spread.mean()),
            "mean_sd": float(by_judge.std(axis=0).mean()),
            "far": float((spread >= FAR).mean()),
        }
        severity = tuple((by_judge - by_judge.mean(axis=0)).mean(axis=1).tolist())
    return Disagreement(
        judges=tuple(grid.judge for grid in members),
        quorum=quorum,
        slots=int((count > 0).sum()),
        short=int(((count >= quorum) & ~full).sum()),
        below_quorum=int(((count > 0) & (count < quorum)).sum()),
        no_majority=no_majority,
        severity=severity,
        **facts,
    )
