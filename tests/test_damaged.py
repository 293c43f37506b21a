"""A run's folder that somebody damaged: one clear error with its place or a cut tail, and nothing lost.

The journal of a finished run is spoilt in every way that a hand, a tool or a bad disk has; what is refused
stays byte for byte as it was, nothing is sent, and `repair` mends what was damaged in the middle.
"""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lives import NEEDED, RUN, Place, crew, place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")
Lines = list[bytes]


def flipped(lines: Lines, at: int) -> Lines:
    spoilt = bytearray(lines[at])
    spoilt[len(spoilt) // 2] ^= 4
    return [*lines[:at], bytes(spoilt), *lines[at + 1 :]]


def sealed(body: bytes) -> bytes:
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def changed_format(lines: Lines, number: int) -> Lines:
    body = lines[0].rpartition(b',"crc"')[0].replace(b'"format":1', b'"format":%d' % number)
    return [sealed(body), *lines[1:]]


REFUSED: dict[str, tuple[Callable[[Lines], Lines], bool]] = {
    "a flipped bit": (lambda x: flipped(x, 40), True),
    "nuls": (lambda x: [*x[:40], bytes(len(x[40]) - 1) + b"\n", *x[41:]], True),
    "a foreign line": (lambda x: [*x[:40], b"hello\n", *x[40:]], True),
    "half a line": (lambda x: [*x[:40], x[40][:30], *x[41:]], True),
    "a huge line": (lambda x: [*x[:40], b"x" * 20_000_000 + b"\n", *x[40:]], True),
    "a line of a later version": (lambda x: [*x[:40], sealed(b'{"kind":"dream"'), *x[40:]], False),
    "an older format": (lambda x: changed_format(x, 0), False),
    "a newer format": (lambda x: changed_format(x, 2), False),
    "no header": (lambda x: x[1:], False),
    "a flipped header": (lambda x: flipped(x, 0), False),
    "empty": (lambda x: [], False),
}
"""How a journal is spoilt, and whether `repair` can mend it."""


def prepared() -> dict[str, bytes]:
    """The files of a finished run."""
    with place() as own:
        assert own.live(commands=[RUN]).code == 0
        names = [p for p in own.run.rglob("*") if p.is_file()]
        return {p.relative_to(own.run).as_posix(): p.read_bytes() for p in names}


def laid(own: Place, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (own.run / name).parent.mkdir(parents=True, exist_ok=True)
        (own.run / name).write_bytes(data)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return crew().submit(prepared).result()


def lives(files: dict[str, bytes], *commands: tuple[str, ...]) -> list[tuple[int, int, str, bytes]]:
    """Code, requests, words and the journal after each of the commands. By the crew."""
    with place() as own:
        laid(own, files)
        found = []
        for words in commands:
            life = own.live(commands=[words])
            found.append((life.code, life.sent, life.said, own.journal.read_bytes()))
        return found


@pytest.mark.parametrize("how", REFUSED)
def test_a_spoilt_journal_is_refused_with_its_place_and_left_as_it_is(
    files: dict[str, bytes], how: str
) -> None:
    """Exit 2, nothing sent; damage in the middle is mended, and only what was lost is asked again."""
    spoil, mendable = REFUSED[how]
    spoilt = b"".join(spoil(files["journal.jsonl"].splitlines(keepends=True)))
    run, report, repair, again = crew().submit(
        lives, {**files, "journal.jsonl": spoilt}, RUN, ("report", "s"), ("repair", "s"), RUN
    ).result()  # fmt: skip
    readers = () if "later" in how else (report,)  # which takes only the kinds apart that it wants
    for code, sent, said, journal in (run, *readers):
        assert (code, sent) == (2, 0), said
        assert said.startswith("error: runs/s/journal.jsonl")
        assert said.count("error: ") == 1
        assert journal == spoilt
    if mendable:
        assert repair[0] == 0, repair[2]
        assert again[0] == 0, again[2]
        assert again[1] <= 2
    else:
        assert repair[3] == spoilt


@pytest.mark.parametrize("how", ["twice", "swapped", "gone"])
def test_whole_lines_in_another_order_cost_nothing_but_what_is_gone(
    files: dict[str, bytes], how: str
) -> None:
    """A result twice is one result; one that is gone is asked again."""
    lines = files["journal.jsonl"].splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith(b'{"kind":"judgment"'))
    found = {
        "twice": [*lines[: at + 1], lines[at], *lines[at + 1 :]],
        "swapped": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        "gone": [*lines[:at], *lines[at + 1 :]],
    }[how]
    [(code, sent, said, _)] = (
        crew().submit(lives, {**files, "journal.jsonl": b"".join(found)}, RUN).result()
    )
    assert code == 0, said
    assert sent == (1 if how == "gone" else 0)
    assert f"{NEEDED // 2} of {NEEDED // 2} judgments" in said


# --- the other files ---------------------------------------------------------------------------


def spoilt_file(files: dict[str, bytes], name: str, how: str) -> tuple[int, int, str, bytes]:
    """A life of `report` (or `run`, for the lock) after one file was spoilt; the bytes of a bystander."""
    with place() as own:
        laid(own, files)
        path, victim = own.run / name, own.folder / "victim"
        victim.write_bytes(b"precious")
        path.unlink()
        match how:
            case "garbage":
                path.write_bytes(b"\0\xff{" * 99)
            case "cut":
                path.write_bytes(files[name][: len(files[name]) // 2])
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "link":
                path.symlink_to(victim)
        life = own.live(commands=[RUN if name == "lock" else ("report", "s")])
        return life.code, life.sent, life.said, victim.read_bytes()


@pytest.mark.parametrize("name", ["benchmark.json", "rubrics.json"])
@pytest.mark.parametrize("how", ["missing", "garbage", "cut", "folder", "pipe", "link"])
def test_a_stored_file_that_is_spoilt_is_named(
    files: dict[str, bytes], name: str, how: str
) -> None:
    """And never waited for, followed into the dark, or believed."""
    code, sent, said, victim = crew().submit(spoilt_file, files, name, how).result(30)
    assert (code, sent, victim) == (2, 0, b"precious"), said
    assert said.startswith(f"error: runs/s/{name}")


@pytest.mark.parametrize("how", ["folder", "link"])
def test_a_lock_that_is_none_is_refused_and_nothing_else_is_overwritten(
    files: dict[str, bytes], how: str
) -> None:
    """A symlink in its place would have had another file emptied."""
    code, sent, said, victim = crew().submit(spoilt_file, files, "lock", how).result(30)
    assert (code, sent, victim) == (2, 0, b"precious"), said
    assert said.startswith("error: cannot lock runs/s/lock")


# --- the cache ---------------------------------------------------------------------------------


def with_cache(how: str) -> tuple[int, int, str]:
    """A second run beside a cache that was spoilt after the first."""
    with place() as own:
        assert own.live(commands=[RUN]).code == 0
        shutil.rmtree(own.run)
        [cache] = own.folder.rglob("responses.sqlite")
        data = bytearray(cache.read_bytes())
        match how:
            case "garbage":
                data = bytearray(b"garbage" * 999)
            case "truncated":
                data = data[: len(data) // 2]
            case "flipped":
                for at in range(5000, len(data), 3001):
                    data[at] ^= 16
        for beside in Path(cache.parent).glob("responses.sqlite-*"):
            beside.unlink()
        cache.write_bytes(bytes(data))
        life = own.live(commands=[RUN])
        if life.code == 0:
            assert len(own.results()) == NEEDED
        return life.code, life.sent, life.said


@pytest.mark.parametrize("how", ["garbage", "truncated", "flipped"])
def test_a_spoilt_cache_is_refused_or_known_to_know_less(how: str) -> None:
    """Never a wrong answer, never a crash."""
    code, sent, said = crew().submit(with_cache, how).result()
    if code == 2:
        assert (sent, said.count("error: ")) == (0, 1)
        assert "not a usable response cache" in said
    else:
        assert code == 0, said
        assert 0 < sent <= NEEDED
