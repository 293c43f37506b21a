"""A day in the life of a run, drawn from a seed: the whole engine, on virtual time, in bad weather.

Somebody starts the sweep several times a day, each time with more questions; between and within the
sessions there are storms at the providers, faults of the disk, kills, power cuts, Ctrl-C, and a wall
clock that is set back and forth. When the day is over the weather is fine, and the sweep must end. After
every session the promises of `tests/promises.py` are checked.

A seed decides everything: `python -m tests.day 42` plays seed 42 again, with `--trace` line by line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import random
import shutil
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from cache.journal import intact
from data import codec
from data.errors import AlignsweepError
from data.schema import ProviderSpec, Record
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import AnswerSaved, Event, JudgmentSaved, TrialFailed
from engine.session import Session
from engine.streams import Options
from providers.simulator import Simulator, sim_options
from providers.virtual import new_loop
from providers.wire import Transport
from tests.disk import Disk, Fault, under_the_journal
from tests.promises import EPOCH_S, Lately, Ledger, check_across, check_end, check_session
from tests.weather import LASTING, PASSING, Exchange, Sky, Spell, Terse

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
QUESTIONS, MODELS = 63, 4
TRIALS = QUESTIONS * MODELS * 2
PATIENCE_S = 30 * DAY_S
"""No session lasts longer, however slow its limits."""
MOST_SESSIONS = 40
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Sitting:
    """How one session is to go. Times count from its start."""

    start_s: float
    questions: int
    wall_s: float = 0.0
    """How far the wall clock is off."""
    ceiling: str = ""
    fault: Fault = ""
    at: int = 0
    """The disk's operation at which it strikes."""
    ends_s: float = 0.0
    ending: str = ""
    """"kill", "power", "ctrl-c" or "abandon", at `ends_s`."""


@dataclass(frozen=True)
class Day:
    """All that happens."""

    seed: int
    sweep: str
    cached: bool
    sittings: tuple[Sitting, ...]
    spells: dict[str, tuple[Spell, ...]]
    faults: float


@dataclass
class Played:
    """One session as it went."""

    sitting: Sitting
    loaded: Loaded
    disk: Disk
    exchanges: list[Exchange] = field(default_factory=list)
    heard: list[tuple[float, Event]] = field(default_factory=list)
    outcome: Outcome | None = None
    session: Session | None = None
    acked: int = 0
    """Results that were told as done."""
    error: str = ""
    """An AlignsweepError instead of an outcome."""
    started_s: float = 0.0
    ended_s: float = 0.0
    records: list[Record] = field(default_factory=list)
    """What this session left in the journal."""

    @property
    def died(self) -> bool:
        return self.disk.dead


@dataclass
class Story:
    """A whole day as it went."""

    trace: str
    """Hex digest of every exchange and event with its time."""
    sessions: int
    trials: int
    requests: int
    hours: float
    fates: dict[str, int]


class Broken(AssertionError):
    """A promise was broken."""


# --- drawing -----------------------------------------------------------------------------------


def drawn(seed: int) -> Day:
    """The day of a seed."""
    dice = random.Random(f"day {seed}")
    providers = [_provider(dice, name) for name in ("p", "q")]
    parties = [f'[[models]]\nname = "m{i}"\nprovider = "{"pqqp"[i]}"' for i in range(MODELS)]
    parties.append(f'[[judges]]\nname = "j"\nprovider = "{dice.choice("pq")}"\nrubric = "general"')
    priced = dice.random() < 0.6
    more = 'price = { input = "1", output = "4" }' if priced else ""
    more += "\nretry_max_tokens = 48" if dice.random() < 0.3 else ""
    top = [
        'name = "day"\nbenchmark = "q.jsonl"',
        f"attempts = {dice.randint(2, 5)}",
        f"deadline_s = {dice.choice((120, 900))}" if dice.random() < 0.2 else "",
        "hedge = true" if dice.random() < 0.3 else "",
    ]
    tables = [
        f'{party}\nmodel = "{party.split(chr(34))[1].replace("j", "judge")}"\nmax_tokens = 24\n{more}'
        for party in parties
    ]
    sittings = _sittings(dice, priced)
    names = ("p", "q", "q#1", "q#2")
    return Day(
        seed,
        "\n".join([*top, *providers, *tables]),
        dice.random() < 0.5,
        sittings,
        {name: _spells(dice, sittings) for name in names},
        dice.choice((0.0, 0.02, 0.1)),
    )


