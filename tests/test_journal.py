"""The journal: its lines, its groups, its tails, and what happens when the disk fails."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cache.journal import (
    GROUP,
    GROUP_S,
    Journal,
    Place,
    RunLock,
    Tail,
    at_work,
    intact,
    replay,
    scan,
    seal,
    survey,
)
from cache.offload import Inline, Offload, Threads
from data.codec import encode
from data.errors import AlignsweepError, DataError, JournalDamaged, RunBusy, StorageError
from data.schema import (
    Amended,
    Answer,
    Bench,
    Block,
    Failure,
    Header,
    Intent,
    JudgeSpec,
    Judgment,
    Limit,
    ModelSpec,
    ProviderSpec,
    Record,
    Response,
    Settled,
    Sweep,
    Synced,
    Timing,
    Trial,
    Usage,
    Verdict,
)
from providers.virtual import new_loop

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parent.parent

SWEEP = Sweep(
    name="s",
    benchmark="b",
    benchmark_sha256="0" * 64,
    rubric_sha256={},
    temperatures={"数学计算": 0.1},
    models=(),
    judges=(),
    providers=(),
)
HEADER = Header(
    format=1, run_id="r", digest="d", created_s=1.5, engine="alignsweep 0.1.0", sweep=SWEEP
)


def answer(number: int, text: str = "回答") -> Answer:
    trial = Trial(kind="answer", question_id=number, candidates=(("m", 0),))
    return Answer(trial=trial, response=Response(text=f"{text} {number}"))


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """On virtual time."""
    return anyio.run(main, backend_options={"loop_factory": new_loop})


def ignore(_: object) -> None:
    """A listener who does not care."""


def create(path: Path, offload: Offload, tell: Callable[[Any], Any] = ignore) -> Journal[Any]:
    return Journal.create(path, HEADER, offload, tell)


def read(path: Path) -> list[Record]:
    """Every good record but Synced lines, which tell of the file and not of the run."""
    return [record for _, record in replay(path) if not isinstance(record, Synced)]


def look(path: Path) -> tuple[list[Record], Tail | None, int]:
    """The records, the torn tail and the bytes to keep."""
    found: list[Record] = []
    result = survey(path, lambda _, record: found.append(record))
    return [r for r in found if not isinstance(r, Synced)], result.torn, result.size


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a disk of memory, where there is one: for thousands of fdatasyncs."""
    device = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=device if device.is_dir() else None) as folder:
        yield Path(folder)


class Recording:
    """An Offload that does the work and writes down when."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def run(self, work: Callable[[], Result]) -> Result:
        self.log.append("fdatasync begins")
        await asyncio.sleep(0.25)
        result = work()
        self.log.append("fdatasync ended")
        return result

    def close(self) -> None:
        self.log.append("closed")


class Broken:
    """An Offload whose disk answers every fdatasync with an I/O error, after a while."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        self.asked += 1
        await asyncio.sleep(0.25)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(self) -> None:
        return None


# --- lines -------------------------------------------------------------------------------------


