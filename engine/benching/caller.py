"""One call of a benchmark, by the sweep's own means: its limits, purse, client, codec, parser and retries.

The order of an attempt is the sweep's (docs/contracts.md): limits, reserve, intent, transport, settled;
then one Timing line. An unreadable verdict is asked for again as often as the sweep does; an attempt that
failed is repeated after the wait that `engine/retry.py` decides, while the caller keeps its place, so a
closed load stays one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from cache.journal import Journal
from cache.responses import Entry
from data.codec import replace
from data.errors import AlignsweepError, CallError, TransportError
from data.schema import CallEnd, Response, Sweep, Timing
from engine.accounts import Account, Job, Pool
from engine.benching.prompts import NOBODY, Prompts
from engine.benching.tap import Exchange, Tap, arrivals
from engine.benching.targets import Target
from engine.benching.till import Bill, Till
from engine.budget import Refusal, Ticket
from engine.client import Client
from engine.limits import Need, Permit
from engine.retry import decide

NEARLY = 0.99
"""A failure after this share of the timeout is one: the clock was up."""


class OutOfMoney(AlignsweepError):
    """The benchmark's budget does not cover the next call."""


class Broken(AlignsweepError):
    """The account or the model cannot be asked at all: a wrong key, an unknown model, no quota."""


class Desk:
    """One account of a provider, with what stands around it."""

    def __init__(self, pool: Pool, account: Account, tap: Tap) -> None:
        self.pool, self.account, self.tap = pool, account, tap
        self.gate = asyncio.Lock()
        """The limits let one caller ask at a time; the lock serves them in order."""


