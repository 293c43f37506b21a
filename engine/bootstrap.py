"""Where every real thing is made and handed down: the one place that knows them all.

`conduct` does one session of a sweep: it opens the run, makes transports, accounts and cache, works
until nothing is left (or it is told to stop), and says how it ended. What belongs to the outside world
(environment, folders, the clock's epoch, the console) comes in as an `Outside`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import anyio

from cache.bundle import Layered, open_bundles
from cache.offload import Inline, Offload, Threads
from cache.responses import ResponseCache, ResponseStore
from data.answers import GivenAnswer
from data.catalog import accounts_of, is_embedded
from data.errors import AlignsweepError, ConfigError, StorageError
from data.schema import Answer, Failure, ProviderSpec, Response, Struct, Trial
from engine import adapting
from engine.accounts import Account, Pool
from engine.budget import Statistics
from engine.client import Client
from engine.config import Loaded
from engine.control import control_socket
from engine.descriptors import make_room
from engine.events import Event, JudgePlanned, Listener, Noted, Planned, Progress, Stopped
from engine.keys import endpoint_of
from engine.plan import JUDGEABLE, Ledger, Plan, State
from engine.purse import Party, Purse, Spent, purse_for
from engine.rundir import Opened, open_run
from engine.session import Session
from engine.steering import Steering
from engine.streams import Options, judgments_wanted
from engine.tally import Tally
from providers.spoken import spoken
from providers.wire import Transport

PUBLISH_S = 0.25
View = Callable[[Callable[[], Progress]], Coroutine[Any, Any, None]]
"""Shows a run until cancelled: it is given the way to the latest Progress."""
Stops = Callable[[Session], None]
"""Told once, when the session begins: how Ctrl-C reaches it."""
Transports = Callable[[Sequence[ProviderSpec], Loaded], dict[str, Transport]]
"""Makes what reaches the providers, by the names of their accounts."""


class Outside(Struct, frozen=True):
    """What the outside world provides."""

    env: Mapping[str, str]
    cache_path: Path | None
    """The response cache's file; None: no cache."""
    now_s: float
    """Seconds since the epoch at the moment of starting."""
    view: View | None
    """None: nobody watches, so no Progress is made while it runs."""
    stops: Stops
    transports: Transports | None = None
    """None: sockets, and a simulator for each embedded provider."""
    virtual: bool = False
    """The transports answer on virtual time although the providers are real ones (a rehearsal)."""
    hear: Listener | None = None
    """Told every event as it happens."""
    cache_from: tuple[Path, ...] = ()
    """Files of replies that are looked into besides the cache."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How a session ended."""

    state: Literal["complete", "partial", "budget", "interrupted"]
    progress: Progress
    pending: int
    failed: int
    simulated: bool
    stopped: tuple[Stopped, ...]
    """Accounts and models that were stopped, with the reason."""
    notes: tuple[str, ...]
    spent: Statistics
    """Money, earlier sessions included."""
    unanswered: int = 0
    """Answers that do not exist, in a session that only judges."""
    elsewhere: int = 0
    """Trials that this session was told to leave out (--limit and the like)."""
    broke: str = ""
    """The ceiling that was reached, in words."""
    trouble: str = ""
    """A failure of the disk that ended the session."""


def embedded(loaded: Loaded) -> bool:
    """Are all providers simulated in this process? Then the session runs on virtual time."""
    return bool(loaded.sweep.providers) and all(is_embedded(p) for p in loaded.sweep.providers)


def check_keys(loaded: Loaded, env: Mapping[str, str]) -> None:
    """Every key and certificate that will be needed is there. Raises ConfigError for one that is not."""
    for provider in loaded.sweep.providers:
        for account in accounts_of(provider):
            endpoint_of(account, spoken(account), env)


def booked(loaded: Loaded, options: Options, spent: Spent, now_s: float) -> Statistics:
    """Money so far, by what the journal says, as a session would begin with it.

    Raises ConfigError where there is a budget and something about its prices is missing.
    """
    purse = _purse(loaded, options, now_s)
    purse.restore(spent, _provider_of(loaded.sweep.providers))
    return purse.statistics()


