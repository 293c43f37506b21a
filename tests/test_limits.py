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

from data.errors import TooLarge
from data.schema import Usage
from engine.delivered import FIRST_PAUSE_S, LONGEST_PAUSE_S, PATIENCE_S
from engine.limits import DAY_S, TICK_S, Limits, Need, Permit
from providers.virtual import new_loop

T = TypeVar("T")
HAIR_S = 1e-5
"""Sums of floats differ in their last digits, and timers have a resolution."""


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a fresh virtual clock."""
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": new_loop})


async def pass_gate(
    limits: Limits, count: int, pauses: dict[int, float] | None = None
) -> list[float]:
    """Times at which `count` callers passed one after the other; some are told to wait, the others
    succeed at once."""
    loop, gate, times = asyncio.get_running_loop(), asyncio.Lock(), []
    order: list[int] = []

    async def caller(i: int) -> None:
        async with gate:
            permit = await limits.admit()
            times.append(loop.time())
            order.append(i)
            if pauses and i in pauses:
                limits.rejected(permit, pauses[i], loop.time(), rate=True)
            else:
                limits.succeeded(permit, None, loop.time())

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
    assert most_in_any(times, 1) <= math.ceil(rpm / 60)
    assert (len(times) - handful) / (times[-1] - times[0]) * 60 >= rpm * 0.97


@settings(max_examples=3, deadline=None)
@given(rpm=st.sampled_from([6000.0, 9000.0, 12_000.0]))
def test_no_minute_holds_more_than_its_limit_at_high_rates(rpm: float) -> None:
    """Two full minutes, counted."""

    async def main() -> list[float]:
        limits = Limits(rpm=rpm, concurrency=1)
        times = []
        for _ in range(int(rpm * 1.2)):
            permit = await limits.admit()
            times.append(permit.at)
            limits.succeeded(permit, None, permit.at)
        return times

    assert most_in_any(virtually(main), 60) <= rpm


def test_without_a_rate_nobody_waits() -> None:
    """Only concurrency limits then."""

    async def main() -> list[float]:
        return await pass_gate(Limits(rpm=None, concurrency=8), 100)

    assert virtually(main) == pytest.approx([0.0] * 100, abs=HAIR_S)


@settings(max_examples=30, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(1, 90), st.floats(5, 2000)), min_size=1, max_size=5))
def test_a_changed_rate_holds_for_the_minute_before_it_too(
    changes: list[tuple[float, float]],
) -> None:
    """In any 60 s that end under a rate, what went out under the one before counts."""

    async def main() -> list[tuple[float, float]]:
        limits, loop = Limits(rpm=300, concurrency=1), asyncio.get_running_loop()
        due = 0.0
        for after, rpm in changes:
            due += after
            loop.call_at(due, limits.set, "rpm", rpm, "control", due)
        sent: list[tuple[float, float]] = []
        while loop.time() < due + 70 and len(sent) < 3000:
            permit = await limits.admit()
            sent.append((permit.at, limits.rpm or 0.0))
            limits.succeeded(permit, None, permit.at)
        return sent

    sent = virtually(main)
    times = [at for at, _ in sent]
    for number, (at, rpm) in enumerate(sent):
        recent = sum(then > at - 60 + HAIR_S for then in times[: number + 1])
        assert recent <= max(1, math.ceil(rpm))


# --- calls in flight, tokens, days -------------------------------------------------------------


class Served:
    """Callers behind one gate whose calls take time and tokens; what they did is written down."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.gate = limits, asyncio.Lock()
        self.permits: list[Permit] = []
        self.order: list[int] = []
        self.most = 0

    async def call(self, number: int, need: Need, took_s: float, usage: Usage | None) -> None:
        loop = asyncio.get_running_loop()
        async with self.gate:
            permit = await self.limits.admit(need)
            self.permits.append(permit)
            self.order.append(number)
            self.most = max(self.most, self.limits.in_flight)
        await asyncio.sleep(took_s)
        self.limits.succeeded(permit, usage, loop.time())


