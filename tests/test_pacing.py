"""Windows and drips: what may go out when."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pacing import SLOTS, Drip, Window

HAIR_S = 1e-6
"""Sums of floats differ in their last digits."""
STEPS = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 100)), min_size=1, max_size=80)


def taken_in_order(steps: list[tuple[float, int]], limit: float) -> list[tuple[float, int]]:
    """(when, amount) of amounts that each wait for their turn in a window of a minute."""
    window, now, taken = Window(limit, 60.0), 0.0, []
    for gap, amount in steps:
        now += gap
        while (wait := window.wait_s(amount, now)) > 0:
            now += wait
        window.take(amount, now)
        taken.append((now, amount))
    return taken


@settings(deadline=None)
@given(steps=STEPS, limit=st.integers(100, 1000))
def test_no_sliding_window_ever_holds_more_than_its_limit(
    steps: list[tuple[float, int]], limit: int
) -> None:
    """At any moment, over the minute before it."""
    taken = taken_in_order(steps, limit)
    for at, _ in taken:
        assert sum(amount for then, amount in taken if at - 60 + HAIR_S < then <= at) <= limit


@settings(deadline=None)
@given(steps=STEPS, limit=st.integers(100, 1000))
def test_nobody_waits_longer_than_the_window_needs(
    steps: list[tuple[float, int]], limit: int
) -> None:
    """Whoever waited goes within two slots of the moment at which there was room."""
    taken, now = taken_in_order(steps, limit), 0.0
    for number, ((gap, amount), (at, _)) in enumerate(zip(steps, taken, strict=True)):
        now += gap
        if at > now + 1e-9:
            before = at - 2 * 60.0 / SLOTS
            held = sum(a for then, a in taken[:number] if then > before - 60)
            assert held + amount > limit or before < now
        now = at


def test_what_is_larger_than_the_window_never_fits() -> None:
    """An infinite wait, also when the window is empty."""
    assert Window(10, 60).wait_s(11, 0.0) == math.inf
    assert Window(10, 60).wait_s(10, 0.0) == 0.0


def test_a_refund_makes_room_at_once_and_an_excess_takes_it() -> None:
    """In the slot of the reservation, so it is forgotten with it."""
    window = Window(100, 60)
    window.take(90, 0.0)
    assert window.wait_s(50, 5.0) == pytest.approx(55.1)
    window.correct(-60, 0.0)
    assert (window.used(5.0), window.wait_s(50, 5.0)) == (30, 0.0)
    window.correct(75, 0.0)
    assert window.used(5.0) == 105
    assert window.wait_s(1, 5.0) > 55
    assert window.used(61.0) == 0


def test_a_correction_of_what_is_forgotten_changes_nothing() -> None:
    """A call longer than the window."""
    window = Window(100, 60)
    window.take(90, 0.0)
    window.take(10, 70.0)
    window.correct(-60, 0.0)
    assert window.used(70.0) == 10


@given(
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 200)), min_size=2, max_size=60),
    per_minute=st.integers(60, 6000),
)
def test_a_drip_never_lets_through_more_than_its_rate_and_a_seconds_worth(
    steps: list[tuple[float, int]], per_minute: int
) -> None:
    """Between any two moments; one amount larger than a second's worth may go alone."""
    drip, now, taken = Drip(per_minute), 0.0, []
    for gap, amount in steps:
        now += gap
        now += drip.wait_s(amount, now)
        drip.take(amount, now)
        taken.append((now, amount))
    rate = per_minute / 60
    for i, (start, _) in enumerate(taken):
        total = 0
        for at, amount in taken[i:]:
            total += amount
            most = rate * (at - start) + max(rate, *(a for _, a in taken))
            assert total <= most + max(a for _, a in taken) + 1e-6


def test_a_drip_runs_at_its_rate_and_follows_a_new_one() -> None:
    """Sixty of 10 each at 600 a minute take 59 s less the second that was ahead, then half as long."""
    drip, now = Drip(600.0), 0.0
    for _ in range(60):
        now += drip.wait_s(10, now)
        drip.take(10, now)
    assert now == pytest.approx(59.0)
    drip.set_rate(1200.0, now)
    start = now
    for _ in range(60):
        now += drip.wait_s(10, now)
        drip.take(10, now)
    assert now - start == pytest.approx(29.5, abs=0.6)


def test_what_was_held_back_too_long_becomes_credit_of_one_second() -> None:
    """And no more than that."""
    drip = Drip(600.0)
    drip.take(100, 0.0)
    drip.correct(-90, 9.0)
    assert drip.wait_s(10, 9.0) == 0.0
    drip.take(20, 9.0)
    assert drip.wait_s(10, 9.0) == pytest.approx(1.0)


def test_fractions_that_do_not_add_up_exactly_cost_nobody_a_second_span() -> None:
    """When all that was taken is forgotten there is room for a whole limit, whatever was rounded."""
    parts = [0.7999999999999999, 0.9, 0.2, 0.1, 0.9, 0.5, 0.9, 0.1, 0.5]
    window = Window(5.6, 60.0)
    for at, part in enumerate(parts):
        window.take(part, float(at))
    wait_s = window.wait_s(5.6, 20.0)
    assert 20.0 + wait_s <= len(parts) - 1 + 60.0 * (1 + 1 / SLOTS)
    assert window.wait_s(5.6, 20.0 + wait_s) == 0.0
