"""When each provider's share of a sweep is over, if so many calls are in flight. Pure.

See engine/benching/predicted.py for the picture that this draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from data.catalog import accounts_of
from data.codec import replace
from data.schema import ProviderSpec, Struct
from engine.benching.advice import Advice
from engine.benching.ahead import Leg
from engine.benching.discovered import LimitFound
from engine.benching.pace import REFERENCES, pace
from engine.benching.rungs import Rung
from engine.bound import Load, bound_of, together

MODEL = 0.04
"""Share by which the picture of time may be wrong although all that was measured is right."""
NARROWER = 1.2816 / 1.9600
"""From an interval of 95 % to one of 80 %, both normal."""
FOUND = ("rpm", "tpm", "input_tpm", "output_tpm", "rpd")
PACE = "pace"


class Measured(Struct, frozen=True):
    """What was measured, by target; and limits that were met."""

    rungs: Mapping[str, Sequence[Rung]]
    advice: Mapping[str, Advice]
    limits: Sequence[LimitFound]


class Work:
    """One leg at so many calls in flight."""

    def __init__(self, leg: Leg, found: Measured, places: int) -> None:
        advice = found.advice.get(leg.target)
        self.leg = leg
        self.pace = pace(
            leg, found.rungs.get(leg.target, ()), places, advice.knee if advice else None
        )

    @property
    def mean_s(self) -> float:
        return self.pace.latency_s if self.pace is not None else 0.0

    @property
    def slow_s(self) -> float:
        return self.pace.slow_s if self.pace is not None else 0.0

    @property
    def spread(self) -> float:
        return self.pace.spread if self.pace is not None else 1.0

    @property
    def requests(self) -> float:
        return self.leg.calls * self.leg.attempts


class Span(Struct, frozen=True):
    """When one provider's work is over."""

    provider: str
    constraint: str
    busy_s: float
    end_s: float
    low_s: float
    high_s: float


def span_of(
    name: str,
    places: int,
    works: Sequence[Work],
    spec: ProviderSpec,
    limits: Sequence[LimitFound],
) -> Span:
    own = [work for work in works if work.leg.provider == name]
    requests = sum(work.requests for work in own)
    seconds = sum(work.requests * work.mean_s for work in own)
    load = Load(
        requests=round(requests),
        input_tokens=sum(work.leg.input_tokens for work in own),
        output_tokens=sum(work.leg.output_tokens for work in own),
        latency_s=seconds / max(requests, 1),
        chain_s=max((work.mean_s * work.leg.turns for work in own), default=0.0),
    )
    bound = bound_of(_limited(spec, places, limits), load)
    by_places = bound.constraint.startswith("calls in flight")
    judges = [work for work in works if work.leg.target.startswith("judge:")]
    models = [work for work in works if work.leg.target.startswith("model:")]
    last = own if any(work in judges for work in own) or not judges else judges
    mean_s = max((work.mean_s for work in last), default=0.0)
    slow_s = max(work.slow_s for work in last)
    wait_s = slow_s - mean_s / 2 if by_places else mean_s
    if last is judges and own is not judges:
        wait_s += max(work.mean_s for work in own) / 2
    start_s = 0.0
    if models and not any(work in models for work in own):
        start_s = min(work.mean_s for work in models)
    end_s = start_s + bound.seconds + wait_s
    spread = _spread(own, seconds, bound.constraint)
    return Span(
        name,
        bound.constraint,
        bound.seconds,
        end_s,
        start_s + bound.seconds * (1 - spread) + wait_s / 2,
        start_s + bound.seconds * (1 + spread) + wait_s + slow_s,
    )


def _spread(own: Sequence[Work], seconds: float, constraint: str) -> float:
    """Half the 80 % interval of the busy time, as a share."""
    shares = []
    for work in own:
        weight = work.requests * work.mean_s / seconds if seconds else 0.0
        if constraint.startswith("calls in flight"):
            shares.append(weight * work.spread * NARROWER)
        elif "tokens" in constraint:
            more = REFERENCES if work.leg.on_references else 0.0
            shares.append(weight * math.hypot(work.leg.spread, more) * NARROWER)
    return math.sqrt(sum(share**2 for share in shares) + MODEL**2)


def _limited(spec: ProviderSpec, places: int, limits: Sequence[LimitFound]) -> ProviderSpec:
    """The provider's accounts together, with what was found of the first taken to hold for all."""
    accounts = accounts_of(spec)
    whole = together(spec)
    changed: dict[str, float] = {}
    cap: float = places
    for limit in limits:
        if limit.account != accounts[0].name:
            continue
        value = limit.value * len(accounts)
        if limit.name == "concurrency":
            cap = min(cap, value)
        name = "rpm" if limit.name == PACE else limit.name
        if name in FOUND:
            before = changed.get(name) or getattr(whole, name)
            changed[name] = min(before, value) if before else value
    return replace(whole, concurrency=max(1, int(cap)), **changed)
