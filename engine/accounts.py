"""One account: a key at an address, what it allows, and the gate where its workers wait.

Rule of the gate: one job passes at a time, in order: `hand_out` waits for an idle worker, then for a
job, then for the limits. So jobs leave in the order in which they became ready, a large one cannot be
overtaken for ever, and a worker never sleeps for one job while another could go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from typing import TypeAlias

from data.catalog import accounts_of
from data.errors import CallError, DeadlinePassed, RateLimited, Retryable, TooLarge
from data.schema import Draw, ProviderSpec, Request, Response, Trial, Usage
from engine.advice import in_short
from engine.backlog import Backlog
from engine.breaker import RetryBudget
from engine.estimate import InputGuess, OutputGuess, tokens_of
from engine.events import AccountView
from engine.figures import duration
from engine.judging import Case
from engine.limits import Limits, Need, Permit, Source
from engine.meter import Meter
from engine.retry import Tries
from providers import discretion
from providers.ratelimits import LimitSeen, limits_in
from providers.wire import Endpoint, HttpReply, HttpRequest, Provider, Transport

CREDITS_PER_SLOT = 4
LEAST_CREDITS = 256
FIRST_GUESS = 512
"""Output tokens of an answer before the first one came."""
SOON_S = 0.05
"""Nobody needs to be told of a wait that is shorter."""
TOGETHER = 16
"""Calls that go out within one turn of the loop: some 2 ms."""


class Job:
    """One trial on its way: rendered, encoded, perhaps asked or tried before."""

    __slots__ = (
        "answers",
        "asks",
        "case",
        "draw",
        "due",
        "estimate",
        "followers",
        "http",
        "key",
        "max_tokens",
        "model",
        "number",
        "pool",
        "quotation",
        "raised",
        "trial",
        "tries",
        "trouble",
    )

    def __init__(self, number: int, trial: Trial, pool: Pool, answers: tuple[str, ...]) -> None:
        self.number, self.trial, self.pool = number, trial, pool
        self.answers = answers
        """The texts that are judged, in the order of the trial's candidates; none for a generation."""
        self.asks: list[Response] = []
        self.tries = Tries()
        self.trouble = ""
        """The kind of its last error."""
        self.followers: list[Job] = []
        """Jobs with the same key that wait for this one's answer."""
        self.http: HttpRequest
        self.key: bytes
        self.draw: Draw
        self.raised = False
        """Is the larger cap in force, because a reply was cut?"""
        self.due: float | None = None
        """The trial's deadline on the loop's clock; None before its first attempt, or without one."""
        self.model: str
        self.max_tokens: int | None = None
        self.estimate = 0
        """Prompt tokens by the length of the body, as long as somebody counts them."""
        self.case: Case | None = None
        """What is judged, and how; None for a generation."""
        self.quotation: tuple[str, str] = ("", "")
        """The marks around the candidate's text in a judge's request."""

    def carries(self, request: Request, http: HttpRequest, key: bytes) -> None:
        """Load the next ask; attempts are counted per ask."""
        self.http, self.key, self.draw, self.model = http, key, request.draw, request.model
        self.max_tokens = request.max_tokens
        self.tries = Tries()


Taken: TypeAlias = tuple[Job, Permit | CallError]
"""A job with leave to send it, or why it never may be sent."""


