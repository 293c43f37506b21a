"""Style control, against FastChat's own code."""

from __future__ import annotations

import numpy as np
import pytest

from data.schema import Answer, Response, Trial
from engine.stats.style import Styles
from engine.stats.style_control import Contest, fit_style, style_controlled
from tests import fought
from tests.grid_maker import flat


def contest(features: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Contest:
    return Contest(
        fought.FIRST, fought.SECOND, fought.RESULTS, features, np.arange(fought.N, dtype=np.int64)
    )


def test_ratings_and_effects_are_fastchats() -> None:
    """Recorded from its `compute_style_control` (tolerance 1e-12), features centred as it does."""
    a, b = fought.STYLE_A, fought.STYLE_B
    ratio = (a - b) / (a + b + 1)
    features = (ratio - ratio.mean(axis=0)) / ratio.std(axis=0)
    point, _ = fit_style(contest(features), fought.MODELS)
    recorded = [
        1173.9748622310879,
        1068.9449038908085,
        982.694149942488,
        937.705299704159,
        836.6807842314566,
    ]
    effects = [0.10578640286671696, -0.05403351324267633, 0.144174487792714, -0.0036319683688234936]
    assert 1000 + 400 * point[:5] == pytest.approx(recorded, abs=1e-2)
    assert point[5:] == pytest.approx(effects, abs=1e-4)


def test_errors_are_as_wide_as_resampling_says() -> None:
    """300 plain bootstraps of the battles against the sandwich."""
    a, b = fought.STYLE_A, fought.STYLE_B
    whole = contest((a - b) / (a + b + 1))
    _, covariance = fit_style(whole, fought.MODELS)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(300):
        i = rng.integers(0, fought.N, fought.N)
        some = Contest(
            whole.first[i], whole.second[i], whole.results[i], whole.features[i], whole.question
        )
        drawn.append(fit_style(some, fought.MODELS)[0])
    assert np.sqrt(np.diag(covariance)) == pytest.approx(np.std(drawn, axis=0), rel=0.2)


def test_a_judge_that_only_likes_length_makes_equals_equal() -> None:
    """The talker leads plainly and not at equal style; who is called a does not matter."""
    rng = np.random.default_rng(2)
    n = 400
    styles = Styles(["quiet", "talker"])
    lengths = {"quiet": rng.integers(100, 500, n), "talker": rng.integers(200, 600, n)}
    for model, mine in lengths.items():
        for i, length in enumerate(mine, start=1):
            trial = Trial(kind="answer", question_id=i, candidates=((model, 0),))
            styles.watch(Answer(trial=trial, response=Response(text="字" * int(length))))
    longer = (lengths["talker"] - lengths["quiet"]) / (lengths["talker"] + lengths["quiet"])
    wins = rng.random(n) < 1 / (1 + np.exp(-6 * longer))
    grid = flat({"talker": np.where(wins, 7.0, 3.0), "quiet": np.where(wins, 3.0, 7.0)})
    found = style_controlled(grid, styles)
    by_model = {one.model: one for one in found.ratings}
    gap = by_model["talker"].value - by_model["quiet"].value
    raw = 400 * np.log10(wins.mean() / (1 - wins.mean()))
    assert raw > 100
    assert abs(gap) < raw / 3
    assert found.effects["length"] > 0.5
    assert found.effects["bold"] == 0
    assert by_model["talker"].value + by_model["quiet"].value == pytest.approx(2000)


def test_answers_that_are_not_known_fight_no_battle() -> None:
    """Imported judgments may have none at all."""
    found = style_controlled(flat({"a": [1.0], "b": [2.0]}), Styles(["a", "b"]))
    assert (found.ratings, found.reason) == ((), "no battle between answers that are known")
    assert (
        style_controlled(flat({"a": [1.0]}), Styles(["a"])).reason == "fewer than two ranked models"
    )
