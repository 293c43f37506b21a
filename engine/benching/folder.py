"""A benchmark's folder: started, gone on with, or only read.

    runs/NAME-bench-DATE/
      sweep.toml      the sweep file as it was
      journal.jsonl   the truth: header, settings, then intents, settled, timings, blocks
      lock            held by the process that works on it

A block counts when its Block line is there. What a block had sent before a crash or Ctrl-C stays in the
journal and in the bill, is never asked again, and enters no figure: the block is run anew.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from glob import escape
from pathlib import Path
from typing import Any

from cache.journal import FORMAT, Journal, RunLock, replay
from cache.offload import Offload
from data.codec import plain, sha256
from data.errors import ConfigError, DataError, StorageError
from data.schema import (
    Bench,
    Block,
    Header,
    Intent,
    Limit,
    QuestionId,
    Settled,
    Timing,
)
from engine.benching.rungs import Measured, Rung, rung
from engine.benching.settings import Settings, settings_of
from engine.config import Loaded
from engine.identity import digest
from engine.purse import Spent
from engine.rundir import ENGINE

PREFLIGHT = "preflight"
JOURNAL = "journal.jsonl"
Key = tuple[str, str, float]
"""Target, load, level."""


class Benched:
    """What a benchmark's journal holds."""

    def __init__(self, folder: Path, header: Header, settings: Settings) -> None:
        self.folder, self.header, self.settings = folder, header, settings
        self.blocks: list[Measured] = []
        """Those that are over, in order, preflights apart."""
        self.preflights: dict[str, list[Timing]] = {}
        self.lost: list[Timing] = []
        """Of blocks that were cut short."""
        self.limits: list[Limit] = []
        self.dealt: dict[str, list[QuestionId]] = defaultdict(list)
        """Questions that each target was asked, one entry a call."""
        self.spent = Spent()
        self.next_block = 0
        self.size = 0
        """Bytes of the journal to keep."""

    @property
    def simulated(self) -> bool:
        return any(provider.simulated for provider in self.header.sweep.providers)

    def rungs(self) -> list[Rung]:
        """Every load on every target, repeats together; in the sweep's order, levels rising."""
        return [rung(blocks) for blocks in self.measured()]

    def measured(self) -> list[list[Measured]]:
        """The blocks behind each rung, in the same order."""
        groups: dict[Key, list[Measured]] = defaultdict(list)
        for block, timings in self.blocks:
            groups[block.target, block.load, block.level].append((block, timings))
        sweep = self.header.sweep
        order = [f"model:{m.name}" for m in sweep.models] + [
            f"judge:{j.name}" for j in sweep.judges
        ]
        keys = sorted(groups, key=lambda key: (order.index(key[0]), key[1], key[2]))
        return [groups[key] for key in keys]

    def timings(self) -> Iterator[Timing]:
        """All attempts, those of cut blocks and preflights too."""
        for _, timings in self.blocks:
            yield from timings
        for timings in self.preflights.values():
            yield from timings
        yield from self.lost


def read(folder: Path) -> Benched:
    """Raises DataError for a folder that holds no benchmark, JournalDamaged for a damaged one."""
    path = folder / JOURNAL
    found: Benched | None = None
    header: Header | None = None
    going: dict[int, list[Timing]] = defaultdict(list)
    asked: set[tuple[int, int]] = set()
    replaying = replay(path)
    while True:
        try:
            _, record = next(replaying)
        except StopIteration as end:
            if found is not None:
                found.size = end.value.size
            break
        if isinstance(record, Header):
            header = record
        elif isinstance(record, Bench) and header is not None and found is None:
            found = Benched(folder, header, settings_of(record.settings, str(path)))
        elif found is None:
            raise _no_benchmark(path)
        elif isinstance(record, Timing):
            going[record.block].append(record)
            if (record.block, record.call) not in asked:
                asked.add((record.block, record.call))
                found.dealt[record.target].append(record.question_id)
            found.next_block = max(found.next_block, record.block + 1)
        elif isinstance(record, Block):
            _close(found, record, going.pop(record.number, []))
        elif isinstance(record, Limit):
            found.limits.append(record)
        elif isinstance(record, (Intent, Settled)):
            found.spent.enter(record)
    if found is None:
        raise _no_benchmark(path)
    found.lost = [timing for timings in going.values() for timing in timings]
    found.spent.close()
    return found


