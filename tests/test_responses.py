"""The response cache: what is found again, what is a miss, and what trouble does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.key import cache_key
from cache.offload import Inline, Offload, Threads
from cache.responses import MAX_VALUE, CacheRow, Entry, ResponseCache, ResponseStore
from data.codec import replace
from data.errors import DataError
from data.schema import Draw, Response, Usage
from providers.virtual import new_loop

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parent.parent

FULL = Response(
    text="答案 \ud800 \x00 \u2028",
    reasoning="因为",
    usage=Usage(10, 5, 3, 2),
    served_model="m-0613",
    fingerprint="fp",
    request_id="req",
    latency_s=1.25,
    ttft_s=0.5,
    attempts=3,
)


def entry(number: int, text: str = "", *, model: str = "m", identity: str = "https://a") -> Entry:
    key = cache_key(identity, "/p", b"%d" % number, Draw())
    return Entry(key, identity, model, Response(text=text or f"answer {number}"))


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """On virtual time."""
    return anyio.run(main, backend_options={"loop_factory": new_loop})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "responses.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ResponseStore]:
    store = ResponseStore(path)
    yield store
    store.close()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a disk of memory, where there is one: for thousands of small changes."""
    device = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=device if device.is_dir() else None) as folder:
        yield Path(folder)


def cache_at(path: Path, offload: Offload | None = None) -> ResponseCache:
    return ResponseCache(ResponseStore(path), offload or Inline(), lambda: 1_000.0)


def texts(found: dict[bytes, Response]) -> dict[bytes, str]:
    return {key: response.text for key, response in found.items()}


class Held:
    """A lane whose work waits until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def run(self, work: Callable[[], Result]) -> Result:
        await self.go.wait()
        return work()

    def close(self) -> None:
        return None


# --- the store ---------------------------------------------------------------------------------


def test_what_is_put_is_found_and_nothing_else_is(store: ResponseStore) -> None:
    """Every field comes back, odd characters included."""
    one, absent = Entry(b"k" * 32, "i", "m", FULL), b"x" * 32
    assert store.get_many([one.key, absent]) == {}
    store.put_many([one], 5.0)
    assert store.get_many([one.key, absent]) == {one.key: FULL}
    assert store.get_many([]) == {}


def test_the_latest_answer_under_a_key_counts(store: ResponseStore) -> None:
    """Within one batch and across batches."""
    store.put_many([entry(1, "old"), entry(1, "newer")], 1.0)
    assert texts(store.get_many([entry(1).key])) == {entry(1).key: "newer"}
    store.put_many([entry(1, "newest")], 2.0)
    assert texts(store.get_many([entry(1).key])) == {entry(1).key: "newest"}


def test_thousands_of_keys_are_looked_up_at_once(store: ResponseStore) -> None:
    """More than one SELECT may name; keys named twice are no problem."""
    entries = [entry(n) for n in range(1300)]
    store.put_many(entries, 1.0)
    keys = [e.key for e in entries] + [entry(n).key for n in range(2000, 2500)] + [entries[0].key]
    assert store.get_many(keys) == {e.key: e.response for e in entries}


def test_info_counts_by_provider_and_model_largest_first(store: ResponseStore) -> None:
    """Sizes are bytes on disk, times seconds since the epoch."""
    assert store.info() == []
    store.put_many([entry(1, os.urandom(9000).hex(), model="big")], 10.0)
    store.put_many([entry(2, model="small")], 20.9)
    store.put_many([entry(3, model="small", identity="simulated:0")], 30.0)
    store.put_many([entry(4, model="small")], 40.0)
    rows = store.info()
    assert rows[0].model == "big"
    assert rows[0].size_bytes > 9000
    assert {replace(row, size_bytes=0) for row in rows} == {
        CacheRow("https://a", "big", 1, 0, 10, 10),
        CacheRow("https://a", "small", 2, 0, 20, 40),
        CacheRow("simulated:0", "small", 1, 0, 30, 30),
    }


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({"before_s": 20}, {2, 3, 4}),
        ({"before_s": 20.9}, {2, 3, 4}),
        ({"before_s": 0}, {1, 2, 3, 4}),
        ({"model": "m"}, {3, 4}),
        ({"model": "M"}, {1, 2, 3, 4}),
        ({"model": "' OR 1 --"}, {1, 2, 3, 4}),
        ({"simulated": True}, {1, 2, 3}),
        ({"simulated": True, "model": "m"}, {1, 2, 3, 4}),
        ({"before_s": 31, "model": "n"}, {1, 2, 4}),
        ({}, set()),
    ],
)
def test_pruning_forgets_what_meets_all_conditions(
    store: ResponseStore, conditions: dict[str, Any], left: set[int]
) -> None:
    """And says how many; no condition at all forgets everything."""
    entries = {
        1: entry(1),
        2: entry(2),
        3: entry(3, model="n"),
        4: entry(4, model="n", identity="simulated:7"),
    }
    for number, one in entries.items():
        store.put_many([one], number * 10.0)
    assert store.prune(**conditions) == 4 - len(left)
    found = store.get_many([one.key for one in entries.values()])
    assert {n for n, one in entries.items() if one.key in found} == left


def test_pruning_gives_the_space_back(path: Path) -> None:
    """The file shrinks."""
    store = ResponseStore(path)
    store.put_many([entry(n, os.urandom(5000).hex()) for n in range(50)], 1.0)
    store.close()
    full = path.stat().st_size
    store = ResponseStore(path)
    store.prune()
    store.close()
    assert path.stat().st_size < full / 5


def test_the_cache_is_its_owners_alone_whatever_the_umask(path: Path) -> None:
    """The folder and every file that SQLite puts beside."""
    old = os.umask(0)
    try:
        store = ResponseStore(path)
        store.put_many([entry(1)], 1.0)
        modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(old)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content", [b"not a database\n" * 50, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    """It may be anything; the message says how to go on."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a usable response cache") as caught:
        ResponseStore(path)
    assert str(path) in str(caught.value)
    assert "--no-cache" in str(caught.value)
    assert path.read_bytes() == content


