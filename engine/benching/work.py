"""The work of one session of a benchmark: a first call to each target, then block after block.

No figure counts the first calls: they show that keys, addresses and models are right, open the
connections, and say about how long a call takes. Blocks come as `engine/benching/schedule.py` hands them
out; those that an earlier session finished are taken as they are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from cache.journal import Journal
from cache.responses import ResponseCache
from data.schema import Block, Limit, ProviderSpec, Struct, Timing
from engine.benching.arrivals import arrivals
from engine.benching.blocks import BlockRun, Over
from engine.benching.caller import Broken, Caller, Desk, OutOfMoney, Spot
from engine.benching.discovered import known_limits
from engine.benching.enough import Enough
from engine.benching.folder import PREFLIGHT, Benched, Opened
from engine.benching.health import Watch
from engine.benching.prompts import Answers, Prompts, salt_of
from engine.benching.rungs import Rung, rung
from engine.benching.sampling import Deck, stratified
from engine.benching.schedule import Load, Schedule
from engine.benching.settings import Settings
from engine.benching.targets import Target
from engine.benching.till import Till
from engine.budget import Ceiling, Statistics
from engine.client import Client
from engine.config import Loaded
from providers.wire import Transport


class Order(Struct, frozen=True, kw_only=True):
    """What is to be measured, and for how much."""

    loaded: Loaded
    settings: Settings
    targets: tuple[Target, ...]
    answers: Answers
    """Stored answers for the judges to judge."""
    ceiling: Ceiling


class Connected(Struct, frozen=True):
    """What reaches the providers, and how many connections were opened and reused so far."""

    transports: dict[str, Transport]
    counts: Callable[[], tuple[int, int]]


class World(Struct, frozen=True, kw_only=True):
    """What the outside world provides."""

    env: Mapping[str, str]
    now_s: float
    """Seconds since the epoch at the moment of starting."""
    connect: Callable[[list[ProviderSpec], Loaded, int], Connected]
    cpu_s: Callable[[], float] | None = None
    """This process's CPU time; None: nobody watches it (virtual time)."""
    hear: Callable[[Told], None]
    virtual: bool = False
    cache_path: Path | None = None
    """The response cache that answers go into; None: none."""


class BlockBegan(Struct, frozen=True):
    """A block is about to run."""

    target: str
    level: float
    repeat: int
    number: int


class BlockEnded(Struct, frozen=True):
    """A block is over; `rung` is what it alone says."""

    block: Block
    rung: Rung
    spent: Statistics


class Note(Struct, frozen=True):
    """A sentence for whoever watches."""

    text: str


Told: TypeAlias = BlockBegan | BlockEnded | Note | Timing


class Finished(Struct, frozen=True):
    """How a session of a benchmark ended."""

    state: Literal["complete", "money", "time", "broken"]
    ended: dict[str, str]
    """Targets whose ladder ended before its top, and why."""
    spent: Statistics


