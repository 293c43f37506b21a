"""A run in a process of its own that ends when a test says: life after life in the same folder.

Each life is a fork of a process that has imported everything, so it costs what the work costs. It does what
a user does: `run`, `report`, `export`, through the command line's own front door, on virtual time against
the embedded simulator. It dies by a real SIGKILL. What it told and sent is counted in shared memory.
"""

from __future__ import annotations

import io
import mmap
import multiprocessing
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cache.journal import replay, scan
from data.schema import Answer, Intent, Judgment, Record, Synced, Trial
from engine.events import AnswerSaved, Event, JudgmentSaved, TrialFailed
from engine.manifest import Manifest, read_manifest
from tests.strikes import Files, Kind, Strike

QUESTIONS = 50
NEEDED = 2 * QUESTIONS
CONCURRENCY = 8
SWEEP = f"""
name = "s"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
concurrency = {CONCURRENCY}
[providers.sim.simulator]
latency_s = 1.0
[[models]]
name = "m"
provider = "sim"
model = "chatglm3-6b"
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
"""
RUN = ("run", "s.toml", "--limit", str(QUESTIONS), "--progress", "none")
COMMANDS = (RUN, ("report", "s", "--format", "csv"), ("export", "s", "--alignbench"))
MEMORY = Path("/dev/shm")
KILLED = -9
Counted = struct.Struct("5q")


@dataclass(frozen=True)
class Life:
    """How one ended: its exit code (-9: killed) and what it counted until then."""

    code: int
    operations: int
    told: int
    """Results that were told as done."""
    sent: int
    resynced: int
    """Syncs of a file after a sync of it had failed."""
    commands: int
    """How many commands came to their end."""
    said: str
    """stdout and stderr."""


class Place:
    """A folder with a sweep file, and everything that happens in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "s.toml").write_text(SWEEP, encoding="utf-8")
        (folder / "runs").mkdir()

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "s"

    @property
    def journal(self) -> Path:
        return self.run / "journal.jsonl"

    def live(
        self, strike: Strike | None = None, commands: Sequence[Sequence[str]] = COMMANDS
    ) -> Life:
        """One life, waited for."""
        with mmap.mmap(-1, mmap.PAGESIZE) as memory:
            pid = os.fork()
            if pid == 0:
                code = 70
                try:
                    code = _child(self, strike, commands, memory)
                finally:
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            counted = Counted.unpack_from(memory)
        said = (self.folder / "said.txt").read_text(encoding="utf-8")
        assert "Traceback" not in said, said
        operations, told, sent, resynced, finished = counted
        code = os.waitstatus_to_exitcode(status)
        return Life(code, operations, told, sent, resynced, finished, said)

    def kinds(self, *commands: Sequence[str], until_sent: bool = False) -> tuple[Kind, ...]:
        """The kind of each operation of a life, or of its part before the first request."""
        told = self.folder / "kinds.txt"
        pid = os.fork()
        if pid == 0:
            try:
                leave_for(self.folder)
                files = Files(self.folder / "runs")
                ends: list[int] = []
                _listen(lambda: None, lambda: ends.append(files.operations))
                with files:
                    for words in commands:
                        ended(words)
                kinds = files.kinds[: ends[0]] if until_sent and ends else files.kinds
                told.write_text("\n".join(kinds), encoding="utf-8")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return tuple(told.read_text(encoding="utf-8").splitlines())  # type: ignore[arg-type]

    def manifest(self) -> Manifest:
        return read_manifest(self.run)

    def records(self) -> list[Record]:
        """The intact lines; only the last may be torn."""
        lines = [record for _, record in scan(self.journal)] if self.journal.exists() else []
        assert None not in lines[:-1]
        return [record for record in lines if record is not None]

    def surviving(self) -> list[Record]:
        """What a reader sees, if there is a journal."""
        return [record for _, record in replay(self.journal)] if self.journal.exists() else []

    def results(self) -> list[Answer | Judgment]:
        return [r for r in self.surviving() if isinstance(r, Answer | Judgment)]

    def copy(self, folder: Path) -> Place:
        """The same in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, symlinks=True)
        twin = Place.__new__(Place)
        twin.folder = folder
        return twin


