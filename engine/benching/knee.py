"""Where more calls in flight stop bringing more: a hockey-stick fit on latency. Pure.

Rungs sorted by calls in flight N, with mean latencies R. While the provider has room, R stays at R0;
once it is full, calls queue and R = N / X (Little's law: L = X · R, Operations Research 9, 1961). Each
split of the rungs gives R0 (the mean of those before it, weighted by their calls) and X (the weighted
mean of N / R of the rest); the split whose bend explains log R best is taken. The knee is N* = R0 · X.

It is told only where it was passed: some rung lies at 1.5 N* or beyond and took 1.3 R0 or longer.
`soft` says that the bend is a slow one (batching servers): one rung near the knee lies off the two
lines by more than 15 %. What is recommended never rests on the fit alone (engine/benching/advice.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from data.schema import Struct

BEYOND, SLOWER, SOFT = 1.5, 1.3, 0.15


class Step(Struct, frozen=True):
    """One rung: mean calls in flight, mean latency in seconds, and from how many calls that is."""

    in_flight: float
    latency_s: float
    calls: int


class Knee(Struct, frozen=True, kw_only=True):
    """The fit. `status`: passed, not_reached (it never bent), unresolved (too few rungs)."""

    status: Literal["passed", "not_reached", "unresolved"]
    r0_s: float | None = None
    """Latency while there is room."""
    x_max_s: float | None = None
    """Calls a second at most."""
    in_flight: float | None = None
    """N*."""
    misfit: float | None = None
    """Largest relative distance of a rung from the fitted lines."""
    soft: bool = False


def knee(steps: Sequence[Step]) -> Knee:
    """The knee of a ladder; at least three rungs that took calls, else it is unresolved."""
    rungs = sorted((s for s in steps if s.calls and s.latency_s > 0), key=lambda s: s.in_flight)
    if len(rungs) < 3:
        return Knee(status="unresolved")
    fits = [_fit(rungs, split) for split in range(1, len(rungs))]
    error, r0, x_max = min(fits)
    del error
    n_star, last = r0 * x_max, rungs[-1]
    if last.in_flight < BEYOND * n_star or last.latency_s < SLOWER * r0:
        best = max(step.in_flight / step.latency_s for step in rungs)
        return Knee(status="not_reached", r0_s=r0, x_max_s=best)
    misfit = max(abs(s.latency_s / _bend(s.in_flight, r0, x_max) - 1) for s in rungs)
    return Knee(
        status="passed", r0_s=r0, x_max_s=x_max, in_flight=n_star, misfit=misfit, soft=misfit > SOFT
    )


def _fit(rungs: Sequence[Step], split: int) -> tuple[float, float, float]:
    """(squared error of log latency, R0, X) with the first `split` rungs before the bend."""
    before, after = rungs[:split], rungs[split:]
    r0 = sum(s.calls * s.latency_s for s in before) / sum(s.calls for s in before)
    x_max = sum(s.calls * s.in_flight / s.latency_s for s in after) / sum(s.calls for s in after)
    error = sum(s.calls * math.log(s.latency_s / _bend(s.in_flight, r0, x_max)) ** 2 for s in rungs)
    return error, r0, x_max


def _bend(in_flight: float, r0: float, x_max: float) -> float:
    return max(r0, in_flight / x_max)
