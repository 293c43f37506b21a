"""A run's folder: started, resumed, or only read.

    runs/NAME/
      sweep.toml      the sweep file as it was at the first start
      benchmark.json  the questions as they were, so that a report needs nothing else
      rubrics.json    the rubrics likewise
      journal.jsonl   the truth
      lock            held by the process that works on the run

A resumed sweep may have grown and its limits may differ; what decides results may not (see
`engine/identity.py`). All checks come before the first change to the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cache.journal import FORMAT, Journal, Place, RunLock, Survey, scan, survey
from cache.offload import Offload
from data.codec import Undecodable, decode_as, decode_record, encode, read_bytes, sha256
from data.errors import ConfigError, DataError, JournalMismatch
from data.schema import Amended, Answer, Benchmark, Header, Record, Rubric, Struct, Sweep
from engine.config import Loaded
from engine.events import Event
from engine.identity import Difference, compare, digest
from engine.plan import Ledger, Plan

ENGINE = "alignsweep 0.1.0"


class Opened:
    """A run that this process may write to. Close it, whatever happens."""

    def __init__(
        self, folder: Path, lock: RunLock, journal: Journal[Event], plan: Plan, ledger: Ledger
    ) -> None:
        self.folder, self.journal, self.plan, self.ledger = folder, journal, plan, ledger
        self.notes: list[str] = []
        """What a user may want to know about the resuming."""
        self._lock = lock

    def answer_text(self, number: int) -> str:
        """The text of an answer that the journal holds."""
        place = Place(self.ledger.offsets[number], self.ledger.lengths[number])
        record = decode_record(self.journal.read(place))
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
    """Start the run in `folder`, or resume it. Raises RunBusy, JournalMismatch, JournalDamaged."""
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

    def visit(place: Any, record: Record) -> None:
        if isinstance(record, Header | Amended):
            latest[:] = [record.sweep]
        else:
            ledger.enter(record, place.offset, place.length)

    found = survey(path, visit)
    _check_format(found, path)
    difference = compare(latest[0], loaded.sweep)
    _refuse_mismatch(difference, path, loaded)
    journal: Journal[Event] = Journal.reopen(path, found.size, offload, tell)
    opened = Opened(folder, lock, journal, plan, ledger)
    if found.torn is not None:
        opened.notes.append(
            f"the journal ended in {found.torn.length} torn bytes (a crash); they were cut away"
        )
    changes = (*difference.grown, *difference.other)
    if changes:
        journal.append(Amended(digest(loaded.sweep), wall(), changes, loaded.sweep))
        opened.notes.append("since the last session: " + "; ".join(changes))
        if difference.grown:
            _write_private(folder / "rubrics.json", encode(loaded.rubrics))
    return opened


def _check_format(found: Survey, path: Path) -> None:
    if found.header.format != FORMAT:
        raise DataError(
            f"this journal has format {found.header.format}; this engine writes {FORMAT}",
            path=str(path),
            line=1,
            how=f"it was made by {found.header.engine}",
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


def find_run(name: str) -> Path:
    """A run by its folder, or by its name below ./runs."""
    for folder in (Path(name), Path("runs") / name):
        if (folder / "journal.jsonl").is_file():
            return folder
    raise ConfigError(
        f"no run `{name}`", how=f"looked for {name}/journal.jsonl and runs/{name}/journal.jsonl"
    )


def read_run(folder: Path) -> Stored:
    """What a run is, without taking its lock: it may be at work."""
    header: Header | None = None
    sweep: Sweep | None = None
    for _, record in scan(folder / "journal.jsonl"):
        if isinstance(record, Header):
            header = record
        if isinstance(record, Header | Amended):
            sweep = record.sweep
    if header is None or sweep is None:
        raise DataError("this is not a journal of alignsweep", path=str(folder / "journal.jsonl"))
    benchmark = _decoded(folder / "benchmark.json", Benchmark)
    rubrics = _decoded(folder / "rubrics.json", dict[str, Rubric])
    return Stored(folder, header, sweep, benchmark, rubrics)


def records(folder: Path) -> Iterator[Record]:
    """Every good record of a run, in order; the torn tail of a run at work is passed over."""
    for _, record in scan(folder / "journal.jsonl"):
        if record is not None:
            yield record


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return decode_as(read_bytes(path), kind)
    except Undecodable as error:
        raise DataError(f"cannot be read: {error}", path=str(path)) from None


# --- files -------------------------------------------------------------------------------------


def _make_private(folder: Path) -> None:
    """Answers may be confidential: the folder is its owner's alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot make the run folder {folder}: {error.strerror}",
            how="choose another place with --run-dir",
        ) from None


def _write_private(path: Path, data: bytes) -> None:
    """The whole file or none of it."""
    unborn = path.with_suffix(path.suffix + ".new")
    fd = os.open(unborn, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    unborn.rename(path)