@contextmanager
def place() -> Iterator[Place]:
    """A fresh one, on a disk of memory where there is one."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="alignsweep-life-", dir=where) as folder:
        yield Place(Path(folder))


def _child(
    own: Place, strike: Strike | None, commands: Sequence[Sequence[str]], memory: mmap.mmap
) -> int:
    """What happens after the fork. Ends with the first code that is not 0."""
    leave_for(own.folder)
    counts = [0] * 5

    def count(index: int, by: int = 1) -> None:
        counts[index] += by
        Counted.pack_into(memory, 0, *counts)

    files = Files(own.folder / "runs", strike, begun=lambda number: count(0))
    _listen(lambda: count(1), lambda: count(2))
    code = 0
    with files:
        for words in commands:
            code = ended(words)
            count(3, files.syncs_after_failure - counts[3])
            if code:
                break
            count(4)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def warm() -> None:
    """Import and build all that a life needs, once for all of them."""
    import typer.main

    import providers.transport  # noqa: F401
    from engine.cli import main as front_door

    front_door.app = typer.main.get_command(front_door.app)  # type: ignore[assignment]
    here, shown = Path.cwd(), (sys.stdout, sys.stderr)
    with place() as own:
        os.chdir(own.folder)
        os.environ["XDG_CACHE_HOME"] = str(own.folder / "home")
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        try:
            for words in COMMANDS:
                assert ended(words) == 0
        finally:
            sys.stdout, sys.stderr = shown
            os.chdir(here)


@cache
def crew() -> ProcessPoolExecutor:
    """Processes that do nothing but fork lives: nothing else runs in them, so forking is safe."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=warm)


def ended(words: Sequence[str]) -> int:
    """The exit code of one command, run in this process."""
    from engine.cli.main import main

    sys.argv = ["alignsweep", *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def leave_for(folder: Path, said: str = "said.txt") -> None:
    """A home of its own, and nobody's terminal."""
    os.chdir(folder)
    for name, below in (("DATA", "data"), ("CACHE", "cache"), ("CONFIG", "config")):
        os.environ[f"XDG_{name}_HOME"] = str(folder / "home" / below)
    os.environ |= {"HOME": str(folder / "home"), "COLUMNS": "160"}
    words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(words, stream)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _listen(told: Callable[[], None], sent: Callable[[], None]) -> None:
    """Count what is told as done, and what goes out."""
    from engine.tally import Tally
    from providers.simulator import SimulatorTransport

    add, send = Tally.add, SimulatorTransport.send

    def heard(tally: Tally, event: Event, now: float) -> None:
        if isinstance(event, AnswerSaved | JudgmentSaved | TrialFailed):
            told()
        add(tally, event, now)

    async def sending(transport: SimulatorTransport, *request: object) -> object:
        sent()
        return await send(transport, *request)  # type: ignore[arg-type]

    Tally.add = heard  # type: ignore[assignment, method-assign]
    SimulatorTransport.send = sending  # type: ignore[assignment, method-assign]


# --- what must hold ----------------------------------------------------------------------------


@cache
def undisturbed() -> tuple[Manifest, tuple[Kind, ...], Life]:
    """The run that nothing happens to: its manifest, and the kind of each of its operations."""
    with place() as own:
        life = own.live()
        assert (life.code, life.sent, life.told) == (0, NEEDED, NEEDED), life
        with place() as other:
            kinds = other.kinds(*COMMANDS)
        assert life.operations == len(kinds)
        return own.manifest(), kinds, life


def nothing_lost(own: Place, told: int) -> int:
    """After a death: all that was told is there, once, and the journal can be read. Results there."""
    results = own.results()
    assert len({r.trial for r in results}) == len(results), "I2 a second record of a trial"
    assert len(results) >= told, f"I1 {told} were told, {len(results)} are there"
    return len(results)


def whole_in_the_end(own: Place, sent: int, lost: int) -> None:
    """The run is complete and the same as the undisturbed one, for `lost` requests more at most."""
    expected, _, _ = undisturbed()
    manifest = own.manifest()
    assert manifest.results_root == expected.results_root, "I13 other results"
    assert manifest.records == NEEDED
    records = own.records()
    done: set[Trial] = set()
    for record in records:
        if isinstance(record, Answer | Judgment):
            assert record.trial not in done, f"I2 a second record: {record.trial}"
            done.add(record.trial)
        elif isinstance(record, Intent):
            assert record.trial not in done, f"I4 asked after it was answered: {record.trial}"
    assert len(done) == NEEDED
    assert isinstance(records[-1], Synced)
    assert sent <= NEEDED + lost, f"I4 {sent} requests, {lost} were in flight"
    names = {path.relative_to(own.run).as_posix() for path in own.run.rglob("*") if path.is_file()}
    assert {"report/report.html", "report/leaderboard.md", *manifest.files} <= names
    litter = [name for name in names if name.endswith((".new", ".part"))]
    assert not litter, f"left behind: {litter}"
