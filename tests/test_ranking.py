"""Rankings: who is told apart, who is not, and that no order of anything matters."""

from __future__ import annotations

import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stats.arrays import Floats
from engine.stats.grid import Grid
from engine.stats.ranking import Ranking, rankings, runs
from tests.grid_maker import ALIGNBENCH, GROUPS, benchmark, flat, grid_of

ASKED = benchmark(ALIGNBENCH, GROUPS)


def ranked(grid: Grid, **options: Any) -> Ranking:
    (found,) = rankings(grid, [grid.total], **options)
    return found


def league(seed: int, means: list[float], *, shared: float = 1.2, own: float = 1.6) -> Grid:
    """AlignBench's 683 questions, whole scores."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, shared, len(ALIGNBENCH))
    scores: dict[str, Floats] = {
        f"model {i:02}": np.clip(np.round(mean + hard + rng.normal(0, own, hard.size)), 1, 10)
        for i, mean in enumerate(means)
    }
    return grid_of(ASKED, scores)


def test_clear_differences_are_told_apart_and_equals_are_not() -> None:
    """Two leaders a point apart, then three equals, then a straggler."""
    found = ranked(league(1, [7.5, 6.5, 5.5, 5.5, 5.5, 3.5]))
    assert [one.place for one in found.standings] == [1, 2, 3, 4, 5, 6]
    assert [one.model for one in found.standings][:2] == ["model 00", "model 01"]
    assert [pair.told_apart for pair in found.neighbours] == [True, True, False, False, True]
    assert found.runs == ((3, 5),)
    spans = [(one.rank_low, one.rank_high) for one in found.standings]
    assert spans[:2] == [(1, 1), (2, 2)]
    assert spans[-1] == (6, 6)
    assert all(low == 3 and high == 5 for low, high in spans[2:4])
    assert [one.among for one in found.standings] == [
        (1, 1),
        (2, 2),
        (3, 5),
        (3, 5),
        (3, 5),
        (6, 6),
    ]
    assert found.family == 15
    assert found.questions == 683


def test_models_with_the_same_scores_stand_by_name_and_are_not_told_apart() -> None:
    """p of the permutation is 1; each is ahead in half of the resamples."""
    scores = np.random.default_rng(2).integers(1, 11, 683)
    found = ranked(grid_of(ASKED, {"b": scores, "a": scores}))
    assert [one.model for one in found.standings] == ["a", "b"]
    (pair,) = found.pairs
    assert (pair.p_holm, pair.told_apart, pair.outranks) == (1.0, False, 0.5)
    assert found.runs == ((1, 2),)


def test_every_pair_is_found_by_its_places() -> None:
    """The better one first, corrected as one family of 136."""
    found = ranked(league(3, [5 + 0.1 * i for i in range(17)]))
    names = [one.model for one in found.standings]
    assert len(found.pairs) == found.family == 136
    for i, j in combinations(range(1, 18), 2):
        comparison = found.pair(i, j).comparison
        assert (comparison.a, comparison.b) == (names[i - 1], names[j - 1])
    assert len(found.neighbours) == 16


def test_what_is_told_apart_agrees_with_the_resamples() -> None:
    """Two roads to one answer: who is told apart is ahead in nearly every resample."""
    found = ranked(league(4, [5 + 0.06 * i for i in range(10)]))
    told = [pair.outranks or 0.0 for pair in found.pairs if pair.told_apart]
    assert told
    assert min(told) > 0.99
    close = [p.outranks or 0.0 for p in found.pairs if p.comparison.p and p.comparison.p > 0.1]
    assert close
    assert max(close) < 0.97


def test_thin_coverage_has_no_rank_and_no_pair() -> None:
    """It is named with the reason; so is a model without any score in a category."""
    scores = np.random.default_rng(5).integers(1, 11, (4, 6)).astype(float)
    scores[3, :3] = np.nan
    grid = grid_of(
        benchmark(["甲"] * 3 + ["乙"] * 3), dict(zip("abcd", scores, strict=True)), thin=["b"]
    )
    found = ranked(grid)
    assert {one.model for one in found.standings} == {"a", "c"}
    assert found.unranked == (
        ("b", "only 50 % of its judgments have a score"),
        ("d", "no score in 甲"),
    )
    assert len(found.pairs) == 1


def test_nobody_ranked_is_a_ranking_too() -> None:
    """A run that has just begun."""
    found = ranked(flat({"a": [None, None], "b": [None, None]}))
    assert (found.standings, found.pairs, found.runs, found.neighbours) == ((), (), (), ())
    assert len(found.unranked) == 2


def test_one_question_has_ranks_but_no_intervals() -> None:
    """And nothing is told apart."""
    found = ranked(flat({"a": [9.0], "b": [2.0]}))
    assert [(one.model, one.rank_low, one.among) for one in found.standings] == [
        ("a", None, (1, 2)),
        ("b", None, (1, 2)),
    ]
    assert found.pairs[0].outranks is None
    assert not found.pairs[0].told_apart


def test_categories_are_one_family() -> None:
    """Eight rankings of three models: 24 tests, and no p of a pair is below its plain one."""
    grid = league(6, [5.0, 5.5, 6.0])
    heads = [column for column in grid.columns if column.kind == "category"]
    found = rankings(grid, heads)
    assert [one.column for one in found] == [column.name for column in heads]
    assert {one.family for one in found} == {24}
    for pair in (pair for one in found for pair in one.pairs):
        assert pair.p_holm is not None
        assert pair.comparison.p is not None
        assert pair.p_holm >= pair.comparison.p


def test_missing_scores_do_not_move_the_others() -> None:
    """A question that c lacks still counts between a and b."""
    rng = np.random.default_rng(7)
    scores = {name: rng.integers(1, 11, 683).astype(float) for name in "abc"}
    whole = ranked(grid_of(ASKED, scores))
    scores["c"][::40] = np.nan
    holed = ranked(grid_of(ASKED, scores))

    def between(found: Ranking) -> set[Any]:
        return {
            (p.comparison.effect, p.comparison.p_flip)
            for p in found.pairs
            if "c" not in {p.comparison.a, p.comparison.b}
        }

    assert between(whole) == between(holed)
    left_out = {p.comparison.left_out for p in holed.pairs}
    assert left_out == {0, 18}


@given(st.randoms(use_true_random=False), st.booleans())
def test_shuffling_models_and_questions_changes_nothing(random: Any, clustered: bool) -> None:
    """Not a bit: the order of files, sweeps and dictionaries is nobody's business."""
    n, names = 14, ["甲", "乙"] * 7
    kinds = ["x", "y", "x", "y", "z", "z", "x"] * 2
    asked = benchmark(names, subcategories=kinds)
    rng = np.random.default_rng(random.randrange(1000))
    scores = {name: rng.integers(1, 11, n).astype(float) for name in "abcd"}
    order, models = list(range(n)), list(scores)
    random.shuffle(order)
    random.shuffle(models)
    mixed = type(asked)(
        name="b", title="b", questions=tuple(asked.questions[i] for i in order), sha256="0"
    )
    again = grid_of(mixed, {m: scores[m][order] for m in models})
    assert ranked(again, clustered=clustered) == ranked(grid_of(asked, scores), clustered=clustered)


