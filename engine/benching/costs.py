"""What a useful result costs, with every billed attempt: retries, re-asks, what came to nothing. Pure.

Three prices of the same work: as it was billed; cold, as if nothing had come from the provider's prompt
cache; warm, as if every prompt had had the largest cached share that was seen. An unknown cost makes all
of them unknown: never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from data.schema import Struct, Timing
from engine.benching import batches
from engine.benching.quantiles import Range


class Money(Struct, frozen=True, kw_only=True):
    """Nano-units of `currency`; None: unknown."""

    currency: str = ""
    per_useful: Range | None = None
    per_useful_cold: float | None = None
    """Had nothing come from the provider's prompt cache."""
    per_useful_warm: float | None = None
    """Had every prompt the largest cached share that was seen."""
    per_1000_requests: float | None = None
    waste: float | None = None
    """Share of the money that went into attempts which brought nothing."""
    unpriced: int = 0
    """Attempts whose cost nobody knows."""
    estimated: int = 0
    """Attempts whose worst case was booked."""


Key = tuple[int, int]
"""Block and call."""


def money_of(timings: Sequence[Timing], requests: Sequence[Timing]) -> Money:
    """Of all attempts of some blocks; `requests`: those in their windows, for the price of 1,000."""
    unpriced = sum(t.cost is None for t in timings)
    spent: Counter[Key] = Counter()
    useful: Counter[Key] = Counter()
    for timing in timings:
        key = timing.block, timing.call
        spent[key] += timing.cost or 0
        useful[key] += timing.end == "useful"
    n, total = sum(useful.values()), sum(spent.values())
    if unpriced or not n:
        return Money(unpriced=unpriced)
    costs, marks = [float(spent[k]) for k in useful], [float(useful[k]) for k in useful]
    wasted = sum(t.cost or 0 for t in timings if t.end != "useful")
    in_window = [t.cost or 0 for t in requests]
    return Money(
        currency=next((t.currency for t in timings if t.currency), ""),
        per_useful=batches.ratio(costs, marks),
        per_useful_cold=sum(map(_cold, timings)) / n,
        per_useful_warm=_warm(timings) / n,
        per_1000_requests=1000 * sum(in_window) / len(in_window) if in_window else None,
        waste=wasted / total if total else 0.0,
        estimated=sum(t.estimated for t in timings),
    )


def _cold(timing: Timing) -> int:
    return timing.cost or 0 if timing.cold is None else timing.cold


def _warm(timings: Sequence[Timing]) -> float:
    shares = [
        t.usage.cached_tokens / t.usage.input_tokens
        for t in timings
        if t.usage is not None and t.usage.input_tokens
    ]
    most = max(shares, default=0.0)
    return sum(
        t.cold + (t.hot - t.cold) * most
        if t.cold is not None and t.hot is not None
        else t.cost or 0
        for t in timings
    )
