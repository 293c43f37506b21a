"""What pacing promises, under schedules nobody would think of: limits, sizes, faults, changes.

Each schedule is played on virtual time against `Limits` behind a gate, as an account has it; then every
admission is held against every limit that was in force at that moment, by sums that are made here.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import TooLarge
from data.schema import Usage
from engine.limits import Limits, Need, Permit
from engine.runtime import run
from tests.toy_account import HAIR_S, Client, Tells, Toy

MINUTE_S, DAY_S = 60.0, 86_400.0
End: TypeAlias = Literal["ok", "ok", "ok", "told", "silent", "broken", "unused"]
TOKENS: dict[str, Callable[[Need], int]] = {
    "tpm": lambda n: n.input_tokens + n.output_tokens,
    "input_tpm": lambda n: n.input_tokens,
    "output_tpm": lambda n: n.output_tokens,
}


@dataclass(frozen=True)
class Call:
    """What one call reserves and takes, for how long, and how it ends."""

    asked: int
    said: int
    really: float
    """Real ÷ reserved output."""
    latency_s: float
    end: str
    told_s: float


@dataclass(frozen=True)
class Schedule:
    """Limits, calls, and changes of limits: (seconds after the one before, name, factor)."""

    limits: dict[str, float]
    concurrency: int
    calls: list[Call]
    changes: list[tuple[float, str, float]]


@dataclass
class Sent:
    """One admission, and what held at that moment."""

    number: int
    permit: Permit
    in_force: dict[str, float]
    concurrency: int
    in_flight: int
    headed_at: float
    """When it stood first in the gate."""
    real: Need | None = None
    ended_at: float = math.inf

    def cost(self, now: float) -> Need:
        """What it counts for: its reservation, or what it really took once that is known."""
        return self.real if self.real is not None and self.ended_at <= now else self.permit.need


@dataclass
class Play:
    """A schedule while it is played."""

    schedule: Schedule
    sent: list[Sent] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """(a told 429 came, until when it asked to wait)"""
    changed_at: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    excess: int = 0

    async def main(self) -> Play:
        schedule, loop = self.schedule, asyncio.get_running_loop()
        self.in_force = dict(schedule.limits)
        self.limits = Limits(
            rpm=schedule.limits.get("rpm"),
            concurrency=schedule.concurrency,
            **{name: limit for name, limit in schedule.limits.items() if name != "rpm"},
        )
        due = 0.0
        for after_s, name, factor in schedule.changes:
            due += after_s
            if name in self.in_force:
                loop.call_at(due, self._change, name, factor)
        self.gate = asyncio.Lock()
        async with anyio.create_task_group() as group:
            for number, call in enumerate(schedule.calls):
                group.start_soon(self._call, number, call)
        self.excess = self.limits.statistics(loop.time()).excess_tokens
        return self

    def _change(self, name: str, factor: float) -> None:
        now = asyncio.get_running_loop().time()
        self.in_force[name] = max(1.0, round(self.in_force[name] * factor))
        self.limits.set(name, self.in_force[name], "control", now)
        self.changed_at.append(now)

    async def _call(self, number: int, call: Call) -> None:
        loop, limits = asyncio.get_running_loop(), self.limits
        async with self.gate:
            headed_at = loop.time()
            try:
                permit = await limits.admit(Need(call.asked, call.said))
            except TooLarge:
                self.refused.append(number)
                return
            one = Sent(
                number,
                permit,
                dict(self.in_force),
                limits.concurrency,
                limits.in_flight,
                headed_at,
            )
            self.sent.append(one)
        if call.end == "unused":
            one.real, one.ended_at = Need(), loop.time()
            limits.unused(permit)
            return
        await asyncio.sleep(call.latency_s)
        one.ended_at = now = loop.time()
        if call.end == "ok":
            one.real = Need(call.asked, round(call.said * call.really))
            limits.succeeded(permit, Usage(call.asked, one.real.output_tokens), now)
        elif call.end == "broken":
            limits.troubled(permit, now)
        else:
            one.real = Need()
            told_s = call.told_s if call.end == "told" else None
            if told_s is not None:
                self.pauses.append((now, now + told_s))
            limits.rejected(permit, told_s, now, rate=True if told_s else None)


def played(schedule: Schedule) -> Play:
    return run(Play(schedule).main, virtual=True)


# --- schedules ---------------------------------------------------------------------------------

LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "rpm": st.integers(2, 4000).map(float),
        "tpm": st.integers(1500, 40_000).map(float),
        "input_tpm": st.integers(700, 20_000).map(float),
        "output_tpm": st.integers(700, 20_000).map(float),
        "rpd": st.integers(10, 60).map(float),
    },
)
CHANGES = st.lists(
    st.tuples(
        st.floats(0.5, 90),
        st.sampled_from(["rpm", "tpm", "input_tpm", "output_tpm", "rpd"]),
        st.sampled_from([0.3, 0.5, 1.5, 2.0]),
    ),
    max_size=5,
)


def calls(
    ends: st.SearchStrategy[str], really: st.SearchStrategy[float]
) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        asked=st.integers(0, 300),
        said=st.integers(1, 350),
        really=really,
        latency_s=st.one_of(st.floats(0.01, 3), st.floats(1, 120)),
        end=ends,
        told_s=st.floats(0.05, 60),
    )


ENDS = st.sampled_from(["ok", "ok", "ok", "ok", "told", "silent", "broken", "unused"])
ANY = st.builds(
    Schedule,
    limits=LIMITS,
    concurrency=st.integers(1, 20),
    calls=st.lists(calls(ENDS, st.floats(0.0, 1.0)), min_size=20, max_size=70),
    changes=CHANGES,
)
QUICK = st.builds(
    Call,
    asked=st.just(0),
    said=st.just(1),
    really=st.just(1.0),
    latency_s=st.floats(0.01, 0.5),
    end=st.just("ok"),
    told_s=st.just(0.0),
)
RATES = st.builds(
    Schedule,
    limits=st.fixed_dictionaries({"rpm": st.integers(60, 1500).map(float)}),
    concurrency=st.just(20),
    calls=st.lists(QUICK, min_size=60, max_size=90),
    changes=st.lists(
        st.tuples(st.floats(0.3, 8), st.just("rpm"), st.sampled_from([0.1, 0.3, 2.0])),
        min_size=1,
        max_size=4,
    ),
)
"""Nothing but a rate that changes while it is used to the full."""


# --- no limit is ever exceeded -----------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(schedule=st.one_of(ANY, RATES))
def test_no_stated_limit_is_exceeded_in_any_sliding_window(schedule: Schedule) -> None:
    """Requests in any minute, second and day, tokens of each kind, calls in flight: at each admission."""
    play = played(schedule)
    for last, one in enumerate(play.sent):
        now, before = one.permit.at, play.sent[: last + 1]
        assert one.in_flight <= one.concurrency
        rpm, rpd = one.in_force.get("rpm"), one.in_force.get("rpd")
        if rpm is not None:
            assert within(before, now, MINUTE_S) <= max(1, math.ceil(rpm))
            assert within(before, now, 1.0) <= max(1, math.ceil(rpm / 60))
        if rpd is not None:
            assert within(before, now, DAY_S) <= rpd
        for name in TOKENS.keys() & one.in_force.keys():
            recent = [s for s in before if s.permit.at > now - MINUTE_S + HAIR_S]
            taken = sum(TOKENS[name](s.cost(now)) for s in recent)
            assert taken <= one.in_force[name], name


def within(sent: list[Sent], now: float, span_s: float) -> int:
    """Admissions in the half-open window that ends now."""
    return sum(s.permit.at > now - span_s + HAIR_S for s in sent)


@settings(max_examples=40, deadline=None)
@given(schedule=ANY)
def test_nothing_goes_out_before_a_told_end(schedule: Schedule) -> None:
    """Whatever else is going on."""
    play = played(schedule)
    for one in play.sent:
        assert not [1 for came, until in play.pauses if came < one.permit.at < until - HAIR_S]


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(4000, 30_000),
    sizes=st.lists(st.tuples(st.integers(20, 300), st.integers(50, 300)), min_size=20, max_size=60),
    seed=st.integers(0, 999),
)
def test_tokens_beyond_a_limit_are_reported_to_the_last_one(
    limit: int, sizes: list[tuple[int, int]], seed: int
) -> None:
    """Estimates too low by up to a half: the most that any minute holds too much is what is reported."""
    dice = random.Random(seed)
    made = [
        Call(asked, said, dice.uniform(0.5, 1.5), dice.uniform(0.5, 20.0), "ok", 0.0)
        for asked, said in sizes
    ]
    play = played(Schedule({"tpm": float(limit)}, 16, made, []))
    moments = sorted({moment for s in play.sent for moment in (s.permit.at, s.ended_at)})
    worst = 0.0
    for now in moments:
        recent = [s for s in play.sent if now - MINUTE_S + HAIR_S < s.permit.at <= now]
        worst = max(worst, sum(TOKENS["tpm"](s.cost(now)) for s in recent) - limit)
    assert worst <= play.excess


# --- nobody starves ----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(schedule=ANY)
def test_calls_leave_in_the_order_in_which_they_came_and_all_of_them_leave(
    schedule: Schedule,
) -> None:
    """However large: each is sent once, or refused at once because it never could be."""
    play = played(schedule)
    order = [s.number for s in play.sent]
    assert order == sorted(order)
    assert sorted(order + play.refused) == list(range(len(schedule.calls)))


@settings(max_examples=60, deadline=None)
@given(
    limits=LIMITS.map(lambda limits: {k: v for k, v in limits.items() if k != "rpd"}),
    concurrency=st.integers(1, 20),
    wanted=st.lists(
        calls(st.sampled_from(["ok", "broken"]), st.floats(0.0, 1.0)), min_size=15, max_size=60
    ),
    changes=CHANGES,
)
def test_whoever_is_first_waits_no_longer_than_the_limits_need(
    limits: dict[str, float],
    concurrency: int,
    wanted: list[Call],
    changes: list[tuple[float, str, float]],
) -> None:
    """A window's length, a spacing, and the slowest call in flight; a change of limits begins anew.

    Nine breaks at most, so that the breaker stays out of it: its waits are its own (test_breaker.py).
    """
    broken = itertools.count()
    calm = [
        c if c.end == "ok" or next(broken) < 9 else Call(c.asked, c.said, 1.0, c.latency_s, "ok", 0)
        for c in wanted
    ]
    play = played(Schedule(limits, concurrency, calm, changes))
    slowest = max(c.latency_s for c in calm)
    for one in play.sent:
        rates = [one.in_force.get("rpm", math.inf) / 2, limits.get("rpm", math.inf)]
        patience = MINUTE_S + 1.0 + 2 * MINUTE_S / min(rates) + slowest
        since = max([one.headed_at, *(at for at in play.changed_at if at <= one.permit.at)])
        assert one.permit.at - since <= patience


@settings(max_examples=25, deadline=None)
@given(tpm=st.integers(2000, 10_000), share=st.floats(0.5, 1.0), small=st.integers(20, 100))
def test_a_call_that_needs_a_whole_window_is_not_overtaken_for_ever(
    tpm: int, share: float, small: int
) -> None:
    """In an endless stream of small ones it leaves within two minutes of its turn."""
    large = Call(0, int(tpm * share), 1.0, 2.0, "ok", 0.0)
    stream = [Call(0, small, 1.0, 2.0, "ok", 0.0)] * 60
    play = played(Schedule({"tpm": float(tpm)}, 8, [*stream, large, *stream], []))
    (one,) = [s for s in play.sent if s.number == 60]
    assert one.permit.at - one.headed_at <= 2 * MINUTE_S
    assert len(play.sent) == 121


# --- too large ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(TOKENS)),
    limit=st.integers(10, 2000),
    asked=st.integers(0, 3000),
    said=st.integers(0, 3000),
    least=st.floats(0.0, 1.0),
)
def test_a_call_is_refused_if_and_only_if_the_least_of_it_is_more_than_a_window(
    name: str, limit: int, asked: int, said: int, least: float
) -> None:
    """At once, with the limit's name; else it goes, and reserves no more than the window."""
    need = Need(asked, said, int(asked * least), int(said * least))

    async def main() -> tuple[Permit | str, float]:
        limits = Limits(rpm=None, concurrency=1, **{name: float(limit)})
        try:
            return await limits.admit(need), asyncio.get_running_loop().time()
        except TooLarge as error:
            return str(error), asyncio.get_running_loop().time()

    outcome, now = run(main, virtual=True)
    assert now < HAIR_S
    if TOKENS[name](need.least) > limit:
        assert isinstance(outcome, str)
        assert "raise it or lower max_tokens" in outcome
        assert f"limit is {limit}" in outcome
    else:
        assert isinstance(outcome, Permit)
        taken = outcome.need
        assert TOKENS[name](taken) == min(TOKENS[name](need), limit)
        assert taken.input_tokens >= need.least.input_tokens
        assert taken.output_tokens >= need.least.output_tokens


