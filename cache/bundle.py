"""Replies in a file that is handed on: written once, then only read, below a user's own cache.

It is a response cache by itself (`cache/responses.py`): a reply is found by the hash of what was sent
and of whom, and each value names its key, so nothing in such a file can answer another request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from cache.responses import Entry, ResponseStore
from data.errors import DataError
from data.schema import Response

BATCH = 500


def write_bundle(draft: Path, entries: Iterable[Entry]) -> int:
    """Write `entries` to a new file; how many there were. The same entries make the same rows.

    Raises DataError.
    """
    store, count, rest = ResponseStore(draft), 0, iter(entries)
    try:
        while batch := list(islice(rest, BATCH)):
            store.put_many(batch, 0)
            count += len(batch)
        store.settle()
    finally:
        store.close()
    return count


def open_bundles(paths: Sequence[Path]) -> list[ResponseStore]:
    """The files, only to be read. Raises DataError for one that is no such file."""
    return [_opened(path) for path in paths]


def _opened(path: Path) -> ResponseStore:
    try:
        return ResponseStore(path, read_only=True)
    except DataError:
        raise DataError(
            "not a file of replies",
            path=str(path),
            how="--cache-from takes what `alignsweep cache export RUN` writes",
        ) from None


class Layered:
    """A user's own store above files that are only read: a reply comes from the first that has it."""

    def __init__(self, own: ResponseStore | None, below: Sequence[ResponseStore]) -> None:
        self._own, self._below = own, below

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """The readable entries among `keys`."""
        found = self._own.get_many(keys) if self._own is not None else {}
        for store in self._below:
            absent = [key for key in keys if key not in found]
            if absent:
                found |= store.get_many(absent)
        return found

    def put_many(self, entries: Sequence[Entry], now_s: float) -> None:
        """Into the user's own."""
        if self._own is not None:
            self._own.put_many(entries, now_s)

    def close(self) -> None:
        for store in (*self._below, *((self._own,) if self._own is not None else ())):
            store.close()
