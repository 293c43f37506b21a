"""The disk below a journal, with faults: what the journal calls of `os` goes through here.

Faults come at the n-th operation (write or fdatasync), so every one can be reached. A death ends the
process as far as the disk is concerned: whatever the dying program still does leaves no trace. What is
on the disk then is all that was written and, if the power failed, perhaps less: anything from what
fdatasync promised upward, with zeros or garbage behind it.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from cache import journal

Fault = Literal["", "full", "broken write", "broken sync", "kill", "power"]
RESULTS = tuple(b'{"kind":"%s"' % kind for kind in (b"answer", b"judgment", b"failure"))


class Death(BaseException):
    """The process is no more."""


class Disk:
    """`os` for `cache.journal`. `fault` strikes at the `at`-th operation, counted from 1 (0: never)."""

    def __init__(self, dice: random.Random, fault: Fault = "", at: int = 0) -> None:
        self._dice, self._fault, self._at = dice, fault, at
        self.operations = 0
        self.dead = False
        self.died: Callable[[], None] = lambda: None
        self.size = self.synced = 0
        """Bytes of the journal, and how many of them are durable."""
        self.results = self.results_synced = 0
        """Result lines written in this session, and how many of them are durable."""
        self.failed = False
        """A fault was handed to the program."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        if path.name.startswith("journal"):
            self.size = self.synced = os.fstat(fd).st_size  # hours later, all of it is durable
        return fd

    def write(self, fd: int, data: bytes) -> int:
        if self.dead:
            return len(data)
        if self._strikes("full", "broken write", "kill", "power"):
            part = self._dice.randrange(len(data)) if self._fault != "broken write" else 0
            if part:
                self.size += os.write(fd, data[:part])
            if self._fault in ("kill", "power"):
                self.die()
                raise Death
            self.failed = True
            if self._fault == "full" and part:
                return part
            raise OSError(errno.ENOSPC if self._fault == "full" else errno.EIO, "no room")
        written = os.write(fd, data)
        self.size += written
        self.results += sum(line.startswith(RESULTS) for line in data.split(b"\n"))
        return written

    def ftruncate(self, fd: int, size: int) -> None:
        if not self.dead:
            os.ftruncate(fd, size)
            self.size = size
            self.synced = min(self.synced, size)

    def fdatasync(self, fd: int) -> None:
        if self.dead:
            return
        if self._strikes("broken sync", "kill", "power"):
            if self._fault != "broken sync":
                self.die()
                raise Death
            self.failed = True
            raise OSError(errno.EIO, "the disk is broken")
        self.synced, self.results_synced = self.size, self.results

    def die(self) -> None:
        """From now on nothing reaches the disk."""
        if not self.dead:
            self.dead = True
            self.died()

    def leave(self, path: Path, power: bool) -> int:
        """Make the file what the next process finds; the bytes of it that were surely there."""
        kept = self._dice.randint(self.synced, self.size) if power else self.size
        if not path.exists():
            return 0
        os.truncate(path, kept)
        if power and self._dice.random() < 0.5:
            junk = self._dice.choice((bytes, self._dice.randbytes))
            with path.open("ab") as file:
                file.write(junk(self._dice.randint(1, 4096)))
        return kept

    def _strikes(self, *faults: Fault) -> bool:
        self.operations += 1
        if self._at == 0 or self.operations < self._at or self._fault not in faults:
            return False
        return self._fault == "full" or not self.failed


@contextmanager
def under_the_journal(disk: Disk) -> Iterator[None]:
    """All that `cache.journal` does goes through `disk`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "os", disk)
        patch.setattr(journal, "_fdatasync", disk.fdatasync)
        yield
