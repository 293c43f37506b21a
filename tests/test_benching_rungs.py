"""Every figure of a rung, where the answer is known by hand."""

from __future__ import annotations

from typing import Any

import pytest

from data.codec import replace
from data.schema import Block, Timing, Usage
from engine.benching import durations
from engine.benching.rungs import Rung, rung


def block(**changed: Any) -> Block:
    plain = Block(
        number=0, target="model:m", load="closed", level=2, began_s=0.0, ended_s=60.0, why="count"
    )
    return replace(plain, **changed)


def timing(call: int, start: float, took: float, **changed: Any) -> Timing:
    """One attempt that began when it was meant to."""
    plain = Timing(
        id=call, block=0, target="model:m", question_id=call, call=call, status=200,
        intended_s=start, asked_s=start, admitted_s=start, sent_s=start, done_s=start + took,
        usage=Usage(100, 50), end="useful", cost=1000, currency="USD",
    )  # fmt: skip
    return replace(plain, **changed)


def back_to_back(places: int, took: float, until: float, **changed: Any) -> list[Timing]:
    """`places` callers who never rest; a call takes `took` seconds."""
    rounds = int(until / took)
    return [
        timing(r * places + p, r * took, took, **changed)
        for r in range(rounds)
        for p in range(places)
    ]


def test_throughput_is_calls_in_progress_over_their_time() -> None:
    """Four callers, 0.5 s a call: 480 a minute, and completions agree."""
    found = rung([(block(level=4, window=(5.0, 25.0)), back_to_back(4, 0.5, 30.0))])
    assert found.calls_per_min is not None
    assert found.calls_per_min.est == pytest.approx(480)
    assert found.completions_per_min == pytest.approx(480)
    assert found.in_flight == pytest.approx(4)
    assert found.client.little_gap == pytest.approx(0, abs=1e-9)
    assert (found.calls, found.requests, found.useful) == (160, 160, 160)


def test_only_useful_results_are_goodput() -> None:
    """Every fourth verdict cannot be read."""
    calls = [
        replace(t, end="unreadable" if t.call % 4 == 0 else "useful")
        for t in back_to_back(2, 1.0, 40.0)
    ]
    found = rung([(block(window=(4.0, 36.0)), calls)])
    assert found.calls_per_min is not None
    assert found.useful_per_min is not None
    assert found.useful_per_min.est == pytest.approx(0.75 * found.calls_per_min.est)
    assert found.parsed.est == pytest.approx(0.75)


def test_a_slow_call_that_outlasts_the_window_is_not_lost() -> None:
    """It was begun inside, so it counts, however late it ended."""
    calls = [*back_to_back(1, 1.0, 20.0), timing(99, 19.0, 30.0)]
    found = rung([(block(level=1, window=(5.0, 20.0), ended_s=49.0), calls)])
    assert found.latency.mean is not None
    assert found.latency.mean.est == pytest.approx((15 * 1.0 + 30.0) / 16)
    assert found.wall.mean is not None
    assert found.wall.mean.est == found.latency.mean.est
    assert found.calls == 16


def test_a_call_is_all_its_attempts_and_they_all_cost() -> None:
    """A 503 that was billed, then a retry: one call, 3 s, both bills, half of it waste."""
    first = timing(0, 0.0, 1.0, error="Overloaded", status=503, end="", cost=500, estimated=True)
    again = timing(
        0, 0.0, 1.0, attempt=2, asked_s=2.0, admitted_s=2.0, sent_s=2.0, done_s=3.0, cost=500
    )
    found = rung([(block(level=1, window=(0.0, 10.0)), [first, again])])
    assert (found.calls, found.requests) == (1, 2)
    assert found.wall.mean is not None
    assert found.wall.mean.est == pytest.approx(3.0)
    assert found.latency.n == 1
    assert found.errors == {"Overloaded": 1}
    assert found.money.per_useful is not None
    assert found.money.per_useful.est == 1000
    assert found.money.waste == pytest.approx(0.5)
    assert found.money.estimated == 1


