"""`plan` as a user sees it, and the last words of a run whose money ran out."""

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
rpm = 60

[[models]]
name = "m"
provider = "sim"
model = "m"
max_tokens = 800
price = { currency = "CNY", input = "10", output = "30" }

[[judges]]
name = "j"
provider = "sim"
model = "j"
max_tokens = 600
price = { currency = "USD", input = "1", output = "3" }

[exchange]
CNY = "0.1"

[budget]
total = "BUDGET"
"""


@pytest.fixture
def here(program: Program) -> Program:
    """A sweep with more than enough money."""
    write(program, "100")
    return program


def write(program: Program, budget: str) -> None:
    (program.folder / "s.toml").write_text(SWEEP.replace("BUDGET", budget), encoding="utf-8")


def test_plan_foresees_tokens_money_and_time(here: Program) -> None:
    """In one look, and nothing is left behind."""
    planned = here.run("plan", "s.toml")
    assert planned.code == 0, planned
    for words in ("tokens ", "judge j", "money ", "CNY 10 + 30", "time ", "requests/min 60"):
        assert words in planned.out
    assert "budget of the run: USD 100.00, USD 0.00 of it spent" in planned.out
    assert "up to 2 re-asks a judgment and retries come on top" in planned.out
    assert here.files() == {"s.toml"}


def test_plan_for_programs_is_one_document(here: Program) -> None:
    """The same requests as in the lines, with money in nano-units."""
    planned = here.run("plan", "s.toml", "--json", "--limit", "10")
    assert planned.code == 0, planned
    told = json.loads(planned.out)
    assert (told["schema"], told["to_send"]) == ("alignsweep.plan/1", 20)
    assert told["run_folder"] == "runs/s"
    (money,) = told["money"]
    assert money["currency"] == "USD"
    assert 0 < money["low_nano"] < money["likely_nano"] < money["worst_nano"]
    assert told["sweep"]["at_least"]["constraint"] == "requests/min 60"


def test_plan_says_what_a_budget_lacks_after_what_it_knows(here: Program) -> None:
    """The tables, then the complaint that `run` would begin with."""
    text = (here.folder / "s.toml").read_text(encoding="utf-8")
    (here.folder / "s.toml").write_text(text.replace("max_tokens = 600\n", ""), encoding="utf-8")
    planned = here.run("plan", "s.toml")
    assert planned.code == 2
    assert "no bound" in planned.out
    assert "`j` has no max_tokens" in planned.err


def test_a_second_plan_knows_what_came(here: Program) -> None:
    """From the run's journal; another run knows it from the cache."""
    assert here.run("run", "s.toml", "--limit", "8", "--progress", "none").code == 0
    planned = here.run("plan", "s.toml").out
    assert "output of 1 models and 1 judges as in the 16 replies that came" in planned
    assert "no call was timed yet" not in planned
    forked = here.run("plan", "s.toml", "--fork", "t").out
    assert "to send: 128   cached: 16" in forked
    assert "as in the 16 replies that came" in forked


def test_a_run_without_money_says_what_is_left_and_what_would_do(here: Program) -> None:
    """Exit 4; and with what it says in any case the same command comes to its end."""
    write(here, "0.03")
    broke = here.run("run", "s.toml", "--progress", "none")
    assert broke.code == 4, broke
    left = next(line for line in broke.out.splitlines() if line.startswith("  left "))
    assert "requests: likely USD " in left
    budget = next(line for line in broke.out.splitlines() if line.startswith("  budget "))
    assert "total: USD " in budget
    assert "run the same command again" in broke.out
    assert "next      alignsweep" in broke.out
    write(here, budget.split(" in any case")[0].rpartition(" ")[2])
    ended = here.run("run", "s.toml", "--progress", "none")
    assert ended.code == 0, ended
    assert "lower bound" in ended.out


def test_a_run_ends_with_its_bound(here: Program) -> None:
    """By the limit that decided."""
    ended = here.run("run", "s.toml", "--progress", "plain")
    assert "by sim requests/min 60 (" in ended.out
    assert "bound " in ended.err