def test_a_place_that_cannot_hold_a_cache_is_one_clear_error(tmp_path: Path) -> None:
    """Below a file; and where a folder lies."""
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file" / "responses.sqlite", tmp_path):
        with pytest.raises(DataError, match="not a usable response cache"):
            ResponseStore(place)


def test_a_table_of_somebody_else_is_one_clear_error(path: Path) -> None:
    """Right file format, wrong columns: reading and writing say so."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE responses (question TEXT)")
    store = ResponseStore(path)
    with pytest.raises(DataError, match="no such column"):
        store.get_many([b"k"])
    with pytest.raises(DataError, match="columns"):
        store.put_many([entry(1)], 1.0)
    with pytest.raises(DataError, match="no such column"):
        store.info()
    with pytest.raises(DataError, match="no such column"):
        store.prune(model="m")
    store.close()


# --- entries that cannot be read ---------------------------------------------------------------


def overwrite(path: Path, key: bytes, value: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE responses SET value = ? WHERE key = ?", (value, key))
        db.commit()


def stored(path: Path, key: bytes) -> bytes:
    with closing(sqlite3.connect(path)) as db:
        [(value,)] = db.execute("SELECT value FROM responses WHERE key = ?", (key,))
    assert isinstance(value, bytes)
    return value


def packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


KEY = entry(1).key
BOMB = b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\x01\x00\x00"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        KEY,
        "a text",
        17,
        KEY + b"no zstd",
        KEY + packed(b""),
        KEY + packed(b"[]"),
        KEY + packed(b'{"text": 7}'),
        KEY + packed(b'{"usage": null}'),
        KEY + packed(b"[" * 100_000),
        KEY + packed(b'{"text": "\xff"'),
        packed(b'{"text": "without its key"}'),
        KEY + packed(b'{"text": "' + b"0" * MAX_VALUE + b'"}'),
        KEY + BOMB,
    ],
    ids=lambda value: repr(value)[-24:],
)
def test_an_entry_that_cannot_be_read_is_a_miss_and_is_replaced(
    store: ResponseStore, path: Path, value: object
) -> None:
    """Also one that unpacks to more than any answer, or says it would."""
    store.put_many([entry(1), entry(2)], 1.0)
    overwrite(path, KEY, value)
    assert list(store.get_many([KEY, entry(2).key])) == [entry(2).key]
    store.put_many([entry(1)], 2.0)
    assert store.get_many([KEY]) == {KEY: entry(1).response}


def test_an_answer_is_not_found_under_another_calls_key(store: ResponseStore, path: Path) -> None:
    """Each value carries its own key, so a mix-up inside the file is seen."""
    store.put_many([entry(1), entry(2)], 1.0)
    overwrite(path, KEY, stored(path, entry(2).key))
    assert list(store.get_many([KEY, entry(2).key])) == [entry(2).key]


def test_a_changed_byte_anywhere_in_an_entry_never_gives_another_answer(memory: Path) -> None:
    """Every byte in turn: a checksum stands behind the text."""
    path = memory / "c"
    store = ResponseStore(path)
    store.put_many([entry(1, "评分：8 分。" * 5)], 1.0)
    whole = stored(path, KEY)
    original = store.get_many([KEY])
    for at in range(len(whole)):
        for change in (0x01, 0x10, 0xFF):
            value = bytearray(whole)
            value[at] ^= change
            overwrite(path, KEY, bytes(value))
            assert store.get_many([KEY]) in ({}, original), (at, change)
    store.close()


def test_no_bytes_in_an_entry_are_a_crash(memory: Path) -> None:
    """Noise, and noise that unpacks."""
    path = memory / "c"
    store = ResponseStore(path)
    store.put_many([entry(1)], 1.0)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=60) | st.binary(max_size=60).map(packed))
    def holds(value: bytes) -> None:
        overwrite(path, KEY, KEY + value)
        assert store.get_many([KEY]) == {}

    holds()
    store.close()


@pytest.fixture(scope="module")
def file_of_300(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A closed cache with entries of all sizes, so that pages of all kinds are in it."""
    path = tmp_path_factory.mktemp("cache") / "c"
    store = ResponseStore(path)
    dice = [hash_text(n) * (60 if n % 50 == 0 else 1) for n in range(300)]
    store.put_many([entry(n, text) for n, text in enumerate(dice)], 1.0)
    store.close()
    return path.read_bytes()


