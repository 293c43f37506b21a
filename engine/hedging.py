"""A second copy of a call that takes far too long, once there is nothing else to do. Off by default.

Rules. Only the last stragglers: nobody waits in the backlog, and the account has a place free. Only what
is slow for its own kind: beyond 1.5 times the 99th percentile of at least 50 calls of the same model or
judge. One copy at most, drawn from the budget of retries, with a permit and money of its own, and none
within a minute of a 429. The first good reply counts. The other copy is given up and journalled as
Outrun; what it may have cost is booked as estimated.

Source: Dean and Barroso, "The Tail at Scale", Communications of the ACM 56-2 (2013).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from data.schema import Response, Settled
from engine.accounts import Account, Job
from engine.budget import Refusal, Ticket
from engine.client import Client, Copy
from engine.events import Event, Hedged
from engine.limits import Permit

LEAST = 50
RECENT = 500
QUANTILE, FACTOR = 0.99, 1.5
LOOK_S = 1.0
"""How often a call that is slow asks whether it may have a copy now."""
CALM_S = 60.0
Reply = tuple[Response, Settled]


class Latencies:
    """How long calls of one model or judge take, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=RECENT)

    def add(self, latency_s: float) -> None:
        """One more."""
        self._seen.append(latency_s)

    @property
    def slow_s(self) -> float | None:
        """From when on a call is slow; None: too few are known."""
        if len(self._seen) < LEAST:
            return None
        return FACTOR * sorted(self._seen)[int(QUANTILE * (len(self._seen) - 1))]


class Hedger:
    """Sends calls, and second copies of the slow ones. `keep` journals the end of a copy not needed;
    `over`: is nothing more to be sent for this job?"""

    def __init__(
        self,
        client: Client,
        keep: Callable[[Settled], None],
        tell: Callable[[Event], None],
        over: Callable[[Job], bool],
    ) -> None:
        self._client, self._keep, self._tell, self._over = client, keep, tell, over
        self._latencies: dict[str, Latencies] = {}

    async def attempt(self, job: Job, account: Account, leave: Permit, ticket: Ticket) -> Reply:
        """As `Client.attempt`, with a second copy if this one is a straggler. Raises CallError."""
        known = self._latencies.setdefault(job.trial.judge or job.trial.model, Latencies())
        race = _Race(asyncio.get_running_loop().time())
        race.start(lambda copy: self._client.attempt(job, account, leave, ticket, copy))
        try:
            while await race.still_runs(_patience_s(known, race)):
                if len(race.legs) == 1 and known.slow_s is not None:
                    self._second(race, job, account)
            reply = race.winner()
        finally:
            for settled in await race.give_up():
                self._keep(settled)
        known.add(reply[1].latency_s)
        if len(race.legs) > 1:
            self._tell(Hedged(account.name, job.trial.model, race.second_won))
        return reply

    def _second(self, race: _Race, job: Job, account: Account) -> None:
        """Start the second copy, if it may be."""
        if account.stopped is not None or self._over(job):
            return
        now = asyncio.get_running_loop().time()
        need = account.pool.need_of(job, account.in_flight)
        idle = not account.pool.backlog.queued and account.in_flight < account.limits.concurrency
        calm = account.limits.calm_for_s(now) >= CALM_S and account.limits.is_clear(need)
        if not (idle and calm and account.retries.spend(now)):
            return
        ticket = self._client.purse.reserve(account.pool.spec.name, job)
        if isinstance(ticket, Refusal):
            return
        leave = account.limits.take(need)
        race.start(lambda copy: self._client.attempt(job, account, leave, ticket, copy))


class _Race:
    """One call or two copies of it."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.legs: list[asyncio.Future[Reply]] = []
        self._copies: list[Copy] = []

    def start(self, send: Callable[[Copy], Coroutine[Any, Any, Reply]]) -> None:
        """Send one copy."""
        copy = Copy()
        self._copies.append(copy)
        self.legs.append(asyncio.ensure_future(send(copy)))

    async def still_runs(self, patience_s: float) -> bool:
        """Wait that long at most. False once one is answered or all have failed."""
        await asyncio.wait(self._open(), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(self._open()) and not any(map(_answered, self.legs))

    def winner(self) -> Reply:
        """The first good reply. Raises the first copy's CallError if there is none."""
        return next(filter(_answered, self.legs), self.legs[0]).result()

    @property
    def second_won(self) -> bool:
        return not _answered(self.legs[0])

    async def give_up(self) -> list[Settled]:
        """End what still runs; the ends of replies that came and are not needed."""
        for leg, copy in zip(self.legs, self._copies, strict=True):
            if not leg.done():
                copy.outrun = any(map(_answered, self.legs))
                leg.cancel()
        if running := self._open():
            await asyncio.wait(running)
        good = [leg for leg in self.legs if _answered(leg)]
        return [leg.result()[1] for leg in good[1:]]

    def _open(self) -> list[asyncio.Future[Reply]]:
        return [leg for leg in self.legs if not leg.done()]


def _answered(leg: asyncio.Future[Reply]) -> bool:
    return leg.done() and not leg.cancelled() and leg.exception() is None


def _patience_s(known: Latencies, race: _Race) -> float:
    """Until the call is slow; from then on a second at a time."""
    elapsed = asyncio.get_running_loop().time() - race.started
    return max((known.slow_s or 0.0) - elapsed, LOOK_S)