def whole(text: str) -> str:
    """The text as decoders hand it out: two surrogates that make a pair are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


TEXTS = st.text(st.characters(exclude_categories=()), max_size=20).map(whole)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
SECONDS = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | SECONDS
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TRIALS = st.builds(
    Trial,
    kind=st.sampled_from(["answer", "judgment"]),
    question_id=NUMBERS | TEXTS,
    candidates=st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=2).map(tuple),
    turn=NUMBERS,
    judge=TEXTS,
    rubric=TEXTS,
    repeat=NUMBERS,
)
USAGES = st.builds(Usage, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
RESPONSES = st.builds(
    Response,
    text=TEXTS,
    stop_reason=st.sampled_from(["stop", "length", "content_filter", "other"]),
    reasoning=TEXTS,
    usage=st.none() | USAGES,
    latency_s=SECONDS,
    ttft_s=st.none() | SECONDS,
    attempts=NUMBERS,
    cached=st.booleans(),
    simulated=st.booleans(),
)
ASKS = st.lists(RESPONSES, max_size=3).map(tuple)
VERDICTS = st.builds(
    Verdict,
    score=SECONDS,
    dimensions=st.dictionaries(TEXTS, SECONDS, max_size=3),
    source=st.sampled_from(["complete", "prose"]),
    flags=st.lists(TEXTS, max_size=2).map(tuple),
)
PARTY = {"name": TEXTS, "provider": TEXTS, "model": TEXTS, "temperature": st.none() | SECONDS}
PARAMETERS = st.dictionaries(TEXTS, PLAIN, max_size=3)
SWEEPS = st.builds(
    Sweep,
    name=TEXTS,
    benchmark=TEXTS,
    benchmark_sha256=TEXTS,
    rubric_sha256=st.dictionaries(TEXTS, TEXTS, max_size=2),
    temperatures=st.dictionaries(TEXTS, SECONDS, max_size=2),
    models=st.lists(st.builds(ModelSpec, **PARTY, parameters=PARAMETERS), max_size=2).map(tuple),
    judges=st.lists(st.builds(JudgeSpec, **PARTY, rubric=TEXTS), max_size=2).map(tuple),
    providers=st.lists(
        st.builds(ProviderSpec, name=TEXTS, api=TEXTS, base_url=TEXTS, options=PARAMETERS),
        max_size=2,
    ).map(tuple),
)
HEADERS = st.builds(
    Header,
    format=st.just(1),
    run_id=TEXTS,
    digest=TEXTS,
    created_s=SECONDS,
    engine=TEXTS,
    sweep=SWEEPS,
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "header": HEADERS,
    "intent": st.builds(Intent, NUMBERS, TRIALS, TEXTS, SECONDS, NUMBERS, NUMBERS),
    "settled": st.builds(Settled, NUMBERS, SECONDS, st.none() | USAGES, TEXTS, TEXTS),
    "answer": st.builds(Answer, trial=TRIALS, response=RESPONSES, origin=TEXTS),
    "judgment": st.builds(Judgment, trial=TRIALS, asks=ASKS, verdict=st.none() | VERDICTS),
    "failure": st.builds(Failure, trial=TRIALS, error=TEXTS, message=TEXTS, asks=ASKS),
    "amended": st.builds(Amended, TEXTS, SECONDS, st.lists(TEXTS, max_size=2).map(tuple), SWEEPS),
    "synced": st.builds(Synced, NUMBERS),
    "limit": st.builds(Limit, TEXTS, TEXTS, SECONDS, TEXTS, SECONDS),
    "bench": st.builds(Bench, settings=PARAMETERS),
    "timing": st.builds(
        Timing,
        **dict.fromkeys(("id", "block", "call", "ask", "attempt", "status", "characters"), NUMBERS),
        **dict.fromkeys(("target", "error", "stop", "served_model", "currency"), TEXTS),
        **dict.fromkeys(("intended_s", "asked_s", "admitted_s", "sent_s", "done_s"), SECONDS),
        **dict.fromkeys(("first_byte_s", "ttft_s", "ttfa_s", "last_token_s", "told_s"), MAYBE),
        question_id=NUMBERS | TEXTS,
        arrivals=st.lists(NUMBERS, max_size=3).map(tuple),
        usage=st.none() | USAGES,
    ),
    "block": st.builds(
        Block,
        **dict.fromkeys(("number", "repeat", "opened", "reused"), NUMBERS),
        **dict.fromkeys(("target", "why"), TEXTS),
        **dict.fromkeys(("level", "began_s", "ended_s"), SECONDS),
        **dict.fromkeys(("lag_p99_s", "cpu"), MAYBE),
        load=st.sampled_from(["closed", "constant", "poisson"]),
        window=st.none() | st.tuples(SECONDS, SECONDS),
    ),
}


def reread(record: Record) -> Record | None:
    """Through a file and back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        path.write_bytes(seal(record))
        [(place, found)] = scan(path)
        assert place == Place(0, path.stat().st_size)
    return found


def test_a_line_ends_with_the_crc_of_all_bytes_before_it() -> None:
    """Anybody can check it with any JSON reader and any CRC-32."""
    line = seal(answer(1))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    members = json.loads(line)
    assert list(members)[-1] == "crc"
    body, _, _ = line.rpartition(b',"crc"')
    assert line == body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    assert {**members, "kind": "answer"} == members
    assert json.loads(body + b"}") == {k: v for k, v in members.items() if k != "crc"}


def test_every_kind_of_record_is_tried() -> None:
    """A new kind must come into the round trip below."""
    known = {kind.__struct_config__.tag for kind in Record.__args__}
    assert known == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_survives_the_file(kind: str) -> None:
    """Whatever stands in its texts: lone surrogates, NUL, separators, escape codes."""

    @settings(max_examples=60, deadline=None)
    @given(KINDS[kind])
    def holds(record: Record) -> None:
        assert encode(reread(record)) == encode(record)

    holds()


