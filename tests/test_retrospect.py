"""What `watch` shows of a run that nobody is at work on: the same picture, from its journal."""

from __future__ import annotations

from engine.events import Progress
from engine.retrospect import looked_back
from tests.conftest import Program

SWEEP = """name = "s"
benchmark = "mini"
[providers.simulated]
simulator = { latency_s = 0.5, refusal_rate = 0.05, malformed_verdict_rate = 0.05, error_rate = 0.02 }
[[models]]
name = "通义"
provider = "simulated"
model = "gpt-4-0613"
price = { currency = "USD", input = "2.50", output = "10" }
[[models]]
name = "glm"
provider = "simulated"
model = "chatglm3-6b"
price = { currency = "USD", input = "2.50", output = "10" }
[[judges]]
name = "judge"
provider = "simulated"
model = "gpt-4-0613"
price = { currency = "USD", input = "2.50", output = "10" }
"""


def ran(program: Program, *flags: str) -> Progress:
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    program.run("run", "s.toml", "--no-cache", "--progress", "none", *flags)
    return looked_back(program.folder / "runs" / "s", now_s=4e9)


def test_a_finished_run_is_shown_whole(program: Program) -> None:
    """Every count and the money are those of the run's own last words."""
    seen = ran(program)
    assert seen.state == "finished"
    assert [(m.name, m.answers, m.answers_done) for m in seen.models] == [
        ("通义", 72, 72),
        ("glm", 72, 72),
    ]
    [judge] = seen.judges
    assert judge.done == judge.judgments == 144 - sum(m.refused for m in seen.models)
    assert sum(m.refused for m in seen.models) > 0
    assert judge.asked_again > 0
    assert seen.money is not None
    assert seen.money.booked == sum(seen.money.by_party.values()) > 0
    counts = program.run("status", "s").out
    assert f"judgments  {judge.done} final" in counts


def test_watch_prints_the_same_picture_for_it(program: Program) -> None:
    """On stdout, as wide as the terminal, with no colour in a pipe."""
    ran(program)
    program.env["COLUMNS"] = "80"
    seen = program.run("watch", "s")
    lines = seen.out.splitlines()
    assert lines[0].startswith("alignsweep  s  [simulated]")
    assert "finished" in lines[0]
    assert any(line.startswith("✓ 通义") for line in lines)
    assert any(line.startswith("judge   judge") for line in lines)
    assert "\x1b" not in seen.out
    assert "no process is at work" in seen.err


def test_a_run_that_was_cut_short_says_what_is_left(program: Program) -> None:
    """Nobody is at work, so nothing is waited for."""
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    program.run("generate", "s.toml", "--no-cache", "--progress", "none", "--models", "glm")
    seen = looked_back(program.folder / "runs" / "s", now_s=4e9)
    assert seen.state == "interrupted"
    done = {m.name: m.answers_done for m in seen.models}
    assert done == {"通义": 0, "glm": 72}
