"""Win rates of pairwise judges as grids: whose error is whose, against scipy, and in simulations."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from data.schema import Benchmark, Choice, JudgeSpec, Judgment, Response, Trial, Verdict
from engine.duels import DuelTable, duels
from engine.stats.battles import win_rate
from engine.stats.bradley_terry import rated, ratings, tournament
from engine.stats.paired import compare
from engine.stats.ranking import rankings
from engine.stats.stratified import estimate
from engine.stats.wins import meeting, outcomes_of, tournament_of, win_grid
from tests.grid_maker import benchmark, flat

Verdicts = dict[tuple[int, str, str, int, int], Choice | None]
"""(question, first, second, repeat, position) -> verdict."""
MODELS = ("a", "b", "c")


def table_of(
    verdicts: Verdicts, *, baseline: str = "", planned: int = 0, positions: int = 2
) -> DuelTable:
    """One judge's table of these verdicts."""
    judge = JudgeSpec(
        name="j",
        provider="p",
        model="j",
        rubric="r",
        pairwise=True,
        baseline=baseline,
        positions="both" if positions == 2 else "one",
    )
    records = []
    for (question, one, two, repeat, position), choice in verdicts.items():
        trial = Trial(
            kind="judgment",
            question_id=question,
            candidates=((one, 0), (two, 0)),
            judge="j",
            rubric="r",
            position=position,
            repeat=repeat,
        )
        verdict = None if choice is None else Verdict(0.5, choice=choice)
        records.append(Judgment(trial=trial, asks=(Response(text=""),), verdict=verdict))
    models = sorted({name for key in verdicts for name in key[1:3]})
    [table] = duels([judge], records, models, planned)
    return table


def drawn(
    n: int, repeats: int, seed: int, lost: float = 0.0, pairs: tuple[tuple[str, str], ...] = ()
) -> Verdicts:
    """All with all, `n` questions, both positions; a share of the verdicts is unreadable."""
    chance = random.Random(seed)
    choices: list[Choice] = ["first", "first", "first", "tie", "second", "second"]
    return {
        (q, one, two, r, p): None if chance.random() < lost else chance.choice(choices)
        for q in range(1, n + 1)
        for one, two in pairs or (("a", "b"), ("a", "c"), ("b", "c"))
        for r in range(repeats)
        for p in (0, 1)
    }


def asked(n: int) -> Benchmark:
    """Questions of two categories."""
    return benchmark(["甲" if i % 3 else "乙" for i in range(n)])


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 0.2, 0.6]))
def test_the_rate_is_that_of_the_table_also_where_games_are_missing(
    seed: int, repeats: int, lost: float
) -> None:
    """Pooled over games, as whoever adds the counts up finds it; and its error is the ratio's."""
    table = table_of(drawn(12, repeats, seed, lost))
    grid = win_grid(table, asked(12), min_coverage=0)
    for row in table.rows:
        found = estimate(grid.row(row.model), grid.layout, grid.total)
        if row.adjusted is None:
            assert found.value is None
            continue
        assert found.value == pytest.approx(100 * row.adjusted)
        if found.n > 1:
            error = linearised(table, row.model, row.adjusted)
            assert (found.se or 0.0) == pytest.approx(error, abs=1e-8)


def linearised(table: DuelTable, model: str, rate: float) -> float:
    """Cochran 6.4, by the letter: sqrt(n / (n - 1) sum (P_q - R N_q)²) / sum N_q."""
    points: dict[object, float] = {}
    games: dict[object, int] = {}
    for one in table.pairings:
        for question, (won, tied, lost) in one.questions.items():
            if model in (one.first, one.second):
                mine = won if model == one.first else lost
                points[question] = points.get(question, 0.0) + mine + tied / 2
                games[question] = games.get(question, 0) + won + tied + lost
    n = len(points)
    squares = sum((points[q] - rate * games[q]) ** 2 for q in points)
    return 100 * math.sqrt(n / (n - 1) * squares) / sum(games.values())


def test_one_game_a_question_gives_alpacaevals_error() -> None:
    """The mean of 1, 0.5 and 0, and s / sqrt(n)."""
    verdicts = {k: v for k, v in drawn(40, 1, 5).items() if k[1:3] == ("a", "b") and not k[4]}
    table = table_of(verdicts, positions=1)
    grid = win_grid(table, asked(40), min_coverage=0)
    found = estimate(grid.row("a"), grid.layout, grid.total)
    theirs = win_rate(outcomes_of(table, grid.layout, "a", "b"))
    assert theirs.adjusted is not None
    assert theirs.se is not None
    assert found.value == pytest.approx(100 * theirs.adjusted)
    assert found.se == pytest.approx(100 * theirs.se)
    assert (found.low, found.high) == pytest.approx((100 * theirs.low, 100 * theirs.high))  # type: ignore[operator]


