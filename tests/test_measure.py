"""Prompts measured: between what is hardly undercut and what the budget would reserve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.prices import OVERHEAD_TOKENS, Price, worst_case
from data.schema import Message, Request
from engine.estimate import LEAST, MIDDLE, OVERHEAD, Size, Vocabulary, size_of, vocabulary_of
from engine.expectation import ENOUGH
from engine.measure import Gauge, Missing, Prompt, prompt_of
from providers.registry import DIALECTS

UNKNOWN = vocabulary_of("nobody-knows")


def prompt(*texts: str) -> Prompt:
    """As it would go over the wire."""
    request = Request(model="m", messages=tuple(Message("user", text) for text in texts))
    return prompt_of(request, DIALECTS["openai-chat"].encode(request).body)


def test_a_prompt_is_all_its_messages() -> None:
    """In characters of both kinds; the wire's own characters count only as bytes."""
    seen = prompt("汉字abc", "更")
    assert (seen.size, seen.messages) == (Size(3.0, 3.0), 2)
    assert seen.body_bytes > 3 * 3 + 3


def test_vocabularies_are_known_by_the_models_name() -> None:
    """With or without a vendor's; a simulator counts in its own way; others lie in between."""
    text = size_of("汉" * 1000)
    assert vocabulary_of("gpt-4-0613").tokens(text) == 1229
    assert vocabulary_of("openai/GPT-4o").tokens(text) == 802
    assert vocabulary_of("Qwen/qwen-14b").tokens(text) == 655
    assert vocabulary_of("gpt-4-0613", simulated=True).tokens(text) == pytest.approx(700)
    assert Vocabulary(MIDDLE, LEAST) == UNKNOWN


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_the_three_figures_of_a_prompt_stand_in_order(texts: list[str]) -> None:
    """For any words, in any vocabulary."""
    for name in ("gpt-4-0613", "gpt-4o", "qwen-max", "nobody-knows"):
        gauge = Gauge(vocabulary_of(name))
        gauge.add(prompt(*texts))
        seen = gauge.input
        assert seen.worst is not None
        assert 0 < seen.low <= seen.likely <= seen.worst
        assert seen.worst == gauge.largest


def test_the_worst_is_what_the_budget_reserves() -> None:
    """One token a byte of the body, and what a template may add."""
    seen = prompt("问题" * 50)
    gauge = Gauge(UNKNOWN)
    gauge.add(seen)
    price = Price("USD", 1000, 0)
    assert gauge.input.worst == seen.body_bytes + OVERHEAD_TOKENS
    assert worst_case(price, seen.body_bytes, 0, 0) == gauge.input.worst


def test_a_missing_answer_is_added_as_it_is_expected() -> None:
    """And makes the worst unknown where nothing bounds it."""
    empty = prompt("评价：")
    gauge = Gauge(UNKNOWN)
    gauge.add(empty, (Missing(Size(10, 0), Size(100, 0), 500),))
    assert gauge.input.low == pytest.approx(LEAST[0] * 13 + 1)
    assert gauge.input.likely == pytest.approx(MIDDLE[0] * 103 + OVERHEAD)
    assert gauge.input.worst == empty.body_bytes + OVERHEAD_TOKENS + 500
    gauge.add(empty, (Missing(Size(10, 0), Size(100, 0), None),))
    assert gauge.input.worst is None


def test_real_figures_correct_the_estimate_once_there_are_enough() -> None:
    """In proportion; the worst is not touched, since it is a bound."""
    seen = prompt("问题" * 500)
    gauge = Gauge(UNKNOWN)
    gauge.add(seen)
    before = gauge.input
    for _ in range(ENOUGH - 1):
        gauge.learn(seen, 1500)
    gauge.learn(seen, 0)  # nobody said
    assert gauge.input == before
    gauge.learn(seen, 1500)
    assert gauge.input.likely == pytest.approx(1500)
    assert gauge.input.low == pytest.approx(0.97 * 1500)
    assert gauge.input.worst == before.worst