class Pool:
    """All accounts of one provider and the backlog they share."""

    def __init__(self, spec: ProviderSpec, codec: Provider) -> None:
        self.spec, self.codec = spec, codec
        slots = sum(account.concurrency for account in accounts_of(spec))
        most = max(LEAST_CREDITS, CREDITS_PER_SLOT * slots)
        self.backlog: Backlog[Job] = Backlog(most)
        self.accounts: list[Account] = []
        self._guesses: dict[str, tuple[InputGuess, OutputGuess]] = {}

    @property
    def stopped(self) -> CallError | None:
        """Why nobody here is asked any more; None as long as one account is."""
        reasons = [account.stopped for account in self.accounts]
        return reasons[-1] if reasons and all(reasons) else None

    def need_of(self, job: Job, in_flight: int = 0) -> Need:
        """Estimated tokens of a job's request, and what its answer may take."""
        body = job.http.body
        job.estimate = tokens_of(len(body.decode("utf-8", "replace")), len(body), job.model)
        asked, said = self._guess(job)
        return Need(
            asked.corrected(job.estimate),
            said.careful(in_flight + 1),
            asked.least(job.estimate),
            said.least,
        )

    def learn(self, job: Job, usage: Usage | None) -> None:
        """What an answer really took."""
        if usage is not None:
            asked, said = self._guess(job)
            asked.learn(job.estimate, usage.input_tokens)
            said.learn(usage.output_tokens)

    def _guess(self, job: Job) -> tuple[InputGuess, OutputGuess]:
        party = job.trial.judge or job.trial.model
        if party not in self._guesses:
            self._guesses[party] = InputGuess(), OutputGuess(FIRST_GUESS, job.max_tokens)
        return self._guesses[party]