NEEDS = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 900), st.floats(0, 100)), min_size=1, max_size=60
)


@settings(max_examples=40, deadline=None)
@given(needs=NEEDS, tpm=st.integers(1800, 9000), input_tpm=st.integers(900, 5000))
def test_reserved_tokens_never_exceed_a_minute_and_nobody_is_overtaken(
    needs: list[tuple[int, int, float]], tpm: int, input_tpm: int
) -> None:
    """Both limits in any 60 s, with nothing to refund; the large leave in their turn."""

    async def main() -> Served:
        limits = Limits(rpm=None, concurrency=7, tpm=tpm, input_tpm=input_tpm)
        served = Served(limits)
        async with anyio.create_task_group() as group:
            for number, (asked, said, took_s) in enumerate(needs):
                group.start_soon(served.call, number, Need(asked, said), took_s, None)
        return served

    served = virtually(main)
    assert served.order == list(range(len(needs)))
    assert served.most <= 7
    for last in served.permits:
        recent = [p.need for p in served.permits if last.at - 60 + HAIR_S < p.at <= last.at]
        assert sum(n.input_tokens + n.output_tokens for n in recent) <= tpm
        assert sum(n.input_tokens for n in recent) <= input_tpm


def test_what_was_reserved_and_not_used_is_free_at_once() -> None:
    """A second call of 900 fits into the same minute when the first took only 50."""

    async def when_second(usage: Usage | None) -> float:
        limits, loop = Limits(rpm=None, concurrency=2, tpm=1000), asyncio.get_running_loop()
        first = await limits.admit(Need(100, 800))
        await asyncio.sleep(2)
        limits.succeeded(first, usage, loop.time())
        return (await limits.admit(Need(100, 800))).at

    assert virtually(lambda: when_second(Usage(30, 20))) < 10
    assert virtually(lambda: when_second(None)) == pytest.approx(60, abs=0.2)


def test_an_unused_permit_and_a_refusal_free_all_of_it() -> None:
    """What was never done takes nothing."""

    async def main() -> tuple[float, int]:
        limits, loop = Limits(rpm=None, concurrency=1, tpm=1000), asyncio.get_running_loop()
        limits.unused(await limits.admit(Need(0, 1000)))
        limits.refused(await limits.admit(Need(0, 1000)), loop.time())
        return (await limits.admit(Need(0, 1000))).at, limits.in_flight

    at, in_flight = virtually(main)
    assert (round(at), in_flight) == (0, 1)


def test_tokens_beyond_the_limit_are_counted() -> None:
    """An estimate that was too low shows."""

    async def main() -> int:
        limits, loop = Limits(rpm=None, concurrency=1, tpm=1000), asyncio.get_running_loop()
        permit = await limits.admit(Need(100, 800))
        limits.succeeded(permit, Usage(100, 1000), loop.time())
        return limits.statistics(loop.time()).excess_tokens

    assert virtually(main) == 100


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"tpm": 1000}, "tokens/min"),
        ({"input_tpm": 300}, "input-tokens/min"),
        ({"output_tpm": 700}, "output-tokens/min"),
    ],
)
def test_a_call_larger_than_a_window_is_refused_at_once(
    limits: dict[str, float], words: str
) -> None:
    """With the limit's name, and nothing is in flight or used."""

    async def main() -> tuple[str, float, int]:
        account = Limits(rpm=None, concurrency=1, **limits)
        with pytest.raises(TooLarge) as caught:
            await account.admit(Need(400, 800))
        return str(caught.value), asyncio.get_running_loop().time(), account.in_flight

    said, now, in_flight = virtually(main)
    assert words in said
    assert now < HAIR_S
    assert in_flight == 0


def test_a_day_holds_no_more_than_its_requests() -> None:
    """The next goes out when a day has passed since the first."""

    async def main() -> list[float]:
        return await pass_gate(Limits(rpm=None, concurrency=1, rpd=5), 7)

    times = virtually(main)
    assert times[4] < 1
    assert times[5:] == pytest.approx([DAY_S, DAY_S], abs=DAY_S / 500)