def test_two_models_are_compared_by_a_paired_t_test_over_questions() -> None:
    """Those that met by their own games, those that did not through the baseline: as scipy has it."""
    table = table_of(drawn(60, 2, 3))
    met = meeting(table, asked(60), "a", "b", by_category=False)
    points = outcomes_of(table, met.grid.layout, "a", "b")
    [found] = compare(met.grid, [("a", "b")], met.grid.total)
    assert found.p == pytest.approx(stats.ttest_1samp(points, 0.5).pvalue)
    assert (met.baseline, len(met.pairings)) == ("", 1)

    table = table_of(drawn(60, 2, 4, pairs=(("a", "c"), ("b", "c"))), baseline="c")
    apart = meeting(table, asked(60), "b", "a", by_category=False)
    both = [outcomes_of(table, apart.grid.layout, m, "c") for m in ("b", "a")]
    [found] = compare(apart.grid, [("b", "a")], apart.grid.total)
    assert found.p == pytest.approx(stats.ttest_rel(*both).pvalue)
    assert found.effect.value == pytest.approx(100 * (both[0] - both[1]).mean())
    assert (apart.baseline, len(apart.pairings)) == ("c", 2)


def test_a_baseline_stands_at_one_half_and_ranks_there() -> None:
    """Whoever beats it stands above it, however weak the rest is."""
    verdicts: Verdicts = {}
    for q in range(1, 31):
        for name, wins in (("a", q % 10 < 7), ("b", q % 10 < 3), ("d", q % 10 < 1)):
            for p in (0, 1):
                verdicts[q, name, "c", 0, p] = "first" if wins else "second"
    table = table_of(verdicts, baseline="c")
    assert [row.model for row in table.rows] == ["a", "c", "b", "d"]
    grid = win_grid(table, asked(30), min_coverage=0.9)
    [ranking] = rankings(grid, [grid.total])
    assert [one.model for one in ranking.standings] == ["a", "c", "b", "d"]
    fixed = ranking.standings[1].estimate
    assert (fixed.value, fixed.se, fixed.low) == (50.0, 0.0, None)
    against = ranking.pair(1, 2).comparison
    points = outcomes_of(table, grid.layout, "a", "c")
    assert against.p == pytest.approx(stats.ttest_1samp(points, 0.5).pvalue)


def test_games_that_never_came_count_against_coverage() -> None:
    """A model that lacks too many of them is not ranked."""
    table = table_of(drawn(8, 1, 1), planned=10)
    assert {row.missing for row in table.rows} == {4}
    grid = win_grid(table, asked(8), min_coverage=0.9)
    assert grid.complete == (False, False, False)
    assert grid.thin("a") == "only 80 % of its judgments have a score"


def test_categories_have_rates_of_their_own() -> None:
    """The rate of each is pooled over its own games."""
    table = table_of(drawn(30, 2, 8, lost=0.3))
    grid = win_grid(table, asked(30), min_coverage=0, by_category=True)
    assert [column.kind for column in grid.columns] == ["category", "category"]
    for column in grid.columns:
        inside = {q.id for q in asked(30).questions if q.category == column.name}
        won = tied = games = 0
        for one in table.pairings:
            for question, counts in one.questions.items():
                if question in inside and "a" in (one.first, one.second):
                    won += counts[0] if one.first == "a" else counts[2]
                    tied += counts[1]
                    games += sum(counts)
        value = estimate(grid.row("a"), grid.layout, column).value
        assert value == pytest.approx(100 * (won + tied / 2) / games)


def test_a_tournament_of_verdicts_is_rated_like_one_of_scores() -> None:
    """Verdicts that say what scores say give the very ratings that the scores do."""
    chance = np.random.default_rng(1)
    scores = {m: chance.integers(1, 11, 50).astype(float) for m in MODELS}
    grid = flat(scores)
    verdicts: Verdicts = {}
    for one, two in (("a", "b"), ("a", "c"), ("b", "c")):
        for q, (x, y) in enumerate(zip(scores[one], scores[two], strict=True), start=1):
            verdict: Choice = "tie" if x == y else "first" if x > y else "second"
            verdicts[q, one, two, 0, 0] = verdicts[q, one, two, 0, 1] = verdict
    table = table_of(verdicts)
    ours = tournament_of(table, grid.layout, list(grid.models))
    theirs = tournament(grid.values)
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    assert rated(*ours, list(grid.models), grid.layout) == ratings(grid)


def test_games_on_one_question_are_not_independent() -> None:
    """95 % intervals hold the truth although all games of a question go the same way; intervals over
    games, four of which are one, would hold it in two thirds of the cases."""
    chance = np.random.default_rng(7)
    ours = naive = 0
    rounds, n, truth = 400, 40, 0.55
    layout = asked(n)
    for _ in range(rounds):
        wins = chance.random(n) < truth
        verdicts: Verdicts = {
            (q, "a", "b", r, p): "first" if wins[q - 1] else "second"
            for q in range(1, n + 1)
            for r in (0, 1)
            for p in (0, 1)
        }
        grid = win_grid(table_of(verdicts), layout, min_coverage=0)
        found = estimate(grid.row("a"), grid.layout, grid.total)
        assert found.low is not None
        assert found.high is not None
        ours += found.low <= 100 * truth <= found.high
        mean = wins.mean()
        half = 1.96 * math.sqrt(mean * (1 - mean) / (4 * n))
        naive += mean - half <= truth <= mean + half
    assert 0.92 <= ours / rounds <= 0.98
    assert naive / rounds < 0.75
