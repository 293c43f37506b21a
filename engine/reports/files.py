"""Report files are written whole or not at all, whatever happens: a kill, a full disk, a power cut.

Each is written under a neighbour's name, made durable, and only then renamed: a rename may reach the disk
before the data does, and the report would be there and empty. A neighbour of a process that was killed is
removed by the next one that writes the same report.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.errors import StorageError


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks` to `path` through a neighbour file, making folders as needed.

    Raises StorageError; the old file, if any, is then still there.
    """
    with whole(path) as draft, draft.open("wb") as file:
        file.writelines(chunks)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A neighbour file to write to, which takes the place of `path` if all goes well.

    Raises StorageError; the old file, if any, is then still there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_after_the_dead(path)
        try:
            yield draft
            _make_durable(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _make_durable(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _clear_after_the_dead(path: Path) -> None:
    """Remove drafts of `path` whose process is no more."""
    head, end = f".{path.name}.", ".part"
    with suppress(OSError):  # a courtesy: whatever stays does no harm
        for draft in path.parent.iterdir():
            if draft.name.startswith(head) and draft.name.endswith(end):
                process = draft.name[len(head) : -len(end)]
                if process.isdecimal() and not _alive(int(process)):
                    draft.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
