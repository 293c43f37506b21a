"""A run's folder: started, resumed, or only read.

    runs/NAME/
      sweep.toml      the sweep file as it was at the first start
      benchmark.json  the questions as they were, so that a report needs nothing else
      rubrics.json    the rubrics likewise
      journal.jsonl   the truth
      lock            held by the process that works on the run

A resumed sweep may have grown and its limits may differ; what decides results may not (see
`engine/identity.py`). All checks come before the first change to the folder (its lock apart).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from cache.journal import (
    FORMAT,
    Decode,
    Journal,
    Place,
    RunLock,
    intact,
    replay,
    survey,
    sync_folder,
)
from cache.offload import Offload
from data.codec import Undecodable, decode_as, decode_record, encode, read_bytes, sha256
from data.errors import ConfigError, DataError, JournalMismatch, StorageError
from data.outline import decode_outline
from data.schema import (
    Amended,
    Answer,
    Benchmark,
    Failure,
    Header,
    Intent,
    Judgment,
    Record,
    Rubric,
    Settled,
    Struct,
    Sweep,
)
from data.text import printable
from engine.config import Loaded
from engine.escalation import Escalations
from engine.events import Event
from engine.identity import Difference, compare, digest
from engine.plan import Ledger, Plan
from engine.purse import Spent
from engine.recent import Recent

ENGINE = "alignsweep 0.1.0"
OWN_FILES = frozenset(
    f"{name}{suffix}"
    for name in ("lock", "sweep.toml", "benchmark.json", "rubrics.json", "journal")
    for suffix in ("", ".new")
)
"""What a start that was cut short may have left behind."""


class Opened:
    """A run that this process may write to. Close it, whatever happens."""

    def __init__(
        self, folder: Path, lock: RunLock, journal: Journal[Event], plan: Plan, ledger: Ledger
    ) -> None:
        self.folder, self.journal, self.plan, self.ledger = folder, journal, plan, ledger
        self.escalations = Escalations(plan, ledger)
        """To be settled when all that the run begins with is in the ledger."""
        self.notes: list[str] = []
        """What a user may want to know about the resuming."""
        self.spent = Spent()
        """What earlier sessions spent."""
        self.recent = Recent()
        """What they sent lately."""
        self._lock = lock

    def answer_text(self, number: int) -> str:
        """The text of an answer that the journal holds."""
        place = Place(self.ledger.offsets[number], self.ledger.lengths[number])
        line = self.journal.read(place)
        record = decode_record(line) if intact(line[:-1]) else None
        if not isinstance(record, Answer):
            raise DataError("this line was an answer a moment ago", path=str(self.journal.path))
        return record.response.text

    async def aclose(self) -> None:
        try:
            await self.journal.aclose()
        finally:
            self._lock.close()


def open_run(
    folder: Path,
    loaded: Loaded,
    *,
    offload: Offload,
    tell: Callable[[Event], Any],
    wall: Callable[[], float],
) -> Opened:
    """Start the run in `folder`, or resume it.

    Raises RunBusy; JournalMismatch, JournalDamaged and DataError for what lies there already;
    ConfigError for a place that cannot be used; StorageError if writing fails.
    """
    path = folder / "journal.jsonl"
    _make_private(folder)
    lock = RunLock(folder)
    try:
        if path.exists():
            return _resume(folder, path, loaded, lock, offload, tell, wall)
        return _start(folder, path, loaded, lock, offload, tell, wall)
    except BaseException:
        lock.close()
        raise


def _start(
    folder: Path,
    path: Path,
    loaded: Loaded,
    lock: RunLock,
    offload: Offload,
    tell: Callable[[Event], Any],
    wall: Callable[[], float],
) -> Opened:
    _refuse_foreign(folder)
    _refuse_other_sweep(folder / "sweep.toml", loaded)
    _write_private(folder / "sweep.toml", loaded.text)
    _write_private(folder / "benchmark.json", encode(loaded.benchmark))
    _write_private(folder / "rubrics.json", encode(loaded.rubrics))
    plan = Plan(loaded.sweep, loaded.benchmark)
    own = digest(loaded.sweep)
    created = wall()
    header = Header(
        format=FORMAT,
        run_id=sha256(f"{own} {created} {os.getpid()}".encode())[:16],
        digest=own,
        created_s=created,
        engine=ENGINE,
        sweep=loaded.sweep,
    )
    journal: Journal[Event] = Journal.create(path, header, offload, tell)
    return Opened(folder, lock, journal, plan, Ledger(plan))


def _resume(
    folder: Path,
    path: Path,
    loaded: Loaded,
    lock: RunLock,
    offload: Offload,
    tell: Callable[[Event], Any],
    wall: Callable[[], float],
) -> Opened:
    plan = Plan(loaded.sweep, loaded.benchmark)
    ledger = Ledger(plan)
    latest: list[Sweep] = []
    spent, recent = Spent(), Recent(wall())

    def visit(place: Place, record: Record) -> None:
        if isinstance(record, Intent):
            spent.enter(record)
            recent.sent(record)
        elif isinstance(record, Settled):
            spent.enter(record)
            recent.settled(record)
        elif isinstance(record, (Answer, Judgment, Failure)):
            ledger.enter(record, place.offset, place.length)
        elif isinstance(record, Header | Amended):
            if isinstance(record, Header):
                _check_format(record, path)
            latest[:] = [record.sweep]
            recent.accounts(record.sweep)

    found = survey(path, visit, decode=decode_outline)
    difference = compare(latest[0], loaded.sweep)
    _refuse_mismatch(difference, path, loaded)
    journal: Journal[Event] = Journal.reopen(path, found.size, offload, tell, durable=found.durable)
    opened = Opened(folder, lock, journal, plan, ledger)
    spent.close()
    recent.accounts(loaded.sweep)
    recent.close()
    opened.spent, opened.recent = spent, recent
    if found.torn is not None:
        opened.notes.append(
            f"the journal ended in {found.torn.length} torn bytes (a crash); they were cut away"
        )
    changes = (*difference.grown, *difference.other)
    if changes:
        # Before the line that names them: a crash in between loses nothing.
        _write_private(folder / "rubrics.json", encode(loaded.rubrics))
        journal.append(Amended(digest(loaded.sweep), wall(), changes, loaded.sweep))
        opened.notes.append("since the last session: " + "; ".join(changes))
    return opened


def _check_format(header: Header, path: Path) -> None:
    if header.format != FORMAT:
        raise DataError(
            f"this journal has format {header.format}; this engine writes {FORMAT}",
            path=str(path),
            line=1,
            how=f"it was made by {printable(header.engine, 80)}",
        )


def _refuse_other_sweep(path: Path, loaded: Loaded) -> None:
    """A folder without a journal is no run: a sweep file in it is somebody's own, if not this one."""
    if path.exists() and read_bytes(path) != loaded.text:
        raise ConfigError(
            f"{path} is there, but no journal: that file would be overwritten",
            how="choose another folder with --run-dir, or move the file away",
        )


