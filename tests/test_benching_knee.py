"""The knee of a ladder, where the truth is known: a server with so many places."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from engine.benching.knee import Knee, Step, knee

LADDER = (1, 2, 4, 8, 16, 32, 64, 128)


def served(n: int, slots: float, draw: Callable[[], float], *, calls: int) -> Step:
    """A closed load of `n` on a FIFO server of `slots` places: mean latency in its steady part."""
    free = [0.0] * int(min(slots, n))
    ready = [(0.0, i) for i in range(n)]
    heapq.heapify(ready)
    done: list[float] = []
    for number in range(n + calls):
        asked, who = heapq.heappop(ready)
        starts = max(heapq.heappop(free), asked)
        ends = starts + draw()
        heapq.heappush(free, ends)
        heapq.heappush(ready, (ends, who))
        if number >= n:
            done.append(ends - asked)
    return Step(float(n), sum(done) / len(done), len(done))


def ladder(slots: float, seed: int, sigma: float) -> Knee:
    dice = random.Random(seed)

    def draw() -> float:
        return 0.25 * dice.lognormvariate(-sigma * sigma / 2, sigma)

    return knee([served(n, slots, draw, calls=max(40, 3 * n)) for n in LADDER])


@pytest.mark.parametrize("sigma", [0.0, 0.5])
@pytest.mark.parametrize("slots", [4, 8, 24, 64])
def test_the_knee_is_found_within_15_percent(slots: int, sigma: float) -> None:
    """In nine of ten ladders at least, and on the whole without bias."""
    found = [ladder(slots, seed, sigma).in_flight for seed in range(60)]
    close = [k for k in found if k is not None and abs(k / slots - 1) <= 0.15]
    assert len(close) >= 54
    middle = sorted(k for k in found if k is not None)[len(found) // 2]
    assert middle == pytest.approx(slots, rel=0.05)


def test_a_server_without_a_limit_has_no_knee() -> None:
    """Not once in sixty ladders."""
    assert {ladder(1e9, seed, 0.5).status for seed in range(60)} == {"not_reached"}


@pytest.mark.parametrize(("top", "status"), [(11, "not_reached"), (13, "passed")])
def test_a_knee_is_told_only_from_well_beyond_it(top: int, status: str) -> None:
    """Eight places: eleven in flight are 1.4 times the knee, thirteen 1.6 times."""
    steps = [served(n, 8, lambda: 0.25, calls=200) for n in (1, 2, 4, top)]
    assert knee(steps).status == status


def test_too_few_rungs_are_unresolved() -> None:
    """Two points make any line."""
    assert knee([Step(1, 1, 40), Step(2, 1, 40)]).status == "unresolved"
    assert knee([]).status == "unresolved"


def test_a_slow_bend_is_called_soft() -> None:
    """Latency that rises with every further call, as batching servers have it."""
    bent = knee([Step(n, 0.5 + 0.05 * n, 100) for n in LADDER])
    assert bent.status == "passed"
    assert bent.soft
    assert not ladder(8, 1, 0.0).soft
