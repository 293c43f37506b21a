"""Standard errors of weighted category means, against scipy, statsmodels and inspect_ai."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Benchmark
from engine.stats.arrays import Floats
from engine.stats.design import TOTAL, columns, layout_of
from engine.stats.stratified import Estimate, estimate
from tests.grid_maker import ALIGNBENCH, GROUPS, benchmark, flat, grid_of

STATS: Any = importlib.import_module("scipy.stats")
SM: Any = importlib.import_module("statsmodels.api")
NAN = float("nan")


def total(asked: Benchmark, values: Any, *, clustered: bool = False) -> Estimate:
    grid = grid_of(asked, {"m": values})
    return estimate(grid.row("m"), grid.layout, grid.total, clustered=clustered)


def scores(rng: np.random.Generator, n: int) -> Floats:
    """Whole scores from 1 to 10, skewed."""
    return np.clip(np.round(rng.gamma(4.0, 1.6, n)), 1, 10)


# --- against others ----------------------------------------------------------------------------


def test_one_category_is_the_plain_mean_with_its_t_interval() -> None:
    """scipy's standard error, interval and degrees of freedom."""
    values = scores(np.random.default_rng(1), 23)
    found = total(benchmark(["甲"] * 23), values)
    low, high = STATS.t.interval(0.95, 22, values.mean(), STATS.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert found.se == pytest.approx(STATS.sem(values))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert found.df == pytest.approx(22)
    assert (found.n, found.reason) == (23, "")


def test_alignbench_weights_are_a_contrast_of_a_regression_on_categories() -> None:
    """statsmodels: one dummy per category, errors HC2 (which are s²/n for a mean), weights 1/4, 1/12."""
    values = scores(np.random.default_rng(2), len(ALIGNBENCH))
    found = total(benchmark(ALIGNBENCH, GROUPS), values)
    names = sorted(set(ALIGNBENCH))
    dummies = np.array([[float(name == mine) for name in names] for mine in ALIGNBENCH])
    weights = [1 / 4 if name in GROUPS["中文推理"] else 1 / 12 for name in names]
    test = SM.OLS(values, dummies).fit(cov_type="HC2").t_test(weights)
    assert found.value == pytest.approx(float(test.effect.item()), rel=1e-12)
    assert found.se == pytest.approx(float(test.sd.item()), rel=1e-10)
    plain = values.std(ddof=1) / math.sqrt(values.size)
    assert found.se != pytest.approx(plain, rel=0.01), "a plain mean's error is another one"


def test_two_categories_have_welchs_degrees_of_freedom() -> None:
    """Satterthwaite's for a sum of two means are Welch's for their difference."""
    rng = np.random.default_rng(3)
    one, two = rng.normal(0, 1, 9), rng.normal(0, 4, 30)
    found = total(benchmark(["甲"] * 9 + ["乙"] * 30), np.concatenate([one, two]))
    assert found.df == pytest.approx(STATS.ttest_ind(one, two, equal_var=False).df)


def test_clusters_are_inspect_ais() -> None:
    """Recorded from its `_clustered_stderr` on five groups."""
    groups = [[5, 7, 8, 3], [2, 9], [4, 4, 6, 10, 1], [8], [7, 6, 6]]
    kinds = [f"类{i}" for i, group in enumerate(groups) for _ in group]
    asked = benchmark(["甲"] * len(kinds), subcategories=kinds)
    found = total(asked, [float(x) for group in groups for x in group], clustered=True)
    assert found.se == pytest.approx(0.349955905511636, rel=1e-12)
    assert found.df == pytest.approx(4)
    assert found.clusters == 5


def test_clusters_are_statsmodels_too() -> None:
    """A regression on nothing but a constant, with cluster-robust errors."""
    rng = np.random.default_rng(4)
    kinds = [f"类{i}" for i in rng.integers(0, 7, 60)]
    values = scores(rng, 60)
    found = total(benchmark(["甲"] * 60, subcategories=kinds), values, clustered=True)
    groups = np.array([int(kind[1:]) for kind in kinds])
    fit = SM.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.se == pytest.approx(float(fit.bse[0]), rel=1e-10)


def test_a_subcategory_name_in_two_categories_is_two_clusters() -> None:
    """AlignBench has 其他写作类 in 文本写作 and in 角色扮演."""
    asked = benchmark(["甲", "甲", "乙", "乙"], subcategories=["写", "读", "写", "读"])
    assert layout_of(asked)[0].clusters == 4
    assert total(asked, [1.0, 2.0, 3.0, 5.0], clustered=True).clusters == 4


# --- what it is for ----------------------------------------------------------------------------


def test_95_percent_intervals_hold_the_truth_95_percent_of_the_time() -> None:
    """2,000 benchmarks of 50 questions in four small categories, skewed whole scores."""
    rng = np.random.default_rng(5)
    sizes = {"甲": 8, "乙": 10, "丙": 12, "丁": 20}
    asked = benchmark(
        [c for c, n in sizes.items() for _ in range(n)], {"一": ("甲", "乙"), "二": ("丙", "丁")}
    )
    layout, order = layout_of(asked)
    column = columns(layout.strata, asked.categories, asked.groups)[0]
    shift = dict(zip(sizes, (0.0, -1.0, 1.0, 2.0), strict=True))
    moved = np.array([shift[question.category] for question in asked.questions])
    truth = float(scores(rng, 2_000_000).mean()) + 0.5
    hits = 0
    for _ in range(2_000):
        values = (scores(rng, 50) + moved)[list(order)]
        found = estimate(values, layout, column)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.935 <= hits / 2_000 <= 0.965


def test_clustering_matters_where_questions_of_a_kind_move_together() -> None:
    """Twelve kinds of ten questions that differ by kind only: 12 pieces of news, not 120."""
    kinds = [f"类{i}" for i in range(12) for _ in range(10)]
    values = np.repeat(np.random.default_rng(6).normal(5, 1, 12), 10)
    asked = benchmark(["甲"] * 120, subcategories=kinds)
    alone, together = total(asked, values), total(asked, values, clustered=True)
    assert alone.se is not None
    assert together.se is not None
    assert together.se / alone.se == pytest.approx(math.sqrt(10), rel=0.06)


# --- what cannot be known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "value", "reason"),
    [
        ([NAN] * 4, None, "no score in 乙, 甲"),
        ([1.0, 2.0, NAN, NAN], None, "no score in 乙"),
        ([1.0, 2.0, 3.0, NAN], 2.25, "only one question in 乙: no spread to measure"),
        ([2.0, 2.0, 3.0, 3.0], 2.5, "the same on every question: no spread to measure"),
    ],
)
def test_what_is_undefined_says_why(values: list[float], value: float | None, reason: str) -> None:
    """Never a crash, never a zero."""
    found = total(benchmark(["甲", "甲", "乙", "乙"]), values)
    assert (found.value, found.reason) == (value, reason)
    assert found.low is None
    assert found.high is None


