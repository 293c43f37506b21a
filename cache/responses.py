"""The response cache: complete answers by content hash, shared by all runs of a user.

SQLite in WAL mode, one writer thread, values compressed with zstd. A lookup sees what was put a moment
ago. An entry that cannot be read is a miss, never a crash, and is overwritten by the next answer: a value
begins with its own key and carries a checksum, so a damaged file gives no wrong answer either.
Only complete answers come in here: no errors, no refusals, nothing truncated.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import zstandard

from cache.offload import Offload
from data.codec import Undecodable, decode_as, decoder, encode, replace
from data.errors import DataError
from data.schema import Response, Struct

MAX_VALUE = 64 * 1024 * 1024
"""Bytes of one decompressed entry."""
GATHER_S = 0.1
"""Answers wait this long to be written together; until then they are found in memory."""
MAX_PARAMETERS = 500
"""Keys of one SELECT."""
ROWS = 100
"""Rows of one INSERT. Each call into SQLite or zstd lets other threads run and has to wait for them
again, so what comes in a batch is handed over as one."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    key BLOB PRIMARY KEY, identity TEXT NOT NULL, model TEXT NOT NULL,
    created_s INTEGER NOT NULL, value BLOB NOT NULL)
"""


class Entry(Struct, frozen=True):
    """One answer on its way in. `identity` and `model` are for `cache info` and `cache prune`."""

    key: bytes
    identity: str
    model: str
    response: Response


class CacheRow(Struct, frozen=True):
    """What `cache info` shows of one provider and model: entries, compressed bytes, oldest and newest."""

    identity: str
    model: str
    entries: int
    size_bytes: int
    oldest_s: int
    newest_s: int


class ResponseStore:
    """The file, with blocking calls. Used from one thread at a time.

    Every method raises DataError when the file cannot be used.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        with self._translated():
            self._db = _read_only(path) if read_only else _writable(path)
        try:
            with self._translated():
                if read_only:
                    self._db.execute("PRAGMA trusted_schema=OFF")
                    self._db.execute("SELECT key, value FROM responses LIMIT 1").fetchall()
                else:
                    self._db.execute("PRAGMA journal_mode=WAL")
                    self._db.execute("PRAGMA synchronous=NORMAL")
                    self._db.execute(_SCHEMA)
        except DataError:
            self._db.close()
            raise
        self._compress = zstandard.ZstdCompressor(
            level=3, write_checksum=True
        ).multi_compress_to_buffer
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._decoder = decoder(Response)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """The readable entries among `keys`."""
        found: dict[bytes, Response] = {}
        for start in range(0, len(keys), MAX_PARAMETERS):
            part = keys[start : start + MAX_PARAMETERS]
            marks = ",".join("?" * len(part))
            with self._translated():
                rows = self._db.execute(
                    f"SELECT key, value FROM responses WHERE key IN ({marks})", part
                ).fetchall()
            for key, value in rows:
                response = self._read(key, value)
                if response is not None:
                    found[key] = response
        return found

    def put_many(self, entries: Sequence[Entry], now_s: float) -> None:
        """One transaction: all of them or none."""
        if not entries:
            return
        packed = self._compress([encode(e.response) for e in entries])
        rows = [
            (e.key, e.identity, e.model, int(now_s), e.key + packed[i].tobytes())
            for i, e in enumerate(entries)
        ]
        with self._translated(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), ROWS):
                part = rows[start : start + ROWS]
                places = ",".join(["(?,?,?,?,?)"] * len(part))
                self._db.execute(
                    f"INSERT OR REPLACE INTO responses VALUES {places}", [*chain(*part)]
                )

    def info(self) -> list[CacheRow]:
        """A row per provider and model, largest first."""
        with self._translated():
            rows = self._db.execute(
                "SELECT identity, model, count(*), sum(length(value)), min(created_s),"
                " max(created_s) FROM responses GROUP BY identity, model ORDER BY 4 DESC"
            ).fetchall()
        return [CacheRow(*row) for row in rows]

    def prune(
        self, *, before_s: float | None = None, model: str | None = None, simulated: bool = False
    ) -> int:
        """Delete entries that meet all conditions given; the number of them."""
        conditions, values = ["1"], list[object]()
        if before_s is not None:
            conditions.append("created_s < ?")
            values.append(int(before_s))
        if model is not None:
            conditions.append("model = ?")
            values.append(model)
        if simulated:
            conditions.append("identity LIKE 'simulated:%'")
        with self._translated():
            deleted = self._db.execute(
                f"DELETE FROM responses WHERE {' AND '.join(conditions)}", values
            ).rowcount
            self._db.execute("VACUUM")
        return deleted

    def settle(self) -> None:
        """Make the file whole by itself, with nothing beside it: for a file that is given away."""
        with self._translated():
            self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.execute("VACUUM")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # a courtesy: all is committed already
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"not a usable response cache: {error}",
                path=str(self._path),
                how="move it away, or run with --no-cache",
            ) from None

    def _read(self, key: object, value: object) -> Response | None:
        if not isinstance(key, bytes) or not isinstance(value, bytes) or value[: len(key)] != key:
            return None
        packed = value[len(key) :]
        try:
            if zstandard.frame_content_size(packed) > MAX_VALUE:
                return None
            text = self._decompress(packed, max_output_size=MAX_VALUE)
            response: Response = decode_as(text, Response, self._decoder)
        except (zstandard.ZstdError, Undecodable):
            return None
        return response


