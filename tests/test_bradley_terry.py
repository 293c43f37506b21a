"""Bradley-Terry: FastChat's ratings, statsmodels' and scipy's maxima, and where there is none."""

from __future__ import annotations

import importlib
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.arrays import Floats
from engine.stats.bradley_terry import CENTRE, SCALE, TIE_RULES, fit, ratings, tournament
from tests import fought
from tests.grid_maker import flat

SM: Any = importlib.import_module("statsmodels.api")
OPTIMIZE: Any = importlib.import_module("scipy.optimize")


def test_ratings_are_fastchats() -> None:
    """Recorded from its `compute_bt` (tolerance 1e-12) on 600 battles with 74 ties."""
    wins, ties = fought.tables()
    strengths, _ = fit(wins[None], ties[None])
    recorded = [
        1157.4488691562522,
        1073.0495379199408,
        992.2765888114295,
        933.3007817743566,
        843.9242223380211,
    ]
    assert CENTRE + SCALE * strengths[0] == pytest.approx(recorded, abs=1e-3)


def test_without_ties_it_is_a_logistic_regression() -> None:
    """statsmodels: one column per model but the last."""
    wins, _ = fought.tables()
    pairs = list(combinations(range(fought.MODELS), 2))
    design = np.array([[float(k == i) - float(k == j) for k in range(4)] for i, j in pairs])
    counts = np.array([[wins[i, j], wins[j, i]] for i, j in pairs])
    expected = SM.GLM(counts, design, family=SM.families.Binomial()).fit().params
    strengths, _ = fit(wins[None], np.zeros_like(wins)[None])
    assert strengths[0, :4] - strengths[0, 4] == pytest.approx(expected, abs=1e-8)


def test_davidsons_ties_are_at_the_maximum_of_their_likelihood() -> None:
    """scipy's search from the definition."""
    wins, ties = fought.tables()

    def loss(point: Floats) -> float:
        total = 0.0
        strength, nu = np.append(point[:4], 0.0), np.exp(point[4])
        for i, j in combinations(range(5), 2):
            pi, pj = np.exp(strength[i]), np.exp(strength[j])
            whole = pi + pj + nu * np.sqrt(pi * pj)
            total -= wins[i, j] * np.log(pi / whole) + wins[j, i] * np.log(pj / whole)
            total -= ties[i, j] * np.log(nu * np.sqrt(pi * pj) / whole)
        return total

    best = OPTIMIZE.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-7})
    strengths, nu = fit(wins[None], ties[None], "davidson")
    assert strengths[0, :4] - strengths[0, 4] == pytest.approx(best.x[:4], abs=1e-5)
    assert nu[0] == pytest.approx(np.exp(best.x[4]), abs=1e-5)


def test_without_ties_davidson_is_bradley_terry() -> None:
    """nu is 0 then."""
    wins, none = fought.tables()[0], np.zeros((5, 5))
    plain, _ = fit(wins[None], none[None])
    strengths, nu = fit(wins[None], none[None], "davidson")
    assert strengths[0] == pytest.approx(plain[0])
    assert nu[0] == 0


@given(st.randoms(use_true_random=False))
def test_a_stack_is_its_tournaments_one_by_one(random: Any) -> None:
    """Whether or not each of them has a maximum; strengths have mean 0."""
    rng = np.random.default_rng(random.randrange(10_000))
    wins = rng.integers(0, 4, (6, 4, 4)).astype(float) * (1 - np.eye(4))
    half = np.triu(rng.integers(0, 2, (6, 4, 4)).astype(float), 1)
    ties = half + half.transpose(0, 2, 1)
    for rule in TIE_RULES:
        together, nu = fit(wins, ties, rule)
        for i in range(6):
            alone, own = fit(wins[[i]], ties[[i]], rule)
            assert np.allclose(together[i], alone[0], atol=1e-6, equal_nan=True)
            assert np.isclose(nu[i], own[0], atol=1e-6, equal_nan=True)
        known = together[~np.isnan(together).any(axis=1)]
        assert np.abs(known.mean(axis=1)).max(initial=0) < 1e-8


# --- from scores -------------------------------------------------------------------------------


def test_a_tournament_has_every_battle_once_from_either_side() -> None:
    """A missing score is no battle."""
    won, tied = tournament(np.array([[5.0, 7.0, np.nan], [5.05, 2.0, 3.0], [1.0, 2.0, 4.0]]))
    assert won.sum(axis=0).tolist() == [[0, 1, 2], [0, 0, 1], [0, 1, 0]]
    assert tied.sum(axis=0).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_ratings_come_with_intervals_from_resampled_questions() -> None:
    """The best first; intervals hold their ratings and are narrower with more questions."""
    rng = np.random.default_rng(1)

    def league(n: int) -> Any:
        hard = rng.normal(0, 1, n)
        return ratings(flat({m: 5 + i + hard + rng.normal(0, 2, n) for i, m in enumerate("cba")}))

    small, large = league(100), league(1000)
    assert [one.model for one in large.ratings] == ["a", "b", "c"]
    for one in (*small.ratings, *large.ratings):
        assert one.low < one.value < one.high

    def widths(found: Any) -> float:
        return sum(float(one.high - one.low) for one in found.ratings)

    assert widths(large) < widths(small) / 2
    assert large.battles == 3000
    assert sum(one.value for one in large.ratings) / 3 == pytest.approx(1000)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (
            {"a": [9, 9], "b": [1, 5], "c": [5, 1]},
            "a never lost a battle: its rating would be infinite",
        ),
        (
            {"a": [7, 5], "b": [5, 7], "c": [1, 1]},
            "c never won a battle: its rating would be infinite",
        ),
        (
            {"a": [9, 8], "b": [8, 9], "c": [2, 3], "d": [3, 2]},
            "some models never lost to any of the others: the ratings would be infinite",
        ),
        ({"a": [1, 2]}, "fewer than two ranked models"),
        ({"a": [1, None], "b": [None, 2]}, "a never lost a battle: its rating would be infinite"),
    ],
)
def test_where_there_is_no_maximum_it_says_why(scores: dict[str, Any], reason: str) -> None:
    """Not some large number that an optimiser stopped at."""
    found = ratings(flat(scores))
    assert (found.ratings, found.reason) == ((), reason)


def test_a_model_that_may_not_be_ranked_does_not_fight() -> None:
    """Its battles count for nobody."""
    scores = {"a": [5, 6, 7, 2], "b": [6, 5, 2, 7], "thin": [9, 9, 9, None]}
    with_it = ratings(flat(scores, thin=["thin"]))
    assert [one.model for one in with_it.ratings] == ["a", "b"]
    assert with_it == ratings(flat({m: scores[m] for m in "ab"}))
