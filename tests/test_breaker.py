"""The retry budget and the circuit breaker of one account."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.breaker import DRIP_S, FLOOR, MOST, STREAK, Breaker, RetryBudget


def test_a_quiet_account_may_retry_ten_times_and_then_once_in_ten_seconds() -> None:
    """The floor, without any traffic."""
    budget = RetryBudget()
    assert [budget.spend(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.spend(9.9)
    assert budget.spend(20.0)
    assert budget.statistics().denied == 2


def test_what_fails_at_once_comes_back_one_by_one() -> None:
    """Each retry beyond the budget is booked for a time of its own, and new work pays debts off."""
    budget = RetryBudget()
    waits = [budget.book(0.0) for _ in range(13)]
    assert waits == pytest.approx([0.0] * 10 + [10.0, 20.0, 30.0])
    assert not budget.spend(29.0)
    for _ in range(20):
        budget.first_attempt(30.0)
    assert budget.book(30.0) == 0.0


def test_ten_first_attempts_earn_a_retry() -> None:
    """A tenth each, beyond the floor."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.first_attempt(0.0)
    assert sum(budget.spend(0.0) for _ in range(1000)) in {109, 110}  # 0.1 is no binary fraction


def test_the_savings_of_a_good_day_are_bounded() -> None:
    """Else they would all be spent in one bad hour."""
    budget = RetryBudget()
    for _ in range(100_000):
        budget.first_attempt(0.0)
    assert budget.statistics().tokens == pytest.approx(MOST)


@given(
    st.lists(
        st.tuples(st.sampled_from(["first", "retry", "book"]), st.floats(0.0, 30.0)), max_size=400
    )
)
def test_retries_never_exceed_a_tenth_of_the_traffic_and_the_floor(
    events: list[tuple[str, float]],
) -> None:
    """At any time: 10, a tenth of first attempts, and one for every ten seconds; also what is booked."""
    budget, now, firsts = RetryBudget(), 0.0, list[float]()
    used: list[float] = []
    for what, wait in events:
        now += wait
        if what == "first":
            firsts.append(now)
            budget.first_attempt(now)
        elif what == "book":
            used.append(now + budget.book(now))
        elif budget.spend(now):
            used.append(now)
    for number, at in enumerate(sorted(used), start=1):
        first = sum(when <= at for when in firsts)
        assert number <= FLOOR + 0.1 * first + at / DRIP_S + 1e-6
    assert budget.statistics().spent == len(used)


def failing(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.failed(now)


def test_ten_failures_in_a_row_open_it() -> None:
    """Nine do not, and a success in between starts the count anew."""
    breaker = Breaker()
    failing(breaker, STREAK - 1)
    breaker.succeeded(0.0)
    failing(breaker, STREAK - 1)
    assert breaker.may_send(0.0) == 0
    failing(breaker, 1)
    assert breaker.may_send(0.0) == 1.0
    assert breaker.statistics().opened == 1


def test_half_of_the_last_outcomes_open_it() -> None:
    """Every other one: no streak, but the server is in no good state. Every third is borne."""
    breaker, outcomes = Breaker(), 0
    while breaker.statistics().state == "closed":
        (breaker.succeeded if outcomes % 2 else breaker.failed)(0.0)
        outcomes += 1
        assert outcomes <= 21
    assert outcomes >= 20
    well = Breaker()
    for n in range(500):
        (well.failed if n % 3 == 0 else well.succeeded)(0.0)
    assert well.statistics().state == "closed"


def test_old_outcomes_are_forgotten() -> None:
    """The ratio looks at the last fifty only."""
    breaker = Breaker()
    for n in range(1000):
        breaker.succeeded(float(n))
    for n in range(60):
        (breaker.failed if n % 5 else breaker.succeeded)(1000.0 + n)
    assert breaker.statistics().state == "open"


def test_probes_go_out_one_by_one_ever_more_slowly_until_one_succeeds() -> None:
    """1 s after opening, then 1, 1.5, 2.25, … at most 10 s apart; one success closes it."""
    breaker, now, probes = Breaker(), 100.0, []
    failing(breaker, STREAK, now)
    for _ in range(10):
        now += breaker.may_send(now)
        assert breaker.may_send(now) == 0
        probes.append(now)
        breaker.failed(now + 0.1, sent_at=now)
    gaps = [round(b - a, 2) for a, b in pairwise(probes)]
    assert probes[0] == 101.0
    assert gaps[:3] == [1.0, 1.5, 2.25]
    assert gaps[-1] == 10.0
    breaker.succeeded(now + 0.2, sent_at=now)
    assert breaker.may_send(now + 0.2) == 0
    assert breaker.statistics().failing == 0


def test_calls_from_before_it_opened_neither_close_nor_reopen_it() -> None:
    """A late answer tells of the server as it was; a late failure of an outage that is over."""
    breaker = Breaker()
    failing(breaker, STREAK, 10.0)
    breaker.succeeded(10.5, sent_at=5.0)
    assert breaker.statistics().state == "open"
    breaker.succeeded(12.0, sent_at=11.0)
    for _ in range(50):
        breaker.failed(12.5, sent_at=9.0)
    assert breaker.statistics().state == "closed"


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "failed", "succeeded"]), st.floats(0.0, 3.0)),
        max_size=400,
    )
)
def test_an_open_breaker_lets_at_most_one_probe_a_second_through(
    events: list[tuple[str, float]],
) -> None:
    """Also when it closes and opens again in between; and every wait is finite and told truly."""
    breaker, now, last = Breaker(), 0.0, -10.0
    failing(breaker, STREAK)
    for what, wait in events:
        now += wait
        if what == "ask":
            opened = breaker.statistics().state == "open"
            left = breaker.may_send(now)
            assert 0 <= left <= 10.0
            if opened and left == 0:
                assert now - last >= 1.0 - 1e-9
                last = now
        elif what == "failed":
            failing(breaker, STREAK, now)
        else:
            breaker.succeeded(now)


def test_they_show_how_they_stand() -> None:
    """To whoever prints one."""
    breaker, budget = Breaker(), RetryBudget()
    for _ in range(STREAK):
        breaker.failed(0.0)
    budget.spend(0.0)
    assert repr(breaker) == f"<Breaker open streak {STREAK}>"
    assert repr(budget) == f"<RetryBudget {FLOOR - 1:.1f} left>"
