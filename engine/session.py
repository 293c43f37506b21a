"""Many calls: a sweep from its plan to its last record.

Who does what. One admission task turns trial numbers into jobs, in batches: it renders, encodes, looks
in the cache, and puts what is unknown into its provider's backlog. Each account has as many workers
as it may have calls in flight; a worker takes a job, sends it, and sees to what came back. An answer
opens its judgments at once, so there is no barrier between the stages.

    engine/streams.py   which trials, in what order        engine/sharing.py   same words, one call
    engine/keeping.py   what came back becomes records     engine/stops.py     who is asked no more

Nobody here ever waits to put something down, and all state is touched from the loop's thread only, so
there are no locks. A trial that is not final when the session ends is owed to the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import anyio

from data.codec import replace
from data.errors import CallError, DailyQuota, DeadlinePassed, RateLimited
from data.schema import Response, Rubric, Settled
from engine import judging
from engine.accounts import Account, Job, Pool
from engine.answering import answer_request
from engine.budget import Refusal, Statistics
from engine.client import Client
from engine.escalation import Change
from engine.events import Event, Noted, Progress, Replanned, Retrying, Stopped
from engine.hedging import Hedger
from engine.keeping import Keeper, Texts
from engine.limits import Permit
from engine.plan import State
from engine.retry import LONGEST_TOLD_S, Again, decide
from engine.rundir import Opened
from engine.sharing import Sharing
from engine.stops import Stops
from engine.streams import Options, Streams
from engine.tally import Tally
from engine.waiting import Waiting, why_waiting

BATCH = 256
"""Trials admitted at once: one cache lookup serves them all."""


class Session:
    """One process's work on a run, from `run()` to the point where nothing is left that it can do."""

    def __init__(
        self,
        run: Opened,
        options: Options,
        *,
        rubrics: Mapping[str, Rubric],
        pools: Mapping[str, Pool],
        client: Client,
        tell: Callable[[Event], None],
        dice: random.Random,
    ) -> None:
        self._plan, self._ledger, self._journal = run.plan, run.ledger, run.journal
        self._sweep, self._rubrics, self._pools = run.plan.sweep, rubrics, pools
        self._client, self._tell, self._dice = client, tell, dice
        self._accounts = [account for pool in pools.values() for account in pool.accounts]
        self._streams = Streams(run.plan, run.ledger, options, pools, run.escalations)
        self._keeper, self._texts = Keeper(run), Texts(run.answer_text)
        self._sender = (
            Hedger(client, self._keeper.keep_settled, tell, self._over)
            if self._sweep.hedge
            else client
        )
        self._sharing = Sharing(client.shares)
        self._stops = Stops(self._sweep, pools, tell, self._leave_pending)
        self._alive = 0
        self._flying: Counter[tuple[str, str]] = Counter()
        self._stops_at: float | None = None
        self._again: list[Job] = []
        self._outages: Counter[str] = Counter()
        """Told so far, by account."""
        self._poke = asyncio.Event()
        self._done = asyncio.Event()
        self._quiet = asyncio.Event()
        self.stopping = False

    # --- the life of a session -----------------------------------------------------------------

    async def run(self) -> None:
        """Work until nothing is left, or until `stop`. Raises StorageError if the journal fails."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._journal.keep_durable)
            tasks.start_soon(self._admit_all)
            for account in self._accounts:
                tasks.start_soon(account.hand_out)
                for _ in range(account.limits.concurrency):
                    tasks.start_soon(self._work, account)
            await self._done.wait()
            tasks.cancel_scope.cancel()

    async def stop(self, grace_s: float) -> None:
        """Send nothing more; wait up to `grace_s` seconds for what is in flight; end `run`."""
        self.stopping = True
        self._stops_at = asyncio.get_running_loop().time() + grace_s
        left = f"{self.in_flight} calls in flight, up to {grace_s:g} s; Ctrl-C again gives them up"
        self._tell(Noted(f"stopping: {left}", "warning"))
        if self.in_flight:
            with anyio.move_on_after(grace_s):
                await self._quiet.wait()
        self._done.set()

    def abandon(self) -> None:
        """End `run` now; calls in flight are given up."""
        self.stopping = True
        self._done.set()

    @property
    def in_flight(self) -> int:
        return sum(account.in_flight for account in self._accounts)

    @property
    def stopped(self) -> tuple[Stopped, ...]:
        """Accounts and models that were stopped in this session."""
        return self._stops.events

    @property
    def broke(self) -> str:
        """The ceiling that was reached, in words; empty: none."""
        return self._stops.broke

    @property
    def spent(self) -> Statistics:
        """Money so far, earlier sessions included."""
        return self._client.purse.statistics()

    def waiting(self, tally: Tally, now: float) -> tuple[Waiting, ...]:
        """Why every unfinished trial waits, in groups."""
        return why_waiting(self.progress(tally, now), self._pools.values(), now)

    def progress(self, tally: Tally, now: float) -> Progress:
        """The picture of this moment."""
        views = tuple(account.view(now) for account in self._accounts)
        state: Literal["stopping", "running"] = "stopping" if self.stopping else "running"
        grace_s = None if self._stops_at is None else max(self._stops_at - now, 0.0)
        money = self._client.purse.view()
        return tally.progress(now, views, state, money, flying=self._flying, grace_s=grace_s)

    # --- admission -----------------------------------------------------------------------------

    async def _admit_all(self) -> None:
        """Admit batch after batch, until there is nothing to admit and nothing under way."""
        while True:
            self._poke.clear()
            jobs = [] if self.stopping else self._next_batch()
            if jobs:
                await self._admit(jobs)
            elif self._alive == 0 and not self.stopping:
                if not self._replan(self._streams.idle()):
                    self._done.set()
                    return
                continue
            if not jobs or not self._hungry:
                await self._poke.wait()

    @property
    def _hungry(self) -> bool:
        """Has any provider room and numbers for a batch?"""
        return bool(self._again) or any(
            pool.backlog.hungry for pool in self._pools.values() if pool.stopped is None
        )

    def _next_batch(self) -> list[Job]:
        """Re-asks first, then new trials, the providers taking turns."""
        jobs, self._again = self._again[:BATCH], self._again[BATCH:]
        hungry = [pool for pool in self._pools.values() if pool.stopped is None]
        while hungry and len(jobs) < BATCH:
            for pool in tuple(hungry):
                number = pool.backlog.take_number()
                if number is None:
                    hungry.remove(pool)
                elif (job := self._job(number, pool)) is not None:
                    jobs.append(job)
        return jobs

    def _job(self, number: int, pool: Pool) -> Job | None:
        """A job for a number, unless it was taken care of meanwhile (or must wait for its turn)."""
        if not self._streams.owed(number) or not self._streams.turn_has_come(number):
            pool.backlog.give_back()
            return None
        self._ledger.mark(number, State.ACTIVE)
        self._alive += 1
        judged = () if self._plan.is_answer(number) else self._plan.answers_of(number)
        texts = tuple(self._texts(answer) for answer in judged)
        job = Job(number, self._plan.trial(number), pool, texts)
        self._load(job)
        return job

    def _load(self, job: Job) -> None:
        """Render and encode what is sent next for this job."""
        if self._plan.is_answer(job.number):
            request = answer_request(self._plan, job.number, self._texts)
        else:
            job.case = self._case(job)
            request, job.quotation = judging.judge_request(job.case, len(job.asks))
        if job.raised:
            request = replace(request, max_tokens=self._larger_cap(job))
        self._client.load(job, request)

    def _larger_cap(self, job: Job) -> int | None:
        """The cap for a reply that was cut; None: there is none."""
        number = job.number
        if self._plan.is_answer(number):
            return self._sweep.models[self._plan.model_index(number)].retry_max_tokens
        return self._sweep.judges[self._plan.judge_index(number)].retry_max_tokens

    def _case(self, job: Job) -> judging.Case:
        judge = self._sweep.judges[self._plan.judge_index(job.number)]
        question, turn = self._plan.item(job.number)
        rubric = self._rubrics[judge.rubric]
        dialogues: tuple[tuple[str, ...], ...] = tuple([(said,) for said in job.answers])
        if turn:
            answers = self._plan.answers_of(job.number)
            earlier = (map(self._texts, self._plan.turns_before(answer)) for answer in answers)
            dialogues = tuple((*told, *said) for told, said in zip(earlier, dialogues, strict=True))
        return judging.Case(self._sweep, judge, rubric, job.trial, question, dialogues)

    async def _admit(self, jobs: Sequence[Job]) -> None:
        """What the cache knows is finished here; the rest is queued.

        A leader is registered before the lookup, so nothing can be bought twice in between.
        """
        leaders = [job for job in jobs if self._sharing.leads(job)]
        known = await self._client.known(leaders)
        for job in leaders:
            response = known.get(job.key)
            if response is not None:
                self._answered(job, response, None)
            elif self._stops.cover(job):  # since it was taken up
                self._leave_pending(job)
            else:
                job.pool.backlog.put(job)

    # --- workers -------------------------------------------------------------------------------

    async def _work(self, account: Account) -> None:
        """One call at a time, until the account is stopped or the session cancels its workers."""
        while (taken := await account.take()) is not None:
            job, leave = taken
            if isinstance(leave, CallError):
                self._give_up(job, leave)
            elif self._over(job):
                account.limits.unused(leave)
                self._leave_pending(job)
            elif job.due is not None and leave.at >= job.due:
                account.limits.unused(leave)
                self._give_up(
                    job, DeadlinePassed("the trial's deadline passed while it waited to be sent")
                )
            else:
                party = job.trial.kind, job.trial.judge or job.trial.model
                self._flying[party] += 1
                await self._send(job, account, leave)
                self._flying[party] -= 1
                self._note_quiet()

    def _over(self, job: Job) -> bool:
        """Is nothing more to be sent for this job in this session?"""
        return self.stopping or self._stops.cover(job)

    async def _send(self, job: Job, account: Account, leave: Permit) -> None:
        """One exchange and what comes of it, if there is money for it."""
        ticket = self._client.purse.reserve(account.pool.spec.name, job)
        if isinstance(ticket, Refusal):
            account.limits.unused(leave)
            if ticket.kind == "blocked":
                await self._wait_for_refund(job)
            else:
                self._stops.for_money(job, account, ticket)
            return
        if not job.tries.exchanges:
            account.retries.first_attempt(leave.at)
        if job.due is None and self._sweep.deadline_s is not None:
            job.due = leave.at + self._sweep.deadline_s
        try:
            response, settled = await self._sender.attempt(job, account, leave, ticket)
        except CallError as error:
            self._failed(job, account, error)
        else:
            self._answered(job, response, settled)

    async def _wait_for_refund(self, job: Job) -> None:
        """Back into the queue once somebody's money is free: leave to send was for then, not for now."""
        await self._client.purse.refund()
        if self._stops.cover(job):
            self._leave_pending(job)
        else:
            job.pool.backlog.put_back(job)

    def _note_quiet(self) -> None:
        """The last call in flight has ended and no other may begin."""
        if self.stopping and not self.in_flight:
            self._quiet.set()

    def _answered(self, job: Job, response: Response, settled: Settled | None) -> None:
        """A response is there: it serves this job and all that wait for the same words."""
        followers = self._sharing.answered(job)
        self._received(job, response, settled)
        for follower in followers:
            self._received(follower, response, None)

    def _received(self, job: Job, response: Response, settled: Settled | None) -> None:
        if self._plan.is_answer(job.number):
            self._keep_answer(job, response, settled)
        else:
            self._keep_reply(job, response, settled)

    def _keep_answer(self, job: Job, response: Response, settled: Settled | None) -> None:
        """An answer that was cut may be asked for once more; it is an outcome all the same."""
        if self._raises_cap(job, response):
            self._keeper.keep_settled(settled)
            self._ask_again(job)
            return
        if response.state == "refused":
            off = self._streams.judgments_lost(job.number)
            self._keeper.keep_answer(job, response, settled, off)
        else:
            self._keeper.keep_answer(job, response, settled, {})
            self._texts.remember(job.number, response.text)
            self._streams.answered(job.number)
            if not self._poke.is_set() and self._hungry:  # a judge elsewhere had nothing to do
                self._poke.set()
        self._end(job)

    def _keep_reply(self, job: Job, response: Response, settled: Settled | None) -> None:
        """Readable: the judgment. Unreadable: ask again, or record that no verdict can be read.

        A refusal is an outcome and never asked for again.
        """
        job.asks.append(response)
        assert job.case is not None
        verdict = judging.read_verdict(job.case, response, job.quotation)
        unread = verdict is None and response.state != "refused"
        if unread and len(job.asks) < self._sweep.asks:
            self._raises_cap(job, response)
            self._keeper.keep_settled(settled)
            self._ask_again(job)
            return
        record = judging.judgment(job.trial, job.asks, verdict)
        self._keeper.keep_judgment(job, record, settled)
        if self._replan(self._streams.judged(job.number)) and self._hungry:
            self._poke.set()  # a judge elsewhere may have had nothing to do
        self._end(job)

    def _replan(self, change: Change) -> bool:
        """Tell what an escalation has decided; True: there is more to do."""
        for number in change.spared:
            self._tell(Replanned(self._plan.trial(number).model, -1))
        for number in change.opened:
            if change.late:
                self._tell(Replanned(self._plan.trial(number).model, 1))
        return bool(change.opened)

    def _raises_cap(self, job: Job, response: Response) -> bool:
        """The first time that a reply was cut, where the sweep file gives a larger cap."""
        cut = response.state == "truncated" and not job.raised
        job.raised = job.raised or (cut and self._larger_cap(job) is not None)
        return cut and job.raised

    def _ask_again(self, job: Job) -> None:
        self._load(job)
        self._again.append(job)
        self._poke.set()

    # --- what goes wrong -----------------------------------------------------------------------

    def _failed(self, job: Job, account: Account, error: CallError) -> None:
        """Three cases: stop somebody, try again later, or give this trial up."""
        if isinstance(error, RateLimited) and (error.retry_after_s or 0) > LONGEST_TOLD_S:
            # Nobody waits for that in a session.
            error = DailyQuota(f"{error.message}; asks to wait {error.retry_after_s:.0f} s")
        if error.scope != "trial":
            self._stops.by_error(job, account, error)
            return
        self._tell_outage(account, error)
        again = decide(error, job.tries, self._sweep.attempts, self._dice)
        if again is None:
            self._give_up(job, error)
            return
        now = asyncio.get_running_loop().time()
        if again.tries.failed > job.tries.failed:
            again = Again(max(again.wait_s, account.retries.book(now)), again.tries)
        if job.due is not None and now + again.wait_s >= job.due:
            late = f"{self._sweep.deadline_s:g} s have passed"
            self._give_up(job, DeadlinePassed(f"{late}, the last error was {error.kind}: {error}"))
            return
        if self._stops.cover(job):  # meanwhile
            self._leave_pending(job)
            return
        job.tries, job.trouble = again.tries, error.kind
        job.pool.backlog.put_later(job, now + again.wait_s)
        self._tell(Retrying(account.name, job.trial.model, error.kind, again.wait_s))

    def _tell_outage(self, account: Account, error: CallError) -> None:
        """Say once an outage what the trouble is: until a probe works, there is nothing else to see."""
        if account.limits.outages > self._outages[account.name]:
            self._outages[account.name] = account.limits.outages
            what = f"{error.kind}: {error}; it is probed until a call works"
            self._tell(Noted(f"{account.name} does not work: {what}", "warning"))

    def _give_up(self, job: Job, error: CallError) -> None:
        """Whoever waited for the same words tries for himself."""
        self._hand_over(job)
        self._keeper.keep_failure(job, error)
        self._end(job)

    def _leave_pending(self, job: Job) -> None:
        self._hand_over(job)
        self._pend(job)

    def _hand_over(self, job: Job) -> None:
        """The first of its followers that may still be asked for takes its place."""
        heir = self._sharing.heir(job)
        while heir is not None and self._stops.cover(heir):
            self._pend(heir)
            heir = self._sharing.heir(heir)
        if heir is not None:
            heir.pool.backlog.put(heir)

    def _pend(self, job: Job) -> None:
        self._ledger.mark(job.number, State.PENDING)
        self._end(job)

    def _end(self, job: Job) -> None:
        """This job is over, one way or another."""
        self._alive -= 1
        backlog = job.pool.backlog
        backlog.give_back()
        if not self._poke.is_set() and (self._alive == 0 or backlog.hungry):
            self._poke.set()