def _provider(dice: random.Random, name: str) -> str:
    """Its limits; what it enforces may be what it says, or less, and it may keep silent about it."""
    rpm = dice.choice((None, 4, 20, 60, 300, 2400))
    limits = {
        "rpm": rpm,
        "tpm": dice.choice((None, None, 3000, 20_000)),
        "rpd": dice.choice((None, None, None, 400)),
    }
    own = {key: value for key, value in limits.items() if value}
    stated = {key: value for key, value in own.items() if dice.random() < 0.8}
    concurrency = dice.randint(1, 24)
    lines = [
        f'[providers.{name}]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true',
        f'cache_identity = "simulated:{name}"\nconcurrency = {concurrency}',
        f"timeout_s = {dice.choice((20, 60, 300))}",
        *(f"{key} = {value}" for key, value in stated.items()),
        f"[providers.{name}.simulator]\nlatency_s = {dice.choice((0.3, 2.0, 9.0))}",
        f'tells = "{dice.choice(("all", "wait", "nothing"))}"',
        *(f"{key} = {value}" for key, value in own.items()),
    ]
    if dice.random() < 0.3:
        lines.append(f"concurrency = {dice.randint(1, concurrency)}")
    if name == "q" and dice.random() < 0.4:
        lines += ["[[providers.q.accounts]]", "[[providers.q.accounts]]", "concurrency = 3"]
    return "\n".join(lines)


