"""What a disk may hold after a power cut, worked out from what a program did to its files.

A `Trace` is every write, sync, truncation, rename and the like in order, and what was told in between. At
any moment of it a power cut leaves one of many states (Pillai et al., OSDI 2014):

- of a file: what its last sync made durable, and of the rest any prefix, with zeros or old bytes in any of
  its sectors, and the new length or an old one
- of names: what the last sync of their folder made durable, and any of the later changes in order up to
  some point, or in order with some of them lost

Nothing that was synced is ever lost: a disk that lies about that is out of scope.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tests.strikes import Operation

SECTOR = 512
FILLS = ("whole", "prefix", "zeros", "sectors", "lost")


@dataclass(frozen=True)
class Told:
    """A result was told as done."""


@dataclass(frozen=True)
class State:
    """One thing that a disk may hold: the bytes of every file by its path from the watched folder."""

    files: dict[str, bytes]
    folders: frozenset[str]
    told: int
    how: str


@dataclass
class _File:
    now: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    touched: set[int] = field(default_factory=set)
    """Sectors that were written since the last sync."""


@dataclass
class Disk:
    """The state of everything after some part of a trace."""

    files: dict[int, _File] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    """Path to file; 0: a folder."""
    durable_names: dict[str, int] = field(default_factory=dict)
    pending: list[Operation] = field(default_factory=list)
    """Changes of names that no sync of their folder has made durable."""
    told: int = 0

    def play(self, step: Operation | Told) -> None:
        """One more step of the trace."""
        if isinstance(step, Told):
            self.told += 1
            return
        match step.kind:
            case "write":
                self._write(self._of(step), step.offset, step.data)
            case "truncate":
                file = self._of(step)
                self._resize(file, step.offset)
            case "sync":
                file = self._of(step)
                file.durable = bytes(file.now)
                file.touched.clear()
            case "sync folder":
                self._sync_folder(step.path)
            case "commit":
                pass
            case _:
                if step.kind == "create":
                    self.files[step.file] = _File()
                elif step.kind == "link":
                    step = replace(step, file=self.names[step.path])
                _rename_in(self.names, step)
                self.pending.append(step)

    def _of(self, step: Operation) -> _File:
        return self.files.setdefault(step.file, _File())

    @staticmethod
    def _write(file: _File, offset: int, data: bytes) -> None:
        if len(file.now) < offset:
            file.now.extend(bytes(offset - len(file.now)))
        file.now[offset : offset + len(data)] = data
        file.touched.update(range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1))

    @staticmethod
    def _resize(file: _File, size: int) -> None:
        del file.now[size:]
        file.now.extend(bytes(max(0, size - len(file.now))))
        file.touched.update(range(size // SECTOR, len(file.durable) // SECTOR + 1))

    def _sync_folder(self, path: str) -> None:
        """All changes of names in that folder are durable."""
        left = []
        for step in self.pending:
            if path in {_parent(step.path), _parent(step.to or step.path)}:
                _rename_in(self.durable_names, step)
            else:
                left.append(step)
        self.pending = left

    # --- what a power cut leaves ---------------------------------------------------------------

    def states(self, dice: random.Random, count: int) -> Iterator[State]:
        """`count` legal states, a third of them plain: nothing more than what is durable, or everything."""
        plain = (("lost", 0.0), ("whole", 1.0), ("zeros", 1.0), ("lost", 1.0), ("whole", 0.0))
        for _ in range(count):
            if dice.random() < 1 / 3:
                fill, share = dice.choice(plain)
                yield self._state(dice, (fill,), share, ordered=True)
            else:
                yield self._state(dice, FILLS, dice.random(), ordered=dice.random() < 0.5)

    def _state(
        self, dice: random.Random, fills: Sequence[str], share: float, *, ordered: bool
    ) -> State:
        names = dict(self.durable_names)
        applied = round(share * len(self.pending))
        kept = self.pending[:applied] if ordered else [
            step for step in self.pending if dice.random() < share
        ]  # fmt: skip
        for step in kept:
            _rename_in(names, step)
        chosen = {file: dice.choice(fills) for file in self.files}
        reachable = {path for path in names if _has_parents(path, names)}
        return State(
            files={
                path: _left(self.files[names[path]], chosen[names[path]], dice)
                for path in sorted(reachable)
                if names[path]
            },
            folders=frozenset(path for path in reachable if not names[path]),
            told=self.told,
            how=f"{len(kept)} of {len(self.pending)} names, {sorted(set(chosen.values()))}",
        )


def _left(file: _File, fill: str, dice: random.Random) -> bytes:
    """What is left of one file."""
    if not file.touched and len(file.now) == len(file.durable):
        return file.durable
    new, old = bytes(file.now), file.durable
    match fill:
        case "whole":
            return new
        case "lost":
            return old
        case "prefix":
            same = _common(old, new)
            return new[: dice.randint(same, len(new))] if len(new) >= same else new
        case "zeros":  # the length is there, the data is not
            found = bytearray(old[: len(new)])
            found.extend(bytes(len(new) - len(found)))
            return bytes(found)
    found = bytearray(new)
    for sector in file.touched:
        if dice.random() < 0.5:
            start, end = sector * SECTOR, min((sector + 1) * SECTOR, len(new))
            before = old[start:end]
            found[start:end] = before + bytes(max(0, end - start - len(before)))
    return bytes(found[: len(new)])


def _common(old: bytes, new: bytes) -> int:
    """Bytes at the front that both have."""
    if new.startswith(old):
        return len(old)
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)


def _rename_in(names: dict[str, int], step: Operation) -> None:
    """One change of a name. One whose own past was lost finds nothing to change."""
    match step.kind:
        case "mkdir":
            names[step.path] = 0
        case "create":
            names[step.path] = step.file
        case "link":
            names[step.to] = step.file
        case "unlink":
            names.pop(step.path, None)
        case "rename":
            if step.path in names:
                names[step.to] = names.pop(step.path)


def _parent(path: str) -> str:
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "/" else parent


def _has_parents(path: str, names: dict[str, int]) -> bool:
    parent = _parent(path)
    return not parent or (names.get(parent) == 0 and _has_parents(parent, names))


def write_out(state: State, root: Path) -> None:
    """Put a state on a real disk."""
    for folder in sorted(state.folders):
        (root / folder[1:]).mkdir(mode=0o700)
    for path, data in state.files.items():
        (root / path[1:]).write_bytes(data)