@given(cap=st.integers(1, 9))
def test_no_more_calls_are_in_flight_than_allowed(cap: int) -> None:
    """And no fewer, while there is work."""

    async def main() -> int:
        served = Served(Limits(rpm=None, concurrency=cap))
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(served.call, number, Need(), 1.0, None)
        return served.most

    assert virtually(main) == cap


# --- refusals ----------------------------------------------------------------------------------


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

    async def main() -> float:
        limits, loop = Limits(rpm=1, concurrency=2), asyncio.get_running_loop()
        first = await limits.admit()
        loop.call_at(30, lambda: limits.rejected(first, 300.0, 30.0, rate=True))
        return (await limits.admit()).at

    assert virtually(main) == pytest.approx(330)


def test_the_longest_of_several_pauses_counts() -> None:
    """A shorter one of the same burst does not end it."""

    async def main() -> float:
        limits, loop = Limits(rpm=None, concurrency=4), asyncio.get_running_loop()
        burst = [await limits.admit(), await limits.admit()]
        limits.rejected(burst[0], 100.0, loop.time(), rate=True)
        limits.rejected(burst[1], 1.0, loop.time(), rate=True)
        return (await limits.admit()).at

    assert virtually(main) == pytest.approx(100)


def test_untold_pauses_grow_to_a_bound_and_start_small_again_after_a_success() -> None:
    """Half as long again each time."""

    async def main() -> list[float]:
        limits, loop, waits = Limits(rpm=None, concurrency=1), asyncio.get_running_loop(), []
        permit = await limits.admit()
        for n in range(14):
            await asyncio.sleep(0.01)
            if n == 12:
                limits.succeeded(permit, None, loop.time())
                permit = await limits.admit()
                await asyncio.sleep(0.01)
            before = loop.time()
            limits.rejected(permit, None, before, rate=True)
            permit = await limits.admit()
            waits.append(permit.at - before)
        return waits

    waits = virtually(main)
    grown = [min(FIRST_PAUSE_S * 1.5**n, LONGEST_PAUSE_S) for n in range(12)]
    assert waits == pytest.approx([*grown, FIRST_PAUSE_S, FIRST_PAUSE_S * 1.5], abs=1e-3)


@given(told_s=st.floats(1, 300))
def test_after_a_pause_one_probe_goes_out_and_the_rest_wait_for_its_success(told_s: float) -> None:
    """Twenty wait; until the probe is answered, one is out."""

    async def main() -> tuple[int, int, int]:
        limits, loop = Limits(rpm=None, concurrency=30), asyncio.get_running_loop()
        limits.rejected(await limits.admit(), told_s, loop.time(), rate=True)
        gate, permits = asyncio.Lock(), []

        async def caller() -> None:
            async with gate:
                permits.append(await limits.admit())

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(caller)
            await asyncio.sleep(told_s - 0.1)
            before = len(permits)
            await asyncio.sleep(min(0.2 + PATIENCE_S / 2, 1.5))
            probing = len(permits)
            limits.succeeded(permits[0], None, loop.time())
        return before, probing, len(permits)

    assert virtually(main) == (0, 1, 20)


def test_an_outage_lets_one_probe_through_at_a_time_and_its_success_ends_it() -> None:
    """Ten failures in a row open the breaker."""

    async def main() -> tuple[list[float], float]:
        limits, loop = Limits(rpm=None, concurrency=20), asyncio.get_running_loop()
        for permit in [await limits.admit() for _ in range(10)]:
            await asyncio.sleep(0.001)
            limits.troubled(permit, loop.time())
        times, start = [], loop.time()
        for _ in range(4):
            probe = await limits.admit()
            times.append(probe.at - start)
            assert "breaker" not in limits.waiting(loop.time())
            await asyncio.sleep(0.001)
            limits.troubled(probe, loop.time())
        probe = await limits.admit()
        await asyncio.sleep(0.001)
        limits.succeeded(probe, None, loop.time())
        before = loop.time()
        for _ in range(10):
            await limits.admit()
        return times, loop.time() - before

    times, after = virtually(main)
    assert times == pytest.approx([1.0, 2.0, 3.5, 5.75], abs=0.05)
    assert after == pytest.approx(0, abs=HAIR_S)