def _sittings(dice: random.Random, priced: bool) -> tuple[Sitting, ...]:
    count = dice.randint(5, 8)
    starts = sorted(dice.uniform(0, DAY_S) for _ in range(count - 1))
    found = []
    for number, start_s in enumerate((0.0, *starts)):
        how = dice.random()
        sitting: dict[str, Any] = {}
        if how < 0.45:
            faults: Sequence[Fault] = (
                "full",
                "broken write",
                "broken sync",
                "kill",
                "kill",
                "power",
            )
            sitting |= {"fault": dice.choice(faults), "at": int(10 ** dice.uniform(0, 3))}
        elif how < 0.85:
            ending = dice.choice(("kill", "kill", "power", "ctrl-c", "abandon"))
            sitting |= {"ending": ending, "ends_s": 10 ** dice.uniform(-1, 4)}
        if priced and dice.random() < 0.5:
            sitting["ceiling"] = f"{10 ** dice.uniform(-2.5, 0):.5f}"
        wall_s = dice.choice((0.0, -HOUR_S, DAY_S, -40.0, 1e9)) if dice.random() < 0.4 else 0.0
        questions = min(QUESTIONS, 8 + QUESTIONS * number // count)
        found.append(Sitting(start_s, questions, wall_s, **sitting))
    return tuple(found)


def _spells(dice: random.Random, sittings: Sequence[Sitting]) -> tuple[Spell, ...]:
    """Most of them soon after somebody started."""
    found = []
    for _ in range(dice.randint(3, 16)):
        near = dice.choice(sittings).start_s + 10 ** dice.uniform(-1, 3)
        start_s = near if dice.random() < 0.8 else dice.uniform(0, DAY_S)
        lasts = dice.random() < 0.15
        kind = dice.choice(LASTING if lasts else PASSING)
        end_s = min(start_s + 10 ** dice.uniform(1 if lasts else -0.5, 3), DAY_S)
        found.append(Spell(start_s, end_s, kind, dice.choice((1.0, 1.0, 0.5, 0.1))))
    return tuple(sorted(found, key=lambda spell: spell.start_s))


def write_questions(folder: Path) -> None:
    """The benchmark. Some ask the same: their trials share a call where there is a cache."""
    rows = (
        {"question_id": n, "category": "c", "subcategory": "s", "question": f"why {n % 57}?"}
        for n in range(1, QUESTIONS + 1)
    )
    text = b"".join(codec.encode({**row, "reference": "so"}) + b"\n" for row in rows)
    (folder / "q.jsonl").write_bytes(text)


# --- playing -----------------------------------------------------------------------------------


class World:
    """What outlives a session: providers, files, and what has been promised so far."""

    def __init__(self, day: Day, folder: Path, show: bool) -> None:
        self.day, self.folder, self.show = day, folder, show
        self.skies: dict[str, Sky] = {}
        self.ledger = Ledger()
        self.lately = Lately()
        self.now_s = 0.0
        self.hash = hashlib.blake2b(digest_size=16)
        self.lines: list[str] = []
        self.requests = self.sessions = 0
        self.kept = b""
        """The lines of the journal that no later session may lose."""
        write_questions(folder)

    @property
    def journal(self) -> Path:
        return self.folder / "run" / "journal.jsonl"

    def note(self, line: str) -> None:
        """One more line of the trace."""
        self.hash.update(line.encode())
        if self.show:
            print(line)

    def play(self, sitting: Sitting) -> Played:
        """One session and the check of all promises after it. Raises Broken."""
        self.sessions += 1
        self.now_s = max(self.now_s, sitting.start_s)
        self.note(f"--- session {self.sessions} at {self.now_s!r}: {sitting}")
        dice = random.Random(f"disk {self.day.seed} {self.sessions}")
        played = Played(sitting, self._loaded(sitting), Disk(dice, sitting.fault, sitting.at))
        played.started_s = self.now_s
        self._run(played)
        self.now_s = played.ended_s
        self._settle_disk(played)
        for one in sorted(played.exchanges, key=lambda one: (one.at_s, one.account, one.body)):
            if one.fate == "given up":  # whom a dying task group cancels first is nobody's promise
                self.note(f"{one.at_s!r} {one.account} {one.body.hex()} {one.fate}")
        end = played.outcome.state if played.outcome else played.error or "died"
        end = end.replace(str(self.folder), "")
        self.note(f"--- ended at {played.ended_s!r}: {end}, journal of {len(self.kept)} bytes")
        if (
            not self.journal.exists()
        ):  # the start itself failed; the user makes room and begins anew
            shutil.rmtree(self.folder / "run", ignore_errors=True)
        check_session(played, self.ledger)
        check_across(played, self.lately)
        self.requests += len(played.exchanges)
        return played

    def _loaded(self, sitting: Sitting) -> Loaded:
        text = self.day.sweep
        if sitting.ceiling:
            text += f'\n[budget]\ntotal = "{sitting.ceiling}"\n'
        (self.folder / "s.toml").write_text(text, encoding="utf-8")
        return load(self.folder / "s.toml", home=self.folder / "home")

    def _transports(self, specs: Sequence[ProviderSpec], played: Played) -> dict[str, Transport]:
        for spec in specs:
            if spec.name not in self.skies:
                options = sim_options(spec.options, where=spec.name)
                spells = self.day.spells.get(spec.name, ())
                dice = random.Random(f"sky {self.day.seed} {spec.name}")
                simulator = Simulator(options, Terse())
                self.skies[spec.name] = Sky(spec.name, simulator, spells, self.day.faults, dice)
            sky = self.skies[spec.name]
            if played.started_s >= DAY_S:
                sky.faults = 0.0
            sky.began = lambda one: self._began(one, played)
            sky.ended = lambda one: self._ended(one, played)
        return {spec.name: self.skies[spec.name] for spec in specs}

    def _began(self, one: Exchange, played: Played) -> None:
        if played.died:
            raise asyncio.CancelledError
        played.exchanges.append(one)
        assert played.session is not None
        if played.session.stopping:
            raise Broken(f"I6 sent after the session was told to stop: {one}")
        total = played.session.spent.total
        if total.limit is not None and total.booked + total.reserved > total.limit:
            raise Broken(f"ceiling: {total}")

    def _ended(self, one: Exchange, played: Played) -> None:
        if not played.died and one.fate != "given up":
            self.note(f"{one.at_s!r} {one.account} {one.body.hex()} {one.fate} {one.ended_s!r}")

    def _hear(self, event: Event, played: Played) -> None:
        if played.died:
            return
        now = asyncio.get_running_loop().time()
        played.heard.append((now, event))
        self.note(f"{now!r} {event}".replace(str(self.folder), ""))
        played.acked += isinstance(event, AnswerSaved | JudgmentSaved | TrialFailed)
        if played.acked > played.disk.results_synced:
            raise Broken(f"I1 acknowledged before it was durable: {event}")

    def _run(self, played: Played) -> None:
        sitting, disk = played.sitting, played.disk
        cache = self.folder / "cache.sqlite" if self.day.cached else None
        tasks: list[asyncio.Task[Any]] = []

        def started(session: Session) -> None:
            played.session = session
            loop = asyncio.get_running_loop()
            match sitting.ending:
                case "kill" | "power":
                    loop.call_later(sitting.ends_s, disk.die)
                case "ctrl-c":
                    stop = lambda: tasks.append(loop.create_task(session.stop(10.0)))  # noqa: E731
                    loop.call_later(sitting.ends_s, stop)
                case "abandon":
                    loop.call_later(sitting.ends_s, session.abandon)

        outside = Outside(
            {},
            cache,
            EPOCH_S + self.now_s + sitting.wall_s,
            None,
            started,
            lambda specs, loaded: self._transports(specs, played),
            hear=lambda event: self._hear(event, played),
        )
        selection = select(played.loaded, limit=sitting.questions)
        options = Options(folder=self.folder / "run", selection=selection)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            task = loop.create_task(conduct(played.loaded, options, outside))
            disk.died = lambda: self._death(task)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task], timeout=PATIENCE_S)
            if not task.done():
                task.cancel()
                raise Broken("I8 the session never ends")
            played.ended_s = loop.time()
            _taken(task, played)

        options_of_loop = {"loop_factory": lambda: new_loop(self.now_s)}
        with under_the_journal(disk):
            anyio.run(main, backend="asyncio", backend_options=options_of_loop)

    def _death(self, task: asyncio.Task[Any]) -> None:
        """The cache's file stays as it is at this moment."""
        for path in self.folder.glob("cache.sqlite*"):
            shutil.copyfile(path, self.folder / f"at death {path.name}")
        task.cancel()

    def _settle_disk(self, played: Played) -> None:
        """What the next process finds; and what this one left in the journal, line by line."""
        disk, before = played.disk, len(self.kept)
        if disk.dead:
            for path in self.folder.glob("cache.sqlite*"):
                path.unlink()
            for path in self.folder.glob("at death *"):
                path.rename(self.folder / path.name.removeprefix("at death "))
            power = "power" in (played.sitting.ending, played.sitting.fault)
            disk.leave(self.journal, power)
        if not self.journal.exists():
            return
        data = self.journal.read_bytes()
        if not data.startswith(self.kept):
            raise Broken("I3 a resumed session changed lines that were whole")
        kept = bytearray(self.kept)
        for line in data[before:].split(b"\n")[:-1]:
            if not intact(line):
                break
            kept += line + b"\n"
            played.records.append(codec.decode_record(line))
        if len(kept) < disk.synced:
            raise Broken("I1 durable lines were lost")
        self.kept = bytes(kept)