async def conduct(loaded: Loaded, options: Options, outside: Outside) -> Outcome:
    """One session. Raises AlignsweepError before anything is sent; afterwards it ends in an Outcome."""
    loop = asyncio.get_running_loop()
    epoch = outside.now_s - loop.time()
    simulated = any(p.simulated for p in loaded.sweep.providers)
    tally = Tally(loaded.sweep.name, started=loop.time(), simulated=simulated)
    virtual = outside.virtual or embedded(loaded)

    def lane(name: str) -> Offload:
        return Inline() if virtual else Threads(name)

    def tell(event: Event) -> None:
        tally.add(event, loop.time())
        if outside.hear is not None:
            outside.hear(event)

    def wall() -> float:
        return epoch + loop.time()

    check_keys(loaded, outside.env)
    if not virtual:
        make_room(loaded.sweep)
    purse = _purse(loaded, options, outside.now_s)
    async with AsyncExitStack() as stack:
        run = open_run(options.folder, loaded, offload=lane("journal"), tell=tell, wall=wall)
        stack.push_async_callback(run.aclose)
        purse.restore(run.spent, _provider_of(loaded.sweep.providers))
        told = (*run.notes, *adapting.notes(loaded.sweep))
        for note in told:
            tell(Noted(note))
        _bring_in(run, options.answers)
        run.escalations.settle()
        cache = _cache(outside, lane, wall)
        if cache is not None:
            stack.push_async_callback(cache.aclose)
        pools = await _pools(loaded, options, outside, stack)
        for account in (account for pool in pools.values() for account in pool.accounts):
            account.limits.recall(run.recent.of(account.name), epoch, loop.time())
        for planned in _planned(run.plan, run.ledger, options):
            tell(planned)
        for judge in _judges_planned(run.plan, run.ledger, options):
            tell(judge)
        session = Session(
            run,
            options,
            rubrics=loaded.rubrics,
            pools=pools,
            client=Client(run.journal, cache, purse, wall),
            tell=tell,
            dice=random.Random(loaded.sweep.seed),
        )
        outside.stops(session)
        if not virtual:
            accounts = [account for pool in pools.values() for account in pool.accounts]
            steering = Steering(
                accounts,
                lambda: session.progress(tally, loop.time()),
                lambda: session.waiting(tally, loop.time()),
                run.journal.append,
                tell,
                wall,
            )
            await stack.enter_async_context(control_socket(options.folder, steering))
        trouble = await _work_and_show(session, run, tally, outside.view)
    notes = (*told, *([f"cache: {cache.trouble}"] if cache and cache.trouble else ()))
    return _outcome(run, options, session, tally, trouble, simulated, notes)


# --- the parts ---------------------------------------------------------------------------------


def _cache(
    outside: Outside, lane: Callable[[str], Offload], wall: Callable[[], float]
) -> ResponseCache | None:
    """Raises DataError for a file that is no cache."""
    if outside.cache_path is None:
        return None
    below = open_bundles(outside.cache_from)
    own = ResponseStore(outside.cache_path)
    return ResponseCache(Layered(own, below) if below else own, lane("cache"), wall)


def _purse(loaded: Loaded, options: Options, now_s: float) -> Purse:
    """Raises ConfigError where there is a budget and something about its prices is missing."""
    sweep = loaded.sweep
    specs = {p.name: p for p in sweep.providers}
    parties: dict[Party, tuple[ProviderSpec, str, int | None]] = {}
    if options.generate:
        for m in sweep.models:
            parties["generate", m.name] = (specs[m.provider], m.model, m.max_tokens)
    if options.judge:
        for j in sweep.judges:
            parties["judge", j.name] = (specs[j.provider], j.model, j.max_tokens)
    return purse_for(loaded.terms, parties, datetime.fromtimestamp(now_s, tz=UTC).date())


def _provider_of(providers: Sequence[ProviderSpec]) -> dict[str, str]:
    """The provider of every account."""
    return {account.name: p.name for p in providers for account in accounts_of(p)}


