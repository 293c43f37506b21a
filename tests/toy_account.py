"""A provider's account that keeps its limits to the letter, and clients that want all it gives.

An oracle for tests of pacing: it shares no code with the product (the product's own simulator is tested
elsewhere). It says no like the real ones do: with a wait, with its limits, or without a word.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio

from data.schema import Usage
from engine.limits import Limits, Need, Permit

Tells: TypeAlias = Literal["all", "wait", "nothing"]
Changing: TypeAlias = Callable[[float], float]
"""A limit as a function of the seconds since the start."""
REFUSAL_S = 0.02
HAIR_S = 1e-5


@dataclass(frozen=True)
class Reply:
    """A status (0: the line broke), a wait if one was told."""

    status: int
    told_s: float | None = None


@dataclass
class Toy:
    """Limits per sliding minute and of calls in flight; `faults`: the share of 5xx and broken lines."""

    dice: random.Random
    rpm: Changing | None = None
    tpm: Changing | None = None
    places: Changing | None = None
    bucket: tuple[float, float] | None = None
    """A leaky bucket: so many a minute, and how many may come at once."""
    tells: Tells = "nothing"
    latency_s: float = 2.0
    faults: float = 0.0
    accepted: list[tuple[float, float]] = field(default_factory=list)
    """(when, tokens)"""
    refused: list[float] = field(default_factory=list)
    busy: int = 0
    _level: float = 0.0
    _leaked_at: float = 0.0
    _recent: deque[tuple[float, float]] = field(default_factory=deque)

    async def serve(self, tokens: float) -> Reply:
        """One exchange."""
        now = asyncio.get_running_loop().time()
        wait_s = self._no_before(tokens, now)
        if wait_s > 0:
            self.refused.append(now)
            await asyncio.sleep(REFUSAL_S)
            return Reply(429, wait_s if self.tells != "nothing" and wait_s < 1e9 else None)
        self.accepted.append((now, tokens))
        self._recent.append((now, tokens))
        self._level += 1
        self.busy += 1
        try:
            await asyncio.sleep(self.latency_s * self.dice.lognormvariate(0.0, 0.4))
        finally:
            self.busy -= 1
        luck = self.dice.random()
        return Reply(200 if luck >= self.faults else 500 if luck >= self.faults / 2 else 0)

    def _no_before(self, tokens: float, now: float) -> float:
        """Seconds until it would be let in; 0: now; infinite: when a call has ended."""
        while self._recent and self._recent[0][0] <= now - 60.0 + HAIR_S:
            self._recent.popleft()
        if self.places is not None and self.busy >= self.places(now):
            return 1e9
        waits = [0.0]
        if self.bucket is not None:
            rate, most = self.bucket[0] / 60.0, self.bucket[1]
            self._level = max(0.0, self._level - (now - self._leaked_at) * rate)
            self._leaked_at = now
            waits.append((self._level + 1.0 - most) / rate)
        if self.rpm is not None:
            calls = [(at, 1.0) for at, _ in self._recent]
            waits.append(_until_room(calls, 1.0, self.rpm(now), now))
        if self.tpm is not None:
            waits.append(_until_room(self._recent, tokens, self.tpm(now), now))
        return max(waits)


def _until_room(
    taken: Iterable[tuple[float, float]], more: float, limit: float, now: float
) -> float:
    """Seconds until `more` fits beside what was taken in the last minute."""
    excess = sum(amount for _, amount in taken) + more - limit
    if excess <= 0:
        return 0.0
    for at, amount in taken:
        excess -= amount
        if excess <= 0:
            return at + 60.0 - now
    return 60.0


@dataclass
class Client:
    """Workers behind one gate, as an account has them, with jobs that may never run out."""

    limits: Limits
    toy: Toy
    needs: Iterable[tuple[Need, int]]
    """What each call reserves, and the tokens it then takes."""
    permits: list[Permit] = field(default_factory=list)
    served: int = 0
    _again: deque[tuple[Need, int]] = field(default_factory=deque)
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def work(self, workers: int, end_s: float) -> None:
        """Until `end_s`, or until all is served."""
        jobs = iter(self.needs)
        with anyio.move_on_at(end_s):
            async with anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(self._worker, jobs)

    async def _worker(self, jobs: Iterable[tuple[Need, int]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._gate:
                job = self._again.popleft() if self._again else next(iter(jobs), None)
                if job is None:
                    return
                permit = await self.limits.admit(job[0])
                self.permits.append(permit)
            reply = await self.toy.serve(job[1])
            now = loop.time()
            if self.toy.tells == "all" and self.toy.rpm is not None:
                self.limits.told("rpm", self.toy.rpm(now), "headers", now)
            if reply.status == 200:
                self.served += 1
                self.limits.succeeded(permit, Usage(job[1], 0), now)
                continue
            self._again.append(job)
            if reply.status == 429:
                rate = True if reply.told_s else None
                self.limits.rejected(permit, reply.told_s, now, rate=rate)
            else:
                self.limits.troubled(permit, now)
