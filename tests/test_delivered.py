"""Pausing after a 429, and pacing at what was accepted: rules, and a simulated token bucket."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivered import DeliveredRate, PauseClock

REFUSAL_S = 0.15


@dataclass
class Played:
    """What a simulated run came to."""

    rate: DeliveredRate
    clock: PauseClock
    accepted_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    paces: list[tuple[float, float]] = field(default_factory=list)

    def accepted(self, start: float, end: float) -> int:
        return sum(start <= t < end for t in self.accepted_at)

    def refused(self, start: float, end: float) -> int:
        return sum(start <= t < end for t in self.refused_at)


@dataclass
class Bucket:
    """A server that lets `per_minute(now)` requests through and saves up `burst_s` seconds of them."""

    per_minute: Callable[[float], float]
    burst_s: float
    level: float = 0.0
    at: float = 0.0

    def takes(self, now: float) -> bool:
        rate = self.per_minute(now) / 60.0
        self.level = min(self.level + (now - self.at) * rate, max(1.0, rate * self.burst_s))
        self.at = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


def play(
    per_minute: Callable[[float], float],
    *,
    burst_s: float = 2.0,
    end_s: float,
    seed: int = 1,
    exact: bool = True,
    at_first: float = 6000.0,
    full: bool = True,
) -> Played:
    """A client with endless work that paces evenly, at first far too fast."""
    dice = random.Random(seed)
    bucket = Bucket(per_minute, burst_s, level=per_minute(0.0) / 60 * burst_s if full else 0.0)
    rate, clock = DeliveredRate(), PauseClock()
    played = Played(rate, clock)
    replies: list[tuple[float, int, bool, float]] = []
    now, due, serial = 0.0, 0.0, 0
    while now < end_s:
        pace = rate.pace(now) or at_first
        wait = max(clock.wait_s(now), due - now)
        if wait <= 1e-9:
            clock.sent(now)
            rate.sent(1.0, now)
            taken = bucket.takes(now)
            serial += 1
            back = now + (dice.lognormvariate(0.7, 0.4) if taken else REFUSAL_S)
            heapq.heappush(replies, (back, serial, taken, now))
            due = max(due, now - 0.05) + 60.0 / pace
            continue
        if not replies or replies[0][0] > now + wait:
            now += wait
            continue
        now, _, taken, sent_at = heapq.heappop(replies)
        said = sent_at if exact else None
        if taken:
            played.accepted_at.append(now)
            clock.succeeded(now, sent_at=said)
        else:
            played.refused_at.append(now)
            played.paces.append((now, rate.after_rejection(now, sent_at=said)))
            rate.paused(now, clock.rejected(now, sent_at=said))
            due = now
    return played


def ideal(per_minute: Callable[[float], float], start: float, end: float) -> float:
    """Requests that the server lets through from `start` to `end`, at most and without savings."""
    steps = 1000
    width = (end - start) / steps
    return sum(per_minute(start + (n + 0.5) * width) for n in range(steps)) * width / 60


def halves_then_doubles(now: float) -> float:
    return 600 if now < 300 else 300 if now < 700 else 600


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("burst_s", [2.0, 10.0, 60.0])
def test_a_rate_that_halves_and_doubles_again_is_followed(burst_s: float, exact: bool) -> None:
    """0.9 of what is let through and at most 2 % refused, whatever the server's window saves up."""
    played = play(halves_then_doubles, end_s=1100, burst_s=burst_s, exact=exact)
    for start, end in ((60, 300), (300, 700), (800, 1100)):
        assert played.accepted(start, end) >= 0.9 * ideal(halves_then_doubles, start, end)
    assert played.refused(60, 1100) <= 0.02 * played.accepted(60, 1100)
    assert played.refused(300, 400) <= 12


