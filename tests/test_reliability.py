"""Agreement beyond chance: against scikit-learn and the krippendorff package."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from engine.agreement.reliability import Metric, krippendorff_alpha, quadratic_kappa
from engine.agreement.shift import mean_shift, share_within
from tests.score_columns import row, same


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=2, max_size=40))
def test_quadratic_kappa_is_sklearns(votes: list[tuple[int, int]]) -> None:
    """Without its table: the closed form has no categories."""
    x, y = ([v[i] for v in votes] for i in (0, 1))
    assume(len({*x, *y}) > 1)
    theirs = cohen_kappa_score(x, y, labels=range(1, 11), weights="quadratic")
    assert same(quadratic_kappa(row(x, y)).value, theirs)


@given(
    st.integers(2, 4).flatmap(
        lambda raters: st.lists(
            st.lists(st.none() | st.integers(1, 5), min_size=raters, max_size=raters),
            min_size=2,
            max_size=15,
        )
    ),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_the_krippendorff_packages(
    ratings: list[list[int | None]], metric: Metric
) -> None:
    """Missing ratings included."""
    table = np.array(ratings, dtype=np.float64).T
    paired = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    mine = krippendorff_alpha(table, metric)
    if not paired.size:
        assert mine.why == "nothing has two ratings"
    elif len(np.unique(paired[~np.isnan(paired)])) < 2:
        assert mine.why == "all ratings are equal"
    else:
        theirs = krippendorff.alpha(reliability_data=paired, level_of_measurement=metric)
        assert same(mine.value, theirs)


def test_alpha_of_krippendorffs_own_example() -> None:
    """Computing Krippendorff's Alpha-Reliability, example C: four observers, twelve units."""
    gone = math.nan
    ratings = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, gone, gone, gone],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gone, 3],
            [gone, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gone],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gone],
        ]
    )
    found = [krippendorff_alpha(ratings, m).value for m in ("nominal", "ordinal", "interval")]
    assert found == pytest.approx([0.743, 0.815, 0.849], abs=0.0005)


def test_shift_and_share_are_plain_means() -> None:
    """Of the differences, and of those that are small."""
    found = row([3.0, 4.0, 5.0, 6.0, 7.0], [3.0, 3.0, 3.0, 6.0, 6.0])
    assert mean_shift(found).value == pytest.approx(0.8)
    assert share_within(found, 0.0).value == pytest.approx(0.4)
    assert share_within(found, 1.0).value == pytest.approx(0.8)
