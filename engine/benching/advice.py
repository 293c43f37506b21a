"""How many calls in flight to use, by what was measured. Pure.

Recommended is the smallest tested rung that gives at least 95 % of the most throughput (of the fitted
line where the knee was passed, else of the best rung), while at most 1 % of requests are turned away with
429, at most 1 % fail, the slowest percent stays below half the timeout, this process kept up, and the
service level objectives that were asked for are met. The rate limit that was met on the way is said
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.schema import Struct
from engine.benching.knee import Knee, Step, knee
from engine.benching.objectives import Objective, missed
from engine.benching.rungs import Rung, Spread

ENOUGH, TOLERATED, OF_TIMEOUT = 0.95, 0.01, 0.5
FIRM = 0.25
"""A rung that is known less finely than this is not ranked beside others that are."""
REALLY = 0.95
"""Below this share of the calls in flight that were asked for, something held them down."""


class Advice(Struct, frozen=True, kw_only=True):
    """What the ladder of one target says."""

    target: str
    knee: Knee
    concurrency: int | None = None
    """Recommended calls in flight; None: no rung will do (`why` says it)."""
    level: float | None = None
    """The rung that this rests on."""
    why: str = ""
    best_per_min: float | None = None
    """Useful results a minute at the best rung that may be ranked."""


def advise(rungs: Sequence[Rung], timeout_s: float, objectives: Sequence[Objective] = ()) -> Advice:
    """`rungs`: all of one target."""
    ladder = sorted((r for r in rungs if r.load == "closed"), key=lambda r: r.level)
    target = rungs[0].target if rungs else ""
    bend = knee(_steps(ladder))
    if not ladder:
        return Advice(target=target, knee=bend, why="no ladder was measured")
    ranked = [r for r in ladder if r.useful_per_min is not None and not r.client.bound]
    ranked = [r for r in ranked if _precision(r) <= FIRM] or ranked
    if not ranked:
        bound = any(r.client.bound for r in ladder)
        why = "this machine could not keep up" if bound else "no rung brought anything useful"
        return Advice(target=target, knee=bend, why=why)
    sound = [r for r in ranked if not (_objection(r, timeout_s) or missed(r, objectives))]
    best = max(_per_min(r) for r in sound) if sound else None
    if best is None:
        first = ranked[0]
        objection = _objection(first, timeout_s) or missed(first, objectives)
        why = f"at {first.level:g} in flight: {objection}"
        return Advice(target=target, knee=bend, why=why)
    chosen = next((r for r in sound if _gives_enough(r, bend, best)), sound[-1])
    return Advice(
        target=target,
        knee=bend,
        concurrency=_places(chosen),
        level=chosen.level,
        why=_held_back(chosen, ladder, objectives) or _reason(chosen, sound, bend),
        best_per_min=best,
    )


def _held_back(chosen: Rung, ladder: Sequence[Rung], objectives: Sequence[Objective]) -> str:
    """The objective that forbids the next rung; empty: none does."""
    above = next((r for r in ladder if r.level > chosen.level), None)
    objection = missed(above, objectives) if above is not None else ""
    return f"at {above.level:g}: {objection}" if above is not None and objection else ""


def _gives_enough(rung: Rung, bend: Knee, best: float) -> bool:
    """By the fit where the knee was passed, which all rungs support; else by the best rung."""
    if bend.status == "passed" and bend.x_max_s is not None and rung.latency.mean is not None:
        return rung.in_flight / rung.latency.mean.est >= ENOUGH * bend.x_max_s
    return _per_min(rung) >= ENOUGH * best


def _places(rung: Rung) -> int:
    """Its calls in flight; where a cap held them down, as many as there really were."""
    held_down = rung.turned_away and rung.in_flight < REALLY * rung.level
    return max(1, round(rung.in_flight)) if held_down else int(rung.level)


def _steps(ladder: Sequence[Rung]) -> list[Step]:
    return [
        Step(r.in_flight, r.latency.mean.est, r.latency.n)
        for r in ladder
        if r.latency.mean is not None and r.in_flight > 0
    ]


def _per_min(rung: Rung) -> float:
    return rung.useful_per_min.est if rung.useful_per_min is not None else 0.0


def _precision(rung: Rung) -> float:
    return rung.useful_per_min.precision if rung.useful_per_min is not None else math.inf


def _objection(rung: Rung, timeout_s: float) -> str:
    """Why a rung is not to be used; empty: it may."""
    if (limited := rung.limited.est or 0.0) > TOLERATED:
        return f"{limited:.1%} of requests were turned away (429)"
    if (failed := rung.failed.est or 0.0) > TOLERATED:
        return f"{failed:.1%} of requests failed"
    slow = _slowest_s(rung.latency)
    if slow is not None and slow > OF_TIMEOUT * timeout_s:
        return f"the slowest take {slow:.0f} s, and the timeout is {timeout_s:g} s"
    return ""


def _slowest_s(latency: Spread) -> float | None:
    """The highest percentile that there are enough values for."""
    for found in (latency.p99, latency.p95, latency.p90, latency.p50):
        if found is not None:
            return found.est
    return None


def _reason(chosen: Rung, sound: Sequence[Rung], bend: Knee) -> str:
    if chosen is sound[-1] and bend.status != "passed":
        return f"still rising at {chosen.level:g}: a longer ladder may find more"
    if bend.in_flight is not None:
        kind = "soft knee" if bend.soft else "knee"
        return f"{kind} at {bend.in_flight:.1f} in flight"
    return "more calls in flight bring less than 5 % more"