@pytest.mark.parametrize(
    "text",
    [
        "lone \ud800 and \udfff",
        "NUL \x00 in the middle\x00",
        "line\u2028paragraph\u2029next\x85line\x0b\x0c\x1c",
        "\r\n and \n and \r",
        'a forged crc ","crc":"00000000"}\n{"kind":"synced","offset":1}',
        "\x1b[31m\x9b0m\u202e",
        "长" * 350_000,
        "\ud83d" + "x" * 1_000_000,
    ],
    ids=[
        "surrogates",
        "nul",
        "separators",
        "newlines",
        "forged",
        "escapes",
        "1MB",
        "1MB surrogate",
    ],
)
def test_an_ugly_text_comes_back_character_by_character(tmp_path: Path, text: str) -> None:
    """Between two plain neighbours that are not disturbed."""
    path = tmp_path / "journal.jsonl"
    records = [answer(1), answer(2, text), answer(3)]
    path.write_bytes(seal(HEADER) + b"".join(seal(record) for record in records))
    assert read(path) == [HEADER, *records]


@given(st.binary(max_size=80))
@example(b',"crc":"00000000"}')
def test_bytes_that_nobody_sealed_are_not_intact(line: bytes) -> None:
    """Not even short ones."""
    assert not intact(line)


def test_the_crc_in_capitals_or_with_blanks_is_not_intact() -> None:
    """There is one spelling of a line, so that a changed byte is always seen."""
    line = next(s for n in range(99) if (s := seal(answer(n))[:-1])[-10:] != s[-10:].upper())
    assert intact(line)
    assert not intact(line[:-10] + line[-10:].upper())
    assert not intact(line[:-1] + b" }")


def test_a_last_line_without_newline_is_not_read_as_a_line(tmp_path: Path) -> None:
    """Its writer may still be at it."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(seal(HEADER) + seal(answer(1)) + seal(answer(2))[:-1])
    assert [record for _, record in scan(path)] == [HEADER, answer(1), None]


def test_a_reader_never_takes_the_second_half_of_a_line_for_damage(tmp_path: Path) -> None:
    """The writer goes on while somebody reads: the half line is the last that this reading sees."""
    path = tmp_path / "journal.jsonl"
    line = seal(answer(1))
    path.write_bytes(seal(HEADER) + line[:40])
    reading = scan(path)
    assert [next(reading)[1], next(reading)[1]] == [HEADER, None]
    with path.open("ab") as file:
        file.write(line[40:] + seal(Synced(len(seal(HEADER) + line))))
    assert list(reading) == []
    assert read(path) == [HEADER, answer(1)]


def test_a_whole_line_of_an_unknown_kind_is_refused_not_cut(tmp_path: Path) -> None:
    """No crash makes such a line; a later version does, and its work is not ours to throw away."""
    path = tmp_path / "journal.jsonl"
    body = b'{"kind":"dream","of":"sheep"'
    whole = body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    path.write_bytes(seal(HEADER) + whole + seal(answer(1)))
    with pytest.raises(JournalDamaged, match="another version of alignsweep") as caught:
        look(path)
    assert caught.value.line == 2
    with pytest.raises(JournalDamaged, match="says nothing known here"):
        list(scan(path))


def test_members_that_a_later_version_added_are_passed_over(tmp_path: Path) -> None:
    """A record may grow without a new format."""
    path = tmp_path / "journal.jsonl"
    body = encode(answer(1))[:-1] + b',"mood":"fine"'
    path.write_bytes(seal(HEADER) + body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    assert read(path) == [HEADER, answer(1)]


# --- a new file --------------------------------------------------------------------------------


def test_a_new_journal_holds_its_header_at_once_and_is_private(tmp_path: Path) -> None:
    """Before anything else happens, and for its owner's eyes only."""
    path = tmp_path / "journal.jsonl"

    async def main() -> None:
        journal = create(path, Inline())
        assert path.read_bytes() == seal(HEADER)
        assert path.stat().st_mode & 0o777 == 0o600
        assert [p.name for p in tmp_path.iterdir()] == ["journal.jsonl"]
        await journal.aclose()

    old = os.umask(0)
    try:
        run(main)
    finally:
        os.umask(old)


def test_a_journal_that_cannot_be_started_is_one_clear_error(tmp_path: Path) -> None:
    """Here its folder does not exist."""

    async def main() -> None:
        with pytest.raises(StorageError, match=r"cannot start .*No such file"):
            create(tmp_path / "nowhere" / "journal.jsonl", Inline())

    run(main)


# --- groups ------------------------------------------------------------------------------------


