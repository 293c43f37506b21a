"""Correlations: against scipy, and what must hold of any data."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from engine.agreement.correlations import Coefficients, Correlator, coefficients
from tests.score_columns import COLUMNS, same


@given(COLUMNS)
def test_all_three_coefficients_are_scipys(columns: list[tuple[float, float]]) -> None:
    """Ties, negative numbers and mixed magnitudes included."""
    x, y = (np.array(column) for column in zip(*columns, strict=True))
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    mine = coefficients(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's about columns that are nearly constant
        theirs = stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0], stats.kendalltau(x, y)[0]
    assert same(mine.spearman, theirs[1])
    assert same(mine.kendall, theirs[2])
    assert mine.pearson is not None
    assert math.isclose(mine.pearson, theirs[0], rel_tol=1e-5, abs_tol=1e-6)


@given(COLUMNS, st.data())
def test_a_weight_is_a_repetition(columns: list[tuple[float, float]], data: st.DataObject) -> None:
    """Which is all that the bootstrap needs."""
    x, y = (np.array(column) for column in zip(*columns, strict=True))
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x)))
    times = np.array(counts)
    weighted = Correlator(x, y)(times[None, :].astype(np.float64))[0]
    repeated = coefficients(np.repeat(x, times), np.repeat(y, times))
    if repeated.kendall is None:
        assert np.isnan(weighted).all()
    else:
        expected = [repeated.pearson, repeated.spearman, repeated.kendall]
        assert list(weighted) == pytest.approx(expected, abs=1e-6)


@given(COLUMNS)
def test_coefficients_are_bounded_symmetric_and_blind_to_order(
    columns: list[tuple[float, float]],
) -> None:
    """And their sign turns with a column's."""
    x, y = (np.array(column) for column in zip(*columns, strict=True))
    found, turned = coefficients(x, y), coefficients(y, x)
    shuffled, negative = coefficients(x[::-1], y[::-1]), coefficients(-x, y)
    for name in ("pearson", "spearman", "kendall"):
        value = getattr(found, name)
        others = [getattr(c, name) for c in (turned, shuffled, negative)]
        if value is None:
            assert others == [None, None, None]
        else:
            assert -1 <= value <= 1
            assert others == pytest.approx([value, value, -value], abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1.0], [2.0]), ([5.0] * 4, [1.0, 2, 3, 4]), ([0.1] * 3, [0.3] * 3)]
)
def test_constant_or_short_columns_have_no_coefficient(x: list[float], y: list[float]) -> None:
    """Not 0, not 1, no warning, no exception."""
    assert coefficients(np.array(x), np.array(y)) == Coefficients()
