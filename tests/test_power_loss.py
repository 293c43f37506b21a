"""Power cuts: every state that the disk may legally hold afterwards is opened, and nothing told is lost.

One run is written down call by call (two sessions, the second with one more judge, reports, an export);
`tests/power.py` says what a cut at any moment may leave. `make torture` looks at more than 10,000 states.
"""

from __future__ import annotations

import asyncio
import errno
import io
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from cache.journal import Journal, replay, survey
from cache.offload import Inline
from data.errors import AlignsweepError, StorageError
from data.schema import Answer, Header, Judgment, Response, Trial
from engine.config import Loaded, load
from engine.events import AnswerSaved, Event, JudgmentSaved
from engine.rundir import open_run, read_run
from engine.tally import Tally
from tests.lives import MEMORY, RUN, SWEEP, ended
from tests.power import Disk, State, Told, write_out
from tests.strikes import Files, Operation, Strike

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")
QUESTIONS = 20
JUDGE = '[[judges]]\nname = "k"\nprovider = "sim"\nmodel = "gpt-4-0613"\nrubric = "general"\n'
WORDS = (*RUN[:3], str(QUESTIONS), *RUN[4:])
REPORTS = (("report", "s", "--format", "html"), ("export", "s", "--alignbench"))


class Scene:
    """A run as it was written down, and the sweeps that can go on with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trace: list[Operation | Told] = []
        self.sweeps: list[Loaded] = []
        self.known: dict[tuple[int, int], int] = {}
        """The numbers of files, which both sessions see."""
        self.whole: dict[str, set[bytes]] = {}
        """Every content that a file once had under its own name when all was done."""
        (folder / "runs").mkdir()
        for text in (SWEEP, SWEEP + JUDGE):
            (folder / "s.toml").write_text(text, encoding="utf-8")
            self.sweeps.append(load(folder / "s.toml", home=folder / "home"))
            self._play((WORDS, *REPORTS))
        self.lines = self.results(folder / "runs" / "s" / "journal.jsonl")

    def _play(self, commands: tuple[tuple[str, ...], ...]) -> None:
        add = Tally.add

        def heard(tally: Tally, event: Event, now: float) -> None:
            if isinstance(event, AnswerSaved | JudgmentSaved):
                self.trace.append(Told())
            add(tally, event, now)

        files = Files(self.folder / "runs", done=self.trace.append, known=self.known)
        quiet = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as own, chdir(self.folder):
            own.setattr(Tally, "add", heard)
            own.setenv("XDG_CACHE_HOME", str(self.folder / "home"))
            with redirect_stdout(next(quiet)), redirect_stderr(next(quiet)), files:
                for words in commands:
                    assert ended(words) == 0, words
        for path in (self.folder / "runs").rglob("*"):
            if path.is_file():
                name = str(path)[len(str(self.folder / "runs")) :]
                self.whole.setdefault(name, set()).add(path.read_bytes())

    @staticmethod
    def results(path: Path) -> list[Answer | Judgment]:
        return [r for _, r in replay(path) if isinstance(r, Answer | Judgment)]

    def moments(self) -> Iterator[tuple[int, Disk]]:
        """The disk after each step."""
        disk = Disk()
        for number, step in enumerate(self.trace):
            disk.play(step)
            yield number, disk


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="alignsweep-power-", dir=where) as folder:
        yield Scene(Path(folder))


def check(scene: Scene, state: State, root: Path, *, second: bool) -> None:
    """Whoever comes home after the power cut finds all that was told, and can go on. Twice."""
    write_out(state, root)
    run = root / "s"
    journal = run / "journal.jsonl"
    assert journal.exists() or state.told == 0, "I1 the journal's name was lost"
    before = scene.results(journal) if journal.exists() else []
    assert before == scene.lines[: len(before)], "I3 other results than were written"
    assert len(before) >= state.told, f"I1 {state.told} were told, {len(before)} are there"
    for path, data in state.files.items():
        if path.startswith(("/s/report/", "/s/export/")) and "/." not in path:
            assert data in scene.whole[path], f"{path} is neither the old nor the new one"
    if journal.exists():
        stored = read_run(run)
        assert stored.benchmark.questions == scene.sweeps[0].benchmark.questions
        missing = {judge.rubric for judge in stored.sweep.judges} - stored.rubrics.keys()
        assert not missing, f"no rubric for a judge of the sweep: {missing}"
    for _ in range(2):
        opened = open_run(
            run, scene.sweeps[second], offload=Inline(), tell=lambda event: None, wall=lambda: 1.0
        )
        asyncio.run(opened.aclose())
        assert scene.results(journal) == before, "recovery changed what there was"


def look(scene: Scene, often: int) -> int:
    """After each step so many states, and three times as many where names are undecided."""
    dice, seen = random.Random(often), 0
    second_from = _second_session(scene)
    root = Path(tempfile.mkdtemp(dir=scene.folder))
    for number, disk in scene.moments():
        for state in disk.states(dice, often * (3 if disk.pending else 1)):
            try:
                check(scene, state, root, second=number >= second_from)
            except (AssertionError, AlignsweepError) as error:
                step = str(scene.trace[number])[:100]
                pytest.fail(f"step {number} {step}: {state.how}: {error!r}"[:600])
            seen += 1
            for entry in root.iterdir():
                shutil.rmtree(entry)
    root.rmdir()
    return seen


def _second_session(scene: Scene) -> int:
    """The step at which the second session takes the lock."""
    locks = [
        n
        for n, s in enumerate(scene.trace)
        if isinstance(s, Operation) and s.path == "/s/lock" and s.kind == "truncate"
    ]
    return locks[1]


def test_what_was_told_survives_hundreds_of_power_cuts(scene: Scene) -> None:
    """At least 500 states; one after each step, more where names are undecided."""
    seen = look(scene, 1)
    print(f"\n{seen} states after power cuts, of {len(scene.trace)} steps")
    assert seen >= 500


@pytest.mark.torture
def test_what_was_told_survives_ten_thousand_power_cuts(scene: Scene) -> None:
    """The same with 16 times as many states after each step."""
    seen = look(scene, 16)
    print(f"\n{seen} states after power cuts, of {len(scene.trace)} steps")
    assert seen >= 10_000


# --- after an fdatasync that failed ------------------------------------------------------------


def test_what_a_failed_fdatasync_left_undone_is_done_by_the_next_session(tmp_path: Path) -> None:
    """Linux takes the pages of a failed fdatasync for clean, and the next one says yes to nothing.

    So whoever resumes writes them again. Here the power fails after the second session's own sync.
    """
    path = tmp_path / "journal.jsonl"
    sweep = load_sweep(tmp_path).sweep
    header = Header(format=1, run_id="r", digest="d", created_s=1.0, engine="e", sweep=sweep)
    trace: list[Operation | None] = []
    told: list[int] = []

    def answer(number: int) -> Answer:
        trial = Trial(kind="answer", question_id=number, candidates=(("m", 0),))
        return Answer(trial=trial, response=Response(text="x" * 2000))

    async def main() -> None:
        with Files(tmp_path, Strike(7, "error", errno.EIO), done=trace.append) as files:
            journal = Journal[int].create(path, header, Inline(), told.append)
            journal.append(answer(1), told=1)
            with pytest.raises(StorageError, match="fdatasync"):
                await journal.sync()
            trace.append(None)
            await journal.aclose()
            assert (files.syncs_after_failure, told) == (0, [])
            found = survey(path, lambda place, record: None)
            again = Journal[int].reopen(
                path, found.size, Inline(), told.append, durable=found.durable
            )
            again.append(answer(2), told=2)
            await again.sync()
            await again.aclose()

    asyncio.run(main())
    path.write_bytes(_durable(trace))
    assert told == [2]
    assert [r.trial.question_id for r in Scene.results(path)] == [1, 2]


def load_sweep(folder: Path) -> Loaded:
    (folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    return load(folder / "s.toml", home=folder)


def _durable(trace: list[Operation | None]) -> bytes:
    """What the disk holds of the journal, page by page; None in the trace: a sync failed."""
    now, disk, dirty = bytearray(), bytearray(), set[int]()
    for step in trace:
        if step is None:
            dirty.clear()
        elif step.kind == "write":
            now[step.offset : step.offset + len(step.data)] = step.data
            dirty |= set(range(step.offset, step.offset + len(step.data)))
        elif step.kind == "sync":
            disk.extend(bytes(len(now) - len(disk)))
            for at in dirty:
                disk[at] = now[at]
            dirty.clear()
    return bytes(disk)