def test_a_result_is_told_after_its_group_is_durable_and_never_before(tmp_path: Path) -> None:
    """What a person sees as done survives a power cut."""
    log: list[str] = []

    async def main() -> None:
        journal = create(tmp_path / "journal.jsonl", Recording(log), log.append)
        keeping = asyncio.create_task(journal.keep_durable())
        journal.append(answer(1), told="one")
        journal.append_result(Settled(1), answer(2), told="two")
        journal.append(Intent(2, answer(3).trial, "a", 0.0))
        await asyncio.sleep(GROUP_S + 0.1)
        log.append("-")
        journal.append(answer(3), told="three")
        await asyncio.sleep(10)
        keeping.cancel()

    run(main)
    group = ["fdatasync begins", "-", "fdatasync ended", "one", "two"]
    assert log == [*group, "fdatasync begins", "fdatasync ended", "three"]


def test_a_group_is_told_after_one_second_however_small(tmp_path: Path) -> None:
    """The second counts from its first result."""
    told: list[tuple[float, int]] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        journal = create(tmp_path / "j", Inline(), lambda n: told.append((clock(), n)))
        keeping = asyncio.create_task(journal.keep_durable())
        await asyncio.sleep(10)
        journal.append(answer(1), told=1)
        await asyncio.sleep(0.75)
        journal.append(answer(2), told=2)
        await asyncio.sleep(100)
        keeping.cancel()

    run(main)
    assert [n for _, n in told] == [1, 2]
    assert [t_s for t_s, _ in told] == pytest.approx([10 + GROUP_S] * 2)


def test_sixty_four_results_do_not_wait_for_the_second(tmp_path: Path) -> None:
    """And sixty-three do."""
    told: list[int] = []

    async def main() -> None:
        journal = create(tmp_path / "j", Inline(), told.append)
        keeping = asyncio.create_task(journal.keep_durable())
        for n in range(1, GROUP):
            journal.append(answer(n), told=n)
        await asyncio.sleep(0.5)
        assert told == []
        journal.append(answer(GROUP), told=GROUP)
        await asyncio.sleep(0.001)
        assert told == list(range(1, GROUP + 1))
        keeping.cancel()

    run(main)


def test_intents_alone_are_never_synced(tmp_path: Path) -> None:
    """They are worth a write, not a fdatasync."""
    log: list[str] = []

    async def main() -> None:
        journal = create(tmp_path / "j", Recording(log))
        keeping = asyncio.create_task(journal.keep_durable())
        for n in range(200):
            journal.append(Intent(n, answer(n).trial, "a", 0.0))
        await asyncio.sleep(100)
        keeping.cancel()

    run(main)
    assert log == []


def test_syncing_by_hand_does_not_deafen_the_keeper(tmp_path: Path) -> None:
    """What is appended afterwards is told within the second, as ever."""
    told: list[int] = []

    async def main() -> None:
        journal = create(tmp_path / "j", Inline(), told.append)
        keeping = asyncio.create_task(journal.keep_durable())
        await asyncio.sleep(1)
        await journal.sync()
        journal.append(answer(1), told=1)
        await asyncio.sleep(GROUP_S + 0.1)
        assert told == [1]
        keeping.cancel()

    run(main)


def test_a_cancelled_session_still_tells_what_has_become_durable(tmp_path: Path) -> None:
    """The fdatasync under way is not to be stopped, nor its results forgotten."""
    log: list[str] = []

    async def main() -> None:
        journal = create(tmp_path / "j", Recording(log), log.append)
        keeping = asyncio.create_task(journal.keep_durable())
        journal.append(answer(1), told="one")
        await asyncio.sleep(GROUP_S + 0.1)
        keeping.cancel()
        journal.append(answer(2), told="two")
        await journal.aclose()

    run(main)
    order = ["fdatasync begins", "fdatasync ended"]
    assert log == [*order, "one", *order, "two", "closed"]


def test_a_synced_line_names_what_was_durable_when_it_was_written(tmp_path: Path) -> None:
    """Not what was appended during the fdatasync."""
    path = tmp_path / "j"
    sizes: list[int] = []

    async def main() -> None:
        journal = create(path, Recording([]))
        journal.append(answer(1), told=1)
        sizes.append(path.stat().st_size)
        syncing = asyncio.create_task(journal.sync())
        await asyncio.sleep(0.1)
        journal.append(answer(2), told=2)
        await syncing

    run(main)
    synced = [record for _, record in replay(path) if isinstance(record, Synced)]
    assert synced == [Synced(sizes[0])]
    assert read(path) == [HEADER, answer(1), answer(2)]


