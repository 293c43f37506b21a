"""How long the replies to come will take at so many calls in flight, by the rungs of a ladder. Pure.

A rung's mean latency, with the time added that longer or shorter replies take (their length is known
better than the rung's own sample of it: regression adjustment, Cochran, Sampling Techniques, 3rd edition,
chapter 7). Rungs that differ by no more than their intervals allow are taken together, weighted by how
well each is known: below the knee they all tell the same. Between two rungs it lies on the line between
them. Beyond the highest it is the fitted line where the knee was passed, else that of the highest, up to
twice as many calls in flight and less surely; further than that nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.schema import Struct
from engine.benching.ahead import Leg
from engine.benching.knee import Knee
from engine.benching.rungs import Rung

REFERENCES = 0.4
"""Share by which verdicts may differ whose judge was only shown references: half a 95 % interval. Seen on
the simulator: 14 % fewer tokens and 23 % less time on models' answers."""
APART = 0.25
"""Rungs whose latencies differ by more than this share are never taken together."""
FURTHER, GUESSED = 2.0, 0.2
"""So far beyond the highest rung, and so much less surely."""
TOLERATED = 0.01


class Pace(Struct, frozen=True):
    """Seconds of one attempt: its mean, and what the slowest take; half a 95 % interval as a share."""

    latency_s: float
    slow_s: float
    spread: float
    sound: bool
    """Measured there, at most 1 % of 429s and of failures, and this machine kept up."""


class _Mean(Struct, frozen=True):
    """A mean and half its 95 % interval."""

    est: float
    half: float


def pace(leg: Leg, rungs: Sequence[Rung], places: int, bend: Knee | None) -> Pace | None:
    """Of one model or judge; None: nobody knows."""
    ladder = sorted(
        (r for r in rungs if r.load == "closed" and r.latency.mean is not None),
        key=lambda r: r.level,
    )
    if not ladder or places > FURTHER * ladder[-1].level:
        return None
    found = _beyond(leg, ladder, places, bend) if places > ladder[-1].level else None
    found = found or _between(leg, ladder, places)
    if leg.on_references:
        spread = math.hypot(found.spread, REFERENCES)
        found = Pace(found.latency_s, found.slow_s, spread, found.sound)
    return found


def _between(leg: Leg, ladder: Sequence[Rung], places: int) -> Pace:
    low = max((r for r in ladder if r.level <= places), key=lambda r: r.level, default=ladder[0])
    high = min((r for r in ladder if r.level >= places), key=lambda r: r.level)
    part = (places - low.level) / (high.level - low.level) if high.level > low.level else 0.0
    first, last = (_pooled(rung, ladder, leg) for rung in (low, high))
    latency_s = first.est + part * (last.est - first.est)
    spread = max(first.half, last.half) / latency_s
    slow_s = max(_slow_s(low), _slow_s(high), latency_s)
    return Pace(latency_s, slow_s, spread, all(_sound(r) for r in (low, high)))


def _beyond(leg: Leg, ladder: Sequence[Rung], places: int, bend: Knee | None) -> Pace:
    top = _pooled(ladder[-1], ladder, leg)
    latency_s = top.est
    if bend is not None and bend.status == "passed" and bend.x_max_s:
        latency_s = max(latency_s, places / bend.x_max_s)
    slow_s = _slow_s(ladder[-1]) * latency_s / top.est
    return Pace(latency_s, max(slow_s, latency_s), math.hypot(top.half / top.est, GUESSED), False)


def _pooled(rung: Rung, ladder: Sequence[Rung], leg: Leg) -> _Mean:
    """The rung's mean latency, together with those that tell the same."""
    own = _lasting(rung, leg)
    means = [_lasting(other, leg) for other in ladder]
    alike = [m for m in means if abs(m.est - own.est) <= _allowed(m, own)]
    weights = [1 / max(m.half, 1e-3 * m.est) ** 2 for m in alike]
    est = sum(w * m.est for w, m in zip(weights, alike, strict=True)) / sum(weights)
    return _Mean(est, 1 / math.sqrt(sum(weights)))


def _allowed(one: _Mean, other: _Mean) -> float:
    return min(math.hypot(one.half, other.half), APART * other.est)


def _lasting(rung: Rung, leg: Leg) -> _Mean:
    """For replies as long as those to come."""
    mean, replies = rung.latency.mean, rung.requests - sum(rung.errors.values())
    assert mean is not None
    wanted = leg.output_tokens / max(leg.calls * leg.replies, 1e-9)
    longer = wanted - rung.tokens.output / replies if replies and rung.tokens.output else 0.0
    est = max(mean.est + longer * leg.s_per_token, 0.1 * mean.est)
    return _Mean(est, min(mean.precision, 1.0) * mean.est)


def _slow_s(rung: Rung) -> float:
    for found in (rung.latency.p95, rung.latency.p90, rung.latency.mean):
        if found is not None:
            return found.est
    return 0.0


def _sound(rung: Rung) -> bool:
    shares = (rung.limited.est or 0.0, rung.failed.est or 0.0)
    return max(shares) <= TOLERATED and not rung.client.bound
