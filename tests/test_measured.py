"""Times and lengths of an earlier run, read from its journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.codec import replace
from data.schema import Response, Usage
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.expectation import Seen
from engine.measured import measured_in
from engine.plan import Plan
from engine.rehearsal import rehearse
from engine.runtime import run as run_loop
from engine.standins import Assumed, Pace, Troupe, staged
from engine.streams import Options

SWEEP = """
name = "earlier"
benchmark = "mini"
samples = 4
[providers.openai]
concurrency = 8
[providers.zhipu]
concurrency = 8
[[models]]
name = "m"
provider = "openai"
model = "gpt-4o"
[[judges]]
name = "j"
provider = "zhipu"
model = "glm-4"
"""
PACES = {"openai": Pace(0.8, 0.3, 0), "zhipu": Pace(6.0, 0.6, 0)}


def sweep(folder: Path) -> Loaded:
    (folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    return load(folder / "s.toml", home=folder / "home")


def plan_of(loaded: Loaded) -> Plan:
    return Plan(loaded.sweep, loaded.benchmark)


def wordy(plan: Plan) -> Seen:
    """A model that says 600 tokens and thinks 900 more, whatever it is asked."""
    seen = Seen(plan)
    for number in range(plan.answers):
        seen.add(number, Response(text="字" * 750, usage=Usage(50, 1500, 0, 900)))
    return seen


def earlier_run(folder: Path, loaded: Loaded, assumed: Assumed, limit: int | None = None) -> Path:
    """A run whose providers are as fast and as wordy as `assumed` says."""
    troupe = Troupe(assumed)
    outside = Outside({}, None, 1.8e9, None, lambda session: None, troupe.transports, True)
    options = Options(folder=folder / "run", selection=select(loaded, limit=limit))

    async def session() -> Outcome:
        return await conduct(staged(loaded, assumed), options, outside)

    assert run_loop(session, virtual=True).state == "complete"
    return folder / "run"


def test_the_times_of_replies_are_found_again(tmp_path: Path) -> None:
    """Median and spread, provider by provider, of 288 replies each, however long they were."""
    loaded = sweep(tmp_path)
    truth = Assumed(measured=PACES, seen=wordy(plan_of(loaded)))
    found = measured_in(earlier_run(tmp_path, loaded, truth), plan_of(loaded))
    assert found.note == ""
    for name, pace in PACES.items():
        seen = found.paces[name]
        assert seen.replies == 72 * 4
        assert seen.latency_s == pytest.approx(pace.latency_s, rel=0.12)
        assert seen.spread == pytest.approx(pace.spread, rel=0.15)


def test_a_rehearsal_goes_by_what_was_measured(tmp_path: Path) -> None:
    """So it predicts what the rest of the run will take, from a part of it; without, it is far off."""
    loaded = sweep(tmp_path)
    truth = Assumed(measured=PACES, seen=wordy(plan_of(loaded)))
    folder = earlier_run(tmp_path, loaded, truth, limit=48)
    earlier = measured_in(folder, plan_of(loaded))
    told = Assumed(seed=5, measured=earlier.paces, seen=earlier.seen)
    took, predicted, blind = (
        rehearse(loaded, select(loaded), assumed, now_s=1.8e9)
        for assumed in (truth, told, Assumed(seed=5))
    )
    assert predicted.duration_s == pytest.approx(took.duration_s, rel=0.15)
    assert predicted.output_tokens == pytest.approx(took.output_tokens, rel=0.2)
    assert predicted.input_tokens == pytest.approx(took.input_tokens, rel=0.15)
    assert blind.duration_s < 0.7 * took.duration_s
    assert blind.output_tokens < 0.7 * took.output_tokens
    assert {use.latency_source for use in predicted.accounts} == {"measured"}


def test_a_few_replies_are_no_measurement(tmp_path: Path) -> None:
    """Two questions, four samples: eight replies."""
    loaded = sweep(tmp_path)
    folder = earlier_run(tmp_path, loaded, Assumed(), limit=2)
    assert measured_in(folder, plan_of(loaded)).paces == {}


def test_where_no_run_is_nothing_is_said(tmp_path: Path) -> None:
    """The usual case."""
    found = measured_in(tmp_path / "nothing", plan_of(sweep(tmp_path)))
    assert (found.paces, found.seen, found.note) == ({}, None, "")


def test_a_run_of_another_sweep_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    """Same folder, another seed of the sweep."""
    loaded = sweep(tmp_path)
    folder = earlier_run(tmp_path, loaded, Assumed())
    found = measured_in(folder, Plan(replace(loaded.sweep, seed=9), loaded.benchmark))
    assert found.paces == {}
    assert "another sweep" in found.note


def test_a_run_that_cannot_be_read_is_a_note_and_no_error(tmp_path: Path) -> None:
    """A damaged journal is the run's affair, not the rehearsal's."""
    (tmp_path / "journal.jsonl").write_bytes(b"what is this?\n")
    found = measured_in(tmp_path, plan_of(sweep(tmp_path)))
    assert found.paces == {}
    assert "no times were read" in found.note
