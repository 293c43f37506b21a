"""One account: a key at an address, what it allows, and the gate where its workers wait.

Rule of the gate: its workers pass one at a time, in order. Whoever stands in it first waits for a job,
then for the limits. So jobs leave in the order in which they became ready, a large one cannot be
overtaken for ever, and a worker never sleeps for one job while another could go.
"""

from __future__ import annotations

import asyncio

from data.codec import replace
from data.errors import CallError
from data.schema import Draw, ProviderSpec, Request, Response, Trial
from engine.backlog import Backlog
from engine.events import AccountView
from engine.limits import Limits
from engine.retry import Tries
from providers.wire import Endpoint, HttpReply, HttpRequest, Provider, Transport

CREDITS_PER_SLOT = 4
LEAST_CREDITS = 256
SECRET_LENGTH = 8


class Job:
    """One trial on its way: rendered, encoded, perhaps asked or tried before."""

    __slots__ = (
        "answer",
        "asks",
        "draw",
        "followers",
        "http",
        "key",
        "model",
        "number",
        "pool",
        "quotation",
        "trial",
        "tries",
    )

    def __init__(self, number: int, trial: Trial, pool: Pool, answer: str) -> None:
        self.number, self.trial, self.pool = number, trial, pool
        self.answer = answer
        """The text that is judged; empty for a generation."""
        self.asks: list[Response] = []
        self.tries = Tries()
        self.followers: list[Job] = []
        """Jobs with the same key that wait for this one's answer."""
        self.http: HttpRequest
        self.key: bytes
        self.draw: Draw
        self.model: str
        self.quotation: tuple[str, str] = ("", "")
        """The marks around the candidate's text in a judge's request."""

    def carries(self, request: Request, http: HttpRequest, key: bytes) -> None:
        """Load the next ask; attempts are counted per ask."""
        self.http, self.key, self.draw, self.model = http, key, request.draw, request.model
        self.tries = Tries()


class Pool:
    """All accounts of one provider and the backlog they share."""

    def __init__(self, spec: ProviderSpec, codec: Provider) -> None:
        self.spec, self.codec = spec, codec
        most = max(LEAST_CREDITS, CREDITS_PER_SLOT * spec.concurrency)
        self.backlog: Backlog[Job] = Backlog(most)
        self.refill_at = most // 4
        """Admission is woken when this many credits are free: in batches it costs less."""
        self.accounts: list[Account] = []
        self.stopped: CallError | None = None


class Account:
    """One key at one endpoint. `take` is where its workers wait."""

    def __init__(self, pool: Pool, endpoint: Endpoint, transport: Transport) -> None:
        self.pool, self.name = pool, pool.spec.name
        self.limits = Limits(rpm=pool.spec.rpm, concurrency=pool.spec.concurrency)
        self.in_flight = 0
        self._endpoint, self._transport = endpoint, transport
        self._gate = asyncio.Lock()

    async def take(self) -> Job:
        """The next job that may be sent now."""
        async with self._gate:
            job = await self.pool.backlog.next_job()
            await self.limits.admit()
            return job

    async def send(self, request: HttpRequest) -> HttpReply:
        """One exchange. Raises TransportError."""
        self.in_flight += 1
        try:
            reply = await self._transport.send(request, self._endpoint)
        finally:
            self.in_flight -= 1
        return reply if reply.status == 200 else _blotted(reply, self._endpoint.key)

    def view(self, now: float) -> AccountView:
        """What the console shows of this account."""
        busy = self.in_flight >= self.limits.concurrency
        waiting = self.limits.waiting(now) or (
            f"calls {self.in_flight}/{self.limits.concurrency}" if busy else ""
        )
        stopped = self.pool.stopped
        return AccountView(
            name=self.name,
            in_flight=self.in_flight,
            concurrency=self.limits.concurrency,
            rpm=self.limits.rpm,
            waiting=waiting if self.pool.backlog.queued else "",
            queued=self.pool.backlog.queued,
            stopped=stopped.kind if stopped else "",
        )


def _blotted(reply: HttpReply, key: str) -> HttpReply:
    """An error reply without the key that some servers repeat in it. (Dummy keys are words.)"""
    if len(key) < SECRET_LENGTH or key.encode() not in reply.body:
        return reply
    return replace(reply, body=reply.body.replace(key.encode(), b"[key]"))
