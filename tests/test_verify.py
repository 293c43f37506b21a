"""A run that can be checked, mended and run again for nothing: verify, repair, cache export."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cache.journal import seal
from data.codec import decode_record, replace
from data.schema import Judgment, Record
from engine.rundir import records

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """
name = "s"
benchmark = "mini"
asks = 2
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
[providers.sim.simulator]
refusal_rate = 0.05
malformed_verdict_rate = 0.3
truncation_rate = 0.05
error_rate = 0.02
[[models]]
name = "a"
provider = "sim"
model = "gpt-4-1106-preview"
retry_max_tokens = 900
max_tokens = 200
[[models]]
name = "b"
provider = "sim"
model = "chatglm3-6b"
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
[[judges]]
name = "pairs"
provider = "sim"
model = "gpt-4-0613"
rubric = "alignsweep-pairs"
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, program_in: type[Program]) -> Program:
    """A run with refusals, cut answers, unreadable verdicts and both kinds of judges."""
    program = program_in(tmp_path_factory.mktemp("original"))
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    ended = program.run("run", "s.toml", "--progress", "none")
    assert ended.code == 0, ended
    return program


@pytest.fixture
def program(original: Program, tmp_path: Path, program_in: type[Program]) -> Program:
    """A copy of that run, to do harm to; with an empty home."""
    shutil.copytree(original.folder / "runs", tmp_path / "runs")
    shutil.copy(original.folder / "s.toml", tmp_path)
    return program_in(tmp_path)


def findings(program: Program, run: str = "s") -> tuple[int, dict[str, str]]:
    """The exit code of `verify`, and the state of everything it checked."""
    ended = program.run("verify", run, "--json")
    told: dict[str, Any] = json.loads(ended.out)
    assert told["verified"] == (ended.code == 0)
    return ended.code, {f["what"]: f["state"] for f in told["findings"]}


def rewritten(path: Path, change: Callable[[Record], Record]) -> None:
    """The journal as a forger would leave it: each line sealed anew."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(seal(change(decode_record(line))) for line in lines))


# --- verify ------------------------------------------------------------------------------------


def test_an_untouched_run_is_verified(program: Program) -> None:
    """Everything that is checked is the same, and nothing is written."""
    before = program.files()
    code, found = findings(program)
    assert code == 0
    assert set(found.values()) == {"same"}
    assert {"records", "results", "money", "verdicts", "report/report.html"} <= set(found)
    assert program.files() == before


@pytest.mark.parametrize("name", ["leaderboard.csv", "leaderboard.md", "report.html"])
def test_a_changed_report_is_found(program: Program, name: str) -> None:
    """One digit is enough."""
    path = program.folder / "runs/s/report" / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("7", "8", 1), encoding="utf-8")
    code, found = findings(program)
    assert code == 6
    assert [what for what, state in found.items() if state != "same"] == [f"report/{name}"]


def test_a_missing_report_and_a_changed_question_are_found(program: Program) -> None:
    """By name."""
    run = program.folder / "runs/s"
    (run / "report/leaderboard.csv").unlink()
    questions = (run / "benchmark.json").read_bytes()
    (run / "benchmark.json").write_bytes(questions + b" ")
    code, found = findings(program)
    assert code == 6
    assert found["report/leaderboard.csv"] == "missing"
    assert found["benchmark.json"] == "differs"


def test_a_forged_verdict_is_found_even_where_every_line_is_sealed(program: Program) -> None:
    """The judge's own words say otherwise."""
    forged = False

    def forge(record: Record) -> Record:
        nonlocal forged
        if isinstance(record, Judgment) and record.verdict and not forged:
            forged = True
            better = 11 - record.verdict.score
            return replace(record, verdict=replace(record.verdict, score=better))
        return record

    rewritten(program.folder / "runs/s/journal.jsonl", forge)
    code, found = findings(program)
    assert code == 6
    assert {found[what] for what in ("records", "results", "verdicts")} == {"differs"}


def test_a_run_without_a_manifest_says_so(program: Program) -> None:
    """It was never finished, or somebody took it away."""
    (program.folder / "runs/s/report/manifest.json").unlink()
    ended = program.run("verify", "s")
    assert ended.code == 2
    assert "manifest.json" in ended.err


# --- repair ------------------------------------------------------------------------------------