@pytest.mark.parametrize("per_minute", [30.0, 600.0, 3000.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_unknown_rate_is_found_and_kept(per_minute: float, seed: int) -> None:
    """Starting ten times too fast; judged from the second minute on."""
    played = play(lambda now: per_minute, end_s=1200, seed=seed, at_first=10 * per_minute)
    assert played.accepted(60, 1200) >= 0.9 * ideal(lambda now: per_minute, 60, 1200)
    assert played.refused(60, 1200) <= 0.02 * played.accepted(60, 1200)


def sending(rate: DeliveredRate, start: float, seconds: float, per_s: float) -> float:
    """So many requests a second, none refused."""
    for n in range(round(seconds * per_s)):
        rate.sent(1.0, start + n / per_s)
        rate.pace(start + n / per_s)
    return start + seconds


def test_nothing_refused_means_no_pace() -> None:
    """And a refusal of the very first calls tells no rate yet."""
    rate = DeliveredRate()
    assert rate.pace(0.0) is None
    rate.sent(1.0, 0.0)
    assert math.isinf(rate.after_rejection(0.1, sent_at=0.0))
    assert rate.pace(1.0) is None


def test_the_first_pace_is_what_was_accepted_over_the_last_30_seconds() -> None:
    """What is older, and what was refused, does not count."""
    rate = DeliveredRate()
    now = sending(rate, 0.0, 60.0, 10.0)
    now = sending(rate, now, 30.0, 5.0)
    for _ in range(3):
        rate.sent(1.0, now)
    assert rate.after_rejection(now + 0.1, sent_at=now) == pytest.approx(300, rel=0.05)


def test_paused_time_says_nothing_about_the_rate() -> None:
    """Ten requests a second for ten seconds, ten seconds of pause, the same again: 600 a minute."""
    rate = DeliveredRate()
    now = sending(rate, 0.0, 10.0, 10.0)
    rate.paused(now, now + 10)
    now = sending(rate, now + 10, 10.0, 10.0)
    assert rate.delivered(now) == pytest.approx(600, rel=0.02)


def test_a_burst_of_refusals_cuts_once_and_the_next_one_deeper() -> None:
    """5 %, then 10 %, then 20 % of the refused pace."""
    rate = DeliveredRate()
    rate.told(600.0, 0.0)
    now, paces = sending(rate, 0.0, 30.0, 10.0), []
    for _ in range(3):
        now = sending(rate, now, 2.0, 10.0)
        for _ in range(5):
            pace = rate.after_rejection(now, sent_at=now - 0.01)
        paces.append(round(pace))
    assert paces == [570, 513, 410]


def test_after_60_calls_and_a_clean_quarter_minute_the_pace_rises_by_a_twentieth() -> None:
    """But not while the pace is not used."""
    rate = DeliveredRate()
    rate.told(600.0, 0.0)
    now = sending(rate, 0.0, 30.0, 10.0)
    pace = rate.after_rejection(now, sent_at=now - 0.05)
    used = sending(rate, now, 15.5, 9.5)
    assert rate.pace(used) == pytest.approx(min(600, 1.05 * pace))
    idle = DeliveredRate()
    idle.told(600.0, 0.0)
    now = sending(idle, 0.0, 30.0, 10.0)
    pace = idle.after_rejection(now, sent_at=now - 0.05)
    assert idle.pace(sending(idle, now, 60.0, 2.0)) == pace


def test_a_refused_probe_after_a_pause_is_no_news_about_the_rate() -> None:
    """An hour of nothing but 429s leaves the pace as it was."""
    rate = DeliveredRate()
    now = sending(rate, 0.0, 30.0, 10.0)
    pace = rate.after_rejection(now, sent_at=now - 0.05)
    for n in range(1, 100):
        rate.sent(1.0, now + 30 * n)
        assert rate.after_rejection(now + 30 * n + 0.1, sent_at=now + 30 * n) == pace


def test_told_limits_bound_the_pace_and_a_told_rise_is_followed_at_once() -> None:
    """The same number again, as headers repeat it in every reply, changes nothing."""
    rate = DeliveredRate()
    rate.told(600.0, 0.0)
    now = sending(rate, 0.0, 30.0, 10.0)
    pace = rate.after_rejection(now, sent_at=now - 0.05)
    rate.told(600.0, now + 1)
    assert rate.pace(now + 1) == pace
    rate.told(1200.0, now + 2)
    assert rate.pace(now + 2) == 1200
    rate.told(100.0, now + 3)
    assert rate.pace(now + 3) == 100


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "refused", "pace", "told", "paused"]),
            st.floats(0.0, 40.0),
            st.floats(0.001, 1e6),
            st.booleans(),
        ),
        max_size=200,
    )
)
def test_a_pace_is_always_above_zero_and_never_above_what_was_told(
    events: list[tuple[str, float, float, bool]],
) -> None:
    """Whatever happens in whatever order."""
    rate, now, told = DeliveredRate(), 0.0, math.inf
    for what, wait, amount, dated in events:
        now += wait
        if what == "sent":
            rate.sent(amount, now)
        elif what == "refused":
            rate.after_rejection(now, amount, sent_at=now - wait if dated else None)
        elif what == "told":
            told = amount
            rate.told(amount, now)
        elif what == "paused":
            rate.paused(now, now + wait)
        pace = rate.pace(now)
        assert pace is None or 0 < pace <= told
        assert rate.delivered(now) >= 0


# --- the pause clock ---------------------------------------------------------------------------


def test_a_told_pause_holds_everybody_and_then_lets_one_probe_through() -> None:
    """The others wait for its outcome."""
    clock = PauseClock()
    clock.sent(0.0)
    assert clock.rejected(0.5, 10.0, sent_at=0.0) == 10.5
    assert clock.wait_s(0.5) == 10.0
    assert clock.wait_s(10.5) == 0.0
    clock.sent(10.5)
    assert clock.wait_s(10.6) == pytest.approx(2.9)