@given(st.integers(0, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_runs_are_the_longest_stretches_without_a_difference(
    n: int, told: set[tuple[int, int]]
) -> None:
    """Against the definition, spelt out."""

    def apart(i: int, j: int) -> bool:
        return (i, j) in told or (j, i) in told

    def alike(first: int, last: int) -> bool:
        return not any(apart(i, j) for i, j in combinations(range(first, last + 1), 2))

    stretches = [(a, b) for a, b in combinations(range(n), 2) if alike(a, b)]
    longest = [
        (a + 1, b + 1)
        for a, b in stretches
        if not any((c, d) != (a, b) and c <= a and b <= d for c, d in stretches)
    ]
    assert runs(apart, n) == tuple(longest)


def test_rank_intervals_hold_the_true_rank() -> None:
    """100 leagues of four models that truly differ, on 80 questions."""
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        hard = rng.normal(0, 1, 80)
        true = {"1": 6.0, "2": 5.6, "3": 5.2, "4": 4.8}
        grid = flat({name: mean + hard + rng.normal(0, 1.2, 80) for name, mean in true.items()})
        for one in ranked(grid).standings:
            assert one.rank_low is not None
            assert one.rank_high is not None
            hits += one.rank_low <= int(one.model) <= one.rank_high
    assert hits / 400 >= 0.95


@pytest.mark.slow
def test_17_models_on_683_questions_take_a_few_seconds() -> None:
    """All pairs, 2,000 resamples, 9,999 sign patterns; measured at 0.4 s on two cores."""
    grid = league(8, [5 + 0.1 * i for i in range(17)])
    start = time.perf_counter()
    ranked(grid)
    assert time.perf_counter() - start < 10
