"""What changed from one benchmark to another, and what is only noise. Pure.

Rungs of the same target, load and level are compared. Two benchmarks are independent, so the interval of
the ratio of two figures comes from their own: on the logarithm, the half widths add up in squares
(Fieller's problem, by the delta method). Where the interval holds 1, no difference is shown.
Latency is compared question by question where both asked the same ones: the geometric mean of the ratios,
with Student's t over their logarithms, since a question's own length then cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal

from data.schema import QuestionId, Struct, Timing
from engine.benching import durations
from engine.benching.folder import Benched
from engine.benching.quantiles import TAIL, Range
from engine.benching.rungs import Rung
from engine.stats.student import quantile

LEAST_PAIRS = 6
LEAST_CHANGE = 0.02
"""Less than this is never called a difference: a window's edges and this machine do as much."""
Metric = Literal["useful/min", "latency", "cost"]


class Change(Struct, frozen=True, kw_only=True):
    """One figure of one rung: `ratio` is new / old."""

    target: str
    load: str
    level: float
    metric: Metric
    before: float
    after: float
    ratio: Range
    paired: int = 0
    """Questions that were compared one by one."""

    @property
    def shown(self) -> bool:
        """Is there a difference beyond noise, and of any size?"""
        low, high = self.ratio.low, self.ratio.high
        if low is None or high is None or abs(self.ratio.est - 1) < LEAST_CHANGE:
            return False
        return not low <= 1 <= high


def changes(old: Benched, new: Benched) -> list[Change]:
    """Figure by figure, for the rungs that both have."""
    rungs = {(r.target, r.load, r.level): r for r in old.rungs()}
    asked, asked_now = _latencies(old), _latencies(new)
    found: list[Change] = []
    for after in new.rungs():
        key = after.target, after.load, after.level
        before = rungs.get(key)
        if before is not None:
            pairs = _pairs(asked.get(key, {}), asked_now.get(key, {}))
            found += _of(before, after, pairs)
    return found


def _of(before: Rung, after: Rung, pairs: Sequence[float]) -> Iterator[Change]:
    figures: tuple[tuple[Metric, Range | None, Range | None], ...] = (
        ("useful/min", before.useful_per_min, after.useful_per_min),
        ("latency", before.latency.mean, after.latency.mean),
        ("cost", before.money.per_useful, after.money.per_useful),
    )
    for metric, a, b in figures:
        if a is None or b is None or a.est <= 0 or b.est <= 0:
            continue
        paired = metric == "latency" and len(pairs) >= LEAST_PAIRS
        yield Change(
            target=after.target,
            load=after.load,
            level=after.level,
            metric=metric,
            before=a.est,
            after=b.est,
            ratio=_paired(pairs) if paired else ratio(a, b),
            paired=len(pairs) if paired else 0,
        )


def ratio(a: Range, b: Range) -> Range:
    """b / a, each with its own interval, independent of each other."""
    half = math.hypot(_log_half(a), _log_half(b))
    estimate = b.est / a.est
    if not math.isfinite(half):
        return Range(estimate)
    return Range(estimate, estimate * math.exp(-half), estimate * math.exp(half))


def _log_half(x: Range) -> float:
    if x.low is None or x.high is None or x.low <= 0:
        return math.inf
    return (math.log(x.high) - math.log(x.low)) / 2


def _paired(logs: Sequence[float]) -> Range:
    middle = fmean(logs)
    half = quantile(1 - TAIL, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Range(math.exp(middle), math.exp(middle - half), math.exp(middle + half))


Key = tuple[str, str, float]


def _latencies(benched: Benched) -> dict[Key, dict[QuestionId, float]]:
    """Of unsalted first asks that were answered, by rung and question."""
    found: dict[Key, dict[QuestionId, float]] = {}
    for block, timings in benched.blocks:
        own = found.setdefault((block.target, block.load, block.level), {})
        for timing in timings:
            value = _latency(timing)
            if value is not None:
                own.setdefault(timing.question_id, value)
    return found


def _latency(timing: Timing) -> float | None:
    fit = not timing.error and not timing.ask and not timing.salted
    value = durations.latency_s(timing) if fit else None
    return value or None


def _pairs(a: Mapping[QuestionId, float], b: Mapping[QuestionId, float]) -> list[float]:
    """Logarithms of new / old."""
    return [math.log(b[question] / a[question]) for question in a if question in b]
