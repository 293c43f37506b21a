"""A damaged journal, mended: what is whole stays, what is not is named, and nothing is guessed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.journal import intact, replay, scan, seal
from cache.salvage import salvage
from data.errors import JournalDamaged, StorageError
from data.schema import Answer, Header, Response, Sweep, Synced, Trial

SWEEP = Sweep(
    name="s",
    benchmark="b",
    benchmark_sha256="0" * 64,
    rubric_sha256={},
    temperatures={},
    models=(),
    judges=(),
    providers=(),
)
HEADER = seal(Header(format=1, run_id="r", digest="d", created_s=1.5, engine="e", sweep=SWEEP))


def answer(number: int) -> bytes:
    trial = Trial(kind="answer", question_id=number, candidates=(("m", 0),))
    return seal(Answer(trial=trial, response=Response(text=f"回答 {number}")))


ANSWERS = [answer(number) for number in range(6)]


def journal(folder: Path, *lines: bytes) -> Path:
    """A journal whose last line proves all before it durable."""
    data = HEADER + b"".join(lines)
    path = folder / "journal.jsonl"
    path.write_bytes(data + seal(Synced(len(data))) + answer(99))
    return path


def harm(path: Path, line: bytes) -> bytes:
    """One byte of a line changed; what the file then is."""
    data = path.read_bytes()
    at = data.index(line) + len(line) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return path.read_bytes()


def test_whole_lines_are_kept_on_both_sides_of_the_damage(tmp_path: Path) -> None:
    """In order, with a Synced line of their own; the file of before lies beside it."""
    path = journal(tmp_path, *ANSWERS)
    damaged = harm(path, ANSWERS[2])
    mended = salvage(path)
    assert mended is not None
    kept = [HEADER, *ANSWERS[:2], *ANSWERS[3:], answer(99)]
    assert path.read_bytes() == b"".join(kept) + seal(Synced(sum(map(len, kept))))
    assert mended.kept == len(kept)
    offset = len(HEADER) + len(ANSWERS[0]) + len(ANSWERS[1])
    assert mended.lost == ((4, offset, len(ANSWERS[2])),)
    assert mended.lost_bytes == len(ANSWERS[2])
    assert mended.original.read_bytes() == damaged
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(replay(path))) == len(kept) + 1


def test_a_second_damage_gets_a_name_of_its_own(tmp_path: Path) -> None:
    """The first original is not overwritten."""
    path = journal(tmp_path, *ANSWERS)
    first = harm(path, ANSWERS[1])
    salvage(path)
    second = harm(path, ANSWERS[4])
    mended = salvage(path)
    assert mended is not None
    assert mended.original == tmp_path / "journal.damaged-2.jsonl"
    assert mended.original.read_bytes() == second
    assert (tmp_path / "journal.damaged-1.jsonl").read_bytes() == first


def test_what_a_crash_leaves_needs_no_mending(tmp_path: Path) -> None:
    """Nor does a whole file; both stay as they are."""
    path = journal(tmp_path, *ANSWERS)
    for tail in (b"", b'{"kind":"ans'):
        path.write_bytes(path.read_bytes() + tail)
        before = path.read_bytes()
        assert salvage(path) is None
        assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize("content", [b"", b"nothing of ours\n", answer(1), b"x" + HEADER[1:]])
def test_without_a_header_nobody_knows_what_the_rest_means(tmp_path: Path, content: bytes) -> None:
    """One clear error, and nothing is touched."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match="first line cannot be read"):
        salvage(path)
    assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failing_disk_leaves_the_damaged_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step: a new file that cannot be opened, synced, or that cannot take its place."""
    path = journal(tmp_path, *ANSWERS)
    damaged = harm(path, ANSWERS[0])

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    for step in ("open", "fsync", "link"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, broken)
            with pytest.raises(StorageError, match=r"cannot mend .*Input/output error"):
                salvage(path)
        assert path.read_bytes() == damaged
    assert salvage(path) is not None


@settings(max_examples=150)
@given(st.data())
def test_whatever_was_damaged_only_lines_that_were_written_are_kept(data: st.DataObject) -> None:
    """Bytes changed, cut out and put in, anywhere behind the header."""
    with tempfile.TemporaryDirectory() as folder:
        path = journal(Path(folder), *ANSWERS)
        whole = path.read_bytes()
        begin = data.draw(st.integers(len(HEADER), len(whole) - 1))
        end = data.draw(st.integers(begin, min(len(whole), begin + 400)))
        path.write_bytes(whole[:begin] + data.draw(st.binary(max_size=40)) + whole[end:])
        mended = salvage(path)
        if mended is None:
            return
        written = set(whole.split(b"\n"))
        *kept, synced = path.read_bytes().removesuffix(b"\n").split(b"\n")
        assert set(kept) <= written
        assert all(map(intact, kept))
        assert isinstance([record for _, record in scan(path)][-1], Synced)
        assert intact(synced)
        assert mended.original.stat().st_size == mended.lost_bytes + sum(
            len(line) + 1 for line in mended.original.read_bytes().split(b"\n") if intact(line)
        )
        assert salvage(path) is None, "mended is mended"