def test_real_threads_tell_everything_in_order(tmp_path: Path) -> None:
    """The production lane, with real fdatasyncs and many groups."""
    path, told = tmp_path / "j", list[int]()

    async def main() -> None:
        journal = create(path, Threads("journal"), told.append)
        keeping = asyncio.create_task(journal.keep_durable())
        for n in range(400):
            journal.append(answer(n), told=n)
            await asyncio.sleep(0)
        keeping.cancel()
        await journal.aclose()

    anyio.run(main)
    assert told == list(range(400))
    assert read(path) == [HEADER, *map(answer, range(400))]


def test_places_lead_back_to_their_lines(tmp_path: Path) -> None:
    """Also the second place of a pair, and after reopening."""
    path = tmp_path / "j"

    async def main() -> None:
        journal = create(path, Inline())
        one = journal.append(answer(1))
        two = journal.append_result(Settled(7), answer(2), told=0)
        assert (journal.read(one), journal.read(two)) == (seal(answer(1)), seal(answer(2)))
        await journal.aclose()
        again: Journal[int] = Journal.reopen(path, look(path)[2], Inline(), ignore)
        three = again.append(answer(3))
        assert (again.read(two), again.read(three)) == (seal(answer(2)), seal(answer(3)))
        await again.aclose()

    run(main)


# --- a disk that fails -------------------------------------------------------------------------


def test_a_failed_fdatasync_tells_nothing_and_is_never_tried_again(tmp_path: Path) -> None:
    """The kernel has forgotten the pages: a second one would say yes to nothing."""
    told: list[int] = []
    disk = Broken()

    async def main() -> None:
        journal = create(tmp_path / "j", disk, told.append)
        journal.append(answer(1), told=1)
        with pytest.raises(StorageError, match=r"fdatasync of .* failed: Input/output error"):
            await journal.keep_durable()
        with pytest.raises(StorageError, match="Input/output error"):
            journal.append(answer(2), told=2)
        with pytest.raises(StorageError, match="Input/output error"):
            journal.append_result(Settled(1), answer(3), told=3)
        with pytest.raises(StorageError, match="Input/output error"):
            await journal.sync()
        await journal.aclose()

    run(main)
    assert told == []
    assert disk.asked == 1
    assert read(tmp_path / "j") == [HEADER, answer(1)]


def test_a_group_behind_a_failing_one_does_not_ask_the_disk_either(tmp_path: Path) -> None:
    """Here the session was cancelled while the fdatasync was under way, and then closes."""
    told: list[int] = []
    disk = Broken()

    async def main() -> None:
        journal = create(tmp_path / "j", disk, told.append)
        journal.append(answer(1), told=1)
        keeping = asyncio.create_task(journal.keep_durable())
        await asyncio.sleep(GROUP_S + 0.1)
        keeping.cancel()
        journal.append(answer(2), told=2)
        with pytest.raises(StorageError, match="Input/output error"):
            await journal.aclose()

    run(main)
    assert told == []
    assert disk.asked == 1


def test_a_file_that_cannot_be_made_durable_is_not_reopened() -> None:
    """The null device takes every write and no fdatasync."""

    async def main() -> None:
        with pytest.raises(StorageError, match=r"cannot open /dev/null: Invalid argument"):
            Journal.reopen(Path("/dev/null"), 0, Inline(), ignore)

    run(main)


def test_a_closed_journal_refuses_to_be_written(tmp_path: Path) -> None:
    """Its descriptor's number may belong to another file by now."""

    async def main() -> None:
        journal = create(tmp_path / "j", Inline())
        await journal.aclose()
        with (tmp_path / "other").open("wb", buffering=0) as other:
            with pytest.raises(StorageError, match="/j is closed"):
                journal.append(answer(1))
            assert other.tell() == 0

    run(main)


SHORT_WRITES = """
import asyncio, resource, sys
from pathlib import Path
from cache.journal import Journal, survey
from cache.offload import Inline
from data.errors import StorageError
from tests.test_journal import HEADER, answer, ignore, seal

def allow(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def start(path, room):
    allow(room)
    try:
        Journal.create(path, HEADER, Inline(), ignore)
    except StorageError as error:
        assert "cannot write" in str(error), error
    assert not path.exists()

async def one(path, room):
    allow(resource.RLIM_INFINITY)
    journal = Journal.create(path, HEADER, Inline(), ignore)
    first = journal.append(answer(1), told=1)
    await journal.sync()
    size = path.stat().st_size
    allow(size + room)
    try:
        journal.append(answer(2), told=2)
    except StorageError as error:
        assert "cannot write" in str(error), error
        assert str(path) in str(error), error
    else:
        assert room >= len(seal(answer(2))), room
    allow(resource.RLIM_INFINITY)
    wrote = room >= len(seal(answer(2)))
    assert path.stat().st_size == size + wrote * len(seal(answer(2))), room
    try:
        journal.append(answer(3))
    except StorageError:
        assert not wrote
    else:
        assert wrote
    await journal.aclose()
    assert survey(path, lambda *_: None).torn is None
    return wrote

async def main():
    for room in range(len(seal(HEADER))):
        start(Path(sys.argv[1]) / "unborn", room)
    longest = len(seal(answer(2))) + 3
    outcomes = [await one(Path(sys.argv[1]) / "j", room) for room in range(longest)]
    print(outcomes.count(False), outcomes.count(True))

asyncio.run(main())
"""


