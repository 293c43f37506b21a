"""Win rates at equal length, against AlpacaEval's own code."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from data.schema import Answer, Response, Trial
from engine.stats.length_control import length_controlled, lengths_of
from engine.stats.style import Styles
from tests import fought

SM: Any = importlib.import_module("statsmodels.api")


@pytest.mark.parametrize(
    ("n", "theta", "phi", "discrete", "recorded"),
    [
        (400, 0.4, -0.9, False, 57.77998779137879),
        (400, 0.4, -0.9, True, 73.44961264448082),
        (805, -0.3, -1.2, False, 42.19648834444901),
        (805, -0.3, -1.2, True, 26.964009589822783),
    ],
)
def test_it_is_alpacaevals_minimal_variant(
    n: int, theta: float, phi: float, discrete: bool, recorded: float
) -> None:
    """Recorded from `fit_LogisticRegressionCV`, whose weak L1 penalty is all that differs (in percent)."""
    preferences, lengths = fought.lengths(n, theta, phi)
    results = (preferences > 0.5).astype(float) if discrete else preferences
    found = length_controlled(1 - results, lengths)
    assert found.win_rate is not None
    assert 100 * (1 - found.win_rate) == pytest.approx(recorded, abs=0.5 if discrete else 0.05)


def test_the_fit_and_its_error_are_statsmodels() -> None:
    """A binomial GLM with robust (HC1-like) errors; the interval is theta's."""
    preferences, lengths = fought.lengths(400, 0.4, -0.9)
    gap = lengths[0] - lengths[1]
    design = np.column_stack([np.ones(400), np.tanh(gap / gap.std(ddof=1))])
    fit = SM.GLM(preferences, design, family=SM.families.Binomial()).fit(cov_type="HC0")
    found = length_controlled(preferences, lengths)
    assert found.length_effect == pytest.approx(float(fit.params[1]), abs=1e-7)
    error = float(fit.bse[0]) * np.sqrt(400 / 399)
    ends = 1 / (1 + np.exp(-(float(fit.params[0]) + np.array([-1, 1]) * 1.959963985 * error)))
    assert [found.low, found.high] == pytest.approx(ends.tolist(), abs=1e-6)


def test_a_judge_that_only_counts_characters_finds_no_winner_at_equal_length() -> None:
    """a wins two times in three, because it talks more."""
    rng = np.random.default_rng(1)
    lengths = np.stack([rng.normal(700, 200, 2000), rng.normal(500, 200, 2000)])
    wins = rng.random(2000) < 1 / (1 + np.exp(-2 * np.tanh((lengths[0] - lengths[1]) / 280)))
    found = length_controlled(wins.astype(float), lengths)
    assert wins.mean() > 0.64
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high
    assert found.length_effect == pytest.approx(2, abs=0.3)


def test_equal_lengths_leave_the_rate_as_it_is() -> None:
    """And no effect of length can be seen."""
    found = length_controlled(np.array([1.0, 0, 0.5, 1, 1]), np.full((2, 5), 100.0))
    assert found.win_rate == pytest.approx(0.7)
    assert found.length_effect is None


def test_a_clean_sweep_has_no_rate_at_equal_length() -> None:
    """Nor have two battles."""
    lengths = np.array([[1.0, 5, 2, 8, 3], [2.0, 1, 7, 3, 3]])
    assert "one model always won" in length_controlled(np.ones(5), lengths).reason
    assert (
        "fewer than three"
        in length_controlled(np.array([1, 0, np.nan, np.nan, np.nan]), lengths).reason
    )


def test_lengths_that_are_not_known_are_left_out() -> None:
    """An imported judgment may have no answer."""
    styles = Styles(["a", "b"])
    trial = Trial(kind="answer", question_id=1, candidates=(("a", 0),))
    styles.watch(Answer(trial=trial, response=Response(text="四个字符")))
    lengths = lengths_of(styles, ("a", "b"), (1, 2))
    assert np.array_equal(lengths, [[4, np.nan], [np.nan, np.nan]], equal_nan=True)
    assert length_controlled(np.ones(2), lengths).n == 0