def _refuse_foreign(folder: Path) -> None:
    """A folder with other things in it is no place for a run."""
    others = sorted(path.name for path in folder.iterdir() if path.name not in OWN_FILES)
    if others:
        raise ConfigError(
            f"{folder} is no run and not empty (it holds `{printable(others[0], 80)}`)",
            how="choose another place with --run-dir",
        )


def _refuse_mismatch(difference: Difference, path: Path, loaded: Loaded) -> None:
    if difference.refused:
        changes = "\n    ".join(difference.refused)
        raise JournalMismatch(
            f"{loaded.path} differs from the sweep that started this run:\n    {changes}",
            path=str(path),
            how="undo that, or start a new run that reuses the cached answers: --fork NAME",
        )


# --- reading only ------------------------------------------------------------------------------


class Stored(Struct, frozen=True):
    """A run as it lies on disk."""

    folder: Path
    header: Header
    sweep: Sweep
    """As of the last session."""
    benchmark: Benchmark
    rubrics: dict[str, Rubric]


def check_same(folder: Path, loaded: Loaded) -> None:
    """Raises JournalMismatch if `loaded` may not go on with the run in `folder`. Changes nothing."""
    _refuse_mismatch(
        compare(read_run(folder).sweep, loaded.sweep), folder / "journal.jsonl", loaded
    )


def find_run(name: str) -> Path:
    """A run by its folder, or by its name below ./runs."""
    for folder in (Path(name), Path("runs") / name):
        with contextlib.suppress(OSError):  # such as a name that is too long for any folder
            if (folder / "journal.jsonl").is_file():
                return folder
    raise ConfigError(
        f"no run `{name}`", how=f"looked for {name}/journal.jsonl and runs/{name}/journal.jsonl"
    )


def read_run(folder: Path) -> Stored:
    """What a run is, without taking its lock: it may be at work.

    Raises JournalDamaged, and DataError for another format or a file that is missing.
    """
    path = folder / "journal.jsonl"
    latest: list[Sweep] = []

    def visit(_: Place, record: Record) -> None:
        if isinstance(record, Header):
            _check_format(record, path)
        if isinstance(record, Header | Amended):
            latest[:] = [record.sweep]

    header = survey(path, visit, kinds=("amended",)).header
    benchmark = _decoded(folder / "benchmark.json", Benchmark)
    rubrics = _decoded(folder / "rubrics.json", dict[str, Rubric])
    return Stored(folder, header, latest[0], benchmark, rubrics)


def records(
    folder: Path, *, kinds: Collection[str] = (), decode: Decode = decode_record
) -> Iterator[Record]:
    """The records of a run, in order; `kinds` and `decode` as in `replay`. A torn tail is left out.

    Raises JournalDamaged, as resuming would.
    """
    for _, record in replay(folder / "journal.jsonl", kinds=kinds, decode=decode):
        yield record


def _decoded(path: Path, kind: Any) -> Any:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe holds us for ever
        raise DataError("not a regular file", path=str(path))
    try:
        return decode_as(read_bytes(path), kind)
    except Undecodable as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from None


# --- files -------------------------------------------------------------------------------------


def _make_private(folder: Path) -> None:
    """Answers may be confidential: a new folder is its owner's alone.

    A folder that was there keeps its mode (it may be anybody's); the files in it are private anyway.
    """
    try:
        made = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for new in made:  # else a power cut could take the whole run by its name
            sync_folder(new.parent)
    except OSError as error:
        raise ConfigError(
            f"cannot make the run folder {folder}: {error.strerror}",
            how="choose another place with --run-dir",
        ) from None


def _write_private(path: Path, data: bytes) -> None:
    """The whole file or none of it, durable under its name."""
    unborn = path.with_suffix(path.suffix + ".new")
    try:
        unborn.unlink(missing_ok=True)
        fd = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        unborn.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