def python(*arguments: str) -> subprocess.Popen[str]:
    """A Python of ours, at the project's root."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_disk_that_fills_up_leaves_a_whole_file_and_stops_the_journal(memory: Path) -> None:
    """At every byte of a line: the short write is cut back, and nothing more is accepted.

    Within the header, no journal appears at all.
    """
    child = python("-c", SHORT_WRITES, str(memory))
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out.split() == [str(len(seal(answer(2)))), "3"]


# --- reopening ---------------------------------------------------------------------------------


@pytest.fixture
def crashed(memory: Path) -> Path:
    """A journal of five durable answers in two groups, and three lines that no fdatasync covers."""
    path = memory / "journal.jsonl"
    path.write_bytes(run(partial(crash, path)))
    return path


async def crash(path: Path) -> bytes:
    """The file as a kill -9 would leave it."""
    journal = create(path, Inline())
    for n in (1, 2, 3):
        journal.append(answer(n), told=n)
    await journal.sync()
    for n in (4, 5):
        journal.append(answer(n), told=n)
    await journal.sync()
    journal.append(Intent(6, answer(6).trial, "account", 1.0))
    journal.append(answer(7), told=7)
    journal.append(answer(8), told=8)
    left = path.read_bytes()
    await journal.aclose()
    return left


def last_lines(data: bytes, count: int) -> int:
    """Where the last `count` lines begin."""
    return len(b"".join(data.splitlines(keepends=True)[:-count]))


def mangled(data: bytes, at: int, how: str) -> bytes:
    """The file after a power cut that let only `at` bytes reach the disk."""
    if how == "cut":
        return data[:at]
    if how == "zeros":
        return data[:at] + bytes(len(data) - at) + bytes(100)
    dice = random.Random(at)
    noise = bytes(byte ^ dice.randrange(1, 256) for byte in data[at:])
    return data[:at] + noise + dice.randbytes(50)


@pytest.mark.parametrize("how", ["cut", "zeros", "noise"])
def test_every_torn_tail_is_cut_and_nothing_else(crashed: Path, how: str) -> None:
    """At each byte of the last three lines: the lines before remain, and the next append is sound."""
    data = crashed.read_bytes()
    ends = [place.offset + place.length for place, _ in scan(crashed)]
    written = [record for _, record in scan(crashed)]

    async def at(cut: int) -> None:
        crashed.write_bytes(mangled(data, cut, how))
        whole = [r for r, end in zip(written, ends, strict=True) if end <= cut]
        before = [r for r in whole if not isinstance(r, Synced)]
        found, torn, size = look(crashed)
        assert found == before
        assert size == max(end for end in ends if end <= cut)
        behind = crashed.stat().st_size - size
        assert torn == (Tail(size, behind) if behind else None)
        journal: Journal[int] = Journal.reopen(crashed, size, Inline(), ignore)
        journal.append(answer(99))
        await journal.aclose()
        assert look(crashed) == ([*before, answer(99)], None, crashed.stat().st_size)

    async def main() -> None:
        for cut in range(last_lines(data, 3), len(data) + 1):
            await at(cut)

    run(main)


def test_recovery_can_be_killed_and_done_again(crashed: Path) -> None:
    """After the cut, after the Synced line, after part of it: the records are the same."""
    data = crashed.read_bytes()
    torn = data[: len(data) - 5]
    crashed.write_bytes(torn)
    records, tail, size = look(crashed)
    assert tail == Tail(size, len(torn) - size)

    async def recover() -> bytes:
        journal: Journal[int] = Journal.reopen(crashed, look(crashed)[2], Inline(), ignore)
        after = crashed.read_bytes()
        await journal.aclose()
        return after

    recovered = run(recover)
    assert recovered == data[:size] + seal(Synced(size))
    for stage in [torn, *(recovered[:end] for end in range(size, len(recovered) + 1))]:
        crashed.write_bytes(stage)
        run(recover)
        assert look(crashed)[:2] == (records, None)


def test_a_resumed_journal_has_its_whole_past_provably_durable(crashed: Path) -> None:
    """Damage that comes after a resume is never taken for a tail."""

    async def main() -> None:
        journal: Journal[int] = Journal.reopen(crashed, look(crashed)[2], Inline(), ignore)
        await journal.aclose()

    run(main)
    data = bytearray(crashed.read_bytes())
    data[data.index("回答 8".encode()) + 1] ^= 1
    crashed.write_bytes(data)
    with pytest.raises(JournalDamaged):
        look(crashed)


def test_every_changed_byte_is_refused_or_cut_and_never_believed(crashed: Path) -> None:
    """Before the durable offset it is damage, with its place; behind it the tail begins there."""
    data = crashed.read_bytes()
    lines = list(scan(crashed))
    dice = random.Random(0)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << dice.randrange(8)
        crashed.write_bytes(damaged)
        number, (place, _) = max(
            (n, line) for n, line in enumerate(lines, start=1) if line[0].offset <= at
        )
        merged = at == place.offset + place.length - 1  # a newline: two lines become one
        bad = {number, number + merged}
        proofs = [
            r.offset for n, (_, r) in enumerate(lines, 1) if isinstance(r, Synced) and n not in bad
        ]
        if place.offset < max(proofs, default=0) or number == 1:
            with pytest.raises(JournalDamaged) as caught:
                look(crashed)
            assert (caught.value.line, caught.value.path) == (number, str(crashed))
            assert f"{crashed}:{number}: " in str(caught.value)
            if number > 1:
                assert f"byte {place.offset}" in str(caught.value)
            assert crashed.read_bytes() == damaged
        else:
            before = [r for p, r in lines if p.offset < place.offset]
            found, torn, size = look(crashed)
            assert found == [r for r in before if not isinstance(r, Synced)]
            assert (size, torn) == (place.offset, Tail(size, len(data) - size))


DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=40)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(damage=DAMAGE, inserted=st.booleans())
def test_no_damage_ever_shows_a_record_that_was_not_written(
    damage: list[tuple[float, bytes]], inserted: bool
) -> None:
    """Overwritten or inserted bytes: what is shown is the beginning of what was written."""
    written: list[Record] = [HEADER, *map(answer, range(6)), Synced(200), *map(answer, range(6, 9))]
    data = b"".join(seal(record) for record in written)
    for where, noise in damage:
        at = int(where * len(data))
        data = data[:at] + noise + data[at + (0 if inserted else len(noise)) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        path.write_bytes(data)
        shown: list[Record] = []
        try:
            for _, record in replay(path):
                shown.append(record)
        except DataError:
            pass
        assert shown == written[: len(shown)]
        assert path.read_bytes() == data


def test_damage_is_refused_also_when_only_a_later_line_proves_it(tmp_path: Path) -> None:
    """The Synced line behind it says that the bad line was durable once."""
    path = tmp_path / "j"
    damaged = seal(answer(1)).replace("回答 1".encode(), "回答 7".encode())
    start = seal(HEADER) + damaged
    path.write_bytes(start + seal(answer(2)) + seal(Synced(len(start))))
    with pytest.raises(JournalDamaged, match="was durable") as caught:
        look(path)
    assert "nothing was changed" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\x00" * 4096, "not a journal"),
        (b'{"question_id": 1}\n', "not a journal"),
        (seal(answer(1)), "not a journal"),
        (seal(HEADER)[:-1], "not a journal"),
        (b"\xef\xbb\xbf" + seal(HEADER), "not a journal"),
    ],
    ids=["empty", "zeros", "foreign", "headless", "half a header", "edited"],
)
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """And stays as it is."""
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match=message):
        look(path)
    assert path.read_bytes() == content


def test_a_journal_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    """A folder in its place, or nothing."""
    with pytest.raises(DataError, match="directory"):
        look(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        look(tmp_path / "j")


# --- the lock ----------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from cache.journal import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone_however_it_goes(
    tmp_path: Path,
) -> None:
    """It is told who holds the folder; kill -9 leaves no stale lock behind."""
    child = python("-c", HOLDER, str(tmp_path))
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        who = f"in use by process {child.pid} on {socket.gethostname()}$"
        with pytest.raises(RunBusy, match=who):
            RunLock(tmp_path)
        child.send_signal(signal.SIGKILL)
        child.wait(20)
        RunLock(tmp_path).close()
    finally:
        child.kill()
        child.communicate()


def test_a_released_lock_is_free_and_a_held_one_is_not(tmp_path: Path) -> None:
    """Within one process too."""
    first = RunLock(tmp_path)
    with pytest.raises(RunBusy, match=f"process {os.getpid()} on "):
        RunLock(tmp_path)
    first.close()
    RunLock(tmp_path).close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_the_holder_is_shown_as_plain_text(tmp_path: Path) -> None:
    """Whatever somebody wrote into the lock file does not reach the terminal as it is."""
    first = RunLock(tmp_path)
    (tmp_path / "lock").write_bytes(b"\x1b[31mnobody\xff\n")
    with pytest.raises(RunBusy) as caught:
        RunLock(tmp_path)
    assert "\x1b" not in str(caught.value)
    assert "nobody" in str(caught.value)
    first.close()


def test_a_folder_that_cannot_be_locked_is_one_clear_error(tmp_path: Path) -> None:
    """Here a folder lies where the lock should."""
    (tmp_path / "lock").mkdir()
    with pytest.raises(AlignsweepError, match=r"cannot lock .*directory"):
        RunLock(tmp_path)


# --- lines written together ----------------------------------------------------------------------


def test_results_of_one_turn_are_written_together_where_they_were_said(tmp_path: Path) -> None:
    """Nothing within the turn, everything after it; a look at a line finds it at once."""
    path = tmp_path / "journal.jsonl"

    async def main() -> None:
        journal = create(path, Inline())
        before = path.stat().st_size
        places = [journal.append_result(answer(n, "字" * n), told=n) for n in range(3)]
        places.append(journal.append_result(Settled(1, 0.5), answer(9), told="x"))
        assert path.stat().st_size == before
        await asyncio.sleep(0)
        assert path.stat().st_size == places[-1].offset + places[-1].length
        places.append(journal.append_result(answer(4), told="y"))
        lines = [answer(0, ""), answer(1, "字"), answer(2, "字字"), answer(9), answer(4)]
        assert [journal.read(place) for place in places] == [seal(line) for line in lines]
        await journal.aclose()

    run(main)
    found, tail, _ = look(path)
    assert tail is None
    assert len([record for record in found if isinstance(record, Answer)]) == 5


def test_an_intent_takes_the_results_before_it_along(tmp_path: Path) -> None:
    """It is in the file when `append` returns, and they stand before it."""
    path = tmp_path / "journal.jsonl"

    async def main() -> None:
        journal = create(path, Inline())
        journal.append_result(answer(1), told=1)
        journal.append(Intent(2, answer(2).trial, "a", 0.0))
        assert [type(record) for record in read(path)] == [Header, Answer, Intent]
        await journal.aclose()

    run(main)


def test_what_waits_is_durable_before_it_is_told(tmp_path: Path) -> None:
    """Also where the group is synced within the turn."""
    path, told = tmp_path / "journal.jsonl", []

    async def main() -> None:
        journal = create(path, Inline(), lambda what: told.append((what, read(path))))
        journal.append_result(answer(1), told="one")
        await journal.sync()
        await journal.aclose()

    run(main)
    assert [(what, answer(1) in there) for what, there in told] == [("one", True)]


def test_results_that_cannot_be_written_stop_the_journal(tmp_path: Path) -> None:
    """Whoever comes next is told; the file keeps its size."""
    path = tmp_path / "journal.jsonl"

    async def main() -> None:
        journal = create(path, Inline())
        before = path.read_bytes()
        readable = os.open(path, os.O_RDONLY)
        os.dup2(readable, journal._fd)  # every write is refused from now on
        journal.append_result(answer(1), told=1)
        journal.append_result(answer(2), told=2)
        await asyncio.sleep(0)
        with pytest.raises(StorageError, match="cannot write"):
            journal.append_result(answer(3), told=3)
        with pytest.raises(StorageError, match="cannot write"):
            await journal.sync()
        assert path.read_bytes() == before
        os.close(readable)

    run(main)


def test_a_reader_can_tell_whether_somebody_is_at_work(tmp_path: Path) -> None:
    """Without disturbing him, and without leaving a lock where there was none."""
    assert not at_work(tmp_path)
    assert not (tmp_path / "lock").exists()
    holder = RunLock(tmp_path)
    assert at_work(tmp_path)
    assert at_work(tmp_path)
    holder.close()
    assert not at_work(tmp_path)
    RunLock(tmp_path).close()


def test_a_journal_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    """Such as a folder in its place, or none."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="irectory"):
            list(scan(path))
