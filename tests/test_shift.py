"""The canary's test: against scipy, and in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.agreement.sample import Pair, Sample, sample_of
from engine.agreement.shift import shift_test


def judged(after: list[float], before: list[float], each: int = 1) -> Sample:
    """`each` answers a question, by as many models."""
    pairs = zip(after, before, strict=True)
    return sample_of(
        (Pair(f"{i // each:04}", f"m{i % each}", x, y) for i, (x, y) in enumerate(pairs)),
        ("after", "before"),
    )


def test_one_answer_a_question_is_a_paired_t_test() -> None:
    """As scipy has it, with the error that gives."""
    chance = np.random.default_rng(1)
    before = chance.integers(1, 11, 40).astype(float)
    after = before + chance.normal(0.4, 1.5, 40)
    found = shift_test(judged(after.tolist(), before.tolist()))
    assert found.p == pytest.approx(stats.ttest_rel(after, before).pvalue)
    t = stats.t(39)
    error = (after - before).std(ddof=1) / 40**0.5
    assert found.detectable == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * error)


def test_answers_to_one_question_are_one_cluster() -> None:
    """With as many answers to each, the test is the t test of the questions' means."""
    chance = np.random.default_rng(2)
    shared = np.repeat(chance.normal(0, 1, 25), 4)
    d = shared + chance.normal(0.2, 0.5, 100)
    found = shift_test(judged(d.tolist(), [0.0] * 100, each=4))
    assert found.p == pytest.approx(stats.ttest_1samp(d.reshape(25, 4).mean(axis=1), 0).pvalue)
    alone = shift_test(judged(d.tolist(), [0.0] * 100))
    assert (found.detectable or 0) > 1.5 * (alone.detectable or 0)


@pytest.mark.parametrize("after", [[5.0, 6.0, 7.0], [6.0, 7.0, 8.0]])
def test_without_spread_there_is_no_test(after: list[float]) -> None:
    """The very same scores, or all of them a point higher."""
    found = shift_test(judged(after, [5.0, 6.0, 7.0]))
    assert (found.p, found.detectable) == (None, None)
    assert shift_test(judged([5.0], [4.0])).p is None


def test_a_shift_as_large_as_detectable_is_found_in_four_of_five_canaries() -> None:
    """And no shift in one of twenty."""
    chance = np.random.default_rng(3)
    power = false = 0
    size = (stats.t(29).ppf(0.975) + stats.t(29).ppf(0.8)) * 1.0 / 30**0.5
    for _ in range(800):
        d = chance.normal(0, 1.0, 30)
        false += (shift_test(judged(d.tolist(), [0.0] * 30)).p or 1) < 0.05
        power += (shift_test(judged((d + size).tolist(), [0.0] * 30)).p or 1) < 0.05
    assert 0.76 <= power / 800 <= 0.84
    assert 0.03 <= false / 800 <= 0.07
