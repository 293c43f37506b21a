"""Lanes for blocking work, in threads and inline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from cache.offload import Inline, Offload, Threads
from providers.virtual import new_loop


def run(main: Callable[[], Any]) -> Any:
    """On real time: threads are real."""
    return anyio.run(main)


def run_virtually(main: Callable[[], Any]) -> Any:
    return anyio.run(main, backend_options={"loop_factory": new_loop})


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
