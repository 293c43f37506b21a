"""Maps from a judge to the humans: against scikit-learn and scipy, and honest about their error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from engine.agreement.calibration import FITS, apply, calibration, isotonic, linear, out_of_fold
from engine.agreement.sample import Pair
from tests.score_columns import COLUMNS, SCORES, VALUES, row, sample


@given(COLUMNS, st.lists(VALUES, min_size=1, max_size=5))
def test_isotonic_regression_is_sklearns(
    columns: list[tuple[float, float]], unseen: list[float]
) -> None:
    """At its knots, between them and beyond them."""
    x, y = (np.array(column) for column in zip(*columns, strict=True))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    mine = isotonic(x, y)
    for points in (x, np.array(unseen)):
        np.testing.assert_allclose(
            apply(mine, points),
            theirs.predict(points),
            rtol=1e-6,
            atol=1e-6 * np.abs(y).max() + 1e-9,
        )
    assert list(mine.y) == sorted(mine.y)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=30))
def test_the_line_is_scipys(columns: list[tuple[float, float]]) -> None:
    """And the mean where the judge is constant."""
    x, y = (np.array(column) for column in zip(*columns, strict=True))
    if len(set(x)) == 1:
        np.testing.assert_allclose(apply(linear(x, y), x), y.mean())
        return
    theirs = stats.linregress(x, y)
    points = np.array([0.0, 3.3, 99.0])
    np.testing.assert_allclose(
        apply(linear(x, y), points), theirs.intercept + theirs.slope * points, atol=1e-8
    )


def test_the_error_is_of_questions_not_seen() -> None:
    """A judge that tells nothing is no better than the mean; one that tells all has no error."""
    chance = np.random.RandomState(1)
    y = list(chance.randint(1, 6, 200).astype(float))
    good, bad = row([2 * v for v in y], y), row(list(chance.randint(1, 11, 200).astype(float)), y)
    errors = {kind: [calibration(found, kind).rmse.value for found in (good, bad)] for kind in FITS}
    assert errors["line"][0] == pytest.approx(0.0, abs=1e-9)
    assert errors["isotonic"][0] == pytest.approx(0.0, abs=1e-9)
    assert errors["the mean"][0] == pytest.approx(np.std(y), rel=0.02)
    for kind in ("line", "isotonic"):
        own, mean = errors[kind][1], errors["the mean"][1]
        assert own is not None
        assert mean is not None
        assert own > mean * 0.99


def test_no_answer_is_predicted_from_its_own_question() -> None:
    """Or the error would be one of memory: a question's other answers stay out as well."""
    pairs = [Pair(f"{q}", m, float(q), float(q % 2)) for q in range(6) for m in "abc"]
    held = sample(pairs)
    before = out_of_fold(held, FITS["the mean"])
    spoilt = sample(
        [Pair(p.question, p.model, p.x, p.y + (100 if p.question == "3" else 0)) for p in pairs]
    )
    after = out_of_fold(spoilt, FITS["the mean"])
    assert before is not None
    assert after is not None
    changed = before != after
    assert not changed[held.question == 3].any()
    assert changed[held.question != 3].all()


def test_one_question_allows_no_cross_validation() -> None:
    """Said, not computed."""
    found = calibration(sample([Pair("q", m, 1.0, 2.0) for m in "ab"]), "line")
    assert found.rmse.why == "it takes answers to two questions"