def hash_text(number: int) -> str:
    return f"{number}:{cache_key(str(number), '', b'', Draw()).hex()}"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=30)),
        min_size=1,
        max_size=5,
    )
)
def test_a_damaged_file_gives_no_wrong_answer_and_no_crash(
    file_of_300: bytes, damage: list[tuple[float, bytes]]
) -> None:
    """Bytes overwritten anywhere: each key finds its own answer or nothing, and the run goes on."""
    data = bytearray(file_of_300)
    for where, noise in damage:
        at = int(where * (len(data) - len(noise)))
        data[at : at + len(noise)] = noise

    async def main(path: Path) -> None:
        try:
            cache = cache_at(path)
        except DataError:
            return
        keys = {entry(n).key: n for n in range(300)}
        found = await cache.get_many(list(keys))
        for key, response in found.items():
            assert response.text.startswith(hash_text(keys[key]))
        cache.put(entry(1000))
        await cache.aclose()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c")
        path.write_bytes(data)
        run(lambda: main(path))


# --- the cache behind its lane -----------------------------------------------------------------


def test_a_known_answer_is_marked_as_cached_and_cost_no_attempt(path: Path) -> None:
    """Everything else is as it was, and the store keeps it unmarked."""

    async def main() -> None:
        cache = cache_at(path)
        cache.put(Entry(KEY, "i", "m", FULL))
        marked = replace(FULL, cached=True, attempts=0)
        assert await cache.get_many([KEY, b"unknown"]) == {KEY: marked}
        await cache.aclose()
        again = cache_at(path)
        assert await again.get_many([KEY, b"unknown"]) == {KEY: marked}
        await again.aclose()
        assert again.trouble == ""

    run(main)
    store = ResponseStore(path)
    assert store.get_many([KEY]) == {KEY: FULL}
    store.close()


def test_an_answer_is_visible_at_once_long_before_it_is_written(path: Path) -> None:
    """Identical calls a moment later are hits; a newer answer under the same key wins."""

    async def main() -> None:
        held = Held()
        cache = cache_at(path, held)
        cache.put(entry(1, "first"))
        assert texts(await cache.get_many([KEY])) == {KEY: "first"}
        await asyncio.sleep(10)
        cache.put(entry(1, "second"))
        assert texts(await cache.get_many([KEY])) == {KEY: "second"}
        held.go.set()
        for _ in range(200):
            assert texts(await cache.get_many([KEY])) == {KEY: "second"}
            await asyncio.sleep(0.01)
        await cache.aclose()

    run(main)
    store = ResponseStore(path)
    assert texts(store.get_many([KEY])) == {KEY: "second"}
    store.close()


def test_closing_writes_everything(path: Path) -> None:
    """With the production lane, put a moment before."""

    async def main() -> None:
        cache = cache_at(path, Threads("cache"))
        for n in range(500):
            cache.put(entry(n))
        await cache.aclose()
        assert cache.trouble == ""

    anyio.run(main)
    store = ResponseStore(path)
    assert len(store.get_many([entry(n).key for n in range(500)])) == 500
    assert store.info()[0].newest_s == 1_000
    store.close()