class Account:
    """One key at one endpoint. `take` is where its workers wait. `spec`: as `accounts_of` gives it."""

    def __init__(
        self, pool: Pool, spec: ProviderSpec, endpoint: Endpoint, transport: Transport
    ) -> None:
        self.pool, self.name, self.places = pool, spec.name, spec.concurrency
        self._spec = spec
        self.limits = Limits(
            rpm=spec.rpm,
            concurrency=spec.concurrency,
            tpm=spec.tpm,
            input_tpm=spec.input_tpm,
            output_tpm=spec.output_tpm,
            rpd=spec.rpd,
        )
        self.meter = Meter(spec)
        self.retries = RetryBudget()
        self.stopped: CallError | None = None
        """Why this account is not asked any more in this session."""
        self._endpoint, self._transport = endpoint, transport
        self._idle: deque[asyncio.Future[Taken | None]] = deque()
        self._came = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Calls on their way."""
        return self.limits.in_flight

    async def take(self) -> Taken | None:
        """The next job that may be sent now, with leave to send it, or why it never may be.

        None once the account is stopped. Workers are served in the order in which they came.
        """
        if self._closed():
            return None
        worker: asyncio.Future[Taken | None] = asyncio.get_running_loop().create_future()
        self._idle.append(worker)
        self._came.set()
        return await worker

    async def hand_out(self) -> None:
        """Give each idle worker a job as soon as it may go out: run it as a task beside them.

        While nobody has to wait, `TOGETHER` are served at once: calls that go out together come back
        together, which costs less than one by one, and no more, lest replies wait to be noticed.
        """
        for served in count(1):
            if self._closed():
                break
            if served % TOGETHER == 0:
                await asyncio.sleep(0)
            worker = await self._first_idle()
            taken = await self._next()
            if not worker.done():  # else it was cancelled: the session ends
                worker.set_result(taken)
        for worker in self._idle:
            if not worker.done():
                worker.set_result(None)

    async def _first_idle(self) -> asyncio.Future[Taken | None]:
        """Whoever has waited for a job the longest."""
        while not self._idle:
            self._came.clear()
            await self._came.wait()
        return self._idle.popleft()

    async def _next(self) -> Taken | None:
        """Wait for a job, then for the limits; None once the account is stopped.

        Where other accounts share the work, no job is held here that one of them could send at once.
        """
        while not self._closed():
            if self._shares:
                await self.limits.clear()
            job = await self.pool.backlog.next_job(self.name)
            if self._closed():  # meanwhile
                self.pool.backlog.put_back(job)
                break
            counts = self.limits.counts_tokens
            need = self.pool.need_of(job, self.in_flight) if counts else Need()
            try:
                if self._shares and not self.limits.is_clear(need):
                    self.pool.backlog.put_back(job)
                    await self.limits.clear(need)
                    continue
                return job, await self.limits.admit(need)
            except CallError as error:
                if not (isinstance(error, TooLarge) and self._handed_over(job, need)):
                    return job, error
        return None

    def _handed_over(self, job: Job, need: Need) -> bool:
        """Was a call that is too large for this account given to one whose limits it fits?"""
        others = [a for a in self.pool.accounts if a is not self and a.could_send(need)]
        if not others:
            return False
        self.pool.backlog.put_for(min(others, key=lambda a: a.in_flight).name, job)
        return True

    def could_send(self, need: Need) -> bool:
        """Now or later: is it at work, and no limit of it smaller than this call?"""
        try:
            self.limits.is_clear(need)
        except TooLarge:
            return False
        return self.stopped is None

    @property
    def _shares(self) -> bool:
        return len(self.pool.accounts) > 1

    def _closed(self) -> bool:
        return self.stopped is not None

    async def send(self, request: HttpRequest) -> HttpReply:
        """One exchange. Raises TransportError."""
        return await discretion.send(self._transport, request, self._endpoint)

    def decode(self, reply: HttpReply) -> Response:
        """The answer in a reply. Raises CallError."""
        return discretion.decode(self.pool.codec, reply, self._endpoint)

    def ended(self, permit: Permit, end: Response | CallError, reply: HttpReply | None) -> None:
        """A call is over: its permit comes back, and the limits hear what the provider said."""
        now = asyncio.get_running_loop().time()
        seen = self._heard(reply, now)
        latency_s = now - permit.at if reply is None else reply.latency_s
        self.meter.ended(end, latency_s, self.in_flight)
        if isinstance(end, Response):
            self.limits.succeeded(permit, end.usage, now)
        elif isinstance(end, RateLimited):
            speaks_of_rate = any(limit.name != "concurrency" for limit in seen)
            rate = True if end.retry_after_s is not None or speaks_of_rate else None
            if seen and not rate:
                rate = False
            self.limits.rejected(permit, end.retry_after_s, now, rate=rate)
        elif isinstance(end, Retryable):
            self.limits.troubled(permit, now)
        elif isinstance(end, DeadlinePassed):
            self.limits.gave_up(permit)
        else:
            self.limits.refused(permit, now)

    def _heard(self, reply: HttpReply | None, now: float) -> tuple[LimitSeen, ...]:
        """Limits that a reply tells; the sweep file's own stand above them."""
        if reply is None:
            return ()
        body = reply.body if reply.status == 429 else None
        seen = limits_in(reply.status, reply.headers, body)
        for limit in seen:
            if limit.limit:
                source: Source = "headers" if limit.source == "headers" else "429 body"
                if self.limits.told(limit.name, limit.limit, source, now):
                    self.meter.told(limit.name)
        return seen

    def held_up(self, now: float) -> tuple[str, float | None]:
        """Why the next call here waits and for how many seconds (None: not known); "": it does not."""
        why, until_s = self.limits.held_up(now)
        if not why and self.in_flight >= self.limits.concurrency:
            return f"calls {self.in_flight}/{self.limits.concurrency}", None
        return why, until_s

    def view(self, now: float) -> AccountView:
        """What the console shows of this account."""
        why, until_s = self.held_up(now)
        waiting = why if until_s is None or until_s < SOON_S else f"{why}, {duration(until_s)}"
        limits = self.limits.statistics(now)
        bound = self.meter.bound(limits)
        return AccountView(
            name=self.name,
            in_flight=self.in_flight,
            concurrency=self.limits.concurrency,
            rpm=self.limits.rpm,
            waiting=waiting if self.pool.backlog.queued else "",
            queued=self.pool.backlog.queued,
            stopped=self.stopped.kind if self.stopped else "",
            calls=self.meter.calls,
            bound_s=bound.seconds if bound else None,
            bound_by=bound.constraint if bound else "",
            limits_changed=self.meter.changed(limits),
            remedy=self._remedy(),
        )

    def _remedy(self) -> str:
        """What its user can do about an account that has stopped."""
        error = self.stopped
        return in_short(error.kind, error.status, self._spec) if error else ""