def test_a_journal_damaged_in_the_middle_is_mended_and_completed(program: Program) -> None:
    """Whole lines stay, the original stays, and what was lost is asked again."""
    path = program.folder / "runs/s/journal.jsonl"
    before = path.read_bytes()
    middle = len(before) // 2
    damaged = before[:middle] + b"\x00" * 5000 + before[middle + 5000 :]
    path.write_bytes(damaged)
    refused = program.run("run", "s.toml", "--progress", "none")
    assert refused.code == 2
    assert "alignsweep repair" in refused.err
    assert path.read_bytes() == damaged

    mended = program.run("repair", "s")
    assert mended.code == 0
    assert "lost 1" in mended.out
    assert (path.parent / "journal.damaged-1.jsonl").read_bytes() == damaged
    whole = set(before.splitlines())
    kept = [line for line in path.read_bytes().splitlines() if b'"kind":"synced"' not in line]
    assert set(kept) <= whole
    assert len(kept) >= 0.9 * sum(b'"kind":"synced"' not in line for line in before.splitlines())

    assert program.run("run", "s.toml", "--progress", "none").code == 0
    results = program.folder / "runs/s/report/leaderboard.csv"
    assert results.read_bytes()
    assert findings(program)[0] == 0


def test_an_undamaged_or_torn_journal_is_left_alone(program: Program) -> None:
    """A torn end is what every crash leaves; the next run cuts it."""
    path = program.folder / "runs/s/journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind":"ans')
    before = path.read_bytes()
    ended = program.run("repair", "s")
    assert ended.code == 0
    assert "nothing was changed" in ended.out
    assert path.read_bytes() == before


def test_a_journal_without_its_header_cannot_be_mended(program: Program) -> None:
    """Nobody would know what the rest means; and nothing is touched."""
    path = program.folder / "runs/s/journal.jsonl"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    before = path.read_bytes()
    ended = program.run("repair", "s")
    assert ended.code == 2
    assert "first line" in ended.err
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*damaged*"))


# --- handing on --------------------------------------------------------------------------------


def test_a_run_is_run_again_for_nothing(program: Program, tmp_path: Path) -> None:
    """With the replies of the first one and an empty cache: no request, the same results."""
    assert program.run("cache", "export", "s", "--out", "replies.db").code == 0
    planned = program.run("plan", "s.toml", "--run-dir", "again", "--cache-from", "replies.db")
    assert "to send: 0 " in planned.out
    again = program.run(
        *("run", "s.toml", "--run-dir", "again", "--cache-from", "replies.db"), "--progress", "none"
    )
    assert again.code == 0, again
    first, second = (
        json.loads((program.folder / run / "report/manifest.json").read_bytes())
        for run in ("runs/s", "again")
    )
    assert second["results_root"] == first["results_root"]
    assert second["money"] == []
    kinds = {record.__class__.__name__ for record in records(program.folder / "again")}
    assert "Intent" not in kinds


def test_another_sweep_finds_nothing_in_it(program: Program) -> None:
    """A reply belongs to the exact words that were sent."""
    program.run("cache", "export", "s", "--out", "replies.db")
    text = SWEEP.replace('name = "s"', 'name = "t"').replace(
        "[[models]]", "[[models]]\ntemperature = 0.31"
    )
    (program.folder / "t.toml").write_text(text, encoding="utf-8")
    planned = program.run("plan", "t.toml", "--cache-from", "replies.db")
    assert "cached: 0 " in planned.out


def test_what_is_no_such_file_is_refused_before_anything_is_sent(program: Program) -> None:
    """Neither made nor changed."""
    (program.folder / "no.db").write_bytes(b"not a database at all, but long enough to be one")
    sqlite3.connect(program.folder / "other.db").execute("CREATE TABLE x (y)").connection.close()
    for name in ("no.db", "other.db", "absent.db"):
        ended = program.run("run", "s.toml", "--run-dir", "new", "--cache-from", name)
        assert ended.code == 2, ended
        assert name in ended.err
        assert "cache export" in ended.err
    assert not (program.folder / "absent.db").exists()
    both = program.run("run", "s.toml", "--no-cache", "--cache-from", "replies.db")
    assert both.code == 2


def test_an_existing_file_is_not_overwritten(program: Program) -> None:
    """It may be somebody's."""
    (program.folder / "replies.db").write_text("mine")
    ended = program.run("cache", "export", "s", "--out", "replies.db")
    assert ended.code == 2
    assert (program.folder / "replies.db").read_text() == "mine"