def _taken(task: asyncio.Task[Outcome], played: Played) -> None:
    """The outcome, or why there is none. A death takes every other error with it."""
    if task.cancelled():
        if not played.died:
            raise Broken("the session was cancelled by nobody")
        return
    error = task.exception()
    if played.died:
        return
    if error is None:
        played.outcome = task.result()
    elif isinstance(error, AlignsweepError):
        played.error = f"{type(error).__name__}: {error}"
    else:
        raise error


def play(day: Day, *, show: bool = False) -> Story:
    """The day and its end. Raises Broken, or whatever else went wrong."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="alignsweep-day-", dir=where) as scratch:
        world = World(day, Path(scratch), show)
        for sitting in day.sittings:
            world.play(sitting)
        last = world.play(Sitting(max(DAY_S, world.now_s), QUESTIONS))
        while last.outcome is None or last.outcome.state != "complete":
            if world.sessions > MOST_SESSIONS:
                raise Broken(f"I8 it never ends: {last.outcome or last.error}")
            last = world.play(Sitting(world.now_s + 6 * HOUR_S, QUESTIONS))
        check_end(last, world.ledger)
        fates: dict[str, int] = {}
        for one in (one for sky in world.skies.values() for one in sky.log):
            fates[one.fate] = fates.get(one.fate, 0) + 1
        return Story(
            trace=world.hash.hexdigest(),
            sessions=world.sessions,
            trials=len(world.ledger.final),
            requests=world.requests,
            hours=world.now_s / HOUR_S,
            fates=fates,
        )


def failing(seed: int) -> str:
    """Empty: the seed's day keeps every promise. Else what broke, and how to see it again."""
    try:
        play(drawn(seed))
    except Exception as error:  # whatever it is, it is a finding
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        said = "".join(traceback.format_exception_only(error)).strip()
        return f"seed {seed}: {said}\n  see it again: python -m tests.day {seed} --trace"
    return ""


def main() -> None:
    """Play seeds by hand."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("seeds", type=int, nargs="+")
    flags.add_argument("--trace", action="store_true", help="every exchange and event")
    given = flags.parse_args()
    for seed in given.seeds:
        day = drawn(seed)
        if given.trace:
            print(day.sweep, *day.sittings, sep="\n")
        print(seed, play(day, show=given.trace))


if __name__ == "__main__":
    main()
