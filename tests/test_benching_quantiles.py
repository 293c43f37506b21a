"""Quantiles, shares and batch means of a benchmark, against scipy and against counting."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.benching.batches import mean, ratio
from engine.benching.quantiles import Range, percentile, places_of, quantile, share

stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")
np = pytest.importorskip("numpy")
values = st.lists(st.floats(0, 1e6), min_size=1, max_size=80)


@given(values, st.floats(0.01, 0.99))
def test_a_quantile_is_type_8_of_hyndman_and_fan(xs: list[float], p: float) -> None:
    """numpy's median_unbiased is that type."""
    expected = np.quantile(xs, p, method="median_unbiased")
    assert quantile(sorted(xs), p) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.integers(1, 600), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_has_its_probability_and_no_narrower_one_has(n: int, p: float) -> None:
    """At most 2.5 % on either side, and one place further in would leave more."""
    places = places_of(n, p)
    below = stats.binom(n, p)
    if places is None:
        assert p**n > 0.025 or (1 - p) ** n > 0.025
        return
    low, high = places
    assert below.cdf(low - 1) <= 0.025 + 1e-12
    assert below.cdf(low) > 0.025 - 1e-12
    assert below.sf(high - 1) <= 0.025 + 1e-12
    assert below.sf(high - 2) > 0.025 - 1e-12


@pytest.mark.parametrize(("p", "least"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)])
def test_a_percentile_is_told_from_so_many_values_on(p: float, least: int) -> None:
    """A p99 of 64 values would be their maximum."""
    assert percentile([1.0] * (least - 1), p) is None
    assert percentile([1.0] * least, p) == Range(1.0, 1.0, 1.0)


@pytest.mark.parametrize("p", [0.5, 0.95])
def test_intervals_of_a_quantile_hold_the_truth_as_often_as_they_say(p: float) -> None:
    """Lognormal latencies, 120 a step, 1,000 steps."""
    dice, truth, held = random.Random(5), math.exp(0.5 * stats.norm.ppf(p)), 0
    for _ in range(1000):
        found = percentile(sorted(dice.lognormvariate(0, 0.5) for _ in range(120)), p)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 940 <= held <= 990


@given(st.integers(0, 400), st.integers(1, 400))
def test_a_share_has_wilsons_interval(k: int, n: int) -> None:
    """As scipy works it out."""
    k = min(k, n)
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    found = share(k, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_of_nothing_says_nothing() -> None:
    """Neither 0 % nor 100 %."""
    assert (share(0, 0).est, share(0, 0).low, share(0, 0).high) == (None, 0.0, 1.0)


def test_batch_means_are_students_interval_of_ten_means() -> None:
    """scipy's, of the same ten means."""
    dice = random.Random(1)
    xs = [dice.expovariate(1) for _ in range(200)]
    means = [sum(xs[i * 20 : (i + 1) * 20]) / 20 for i in range(10)]
    low, high = stats.t.interval(0.95, 9, loc=sum(xs) / 200, scale=stats.sem(means))
    found = mean(xs)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_mean_of_few_values_has_no_interval() -> None:
    """Nine values make no five batches of two; nothing at all makes no mean."""
    assert mean([1.0] * 9) == Range(1.0)
    assert mean([]) is None
    assert ratio([1.0], [0.0]) is None
    assert Range(1.0).precision == math.inf