def test_a_headerless_429_is_about_calls_in_flight_and_pauses_nobody() -> None:
    """The limit falls to what was accepted; a number in the body is obeyed exactly."""

    async def main() -> tuple[int, int, float]:
        limits, loop = Limits(rpm=None, concurrency=40), asyncio.get_running_loop()
        out = [await limits.admit() for _ in range(40)]
        await asyncio.sleep(0.1)
        for permit in out[30:]:
            limits.rejected(permit, None, loop.time(), rate=False)
        learned = limits.concurrency
        assert limits.told("concurrency", 12, "429 body", loop.time())
        for permit in out[:30]:
            limits.succeeded(permit, None, loop.time())
        await limits.admit()
        return learned, limits.concurrency, loop.time()

    learned, told, now = virtually(main)
    assert 29 <= learned <= 32
    assert told == 12
    assert now == pytest.approx(0.1)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_pace_recovers_when_a_told_limit_halves_or_doubles(factor: float) -> None:
    """Within two minutes calls go out at the new rate, at least nine tenths of it."""

    async def main() -> float:
        limits, loop = Limits(rpm=None, concurrency=50), asyncio.get_running_loop()
        limits.told("rpm", 240, "headers", 0.0)
        times = []
        while loop.time() < 300:
            permit = await limits.admit()
            times.append(permit.at)
            if permit.at > 100:
                limits.told("rpm", 240 * factor, "headers", loop.time())
            limits.succeeded(permit, None, loop.time())
        return sum(220 <= at < 280 for at in times) / (240 * factor)

    assert 0.9 <= virtually(main) <= 1.0


# --- where limits come from, and what is said --------------------------------------------------


def test_the_sweep_file_stands_above_what_a_provider_says_and_a_person_above_both() -> None:
    """And the source is shown."""

    async def main() -> list[tuple[str, float | None, str]]:
        limits = Limits(rpm=60, concurrency=1)
        assert not limits.told("rpm", 90, "headers", 0.0)
        assert limits.told("tpm", 5000, "429 body", 0.0)
        assert not limits.told("tpm", 5000, "headers", 0.0)
        assert limits.set("rpm", 30, "control", 0.0)
        assert not limits.set("shoe size", 43, "control", 0.0)
        return [(v.name, v.value, v.source) for v in limits.statistics(0.0).limits]

    assert virtually(main) == [
        ("concurrency", 1, "sweep file"),
        ("rpm", 30, "control"),
        ("tpm", 5000, "429 body"),
    ]


def test_the_console_is_told_why_the_next_call_waits_and_until_when() -> None:
    """The rate, the tokens, the calls in flight, a 429, a hand: each with its end, if it has one."""

    async def reason(limits: Limits, prepare: Callable[[Permit], None], need: Need) -> str:
        loop = asyncio.get_running_loop()
        assert limits.waiting(loop.time()) == ""
        permit = await limits.admit(need)
        prepare(permit)
        task = asyncio.ensure_future(limits.admit(need))
        await asyncio.sleep(0.25)
        said = limits.waiting(loop.time())
        task.cancel()
        return said

    def told(limits: Limits) -> Callable[[Permit], None]:
        return lambda permit: limits.rejected(permit, 12.0, permit.at, rate=True)

    async def main() -> list[str]:
        one, two = Limits(rpm=60, concurrency=2), Limits(rpm=None, concurrency=2, tpm=1000)
        three, four = Limits(rpm=None, concurrency=1), Limits(rpm=None, concurrency=2)
        five = Limits(rpm=None, concurrency=2)
        return [
            await reason(one, lambda permit: None, Need()),
            await reason(two, lambda permit: None, Need(400, 400)),
            await reason(three, lambda permit: None, Need()),
            await reason(four, told(four), Need()),
            await reason(five, lambda permit: five.hold(True), Need()),
        ]

    said = virtually(main)
    assert said[0] == "requests/min 60, 0.8 s"
    assert said[1].startswith("tokens/min 1000, 59.")
    assert said[2:] == ["calls 1/1", "429 retry-after, 11.8 s", "paused by hand"]


