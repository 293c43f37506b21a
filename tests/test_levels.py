"""Item, text and system level, and the intervals of all measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from engine.agreement.estimate import Estimate
from engine.agreement.intervals import RESAMPLES, bootstrap, seed_of
from engine.agreement.levels import Correlations, item_level, system_level, text_level
from engine.agreement.pairs import pair_agreement
from engine.agreement.reliability import quadratic_kappa
from engine.agreement.sample import Pair
from engine.agreement.shift import mean_shift
from tests.score_columns import PAIRS, row, sample


def values(found: Correlations) -> list[float | None]:
    """Pearson, Spearman, Kendall."""
    return [found.pearson.value, found.spearman.value, found.kendall.value]


def test_a_constant_judge_is_undefined_at_every_level_and_says_why() -> None:
    """Upstream's script divides by zero here. The tie-aware measure is what does exist: 0."""
    pairs = [
        Pair(q, m, 5.0, float(i + j)) for i, q in enumerate("abcdef") for j, m in enumerate("xy")
    ]
    found = sample(pairs)
    reasons = [item_level(found), text_level(found).mean, system_level(found)]
    assert [r.pearson.why for r in reasons] == [
        "judge gave the same score to all",
        "judge gave the same score to all, in every question",
        "judge gave the same mean to all models",
    ]
    assert all(values(r) == [None, None, None] for r in reasons)
    assert text_level(found).tie_aware.value == 0.0
    assert quadratic_kappa(found).value == pytest.approx(0.0)


def test_text_level_counts_what_it_leaves_out() -> None:
    """One good question, one where the judge is flat, one where the humans are, one alone."""
    pairs = [
        *(Pair("good", m, x, x) for m, x in (("a", 1.0), ("b", 2.0), ("c", 3.0))),
        *(Pair("flat judge", m, 4.0, y) for m, y in (("a", 1.0), ("b", 2.0))),
        *(Pair("flat humans", m, x, 4.0) for m, x in (("a", 1.0), ("b", 2.0))),
        Pair("alone", "a", 1.0, 1.0),
    ]
    found = text_level(sample(pairs))
    assert (found.groups, found.constant_x, found.constant_y, found.alone) == (3, 1, 1, 1)
    assert found.mean.kendall.value == pytest.approx(1.0)
    assert found.mean.kendall.n == 1
    assert found.tie_aware.value == pytest.approx(0.5)


@given(PAIRS)
@settings(max_examples=30)
def test_all_levels_are_blind_to_the_order_of_rows(pairs: list[Pair]) -> None:
    """Their intervals too: the seed comes from the content."""
    one, other = sample(pairs), sample(pairs[::-1])
    assert item_level(one) == item_level(other)
    assert text_level(one) == text_level(other)
    assert system_level(one) == system_level(other)
    assert pair_agreement(one) == pair_agreement(other)


@given(PAIRS)
@settings(max_examples=30)
def test_every_estimate_is_a_number_within_bounds_or_a_reason(pairs: list[Pair]) -> None:
    """Never both, never neither; an interval has two ends in order."""
    found = sample(pairs)
    levels = [item_level(found), text_level(found).mean, system_level(found)]
    told = [e for level in levels for e in (level.pearson, level.spearman, level.kendall)]
    told += [text_level(found).tie_aware, pair_agreement(found).with_ties, quadratic_kappa(found)]
    for estimate in told:
        assert (estimate.value is None) == bool(estimate.why)
        if estimate.value is not None:
            assert -1 <= estimate.value <= 1
        if estimate.low is not None:
            assert estimate.high is not None
            assert estimate.low <= estimate.high


def test_an_interval_covers_about_as_often_as_it_says() -> None:
    """95 of 100 means, within what chance allows; an interval that is too narrow fails this."""
    chance = np.random.RandomState(7)
    covered = 0
    for _ in range(100):
        y = chance.normal(3.0, 1.0, 60)
        found = mean_shift(row(list(y), [0.0] * 60))
        covered += bool(
            found.low is not None and found.high is not None and found.low < 3 < found.high
        )
    assert 87 <= covered <= 100


def test_clustered_answers_widen_the_interval() -> None:
    """Ten copies of the same answers tell nothing new, and the interval knows."""
    chance = np.random.RandomState(3)
    y = list(chance.normal(0, 1, 30))
    once = mean_shift(sample([Pair(f"{i}", "m", float(v), 0.0) for i, v in enumerate(y)]))
    copies = [Pair(f"{i}", f"m{c}", float(v), 0.0) for i, v in enumerate(y) for c in range(10)]
    clustered = mean_shift(sample(copies))
    loose = mean_shift(
        sample([Pair(f"{i} {p.model}", "m", p.x, 0.0) for i, p in enumerate(copies)])
    )

    def width(found: Estimate) -> float:
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(clustered) == pytest.approx(width(once), rel=0.2)
    assert width(loose) < width(once) / 2


def test_resamples_do_not_depend_on_how_many_are_held_at_once() -> None:
    """Memory decides nothing about results."""
    column = np.arange(20.0)
    found = [
        bootstrap(lambda w: (w @ column / 20)[:, None], 20, seed=5, rows=rows)
        for rows in (0, 50_000, 10_000_000)
    ]
    assert found[0] == found[1] == found[2]


def test_too_few_clusters_have_no_interval() -> None:
    """A number without one is honest."""
    found = mean_shift(row([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]))
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert RESAMPLES >= 1000
    assert seed_of([1, "a"]) != seed_of([1, "b"])


def test_over_two_models_a_correlation_says_nothing() -> None:
    """It is 1 or -1 whatever the judge is worth, so it is not told."""
    pairs = [
        Pair(q, m, float(i + j), float(2 * i + j))
        for i, q in enumerate("abcdef")
        for j, m in enumerate("xy")
    ]
    found = system_level(sample(pairs))
    assert found.pearson.value is None
    assert found.spearman.why == "2 models: a correlation takes 3 at least, better many more"
