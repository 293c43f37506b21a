"""429s that say nothing: what they are about is found out, and at what rate it goes on."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.limits import Limits, Need
from engine.runtime import run
from engine.silence import Silence
from tests.toy_account import Client, Toy

ENDLESS = (Need(), 1)


def played(toy: Toy, concurrency: int, minutes: float) -> Client:
    """So many virtual minutes of a client that always has work."""

    async def main() -> Client:
        client = Client(Limits(rpm=None, concurrency=concurrency), toy, itertools.repeat(ENDLESS))
        await client.work(concurrency, 60.0 * minutes)
        return client

    return run(main, virtual=True)


def accepted(toy: Toy, start_s: float, end_s: float) -> int:
    return sum(start_s <= at < end_s for at, _ in toy.accepted)


def refused(toy: Toy, start_s: float, end_s: float) -> int:
    return sum(start_s <= at < end_s for at in toy.refused)


# --- the rules ---------------------------------------------------------------------------------


def test_a_refusal_while_fewer_were_served_than_ever_stood_speaks_of_a_rate() -> None:
    """Twelve of sixteen places taken, and yet no: it is not about places."""
    silence = Silence()
    silence.answered(16)
    assert not silence.speaks_of_rate(15, 1.0, sent_at=0.9, paced=False)
    assert not silence.speaks_of_rate(12, 2.0, sent_at=1.9, paced=False)
    assert silence.speaks_of_rate(11, 3.0, sent_at=2.9, paced=False)


def test_a_refusal_while_nothing_was_served_speaks_of_a_rate() -> None:
    """Also when nothing was ever answered: one place there must be."""
    assert Silence().speaks_of_rate(0, 1.0, sent_at=0.9, paced=False)
    assert not Silence().speaks_of_rate(1, 1.0, sent_at=0.9, paced=False)


def test_what_was_sent_before_such_a_refusal_belongs_to_it() -> None:
    """A burst is refused for one reason."""
    silence = Silence()
    assert silence.speaks_of_rate(0, 1.0, sent_at=0.9, paced=False)
    assert silence.speaks_of_rate(40, 1.1, sent_at=0.95, paced=False)
    assert not silence.speaks_of_rate(40, 1.3, sent_at=1.2, paced=False)


def test_where_a_rate_is_known_whatever_has_stood_speaks_of_a_rate() -> None:
    """Only above that may it be about places."""
    silence = Silence()
    silence.answered(16)
    assert silence.speaks_of_rate(15, 20.0, sent_at=19.9, paced=True)
    assert not silence.speaks_of_rate(16, 40.0, sent_at=39.9, paced=True)


def test_places_that_become_fewer_are_recognised_after_a_few_refusals() -> None:
    """From fifty to twenty-five: each refusal soon after another lowers what is believed."""
    silence = Silence()
    silence.answered(50)
    verdicts = [
        silence.speaks_of_rate(25, 2.0 * n, sent_at=2.0 * n - 0.1, paced=True) for n in range(4)
    ]
    assert verdicts == [True, True, False, False]


# --- accounts that only say no -----------------------------------------------------------------


@pytest.mark.parametrize("workers", [4, 16, 64])
@pytest.mark.parametrize("rpm", [60, 400])
@pytest.mark.parametrize("latency_s", [0.3, 3.0])
def test_a_silent_rate_is_found_and_kept(rpm: int, workers: int, latency_s: float) -> None:
    """From the third minute on, nine tenths of what is let in or could be sent; 4 % refused at most."""
    toy = Toy(random.Random(1), rpm=lambda now: rpm, latency_s=latency_s)
    played(toy, workers, 12)
    possible = min(rpm, 0.9 * 60 * workers / latency_s)
    assert accepted(toy, 120, 720) >= 0.9 * possible * 10
    assert refused(toy, 120, 720) <= 0.04 * accepted(toy, 120, 720)


@settings(max_examples=15, deadline=None)
@given(
    rpm=st.integers(20, 1500),
    workers=st.integers(1, 80),
    latency_s=st.floats(0.1, 8.0),
    seed=st.integers(0, 99),
)
def test_whatever_the_silent_rate_few_are_refused_and_little_is_lost(
    rpm: int, workers: int, latency_s: float, seed: int
) -> None:
    """Over a quarter of an hour, the finding included: one in twelve refused, and the first burst."""
    toy = Toy(random.Random(seed), rpm=lambda now: rpm, latency_s=latency_s)
    played(toy, workers, 15)
    assert len(toy.refused) <= len(toy.accepted) / 12 + workers + 20
    possible = min(rpm, 0.8 * 60 * workers / latency_s)
    assert accepted(toy, 180, 900) >= 0.8 * possible * 12


@pytest.mark.parametrize(("burst", "share"), [(2, 0.75), (10, 0.9), (60, 0.9)])
def test_a_silent_leaky_bucket_is_found_too(burst: int, share: float) -> None:
    """As nginx keeps one: so many a second, and a handful at once. Two are hard to tell from places."""
    toy = Toy(random.Random(2), bucket=(600.0, burst), latency_s=1.0)
    played(toy, 16, 10)
    assert accepted(toy, 120, 600) >= share * 600 * 8
    assert refused(toy, 120, 600) <= 0.04 * accepted(toy, 120, 600)


@pytest.mark.parametrize("places", [1, 5, 20, 50])
@pytest.mark.parametrize("latency_s", [0.5, 6.0])
def test_silent_places_are_still_taken_for_places(places: int, latency_s: float) -> None:
    """64 workers before so many places: filled, with hardly a pause."""
    toy = Toy(random.Random(3), places=lambda now: places, latency_s=latency_s)
    client = played(toy, 64, 60 * latency_s / 6)
    mean_s = latency_s * 1.083  # of a lognormal
    assert len(toy.accepted) >= 0.9 * places * 600 * latency_s / mean_s
    assert len(toy.refused) <= 64 - places + 12 + 0.02 * len(toy.accepted)
    assert client.limits.concurrency <= places + 3


def halved_and_doubled(high: float) -> Callable[[float], float]:
    return lambda now: high if now < 600 else high / 2 if now < 1200 else high


@pytest.mark.parametrize("what", ["rpm", "places"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_silent_limit_that_halves_and_doubles_is_followed(what: str, seed: int) -> None:
    """Nine tenths again within three minutes of each change, and one in twenty refused at most."""
    if what == "rpm":
        toy = Toy(random.Random(seed), rpm=halved_and_doubled(240), latency_s=2.0)
        per_minute = [240.0, 120.0, 240.0]
    else:
        toy = Toy(random.Random(seed), places=halved_and_doubled(16), latency_s=2.0)
        per_minute = [16 * 60 / 2.166, 8 * 60 / 2.166, 16 * 60 / 2.166]
    played(toy, 64, 30)
    for start, rate in zip((180, 780, 1380), per_minute, strict=True):
        assert accepted(toy, start, start + 420) >= 0.9 * rate * 7
    assert refused(toy, 60, 1800) <= 0.05 * accepted(toy, 60, 1800)


def test_a_told_rate_and_told_places_need_no_finding_out() -> None:
    """What a 429 says is believed: the first kind pauses, the second does not."""

    async def main() -> tuple[float, float]:
        loop, waits = asyncio.get_running_loop(), []
        for rate in (True, False):
            limits = Limits(rpm=None, concurrency=8)
            permits = [await limits.admit() for _ in range(4)]
            await asyncio.sleep(0.1)
            limits.rejected(permits[0], None, loop.time(), rate=rate)
            before = loop.time()
            with anyio.move_on_after(5):
                await limits.admit()
            waits.append(loop.time() - before)
        return waits[0], waits[1]

    told_rate, told_places = run(main, virtual=True)
    assert told_rate == pytest.approx(1.0, abs=0.01)
    assert told_places == pytest.approx(0.0, abs=0.01)