def test_a_hand_holds_everything_and_lets_it_go_again() -> None:
    """From a second terminal."""

    async def main() -> float:
        limits, loop = Limits(rpm=None, concurrency=1), asyncio.get_running_loop()
        limits.hold(True)
        loop.call_later(77, limits.hold, False)
        return (await limits.admit()).at

    assert virtually(main) == pytest.approx(77)


def test_whoever_gives_up_waiting_takes_nothing() -> None:
    """A cancelled admission leaves no trace."""

    async def main() -> tuple[int, int]:
        limits = Limits(rpm=None, concurrency=1, tpm=1000)
        await limits.admit(Need(500, 0))
        with anyio.move_on_after(5):
            await limits.admit(Need(500, 0))
        return limits.in_flight, limits.statistics(0.0).admitted

    assert virtually(main) == (1, 1)


def test_a_429_that_comes_while_the_next_caller_stands_in_the_spacing_holds_it_too() -> None:
    """At high rates callers wait there, for a tick; the slot they get is then lost."""

    async def main() -> float:
        limits, loop = Limits(rpm=6000, concurrency=9), asyncio.get_running_loop()
        first = [await limits.admit(), await limits.admit()][0]
        loop.call_later(0.005, lambda: limits.rejected(first, 30.0, loop.time(), rate=True))
        return (await limits.admit()).at

    assert virtually(main) == pytest.approx(30.005, abs=0.1)


def test_whoever_only_asks_whether_it_is_clear_waits_for_the_probes_time_too() -> None:
    """Several accounts share the work: none takes a job for a server that is down."""

    async def main() -> tuple[float, str]:
        limits, loop = Limits(rpm=None, concurrency=20), asyncio.get_running_loop()
        for permit in [await limits.admit() for _ in range(10)]:
            limits.troubled(permit, loop.time())
        waiting = asyncio.ensure_future(limits.clear())
        await asyncio.sleep(0.25)
        said = limits.waiting(loop.time())
        await waiting
        return loop.time(), said

    ended, said = virtually(main)
    assert ended == pytest.approx(1.0)
    assert said == "breaker open, probe, 0.8 s"


def test_calls_in_flight_can_be_set_by_hand_and_never_below_one() -> None:
    """From a second terminal; the console then says where the number comes from."""
    limits = Limits(rpm=None, concurrency=8)
    for value, allowed in ((3.0, 3), (0.2, 1), (8.0, 1)):
        assert limits.set("concurrency", value, "control", 0.0)
        assert limits.concurrency == allowed
    assert limits.set("nonsense", 1.0, "control", 0.0) is False
    limits = Limits(rpm=None, concurrency=8)
    limits.set("concurrency", 3.0, "control", 0.0)
    [view] = limits.statistics(0.0).limits
    assert (view.name, view.value, view.source) == ("concurrency", 3, "control")


def test_what_a_call_really_took_changes_the_tokens_and_not_the_days_requests() -> None:
    """A request is one request, however short its answer was."""

    async def main() -> dict[str, float]:
        limits = Limits(rpm=None, concurrency=1, tpm=1000, rpd=2)
        permit = await limits.admit(Need(100, 100))
        limits.succeeded(permit, Usage(50, 10), asyncio.get_running_loop().time())
        return {view.name: view.used for view in limits.statistics(0.0).limits}

    assert virtually(main) == {"concurrency": 0, "tpm": 60, "rpd": 1}
