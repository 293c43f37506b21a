"""Holm's correction, against statsmodels, and what it promises."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.holm import holm

MULTITEST: Any = importlib.import_module("statsmodels.stats.multitest")
STATS: Any = importlib.import_module("scipy.stats")


def test_it_is_statsmodels_holm() -> None:
    """With ties, zeros and ones among them."""
    rng = np.random.default_rng(2)
    for size in (1, 2, 7, 136):
        p_values = np.round(rng.beta(0.3, 1, size), 2)
        expected = MULTITEST.multipletests(p_values, method="holm")[1]
        assert holm(p_values.tolist()) == pytest.approx(expected.tolist(), abs=1e-12)


@given(st.lists(st.none() | st.floats(0, 1), max_size=20))
def test_it_never_makes_a_p_smaller_nor_turns_two_round(p_values: list[float | None]) -> None:
    """And what is no test stays none."""
    found = holm(p_values)
    known = [(p, q) for p, q in zip(p_values, found, strict=True) if p is not None]
    assert all(q is not None and p <= q <= 1 for p, q in known)
    assert [q for _, q in sorted(known)] == sorted(q for _, q in known if q is not None)
    assert [p is None for p in p_values] == [q is None for q in found]


def test_what_has_no_p_is_not_in_the_family() -> None:
    """Two tests, not four."""
    assert holm([None, 0.01, None, 0.5]) == [None, 0.02, None, 0.5]
    assert holm([]) == []


def test_the_family_error_is_at_most_5_percent() -> None:
    """17 equally good models, 136 pairs, 2,000 leaderboards: hardly ever one false claim."""
    rng = np.random.default_rng(1)
    wrong = uncorrected = 0
    first, second = np.triu_indices(17, 1)
    for _ in range(2_000):
        score = rng.normal(0, 1, 17)
        p = 2 * STATS.norm.sf(np.abs(score[first] - score[second]) / np.sqrt(2))
        uncorrected += p.min() < 0.05
        smallest = holm(p.tolist())
        wrong += any(one is not None and one < 0.05 for one in smallest)
    assert wrong / 2_000 <= 0.05
    assert uncorrected / 2_000 > 0.6, "so it was needed"