async def _pools(
    loaded: Loaded, options: Options, outside: Outside, stack: AsyncExitStack
) -> dict[str, Pool]:
    """A pool per provider that has something to do, with its accounts and their transports."""
    users = [*(loaded.sweep.models if options.generate else ())]
    names = {m.provider for m in users}
    names |= {j.provider for j in loaded.sweep.judges} if options.judge else set()
    specs = [p for p in loaded.sweep.providers if p.name in names]
    everyone = [account for spec in specs for account in accounts_of(spec)]
    transports = (outside.transports or transports_of)(everyone, loaded)
    pools: dict[str, Pool] = {}
    for spec in specs:
        pool = Pool(spec, spoken(spec))
        for own in accounts_of(spec):
            endpoint = endpoint_of(own, pool.codec, outside.env)
            pool.accounts.append(Account(pool, own, endpoint, transports[own.name]))
        pools[spec.name] = pool
    for transport in set(transports.values()):
        stack.push_async_callback(transport.aclose)
    return pools


def transports_of(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
    """One real transport for all, and a simulator for each embedded provider."""
    real = [s for s in specs if not is_embedded(s)]
    found: dict[str, Transport] = {}
    if real:
        from providers.transport import AiohttpTransport

        shared = AiohttpTransport(connections=sum(s.concurrency for s in real))
        found |= {s.name: shared for s in real}
    for spec in specs:
        if is_embedded(spec):
            found[spec.name] = _simulator(spec, loaded)
    return found


def _simulator(spec: ProviderSpec, loaded: Loaded) -> Transport:
    from providers.persona import Cast
    from providers.scorebook import published
    from providers.simulator import SimulatorTransport, sim_options

    options = sim_options(spec.options, where=f"providers.{spec.name}.simulator")
    return SimulatorTransport(options, Cast(options.seed, (loaded.benchmark,), (published(),)))


def _bring_in(run: Opened, answers: Sequence[GivenAnswer]) -> None:
    """Answers from elsewhere become records of this run, once. All are checked before the first."""
    fresh: list[tuple[int, Trial, GivenAnswer]] = []
    for given in answers:
        trial = Trial(kind="answer", question_id=given.question_id, candidates=((given.model, 0),))
        number = run.plan.number(trial)
        if number is None:
            raise ConfigError(
                f"question {given.question_id} is not in benchmark {run.plan.benchmark.name}",
                where=f"{given.path}:{given.line}",
            )
        if run.ledger.state(number) in JUDGEABLE:
            _refuse_other_text(run, number, given)
        elif run.ledger.state(number) == State.PENDING or given.text is not None:
            fresh.append((number, trial, given))
    for _, trial, given in fresh:
        record = _given_record(trial, given)
        place = run.journal.append(record)
        run.ledger.enter(record, place.offset, place.length)


def _given_record(trial: Trial, given: GivenAnswer) -> Answer | Failure:
    if given.text is None:
        return Failure(trial=trial, error="NoAnswer", message="null in the answer file")
    return Answer(
        trial=trial,
        response=Response(text=given.text, simulated=given.simulated),
        origin=given.path,
    )


def _refuse_other_text(run: Opened, number: int, given: GivenAnswer) -> None:
    if run.answer_text(number) != given.text:
        raise ConfigError(
            f"this answer of `{given.model}` differs from the one this run already holds",
            where=f"{given.path}:{given.line}",
            how="judge it in a new run: --fork NAME",
        )


def _planned(plan: Plan, ledger: Ledger, options: Options) -> list[Planned]:
    """Each model's share of this session, and what of it is done already."""
    rows = []
    hopeless = ledger.hopeless()
    for m in options.selection.models:
        numbers = list(plan.answer_numbers([m], options.selection.items))
        if not options.generate:  # what is not there will not come
            numbers = [n for n in numbers if ledger.states[n] > State.FAILED]
        wanted = judgments_wanted(plan, ledger, options, numbers)
        judgments = [j for j in wanted if j not in hopeless]
        rows.append(
            Planned(
                plan.sweep.models[m].name,
                len(numbers),
                len(judgments),
                sum(ledger.states[n] > State.FAILED for n in numbers),
                sum(ledger.states[n] > State.FAILED for n in judgments),
                account=plan.sweep.models[m].provider,
                refused=sum(ledger.states[n] == State.REFUSED for n in numbers),
                unscorable=sum(ledger.states[n] == State.UNSCORABLE for n in judgments),
                score_sum=ledger.score_sum(judgments),
            )
        )
    return rows


def _judges_planned(plan: Plan, ledger: Ledger, options: Options) -> list[JudgePlanned]:
    """Each judge's share of this session, and what of it is done already."""
    chosen = list(plan.answer_numbers(options.selection.models, options.selection.items))
    hopeless = ledger.hopeless()
    wanted, done = Counter[int](), Counter[int]()
    for number in judgments_wanted(plan, ledger, options, chosen):
        if number not in hopeless:
            judge = plan.judge_index(number)
            wanted[judge] += 1
            done[judge] += ledger.states[number] > State.FAILED
    judges = enumerate(plan.sweep.judges)
    return [JudgePlanned(j.name, wanted[i], done[i], j.provider) for i, j in judges if wanted[i]]


# --- working -----------------------------------------------------------------------------------


async def _work_and_show(session: Session, run: Opened, tally: Tally, view: View | None) -> str:
    """Run the session with its console; the reason if the disk ended it."""
    loop = asyncio.get_running_loop()
    board = [session.progress(tally, loop.time())]

    async def publish() -> None:
        while True:
            await asyncio.sleep(PUBLISH_S)
            board[0] = session.progress(tally, loop.time())

    trouble = ""
    async with anyio.create_task_group() as tasks:
        if view is not None:
            tasks.start_soon(publish)
            tasks.start_soon(view, lambda: board[0])
        try:
            await session.run()
            await run.journal.sync()  # the last group counts, too
        except BaseException as error:
            trouble = str(_storage_failure(error))
        board[0] = session.progress(tally, loop.time())
        tasks.cancel_scope.cancel()
    return trouble


def _storage_failure(error: BaseException) -> AlignsweepError:
    """The StorageError in a task group's failure; anything else goes on up."""
    if isinstance(error, BaseExceptionGroup):
        found = error.subgroup(StorageError)
        if found is None or error.split(StorageError)[1] is not None:
            raise error
        return _storage_failure(found.exceptions[0])
    if isinstance(error, StorageError):
        return error
    raise error


def _outcome(
    run: Opened,
    options: Options,
    session: Session,
    tally: Tally,
    trouble: str,
    simulated: bool,
    notes: tuple[str, ...],
) -> Outcome:
    states = run.ledger.states
    hopeless = run.ledger.hopeless()
    chosen = list(run.plan.answer_numbers(options.selection.models, options.selection.items))
    judgments = judgments_wanted(run.plan, run.ledger, options, chosen)
    wanted = chain(chosen if options.generate else (), judgments)
    owed = Counter(states[n] for n in wanted if n not in hopeless)
    failed, pending = owed[State.FAILED], owed[State.PENDING] + owed[State.ACTIVE]
    unanswered = 0 if options.generate else sum(states[a] <= State.FAILED for a in chosen)
    everywhere = sum(states.count(s) for s in (State.PENDING, State.FAILED, State.ACTIVE))
    elsewhere = everywhere - len(hopeless) - pending - failed if options.generate else 0
    loop = asyncio.get_running_loop()
    if session.stopping:
        state: Literal["complete", "partial", "budget", "interrupted"] = "interrupted"
    elif session.broke:
        state = "budget"
    else:
        state = "partial" if pending or failed or trouble else "complete"
    return Outcome(
        state=state,
        progress=session.progress(tally, loop.time()),
        pending=pending,
        failed=failed,
        simulated=simulated,
        stopped=session.stopped,
        notes=notes,
        unanswered=unanswered,
        elsewhere=max(0, elsewhere) if options.judge else 0,
        spent=session.spent,
        broke=session.broke,
        trouble=trouble,
    )
