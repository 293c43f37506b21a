"""Learning how many calls an account accepts at a time: rules, and a simulated server that hides it."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.concurrency import REMEMBERED, ConcurrencyController

REFUSAL_S = 0.15
"""A server answers a 429 at once."""
SIGMA = 0.5
ROUND_S = 9.0
"""Median latency of a call."""


@dataclass
class Played:
    """What a simulated run came to."""

    controller: ConcurrencyController
    done_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    def accepted(self, start: float, end: float) -> int:
        return sum(start <= t < end for t in self.done_at)

    def refused(self, start: float, end: float) -> int:
        return sum(start <= t < end for t in self.refused_at)


def latency_s(dice: random.Random) -> float:
    return ROUND_S * dice.lognormvariate(0.0, SIGMA)


MEAN_S = ROUND_S * math.exp(SIGMA**2 / 2)


def play(
    server_cap: Callable[[float], int],
    *,
    cap: int = 1000,
    end_s: float,
    seed: int = 1,
    tell: bool = False,
    exact: bool = True,
) -> Played:
    """A server that takes `server_cap(now)` calls at a time, a client that always has work."""
    dice = random.Random(seed)
    controller = ConcurrencyController(cap)
    played = Played(controller)
    events: list[tuple[float, int, bool, float]] = []
    now, serial, in_flight, busy = 0.0, 0, 0, 0
    while now < end_s:
        while in_flight < controller.limit:
            in_flight += 1
            controller.sent(in_flight, now)
            accepted = busy < server_cap(now)
            busy += accepted
            serial += 1
            wait = latency_s(dice) if accepted else REFUSAL_S
            heapq.heappush(events, (now + wait, serial, accepted, now))
        now, _, accepted, sent_at = heapq.heappop(events)
        told_at = sent_at if exact else None
        in_flight -= 1
        if accepted:
            busy -= 1
            controller.succeeded(in_flight, now, sent_at=told_at)
            played.done_at.append(now)
        else:
            controller.rejected(now, server_cap(now) if tell else None, sent_at=told_at)
            played.refused_at.append(now)
    return played


def ideal(server_cap: Callable[[float], int], start: float, end: float) -> float:
    """Calls that a server with so many slots can answer from `start` to `end` at most, on average."""
    steps = 1000
    width = (end - start) / steps
    slots = sum(server_cap(start + (n + 0.5) * width) for n in range(steps)) / steps
    return slots * (end - start) / MEAN_S


def halves_then_doubles(now: float) -> int:
    return 50 if now < 600 else 25 if now < 1200 else 50


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("slots", [1, 5, 20, 50, 200])
def test_a_hidden_number_of_slots_is_found_filled_and_hardly_ever_overstepped(
    slots: int, exact: bool
) -> None:
    """After two minutes: at least 0.9 of what the server can do, at most 2 % refused."""
    played = play(lambda now: slots, end_s=1500, exact=exact)
    accepted, refused = played.accepted(120, 1500), played.refused(120, 1500)
    assert refused <= 0.02 * accepted
    assert accepted >= 0.9 * ideal(lambda now: slots, 120, 1500)
    assert played.controller.statistics().ceiling == slots


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("exact", [True, False])
def test_slots_that_halve_and_double_again_are_followed(seed: int, exact: bool) -> None:
    """A halved account is given a dozen refusals, a doubled one is filled within 100 s."""
    played = play(halves_then_doubles, end_s=1800, seed=seed, exact=exact)
    assert played.refused(600, 700) <= 12
    assert played.refused(60, 1800) <= 0.02 * played.accepted(60, 1800)
    for start, end in ((60, 600), (700, 1200), (1300, 1800)):
        assert played.accepted(start, end) >= 0.9 * ideal(halves_then_doubles, start, end)
    assert played.accepted(60, 1800) >= 0.9 * ideal(halves_then_doubles, 60, 1800)


def test_a_told_number_is_obeyed_at_the_first_refusal() -> None:
    """Nothing has to be learned, and what lies above is tried eight times less often."""
    played = play(lambda now: 50, end_s=1500, tell=True)
    stats = played.controller.statistics()
    assert next(c.after for c in stats.changes if c.cause == "told") == 50
    assert stats.told
    assert played.refused(60, 1500) <= 0.003 * played.accepted(60, 1500)
    assert played.accepted(60, 1500) >= 0.95 * ideal(lambda now: 50, 60, 1500)


def test_an_account_without_a_limit_is_used_up_to_the_configured_cap() -> None:
    """Slow start doubles a round: 20 to 640 in a minute of 9 s calls; and then no further."""
    played = play(lambda now: 10_000, cap=640, end_s=90)
    assert played.controller.limit == 640
    assert not played.refused_at
    assert [c.cause for c in played.controller.statistics().changes] == ["growth"] * len(
        played.controller.statistics().changes
    )


def fed(controller: ConcurrencyController, calls: int, now: float, in_flight: int) -> float:
    """So many calls that are sent and answered with `in_flight` others in the air."""
    for _ in range(calls):
        now += 0.1
        controller.sent(in_flight, now)
        controller.succeeded(in_flight - 1, now + 0.05, sent_at=now)
    return now


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    """Success with 15 of 20 in flight says nothing about 21; with 16, 80 %, it does."""
    controller = ConcurrencyController(100)
    now = fed(controller, 500, 0.0, in_flight=15)
    assert controller.limit == 20
    fed(controller, 40, now, in_flight=16)
    assert controller.limit > 20


def test_a_burst_of_refusals_cuts_once() -> None:
    """20 % for the first; those sent before the cut only correct what is remembered."""
    controller = ConcurrencyController(100)
    for n in range(1, 21):
        controller.sent(n, 0.0)
    for _ in range(3):
        controller.rejected(0.2, sent_at=0.0)
    stats = controller.statistics()
    assert (stats.limit, stats.ceiling, stats.episodes) == (16, 17, 1)


def test_a_refusal_of_a_call_sent_after_the_cut_cuts_again() -> None:
    """It was sent at the new level, so the new level is too high as well."""
    controller = ConcurrencyController(100)
    controller.sent(20, 0.0)
    controller.rejected(0.2, sent_at=0.0)
    controller.sent(16, 1.0)
    controller.rejected(1.2, sent_at=1.0)
    assert (controller.limit, controller.statistics().episodes) == (12, 2)


def test_the_refused_of_one_great_burst_are_subtracted_and_half_is_remembered() -> None:
    """15 of 20 refused at once: five places are taken, so five it is; not for long, if it was a rate."""
    controller = ConcurrencyController(100)
    for n in range(1, 21):
        controller.sent(n, 0.0)
    for _ in range(15):
        controller.rejected(0.2, sent_at=0.0)
    stats = controller.statistics()
    assert (stats.limit, stats.ceiling) == (5, 10)
    fed(controller, 12, 0.2, in_flight=5)
    assert controller.limit == 10


def test_trouble_stops_growth_for_a_round_and_cuts_nothing() -> None:
    """A 5xx or a timeout is not about the number of calls."""
    controller = ConcurrencyController(100)
    controller.sent(20, 0.0)
    controller.troubled(0.1)
    now = fed(controller, 18, 0.1, in_flight=20)
    assert controller.limit == 20
    fed(controller, 30, now, in_flight=20)
    assert controller.limit > 20


def test_a_told_number_above_the_limit_still_cuts() -> None:
    """Somebody else uses the same account: ours is refused at less than the told number."""
    controller = ConcurrencyController(100)
    controller.sent(20, 0.0)
    controller.rejected(0.2, 500, sent_at=0.0)
    assert controller.limit == 16


def test_the_log_says_when_what_and_why_and_is_bounded() -> None:
    """Each change starts where the last one ended."""
    played = play(lambda now: 30 + 20 * (int(now) // 200 % 2), end_s=4000)
    changes = played.controller.statistics().changes
    assert len(changes) <= REMEMBERED
    assert all(a.after == b.before and a.at_s <= b.at_s for a, b in pairwise(changes))
    assert {"growth", "429", "probe", "probe refused"} <= {c.cause for c in changes}


def test_a_new_cap_holds_at_once() -> None:
    """Lower: cut to it. Higher: room to grow."""
    controller = ConcurrencyController(100)
    controller.set_cap(5, 1.0)
    assert controller.limit == 5
    controller.set_cap(50, 2.0)
    fed(controller, 100, 2.0, in_flight=5)
    assert controller.limit == 7  # five in flight are 80 % of six, but not of seven
    with pytest.raises(ValueError, match="at least 1"):
        controller.set_cap(0, 3.0)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "succeeded", "rejected", "told", "troubled", "cap"]),
        st.integers(0, 300),
        st.floats(0.0, 5.0),
        st.booleans(),
    ),
    max_size=300,
)


@given(st.integers(1, 200), EVENTS)
def test_the_limit_stays_between_one_and_the_cap_whatever_happens(
    cap: int, events: list[tuple[str, int, float, bool]]
) -> None:
    """Also when it is told nonsense."""
    controller, now = ConcurrencyController(cap), 0.0
    assert controller.limit == min(20, cap)
    for what, number, wait, dated in events:
        now += wait
        sent_at = now - number / 100 if dated else None
        if what == "sent":
            controller.sent(number, now)
        elif what == "succeeded":
            controller.succeeded(number, now, sent_at=sent_at)
        elif what == "rejected":
            controller.rejected(now, sent_at=sent_at)
        elif what == "told":
            controller.rejected(now, number - 1.5, sent_at=sent_at)
        elif what == "troubled":
            controller.troubled(now)
        else:
            controller.set_cap(max(1, number), now)
        assert 1 <= controller.limit <= controller.cap
    assert controller.statistics().limit == controller.limit


@given(st.integers(1, 120), st.integers(0, 99))
def test_any_hidden_ceiling_is_found_and_kept(slots: int, seed: int) -> None:
    """The remembered ceiling ends within two of the truth, and the last refusals are few."""
    played = play(lambda now: slots, end_s=400, seed=seed)
    ceiling = played.controller.statistics().ceiling
    assert ceiling is not None
    assert abs(ceiling - slots) <= 2
    assert played.refused(120, 400) <= max(2, 0.02 * played.accepted(120, 400))


def test_a_told_number_is_obeyed_downwards_only() -> None:
    """A higher one, or nonsense, is no reason to grow faster."""
    controller = ConcurrencyController(100)
    for told in (50.0, 0.0, -3.0, 20.0):
        controller.told(told, 1.0)
        assert controller.limit == 20
    controller.told(7.5, 2.0)
    assert controller.limit == 7
    assert repr(controller) == "<ConcurrencyController 7 of 100, ceiling 7>"


@pytest.mark.parametrize(("cap", "start"), [(0, 1), (1, 0), (-5, 5)])
def test_less_than_one_call_is_no_limit(cap: int, start: int) -> None:
    """Nobody could ever send."""
    with pytest.raises(ValueError, match="at least 1"):
        ConcurrencyController(cap, start=start)