def test_a_group_without_its_category_is_undefined() -> None:
    """And so is the total above it; the other categories are not."""
    asked = benchmark(["甲", "甲"], {"一": ("甲",), "二": ("丙",)})
    grid = grid_of(asked, {"m": [1.0, 2.0]})
    by_name = {c.name: estimate(grid.row("m"), grid.layout, c) for c in grid.columns}
    assert by_name[TOTAL].reason == by_name["二"].reason == "no questions of 丙"
    assert by_name["甲"].value == by_name["一"].value == 1.5


def test_one_subcategory_is_no_sample_of_subcategories() -> None:
    """Though its questions are a sample of questions."""
    asked = benchmark(["甲"] * 3)
    assert total(asked, [1.0, 2.0, 4.0]).se is not None
    found = total(asked, [1.0, 2.0, 4.0], clustered=True)
    assert (found.se, found.reason) == (None, "only one subcategory in 甲: no spread to measure")


# --- properties --------------------------------------------------------------------------------

SHEETS = st.lists(
    st.tuples(st.sampled_from("甲乙丙"), st.sampled_from("xy"), st.none() | st.integers(1, 10)),
    min_size=1,
    max_size=25,
)


@given(SHEETS, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_questions_changes_nothing(
    sheet: list[tuple[str, str, int | None]], random: Any, clustered: bool
) -> None:
    """Not a bit of it."""
    asked = benchmark([c for c, _, _ in sheet], subcategories=[k for _, k, _ in sheet])
    values = [s for _, _, s in sheet]
    order = list(range(len(sheet)))
    random.shuffle(order)
    mixed = Benchmark(
        name="b", title="b", questions=tuple(asked.questions[i] for i in order), sha256="0"
    )
    before = total(asked, values, clustered=clustered)
    assert total(mixed, [values[i] for i in order], clustered=clustered) == before


@given(SHEETS, st.booleans())
def test_an_estimate_is_whole_or_says_why(
    sheet: list[tuple[str, str, int | None]], clustered: bool
) -> None:
    """Whatever is missing."""
    asked = benchmark([c for c, _, _ in sheet], subcategories=[k for _, k, _ in sheet])
    found = total(asked, [s for _, _, s in sheet], clustered=clustered)
    whole = None not in (found.value, found.se, found.low, found.high, found.df)
    assert whole is not bool(found.reason)
    if found.value is not None and found.low is not None and found.high is not None:
        assert found.low < found.value < found.high


def test_a_larger_scale_has_a_larger_error() -> None:
    """Scores times ten: everything times ten."""
    values = scores(np.random.default_rng(7), 30)
    grid = flat({"one": values, "ten": values * 10})
    one, ten = (estimate(grid.row(m), grid.layout, grid.total) for m in ("one", "ten"))
    assert one.se is not None
    assert ten.se == pytest.approx(10 * one.se)
