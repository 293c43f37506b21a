"""One call. The order of an attempt is: limits, budget, intent, transport,
settled; around it stands the cache.

The account has admitted the job before it comes here (`Account.take`); what an error means is decided by
`engine/retry.py`, and what an answer means by `engine/session.py`. Nothing here waits for anything but
the reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cache.journal import Journal
from cache.key import cache_key
from cache.responses import Entry, ResponseCache
from data.codec import replace
from data.errors import CallError, DeadlinePassed, Outrun, RateLimited
from data.schema import Intent, Request, Response, Settled
from engine.accounts import Account, Job
from engine.budget import Ticket
from engine.events import Event
from engine.limits import Permit
from engine.purse import Purse
from providers.wire import HttpReply


class Copy:
    """One of two copies of a call; `outrun` once the other was answered (see engine/hedging.py)."""

    __slots__ = ("outrun",)

    def __init__(self) -> None:
        self.outrun = False


class Client:
    """Looks up, sends, and keeps the record of every attempt."""

    def __init__(
        self,
        journal: Journal[Event],
        cache: ResponseCache | None,
        purse: Purse,
        wall: Callable[[], float],
    ) -> None:
        self._journal, self._cache, self._wall = journal, cache, wall
        self.purse = purse
        self._attempts = 0

    @property
    def shares(self) -> bool:
        """May two jobs with the same words share one call? Not where the user wants no cache."""
        return self._cache is not None

    def load(self, job: Job, request: Request) -> None:
        """Encode the request and name it."""
        http = job.pool.codec.encode(request)
        key = cache_key(job.pool.spec.cache_identity, http.path, http.body, request.draw)
        job.carries(request, http, key)

    async def known(self, jobs: Sequence[Job]) -> dict[bytes, Response]:
        """The answers that are already in the cache, by key."""
        if self._cache is None:
            return {}
        return await self._cache.get_many([job.key for job in jobs])

    async def attempt(
        self,
        job: Job,
        account: Account,
        permit: Permit,
        ticket: Ticket,
        copy: Copy | None = None,
    ) -> tuple[Response, Settled]:
        """One HTTP exchange. The caller writes the Settled line together with its result.

        Raises CallError, whose Settled line is then already written. `copy`: this is one of two, and
        whoever cancels it may say that it was outrun.
        """
        self._attempts += 1
        number = self._attempts
        self._journal.append(
            Intent(
                number,
                job.trial,
                account.name,
                self._wall(),
                job.tries.exchanges + 1,
                job.draw.ask,
                ticket.charge.amount,
                permit.need.input_tokens,
                permit.need.output_tokens,
                ticket.charge.currency,
            )
        )
        started = asyncio.get_running_loop().time()
        reply: HttpReply | None = None
        try:
            reply = await _in_time(account.send(job.http), job.due)
            response = account.decode(reply)
        except CallError as error:
            account.ended(permit, error, reply)
            latency = asyncio.get_running_loop().time() - started
            self._journal.append(self._settled(number, latency, ticket, job, error))
            raise
        except asyncio.CancelledError:
            if copy is not None and copy.outrun:
                account.limits.gave_up(permit)
                latency = asyncio.get_running_loop().time() - started
                outrun = Outrun("a second copy of this call was answered first")
                self._journal.append(self._settled(number, latency, ticket, job, outrun))
            raise
        account.ended(permit, response, reply)
        job.pool.learn(job, response.usage)
        if job.tries.exchanges:
            response = replace(response, attempts=job.tries.exchanges + 1)
        if self._cache is not None and response.state == "answered":
            self._cache.put(Entry(job.key, job.pool.spec.cache_identity, job.model, response))
        return response, self._settled(number, reply.latency_s, ticket, job, response)

    def _settled(
        self, number: int, latency_s: float, ticket: Ticket, job: Job, end: Response | CallError
    ) -> Settled:
        """The line that closes an attempt, with what it cost."""
        paid = self.purse.settle(ticket, job, end)
        error = end if isinstance(end, CallError) else None
        return Settled(
            number,
            latency_s,
            end.usage,
            error.kind if error else "",
            str(error) if error else "",
            paid.nano,
            paid.currency,
            paid.estimated,
            error.retry_after_s if isinstance(error, RateLimited) else None,
        )


async def _in_time(sending: Awaitable[HttpReply], due: float | None) -> HttpReply:
    """The reply, if it comes before the trial's deadline. Raises DeadlinePassed."""
    if due is None:
        return await sending
    try:
        async with asyncio.timeout_at(due):
            return await sending
    except TimeoutError:
        raise DeadlinePassed("the trial's deadline passed while it waited for a reply") from None
