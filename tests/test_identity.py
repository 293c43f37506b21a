"""Which changes make another sweep, which let one grow, and which decide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.codec import decode_as, encode, replace
from data.schema import (
    AccountSpec,
    ErrorRule,
    EscalateRule,
    JudgeSpec,
    ModelSpec,
    ProviderSpec,
    SamplingRule,
    Sweep,
)
from engine.identity import compare, digest

PROVIDER = ProviderSpec(
    name="p",
    api="openai-chat",
    base_url="https://a/v1",
    cache_identity="https://a/v1",
)
MODEL = ModelSpec(name="m", provider="p", model="m-1", parameters={"top_p": 1.0})
JUDGE = JudgeSpec(name="j", provider="p", model="j-1", rubric="r")
SWEEP = Sweep(
    name="s",
    benchmark="b",
    benchmark_sha256="0" * 64,
    rubric_sha256={"r": "1", "same": "1", "r2": "2"},
    temperatures={"": 0.7},
    models=(MODEL,),
    judges=(JUDGE,),
    providers=(PROVIDER, replace(PROVIDER, name="mirror")),
)

# From docs/contracts.md, "Identity of a sweep": field -> (a changed value, what becomes of it).
SWEEP_FIELDS: dict[str, tuple[Any, str]] = {
    "name": ("t", "other"),
    "benchmark": ("renamed", "other"),
    "benchmark_sha256": ("1" * 64, "refused"),
    "rubric_sha256": ({"r": "9", "same": "1", "r2": "2"}, "refused"),
    "temperatures": ({"": 0.8}, "refused"),
    "models": ((MODEL, replace(MODEL, name="m2")), "grown"),
    "judges": ((JUDGE, replace(JUDGE, name="j2")), "grown"),
    "providers": ((replace(PROVIDER, rpm=5.0), replace(PROVIDER, name="mirror")), "other"),
    "samples": (2, "refused"),
    "repeats": (2, "refused"),
    "seed": (1, "refused"),
    "send_seed": (True, "refused"),
    "asks": (4, "other"),
    "attempts": (9, "other"),
    "deadline_s": (60.0, "other"),
    "hedge": (True, "other"),
}
MODEL_FIELDS: dict[str, tuple[Any, str]] = {
    "name": ("other", "refused"),
    "provider": ("mirror", "other"),
    "model": ("m-2", "refused"),
    "max_tokens": (5, "refused"),
    "temperature": (0.1, "refused"),
    "system": ("be brief", "refused"),
    "parameters": ({"top_p": 0.9}, "refused"),
    "retry_max_tokens": (9, "refused"),
    "thinking": ("off", "refused"),
}
JUDGE_FIELDS: dict[str, tuple[Any, str]] = {
    **MODEL_FIELDS,
    "rubric": ("r2", "refused"),
    "parse": ("compat", "other"),
    "pairwise": (True, "refused"),
    "baseline": ("m", "refused"),
    "positions": ("one", "refused"),
    "escalate": (EscalateRule(judges=("k", "l"), disagree=2.0), "refused"),
    "verdict": ("json_schema", "refused"),
}
PROVIDER_FIELDS: dict[str, tuple[Any, str]] = {
    "name": ("q", "other"),
    "api": ("another", "refused"),
    "base_url": ("https://b/v1", "other"),
    "api_key_env": ("KEY", "other"),
    "api_key_file": ("~/key", "other"),
    "rpm": (60.0, "other"),
    "tpm": (60, "other"),
    "input_tpm": (60, "other"),
    "output_tpm": (60, "other"),
    "rpd": (60, "other"),
    "concurrency": (3, "other"),
    "path": ("/{model}/chat", "other"),
    "query": ({"api-version": "2"}, "other"),
    "auth": ("api-key", "other"),
    "errors": ("zhipu", "other"),
    "rules": ((ErrorRule(means="refused", status=(418,)),), "other"),
    "sampling": ((SamplingRule(drop=("temperature",)),), "refused"),
    "ca_file": ("own.pem", "other"),
    "proxy": ("environment", "other"),
    "timeout_s": (9.0, "other"),
    "cache_identity": ("https://b/v1", "refused"),
    "simulated": (True, "other"),
    "headers": ({"X-A": "b"}, "other"),
    "options": ({"latency_s": 2.0}, "other"),
    "accounts": ((AccountSpec(rpm=5.0),), "other"),
    "stream": (True, "other"),
}
TABLES: dict[type[Any], dict[str, tuple[Any, str]]] = {
    Sweep: SWEEP_FIELDS,
    ModelSpec: MODEL_FIELDS,
    JudgeSpec: JUDGE_FIELDS,
    ProviderSpec: PROVIDER_FIELDS,
}


def changed(kind: type[Any], field: str, value: Any) -> Sweep:
    """The sweep with one field of one of its records changed."""
    if kind is Sweep:
        return replace(SWEEP, **{field: value})
    if kind is ModelSpec:
        return replace(SWEEP, models=(replace(MODEL, **{field: value}),))
    if kind is JudgeSpec:
        return replace(SWEEP, judges=(replace(JUDGE, **{field: value}),))
    own = replace(PROVIDER, **{field: value})
    if field == "name":  # its users name it too
        return replace(
            SWEEP,
            providers=(own, SWEEP.providers[1]),
            models=(replace(MODEL, provider=value),),
            judges=(replace(JUDGE, provider=value),),
        )
    return replace(SWEEP, providers=(own, SWEEP.providers[1]))


def every_field() -> Iterator[tuple[type[Any], str]]:
    """Generated from the schema, so that a new field cannot be forgotten."""
    for kind in TABLES:
        for field in kind.__struct_fields__:
            yield kind, field


@pytest.mark.parametrize(("kind", "field"), list(every_field()))
def test_every_field_is_refused_or_growth_or_told(kind: type[Any], field: str) -> None:
    """One table says which; the digest moves with refusals and growth and with nothing else."""
    assert field in TABLES[kind], f"say in this table what a change of {field} means"
    value, expected = TABLES[kind][field]
    new = changed(kind, field, value)
    assert new != SWEEP
    difference = compare(SWEEP, new)
    found = {
        "refused": bool(difference.refused),
        "grown": bool(difference.grown) and not difference.refused,
        "other": bool(difference.other) and not difference.refused and not difference.grown,
    }
    assert found[expected], difference
    assert (digest(new) != digest(SWEEP)) == (expected != "other")


def test_nothing_changed_is_no_difference() -> None:
    """Also after a trip through the journal."""
    again = decode_as(encode(SWEEP), Sweep)
    assert digest(again) == digest(SWEEP)
    assert compare(SWEEP, again) == compare(again, SWEEP)
    difference = compare(SWEEP, again)
    assert (difference.refused, difference.grown, difference.other) == ((), (), ())


def test_removing_a_model_or_judge_is_refused() -> None:
    """Its results would be left without a sweep."""
    for kind, gone in (("models", "model `m`"), ("judges", "judge `j`")):
        difference = compare(SWEEP, replace(SWEEP, **{kind: ()}))
        assert difference.refused == (f"{gone} was removed",)


def test_growth_names_who_came_in() -> None:
    """And is not told a second time as a change of something else."""
    models = (MODEL, replace(MODEL, name="m2"))
    judges = (replace(JUDGE, name="j2"), JUDGE)
    difference = compare(SWEEP, replace(SWEEP, models=models, judges=judges))
    assert difference.grown == ("model `m2` was added", "judge `j2` was added")
    assert (difference.refused, difference.other) == ((), ())


def test_the_order_of_models_and_judges_is_no_identity() -> None:
    """They may be sorted by taste."""
    two = replace(SWEEP, models=(MODEL, replace(MODEL, name="m2")))
    swapped = replace(two, models=two.models[::-1])
    assert digest(two) == digest(swapped)
    assert compare(two, swapped).refused == ()


def test_a_rubric_of_another_name_with_the_same_content_is_told_not_refused() -> None:
    """Its content decides."""
    difference = compare(SWEEP, replace(SWEEP, judges=(replace(JUDGE, rubric="same"),)))
    assert difference.refused == ()
    assert difference.other == ("judges.j.rubric: r -> same",)


@pytest.mark.parametrize(
    ("before", "after"), [({"a": True}, {"a": 1}), ({"a": 1}, {"a": 1.0}), ({"a": 0}, {"a": False})]
)
def test_parameters_that_differ_on_the_wire_differ_here(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Python thinks true equals 1; a provider does not, and neither does the digest."""
    old = replace(SWEEP, models=(replace(MODEL, parameters=before),))
    new = replace(SWEEP, models=(replace(MODEL, parameters=after),))
    assert digest(old) != digest(new)
    assert compare(old, new).refused


def test_the_difference_is_said_in_one_short_line() -> None:
    """What was, what is, and whose it is; long values are cut."""
    long = replace(SWEEP, models=(replace(MODEL, system="x" * 500, max_tokens=5),))
    difference = compare(SWEEP, long)
    assert "model `m`: max_tokens: (unset) -> 5" in difference.refused
    assert all(len(line) < 200 for line in difference.refused)


@given(st.permutations(["a", "b", "c"]), st.integers(0, 5), st.integers(0, 5))
def test_equal_digests_and_no_refusal_are_the_same_thing(
    names: list[str], one: int, two: int
) -> None:
    """For models whose token limits vary."""
    old = replace(SWEEP, models=tuple(replace(MODEL, name=n, max_tokens=one) for n in "abc"))
    new = replace(SWEEP, models=tuple(replace(MODEL, name=n, max_tokens=two) for n in names))
    assert (digest(old) == digest(new)) == (not compare(old, new).refused) == (one == two)
