"""What a program does to its files, call by call: counted, struck at any of them, or written down.

`Files` stands in for the calls of `os` and `open` while it is entered, for paths below one folder. Every
call that changes a file or makes it durable is an *operation*, numbered from 1; a commit of the response
cache is one, too (what SQLite does below that is SQLite's to prove). A `Strike` makes the process die at
one operation, before it, after it or in the middle of a write, or lets the call fail as a disk does.
Needs Linux: descriptors are named by /proc.
"""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pytest

from cache import journal, responses

Kind = Literal[
    "write", "truncate", "sync", "sync folder", "create", "rename", "link", "unlink", "mkdir",
    "commit",
]  # fmt: skip
How = Literal["before", "after", "first byte", "middle", "last byte", "error"]
TORN: tuple[How, ...] = ("first byte", "middle", "last byte")
WRITING = set("wax+")


@dataclass(frozen=True)
class Strike:
    """Where it strikes, and how. An error is met by every later operation of its kind, if it `lasts`."""

    at: int
    how: How
    error: int = 0
    lasts: bool = False


@dataclass(frozen=True)
class Operation:
    """One call that was made. `path` is below the watched folder; `file` outlives renames."""

    kind: Kind
    path: str
    file: int = 0
    offset: int = 0
    data: bytes = b""
    to: str = ""


