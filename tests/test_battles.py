"""Wins, ties and losses from scores, and the rates that MT-Bench and AlpacaEval make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.battles import outcomes, win_rate


def test_scores_within_a_tenth_are_a_tie() -> None:
    """MT-Bench's TIE_DELTA; 7.1 - 7.0 is more than 0.1 to a computer and is a tie all the same."""
    gaps = np.array([7.1 - 7.0, 0.11, -0.1, -0.2, 0.0, np.nan])
    assert np.array_equal(outcomes(gaps), [0.5, 1, 0.5, 0, 0.5, np.nan], equal_nan=True)


def test_rates_are_alpacaevals() -> None:
    """Recorded from its `describe_head2head` on these ten preferences (0 and 1.5 are draws)."""
    preferences = np.array([1, 2, 1.5, 1.5, 2, 1.2, 1.9, 1.1, 2, 1])
    found = win_rate(preferences - 1)
    assert found.adjusted == pytest.approx(0.52)
    assert found.se == pytest.approx(0.13564659966250536)
    assert (found.wins, found.losses, found.ties) == (4, 4, 2)


def test_rates_are_mt_benchs() -> None:
    """W / (W + T + L), and with ties as halves; a missing battle is none."""
    found = win_rate(np.array([1, 1, 1, 0.5, 0.5, 0, np.nan]))
    assert found.win_rate == pytest.approx(3 / 6)
    assert found.adjusted == pytest.approx((3 + 2 / 2) / 6)


def test_no_battles_and_no_spread_have_no_interval() -> None:
    """None, not 0."""
    assert win_rate(np.array([np.nan])).adjusted is None
    found = win_rate(np.array([1.0, 1.0]))
    assert (found.adjusted, found.se, found.low) == (1.0, None, None)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=30))
def test_the_other_side_sees_the_mirror_image(results: list[float]) -> None:
    """Rates add up to 1; an interval never leaves it."""
    ours, theirs = win_rate(np.array(results)), win_rate(1 - np.array(results))
    assert ours.adjusted is not None
    assert ours.adjusted + (theirs.adjusted or 0) == pytest.approx(1)
    assert (ours.wins, ours.ties, ours.losses) == (theirs.losses, theirs.ties, theirs.wins)
    assert ours.low is None or 0 <= ours.low <= ours.adjusted <= (ours.high or 0) <= 1
