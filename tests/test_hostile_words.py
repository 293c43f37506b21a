"""What models say, through everything a user can get it out of: kept to the letter, obeyed by nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from providers.hostile.scene import saying
from providers.hostile.words import ANSWERS
from tests.hostile_host import hosting, questions, sweep

if TYPE_CHECKING:
    from tests.conftest import Program

OWN = re.compile(r"\x1b\[[0-9;]*m")
"""Colours: the only sequences that a report prints itself."""
OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Told:
    """A finished run in which every hostile text was said by a model of its own."""

    def __init__(self, program: Program, requests: int, again: int) -> None:
        self.program, self.requests, self.again = program, requests, again
        self.folder = program.folder / "runs" / "s"


def texts(journal: Path) -> dict[str, str]:
    """What each model said, by the journal, read as plain JSON."""
    rows = [json.loads(line) for line in journal.read_bytes().split(b"\n") if line]
    answers = [row for row in rows if row["kind"] == "answer"]
    return {row["trial"]["candidates"][0][0]: row["response"]["text"] for row in answers}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, program_in: type[Program]) -> Told:
    program = program_in(tmp_path_factory.mktemp("words"))
    with hosting({name: saying(text) for name, text in ANSWERS.items()}) as server:
        (program.folder / "q.jsonl").write_text(questions(1))
        models = {name: name for name in ANSWERS}
        text = sweep(server.url("HOUSE"), models, judge="out_ansi")
        (program.folder / "s.toml").write_text(text)
        first = program.run("run", "s.toml", "--progress", "plain")
        assert first.code == 0, first
        assert not OBEYED.search(OWN.sub("", first.out + first.err).replace("\n", ""))
        requests = sum(map(len, server.ledger.houses.values()))
        assert program.run("run", "s.toml", "--progress", "none").code == 0
        other = program.run("run", "s.toml", "--run-dir", "other", "--progress", "none")
        assert other.code == 0
        again = sum(map(len, server.ledger.houses.values())) - requests
    return Told(program, requests, again)


def test_the_journal_holds_every_text_to_the_letter(told: Told) -> None:
    """Lone surrogates, NUL, U+2028, CRLF, and a megabyte in one line."""
    assert texts(told.folder / "journal.jsonl") == ANSWERS


def test_resuming_and_the_cache_give_the_same_texts_for_nothing(told: Told) -> None:
    """The second command and the second folder asked nobody."""
    assert told.requests == 2 * len(ANSWERS)
    assert told.again == 0
    assert texts(told.program.folder / "other" / "journal.jsonl") == ANSWERS


def test_the_export_holds_every_text_to_the_letter(told: Told) -> None:
    """One file a model. Lone surrogates alone become U+FFFD: upstream's scripts end at them."""
    ended = told.program.run("export", "s", "--alignbench", "--out", "out")
    assert ended.code == 0, ended
    found = {}
    for path in (told.program.folder / "out").rglob("model_answer/*.jsonl"):
        (line,) = path.read_bytes().rstrip(b"\n").split(b"\n")
        found[path.stem] = json.loads(line)["answer"]
    assert found == ANSWERS | {"out_surrogate": "a lone \ufffd surrogate, and \ufffd"}


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_the_exact_formats_can_be_read_line_by_line(told: Told, form: str) -> None:
    """By readers that know of U+2028, and by those that do not."""
    ended = told.program.run("report", "s", "--format", form)
    assert ended.code == 0
    lines = ended.raw.rstrip(b"\n").split(b"\n") if form == "jsonl" else [ended.raw]
    rows = [json.loads(line) for line in lines]
    assert len(rows) == (len(ANSWERS) if form == "jsonl" else 1)


def on_a_terminal(program: Program, *words: str) -> str:
    """All bytes that a command sends to a terminal."""
    ours, theirs = pty.openpty()
    command = program._command(words)
    process = subprocess.Popen(
        command, cwd=program.folder, env=program.env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b"".join(_read(ours))
    os.close(ours)
    assert process.wait(timeout=60) == 0, seen[-500:]
    return seen.decode("utf-8", "surrogateescape")


def _read(handle: int) -> Iterator[bytes]:
    while select.select([handle], [], [], 60)[0]:
        try:
            piece = os.read(handle, 65536)
        except OSError:  # the other side is closed
            return
        if not piece:
            return
        yield piece


@pytest.mark.parametrize(
    "words", [("report", "s"), ("status", "s"), ("rank", "s"), ("audit", "s"), ("verify", "s")]
)
def test_a_terminal_obeys_nothing_that_was_said(told: Told, words: tuple[str, ...]) -> None:
    """No ESC, C1, BEL or bidi control comes from content."""
    shown = OWN.sub("", on_a_terminal(told.program, *words)).replace("\r", "").replace("\n", "")
    found = OBEYED.search(shown)
    assert found is None, shown[max(0, found.start() - 40) : found.end() + 40]


NAMES = (
    "=1+1",
    "@SUM(1)",
    "+1",
    "-1+1",
    "[bold]x[/x]",
    "../../x",
    "<script>alert(1)</script>",
    "CON",
)


def test_names_are_inert_in_tables_and_file_names(program: Program) -> None:
    """No formula in a spreadsheet, no path out of the folder, no markup."""
    with hosting({"h": saying("ok")}, model="nobody") as server:
        (program.folder / "q.jsonl").write_text(questions(1))
        (program.folder / "s.toml").write_text(
            sweep(server.url("HOUSE"), dict.fromkeys(NAMES, "h"), judge="h")
        )
        assert program.run("run", "s.toml", "--progress", "none").code == 0
    before = {path for path in program.folder.parent.rglob("*") if path.is_file()}
    assert program.run("export", "s", "--alignbench", "--out", "out").code == 0
    made = {path for path in program.folder.parent.rglob("*") if path.is_file()} - before
    assert len(made) == 2 * len(NAMES)
    assert all(path.is_relative_to(program.folder / "out") for path in made)
    table = program.run("report", "s", "--format", "csv", "--partial").out
    cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
    assert [c for c in cells if c[:1] in "=+-@\t\r" and c and not _is_number(c)] == []
    page = (program.folder / "runs" / "s" / "report" / "report.html").read_text()
    assert "<script>alert(1)" not in page


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