@dataclass
class Files:
    """The calls that are watched below `root`. Enter it; `done` is told every operation after it."""

    root: Path
    strike: Strike | None = None
    done: Callable[[Operation], None] = lambda operation: None
    begun: Callable[[int], None] = lambda number: None
    die: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)
    operations: int = 0
    kinds: list[Kind] = field(default_factory=list)
    failed: Operation | None = None
    syncs_after_failure: int = 0
    """How often a file was synced again after a sync of it had failed."""
    known: dict[tuple[int, int], int] = field(default_factory=dict)
    """Device and inode to the number of a file."""
    _patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)

    def __enter__(self) -> Files:
        self._real = {name: getattr(os, name) for name in _PATCHED}
        self._real_open = io.open
        for name, made in _PATCHED.items():
            self._patch.setattr(os, name, made(self))
        self._patch.setattr(io, "open", self._open_file)
        self._patch.setattr(journal, "_fdatasync", lambda fd: self._sync("fdatasync", fd))
        commit = responses.ResponseStore.put_many

        def put_many(store: Any, entries: Sequence[Any], now_s: float) -> None:
            self._do(Operation("commit", "cache"), lambda: commit(store, entries, now_s))

        self._patch.setattr(responses.ResponseStore, "put_many", put_many)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patch.undo()

    # --- the calls -----------------------------------------------------------------------------

    def _below(self, path: str | os.PathLike[str]) -> str | None:
        """The path from the watched folder, if it is in there."""
        whole = os.path.normpath(os.path.join(Path.cwd(), os.fspath(path)))  # noqa: PTH118
        return whole[len(str(self.root)) :] if whole.startswith(str(self.root)) else None

    def _name(self, fd: int) -> str | None:
        return self._below(self._real["readlink"](f"/proc/self/fd/{fd}"))

    def _file(self, fd: int, *, new: bool = False) -> int:
        """A number for the file itself: an inode's number comes back after an unlink, this does not."""
        found = os.fstat(fd)
        at = (found.st_dev, found.st_ino)
        if new or at not in self.known:
            self.known[at] = max(self.known.values(), default=0) + 1
        return self.known[at]

    def _write(self, fd: int, data: bytes, offset: int | None = None) -> int:
        path = self._name(fd)
        call = self._real["write"] if offset is None else self._real["pwrite"]
        rest = () if offset is None else (offset,)
        if path is None:
            return int(call(fd, data, *rest))
        at = offset if offset is not None else os.lseek(fd, 0, os.SEEK_CUR)
        if offset is None and _appends(fd):
            at = os.fstat(fd).st_size
        operation = Operation("write", path, self._file(fd), at, bytes(data))
        return int(
            self._do(
                operation,
                lambda: call(fd, data, *rest),
                lambda length: call(fd, bytes(data)[:length], *rest),
            )
        )

    def _truncate(self, fd: int, size: int) -> None:
        path = self._name(fd)
        if path is None:
            return self._real["ftruncate"](fd, size)  # type: ignore[no-any-return]
        operation = Operation("truncate", path, self._file(fd), size)
        return self._do(operation, lambda: self._real["ftruncate"](fd, size))  # type: ignore[no-any-return]

    def _sync(self, how: str, fd: int) -> None:
        path = self._name(fd)
        if path is None:
            self._real[how](fd)
            return
        folder = os.path.isdir(f"/proc/self/fd/{fd}")  # noqa: PTH112
        operation = Operation(
            "sync folder" if folder else "sync", path, 0 if folder else self._file(fd)
        )
        if self.failed is not None and (self.failed.kind, self.failed.path) == (
            operation.kind,
            path,
        ):
            self.syncs_after_failure += 1
        self._do(operation, lambda: self._real[how](fd))

    def _open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        below = None if isinstance(path, int) or more else self._below(path)
        if below is None or flags & os.O_ACCMODE == os.O_RDONLY:
            return int(self._real["open"](path, flags, mode, **more))
        there = os.path.lexists(path)
        if there and not flags & os.O_TRUNC:
            return int(self._real["open"](path, flags, mode))
        opened: list[int] = []
        kind: Kind = "truncate" if there else "create"

        def do() -> int:
            opened.append(self._real["open"](path, flags, mode))
            return opened[0]

        def named() -> Operation:
            return Operation(kind, below, self._file(opened[0], new=not there))

        return int(self._do(Operation(kind, below), do, named=named))

    def _open_file(self, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        """`open` for writing goes through `write` above; for reading it stays what it is."""
        if not WRITING & set(mode):
            return self._real_open(file, mode, *rest, **more)
        if not isinstance(file, int) and self._below(file) is None:
            return self._real_open(file, mode, *rest, **more)
        raw = _Raw(
            file, mode.replace("b", ""), opener=lambda path, flags: os.open(path, flags, 0o666)
        )
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")

    def _moved(self, kind: Kind, call: str, source: Any, target: Any) -> Any:
        below, to = self._below(source), self._below(target)
        if below is None or to is None:
            return self._real[call](source, target)
        return self._do(Operation(kind, below, to=to), lambda: self._real[call](source, target))

    def _named(self, kind: Kind, call: str, path: Any, *rest: Any, **more: Any) -> Any:
        below = self._below(path)
        if below is None or (kind == "unlink") != os.path.lexists(path):
            return self._real[call](path, *rest, **more)
        return self._do(Operation(kind, below), lambda: self._real[call](path, *rest, **more))

    # --- an operation --------------------------------------------------------------------------

    def _do(
        self,
        operation: Operation,
        call: Callable[[], Any],
        part: Callable[[int], Any] | None = None,
        named: Callable[[], Operation] | None = None,
    ) -> Any:
        self.operations += 1
        self.kinds.append(operation.kind)
        self.begun(self.operations)
        how = self._struck(operation)
        if how == "before":
            self.die()
        elif how in TORN:
            if part is not None and len(operation.data) > 1:
                size = len(operation.data)
                part({"first byte": 1, "middle": size // 2, "last byte": size - 1}[how])
            self.die()
        elif how == "error":
            assert self.strike is not None
            if self.failed is None:
                self.failed = operation
                if part is not None and self.strike.error in (errno.ENOSPC, errno.EDQUOT):
                    return part(len(operation.data) // 2)  # a full disk first takes what it can
            raise OSError(self.strike.error, os.strerror(self.strike.error))
        result = call()
        self.done(named() if named is not None else operation)
        if how == "after":
            self.die()
        return result

    def _struck(self, operation: Operation) -> How | None:
        strike = self.strike
        if strike is None or self.operations < strike.at:
            return None
        if self.operations == strike.at:
            return strike.how
        same = self.failed is not None and self.failed.kind == operation.kind
        return "error" if strike.lasts and same else None


class _Raw(io.FileIO):
    """A file whose writes go through `os.write`, and so through whatever stands there."""

    def write(self, data: Any) -> int:
        return os.write(self.fileno(), data)


def _appends(fd: int) -> bool:
    import fcntl

    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)


_PATCHED: dict[str, Callable[[Files], Callable[..., Any]]] = {
    "write": lambda f: f._write,
    "pwrite": lambda f: f._write,
    "ftruncate": lambda f: f._truncate,
    "fsync": lambda f: lambda fd: f._sync("fsync", fd),
    "fdatasync": lambda f: lambda fd: f._sync("fdatasync", fd),
    "open": lambda f: f._open,
    "rename": lambda f: lambda a, b: f._moved("rename", "rename", a, b),
    "replace": lambda f: lambda a, b: f._moved("rename", "replace", a, b),
    "link": lambda f: lambda a, b, **more: f._moved("link", "link", a, b),
    "unlink": lambda f: lambda p, **more: f._named("unlink", "unlink", p, **more),
    "mkdir": lambda f: lambda p, *a, **more: f._named("mkdir", "mkdir", p, *a, **more),
    "readlink": lambda f: f._real["readlink"],
}
