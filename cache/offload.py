"""Where blocking work goes: SQLite, fdatasync, compression.

`Threads` gives each lane of work one thread of its own, so a connection or a file stays with one
thread and its calls keep their order. `Inline` does the work on the spot: on virtual time nothing may
depend on how fast a real thread is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

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
