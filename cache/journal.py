"""The journal: the truth about one run, an append-only JSONL file that survives what happens to us.

Format. One JSON object a line; its last member is `"crc":"8 hex digits"`, the CRC-32 of all bytes of the
line before `,"crc"`. The first line is the Header. An Intent is written before the first byte of a
request goes out; results are made durable in groups (fdatasync at most `GROUP_S` seconds or `GROUP`
records later), and only then told to anybody: `told` in `append` is handed to the listener after
the group's fdatasync. A Synced line names the durable offset.

Reopening. A line that cannot be read, beyond the last provably durable offset, is the torn tail of a
crash: it is cut away before the first append, or the next append would turn it into damage in the
middle. A line that cannot be read before that offset is damage, and is refused with its place. So is
a whole line that says nothing we know: no crash makes one, a later version does.

Failing. A short write is cut back and stops the run. A failed fdatasync stops the run and is never
tried again: the kernel has already forgotten the pages. So reopening writes what no Synced line proves
durable once more, byte for byte, before it syncs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from cache.offload import Offload
from data.codec import Undecodable, decode_record, encode
from data.errors import DataError, JournalDamaged, RunBusy, StorageError
from data.schema import Header, Record, Struct, Synced
from data.text import printable

FORMAT = 1
GROUP = 256
GROUP_S = 1.0
_KIND = b'{"kind":"'
"""What every line begins with."""
_CRC_TAIL = len(b',"crc":"00000000"}\n')
_fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync

Told = TypeVar("Told")
Decode = Callable[[bytes], Record]
"""How a line is taken apart. Raises Undecodable."""


class Place(Struct, frozen=True):
    """Where a record stands in the file, in bytes."""

    offset: int
    length: int


class Tail(Struct, frozen=True):
    """What was cut at reopening."""

    offset: int
    length: int


# --- lines -------------------------------------------------------------------------------------


def seal(record: Record) -> bytes:
    """The record as a line, with its crc."""
    body = encode(record)[:-1]
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def intact(line: bytes) -> bool:
    """Is this (without its newline) a line that `seal` made?"""
    return _intact(line + b"\n")


def _intact(line: bytes) -> bool:
    """The same of a line with its newline; one without is not."""
    body = line[:-_CRC_TAIL]
    return bool(body) and line.endswith(b',"crc":"%08x"}\n' % zlib.crc32(body))


def scan(path: Path) -> Iterator[tuple[Place, Record | None]]:
    """Every line with its place; None where it is not intact. A last line without newline is not.

    Raises JournalDamaged for an intact line that says nothing known, DataError for an unreadable file.
    """
    offset = 0
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            place = Place(offset, len(line))
            offset += len(line)
            if not line.endswith(b"\n"):
                yield place, None
                return  # a writer at work may add to it: its second half is no line of its own
            yield place, _decoded(path, number, line) if _intact(line) else None


def _skipping(kinds: Collection[str]) -> Callable[[bytes], bool] | None:
    """Is this line of a kind that is not among these? (Headers and Synced lines are always read.)"""
    if not kinds:
        return None
    wanted = {kind.encode() for kind in (*kinds, "header", "synced")}
    at = len(_KIND)

    def skips(line: bytes) -> bool:
        return line.startswith(_KIND) and line[at : line.find(b'"', at)] not in wanted

    return skips


def _opened(path: Path) -> BinaryIO:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe holds us for ever
            raise DataError("not a regular file", path=str(path))
        return path.open("rb", buffering=1 << 20)
    except OSError as error:
        raise DataError(error.strerror or str(error), path=str(path)) from None


def _decoded(path: Path, number: int, line: bytes) -> Record:
    try:
        return decode_record(line)
    except Undecodable as error:
        raise _meaningless(path, number, error) from None


def _meaningless(path: Path, number: int, error: Undecodable) -> JournalDamaged:
    return JournalDamaged(
        f"this line is whole and yet says nothing known here: {error}",
        path=str(path),
        line=number,
        how="another version of alignsweep wrote it; nothing was changed",
    )


# --- the run directory's lock ------------------------------------------------------------------


class RunLock:
    """One process per run directory. The lock dies with the process, so no stale one can remain."""

    def __init__(self, folder: Path) -> None:
        path = folder / "lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # else it overwrote anything
        try:
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {error.strerror}") from None
        try:
            self._take(folder)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            os.close(self._fd)
            raise StorageError(f"cannot lock {path}: {error.strerror}") from None

    def close(self) -> None:
        os.close(self._fd)

    def _take(self, folder: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = printable(os.pread(self._fd, 200, 0).decode("utf-8", "replace").strip())
            os.close(self._fd)
            raise RunBusy(f"{folder} is in use by {holder or 'another process'}") from None


def at_work(folder: Path) -> bool:
    """Does a process hold the run in `folder`? Asks with a shared lock, for an instant."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


