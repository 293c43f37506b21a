"""Many calls: a sweep from its plan to its last record.

Who does what. One admission task turns trial numbers into jobs, in batches: it renders, encodes, looks
in the cache, and puts what is unknown into its provider's backlog. Each account has as many workers
as it may have calls in flight; a worker takes a job, sends it, and sees to what came back. An answer
opens its judgments at once, so there is no barrier between the stages. Every result is one journal
line; it is told to the console when that line is durable.

Nobody here ever waits to put something down, and all state is touched from the loop's thread only, so
there are no locks. A trial that is not final when the session ends is owed to the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import anyio

from cache.journal import Place
from data.answers import GivenAnswer
from data.errors import CallError, OutOfQuota, OverBudget, RateLimited
from data.schema import Answer, Failure, Response, Result, Rubric, Settled, Struct
from engine import judging
from engine.accounts import Account, Job, Pool
from engine.answering import answer_request
from engine.backlog import Stream
from engine.budget import Refusal, Statistics
from engine.client import Client
from engine.config import Selection
from engine.events import (
    AnswerSaved,
    Event,
    JudgmentSaved,
    Noted,
    Progress,
    Retrying,
    Stopped,
    TrialFailed,
)
from engine.plan import JUDGEABLE, State
from engine.retry import LONGEST_TOLD_S, Again, decide
from engine.rundir import Opened
from engine.tally import Tally

BATCH = 256
"""Trials admitted at once: one cache lookup serves them all."""
RECENT = 4096
"""Answers whose text is kept in memory because they are about to be judged."""


class Options(Struct, frozen=True, kw_only=True):
    """How this session goes about it."""

    folder: Path
    selection: Selection
    answers: tuple[GivenAnswer, ...] = ()
    """Answers from elsewhere, to be judged."""
    generate: bool = True
    judge: bool = True
    retry_failed: bool = True


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
        self._run = run
        self._plan, self._ledger, self._journal = run.plan, run.ledger, run.journal
        self._options, self._selection = options, options.selection
        self._rubrics, self._pools = rubrics, pools
        self._client, self._tell, self._dice = client, tell, dice
        self._sweep = run.plan.sweep
        self._accounts = [account for pool in pools.values() for account in pool.accounts]
        self._alive = 0
        self._again: list[Job] = []
        self._leaders: dict[bytes, Job] = {}
        self._recent: OrderedDict[int, str] = OrderedDict()
        self._stopped_parties: set[tuple[str, str]] = set()
        self._stops: list[Stopped] = []
        self._answer_streams: dict[str, Stream] = {}
        self._judge_streams: list[Stream] = []
        self._poke = asyncio.Event()
        self._done = asyncio.Event()
        self._quiet = asyncio.Event()
        self.stopping = False
        self.broke = ""
        """The ceiling that was reached, in words."""

    # --- the life of a session -----------------------------------------------------------------

    async def run(self) -> None:
        """Work until nothing is left, or until `stop`. Raises StorageError if the journal fails."""
        self._open_streams()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._journal.keep_durable)
            tasks.start_soon(self._admit_all)
            for account in self._accounts:
                for _ in range(account.limits.concurrency):
                    tasks.start_soon(self._work, account)
            await self._done.wait()
            tasks.cancel_scope.cancel()

    async def stop(self, grace_s: float) -> None:
        """Send nothing more; wait up to `grace_s` seconds for what is in flight; end `run`."""
        self.stopping = True
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
        return tuple(self._stops)

    @property
    def spent(self) -> Statistics:
        """Money so far, earlier sessions included."""
        return self._client.purse.statistics()

    def progress(self, tally: Tally, now: float) -> Progress:
        """The picture of this moment."""
        views = tuple(account.view(now) for account in self._accounts)
        return tally.progress(now, views, "stopping" if self.stopping else "running")

    # --- admission -----------------------------------------------------------------------------

    def _open_streams(self) -> None:
        """A stream per model and per judge, in the backlog of its provider."""
        plan, chosen = self._plan, self._selection
        for model in chosen.models:
            spec = self._sweep.models[model]
            if self._options.generate and spec.provider in self._pools:
                numbers = plan.answer_numbers([model], chosen.items)
                owed = (n for n in numbers if self._owed(n))
                stream = Stream(spec.name, owed)
                self._answer_streams[spec.name] = stream
                self._pools[spec.provider].backlog.add_stream(stream, "answer")
        self._judge_streams = [
            Stream(judge.name, self._owed_judgments(j))
            for j, judge in enumerate(self._sweep.judges)
        ]
        for judge, stream in zip(self._sweep.judges, self._judge_streams, strict=True):
            if self._options.judge and judge.provider in self._pools:
                self._pools[judge.provider].backlog.add_stream(stream, "judgment")

    def _owed_judgments(self, judge: int) -> Iterator[int]:
        """Judgments of answers that earlier sessions left behind."""
        for answer in self._plan.answer_numbers(self._selection.models, self._selection.items):
            if self._ledger.state(answer) in JUDGEABLE:
                for number in self._plan.judgments_of(answer):
                    if self._plan.judge_index(number) == judge and self._owed(number):
                        yield number

    def _owed(self, number: int) -> bool:
        state = self._ledger.state(number)
        return state is State.PENDING or (state is State.FAILED and self._options.retry_failed)

    async def _admit_all(self) -> None:
        """Admit batch after batch, until there is nothing to admit and nothing under way."""
        while True:
            self._poke.clear()
            jobs = [] if self.stopping else self._next_batch()
            if jobs:
                await self._admit(jobs)
            elif self._alive == 0 and not self.stopping:
                self._done.set()
                return
            else:
                await self._poke.wait()

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
        if not self._owed(number) or not self._turn_has_come(number):
            pool.backlog.give_back()
            return None
        self._ledger.mark(number, State.ACTIVE)
        self._alive += 1
        is_answer = self._plan.is_answer(number)
        answer = "" if is_answer else self._answer_text(self._plan.answer_of(number))
        job = Job(number, self._plan.trial(number), pool, answer)
        self._load(job)
        return job

    def _turn_has_come(self, number: int) -> bool:
        """A later turn of a conversation waits for the answer to the turn before it."""
        if not self._plan.is_answer(number):
            return True
        before = self._plan.turn_before(number)
        return before is None or self._ledger.state(before) in JUDGEABLE

    def _load(self, job: Job) -> None:
        """Render and encode what is sent next for this job."""
        if self._plan.is_answer(job.number):
            request = answer_request(self._plan, job.number, self._answer_text)
        else:
            request, job.quotation = judging.judge_request(self._case(job), len(job.asks))
        self._client.load(job, request)

    def _case(self, job: Job) -> judging.Case:
        judge = self._sweep.judges[self._plan.judge_index(job.number)]
        question = self._plan.item(job.number)[0]
        rubric = self._rubrics[judge.rubric]
        turns = self._plan.turns_before(self._plan.answer_of(job.number))
        earlier = tuple(self._answer_text(n) for n in turns)
        return judging.Case(self._sweep, judge, rubric, job.trial, question, job.answer, earlier)

    async def _admit(self, jobs: Sequence[Job]) -> None:
        """Whoever wants the same words as a job under way joins it; the others lead.

        A leader is registered before the lookup, so nothing can be bought twice in between. What the
        cache knows is finished here; the rest is queued.
        """
        leaders = [job for job in jobs if self._leads(job)]
        known = await self._client.known(leaders)
        for job in leaders:
            response = known.get(job.key)
            if response is not None:
                self._answered(job, response, None)
            else:
                job.pool.backlog.put(job)

    def _leads(self, job: Job) -> bool:
        if not self._client.shares:
            return True
        leader = self._leaders.setdefault(job.key, job)
        if leader is job:
            return True
        leader.followers.append(job)
        return False

    # --- workers -------------------------------------------------------------------------------

    async def _work(self, account: Account) -> None:
        """One call at a time, for ever; the session ends by cancelling its workers."""
        while True:
            job, leave = await account.take()
            if isinstance(leave, CallError):
                self._give_up(job, leave)
                continue
            if self.stopping or self._has_stopped(account, job):
                account.limits.unused(leave)
                self._leave_pending(job)
                continue
            ticket = await self._client.purse.reserve(account.name, job)
            if isinstance(ticket, Refusal):
                account.limits.unused(leave)
                self._stop_for_money(job, account, ticket)
                continue
            if not job.tries.exchanges:
                account.retries.first_attempt(leave.at)
            try:
                response, settled = await self._client.attempt(job, account, leave, ticket)
            except CallError as error:
                self._failed(job, account, error)
            else:
                self._answered(job, response, settled)
            self._note_quiet()

    def _note_quiet(self) -> None:
        """The last call in flight has ended and no other may begin."""
        if self.stopping and not self.in_flight:
            self._quiet.set()

    def _has_stopped(self, account: Account, job: Job) -> bool:
        return account.pool.stopped is not None or self._party(job) in self._stopped_parties

    def _answered(self, job: Job, response: Response, settled: Settled | None) -> None:
        """An answer is there: it serves this job and all that wait for the same words."""
        if self._leaders.get(job.key) is job:
            del self._leaders[job.key]
        followers, job.followers = job.followers, []
        self._received(job, response, settled)
        for follower in followers:
            self._received(follower, response, None)

    def _failed(self, job: Job, account: Account, error: CallError) -> None:
        """Three cases: stop somebody, try again later, or give this trial up."""
        if isinstance(error, RateLimited) and (error.retry_after_s or 0) > LONGEST_TOLD_S:
            # Nobody waits for that in a session.
            error = OutOfQuota(f"{error.message}; asks to wait {error.retry_after_s:.0f} s")
        if error.scope != "trial":
            self._stop_party(job, account, error)
            return
        again = decide(error, job.tries, self._sweep.attempts, self._dice)
        if again is not None:
            now = asyncio.get_running_loop().time()
            if again.tries.failed > job.tries.failed and not account.retries.spend(now):
                again = Again(max(again.wait_s, account.retries.wait_s(now)), again.tries)
            job.tries = again.tries
            job.pool.backlog.put_later(job, now + again.wait_s)
            self._tell(Retrying(account.name, job.trial.model, error.kind, again.wait_s))
            return
        self._give_up(job, error)

    def _give_up(self, job: Job, error: CallError) -> None:
        """A failure is a record; whoever waited for the same words tries for himself."""
        self._hand_over(job)
        record = Failure(
            trial=job.trial,
            error=error.kind,
            message=str(error),
            attempts=job.tries.exchanges + 1,
            asks=tuple(job.asks),
        )
        trial = job.trial
        told = TrialFailed(trial.model, trial.kind, error.kind, trial.judge, error.message)
        self._finish(job, State.FAILED, record, told)

    def _stop_party(self, job: Job, account: Account, error: CallError) -> None:
        """A wrong key or an unknown model: its trials stay pending, everybody else goes on."""
        pool = account.pool
        if error.scope == "account":
            self._stop_pool(pool, error)
        elif error.scope == "model" and self._party(job) not in self._stopped_parties:
            kind, name = self._party(job)
            self._stopped_parties.add((kind, name))
            pool.backlog.drop_streams(kind, name)
            self._tell_stop(Stopped("model", name, error.kind, str(error)))
        self._leave_pending(job)

    def _stop_for_money(self, job: Job, account: Account, refusal: Refusal) -> None:
        """A ceiling is reached: whatever it covers stops, and stays pending."""
        self.broke = str(refusal)
        error = OverBudget(str(refusal))
        kind, name = refusal.scope
        if kind == "model":
            self._stopped_parties.add(self._party(job))
            account.pool.backlog.drop_streams(*self._party(job))
            self._tell_stop(Stopped("model", name, error.kind, str(error)))
        elif kind == "stage":
            stage = job.trial.kind
            names = [m.name for m in self._sweep.models] + [j.name for j in self._sweep.judges]
            for party in names:
                self._stopped_parties.add((stage, party))
                for pool in self._pools.values():
                    pool.backlog.drop_streams(stage, party)
            self._tell_stop(Stopped("model", name, error.kind, str(error)))
        else:
            pools = [account.pool] if kind == "account" else list(self._pools.values())
            for pool in pools:
                self._stop_pool(pool, error)
        self._leave_pending(job)

    def _stop_pool(self, pool: Pool, error: CallError) -> None:
        """Nobody asks this provider again in this session."""
        if pool.stopped is None:
            pool.stopped = error
            pool.backlog.drop_streams()
            self._tell_stop(Stopped("account", pool.spec.name, error.kind, str(error)))
        for waiting in pool.backlog.take_all():
            self._leave_pending(waiting)

    def _tell_stop(self, event: Stopped) -> None:
        self._stops.append(event)
        self._tell(event)

    def _party(self, job: Job) -> tuple[str, str]:
        """Who answers this job: a model or a judge."""
        trial = job.trial
        return (trial.kind, trial.judge if trial.kind == "judgment" else trial.model)

    def _leave_pending(self, job: Job) -> None:
        self._hand_over(job)
        self._ledger.mark(job.number, State.PENDING)
        self._end(job)

    def _hand_over(self, job: Job) -> None:
        """Whoever waited for this job's answer: the first of them asks for it now."""
        if self._leaders.get(job.key) is job:
            del self._leaders[job.key]
        if not job.followers:
            return
        heir, *rest = job.followers
        heir.followers, job.followers = rest, []
        self._leaders[heir.key] = heir
        heir.pool.backlog.put(heir)

    # --- results -------------------------------------------------------------------------------

    def _received(self, job: Job, response: Response, settled: Settled | None) -> None:
        """An answer to a question, or a judge's reply. `settled` is None if nothing was sent for it."""
        if self._plan.is_answer(job.number):
            self._keep_answer(job, response, settled)
        else:
            self._keep_reply(job, response, settled)

    def _keep_answer(self, job: Job, response: Response, settled: Settled | None) -> None:
        trial = job.trial
        record = Answer(trial=trial, response=response, state=response.state)
        usage = response.usage if settled else None
        off = self._judgments_lost(job.number) if response.state == "refused" else 0
        told = AnswerSaved(
            trial.model, response.state, settled is None, usage, response.latency_s, off
        )
        state = {"answered": State.ANSWERED, "truncated": State.TRUNCATED, "refused": State.REFUSED}
        place = self._write(record, settled, told)
        self._ledger.offsets[job.number] = place.offset
        self._ledger.lengths[job.number] = place.length
        self._ledger.mark(job.number, state[response.state])
        if response.state != "refused":
            self._remember(job.number, response.text)
            self._open_judgments(job.number)
            self._open_next_turn(job.number)
        self._end(job)

    def _keep_reply(self, job: Job, response: Response, settled: Settled | None) -> None:
        """Readable: the judgment. Unreadable: ask again, or record that no verdict can be read."""
        trial = job.trial
        job.asks.append(response)
        verdict = judging.read_verdict(self._case(job), response, job.quotation)
        if verdict is None and len(job.asks) < self._sweep.asks:
            if settled is not None:
                self._journal.append(settled)
            self._load(job)
            self._again.append(job)
            self._poke.set()
            return
        record = judging.judgment(trial, job.asks, verdict)
        usage = response.usage if settled else None
        score = None if verdict is None else verdict.score
        told = JudgmentSaved(
            trial.model, trial.judge, score, settled is None, usage, response.latency_s
        )
        self._write(record, settled, told)
        self._ledger.mark(job.number, State.JUDGED if verdict else State.UNSCORABLE)
        self._end(job)

    def _write(self, record: Result, settled: Settled | None, told: Event) -> Place:
        if settled is None:
            return self._journal.append(record, told=told)
        return self._journal.append_pair(settled, record, told=told)

    def _finish(self, job: Job, state: State, record: Result, told: Event) -> None:
        self._write(record, None, told)
        self._ledger.mark(job.number, state)
        self._end(job)

    def _judgments_lost(self, answer: int) -> int:
        """Judgments that this session counted on and that a refusal takes away."""
        if not self._options.judge:
            return 0
        return sum(self._owed(n) for n in self._plan.judgments_of(answer))

    def _open_judgments(self, answer: int) -> None:
        for number in self._plan.judgments_of(answer):
            if self._owed(number):
                judge = self._plan.judge_index(number)
                self._judge_streams[judge].add(number)

    def _open_next_turn(self, answer: int) -> None:
        following = self._plan.turn_after(answer)
        if following is None or not self._owed(following):
            return
        model = self._sweep.models[self._plan.model_index(following)]
        if model.name in self._answer_streams:
            self._answer_streams[model.name].add(following)

    def _end(self, job: Job) -> None:
        """This job is over, one way or another."""
        self._alive -= 1
        backlog = job.pool.backlog
        backlog.give_back()
        if backlog.credits >= job.pool.refill_at or backlog.queued == 0 or self._alive == 0:
            self._poke.set()

    # --- texts ---------------------------------------------------------------------------------

    def _remember(self, answer: int, text: str) -> None:
        self._recent[answer] = text
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def _answer_text(self, answer: int) -> str:
        """An answer's text: from memory if it is new, else from its journal line."""
        text = self._recent.get(answer)
        if text is None:
            text = self._run.answer_text(answer)
        return text
