"""Paired comparisons: scipy's paired t test, what is left out, and what could be seen."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.grid import Grid
from engine.stats.paired import Comparison, compare, shared_means
from engine.stats.stratified import estimate
from tests.grid_maker import ALIGNBENCH, GROUPS, benchmark, flat, grid_of

STATS: Any = importlib.import_module("scipy.stats")


def versus(grid: Grid, a: str = "a", b: str = "b", *, clustered: bool = False) -> Comparison:
    (found,) = compare(grid, [(a, b)], grid.total, clustered=clustered)
    return found


def test_one_category_is_scipys_paired_t_test() -> None:
    """Effect, interval and p."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(6, 2, 40), rng.normal(5.4, 2, 40)
    found = versus(flat({"a": a, "b": b}))
    test = STATS.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    assert found.effect.value == pytest.approx((a - b).mean())
    assert found.effect.low == pytest.approx(interval.low)
    assert found.effect.high == pytest.approx(interval.high)
    assert found.p == pytest.approx(test.pvalue)
    assert found.p_flip == pytest.approx(test.pvalue, abs=0.02)


def test_what_both_find_hard_cancels_out() -> None:
    """The paired error is the smaller one, on AlignBench's own sizes."""
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 2, len(ALIGNBENCH))
    scores = {name: 5 + hard + rng.normal(0, 1, len(ALIGNBENCH)) for name in "ab"}
    grid = grid_of(benchmark(ALIGNBENCH, GROUPS), scores)
    alone = [estimate(grid.row(name), grid.layout, grid.total).se or 0.0 for name in "ab"]
    paired = versus(grid).effect.se
    assert paired is not None
    assert paired < 0.7 * math.hypot(*alone)


def test_turning_the_pair_round_turns_the_signs_round() -> None:
    """And nothing else."""
    rng = np.random.default_rng(3)
    grid = flat({"a": rng.integers(1, 11, 30), "b": rng.integers(1, 11, 30)})
    ab, ba = versus(grid), versus(grid, "b", "a")
    assert ab.effect.value == -(ba.effect.value or 0)
    assert (ab.p, ab.p_flip, ab.detectable) == (ba.p, ba.p_flip, ba.detectable)
    assert (ab.wins, ab.ties, ab.losses) == (ba.losses, ba.ties, ba.wins)


def test_a_question_without_both_scores_is_left_out_and_counted() -> None:
    """b's only disaster has no counterpart, so it is nobody's."""
    grid = flat({"a": [5.0, 6.0, 7.0, None, None], "b": [5.0, 5.0, 5.0, 1.0, None]})
    found = versus(grid)
    assert (found.effect.n, found.left_out) == (3, 2)
    assert found.effect.value == pytest.approx(1.0)
    assert (found.wins, found.ties, found.losses) == (2, 1, 0)
    assert shared_means(grid, "a", "b", grid.total) == (6.0, 5.0)


def test_wins_and_left_out_are_those_of_the_column() -> None:
    """A category's row counts its own questions."""
    grid = grid_of(benchmark(["甲", "甲", "乙", "乙"]), {"a": [1, 2, 9, 9], "b": [3, 4, 1, None]})
    by_name = {c.name: compare(grid, [("a", "b")], c)[0] for c in grid.columns}
    assert [(n, c.wins, c.losses, c.left_out) for n, c in by_name.items()] == [
        ("total", 1, 2, 1),
        ("甲", 0, 2, 0),
        ("乙", 1, 0, 1),
    ]


def test_no_difference_anywhere_is_no_evidence_either_way() -> None:
    """p of t is undefined, the permutation says 1."""
    found = versus(flat({"a": [3.0, 4.0, 5.0], "b": [3.0, 4.0, 5.0]}))
    assert (found.effect.value, found.p, found.p_flip, found.detectable) == (0.0, None, 1.0, None)
    assert "the same on every question" in found.effect.reason


def test_nothing_in_common_is_undefined() -> None:
    """Not a draw."""
    found = versus(flat({"a": [3.0, None], "b": [None, 4.0]}))
    assert (found.effect.value, found.p, found.p_flip) == (None, None, None)
    assert (found.effect.reason, found.left_out) == ("no score in 甲", 2)


def test_p_is_uniform_between_equals() -> None:
    """1,500 pairs of equally good models, whole scores, three categories."""
    rng = np.random.default_rng(100)
    asked = benchmark(["甲"] * 20 + ["乙"] * 15 + ["丙"] * 30, {"一": ("甲", "乙"), "二": ("丙",)})
    hard = rng.normal(0, 1.5, 65)
    names = [f"m{i:04}" for i in range(3000)]
    grid = grid_of(
        asked, {n: np.clip(np.round(5 + hard + rng.normal(0, 1.5, 65)), 1, 10) for n in names}
    )
    found = compare(grid, list(zip(names[::2], names[1::2], strict=True)), grid.total)
    for p_values in ([c.p for c in found], [c.p_flip for c in found]):
        p = np.array(p_values, dtype=float)
        assert STATS.kstest(p, "uniform").pvalue > 0.01
        assert 0.035 <= (p < 0.05).mean() <= 0.065


def test_a_difference_as_large_as_detectable_is_detected_four_times_in_five() -> None:
    """1,000 benchmarks of 150 questions; the models truly differ by just so much."""
    rng = np.random.default_rng(5)
    true_lead = (STATS.t.ppf(0.975, 149) + STATS.t.ppf(0.8, 149)) / math.sqrt(150)
    names = [f"m{i:04}" for i in range(1000)]
    grid = flat({n: rng.normal(true_lead, 1, 150) for n in names} | {"z": np.zeros(150)})
    found = compare(grid, [(n, "z") for n in names], grid.total)
    power = sum(c.p is not None and c.p < 0.05 for c in found) / 1000
    assert 0.77 <= power <= 0.83
    told = [c.detectable for c in found if c.detectable is not None]
    assert sum(told) / 1000 == pytest.approx(true_lead, rel=0.01)


SCORES = st.lists(
    st.tuples(st.none() | st.integers(1, 10), st.none() | st.integers(1, 10)),
    min_size=1,
    max_size=20,
)


@given(SCORES)
def test_every_question_is_won_tied_lost_or_left_out(
    pairs: list[tuple[int | None, int | None]],
) -> None:
    """And a p is a probability."""
    found = versus(flat({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}))
    assert found.wins + found.ties + found.losses + found.left_out == len(pairs)
    for p in (found.p, found.p_flip):
        assert p is None or 0 < p <= 1
