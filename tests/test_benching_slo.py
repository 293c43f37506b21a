"""Service level objectives: what can be asked, how a rung stands to them, and goodput."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.errors import ConfigError
from engine.benching.document import document, unmet
from engine.benching.objectives import objectives_of
from tests.benching_world import Server, bench, settings
from tests.test_benching_cli import QUICK
from tests.test_benching_cli import SWEEP as SIMULATED

if TYPE_CHECKING:
    from tests.conftest import Program

STEPS = {"min_seconds": 2, "max_seconds": 60, "min_requests": 100}


@pytest.mark.parametrize(
    ("text", "figure", "summary", "sign", "bound"),
    [
        ("p95 ttft < 2 s", "ttft", "p95", "<", 2.0),
        ("P99  wall<=1min", "wall", "p99", "<=", 60.0),
        ("mean tpot < 25ms", "tpot", "mean", "<", 0.025),
        ("p50 latency ≤ 3", "latency", "p50", "<=", 3.0),
        ("error rate < 1 %", "error rate", "", "<", 0.01),
        ("ok >= 0.99", "ok", "", ">=", 0.99),
        ("429 rate <= 0%", "429 rate", "", "<=", 0.0),
        ("parsed > 98%", "parsed", "", ">", 0.98),
    ],
)
def test_what_can_be_asked(text: str, figure: str, summary: str, sign: str, bound: float) -> None:
    """Units are turned into seconds and shares of one."""
    [found] = objectives_of(text)
    assert (found.figure, found.summary, found.sign) == (figure, summary, sign)
    assert found.bound == pytest.approx(bound)
    assert objectives_of(found.text) == (found,)


def test_several_are_parted_by_commas_and_none_are_none() -> None:
    """An empty string asks for nothing."""
    assert len(objectives_of("p95 ttft < 2 s, error rate < 1 %")) == 2
    assert objectives_of("") == ()


@pytest.mark.parametrize(
    "text",
    ["ttft < 2 s", "p95 ttft", "p97 ttft < 2 s", "p95 ttft < 2 %", "error rate < 1 s", "x", "ok > 7",
     "p95 speed > 1 s", "p95 ttft < 1.2.3 s", "p95 ttft == 2 s", "\x1b[31m < 1"],
)  # fmt: skip
def test_what_cannot_is_one_clear_error(text: str) -> None:
    """With the flag and an example."""
    with pytest.raises(ConfigError, match="--slo") as told:
        objectives_of(text)
    assert "p95 ttft < 2 s" in str(told.value)
    assert "\x1b" not in str(told.value)


def test_what_is_recommended_keeps_the_objectives(tmp_path: Path) -> None:
    """Eight places, 0.25 s: sixteen in flight wait twice as long, and would be recommended else."""
    wanted = settings(levels=(2, 4, 8, 16), slo="p50 latency < 300 ms", **STEPS)
    _, benched = bench(tmp_path, Server(slots=8), wanted)
    doc = document(benched)
    [report] = doc.targets
    assert [s.verdicts[0].state for s in report.service] == ["met", "met", "met", "missed"]
    assert all(s.verdicts[0].sure for s in report.service)
    assert report.advice.concurrency == 8
    assert unmet(doc) == []
    impossible = document(benched, "p50 latency < 200 ms")
    assert impossible.targets[0].advice.concurrency is None
    best = max(report.rungs, key=lambda r: r.useful_per_min.est if r.useful_per_min else 0)
    n = int(best.level)
    assert unmet(impossible) == [f"model:m at {n}: p50 latency < 200 ms is missed"]


def test_goodput_counts_calls_that_keep_every_bound(tmp_path: Path) -> None:
    """With a lognormal of median m, half of the calls are faster than m: half the rate, whatever the p."""
    server = Server(sigma=0.5, seed=5)
    _, benched = bench(tmp_path, server, settings(levels=(4,), slo="", **STEPS))
    [rung] = benched.rungs()
    assert rung.latency.p50 is not None
    assert rung.useful_per_min is not None
    doc = document(benched, f"p99 latency < {rung.latency.p50.est:.4f} s, error rate < 1 %")
    [service] = doc.targets[0].service
    assert service.goodput_per_min is not None
    assert service.goodput_per_min.est == pytest.approx(rung.useful_per_min.est / 2, rel=0.02)
    [whole] = document(benched, "p99 latency < 1 min").targets[0].service
    assert whole.goodput_per_min == rung.useful_per_min


def test_errors_are_held_against_their_bound(tmp_path: Path) -> None:
    """A tenth of the attempts fails: `error rate` and `ok` say so."""
    server = Server()
    server.failing = 0.1
    _, benched = bench(tmp_path, server, settings(levels=(4,), max_requests=400, **STEPS))
    [service] = (
        document(benched, "error rate < 5 %, ok > 95 %, error rate < 30 %").targets[0].service
    )
    assert [v.state for v in service.verdicts] == ["missed", "missed", "met"]


def test_too_few_calls_to_say_is_not_met(tmp_path: Path) -> None:
    """A gate does not open because nobody looked: a p99 needs 368 calls."""
    wanted = settings(levels=(2,), slo="p99 latency < 9 s", **STEPS)
    _, benched = bench(tmp_path, Server(), wanted)
    assert unmet(document(benched)) == ["model:m at 2: p99 latency < 9 s (too few calls to say)"]


def test_a_missed_objective_ends_in_code_6(program: Program) -> None:
    """After the whole report; afterwards other objectives can be held against the same figures."""
    (program.folder / "s.toml").write_text(SIMULATED, encoding="utf-8")
    words = ("bench", "run", "s.toml", "--leg", "answer", *QUICK)
    ended = program.run(*words, "--slo", "p50 ttft < 1 ms, error rate < 50 %")
    assert ended.code == 6, ended
    assert "good/min" in ended.out
    assert "p50 ttft < 1 ms is missed" in ended.err
    assert program.run("bench", "report", "b").code == 0
    assert program.run("bench", "report", "b", "--slo", "p50 ttft < 1 min").code == 0
    assert program.run("bench", "report", "b", "--slo", "p50 ttft < 1 ms").code == 6
    page = program.run("bench", "report", "b", "--format", "html", "--out", "b.html")
    assert page.code == 0, page
    assert "Objectives" in (program.folder / "b.html").read_text(encoding="utf-8")
