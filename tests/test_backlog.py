"""What waits for one provider, and in which order it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.backlog import SLACK_S, Backlog, Stream
from providers.virtual import new_loop

T = TypeVar("T")


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a fresh virtual clock."""
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": new_loop})


def backlog(most: int = 100, **streams: range) -> Backlog[str]:
    """A backlog with these streams; names that begin with j are judges."""
    made: Backlog[str] = Backlog(most)
    for name, numbers in streams.items():
        stage = "judgment" if name.startswith("j") else "answer"
        made.add_stream(Stream(name, iter(numbers)), stage)
    return made


def drain(of: Backlog[str]) -> list[int]:
    """All numbers, in order."""
    return list(iter(of.take_number, None))


def test_streams_take_turns_so_nobody_starves() -> None:
    """A short stream is served beside a long one, and the long one goes on alone."""
    assert drain(backlog(a=range(4), b=range(10, 12))) == [0, 10, 1, 11, 2, 3]


def test_stages_take_turns_before_streams_do() -> None:
    """One judge keeps up with three models."""
    waiting = backlog(a=range(2), b=range(10, 12), c=range(20, 22), j=range(90, 94))
    assert drain(waiting) == [0, 90, 10, 91, 20, 92, 1, 93, 11, 21]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=6))
def test_every_number_comes_out_once(shapes: list[tuple[bool, int]]) -> None:
    """Whatever the streams look like, and each stream in its own order."""
    waiting: Backlog[str] = Backlog(1000)
    for i, (judge, length) in enumerate(shapes):
        numbers = iter(range(100 * i, 100 * i + length))
        waiting.add_stream(Stream(str(i), numbers), "judgment" if judge else "answer")
    out = drain(waiting)
    for i, (_, length) in enumerate(shapes):
        own = [n for n in out if n // 100 == i]
        assert own == list(range(100 * i, 100 * i + length))
    assert len(out) == sum(length for _, length in shapes)


def test_what_comes_up_later_follows_the_plan() -> None:
    """Added numbers wait for the stream's own order, and an ended stream goes on with new ones."""
    stream = Stream("a", iter([1, 2]))
    stream.add(7)
    assert [stream.take() for _ in range(4)] == [1, 2, 7, None]
    stream.add(8)
    assert stream.take() == 8


def test_credits_bound_what_is_admitted() -> None:
    """No credit, no number, and none is lost: it comes when a trial has ended."""
    waiting = backlog(2, a=range(3))
    assert [waiting.take_number() for _ in range(3)] == [0, 1, None]
    waiting.give_back()
    assert waiting.take_number() == 2
    assert waiting.credits == 0


def test_an_empty_backlog_takes_no_credit() -> None:
    """Asking costs nothing."""
    waiting = backlog(2, a=range(0))
    assert waiting.take_number() is None
    assert waiting.credits == 2


def test_a_stopped_judge_does_not_take_a_model_of_the_same_name_along() -> None:
    """Streams are told apart by stage and name."""
    waiting: Backlog[str] = Backlog(10)
    waiting.add_stream(Stream("gpt", iter([1])), "answer")
    waiting.add_stream(Stream("gpt", iter([2])), "judgment")
    waiting.add_stream(Stream("other", iter([3])), "judgment")
    waiting.drop_streams("judgment", "gpt")
    assert sorted(drain(waiting)) == [1, 3]


def test_all_streams_can_be_dropped() -> None:
    """An account that was stopped admits nothing more."""
    waiting = backlog(a=range(3), j=range(3))
    waiting.drop_streams()
    assert drain(waiting) == []


def test_ready_jobs_leave_in_order_and_due_ones_first() -> None:
    """A retry whose time has come goes before what was never tried."""

    async def main() -> list[str]:
        waiting = backlog()
        waiting.put("first")
        waiting.put("second")
        waiting.put_later("later", 5.0)
        out = [await waiting.next_job()]
        await asyncio.sleep(5)
        return [*out, await waiting.next_job(), await waiting.next_job()]

    assert virtually(main) == ["first", "later", "second"]


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=12))
@example([1.0, 1.0 + 5e-10])
def test_timed_jobs_come_at_their_time_and_in_its_order(dues: list[float]) -> None:
    """Equal times in the order in which they were put; a clock that only jumps gets to all of them."""

    async def main() -> list[tuple[float, float, int]]:
        waiting: Backlog[tuple[float, int]] = Backlog(1)
        for i, due in enumerate(dues):
            waiting.put_later((due, i), due)
        out = []
        for _ in dues:
            due, i = await waiting.next_job()
            out.append((asyncio.get_running_loop().time(), due, i))
        return out

    out = virtually(main)
    assert [(due, i) for _, due, i in out] == sorted((due, i) for i, due in enumerate(dues))
    assert all(abs(now - due) <= 2 * SLACK_S for now, due, _ in out)