# --- the file ----------------------------------------------------------------------------------


class Journal(Generic[Told]):
    """An open journal. Made by `create` or `reopen`; `keep_durable` runs beside the engine."""

    def __init__(
        self, path: Path, fd: int, size: int, offload: Offload, tell: Callable[[Told], Any]
    ) -> None:
        self.path = path
        self._fd, self._size, self._offload, self._tell = fd, size, offload, tell
        self._untold: list[Told] = []
        self._unwritten: list[bytes] = []
        """Results of this turn of the loop: they go out in one write. `_size` counts them."""
        self._first, self._full = asyncio.Event(), asyncio.Event()
        self._syncing = asyncio.Lock()
        self._broken = ""

    @classmethod
    def create(
        cls, path: Path, header: Header, offload: Offload, tell: Callable[[Told], Any]
    ) -> Journal[Told]:
        """A new file that appears with its header whole and durable, or not at all."""
        unborn = path.with_suffix(".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            unborn.unlink(missing_ok=True)
            fd = os.open(unborn, flags, 0o600)
        except OSError as error:
            raise StorageError(f"cannot start {path}: {error.strerror}") from None
        try:
            journal = cls(path, fd, 0, offload, tell)
            journal._write(seal(header))
            _fdatasync(fd)
            unborn.rename(path)
            sync_folder(path.parent)
        except (OSError, StorageError) as error:
            os.close(fd)
            reason = error.strerror if isinstance(error, OSError) else error
            raise StorageError(f"cannot start {path}: {reason}") from None
        return journal

    @classmethod
    def reopen(
        cls,
        path: Path,
        size: int,
        offload: Offload,
        tell: Callable[[Told], Any],
        *,
        durable: int = 0,
    ) -> Journal[Told]:
        """An existing file, cut to its first `size` bytes if it is longer (see `survey`).

        `durable` of them are proven to be on the disk; the others are written there once more.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot open {path}: {error.strerror}") from None
        try:
            if os.fstat(fd).st_size > size:
                os.ftruncate(fd, size)
            _write_again(path, durable, size)
            _fdatasync(fd)
            journal = cls(path, fd, size, offload, tell)
            journal._write(seal(Synced(size)))
        except (OSError, StorageError) as error:
            os.close(fd)
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"cannot open {path}: {error.strerror}") from None
        return journal

    def append(self, record: Record, *, told: Told | None = None) -> Place:
        """Write one line (not yet durable). `told` goes to the listener once it is.

        Raises StorageError; after that nothing can be appended any more.
        """
        place = self._write(seal(record))
        if told is not None:
            self._owe(told)
        return place

    def append_result(self, *records: Record, told: Told) -> Place:
        """Lines that go out in one write, with the next `append` or at the end of this turn of the loop.

        The place of the last. Raises StorageError if an earlier write failed.
        """
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._end_turn)
        for record in records:
            place = self._add(seal(record))
        self._owe(told)
        return place

    def read(self, place: Place) -> bytes:
        """The bytes of one line."""
        self._flush()
        return os.pread(self._fd, place.length, place.offset)

    async def keep_durable(self) -> None:
        """Sync group after group, for ever: run it as a task beside the engine.

        Raises StorageError, which ends the run.
        """
        while True:
            await self._first.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GROUP_S):
                    await self._full.wait()
            await self.sync()

    async def sync(self) -> None:
        """Make everything appended so far durable, then tell it."""
        self._flush()
        group, self._untold = self._untold, []
        self._first.clear()
        self._full.clear()
        work = asyncio.ensure_future(self._make_durable(group, self._size))
        # Who waits here may be cancelled; a failure is then met again at the next write.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(work)

    async def aclose(self) -> None:
        """Sync what is left and close; after a storage failure only close."""
        try:
            if not self._broken:
                await self.sync()
        finally:
            self._broken = self._broken or f"{self.path} is closed"
            self._offload.close()
            os.close(self._fd)

    async def _make_durable(self, group: list[Told], end: int) -> None:
        """Not to be cancelled half way: what is durable is also told. One group after the other."""
        async with self._syncing:
            await self._fdatasync()
            if group:
                self._write(seal(Synced(end)))
            for told in group:
                self._tell(told)

    def _owe(self, told: Told) -> None:
        self._untold.append(told)
        self._first.set()
        if len(self._untold) >= GROUP:
            self._full.set()

    async def _fdatasync(self) -> None:
        if self._broken:
            raise StorageError(self._broken)
        try:
            await self._offload.run(lambda: _fdatasync(self._fd))
        except OSError as error:
            self._broken = f"fdatasync of {self.path} failed: {error.strerror}"
            raise StorageError(self._broken) from None

    def _end_turn(self) -> None:
        with contextlib.suppress(StorageError):  # whoever comes next is told
            self._flush()

    def _write(self, line: bytes) -> Place:
        """One line, after those that wait."""
        place = self._add(line)
        self._flush()
        return place

    def _add(self, line: bytes) -> Place:
        if self._broken:
            raise StorageError(self._broken)
        self._unwritten.append(line)
        self._size += len(line)
        return Place(self._size - len(line), len(line))

    def _flush(self) -> None:
        """Write all that waits, or nothing."""
        if not self._unwritten:
            return
        data = b"".join(self._unwritten)
        self._unwritten.clear()
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            written, reason = 0, error.strerror or str(error)
        else:
            reason = "no space left on the device"
        if written != len(data):
            self._size -= len(data)
            self._broken = f"cannot write {len(data)} bytes to {self.path}: {reason}"
            with contextlib.suppress(OSError):  # else the next reopening cuts it
                os.ftruncate(self._fd, self._size)
            raise StorageError(self._broken)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to sync there
            raise
    finally:
        os.close(fd)


# --- reopening ---------------------------------------------------------------------------------


def _write_again(path: Path, start: int, end: int) -> None:
    """The same bytes once more, so that the next fdatasync really writes them.

    After one that failed, the kernel takes their pages for clean and would say yes to nothing. Whoever
    is killed on the way has changed nothing. (Not through the journal's own descriptor: it appends.)
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        while start < end:
            data = os.pread(fd, min(end - start, 1 << 20), start)
            written = os.pwrite(fd, data, start)
            if not written:
                raise OSError(errno.EIO, "the file became shorter")
            start += written
    finally:
        os.close(fd)


class Survey(Struct, frozen=True):
    """What a journal holds, as far as reopening it is concerned."""

    header: Header
    size: int
    """Bytes to keep."""
    torn: Tail | None
    """What will be cut away, if anything."""
    durable: int = 0
    """Bytes that a Synced line proves to be on the disk."""


def survey(
    path: Path,
    visit: Callable[[Place, Record], Any],
    *,
    kinds: Collection[str] = (),
    decode: Decode = decode_record,
) -> Survey:
    """`replay` with a visitor."""
    found: list[Survey] = []

    def records() -> Iterator[tuple[Place, Record]]:
        found.append((yield from replay(path, kinds=kinds, decode=decode)))

    for place, record in records():
        visit(place, record)
    return found[0]


def replay(
    path: Path, *, kinds: Collection[str] = (), decode: Decode = decode_record
) -> Generator[tuple[Place, Record], None, Survey]:
    """Read a journal once, front to back: each good record with its place; at the end, the Survey.

    `kinds` names those that are wanted (empty: all); other lines are checked but not taken apart.
    `decode` may be `data.outline.decode_outline` where no texts are wanted.
    Raises JournalDamaged for damage before the last durable offset and for a file without a header.
    Records after the first bad line are not shown: they were never durable.
    """
    skips = _skipping(kinds)
    header: Header | None = None
    bad: Place | None = None
    bad_line = durable = size = 0
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            offset, size = size, size + len(line)
            if not _intact(line):
                record = None
            elif skips is not None and skips(line):
                continue
            else:
                try:
                    record = decode(line)
                except Undecodable as error:
                    raise _meaningless(path, number, error) from None
            if isinstance(record, Header):
                header = record
            elif number == 1:
                raise JournalDamaged("this is not a journal of alignsweep", path=str(path), line=1)
            elif isinstance(record, Synced):
                durable = max(durable, record.offset)
            if bad is None:
                if record is not None:
                    yield Place(offset, len(line)), record
                else:
                    bad, bad_line = Place(offset, len(line)), number
    if header is None:
        raise JournalDamaged(
            "an empty journal", path=str(path), how="remove the folder and start again"
        )
    if bad is None:
        return Survey(header, size, None, durable)
    if bad.offset < durable:
        raise JournalDamaged(
            f"this line (byte {bad.offset}) was durable and can no longer be read",
            path=str(path),
            line=bad_line,
            how="`alignsweep repair RUN` keeps all that is whole; nothing was changed",
        )
    return Survey(header, bad.offset, Tail(bad.offset, size - bad.offset), durable)
