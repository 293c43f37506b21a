"""Death at every operation on the disk: before it, after it, and in the middle of each write.

All the points of a sweep of 50 questions with its reports and exports are enumerated, not drawn. After
each death nothing that was told is lost; after the next life the run is complete, the same as if nothing
had happened, and nothing was paid for twice. `make torture` dies at all of them, the rest of the time at
every n-th (a fixed rule). Recovery is killed at each of its own points, too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tests.lives import (
    CONCURRENCY,
    KILLED,
    NEEDED,
    RUN,
    Place,
    crew,
    nothing_lost,
    place,
    undisturbed,
    whole_in_the_end,
)
from tests.strikes import TORN, How, Kind, Strike

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")
EVERY = 89
"""A prime, so that no rhythm of the program hides a kind of point."""


def points(kinds: Sequence[Kind]) -> list[Strike]:
    """Every point at which a process can die."""
    ways: dict[bool, tuple[How, ...]] = {
        True: ("before", *TORN, "after"),
        False: ("before", "after"),
    }
    return [
        Strike(at, how) for at, kind in enumerate(kinds, start=1) for how in ways[kind == "write"]
    ]


def kinds_of_a_run() -> tuple[Kind, ...]:
    return undisturbed()[1]


def dies(own: Place, strike: Strike) -> int:
    """One life that ends at `strike`; the requests it had in flight."""
    life = own.live(strike)
    assert life.code == KILLED, f"{strike} was never reached: {life}"
    results = nothing_lost(own, life.told)
    lost = life.sent - results
    assert 0 <= lost <= CONCURRENCY, f"{lost} requests in flight"
    return life.sent


def after_one_death(strike: Strike) -> str:
    """Dies once, is resumed to the end. Empty, or which promise was broken."""
    try:
        with place() as own:
            sent = dies(own, strike)
            lost = sent - len(own.results())
            last = own.live()
            assert (last.code, last.commands) == (0, 3), last
            whole_in_the_end(own, sent + last.sent, lost)
            assert last.sent >= NEEDED - sent
    except Exception as error:  # whatever it is, it is a finding
        return f"{strike}: {type(error).__name__}: {error}"
    return ""


def after_deaths_while_recovering(strike: Strike) -> list[str]:
    """Dies once, then at each point of the recovery that follows, each time on the same folder.

    Recovery ends where the first new request goes out. An item a point: empty, or what broke.
    """
    found = []
    with place() as crashed:
        sent = dies(crashed, strike)
        before = crashed.results()
        for again in _recovery(crashed):
            with place() as own:
                twin = crashed.copy(own.folder)
                try:
                    again_sent = dies_again(twin, again)
                    assert twin.results() == before, "recovery changed what there was"
                    last = twin.live(commands=[RUN])
                    assert last.code == 0, last
                    lost = sent - len(before)
                    whole_in_the_end(twin, sent + again_sent + last.sent, lost)
                except Exception as error:
                    found.append(f"{strike}, then {again}: {type(error).__name__}: {error}")
                else:
                    found.append("")
    return found


def dies_again(own: Place, strike: Strike) -> int:
    life = own.live(strike, commands=[RUN])
    assert life.code == KILLED, f"{strike} was never reached: {life}"
    assert life.sent == 0, "this is no recovery any more"
    return life.sent


def _recovery(crashed: Place) -> list[Strike]:
    """The points before the first request of the life after."""
    with place() as own:
        twin = crashed.copy(own.folder)
        return points(twin.kinds(RUN, until_sent=True))


@pytest.mark.slow
def test_death_at_every_so_many_points_loses_nothing_and_pays_for_nothing_twice() -> None:
    """Every 89th of them."""
    every = points(crew().submit(kinds_of_a_run).result())
    assert len(every) > 1_500
    struck = every[EVERY // 2 :: EVERY]
    broken = [said for said in crew().map(after_one_death, struck) if said]
    print(f"\n{len(struck)} of {len(every)} crash points, {len(broken)} broken")
    assert not broken, "\n".join(["", *broken])


@pytest.mark.torture
def test_death_at_every_point_loses_nothing_and_pays_for_nothing_twice() -> None:
    """100 %: each operation, before, after, and each write torn in three places."""
    every = points(crew().submit(kinds_of_a_run).result())
    broken = [said for said in crew().map(after_one_death, every, chunksize=4) if said]
    print(f"\n{len(every)} of {len(every)} crash points, {len(broken)} broken")
    assert not broken, "\n".join(["", *broken])


def recovering_from(struck: Sequence[Strike]) -> None:
    found = [s for some in crew().map(after_deaths_while_recovering, struck) for s in some]
    broken = [said for said in found if said]
    print(f"\n{len(found)} deaths while recovering from {len(struck)} deaths, {len(broken)} broken")
    assert not broken, "\n".join(["", *broken])


@pytest.mark.slow
def test_recovery_that_dies_at_each_of_its_own_points_is_made_up_for() -> None:
    """From a torn line in the middle of the work: recover(recover(x)) is recover(x)."""
    kinds = crew().submit(kinds_of_a_run).result()
    recovering_from([Strike(kinds.index("commit") + 60, "middle")])


@pytest.mark.torture
def test_recovery_from_many_deaths_dies_at_each_of_its_points() -> None:
    """From every 23rd death."""
    every = points(crew().submit(kinds_of_a_run).result())
    recovering_from(every[::23])
