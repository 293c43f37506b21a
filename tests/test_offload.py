"""Lanes for blocking work, in threads and inline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
import pytest

from cache.offload import Inline, Lane, Offload, Threads
from providers.virtual import new_loop

Result = TypeVar("Result")


def run(main: Callable[[], Any]) -> Any:
    """On real time: threads are real."""
    return anyio.run(main)


def run_virtually(main: Callable[[], Any]) -> Any:
    return anyio.run(main, backend_options={"loop_factory": new_loop})


class Held:
    """A lane whose work waits until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def run(self, work: Callable[[], Result]) -> Result:
        await self.go.wait()
        return work()

    def close(self) -> None:
        self.go.set()


def one_by_one(items: Sequence[int]) -> Sequence[int]:
    return [item * 10 for item in items]


# --- offloads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Threads("t"), Inline])
def test_work_returns_its_result_or_raises_its_own_exception(make: Callable[[], Offload]) -> None:
    """Nothing is wrapped."""

    async def main() -> None:
        lane = make()
        assert await lane.run(lambda: 6 * 7) == 42
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0)
        assert await lane.run(lambda: "still here") == "still here"
        lane.close()

    run(main)


def test_threads_keep_one_thread_and_the_order_of_calls() -> None:
    """A connection stays with one thread, which is not the loop's."""
    seen: list[tuple[int, int]] = []

    async def main() -> None:
        lane = Threads("journal")

        def note(n: int) -> Callable[[], None]:
            return lambda: seen.append((n, threading.get_ident()))

        await asyncio.gather(*(lane.run(note(n)) for n in range(50)))
        lane.close()

    run(main)
    assert [n for n, _ in seen] == list(range(50))
    assert len({ident for _, ident in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_the_loop_goes_on_while_a_thread_is_blocked() -> None:
    """That is what the thread is for."""

    async def main() -> bool:
        lane, gate = Threads("slow"), threading.Event()
        blocked = asyncio.ensure_future(lane.run(lambda: gate.wait(20)))
        await asyncio.sleep(0)
        gate.set()
        answered = await blocked
        lane.close()
        return answered

    assert run(main)


def test_closing_waits_for_work_under_way() -> None:
    """Whoever closes a file next may do so."""
    finished: list[int] = []

    async def main() -> None:
        lane = Threads("last")
        work = asyncio.ensure_future(lane.run(lambda: finished.append(1)))
        await asyncio.sleep(0)
        lane.close()
        assert finished == [1]
        await work

    run(main)


def test_inline_work_takes_no_virtual_time_and_stays_in_its_thread() -> None:
    """Nothing depends on how quick a real thread is."""

    async def main() -> None:
        before = asyncio.get_running_loop().time()
        assert await Inline().run(threading.get_ident) == threading.get_ident()
        assert asyncio.get_running_loop().time() == before

    run_virtually(main)


# --- batches -----------------------------------------------------------------------------------


def test_what_arrives_while_a_batch_is_at_work_forms_the_next_batch() -> None:
    """One thread hop serves many items."""
    batches: list[list[int]] = []

    def work(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        return one_by_one(items)

    async def main() -> list[int]:
        held = Held()
        lane: Lane[int, int] = Lane(held, work)
        first = lane.put(1)
        await asyncio.sleep(0)
        rest = [lane.put(n) for n in range(2, 100)]
        held.go.set()
        return [await future for future in (first, *rest)]

    assert run_virtually(main) == [n * 10 for n in range(1, 100)]
    assert batches == [[1], list(range(2, 100))]


def test_a_lane_that_gathers_waits_for_company_but_not_when_somebody_waits_for_it() -> None:
    """The first item of a batch waits `gather_s` at most; `idle` hurries it."""
    batches: list[list[int]] = []

    def work(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        return one_by_one(items)

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        lane: Lane[int, int] = Lane(Inline(), work, gather_s=0.1)
        began = clock()
        first = lane.put(1)
        await asyncio.sleep(0.06)
        second = lane.put(2)
        assert (await first, await second) == (10, 20)
        assert clock() - began == pytest.approx(0.1)
        lane.put(3)
        await lane.idle()
        assert clock() - began == pytest.approx(0.1)
        lane.put(4)
        await asyncio.sleep(0.05)
        assert batches == [[1, 2], [3]]
        await lane.idle()

    run_virtually(main)
    assert batches == [[1, 2], [3], [4]]


def test_an_exception_reaches_the_whole_batch_and_nobody_else() -> None:
    """The batches before and after it are not touched."""

    def work(items: Sequence[int]) -> Sequence[int]:
        if 13 in items:
            raise ValueError("unlucky")
        return one_by_one(items)

    async def main() -> None:
        lane: Lane[int, int] = Lane(Inline(), work)
        assert await lane.put(1) == 10
        bad = [lane.put(13), lane.put(14)]
        results = await asyncio.gather(*bad, return_exceptions=True)
        assert [str(result) for result in results] == ["unlucky", "unlucky"]
        assert await lane.put(2) == 20

    run_virtually(main)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_work_that_returns_too_few_or_too_many_results_leaves_nobody_waiting(count: int) -> None:
    """A bug in the work is an error for those it forgot, never a hang."""

    async def main() -> Sequence[int | BaseException]:
        lane: Lane[int, int] = Lane(Inline(), lambda items: [0] * count)
        with anyio.fail_after(60):
            return await asyncio.gather(lane.put(1), lane.put(2), return_exceptions=True)

    results = run_virtually(main)
    assert [result for result in results if isinstance(result, int)] == [0] * min(count, 2)
    assert len(results) == 2


def test_somebody_who_gave_up_does_not_spoil_the_batch() -> None:
    """A cancelled future is passed over."""

    async def main() -> int:
        held = Held()
        lane: Lane[int, int] = Lane(held, one_by_one)
        gone, patient = lane.put(1), lane.put(2)
        gone.cancel()
        held.go.set()
        return await patient

    assert run_virtually(main) == 20


def test_idle_means_that_everything_put_is_done() -> None:
    """Also what was put while an earlier batch was at work; and an idle lane is idle at once."""

    async def main() -> None:
        held = Held()
        lane: Lane[int, int] = Lane(held, one_by_one)
        await lane.idle()
        futures = [lane.put(1)]
        await asyncio.sleep(0)
        futures.append(lane.put(2))
        waiting = asyncio.ensure_future(lane.idle())
        await asyncio.sleep(1)
        assert not waiting.done()
        held.go.set()
        await waiting
        assert [future.result() for future in futures] == [10, 20]

    run_virtually(main)


def test_a_lane_on_a_real_thread_gives_each_item_its_own_result() -> None:
    """Many items, many batches, no mix-up."""

    async def main() -> None:
        thread = Threads("real")
        lane: Lane[int, int] = Lane(thread, one_by_one)
        futures = []
        for n in range(500):
            futures.append(lane.put(n))
            if n % 7 == 0:
                await asyncio.sleep(0)
        assert await asyncio.gather(*futures) == [n * 10 for n in range(500)]
        await lane.idle()
        thread.close()

    run(main)