def _close(found: Benched, block: Block, timings: list[Timing]) -> None:
    found.next_block = max(found.next_block, block.number + 1)
    if block.why == PREFLIGHT:
        found.preflights[block.target] = timings
    else:
        found.blocks.append((block, timings))


def _no_benchmark(path: Path) -> DataError:
    return DataError(
        "this is no benchmark's journal", path=str(path), how="`alignsweep bench run` writes them"
    )


class Opened:
    """A benchmark that this process may add to. Close it, whatever happens."""

    def __init__(self, lock: RunLock, journal: Journal[Timing], benched: Benched) -> None:
        self.journal, self.benched = journal, benched
        self._lock = lock

    async def aclose(self) -> None:
        try:
            await self.journal.aclose()
        finally:
            self._lock.close()


def open_folder(
    folder: Path,
    loaded: Loaded,
    settings: Settings,
    *,
    offload: Offload,
    tell: Callable[[Timing], Any],
    now_s: float,
) -> Opened:
    """Start a benchmark in `folder`, or go on with the one that is there.

    Raises ConfigError if what is there was asked for otherwise; RunBusy; StorageError.
    """
    path = folder / JOURNAL
    if folder.exists() and not path.exists() and any(_foreign(folder)):
        raise ConfigError(
            f"{folder} holds something else", where="--out", how="name a folder of its own"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"cannot make {folder}: {error.strerror}", where="--out") from None
    lock = RunLock(folder)
    try:
        if path.exists():
            return _go_on(folder, loaded, settings, lock, offload, tell)
        return _start(folder, loaded, settings, lock, offload, tell, now_s)
    except BaseException:
        lock.close()
        raise


def _foreign(folder: Path) -> Iterator[str]:
    known = {"lock", "sweep.toml", "journal.new", JOURNAL}
    return (entry.name for entry in folder.iterdir() if entry.name not in known)


def _start(
    folder: Path,
    loaded: Loaded,
    settings: Settings,
    lock: RunLock,
    offload: Offload,
    tell: Callable[[Timing], Any],
    now_s: float,
) -> Opened:
    try:
        (folder / "sweep.toml").write_bytes(loaded.text)
    except OSError as error:
        raise StorageError(f"cannot write in {folder}: {error.strerror}") from None
    own = digest(loaded.sweep)
    header = Header(
        format=FORMAT,
        run_id=sha256(f"bench {own} {now_s} {os.getpid()}".encode())[:16],
        digest=own,
        created_s=now_s,
        engine=ENGINE,
        sweep=loaded.sweep,
    )
    journal: Journal[Timing] = Journal.create(folder / JOURNAL, header, offload, tell)
    journal.append(Bench(settings=plain(settings)))
    return Opened(lock, journal, Benched(folder, header, settings))


def _go_on(
    folder: Path,
    loaded: Loaded,
    settings: Settings,
    lock: RunLock,
    offload: Offload,
    tell: Callable[[Timing], Any],
) -> Opened:
    benched = read(folder)
    before = benched.settings
    if benched.header.digest != digest(loaded.sweep) or before != settings:
        changed = [
            name
            for name in Settings.__struct_fields__
            if getattr(before, name) != getattr(settings, name)
        ]
        what = f"its settings differ ({', '.join(changed)})" if changed else "the sweep differs"
        raise ConfigError(
            f"the benchmark in {folder} is another one: {what}",
            where="--out",
            how="ask for the same again to go on with it, or name another folder",
        )
    journal: Journal[Timing] = Journal.reopen(folder / JOURNAL, benched.size, offload, tell)
    return Opened(lock, journal, benched)


def all_of(runs: Path, name: str) -> list[Path]:
    """All benchmarks of a sweep that lie in a folder of runs, by their names: oldest first."""
    return sorted(path.parent for path in runs.glob(f"{escape(name)}-bench-*/{JOURNAL}"))