@pytest.mark.parametrize("later", [False, True])
def test_a_waiting_worker_wakes_at_what_is_put(later: bool) -> None:
    """Also when it already waits for a job of the far future."""

    async def main() -> tuple[str, float]:
        waiting = backlog()
        waiting.put_later("far", 3600.0)
        loop = asyncio.get_running_loop()

        def bring() -> None:
            if later:
                waiting.put_later("near", 20.0)
            else:
                waiting.put("near")

        loop.call_later(10.0, bring)
        return await waiting.next_job(), loop.time()

    job, now = virtually(main)
    assert (job, round(now, 6)) == ("near", 20.0 if later else 10.0)


def test_a_worker_that_is_cancelled_loses_no_job() -> None:
    """The next worker gets it."""

    async def main() -> str:
        waiting = backlog()
        with anyio.move_on_after(5) as scope:
            await waiting.next_job()
        assert scope.cancelled_caught
        waiting.put("kept")
        return await waiting.next_job()

    assert virtually(main) == "kept"


def test_take_all_empties_both_queues() -> None:
    """Jobs of a stopped account are handed back, timed ones too."""
    waiting = backlog()
    waiting.put("a")
    waiting.put_later("b", 99.0)
    assert waiting.queued == 2
    assert waiting.take_all() == ["a", "b"]
    assert waiting.queued == 0


def hungry(free: int, *, jobs: int, numbers: int) -> bool:
    """Would a provider of 100 credits admit more?"""
    waiting = backlog(100, a=range(numbers))
    if not numbers:
        drain(waiting)  # which is how it finds out
    for i in range(jobs):
        waiting.put(f"job {i}")
    waiting.credits = free
    return waiting.hungry


def test_admission_is_worth_while_in_batches_or_when_nothing_waits() -> None:
    """With half of the credits free, or no job left; never without a number or a credit."""
    assert hungry(50, jobs=1, numbers=9)
    assert not hungry(49, jobs=1, numbers=9)
    assert hungry(1, jobs=0, numbers=9)
    assert not hungry(0, jobs=0, numbers=9)
    assert not hungry(100, jobs=0, numbers=0)


def test_a_job_for_one_account_waits_for_that_one() -> None:
    """Whoever else waits is passed over; what was put for an account that stops is anybody's again."""

    async def main() -> list[str]:
        waiting: Backlog[str] = Backlog(9)
        got: list[str] = []

        async def wait(account: str) -> None:
            got.append(f"{account} {await waiting.next_job(account)}")

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "small")
            group.start_soon(wait, "large")
            await asyncio.sleep(1)
            waiting.put_for("large", "big")
            await asyncio.sleep(1)
            assert got == ["large big"]
            waiting.put_for("large", "bigger")
            assert waiting.queued == waiting.ready == 1
            waiting.release("large")
        waiting.put_for("large", "left")
        assert waiting.take_all() == ["left"]
        return got

    assert virtually(main) == ["large big", "small bigger"]