def test_three_prices_of_the_same_work() -> None:
    """Cached tokens cost a tenth here; half the prompt was cached at most."""
    usage = Usage(1000, 0, cached_tokens=500)
    calls = [
        timing(0, 0.0, 1.0, usage=usage, cost=550, cold=1000, hot=100),
        timing(1, 1.0, 1.0, usage=Usage(1000, 0), cost=1000, cold=1000, hot=100),
    ]
    money = rung([(block(level=1, window=(0.0, 2.0)), calls)]).money
    assert money.per_useful is not None
    assert (money.per_useful.est, money.per_useful_cold) == (775, 1000)
    assert money.per_useful_warm == pytest.approx(550)


def test_an_unknown_price_is_not_zero() -> None:
    """One attempt without a price, and no sum is told."""
    calls = [timing(0, 0.0, 1.0), timing(1, 1.0, 1.0, cost=None, currency="")]
    money = rung([(block(level=1, window=(0.0, 2.0)), calls)]).money
    assert money.per_useful is None
    assert money.unpriced == 1


def test_what_was_cut_off_is_a_lower_bound() -> None:
    """A timeout counts as long as it was waited for, and is marked."""
    calls = [timing(i, float(i), 1.0) for i in range(9)]
    calls.append(
        timing(9, 9.0, 30.0, error="TransportError", status=0, timed_out=True, end="failed")
    )
    found = rung([(block(level=1, window=(0.0, 10.0)), calls)])
    assert found.latency.n == 10
    assert found.latency.at_least_s == pytest.approx(30.0)
    assert found.latency.p50 is not None
    assert found.failed.k == 1


def test_too_few_values_have_no_percentile() -> None:
    """Of 40 values there is a p90 and no p99."""
    found = rung([(block(level=1, window=(0.0, 40.0)), back_to_back(1, 1.0, 40.0))])
    assert found.latency.p90 is not None
    assert found.latency.p95 is None
    assert found.latency.p99 is None


def test_open_load_counts_completions_and_shows_the_queue() -> None:
    """Sent two seconds after they were meant to be: in the wall and the wait, not in the latency."""
    calls = [
        timing(i, float(i), 0.5, sent_s=i + 2.0, admitted_s=i + 2.0, done_s=i + 2.5)
        for i in range(60)
    ]
    found = rung([(block(load="constant", level=60, window=(10.0, 50.0)), calls)])
    assert found.calls_per_min is not None
    assert found.calls_per_min.est == pytest.approx(60)
    for spread, expected in ((found.wait, 2.0), (found.wall, 2.5), (found.latency, 0.5)):
        assert spread.mean is not None
        assert spread.mean.est == pytest.approx(expected)


def test_a_stream_has_its_own_durations() -> None:
    """Thinking for a second, 11 tokens from 0.5 s to 2.5 s, usage half a second later."""
    told = timing(
        0, 0.0, 3.0, first_byte_s=0.1, ttft_s=0.5, ttfa_s=1.5, last_token_s=2.5,
        usage=Usage(10, 11), arrivals=(10_000, 10_000),
    )  # fmt: skip
    assert durations.latency_s(told) == 2.5
    assert durations.tpot_s(told) == pytest.approx(0.2)
    assert durations.arrivals_s(told) == pytest.approx([1.0, 1.0])
    assert durations.tpot_s(replace(told, usage=Usage(10, 1))) is None
    assert durations.tpot_s(replace(told, usage=None)) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"lag_p99_s": 0.08}, "event loop 80 ms late"), ({"cpu": 0.95}, "95% of a core")],
)
def test_a_busy_client_is_named(changed: dict[str, float], words: str) -> None:
    """Its own figures are not the provider's."""
    found = rung([(block(window=(2.0, 18.0), **changed), back_to_back(2, 0.5, 20.0))])
    assert found.client.bound == (words,)


def test_a_client_that_sends_late_is_named() -> None:
    """Nothing asked it to wait, and yet it sent 50 ms late."""
    calls = [replace(t, sent_s=t.sent_s + 0.05) for t in back_to_back(2, 0.5, 20.0)]
    found = rung([(block(window=(2.0, 18.0)), calls)])
    assert found.client.bound == ("requests sent 50 ms late",)


def test_a_block_that_never_was_steady_gives_no_figures() -> None:
    """They would be those of its warm-up."""
    found: Rung = rung([(block(), back_to_back(2, 0.5, 5.0))])
    assert found.calls == 0
    assert found.useful_per_min is None
    assert found.blocks == 1
