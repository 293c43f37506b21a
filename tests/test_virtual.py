"""Time that only jumps."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given
from hypothesis import strategies as st

from providers.virtual import POLL_EVERY, new_loop


def run_virtually(main: Any, *, start: float = 0.0) -> Any:
    """Run an async function without arguments on a fresh virtual clock."""
    options = {"loop_factory": partial(new_loop, start)}
    return anyio.run(main, backend="asyncio", backend_options=options)


def test_600_calls_at_60_a_minute_take_nine_virtual_minutes_and_no_real_second() -> None:
    """The engine's own waiting can be rehearsed."""

    async def main() -> float:
        limiter = AsyncLimiter(60, 60)

        async def call() -> None:
            async with limiter:
                await asyncio.sleep(0.3)

        async with anyio.create_task_group() as group:
            for _ in range(600):
                group.start_soon(call)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    virtual_s = run_virtually(main)
    assert 539 < virtual_s < 542
    assert time.perf_counter() - began < 5


def test_a_result_from_a_real_thread_arrives() -> None:
    """With no timer set, only something real can go on, so the loop waits for it really."""

    async def main() -> tuple[int, float]:
        before = asyncio.get_running_loop().time()
        ident = await anyio.to_thread.run_sync(threading.get_ident)
        return ident, asyncio.get_running_loop().time() - before

    ident, waited_s = run_virtually(main)
    assert ident != threading.get_ident()
    assert waited_s == 0


def test_a_thread_wakes_the_loop_by_call_soon_threadsafe() -> None:
    """The self-pipe of the loop is a real file descriptor and is really watched."""

    async def main() -> str:
        loop, future = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        threading.Thread(
            target=lambda: loop.call_soon_threadsafe(future.set_result, "from a thread")
        ).start()
        return str(await future)

    assert run_virtually(main) == "from a thread"


def test_a_signal_is_heard_while_timers_keep_the_loop_busy() -> None:
    """The wake-up pipe is looked at now and then, though nothing ever waits for it."""

    async def main() -> int:
        loop, pressed = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, pressed.set)
        signal.raise_signal(signal.SIGUSR1)
        steps = 0
        while not pressed.is_set() and steps < 1000:
            await asyncio.sleep(1.0)
            steps += 1
        loop.remove_signal_handler(signal.SIGUSR1)
        return steps

    assert run_virtually(main) <= 2 * POLL_EVERY


def test_a_real_socket_is_still_heard() -> None:
    """Only waiting is virtual; bytes are real."""

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            theirs.sendall(b"hello")
            return await asyncio.get_running_loop().sock_recv(ours, 5)

    assert run_virtually(main) == b"hello"


def test_a_timeout_fires_at_its_time() -> None:
    """anyio's deadlines stand on the loop's clock."""

    async def main() -> tuple[bool, float]:
        with anyio.move_on_after(86_400) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught, anyio.current_time()

    assert run_virtually(main, start=1_000.0) == (True, 87_400.0)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20), st.floats(0, 2e9))
def test_sleepers_wake_in_the_order_of_their_times(delays: list[float], start: float) -> None:
    """And never early, wherever the clock starts."""

    async def main() -> list[tuple[float, float]]:
        woken: list[tuple[float, float]] = []

        async def sleep(delay_s: float) -> None:
            due = anyio.current_time() + delay_s
            await asyncio.sleep(delay_s)
            woken.append((due, anyio.current_time()))

        async with anyio.create_task_group() as group:
            for delay_s in delays:
                group.start_soon(sleep, delay_s)
        return woken

    woken = run_virtually(main, start=start)
    assert [due for due, _ in woken] == sorted(due for due, _ in woken)
    assert all(now == pytest.approx(due, abs=1e-6) for due, now in woken)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The whole plugin on virtual time."""
    return "asyncio", {"loop_factory": new_loop}


@pytest.mark.anyio
async def test_it_serves_as_backend_of_the_pytest_plugin() -> None:
    """A test that waits an hour is quick."""
    await anyio.sleep(3600)
    assert anyio.current_time() >= 3600
