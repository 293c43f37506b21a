"""A journal that is damaged in the middle, mended: every whole line is kept, what is not is left out.

Nothing is guessed. The original stays beside the new file under a name of its own; the new one takes its
place in one rename, whole and durable, so a crash on the way leaves either the one or the other. `Synced`
lines name offsets of the old file and are replaced by one at the end.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import BinaryIO

from cache.journal import scan, seal, survey, sync_folder
from data.errors import JournalDamaged, StorageError
from data.schema import Header, Struct, Synced


class Salvage(Struct, frozen=True):
    """What became of a damaged journal."""

    kept: int
    """Lines."""
    lost: tuple[tuple[int, int, int], ...]
    """(line, from 1; offset; length in bytes) of each line that could not be read."""
    original: Path

    @property
    def lost_bytes(self) -> int:
        return sum(length for _, _, length in self.lost)


def salvage(path: Path) -> Salvage | None:
    """Mend the journal at `path`; None if it is not damaged. Hold the run's lock.

    Raises JournalDamaged where the header is lost or another version wrote it, StorageError where
    writing fails; the file is then as it was.
    """
    try:
        survey(path, lambda place, record: None)
    except JournalDamaged as damage:
        first = next(scan(path), None)
        if first is None or not isinstance(first[1], Header):
            raise JournalDamaged(
                "its first line cannot be read, and without it nobody knows what the rest means",
                path=str(path),
                line=1,
                how="restore the file from a backup; nothing was changed",
            ) from damage
    else:
        return None
    try:
        return _mended(path)
    except OSError as error:
        raise StorageError(f"cannot mend {path}: {error.strerror or error}") from None


def _mended(path: Path) -> Salvage:
    draft, original = path.with_suffix(".new"), _free_name(path)
    lost: list[tuple[int, int, int]] = []
    kept = size = 0
    with path.open("rb") as old, _private(draft) as new:
        for line, (place, record) in enumerate(scan(path), start=1):
            data = old.read(place.length)
            if record is None:
                lost.append((line, place.offset, place.length))
            elif not isinstance(record, Synced):
                size += new.write(data)
                kept += 1
        new.write(seal(Synced(size)))
        new.flush()
        os.fsync(new.fileno())
    os.link(path, original)
    draft.replace(path)
    sync_folder(path.parent)
    return Salvage(kept, tuple(lost), original)


def _private(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)  # of a start or a repair that was cut short
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _free_name(path: Path) -> Path:
    """`journal.damaged-1.jsonl`, or the next number that is free."""
    names = (path.with_name(f"{path.stem}.damaged-{n}{path.suffix}") for n in count(1))
    return next(name for name in names if not name.exists())
