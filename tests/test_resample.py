"""Bootstrap weights: their spread is the analytic error, in small categories and clustered, too."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats.resample import resamples, totals
from engine.stats.stratified import estimate
from tests.grid_maker import ALIGNBENCH, GROUPS, benchmark, grid_of

SMALL = benchmark(
    ["甲"] * 3 + ["乙"] * 4 + ["丙"] * 40,
    {"一": ("甲", "乙"), "二": ("丙",)},
    subcategories=list("xyz") + list("xyyz") + list("xy") * 20,
)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_spread_over_resamples_is_the_standard_error(clustered: bool) -> None:
    """Three questions in a category: drawing 3 of 3 would be a fifth too narrow."""
    rng = np.random.default_rng(1)
    grid = grid_of(SMALL, {name: rng.integers(1, 11, 47) for name in "abc"})
    weights = resamples(grid.layout, clustered=clustered, count=40_000)
    drawn = totals(grid.values, grid.layout, grid.total, weights)
    for place, name in enumerate(grid.models):
        found = estimate(grid.row(name), grid.layout, grid.total, clustered=clustered)
        assert drawn[:, place].std() == pytest.approx(found.se, rel=0.02)
        assert drawn[:, place].mean() == pytest.approx(found.value, abs=0.02)


def test_models_are_resampled_together() -> None:
    """A model that is always 1 better is 1 better in every resample, missing scores or not."""
    rng = np.random.default_rng(2)
    scores = rng.integers(1, 10, len(ALIGNBENCH)).astype(float)
    scores[5::50] = np.nan
    grid = grid_of(benchmark(ALIGNBENCH, GROUPS), {"a": scores + 1, "b": scores})
    drawn = totals(grid.values, grid.layout, grid.total, resamples(grid.layout))
    assert np.abs(drawn[:, 0] - drawn[:, 1] - 1).max() < 1e-9


def test_the_questions_decide_the_seed() -> None:
    """Again the same; other questions, other resamples."""
    one = resamples(grid_of(SMALL, {"a": [1.0] * 47}).layout, count=5)
    again = resamples(grid_of(SMALL, {"b": [2.0] * 47}).layout, count=5)
    assert (one == again).all()
    assert one.mean() == pytest.approx(1)


def test_a_model_without_a_value_has_none_in_any_resample() -> None:
    """Not a zero."""
    grid = grid_of(SMALL, {"a": [None] * 3 + [5.0] * 44})
    assert np.isnan(totals(grid.values, grid.layout, grid.total, resamples(grid.layout))).all()