class Shelf(Protocol):
    """What is looked into, written, and closed: a store, or one above others (`cache/bundle.py`)."""

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Response]: ...
    def put_many(self, entries: Sequence[Entry], now_s: float) -> None: ...
    def close(self) -> None: ...


class ResponseCache:
    """The store behind its lane: what the engine asks. Used from the loop's thread only.

    What is put is written behind: the first answer waits a moment for company, and what arrives while
    a batch is being written forms the next one, so a quick sweep pays one thread hop for many answers.
    """

    def __init__(self, store: Shelf, offload: Offload, wall: Callable[[], float]) -> None:
        self._store, self._offload, self._wall = store, offload, wall
        self._unwritten: dict[bytes, Entry] = {}
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.trouble = ""
        """Why answers could not be stored or found, if so: the run goes on without them."""

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """Known answers, marked `cached`. A file in trouble knows none."""
        fresh = {key: self._unwritten[key].response for key in keys if key in self._unwritten}
        absent = [key for key in keys if key not in fresh]
        stored = await self._offload.run(lambda: self._look_up(absent)) if absent else {}
        return {
            key: replace(response, cached=True, attempts=0)
            for key, response in (stored | fresh).items()
        }

    def put(self, entry: Entry) -> None:
        """Remember an answer; it is written with the next batch."""
        self._unwritten[entry.key] = entry
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_behind())

    async def aclose(self) -> None:
        """Everything put is written."""
        self._hurry.set()
        while self._writing is not None:
            await asyncio.wait([self._writing])
        await self._offload.run(self._store.close)
        self._offload.close()

    async def _write_behind(self) -> None:
        """Batch after batch, until nothing waits."""
        try:
            while self._unwritten:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), GATHER_S)
                await self._write(tuple(self._unwritten.values()))
        finally:
            self._writing = None

    async def _write(self, entries: Sequence[Entry]) -> None:
        """The file knows them now, or never will. A newer answer under the same key is still waiting."""
        try:
            await self._offload.run(lambda: self._store.put_many(entries, self._wall()))
        except Exception as error:  # whatever it is: the run matters more than its cache
            self.trouble = str(error)
        for entry in entries:
            if self._unwritten.get(entry.key) is entry:
                del self._unwritten[entry.key]

    def _look_up(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        try:
            return self._store.get_many(keys)
        except DataError as error:
            self.trouble = str(error)
            return {}


def _writable(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)


def _read_only(path: Path) -> sqlite3.Connection:
    """Immutable: no lock is taken and no file beside it is made or read."""
    place = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    return sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
