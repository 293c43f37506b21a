"""An account's pace: never faster than allowed, in order, and quiet when told to be."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.limits import FIRST_PAUSE_S, LONGEST_PAUSE_S, TICK_S, Limits
from providers.virtual import new_loop

T = TypeVar("T")
HAIR_S = 1e-5
"""Sums of floats differ in their last digits, and timers have a resolution."""


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a fresh virtual clock."""
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": new_loop})


async def pass_gate(
    limits: Limits, count: int, pauses: dict[int, float | None] | None = None
) -> list[float]:
    """Times at which `count` callers passed one after the other; a 429 comes in after some."""
    loop, gate, times = asyncio.get_running_loop(), asyncio.Lock(), []
    order: list[int] = []

    async def caller(i: int) -> None:
        async with gate:
            await limits.admit()
            times.append(loop.time())
            order.append(i)
        if pauses and i in pauses:
            limits.slow_down(pauses[i])

    async with anyio.create_task_group() as group:
        for i in range(count):
            group.start_soon(caller, i)
    assert order == list(range(count)), "nobody loses his place"
    return times


def most_in_any(times: list[float], window_s: float) -> int:
    """The largest number of times in any half-open window of that length."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - window_s + HAIR_S:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=40)
@given(rpm=st.floats(0.5, 5000), start=st.floats(0, 3600))
@example(rpm=90.0, start=0.0)
@example(rpm=60.0, start=0.1)
def test_requests_are_spaced_so_no_window_is_ever_overfull(rpm: float, start: float) -> None:
    """rpm in any 60 s, ceil(rpm / 60) in any second, and never two within one spacing."""

    async def main() -> list[float]:
        await asyncio.sleep(start)
        return await pass_gate(Limits(rpm=rpm, concurrency=1), min(300, math.ceil(rpm * 1.5) + 2))

    times = virtually(main)
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= 60 / rpm - HAIR_S
    assert max(gaps) <= 60 / rpm + HAIR_S, "and no slower than it must be"
    assert most_in_any(times, 60) <= max(1, math.ceil(rpm))
    assert most_in_any(times, 1) <= max(1, math.ceil(rpm / 60))


@settings(max_examples=5, deadline=None)
@given(rpm=st.floats(6000, 60_000))
def test_high_rates_go_in_handfuls_and_keep_the_minute(rpm: float) -> None:
    """A handful is what belongs to one tick; the minute's limit includes it."""

    async def main() -> list[float]:
        return await pass_gate(Limits(rpm=rpm, concurrency=1), 3000)

    times = virtually(main)
    handful = int(rpm * TICK_S / 60)
    assert most_in_any(times, TICK_S / 2) <= 2 * handful + 1
    assert most_in_any(times, 1) <= math.ceil(rpm / 60) + handful
    rate = (len(times) - handful) / (times[-1] - times[0]) * 60
    assert rate + handful <= rpm * (1 + 1e-3)
    assert rate >= rpm * 0.97


@settings(max_examples=3, deadline=None)
@given(rpm=st.sampled_from([6000.0, 9000.0, 12_000.0]))
def test_no_minute_holds_more_than_its_limit_at_high_rates(rpm: float) -> None:
    """Two full minutes, counted."""

    async def main() -> list[float]:
        limits = Limits(rpm=rpm, concurrency=1)
        times = []
        for _ in range(int(rpm * 1.2)):
            await limits.admit()
            times.append(asyncio.get_running_loop().time())
        return times

    assert most_in_any(virtually(main), 60) <= rpm


def test_without_a_rate_nobody_waits() -> None:
    """Only concurrency limits then."""

    async def main() -> list[float]:
        return await pass_gate(Limits(rpm=None, concurrency=8), 100)

    assert virtually(main) == pytest.approx([0.0] * 100, abs=HAIR_S)


@settings(max_examples=50)
@given(
    told_s=st.floats(0.01, 900),
    after=st.integers(0, 4),
    rpm=st.one_of(st.none(), st.floats(1, 600)),
)
def test_a_pause_holds_everybody_and_the_spacing_after_it(
    told_s: float, after: int, rpm: float | None
) -> None:
    """Nothing leaves between a 429 and the end of its wait, also not who waited for the spacing."""

    async def main() -> list[float]:
        return await pass_gate(Limits(rpm=rpm, concurrency=1), 8, {after: told_s})

    times = virtually(main)
    paused = times[after]
    assert not [t for t in times[after + 1 :] if t < paused + told_s - HAIR_S]
    if rpm is not None:
        gaps = [b - a for a, b in pairwise(times)]
        assert min(gaps) >= 60 / rpm - HAIR_S


def test_a_pause_that_begins_while_the_next_caller_waits_for_its_slot_holds_it_too() -> None:
    """At one request a minute the next stands in the spacing already when the 429 comes back."""

    async def main() -> list[float]:
        limits = Limits(rpm=1, concurrency=2)
        asyncio.get_running_loop().call_later(30, limits.slow_down, 300.0)
        return await pass_gate(limits, 3)

    assert virtually(main) == pytest.approx([0, 330, 390])


def test_the_longest_of_several_pauses_counts() -> None:
    """A shorter one that comes later does not end it."""

    async def main() -> float:
        limits = Limits(rpm=None, concurrency=4)
        limits.slow_down(100.0)
        limits.slow_down(1.0)
        await limits.admit()
        return asyncio.get_running_loop().time()

    assert virtually(main) == pytest.approx(100)


def test_untold_pauses_grow_to_a_bound_and_start_small_again_after_a_success() -> None:
    """Half as long again each time."""

    async def main() -> list[float]:
        limits, loop, waits = Limits(rpm=None, concurrency=1), asyncio.get_running_loop(), []
        for n in range(14):
            if n == 12:
                limits.succeeded()
            before = loop.time()
            limits.slow_down(None)
            await limits.admit()
            waits.append(loop.time() - before)
        return waits

    waits = virtually(main)
    grown = [min(FIRST_PAUSE_S * 1.5**n, LONGEST_PAUSE_S) for n in range(12)]
    assert waits == pytest.approx([*grown, FIRST_PAUSE_S, FIRST_PAUSE_S * 1.5])


def test_a_told_pause_does_not_make_the_untold_one_longer() -> None:
    """The provider's own word is no guess of ours."""

    async def main() -> float:
        limits = Limits(rpm=None, concurrency=1)
        for _ in range(5):
            limits.slow_down(0.0)
        limits.slow_down(None)
        await limits.admit()
        return asyncio.get_running_loop().time()

    assert virtually(main) == pytest.approx(FIRST_PAUSE_S)


def test_the_console_is_told_why_the_next_call_waits() -> None:
    """Nothing, the rate, or a 429 with what is left of it."""

    async def main() -> list[str]:
        limits, loop = Limits(rpm=60, concurrency=1), asyncio.get_running_loop()
        said = [limits.waiting(loop.time())]
        await limits.admit()
        task = asyncio.ensure_future(limits.admit())
        await asyncio.sleep(0.5)
        said.append(limits.waiting(loop.time()))
        await task
        said.append(limits.waiting(loop.time()))
        limits.slow_down(12.0)
        said.append(limits.waiting(loop.time()))
        return said

    assert virtually(main) == ["", "requests/min 60", "", "429 retry-after 12 s"]
