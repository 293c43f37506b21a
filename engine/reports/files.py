"""Report files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
        try:
            yield draft
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
