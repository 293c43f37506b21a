"""`bench` as a user sees it: on the embedded simulator, on virtual time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """\
name = "s"
benchmark = "mini"

[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
stream = true
concurrency = 4   # by guess

[providers.sim.simulator]
latency_s = 0.5
concurrency = 20

[[models]]
name = "m"
provider = "sim"
model = "gpt-4-1106-preview"
max_tokens = 800
price = { currency = "CNY", input = "10", output = "30" }

[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
max_tokens = 600
price = { currency = "CNY", input = "1", output = "3" }

[exchange]
CNY = "0.1"
"""
QUICK = ("--ladder", "1,4,16,32", "--step-seconds", "5..20", "--out", "b")


@pytest.fixture
def here(program: Program) -> Program:
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    return program


def test_plan_says_what_would_be_sent_and_sends_nothing(here: Program) -> None:
    """Calls, money at most, time; no folder is left behind."""
    planned = here.run("bench", "plan", "s.toml", "--max-cost", "3")
    assert planned.code == 0, planned
    for words in ("model:m", "judge:j", "likely USD", "budget 3.00, never exceeded", "14 blocks"):
        assert words in planned.out
    assert here.files() == {"s.toml"}


def test_run_report_limits_diff_and_apply(here: Program) -> None:
    """The whole way, each step from what the one before left."""
    ended = here.run("bench", "run", "s.toml", *QUICK)
    assert ended.code == 0, ended
    assert "(simulated)" in ended.out
    assert "▸" in ended.out
    assert {"b/report/bench.json", "b/report/bench.csv", "b/report/bench.md"} <= here.files()

    again = here.run("bench", "report", "b", "--format", "json")
    doc = json.loads(again.out)
    assert doc["schema"] == "alignsweep.bench/1"
    assert [t["target"] for t in doc["targets"]] == ["model:m", "judge:j"]
    assert doc["targets"][0]["rungs"][0]["ttft"]["n"] > 0
    then = json.loads((here.folder / "b/report/bench.json").read_text())
    made_s = [one["prediction"].pop("made_s") for one in (then, doc)]
    assert made_s[0] < made_s[1]  # it is foretold anew, of what is left by now
    assert then == doc

    told = here.run("bench", "limits", "s.toml", "--bench", "b")
    assert "calls in flight" in told.out
    assert "20" in told.out

    assert here.run("bench", "diff", "b", "b").out.count("1.00–1.00") >= 4

    refused = here.run("bench", "apply", "b", "s.toml")
    assert refused.code == 2
    assert "of a simulator" in refused.err
    shown = here.run("bench", "apply", "b", "s.toml", "--simulated")
    assert "+concurrency = 20   # by guess" in shown.out
    assert (here.folder / "s.toml").read_text() == SWEEP
    here.run("bench", "apply", "b", "s.toml", "--simulated", "--write")
    changed = (here.folder / "s.toml").read_text()
    assert changed == SWEEP.replace("concurrency = 4 ", "concurrency = 20 ")
    assert (here.folder / "s.toml.bak").read_text() == SWEEP


def test_the_report_alone_goes_to_stdout_as_json(here: Program) -> None:
    """What is told on the way is on stderr."""
    ended = here.run("bench", "run", "s.toml", "--json", "--leg", "answer", *QUICK)
    assert ended.code == 0, ended
    assert json.loads(ended.out)["simulated"] is True


def test_a_budget_that_is_reached_ends_in_code_4(here: Program) -> None:
    """What was measured until then is reported."""
    ended = here.run("bench", "run", "s.toml", "--max-cost", "0.3", *QUICK)
    assert ended.code == 4, ended
    assert "model:m" in ended.out
    doc = json.loads((here.folder / "b/report/bench.json").read_text())
    assert 0 < doc["spent"] <= 300_000_000


def test_real_requests_need_a_yes(here: Program) -> None:
    """Nobody is there to be asked: nothing is sent."""
    text = SWEEP.replace("simulated = true\n", "").replace("simulated:", "http://127.0.0.1:9/v1")
    text = text[: text.index("[providers.sim.simulator]")] + text[text.index("[[models]]") :]
    (here.folder / "s.toml").write_text(text, encoding="utf-8")
    ended = here.run("bench", "run", "s.toml", *QUICK)
    assert ended.code == 2, ended
    assert "--yes" in ended.err
    nobody = here.run("bench", "run", "s.toml", "--yes", "--leg", "answer", *QUICK)
    assert nobody.code == 2, nobody
    assert "first call failed" in nobody.err


def test_the_sweep_file_has_defaults_and_flags_stand_above_them(here: Program) -> None:
    """`[bench]`: two rungs there, one of them by a flag; nothing else of the table is lost."""
    table = '[bench]\nladder = [2, 8]\nleg = "answer"\nstep_seconds = "2..5"\nseed = 7\n'
    (here.folder / "s.toml").write_text(SWEEP + table, encoding="utf-8")
    planned = here.run("bench", "plan", "s.toml")
    assert "2 blocks" in planned.out, planned
    assert "judge:j" not in planned.out
    ended = here.run("bench", "run", "s.toml", "--ladder", "4", "--json", "--out", "b")
    assert ended.code == 0, ended
    doc = json.loads(ended.out)
    assert doc["settings"]["levels"] == [4]
    assert (doc["settings"]["seed"], doc["settings"]["max_seconds"]) == (7, 5)
    assert [t["target"] for t in doc["targets"]] == ["model:m"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ci = 2", "[bench] ci"),
        ('step_seconds = "9..3"', "[bench] step_seconds"),
        ('slo = "p95 speed < 1"', "[bench] slo"),
        ('ladder = "1,2"', "ladder"),
        ("laddr = [1]", "laddr"),
        ("ladder = []", "[bench] ladder"),
        ('cache = "warm"', "warm"),
    ],
)
def test_a_table_that_makes_no_sense_is_told_with_its_key(
    here: Program, line: str, message: str
) -> None:
    """Exit code 2, naming the file."""
    (here.folder / "s.toml").write_text(f"{SWEEP}[bench]\n{line}\n", encoding="utf-8")
    ended = here.run("bench", "plan", "s.toml")
    assert ended.code == 2, ended
    assert message in ended.err
    assert "s.toml" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-t", "nobody"), "no model or judge `nobody`"),
        (("--ladder", "1,two"), "no list of numbers"),
        (("--ladder", "0"), "0 is no load"),
        (("--step-seconds", "9..3"), "MIN..MAX"),
        (("--leg", "arm"), "no leg `arm`"),
        (("--ci", "2"), "--ci"),
        (("--rpm", "60", "--arrival", "bus"), "no arrival `bus`"),
        (("--max-cost", "much"), "--max-cost"),
        (("--cache", "warm"), "warm"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(
    here: Program, words: tuple[str, ...], message: str
) -> None:
    """Exit code 2, no traceback, nothing left behind."""
    ended = here.run("bench", "run", "s.toml", *words)
    assert ended.code == 2, ended
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert here.files() == {"s.toml"}