class Counted(ResponseStore):
    """A store that notes how many answers came together."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []

    def put_many(self, entries: Sequence[Entry], now_s: float) -> None:
        self.batches.append(len(entries))
        super().put_many(entries, now_s)


def test_answers_wait_a_moment_for_company_and_closing_hurries_them(path: Path) -> None:
    """What comes within a tenth of a second is written together; nobody waits longer at the end."""

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        store = Counted(path)
        cache = ResponseCache(store, Inline(), lambda: 1_000.0)
        cache.put(entry(1))
        await asyncio.sleep(0.06)
        cache.put(entry(2))
        await asyncio.sleep(0.06)
        assert store.batches == [2]
        cache.put(entry(3))
        before = clock()
        await cache.aclose()
        assert clock() == before
        assert store.batches == [2, 1]

    run(main)


def test_what_is_put_while_a_batch_is_being_written_forms_the_next(path: Path) -> None:
    """One thread hop serves many answers."""

    async def main() -> None:
        held, store = Held(), Counted(path)
        cache = ResponseCache(store, held, lambda: 1_000.0)
        cache.put(entry(0))
        await asyncio.sleep(1)
        for n in range(1, 100):
            cache.put(entry(n))
        held.go.set()
        await cache.aclose()
        assert store.batches == [1, 99]

    run(main)


def refuse_writes(path: Path, how: str) -> None:
    """A trigger that fails in the middle of each transaction, or no more."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(how)
        db.commit()


def test_a_failed_write_is_remembered_and_harms_neither_the_run_nor_later_writes(
    path: Path,
) -> None:
    """The transaction is rolled back, so the file is free for us and for others."""

    async def main() -> None:
        cache = cache_at(path)
        refuse_writes(
            path,
            "CREATE TRIGGER full BEFORE INSERT ON responses WHEN new.model = 'last'"
            " BEGIN SELECT RAISE(FAIL, 'no room'); END",
        )
        cache.put(entry(1))
        cache.put(entry(2, model="last"))
        await asyncio.sleep(10)
        assert "no room" in cache.trouble
        assert await cache.get_many([entry(1).key, entry(2).key]) == {}
        refuse_writes(path, "DROP TRIGGER full")
        cache.put(entry(3, model="last"))
        await asyncio.sleep(10)
        assert list(await cache.get_many([entry(3).key])) == [entry(3).key]
        await cache.aclose()

    run(main)


def test_a_lookup_that_fails_knows_nothing_and_is_remembered(path: Path) -> None:
    """The run then pays, and says why at its end."""

    async def main() -> None:
        cache = cache_at(path)
        refuse_writes(path, "DROP TABLE responses")
        assert await cache.get_many([KEY]) == {}
        assert "no such table" in cache.trouble
        await cache.aclose()

    run(main)


def test_an_answer_that_cannot_even_be_packed_is_trouble_not_a_crash(path: Path) -> None:
    """Whatever goes wrong with a batch ends up in the same place."""

    async def main() -> None:
        cache = cache_at(path)
        cache.put(Entry(KEY, "identity \ud800", "m", Response(text="t")))
        await cache.aclose()
        assert "surrogates" in cache.trouble

    run(main)


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from tests.test_responses import KEY, cache_at, entry, run

async def main():
    cache = cache_at(Path(sys.argv[1]))
    cache.put(entry(1))
    await asyncio.sleep(10)
    size = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for n in range(2, 50):
        cache.put(entry(n, str(n) * 3000))
    await asyncio.sleep(10)
    found = await cache.get_many([KEY, entry(2).key])
    print(bool(cache.trouble), found[KEY].text, len(found))
    await cache.aclose()

run(main)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python of ours, at the project's root."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_is_trouble_and_what_was_stored_is_still_found(path: Path) -> None:
    """A real limit on the size of files, met in the middle of a batch."""
    child = python(FULL_DISK, str(path))
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out == "True answer 1 1\n"
    store = ResponseStore(path)
    assert texts(store.get_many([KEY])) == {KEY: "answer 1"}
    store.close()


WRITER = """
import sys
from pathlib import Path
from cache.responses import ResponseStore
from tests.test_responses import entry
store = ResponseStore(Path(sys.argv[1]))
own = int(sys.argv[2]) * 1000
for n in range(40):
    store.put_many([entry(own + n), entry(n)], 1.0)
    assert len(store.get_many([entry(own + n).key, entry(n).key])) == 2
store.close()
"""


def test_several_processes_share_one_cache(path: Path) -> None:
    """They start at once on a file that is not there yet; nothing is lost and nothing breaks."""
    children = [python(WRITER, str(path), str(n)) for n in (1, 2, 3)]
    for child in children:
        _, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
    store = ResponseStore(path)
    expected = {entry(base + n).key for base in (0, 1000, 2000, 3000) for n in range(40)}
    assert set(store.get_many(sorted(expected))) == expected
    store.close()
