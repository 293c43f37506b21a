"""Estimates of tokens: by length, and what is learned from real figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.estimate import OVERHEAD, InputGuess, OutputGuess, tokens_of


def counted(text: str, model: str = "") -> int:
    return tokens_of(len(text), len(text.encode()), model)


def test_chinese_and_other_text_have_their_own_weight() -> None:
    """1.229 a Chinese character and 0.312 a Latin one, in the vocabulary that is largest."""
    assert counted("") == OVERHEAD
    assert counted("汉" * 1000) == 1229 + OVERHEAD
    assert counted("a" * 1000) == 312 + OVERHEAD


def test_a_known_family_has_its_own_coefficients() -> None:
    """Whatever the case of the name."""
    assert counted("汉" * 1000, "Qwen-Max") == 655 + OVERHEAD
    assert counted("汉" * 1000, "gpt-4o-mini") == 802 + OVERHEAD
    assert counted("汉" * 1000, "gpt-4-0613") == 1229 + OVERHEAD


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one: str, two: str) -> None:
    """For any text that can be sent."""
    one, two = (t.encode("utf-8", "ignore").decode() for t in (one, two))
    assert 0 < counted(one) <= counted(one + two) + 1


def test_a_prompts_estimate_follows_the_tokenizer_it_meets() -> None:
    """At first as it is, then by the ratio seen; nonsense teaches nothing."""
    guess = InputGuess()
    assert guess.corrected(100) == 100
    guess.learn(0, 50)
    guess.learn(50, 0)
    assert guess.corrected(100) == 100
    for _ in range(20):
        guess.learn(200, 110)
    assert guess.corrected(100) == 55
    assert guess.corrected(0) == 1


def test_a_first_answer_replaces_the_first_guess() -> None:
    """Nothing of a made-up number stays."""
    guess = OutputGuess(512, None)
    assert guess.likely == 512
    guess.learn(100)
    assert guess.likely == 100


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=100), st.integers(1, 4000))
def test_a_reservation_lies_between_the_mean_and_its_double_and_below_the_cap(
    lengths: list[int], cap: int
) -> None:
    """And the more are in flight, the less each needs."""
    guess = OutputGuess(512, cap)
    for length in lengths:
        guess.learn(length)
    amounts = [guess.careful(among) for among in (1, 4, 100)]
    assert amounts == sorted(amounts, reverse=True)
    assert guess.likely <= amounts[-1] <= amounts[0] <= min(2 * guess.likely + 1, cap)


def test_the_guess_forgets_what_is_long_ago() -> None:
    """A model that became terse."""
    guess = OutputGuess(512, None)
    for length in [1000] * 100 + [100] * 200:
        guess.learn(length)
    assert guess.likely == pytest.approx(100, abs=20)