def test_after_the_probe_twice_as_many_go_every_half_second() -> None:
    """2, 4, 8, …, evenly spaced; after four seconds nothing is held back any more."""
    clock = PauseClock()
    clock.rejected(0.0, 1.0)
    clock.sent(1.0)
    clock.succeeded(1.2, sent_at=1.0)
    now, times = 1.2, []
    while now < 3.2:
        if (wait := clock.wait_s(now)) == 0:
            clock.sent(now)
            times.append(now)
        now += wait + 1e-6
    let_through = [sum(1.2 <= t - 0.5 * n < 1.7 for t in times) for n in range(4)]
    assert let_through == pytest.approx([2, 4, 8, 16], abs=1)
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.5 / 16
    assert clock.wait_s(5.3) == 0
    assert clock.statistics().state == "open"


def test_a_probe_whose_answer_takes_minutes_does_not_stall_the_account() -> None:
    """A refusal would have come at once: after three seconds the others follow."""
    clock = PauseClock()
    clock.rejected(0.0, 1.0)
    clock.sent(1.0)
    assert clock.wait_s(3.9) > 0
    assert clock.wait_s(4.0) == 0


def test_a_refused_probe_begins_a_longer_pause_and_a_success_makes_it_short_again() -> None:
    """1, 1.5, 2.25 s, … up to 30 while nobody succeeds."""
    clock, now, waits = PauseClock(), 0.0, []
    for _ in range(12):
        until = clock.rejected(now + 0.1, sent_at=now)
        waits.append(round(until - now - 0.1, 3))
        now = until
        assert clock.wait_s(now) == 0
        clock.sent(now)
    assert waits[:4] == [1.0, 1.5, 2.25, 3.375]
    assert waits[-1] == 10.0
    clock.succeeded(now + 1, sent_at=now)
    assert clock.rejected(now + 2, sent_at=now + 1.5) == now + 3


def test_the_crowd_that_was_refused_together_pauses_once() -> None:
    """Only a later told end prolongs the pause."""
    clock = PauseClock()
    assert clock.rejected(1.0, sent_at=0.9) == 2.0
    assert clock.rejected(1.1, sent_at=0.95) == 2.0
    assert clock.rejected(1.1) == 2.0
    assert clock.rejected(1.2, 5.0, sent_at=0.95) == 6.2
    assert clock.rejected(1.3, 2.0, sent_at=0.95) == 6.2
    assert clock.statistics().pauses == 1


def test_answers_to_calls_from_before_the_pause_do_not_open_the_gate() -> None:
    """They were accepted when there was still room."""
    clock = PauseClock()
    clock.rejected(1.0, 5.0, sent_at=0.5)
    clock.sent(6.0)
    clock.succeeded(6.1, sent_at=0.5)
    assert clock.wait_s(6.2) > 0


def test_a_probe_that_broke_makes_room_for_another() -> None:
    """A 5xx says neither yes nor no."""
    clock = PauseClock()
    clock.rejected(0.0, 1.0)
    clock.sent(1.0)
    clock.troubled(1.5, sent_at=1.0)
    assert clock.wait_s(1.5) == 0.0
    clock.sent(1.5)
    assert clock.wait_s(1.6) > 0
    assert clock.statistics().probes == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["go", "rejected", "told", "succeeded", "troubled"]),
            st.floats(0.0, 20.0),
            st.booleans(),
        ),
        max_size=200,
    )
)
def test_nobody_is_let_through_before_a_told_end(
    events: list[tuple[str, float, bool]],
) -> None:
    """And every wait is finite, so that nobody is forgotten at the gate."""
    clock, now, until = PauseClock(), 0.0, 0.0
    for what, wait, dated in events:
        now += wait
        sent_at = now - wait if dated else None
        left = clock.wait_s(now)
        assert 0 <= left < math.inf
        if what == "go" and left == 0:
            assert now >= until
            clock.sent(now)
        elif what == "rejected":
            clock.rejected(now, sent_at=sent_at)
        elif what == "told":
            until = max(until, now + wait)
            clock.rejected(now, wait, sent_at=sent_at)
        elif what == "succeeded":
            clock.succeeded(now, sent_at=sent_at)
        elif what == "troubled":
            clock.troubled(now, sent_at=sent_at)


def test_a_lower_told_limit_that_is_above_the_pace_changes_nothing_yet() -> None:
    """It bounds what comes later."""
    rate = DeliveredRate()
    rate.told(6000.0, 0.0)
    now = sending(rate, 0.0, 30.0, 10.0)
    pace = rate.after_rejection(now, sent_at=now - 0.05)
    rate.told(5500.0, now + 1)
    assert rate.pace(now + 1) == pace
    assert rate.statistics(now + 1).told == 5500.0


def test_both_show_how_they_stand() -> None:
    """As figures, and to whoever prints one."""
    rate, clock = DeliveredRate(), PauseClock()
    now = sending(rate, 0.0, 30.0, 10.0)
    pace = rate.after_rejection(now, sent_at=now - 0.05)
    clock.rejected(now, 12.0)
    seen = rate.statistics(now)
    assert (seen.pace, seen.told, seen.cuts, seen.probes) == (pace, None, 1, 0)
    assert seen.delivered == pytest.approx(pace)
    assert repr(rate) == f"<DeliveredRate pace {pace} told None>"
    assert repr(clock) == f"<PauseClock paused until {now + 12:g}>"
