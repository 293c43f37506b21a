"""Student's t, against scipy and against numbers that others recorded."""

from __future__ import annotations

import importlib
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.student import quantile, two_sided, upper_tail

STATS: Any = importlib.import_module("scipy.stats")
FREEDOMS = (0.5, 1.0, 1.7, 2.0, 3.3, 14.0, 30.5, 333.7, 5_000.0, 999_999.0, 1e9)


@pytest.mark.parametrize("df", FREEDOMS)
def test_tails_are_scipys_to_many_digits(df: float) -> None:
    """Also where hardly anything is left."""
    for t in (0.0, 1e-6, 0.3, 1.0, 1.96, 4.5, 12.0):
        expected = STATS.norm.sf(t) if df > 1e6 else STATS.t.sf(t, df)
        assert upper_tail(t, df) == pytest.approx(expected, rel=1e-8)
        assert upper_tail(-t, df) == pytest.approx(1 - expected, rel=1e-8)
        assert two_sided(-t, df) == pytest.approx(2 * expected, rel=1e-8)


@pytest.mark.parametrize("df", FREEDOMS)
def test_quantiles_are_scipys(df: float) -> None:
    """From the middle to one in ten thousand."""
    for p in (0.5001, 0.8, 0.9, 0.975, 0.995, 0.9999):
        assert quantile(p, df) == pytest.approx(STATS.t.ppf(p, df), rel=1e-7)
        assert quantile(1 - p, df) == pytest.approx(-quantile(p, df), rel=1e-7)


def test_quantiles_are_those_inspect_ai_computes() -> None:
    """Recorded from its `_t_inv_cdf` (scorer/_metrics/std.py)."""
    recorded = {
        (0.975, 3): 3.1824463052837046,
        (0.975, 14): 2.1447866879178017,
        (0.975, 1): 12.706204736174659,
        (0.9, 2.0): 1.8856180831641258,
        (0.995, 30): 2.7499956535672183,
        (0.975, 500): 1.9647198374672588,
    }
    for (p, df), expected in recorded.items():
        assert quantile(p, df) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.001, 0.999), st.floats(0.6, 1e5))
def test_a_quantile_has_the_tail_it_was_asked_for(p: float, df: float) -> None:
    """There and back."""
    assert 1 - upper_tail(quantile(p, df), df) == pytest.approx(p, abs=1e-9)


def test_edges() -> None:
    """Infinity has no tail, a share of 0 or 1 no quantile, and many degrees of freedom are normal."""
    assert two_sided(float("inf"), 5) == 0
    assert quantile(0.975, 1e7) == pytest.approx(NormalDist().inv_cdf(0.975))
    for p in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            quantile(p, 5)