# --- recovery ----------------------------------------------------------------------------------

CHANGE_S, SPAN_S = 420.0, 300.0


def recovery_s(tells: Tells, rpm: float) -> float:
    """Two minutes where the limit is told; else three, and the time of 300 calls at the old rate:
    probing costs refusals, and calls pay for them."""
    return 120.0 if tells == "all" else 180.0 + 300 * 60.0 / rpm


@pytest.mark.parametrize("rpm", [60, 150, 300])
@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("tells", ["all", "wait", "nothing"])
def test_after_a_limit_doubles_or_halves_nine_tenths_of_it_are_used_again(
    tells: Tells, factor: float, rpm: int
) -> None:
    """In a minute before recovery is due; and then, probes that fail included, more than eight tenths.

    Nobody stated the limit.
    """
    toy = Toy(
        random.Random(rpm),
        rpm=lambda now: rpm if now < CHANGE_S else rpm * factor,
        latency_s=1.0,
        tells=tells,
    )
    due, limit = CHANGE_S + recovery_s(tells, rpm), rpm * factor

    async def main() -> None:
        endless = itertools.repeat((Need(), 1))
        client = Client(Limits(rpm=None, concurrency=20), toy, endless)
        await client.work(20, due + SPAN_S)

    run(main, virtual=True)
    minutes = [CHANGE_S + 15.0 * n for n in range(int((due - CHANGE_S) / 15) - 3)]
    assert max(accepted(toy, start, MINUTE_S) for start in minutes) >= 0.9 * limit
    assert accepted(toy, due, SPAN_S) >= (0.95 if tells == "all" else 0.8) * limit * SPAN_S / 60
    late = sum(at >= CHANGE_S for at in toy.refused)
    if tells == "all":
        assert late <= 3
    else:
        assert late <= 20 + 0.06 * accepted(toy, CHANGE_S, math.inf)


def accepted(toy: Toy, start: float, span_s: float) -> int:
    return sum(start <= at < start + span_s for at, _ in toy.accepted)
