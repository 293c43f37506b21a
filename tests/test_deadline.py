"""One timer for the deadlines of many calls, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from providers.deadline import Deadlines
from providers.virtual import new_loop

T = TypeVar("T")


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a fresh virtual clock."""

    async def started() -> T:
        return await main()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(started())


async def call(deadlines: Deadlines, begins: float, lasts: float) -> tuple[str, float]:
    """How a call ended, and when."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begins)
    try:
        with deadlines.one():
            await asyncio.sleep(lasts)
    except TimeoutError:
        return "late", loop.time()
    return "done", loop.time()


def test_each_call_runs_out_at_its_own_time_and_no_other_is_touched() -> None:
    """Calls that begin one after the other, some of them too slow."""

    async def main() -> list[tuple[str, float]]:
        deadlines = Deadlines(10.0)
        plays = [(0.0, 3.0), (1.0, 99.0), (2.0, 9.5), (4.0, 99.0), (30.0, 99.0), (31.0, 1.0)]
        return await asyncio.gather(*(call(deadlines, *play) for play in plays))

    ends = virtually(main)
    assert [end for end, _ in ends] == ["done", "late", "done", "late", "late", "done"]
    assert [at for _, at in ends] == pytest.approx([3.0, 11.0, 11.5, 14.0, 40.0, 32.0])


def test_many_calls_share_one_timer() -> None:
    """A hundred calls at once; the loop has one timer for all, and their own sleeps."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(10.0)
        calls = [asyncio.ensure_future(call(deadlines, 0.0, 5.0)) for _ in range(100)]
        await asyncio.sleep(1.0)
        timers = len(loop._scheduled)  # type: ignore[attr-defined]
        await asyncio.gather(*calls)
        return timers

    assert virtually(main) == 101


def test_a_cancellation_from_elsewhere_is_no_deadline() -> None:
    """Also where it comes in the same turn as the deadline."""

    async def main(after: float) -> str:
        deadlines = Deadlines(10.0)
        task = asyncio.ensure_future(call(deadlines, 0.0, 99.0))
        asyncio.get_running_loop().call_at(after, task.cancel)
        try:
            return (await task)[0]
        except asyncio.CancelledError:
            return "cancelled"

    assert virtually(lambda: main(5.0)) == "cancelled"
    assert virtually(lambda: main(10.0)) == "cancelled"
    assert virtually(lambda: main(50.0)) == "late"


def test_another_error_goes_through_and_the_task_can_go_on() -> None:
    """A call that fails takes its deadline with it; a task that ran out may begin again."""

    async def main() -> list[str]:
        deadlines = Deadlines(10.0)
        with pytest.raises(KeyError), deadlines.one():
            raise KeyError
        ends = [await call(deadlines, 0.0, 20.0), await call(deadlines, 0.0, 9.0)]
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        return [end for end, _ in ends]

    assert virtually(main) == ["late", "done"]


def test_outside_a_task_there_is_nobody_to_cancel() -> None:
    """It says so at once."""

    async def main() -> BaseException | None:
        found: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def enter() -> None:
            try:
                with Deadlines(1.0).one():
                    found.set_result(None)
            except RuntimeError as error:
                found.set_result(error)

        asyncio.get_running_loop().call_soon(enter)
        return await found

    assert isinstance(virtually(main), RuntimeError)