class Caller:
    """Makes the calls of one benchmark, and writes down each attempt."""

    def __init__(
        self,
        sweep: Sweep,
        prompts: Prompts,
        journal: Journal[Timing],
        client: Client,
        till: Till,
        desks: dict[str, Desk],
        dice: random.Random,
        note: Callable[[Timing], None],
    ) -> None:
        self._sweep, self._prompts, self._journal = sweep, prompts, journal
        self._client, self._till, self._desks, self._dice = client, till, desks, dice
        self._note = note
        self._intents = 0
        self.fresh: list[Entry] = []
        """Complete answers to the sweep's own words, for the response cache."""

    def desk(self, target: Target) -> Desk:
        """Where this target's calls go."""
        return self._desks[target.provider.name]

    async def call(self, target: Target, spot: Spot, index: int, salt: str) -> Timing:
        """One call, to its end; its last Timing. Raises OutOfMoney, Broken."""
        job = self._prompts.job(target, index, salt)
        intended_s = spot.intended_s
        while True:
            timing, wait_s = await self._attempt(target, spot, job, intended_s, bool(salt))
            self._journal.append(timing, told=timing)
            self._note(timing)
            if timing.end:
                return timing
            if not timing.error:  # it could not be read: ask again
                self._prompts.load(job, target.party, salt)
            await asyncio.sleep(wait_s)
            intended_s = spot.now()

    async def _attempt(
        self, target: Target, spot: Spot, job: Job, intended_s: float, salted: bool
    ) -> tuple[Timing, float]:
        """One attempt, and how long to wait before the next."""
        desk, loop = self.desk(target), asyncio.get_running_loop()
        asked_s = spot.now()
        permit, ticket = await self._admitted(desk, target, job)
        admitted_s = spot.now()
        number = job.tries.exchanges + 1
        self._intents += 1
        intent = self._intents  # the client counts alike: it writes the Intent before it waits
        try:
            response, settled = await self._client.attempt(job, desk.account, permit, ticket)
        except CallError as error:
            seen = desk.tap.take(job.http) or Exchange(permit.at, loop.time())
            end, wait_s = self._after(error, job)
            failed: CallError | None = error
            reply = None
        else:
            self._journal.append(settled)
            if response.state == "answered" and not salted and job.trial.model != NOBODY:
                identity = job.pool.spec.cache_identity
                self.fresh.append(Entry(job.key, identity, job.model, response))
            seen = desk.tap.take(job.http) or Exchange(permit.at, loop.time())
            end, wait_s, failed, reply = self._read(job, response), 0.0, None, response
        bill = self._till.take(ticket)
        plain = Timing(
            id=intent,
            block=spot.block,
            target=target.name,
            question_id=job.trial.question_id,
            call=spot.call,
            ask=job.draw.ask,
            attempt=number,
            intended_s=intended_s,
            asked_s=asked_s,
            admitted_s=admitted_s,
            sent_s=seen.sent_s - spot.began,
            done_s=seen.done_s - spot.began,
            status=seen.status,
            cost=bill.cost,
            currency=self._till.currency if bill.cost is not None else "",
            estimated=bill.estimated,
            end=end,
            salted=salted,
        )
        timeout_s = target.account.timeout_s
        filled = _filled(plain, seen, reply, failed, bill, timeout_s)
        return replace(filled, score=self._score(job, reply, end)), wait_s

    async def _admitted(self, desk: Desk, target: Target, job: Job) -> tuple[Permit, Ticket]:
        """Leave of the limits and of the purse."""
        counts = desk.account.limits.counts_tokens
        need = desk.pool.need_of(job, desk.account.in_flight) if counts else Need()
        async with desk.gate:
            permit = await desk.account.limits.admit(need)
        ticket = self._till.reserve(target.provider.name, job)
        if isinstance(ticket, Refusal):  # waiting for refunds would throttle what is measured
            desk.account.limits.unused(permit)
            raise OutOfMoney("the budget does not cover the worst case of another call")
        return permit, ticket

    def _after(self, error: CallError, job: Job) -> tuple[CallEnd, float]:
        """What a failure leads to: an end, or a wait before the next attempt. Raises Broken."""
        if error.scope != "trial":
            raise Broken(f"{error.kind}: {error}")
        again = decide(error, job.tries, self._sweep.attempts, self._dice)
        if again is None:
            return "failed", 0.0
        job.tries = again.tries
        return "", again.wait_s

    def _score(self, job: Job, reply: Response | None, end: CallEnd) -> float | None:
        if job.case is None or reply is None or end != "useful":
            return None
        verdict = self._prompts.verdict(job, reply)
        return None if verdict is None else verdict.score

    def _read(self, job: Job, response: Response) -> CallEnd:
        """What a reply is worth to the sweep; "": ask once more."""
        if response.state == "refused":
            return "refused"
        if job.case is None:
            return "useful" if response.text.strip() else "unreadable"
        job.asks.append(response)
        if self._prompts.verdict(job, response) is not None:
            return "useful"
        return "" if len(job.asks) < self._sweep.asks else "unreadable"


class Spot:
    """Where and when a call belongs: its block, its number there, its intended start."""

    __slots__ = ("began", "block", "call", "intended_s")

    def __init__(self, block: int, call: int, began: float, intended_s: float) -> None:
        self.block, self.call = block, call
        self.began = began
        """The block's beginning, by the loop's clock."""
        self.intended_s = intended_s

    def now(self) -> float:
        """Seconds since the block began."""
        return asyncio.get_running_loop().time() - self.began


def _filled(
    timing: Timing,
    seen: Exchange,
    reply: Response | None,
    failed: CallError | None,
    bill: Bill,
    timeout_s: float,
) -> Timing:
    """With what the reply, or the error, told."""
    if failed is not None:
        took_s = seen.done_s - seen.sent_s
        return replace(
            timing,
            error=failed.kind,
            told_s=failed.retry_after_s,
            status=failed.status or timing.status,
            timed_out=isinstance(failed, TransportError) and took_s >= NEARLY * timeout_s,
        )
    assert reply is not None
    return replace(
        timing,
        first_byte_s=seen.marks[0][1] if seen.marks else None,
        ttft_s=reply.ttft_s,
        ttfa_s=reply.ttfa_s,
        last_token_s=reply.last_token_s,
        arrivals=arrivals(seen.marks, reply),
        usage=reply.usage,
        characters=len(reply.text),
        stop=reply.stop_reason,
        served_model=reply.served_model,
        cold=bill.cold,
        hot=bill.hot,
    )
