"""The sign-flip test: scipy's p where all patterns are counted, uniform where nothing differs."""

from __future__ import annotations

import importlib
from itertools import product
from typing import Any

import numpy as np
import pytest

from engine.stats.design import layout_of
from engine.stats.signflip import EXACT_UP_TO, FLIPS, flip_p
from tests.grid_maker import benchmark

STATS: Any = importlib.import_module("scipy.stats")


def p_of(differences: Any, **options: Any) -> float:
    values = np.array(differences, dtype=np.float64)
    layout, _ = layout_of(benchmark(["甲"] * len(values)))
    return float(flip_p(values[:, None], layout, **options)[0])


def test_few_questions_are_counted_to_the_last_pattern() -> None:
    """scipy's exact permutation test over samples of pairs."""
    rng = np.random.default_rng(1)
    for n in (3, 7, EXACT_UP_TO):
        a, b = rng.integers(1, 11, n).astype(float), rng.integers(1, 11, n).astype(float)
        expected = STATS.permutation_test(
            (a, b),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        )
        assert p_of(a - b) == pytest.approx(float(expected.pvalue))


def test_many_questions_come_close_to_what_counting_would_say() -> None:
    """15 questions have 32,768 patterns: still countable here, sampled there."""
    differences = np.round(np.random.default_rng(2).normal(0.6, 1.5, EXACT_UP_TO + 3), 1)
    patterns = np.array(list(product((-1.0, 1.0), repeat=differences.size)))
    exact = float((np.abs(patterns @ differences) >= abs(differences.sum()) - 1e-9).mean())
    assert p_of(differences) == pytest.approx(exact, abs=0.01)


def test_p_is_uniform_where_nothing_differs() -> None:
    """400 comparisons of equals at once."""
    rng = np.random.default_rng(3)
    layout, _ = layout_of(benchmark(["甲"] * 40))
    p = flip_p(rng.normal(0, 1, (40, 400)) * rng.gamma(2, 1, (40, 1)), layout)
    assert STATS.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (p < 0.05).mean() <= 0.085


def test_p_is_never_zero_and_one_where_nothing_differs_at_all() -> None:
    """9,999 random patterns cannot show less than 1 in 10,000."""
    assert p_of([1.0] * 200) == 1 / (FLIPS + 1)
    assert p_of([0.0] * 200) == 1.0
    assert p_of([0.0] * 199 + [3.0]) == 1.0


def test_a_cluster_flips_as_one() -> None:
    """Three subcategories have eight patterns, two of them as extreme as what was seen."""
    kinds = ["x"] * 20 + ["y"] * 20 + ["z"] * 20
    layout, _ = layout_of(benchmark(["甲"] * 60, subcategories=kinds))
    ones = np.ones((60, 1))
    assert flip_p(ones, layout, clustered=True)[0] == 2 / 8
    assert flip_p(ones, layout)[0] == 1 / (FLIPS + 1)


def test_the_same_questions_give_the_same_p_beside_any_other_columns() -> None:
    """So `rank` and `compare` print one number."""
    rng = np.random.default_rng(4)
    layout, _ = layout_of(benchmark(["甲"] * 50))
    three = rng.normal(0.2, 1, (50, 3))
    together = flip_p(three, layout)
    assert [float(flip_p(three[:, [i]], layout)[0]) for i in range(3)] == together.tolist()
