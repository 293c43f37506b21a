"""Requests put in a provider's own way."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalog import PLACEHOLDER, ProviderTable, presets, resolve
from data.errors import ConfigError
from data.sampling import (
    NAMES,
    Change,
    adapted,
    check_rule,
    check_thinking,
    merge,
    profile,
)
from data.schema import Message, Request, SamplingRule


def put(*rules: SamplingRule, **fields: Any) -> tuple[Request, list[str]]:
    """A request of model m in the way of these rules, and what is told of it."""
    request = Request(**{"model": "m", "messages": (Message("user", "q"),), **fields})
    sent, told = adapted(profile(rules, request.model, request.thinking), request)
    return sent, [str(change) for change in told]


def preset_rules(name: str) -> tuple[SamplingRule, ...]:
    address = (presets()[name].base_url or "").replace(PLACEHOLDER, "mine")
    return resolve(name, ProviderTable(base_url=address), where="w").sampling


def at(name: str, model: str, **fields: Any) -> tuple[Request, list[str]]:
    """The same at a preset."""
    return put(*preset_rules(name), **{"model": model, "temperature": 0.0, **fields})


# --- each verb ---------------------------------------------------------------------------------


def test_without_rules_the_very_same_request_goes_out() -> None:
    """Not even a copy."""
    request = Request(model="m", messages=(), temperature=0.0)
    assert adapted(profile((), "m"), request)[0] is request


def test_a_dropped_parameter_is_not_sent_and_that_is_told() -> None:
    """With the reason."""
    sent, told = put(
        SamplingRule(drop=("temperature",), why="it takes none"), temperature=0.0, seed=3
    )
    assert (sent.temperature, sent.seed) == (None, 3)
    assert told == ["temperature 0 is not sent (it takes none)"]


def test_a_renamed_parameter_keeps_its_value_and_is_not_worth_a_note() -> None:
    """It is what was asked for."""
    sent, told = put(SamplingRule(rename={"max_tokens": "max_completion_tokens"}), max_tokens=64)
    assert (sent.max_tokens, sent.parameters) == (None, {"max_completion_tokens": 64})
    assert told == []


@pytest.mark.parametrize(
    ("asked", "sent"), [(0.0, 0.01), (0.01, 0.01), (0.5, 0.5), (1.0, 1.0), (1.5, 1.0)]
)
def test_a_value_is_brought_within_its_bounds(asked: float, sent: float) -> None:
    """And told only if it was outside."""
    rule = SamplingRule(minimum={"temperature": 0.01}, maximum={"temperature": 1})
    got, told = put(rule, temperature=asked)
    assert got.temperature == sent
    assert told == ([] if asked == sent else [f"temperature {asked:g} is sent as {sent:g}"])


def test_bounds_count_under_a_new_name_too() -> None:
    """First the value, then the name."""
    rule = SamplingRule(maximum={"max_tokens": 100}, rename={"max_tokens": "n"})
    got, told = put(rule, max_tokens=200)
    assert got.parameters == {"n": 100}
    assert told == ["max_tokens 200 is sent as 100"]


def test_a_fixed_value_replaces_what_was_asked_for_and_only_that() -> None:
    """Nothing asked, nothing sent."""
    rule = SamplingRule(fix={"temperature": 1})
    assert put(rule, temperature=0.2)[0].temperature == 1
    assert put(rule)[0].temperature is None


def test_temperature_zero_may_be_said_in_other_words() -> None:
    """Only zero."""
    rule = SamplingRule(at_zero={"do_sample": False})
    sent, told = put(rule, temperature=0.0)
    assert (sent.temperature, sent.parameters) == (None, {"do_sample": False})
    assert told == ["temperature 0 is sent as do_sample = false"]
    assert put(rule, temperature=0.1)[0].parameters == {}


def test_what_is_added_goes_along_and_is_told() -> None:
    """Somebody may wonder where it came from."""
    sent, told = put(SamplingRule(add={"reasoning_split": True}))
    assert sent.parameters == {"reasoning_split": True}
    assert told == ["reasoning_split = true goes along"]


def test_thinking_is_translated_and_no_longer_asked_of_the_codec() -> None:
    """Table by table, so that both settings of one table survive."""
    rule = SamplingRule(thinking={"off": {"chat_template_kwargs": {"enable_thinking": False}}})
    sent, told = put(rule, thinking="off", parameters={"chat_template_kwargs": {"lang": "zh"}})
    assert sent.parameters == {"chat_template_kwargs": {"enable_thinking": False, "lang": "zh"}}
    assert sent.thinking == ""
    assert told == []


def test_a_default_state_of_thinking_is_asked_for_and_told() -> None:
    """Unless the sweep file names one."""
    rules = (
        SamplingRule(thinking={"on": {"t": 1}, "off": {"t": 0}}),
        SamplingRule(thinking_default="off", why="else it thinks"),
    )
    sent, told = put(*rules)
    assert sent.parameters == {"t": 0}
    assert told == ["thinking = off goes along (else it thinks)"]
    assert put(*rules, thinking="on") == (put(*rules, thinking="on")[0], [])
    assert put(*rules, thinking="on")[0].parameters == {"t": 1}


def test_a_rule_may_hold_only_while_the_model_thinks() -> None:
    """Claude takes no temperature then."""
    rules = (SamplingRule(thinking={"on": {}}), SamplingRule(thinks="on", drop=("temperature",)))
    assert put(*rules, temperature=0.5)[0].temperature == 0.5
    assert put(*rules, temperature=0.5, thinking="on")[0].temperature is None


def test_rules_add_up_the_later_one_counts_and_keep_takes_back() -> None:
    """So a user's rule can undo a preset's."""
    drop = SamplingRule(drop=("temperature", "seed"))
    back = SamplingRule(keep=("temperature",))
    sent, _ = put(drop, back, temperature=0.3, seed=1)
    assert (sent.temperature, sent.seed) == (0.3, None)
    low, lower = (
        SamplingRule(minimum={"temperature": 0.1}),
        SamplingRule(minimum={"temperature": 0.01}),
    )
    assert put(low, lower, temperature=0.0)[0].temperature == 0.01


def test_a_rule_is_for_the_models_whose_globs_fit() -> None:
    """Whatever the case."""
    rule = SamplingRule(models=("minimax-m[1-9]*",), drop=("temperature",))
    assert put(rule, model="MiniMax-M2.5", temperature=0.0)[0].temperature is None
    assert put(rule, model="MiniMax-Text-01", temperature=0.0)[0].temperature == 0.0


def test_what_the_sweep_file_writes_under_parameters_wins() -> None:
    """Whoever writes it knows why."""
    rules = (
        SamplingRule(rename={"max_tokens": "n"}, add={"x": 1}, thinking={"on": {"think": True}}),
    )
    sent, _ = put(*rules, max_tokens=5, thinking="on", parameters={"n": 7, "x": 2, "think": False})
    assert sent.parameters == {"n": 7, "x": 2, "think": False}


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(1, 10_000),
        "seed": st.integers(0, 2**31),
        "thinking": st.sampled_from(["", "on", "off"]),
    },
)
RULES = st.builds(
    SamplingRule,
    models=st.sampled_from([(), ("m",), ("other",)]),
    drop=st.sampled_from([(), ("temperature",), ("seed", "max_tokens")]),
    keep=st.sampled_from([(), ("temperature",)]),
    rename=st.sampled_from([{}, {"max_tokens": "n"}]),
    minimum=st.sampled_from([{}, {"temperature": 0.1}]),
    maximum=st.sampled_from([{}, {"temperature": 1.0}]),
    at_zero=st.sampled_from([{}, {"greedy": True}]),
    thinking=st.sampled_from([None, {"on": {"t": 1}, "off": {"t": 0}}]),
)


@given(OPTIONS, st.lists(RULES, max_size=4))
def test_whatever_is_not_sent_as_asked_is_told(
    options: dict[str, Any], rules: list[SamplingRule]
) -> None:
    """No parameter changes silently, and none is told that did not change."""
    request = Request(model="m", messages=(), **options)
    own = profile(rules, "m", request.thinking)
    sent, told = adapted(own, request)
    changed = {change.name for change in told}
    for name in NAMES:
        asked = getattr(request, name)
        under = own.rename.get(name, "")
        got = getattr(sent, name) if getattr(sent, name) is not None else sent.parameters.get(under)
        assert (name in changed) == (got != asked)
    assert sent.messages == request.messages
    assert adapted(own, request) == (sent, told)


def test_tables_are_merged_table_by_table() -> None:
    """And neither is changed."""
    under, over = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}}
    assert merge(under, over) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert under == {"a": {"b": 1, "c": 2}, "d": 3}


def test_a_change_reads_as_a_sentence() -> None:
    """What the plan and the run say."""
    assert str(Change("temperature", 0.0, None, "x")) == "temperature 0 is not sent (x)"
    assert str(Change("seed", 7, 8)) == "seed 7 is sent as 8"


# --- presets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model", "fields", "temperature", "parameters"),
    [
        ("openai", "gpt-4o", {}, 0.0, {}),
        ("openai", "gpt-5-mini", {"max_tokens": 9}, None, {"max_completion_tokens": 9}),
        ("openai", "o3-2025-04-16", {}, None, {}),
        ("openai", "gpt-5-chat-latest", {}, 0.0, {}),
        ("openai", "gpt-5.2", {"thinking": "off"}, None, {"reasoning_effort": "none"}),
        ("openai-responses", "gpt-5", {"thinking": "low"}, None, {"reasoning": {"effort": "low"}}),
        ("azure", "gpt-5", {"max_tokens": 9}, None, {"max_completion_tokens": 9}),
        ("anthropic", "claude-sonnet-4-5", {}, 0.0, {}),
        ("anthropic", "claude-sonnet-4-5", {"temperature": 1.5}, 1.0, {}),
        (
            "anthropic",
            "claude-sonnet-4-5",
            {"thinking": "on"},
            None,
            {"thinking": {"type": "enabled", "budget_tokens": 4096}},
        ),
        ("anthropic", "claude-opus-4-7-20260401", {}, None, {}),
        (
            "anthropic",
            "claude-sonnet-5",
            {"thinking": "off"},
            None,
            {"thinking": {"type": "disabled"}},
        ),
        ("anthropic", "claude-haiku-4-5", {}, 0.0, {}),
        ("zhipu", "glm-4.6", {}, None, {"do_sample": False}),
        ("zhipu-intl", "glm-4.6", {"temperature": 0.1}, 0.1, {}),
        (
            "zhipu",
            "glm-5",
            {"thinking": "off", "temperature": 0.7},
            0.7,
            {"thinking": {"type": "disabled"}},
        ),
        ("dashscope", "qwen3-32b", {}, 0.0, {"enable_thinking": False}),
        ("dashscope", "qwen3-235b-a22b", {"thinking": "on"}, 0.0, {"enable_thinking": True}),
        ("dashscope", "qwen-max", {}, 0.0, {}),
        ("deepseek", "deepseek-chat", {}, 0.0, {}),
        ("deepseek", "deepseek-reasoner", {}, None, {}),
        (
            "deepseek",
            "deepseek-v4-pro",
            {"thinking": "on"},
            None,
            {"thinking": {"type": "enabled"}},
        ),
        ("moonshot", "kimi-k2.6", {"thinking": "off"}, None, {"thinking": {"type": "disabled"}}),
        ("moonshot", "kimi-k3", {}, None, {}),
        ("moonshot", "moonshot-v1-32k", {}, 0.0, {}),
        ("qianfan", "ernie-5.0", {}, 0.01, {}),
        ("qianfan", "deepseek-v3.2", {}, 0.0, {}),
        ("ark", "doubao-seed-1-6", {"thinking": "off"}, 0.0, {"thinking": {"type": "disabled"}}),
        ("minimax", "MiniMax-M2", {}, 0.01, {"reasoning_split": True}),
        ("minimax-intl", "MiniMax-Text-01", {}, 0.01, {}),
        ("spark", "4.0Ultra", {}, 0.01, {}),
        ("siliconflow", "Qwen/Qwen3-8B", {"thinking": "off"}, 0.0, {"enable_thinking": False}),
        ("openrouter", "openai/gpt-5", {}, None, {}),
        ("openrouter", "z-ai/glm-4.6", {"thinking": "off"}, 0.0, {"reasoning": {"enabled": False}}),
        (
            "vllm",
            "Qwen/Qwen3-8B",
            {"thinking": "off"},
            0.0,
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
        (
            "sglang",
            "deepseek-ai/DeepSeek-V3.1",
            {"thinking": "on"},
            0.0,
            {"chat_template_kwargs": {"thinking": True}},
        ),
        ("ollama", "qwen3", {"thinking": "off"}, 0.0, {"reasoning_effort": "none"}),
        (
            "gemini",
            "gemini-2.5-flash",
            {"thinking": "off"},
            0.0,
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
        ),
    ],
)
def test_presets_ask_each_model_in_the_way_that_it_takes(
    name: str,
    model: str,
    fields: dict[str, Any],
    temperature: float | None,
    parameters: dict[str, Any],
) -> None:
    """As documented, or as the 400s of their users show."""
    sent, _ = at(name, model, **fields)
    assert (sent.temperature, sent.parameters) == (temperature, parameters)


@pytest.mark.parametrize("name", sorted(presets()))
def test_the_rules_of_every_preset_can_be_applied(name: str) -> None:
    """Each speaks of parameters there are, and to models that a glob can mean."""
    for rule in preset_rules(name):
        check_rule(rule, where=name)
        assert rule.models == tuple(glob.lower() for glob in rule.models)
        for state, parameters in (rule.thinking or {}).items():
            assert state in {"on", "off", "low", "medium", "high"}
            assert isinstance(parameters, dict)
        known = profile(preset_rules(name), (rule.models or ("m",))[0]).thinking
        assert not rule.thinking_default or rule.thinking_default in known
        assert not rule.drop or rule.why, "whoever loses a parameter wants to know why"


def test_a_glob_for_one_generation_does_not_catch_another() -> None:
    """`claude-*-5` would catch claude-sonnet-4-5."""
    deprecated = [r for r in preset_rules("anthropic") if "deprecated" in r.why]
    globs = [glob for rule in deprecated for glob in rule.models]
    old = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-3-5-sonnet-latest")
    assert globs
    assert not [m for m in old if any(fnmatchcase(m, glob) for glob in globs)]


# --- complaints --------------------------------------------------------------------------------


def test_thinking_that_cannot_be_asked_for_is_refused_with_what_can() -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match="`thinking = 'off'` is not known of `kimi-k3`") as caught:
        check_thinking(preset_rules("moonshot"), "kimi-k3", "off", where="f:3")
    assert (caught.value.where, caught.value.how) == ("f:3", "known: on")
    with pytest.raises(ConfigError) as caught:
        check_thinking((), "m", "on", where="f:3")
    assert "`parameters`" in caught.value.how
    check_thinking((), "m", "", where="f:3")


@pytest.mark.parametrize(
    "rule",
    [
        SamplingRule(drop=("top_p",)),
        SamplingRule(rename={"temprature": "t"}),
        SamplingRule(minimum={"top_k": 1}),
        SamplingRule(keep=("x",)),
    ],
)
def test_a_rule_about_a_parameter_that_is_not_ours_is_refused(rule: SamplingRule) -> None:
    """It would do nothing, silently."""
    with pytest.raises(ConfigError, match=re.escape("a sampling rule speaks of")):
        check_rule(rule, where="here")
