"""What is told of a sweep's parameters, and what of them is its identity."""

from __future__ import annotations

from typing import Any

from data.codec import replace
from data.schema import JudgeSpec, ModelSpec, ProviderSpec, SamplingRule, Sweep
from engine.adapting import notes, wire_parameters
from engine.identity import compare, digest

NONE_TAKEN = SamplingRule(models=("new*",), drop=("temperature",), why="it takes none")
PROVIDER = ProviderSpec(
    name="p",
    api="openai-chat",
    base_url="https://a/v1",
    cache_identity="https://a/v1",
    sampling=(NONE_TAKEN,),
)


def sweep(*models: ModelSpec, judges: tuple[JudgeSpec, ...] = (), **fields: Any) -> Sweep:
    given = {
        "name": "s",
        "benchmark": "b",
        "benchmark_sha256": "0" * 64,
        "rubric_sha256": {"r": "1"},
        "temperatures": {"数学计算": 0.1, "": 0.7},
        "models": models,
        "judges": judges,
        "providers": (PROVIDER,),
        **fields,
    }
    return Sweep(**given)


def model(name: str, **fields: Any) -> ModelSpec:
    return ModelSpec(**{"name": name, "provider": "p", "model": name, **fields})


def test_values_that_end_alike_share_a_line() -> None:
    """The benchmark's two temperatures, both left out."""
    assert notes(sweep(model("new-1"), model("old-1"))) == (
        "new-1 at p: temperature 0.1, 0.7 is not sent (it takes none)",
    )


def test_a_judge_is_told_of_as_well() -> None:
    """Its temperature is 0 unless the file says otherwise."""
    judge = JudgeSpec(name="j", provider="p", model="new-2", rubric="r")
    assert notes(sweep(judges=(judge,))) == ("j at p: temperature 0 is not sent (it takes none)",)
    assert notes(sweep(judges=(replace(judge, temperature="default"),))) == ()


def test_temperature_default_sends_none_and_there_is_nothing_to_tell() -> None:
    """It is what was asked for."""
    silent = model("new-1", temperature="default")
    assert notes(sweep(silent)) == ()


def test_answers_from_elsewhere_have_no_provider_to_tell_of() -> None:
    """Models that only lend their answers."""
    assert notes(sweep(model("new-1", provider=""))) == ()


def test_what_a_preset_changes_is_identity_as_far_as_it_changes_something() -> None:
    """A rule for models that are not in the sweep decides nothing; one that bites decides results."""
    old = sweep(model("old-1"))
    without = replace(old, providers=(replace(PROVIDER, sampling=()),))
    assert digest(old) == digest(without)
    new = sweep(model("new-1"))
    bare = replace(new, providers=(replace(PROVIDER, sampling=()),))
    assert digest(new) != digest(bare)
    difference = compare(bare, new)
    assert any("new-1" in line for line in difference.refused)


def test_only_what_differs_is_part_of_it() -> None:
    """So runs from before there were rules keep their digest."""
    spec = PROVIDER
    assert wire_parameters(model("old-1"), spec, sweep(model("old-1"))) == []
    sent = wire_parameters(model("new-1"), spec, sweep(model("new-1")))
    assert [s.get("temperature") for s in sent] == [None, None]