class Work:
    """One process's work on a benchmark."""

    def __init__(
        self,
        order: Order,
        opened: Opened,
        till: Till,
        desks: dict[str, Desk],
        counts: Callable[[], tuple[int, int]],
        world: World,
        cache: ResponseCache | None = None,
    ) -> None:
        self._settings, self._world, self._till, self._counts = order.settings, world, till, counts
        self._targets = {target.name: target for target in order.targets}
        self._journal: Journal[Timing] = opened.journal
        self._benched: Benched = opened.benched
        self._began = asyncio.get_running_loop().time()
        self._prompts = Prompts(
            order.loaded, order.answers, {name: desk.pool for name, desk in desks.items()}
        )
        self._desks = desks
        self._caller = Caller(
            order.loaded.sweep,
            self._prompts,
            opened.journal,
            Client(opened.journal, None, till, self._wall),  # type: ignore[arg-type]
            till,
            desks,
            random.Random(f"{order.settings.seed} retries"),
            self._heard,
        )
        self._cache = cache
        self.watch = Watch(world.cpu_s)
        self._decks = self._dealt_decks()
        self._guess: dict[str, float] = {}
        self._told_limits: dict[tuple[str, str], tuple[float, str]] = {}
        self._number = self._benched.next_block
        self._running: BlockRun | None = None
        self._collected: list[Timing] = []
        self._wrapped: set[str] = set()

    def _wall(self) -> float:
        return self._world.now_s + asyncio.get_running_loop().time() - self._began

    def _dealt_decks(self) -> dict[str, Deck]:
        """The same order for all targets; what earlier sessions asked is not asked again."""
        questions = self._prompts.questions
        order = stratified(questions, random.Random(f"{self._settings.seed} questions"))
        order = order[: self._settings.limit]
        index_of = {questions[i].id: i for i in order}
        return {
            name: Deck(
                order,
                len(self._settings.levels),
                [index_of[q] for q in self._benched.dealt.get(name, ()) if q in index_of],
            )
            for name in self._targets
        }

    def _heard(self, timing: Timing) -> None:
        """An attempt has ended."""
        self._collected.append(timing)
        if self._running is not None:
            self._running.attempted(timing)
        self._world.hear(timing)

    # --- the whole -----------------------------------------------------------------------------

    async def run(self) -> Finished:
        """Preflight, then block after block."""
        schedule = Schedule(self._settings, list(self._targets))
        done = {(b.target, b.level, b.repeat): (b, timings) for b, timings in self._benched.blocks}
        broken = await self._preflight()
        await self._keep_answers()
        if len(broken) == len(self._targets):
            return Finished("broken", broken, self._till.statistics())
        state: Literal["complete", "money", "time"] = "complete"
        while (load := schedule.next()) is not None:
            level = self._settings.levels[load.rung]
            if load.target in broken:
                schedule.done(load, None)
                continue
            known = done.get((load.target, level, load.repeat))
            if known is not None:
                schedule.done(load, rung([known]))
                continue
            if self._out_of_time():
                state = "time"
                break
            block, one, trouble = await self._block(load, level)
            await self._keep_answers()
            if trouble:
                broken[load.target] = trouble
            schedule.done(load, None if trouble else one)
            if block.why == "money":
                state = "money"
                break
        return Finished(state, {**schedule.ended, **broken}, self._till.statistics())

    def _out_of_time(self) -> bool:
        total = self._settings.total_seconds
        return total is not None and asyncio.get_running_loop().time() - self._began >= total

    async def _preflight(self) -> dict[str, str]:
        """One call to each target. What is wrong with those that cannot be asked."""
        broken = {}
        for target in self._targets.values():
            before = self._benched.preflights.get(target.name)
            if before:
                self._guess[target.name] = before[-1].done_s - before[0].sent_s
                continue
            trouble = await self._try(target)
            if trouble:
                broken[target.name] = trouble
                self._world.hear(Note(f"{target.name}: {trouble}"))
        return broken

    async def _try(self, target: Target) -> str:
        """One call; why this target cannot be measured, or nothing."""
        number, began = self._next_number(), asyncio.get_running_loop().time()
        began_s, self._collected = self._wall(), []
        index, salt = self._deal(target, 0)
        trouble = ""
        try:
            last = await self._caller.call(target, Spot(number, 0, began, 0.0), index, salt)
        except (Broken, OutOfMoney) as error:
            trouble = str(error)
        else:
            if last.end == "failed":
                trouble = f"its first call failed: {last.error}"
            self._guess[target.name] = last.done_s - last.sent_s
        self._journal.append(
            Block(
                number=number,
                target=target.name,
                load="closed",
                level=1,
                began_s=began_s,
                ended_s=asyncio.get_running_loop().time() - began,
                why=PREFLIGHT,
            )
        )
        return trouble

    # --- one block -----------------------------------------------------------------------------

    async def _block(self, load: Load, level: float) -> tuple[Block, Rung, str]:
        target, number = self._targets[load.target], self._next_number()
        settings, loop = self._settings, asyncio.get_running_loop()
        guess = self._guess.get(target.name, 1.0)
        self._running = BlockRun(
            self._caller,
            target,
            number,
            settings.load,
            level,
            Enough(settings, settings.load, level, guess),
            lambda: self._deal(target, load.rung),
            guess,
        )
        self._world.hear(BlockBegan(target.name, level, load.repeat, number))
        self._collected, began_s = [], self._wall()
        before = self._counts()
        self.watch.start(loop.time())
        dice = random.Random(f"{settings.seed} {target.name} {level} {load.repeat}")
        over = await self._running.run(arrivals(settings.load, level, dice))
        health, after = self.watch.stop(loop.time()), self._counts()
        self._running = None
        block = Block(
            number=number,
            target=target.name,
            load=settings.load,
            level=level,
            repeat=load.repeat,
            began_s=began_s,
            window=over.window,
            ended_s=over.ended_s,
            why=over.why,
            lag_p99_s=health.lag_p99_s,
            cpu=health.cpu,
            opened=after[0] - before[0],
            reused=after[1] - before[1],
        )
        return self._kept(target, block, over)

    def _kept(self, target: Target, block: Block, over: Over) -> tuple[Block, Rung, str]:
        self._journal.append(block)
        one = rung([(block, self._collected)])
        if one.latency.mean is not None:
            self._guess[target.name] = one.latency.mean.est
        self._note_limits(target)
        self._world.hear(BlockEnded(block, one, self._till.statistics()))
        return block, one, over.trouble

    async def _keep_answers(self) -> None:
        """Between blocks: what the cache does not know yet goes there, so that a sweep need not buy it."""
        fresh, self._caller.fresh = self._caller.fresh, []
        if self._cache is not None:
            known = await self._cache.get_many([entry.key for entry in fresh])
            for entry in fresh:
                if entry.key not in known:
                    self._cache.put(entry)

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1

    def _deal(self, target: Target, rung_number: int) -> tuple[int, str]:
        """The next question for a target, with salt where it must be new to the provider."""
        deck = self._decks[target.name]
        asked_before = deck.round
        index = deck.deal(rung_number)
        if asked_before and target.name not in self._wrapped:
            self._wrapped.add(target.name)
            self._world.hear(
                Note(f"{target.name}: every question was asked; they come again, salted")
            )
        if self._settings.cache == "natural" and not asked_before:
            return index, ""
        run_id = self._benched.header.run_id
        return index, salt_of(run_id, target.name, index, asked_before)

    def _note_limits(self, target: Target) -> None:
        """What is known by now of the account's limits, where it is news."""
        account = self._caller.desk(target).account
        now = asyncio.get_running_loop().time()
        for name, value, source in known_limits(account.limits, now):
            if self._told_limits.get((account.name, name)) != (value, source):
                self._told_limits[account.name, name] = value, source
                self._journal.append(Limit(account.name, name, value, source, self._wall()))
