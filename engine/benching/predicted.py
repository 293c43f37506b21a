"""How long the rest of a sweep takes and what it costs, by what a benchmark measured. Pure.

Each provider's share of the work takes the largest of what its limits allow and of

    calls x attempts a call x mean latency at N calls in flight / N        (Little's law, L = λ W)

where the latency of each model and judge is that of its own rungs (engine/benching/pace.py). Providers
work side by side, so the slowest decides; judges on a provider of their own begin when the first answer
is there, and the last judgment follows the last answer. At the end places stand empty
while the slowest calls are awaited: that adds their 95th percentile less half a mean.

Money that runs out. A budget lets calls go while their worst cases fit, so near the end fewer and fewer
are in flight: what is left, R, shrinks by R/w calls at a time (w: the worst case of one), which takes
w W / c · ln(λ W) seconds beyond the time at full rate (c: mean cost, W: mean latency, λ: rate).

Intervals hold 80 %: those of latency, tokens and money at that level, together with `MODEL`, what the
picture itself leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from data.codec import replace
from data.schema import ProviderSpec, Struct
from engine.benching.ahead import Left, Leg
from engine.benching.pace import REFERENCES
from engine.benching.spans import NARROWER, Measured, Span, Work, span_of
from engine.bound import together

MODEL_MONEY = 0.03
"""Share by which the money may be off although all that was measured is right."""

Plan = Literal["as written", "recommended", "fastest"]


class Between(Struct, frozen=True):
    """An estimate and its 80 % interval."""

    est: float
    low: float
    high: float


class Scenario(Struct, frozen=True, kw_only=True):
    """The rest of the sweep with so many calls in flight at each provider."""

    in_flight: dict[str, int]
    """By provider."""
    duration_s: Between | None = None
    """None: a target was not measured near that many calls in flight (`unknown` names it)."""
    cost: Between | None = None
    """Nano-units; None: some price is unknown."""
    bottleneck: str = ""
    """The provider, and the constraint that decides how long it takes."""
    stops: bool = False
    """The budget ends it before all is done; the figures are those of its end."""
    done: float = 1.0
    """The share of the work that the budget lets be done."""
    in_time: bool | None = None
    """Does the upper end meet the deadline? None: there is none, or no duration."""
    sound: bool = True
    """At most 1 % of 429s and of failures at these rungs, and this machine kept up."""
    unknown: tuple[str, ...] = ()


class Choice(Struct, frozen=True):
    """A scenario by what it is good for."""

    plan: Plan
    why: str
    scenario: Scenario


class Cheapness(Struct, frozen=True, kw_only=True):
    """One target among those of its kind. Nano-units and calls."""

    target: str
    calls: int
    cost: int | None
    per_min: float | None
    """Useful results at its recommended (or best) rung."""


class Prediction(Struct, frozen=True, kw_only=True):
    """The rest of this sweep."""

    currency: str
    legs: tuple[Leg, ...]
    missing: tuple[str, ...]
    """Not measured, and so not in any figure."""
    booked: int
    budget: int | None
    deadline_s: float | None
    ladder: tuple[Scenario, ...]
    """Every provider at the same rung."""
    choices: tuple[Choice, ...]
    targets: tuple[Cheapness, ...]
    made_s: float = 0.0
    """Seconds since the epoch."""


class Wish(Struct, frozen=True):
    """Whoever asks: nano-units in all, and seconds."""

    budget: int | None = None
    deadline_s: float | None = None


def prediction(
    rest: Left,
    found: Measured,
    providers: Sequence[ProviderSpec],
    *,
    currency: str,
    wish: Wish,
    made_s: float,
) -> Prediction:
    """Every rung, and what to choose."""
    specs = {spec.name: spec for spec in providers}
    used = [name for name in specs if any(leg.provider == name for leg in rest.legs)]
    levels = sorted({r.level for own in found.rungs.values() for r in own if r.load == "closed"})
    ladder = [
        scenario(rest, found, specs, dict.fromkeys(used, int(level)), wish) for level in levels
    ]
    written = {name: together(specs[name]).concurrency for name in used}
    advised = {name: _advised(name, rest.legs, found) for name in used}
    now = scenario(rest, found, specs, written, wish)
    best = None
    if all(advised.values()):
        wanted = {name: places for name, places in advised.items() if places is not None}
        best = scenario(rest, found, specs, wanted, wish)
    return Prediction(
        currency=currency,
        legs=rest.legs,
        missing=rest.missing,
        booked=rest.booked,
        budget=wish.budget,
        deadline_s=wish.deadline_s,
        ladder=tuple(ladder),
        choices=tuple(_choices(now, best, ladder, wish)),
        targets=tuple(_cheapness(leg, found) for leg in rest.legs),
        made_s=made_s,
    )


def scenario(
    rest: Left,
    found: Measured,
    specs: Mapping[str, ProviderSpec],
    in_flight: Mapping[str, int],
    wish: Wish,
) -> Scenario:
    """One way to do the rest."""
    works = [Work(leg, found, in_flight[leg.provider]) for leg in rest.legs]
    unknown = tuple(work.leg.target for work in works if work.pace is None)
    cost = _cost(rest.legs)
    whole = Scenario(in_flight=dict(in_flight), cost=cost, unknown=unknown)
    if unknown or not works:
        return whole
    spans = [
        span_of(name, places, works, specs[name], found.limits)
        for name, places in in_flight.items()
    ]
    slowest = max(spans, key=lambda span: span.end_s)
    duration = Between(slowest.end_s, slowest.low_s, slowest.high_s)
    whole = replace(
        whole,
        duration_s=duration,
        bottleneck=f"{slowest.provider}: {slowest.constraint}",
        sound=all(work.pace is not None and work.pace.sound for work in works),
    )
    if wish.budget is not None and cost is not None:
        whole = _broke(whole, works, wish.budget - rest.booked, slowest)
    if wish.deadline_s is not None and whole.duration_s is not None:
        whole = replace(whole, in_time=whole.duration_s.high <= wish.deadline_s)
    return whole


# --- money -------------------------------------------------------------------------------------


def _cost(legs: Sequence[Leg]) -> Between | None:
    if any(leg.cost is None for leg in legs):
        return None
    total = float(sum(leg.cost or 0 for leg in legs))
    spreads = [math.hypot(leg.cost_spread, REFERENCES * leg.on_references) for leg in legs]
    parts = sum(((leg.cost or 0) * s * NARROWER) ** 2 for leg, s in zip(legs, spreads, strict=True))
    half = math.sqrt(parts + (MODEL_MONEY * total) ** 2)
    return Between(total, max(0.0, total - half), total + half)


def _broke(whole: Scenario, works: Sequence[Work], room: int, span: Span) -> Scenario:
    """As far as the money goes. `room`: what the budget has left."""
    assert whole.cost is not None
    assert whole.duration_s is not None
    worst = max((work.leg.worst_call or 0 for work in works), default=0)
    if whole.cost.est + worst <= room:
        return whole
    requests = sum(work.requests for work in works)
    each = whole.cost.est / max(requests, 1e-9)
    latency_s = sum(work.requests * work.mean_s for work in works) / max(requests, 1e-9)
    rate = requests / span.busy_s if span.busy_s else math.inf
    at_once = max(rate * latency_s, 1.0)
    spent = float(max(0, min(room, whole.cost.est)))
    free = max(0.0, spent - at_once * worst)
    tail_s = worst * latency_s / each * math.log(at_once) if each and worst else 0.0
    share = spent / whole.cost.est if whole.cost.est else 1.0
    seconds = min(free / each / rate + tail_s + latency_s, whole.duration_s.est)
    loose = (whole.cost.high - whole.cost.low) / 2 / whole.cost.est
    half = math.hypot((whole.duration_s.high - whole.duration_s.low) / 2 * share, loose * seconds)
    return replace(
        whole,
        duration_s=Between(seconds, max(0.0, seconds - half - tail_s / 2), seconds + half + tail_s),
        cost=Between(spent, max(0.0, min(spent, whole.cost.low, room - worst)), spent),
        bottleneck=f"the budget: {share:.0%} of the work",
        stops=True,
        done=min(share, 1.0),
    )


# --- choices -----------------------------------------------------------------------------------


def _advised(provider: str, legs: Sequence[Leg], found: Measured) -> int | None:
    """The most that is recommended for any of its models and judges, as `bench apply` has it."""
    places = [
        advice.concurrency
        for leg in legs
        if leg.provider == provider and (advice := found.advice.get(leg.target)) is not None
    ]
    return max((n for n in places if n is not None), default=None)


def _choices(
    now: Scenario, best: Scenario | None, ladder: Sequence[Scenario], wish: Wish
) -> list[Choice]:
    """As written, recommended, fastest."""
    found = [Choice("as written", "the sweep file's calls in flight", now)]
    fit = [one for one in (best, *ladder) if one is not None and one.duration_s is not None]
    sound = [one for one in fit if one.sound] or fit
    if best is not None and best.duration_s is not None:
        chosen, why = best, "the fewest calls in flight that give 95 % of the most"
        if wish.deadline_s is not None and not best.in_time:
            early = [one for one in sound if one.in_time]
            chosen = early[0] if early else chosen
            why = "meets the deadline" if early else "no rung meets the deadline; this comes near"
        found.append(Choice("recommended", why, chosen))
    if sound:
        fastest = min(sound, key=_seconds)
        found.append(Choice("fastest", "of the rungs that may be used", fastest))
    return found


def _seconds(one: Scenario) -> float:
    return one.duration_s.est if one.duration_s is not None else math.inf


def _cheapness(leg: Leg, found: Measured) -> Cheapness:
    advice = found.advice.get(leg.target)
    return Cheapness(
        target=leg.target,
        calls=leg.calls,
        cost=leg.cost,
        per_min=advice.best_per_min if advice is not None else None,
    )
