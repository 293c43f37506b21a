"""`bench limits --probe`: rising load until the first sign of a limit, and not a call further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.benching.document import document
from engine.cli.benched import PROBE_LADDER
from tests.benching_world import Server, bench, settings

if TYPE_CHECKING:
    from tests.conftest import Program

SHORT = {"levels": PROBE_LADDER, "min_requests": 8, "max_requests": 60, "ci": 0.5}
TIMES = {"min_seconds": 2, "max_seconds": 10}
SWEEP = """\
name = "s"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
[providers.sim.simulator]
latency_s = 0.5
rpm = 60
[[models]]
name = "m"
provider = "sim"
model = "gpt-4-1106-preview"
max_tokens = 800
price = { currency = "USD", input = "1", output = "3" }
"""


def refused(folder: Path, *, polite: bool) -> tuple[int, float]:
    """429s that a cap of ten in flight brought, and the highest rung that was begun."""
    server = Server()
    server.cap = 10
    _, benched = bench(folder, server, settings(polite=polite, max_errors=0.9, **SHORT, **TIMES))
    turned_away = sum(t.error == "RateLimited" for t in benched.timings())
    [cap] = [limit.value for limit in document(benched).limits if limit.name == "concurrency"]
    assert 8 <= cap <= 12
    assert ("limited" in {block.why for block, _ in benched.blocks}) == polite
    return turned_away, max(r.level for r in benched.rungs())


def test_a_probe_stops_at_the_first_429(tmp_path: Path) -> None:
    """A cap of ten is met at sixteen: at most the six that were out are turned away."""
    turned_away, highest = refused(tmp_path / "probe", polite=True)
    assert highest == 16
    assert 1 <= turned_away <= 6
    more, beyond = refused(tmp_path / "ladder", polite=False)
    assert more > turned_away
    assert beyond > 16


def test_a_server_that_limits_nobody_is_climbed_and_left(tmp_path: Path) -> None:
    """No 429, no limit made up."""
    _, benched = bench(tmp_path, Server(), settings(polite=True, **SHORT, **TIMES))
    assert max(r.level for r in benched.rungs()) == 64
    assert document(benched).limits == ()


def test_the_command_finds_a_limit_within_its_budget(program: Program) -> None:
    """60 a minute; the money of its calls is bounded, and it is there without a probe afterwards."""
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    nothing = program.run("bench", "limits", "s.toml", "--json").out
    assert "rpm" not in nothing
    found = program.run("bench", "limits", "s.toml", "--probe", "--json")
    assert found.code == 0, found
    limits = {x["name"]: x["value"] for x in map(json.loads, found.out.splitlines())}
    assert limits["rpm"] == 60
    assert program.run("bench", "limits", "s.toml", "--json").out.count('"rpm"') == 1
    poor = program.run("bench", "limits", "s.toml", "--probe", "--max-cost", "0.0001")
    assert "budget" in poor.err
    free = SWEEP.replace("simulated = true\n", "").replace("simulated:", "http://127.0.0.1:9/v1")
    free = free.replace("[providers.sim.simulator]\nlatency_s = 0.5\nrpm = 60\n", "")
    (program.folder / "s.toml").write_text(free, encoding="utf-8")
    refused = program.run("bench", "limits", "s.toml", "--probe")
    assert refused.code == 2, refused
    assert "--yes" in refused.err
