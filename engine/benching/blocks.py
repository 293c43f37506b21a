"""One block: one load on one target, from its first call to the end of its last.

Closed: so many callers, each begins its next call when the one before has ended. They start spread over
the time of one call, so that they do not march in step. Open: calls begin when they are due, whoever is
still out. When enough was seen nobody begins a call any more, and those that are out are awaited: cut
short they would be the slow ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import anyio
from anyio.abc import TaskGroup

from data.schema import LoadKind, Struct, Timing
from engine.benching.caller import Broken, Caller, OutOfMoney, Spot
from engine.benching.calls import Window
from engine.benching.enough import Enough
from engine.benching.rungs import LIMITED
from engine.benching.targets import Target
from engine.concurrency import ConcurrencyController

LONGEST_FILL_S = 10.0
OPEN_PLACES = 4096
"""An open load is held back by nobody but the limits."""

Deal = Callable[[], tuple[int, str]]
"""The next question, and its salt."""


class Over(Struct, frozen=True):
    """How a block went. Times are seconds since it began."""

    window: Window | None
    ended_s: float
    why: str
    trouble: str = ""
    """Why its target cannot be asked at all."""


class BlockRun:
    """Runs one block. `guess_s`: how long a call takes, as far as is known."""

    def __init__(
        self,
        caller: Caller,
        target: Target,
        number: int,
        load: LoadKind,
        level: float,
        enough: Enough,
        deal: Deal,
        guess_s: float,
    ) -> None:
        self._caller, self._target, self._number = caller, target, number
        self._load, self._level, self._enough = load, level, enough
        self._deal, self._guess_s = deal, guess_s
        self._stop = asyncio.Event()
        self._why = self._trouble = ""
        self._stopped_s = 0.0
        self._began = 0.0
        self._calls = 0

    async def run(self, due: Iterator[float]) -> Over:
        """The whole of it. `due`: when the calls of an open load are to begin."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        places = int(self._level) if self._load == "closed" else OPEN_PLACES
        limits = self._caller.desk(self._target).account.limits
        limits.controller = ConcurrencyController(places, start=places)
        async with anyio.create_task_group() as tasks:
            alarm = asyncio.create_task(self._watch_time())
            if self._load == "closed":
                spread = min(self._guess_s, LONGEST_FILL_S)
                async with anyio.create_task_group() as callers:
                    for place in range(places):
                        callers.start_soon(self._again_and_again, place * spread / places)
            else:
                await self._as_due(due, tasks)
            await self._stop.wait()
            alarm.cancel()
        steady = self._enough.steady_s
        window = (steady, self._stopped_s) if steady is not None else None
        if window is not None and window[1] <= window[0]:
            window = None
        return Over(window, loop.time() - self._began, self._why, self._trouble)

    def attempted(self, timing: Timing) -> None:
        """An attempt of this block has ended."""
        limited = timing.error == LIMITED
        self._enough.attempted(failed=bool(timing.error) and not limited, limited=limited)
        if limited:
            self._look()

    def _end(self, why: str) -> None:
        if not self._stop.is_set():
            self._why, self._stopped_s = why, self._now()
            self._stop.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _watch_time(self) -> None:
        """So that a block also ends while nothing comes back."""
        while not self._stop.is_set():
            await asyncio.sleep(1.0)
            self._look()

    def _look(self) -> None:
        if why := self._enough.why(self._now()):
            self._end(why)

    async def _again_and_again(self, start_s: float) -> None:
        """One caller of a closed load."""
        await asyncio.sleep(start_s)
        intended_s = self._now()
        while not self._stop.is_set():
            done_s = await self._call(intended_s)
            if done_s is None:
                return
            intended_s = done_s

    async def _as_due(self, due: Iterator[float], tasks: TaskGroup) -> None:
        """The calls of an open load, each at its time."""
        for at_s in due:
            wait_s = at_s - self._now()
            if wait_s > 0:
                with anyio.move_on_after(wait_s):
                    await self._stop.wait()
            if self._stop.is_set():
                return
            tasks.start_soon(self._call, at_s)
            if wait_s <= 0:
                await asyncio.sleep(0)

    async def _call(self, intended_s: float) -> float | None:
        """One call; when it was done. None: the block is over."""
        index, salt = self._deal()
        spot = Spot(self._number, self._calls, self._began, intended_s)
        self._calls += 1
        self._enough.began()
        try:
            last = await self._caller.call(self._target, spot, index, salt)
        except OutOfMoney:
            self._end("money")
            return None
        except Broken as error:
            self._trouble = str(error)
            self._end("errors")
            return None
        self._enough.ended(intended_s, last.done_s)
        self._look()
        return last.done_s
