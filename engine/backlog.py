"""What waits for one provider: numbers not yet admitted, jobs ready to be sent, jobs whose time comes.

Three queues, none of which anybody waits to put into:

- streams of trial numbers, one per model or judge, which take turns, so nobody starves; where a
  provider both answers and judges, the two stages take turns first, so judging keeps up;
- ready jobs (rendered, encoded, not in the cache), in order of admission;
- timed jobs (a retry), by the time at which they may be sent again; they go first when it has come.

Beside them stand jobs that only one of the provider's accounts can send, since they are too large for
another; they wait for that one alone.

`credits` bounds the jobs that exist at once, so memory does not grow with the sweep: a job takes one
when it is admitted and gives it back when its trial ends, however it ends. No job holds one credit
while it waits for another, so there is no way to deadlock.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

J = TypeVar("J")
SLACK_S = 1e-6
"""A timer may fire a hair before its time (asyncio's clock resolution); that counts as its time, or
a clock that only jumps would never get there."""


class Stream:
    """The trial numbers of one model or judge: the plan's own order first, then what came up since."""

    def __init__(self, name: str, planned: Iterator[int]) -> None:
        self.name = name
        self.stage: Stage | None = None
        self._planned: Iterator[int] | None = planned
        self._added: deque[int] = deque()

    def add(self, number: int) -> None:
        self._added.append(number)
        if self.stage is not None:
            self.stage.dry = False

    def take(self) -> int | None:
        """The next number; None if there is none now."""
        if self._planned is not None:
            number = next(self._planned, None)
            if number is not None:
                return number
            self._planned = None
        return self._added.popleft() if self._added else None


class Stage:
    """Streams that take turns: all models, or all judges."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams: deque[Stream] = deque()
        self.dry = False
        """None of them has a number now: found out by asking them all, forgotten when one is added to."""

    def join(self, stream: Stream) -> None:
        stream.stage = self
        self.streams.append(stream)

    def take(self) -> int | None:
        """The next number; None if there is none now."""
        if self.dry:
            return None
        for _ in range(len(self.streams)):
            stream = self.streams[0]
            self.streams.rotate(-1)
            number = stream.take()
            if number is not None:
                return number
        self.dry = True
        return None


class Backlog(Generic[J]):
    """The queues of one provider. Used from the loop's thread only."""

    def __init__(self, most: int) -> None:
        self.credits = most
        self._refill_at = most // 2
        self._stages: deque[Stage] = deque()
        self._ready: deque[J] = deque()
        self._timed: list[tuple[float, int, J]] = []
        self._own: dict[str, deque[J]] = {}
        self._order = 0
        self._bells: deque[asyncio.Future[None]] = deque()

    # numbers

    def add_stream(self, stream: Stream, stage: str) -> None:
        """`stage` is "answer" or "judgment"."""
        own = next((known for known in self._stages if known.name == stage), None)
        if own is None:
            own = Stage(stage)
            self._stages.append(own)
        own.join(stream)

    def drop_streams(self, stage: str | None = None, name: str = "") -> None:
        """Forget the numbers of one model or judge, or of all."""
        for own in self._stages:
            kept = [
                s for s in own.streams if stage is not None and (own.name, s.name) != (stage, name)
            ]
            own.streams.clear()
            own.streams.extend(kept)

    def take_number(self) -> int | None:
        """The next number: stages take turns, and within a stage its streams. Takes a credit."""
        if self.credits <= 0:
            return None
        for _ in range(len(self._stages)):
            stage = self._stages[0]
            self._stages.rotate(-1)
            number = stage.take()
            if number is not None:
                self.credits -= 1
                return number
        return None

    @property
    def hungry(self) -> bool:
        """Is it worth while to admit? Many at once cost less than one after the other."""
        waits = self._ready or self._timed
        if self.credits <= 0 or (self.credits < self._refill_at and waits):
            return False
        return not all(stage.dry for stage in self._stages)

    def give_back(self) -> None:
        """A trial has ended."""
        self.credits += 1

    # jobs

    def put(self, job: J) -> None:
        """A job that may be sent now."""
        self._ready.append(job)
        self._ring()

    def put_back(self, job: J) -> None:
        """Whoever took this job cannot send it: it is the next one's again."""
        self._ready.appendleft(job)
        self._ring()

    def put_for(self, account: str, job: J) -> None:
        """A job that this account alone is to send."""
        self._own.setdefault(account, deque()).append(job)
        while self._bells:  # which of them is the account's is not known
            _strike(self._bells.popleft())

    def release(self, account: str) -> None:
        """This account sends nothing more: what was put for it is anybody's again."""
        for job in self._own.pop(account, ()):
            self.put(job)

    def put_later(self, job: J, due: float) -> None:
        """A job that may be sent at `due`, in seconds of the loop's clock."""
        self._order += 1
        heapq.heappush(self._timed, (due, self._order, job))
        self._ring()

    def take_all(self) -> list[J]:
        """Every job in here, ready or timed: they will not be sent."""
        jobs = [*self._ready, *(job for _, _, job in self._timed)]
        jobs += [job for own in self._own.values() for job in own]
        self._own.clear()
        self._ready.clear()
        self._timed.clear()
        return jobs

    async def next_job(self, account: str = "") -> J:
        """Wait for a job that may be sent now. Of several who wait, whoever came first is served."""
        loop = asyncio.get_running_loop()
        while True:
            if self._own and (own := self._own.get(account)):
                return own.popleft()
            if self._timed and self._timed[0][0] <= loop.time() + SLACK_S:
                return heapq.heappop(self._timed)[2]
            if self._ready:
                return self._ready.popleft()
            bell: asyncio.Future[None] = loop.create_future()
            self._bells.append(bell)
            due = self._timed[0][0] if self._timed else None
            alarm = loop.call_at(due, _strike, bell) if due is not None else None
            try:
                await bell
            finally:
                with suppress(ValueError):  # an alarm strikes a bell that still hangs here
                    self._bells.remove(bell)
                if alarm is not None:
                    alarm.cancel()

    @property
    def ready(self) -> int:
        """Jobs that could go out now, as far as the backlog is concerned."""
        return len(self._ready) + sum(map(len, self._own.values()))

    @property
    def later(self) -> list[tuple[float, J]]:
        """Jobs whose time has not come, with that time on the loop's clock."""
        return [(due, job) for due, _, job in self._timed]

    @property
    def queued(self) -> int:
        """Jobs that wait, ready or timed."""
        return self.ready + len(self._timed)

    def _ring(self) -> None:
        if self._bells:
            _strike(self._bells.popleft())


def _strike(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
