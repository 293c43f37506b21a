"""Where blocking work goes: SQLite, fdatasync, compression.

`Threads` gives each lane of work one thread of its own, so a connection or a file stays with one
thread and its calls keep their order. `Inline` does the work on the spot: on virtual time nothing may
depend on how fast a real thread is.

`Lane` batches: what arrives while a batch is at work forms the next batch, so a busy engine pays one
thread hop for many items and an idle one waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Offload(Protocol):
    """One lane for blocking calls: they run one at a time, in order."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work()`, or its exception."""

    def close(self) -> None:
        """No more work will come."""


class Threads:
    """Production: a thread of its own."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class Inline:
    """Virtual time: the same work, done here and now."""

    async def run(self, work: Callable[[], Result]) -> Result:
        return work()

    def close(self) -> None:
        return None


class Lane(Generic[Item, Result]):
    """Collects single items into batches for one blocking function."""

    def __init__(
        self,
        offload: Offload,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        gather_s: float = 0.0,
    ) -> None:
        """`gather_s`: how long the first item of a batch waits for company."""
        self._offload, self._work, self._gather_s = offload, work, gather_s
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._busy: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; the future holds its result, or the batch's exception."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._busy is None:
            self._busy = asyncio.get_running_loop().create_task(self._drain())
        return future

    async def idle(self) -> None:
        """Wait until everything queued so far is done."""
        self._hurry.set()
        while self._busy is not None:
            await asyncio.wait([self._busy])
        self._hurry.clear()

    async def _drain(self) -> None:
        try:
            while self._waiting:
                if self._gather_s and not self._hurry.is_set():
                    await self._gather()
                batch, self._waiting = self._waiting, []
                await self._do(batch)
        finally:
            self._busy = None

    async def _gather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                await self._hurry.wait()

    async def _do(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        try:
            results = await self._offload.run(lambda: self._work(items))
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
