"""Token counts of all dialects in one meaning: input includes cached, output includes reasoning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Usage
from providers.usage import (
    MOST_NUMBERS,
    Counted,
    anthropic_usage,
    chat_usage,
    gemini_usage,
    numbers,
    responses_usage,
)

Reader = Callable[[object], Counted]
READERS: tuple[Reader, ...] = (chat_usage, responses_usage, anthropic_usage, gemini_usage)


def chat(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # OpenAI, Zhipu, DashScope, Ark, SiliconFlow
        (
            chat(
                100,
                50,
                total_tokens=150,
                prompt_tokens_details={"cached_tokens": 64, "audio_tokens": 0},
                completion_tokens_details={"reasoning_tokens": 40},
            ),
            Usage(100, 50, 64, 40),
        ),
        # DeepSeek
        (
            chat(100, 50, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
            Usage(100, 50, 64),
        ),
        # Moonshot, StepFun
        (chat(19, 21, total_tokens=40, cached_tokens=10), Usage(19, 21, 10)),
        # xAI: reasoning is counted beside the completion
        (
            chat(10, 5, total_tokens=45, completion_tokens_details={"reasoning_tokens": 30}),
            Usage(10, 35, 0, 30),
        ),
        # a total that is smaller than its parts (a gateway leaves the cached ones out) says nothing
        (chat(100, 50, total_tokens=86, cached_tokens=64), Usage(100, 50, 64)),
    ],
)
def test_chat_completions_count_in_several_ways(raw: dict[str, Any], expected: Usage) -> None:
    """All of them come out alike and unflagged, with their own numbers beside."""
    assert chat_usage(raw) == Counted(expected, raw)


def test_what_a_total_holds_beyond_its_parts_is_output_and_is_flagged() -> None:
    """Gemini's OpenAI address leaves thoughts out and does not name them: dear rather than lost."""
    got = chat_usage(chat(20, 151, total_tokens=553))
    assert got.usage == Usage(20, 533)
    assert got.flags == ("usage: a total of 553 is more than 20 + 151; counted as output",)


@pytest.mark.parametrize(
    ("reader", "raw", "expected", "flag"),
    [
        (chat_usage, chat(10, 5, cached_tokens=900), Usage(10, 5, 10), "900 cached of 10"),
        (
            responses_usage,
            {
                "input_tokens": 1,
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 9},
            },
            Usage(1, 5, 0, 5),
            "9 reasoning of 5",
        ),
        (
            gemini_usage,
            {"promptTokenCount": 3, "cachedContentTokenCount": 4},
            Usage(3, 0, 3),
            "4 cached of 3",
        ),
    ],
)
def test_counts_that_cannot_be_are_cut_down_visibly(
    reader: Reader, raw: dict[str, Any], expected: Usage, flag: str
) -> None:
    """The provider's own number stays beside it."""
    got = reader(raw)
    assert (got.usage, got.raw) == (expected, raw)
    assert flag in got.flags[0]


def test_anthropics_input_leaves_cache_reads_and_writes_out() -> None:
    """Both are added; output includes thinking."""
    raw = {
        "input_tokens": 50,
        "cache_creation_input_tokens": 248,
        "cache_read_input_tokens": 1800,
        "cache_creation": {"ephemeral_5m_input_tokens": 248, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 503,
        "output_tokens_details": {"thinking_tokens": 400},
    }
    assert anthropic_usage(raw) == Counted(Usage(2098, 503, 1800, 400), raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"promptTokenCount": 20, "candidatesTokenCount": 8}, Usage(20, 8)),
        (
            {
                "promptTokenCount": 20,
                "candidatesTokenCount": 198,
                "thoughtsTokenCount": 405,
                "totalTokenCount": 623,
            },
            Usage(20, 603, 0, 405),
        ),
        (
            {
                "promptTokenCount": 20,
                "candidatesTokenCount": 603,
                "thoughtsTokenCount": 405,
                "totalTokenCount": 623,
            },
            Usage(20, 603, 0, 405),
        ),
        (
            {
                "promptTokenCount": 20,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 8,
                "totalTokenCount": 33,
            },
            Usage(25, 8),
        ),
        (
            {"promptTokenCount": 20, "thoughtsTokenCount": 7, "totalTokenCount": 27},
            Usage(20, 7, 0, 7),
        ),
        ({"promptTokenCount": 20, "totalTokenCount": 20}, Usage(20, 0)),
    ],
)
def test_geminis_thoughts_stand_beside_its_candidates(raw: dict[str, Any], expected: Usage) -> None:
    """Unless the total says that they are among them (some gateways have it so)."""
    assert gemini_usage(raw) == Counted(expected, raw)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("raw", [None, {}, [], "12", 7, {"prompt_tokens": "5"}])
def test_what_was_not_said_is_none_and_never_zero(reader: Reader, raw: object) -> None:
    """A missing count is counted as missing."""
    assert reader(raw).usage is None


NUMBER = st.integers(-5, 200) | st.none() | st.booleans() | st.just(10**30) | st.text(max_size=3)
NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
]
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "thinking_tokens"]), NUMBER
)
RAW = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(NAMES, NUMBER)
    | {f"{name}_details": DETAILS for name in ("prompt_tokens", "completion_tokens")}
    | {f"{name}_details": DETAILS for name in ("input_tokens", "output_tokens")},
)


@given(RAW, st.sampled_from(READERS))
def test_no_part_is_ever_larger_than_its_whole(raw: dict[str, Any], reader: Reader) -> None:
    """Whatever numbers a server makes up."""
    usage = reader(raw).usage
    if usage is not None:
        assert 0 <= usage.cached_tokens <= usage.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens


@given(RAW, st.sampled_from(READERS))
def test_a_total_is_kept_or_flagged(raw: dict[str, Any], reader: Reader) -> None:
    """No token that a total knows of is lost."""
    got = reader(raw)
    total = raw.get("totalTokenCount" if reader is gemini_usage else "total_tokens")
    if got.usage is None or reader is anthropic_usage or isinstance(total, bool):
        return
    if isinstance(total, int) and total < 10**6:
        assert got.usage.input_tokens + got.usage.output_tokens >= total


def test_only_numbers_are_kept_of_a_usage_object() -> None:
    """Bounded, finite, and under their own names; what OpenRouter paid is among them."""
    raw = {
        "prompt_tokens": 5,
        "cost": 0.00014,
        "is_byok": False,
        "service_tier": "standard",
        "cost_details": {"upstream_inference_cost": None, "x": {"y": {"z": {"deep": 1}}}},
        "prompt_tokens_details": {"cached_tokens": 0},
        "modalities": [{"n": 1}],
        "big": 10**40,
        "nan": float("nan"),
        "n" * 100: 1,
    }
    kept = {"prompt_tokens": 5, "cost": 0.00014, "prompt_tokens_details": {"cached_tokens": 0}}
    assert numbers(raw) == kept
    assert len(numbers({str(n): n for n in range(1000)})) == MOST_NUMBERS
