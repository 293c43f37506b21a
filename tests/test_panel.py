"""Panels: means, medians, majorities, quorum, and the disagreement that is kept."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import JudgeSpec, Judgment, Response, Result, Trial, Verdict
from engine.scores import score
from engine.stats.grid import Grid, grids
from engine.stats.intervals import intervals_of
from engine.stats.panel import METHODS, Method, default_quorum, panel
from engine.stats.panel_table import with_panel
from tests.grid_maker import benchmark, flat

VOTES = st.lists(st.none() | st.integers(1, 10), min_size=1, max_size=5)


def judges(*scores: Sequence[float | None]) -> list[Grid]:
    """One model; a list of scores by question from each judge."""
    return [flat({"m": list(mine)}, judge=f"j{i}") for i, mine in enumerate(scores)]


def one_slot(votes: list[int | None], method: Method, quorum: int = 1) -> float | None:
    grid, _ = panel(judges(*([v] for v in votes)), method, quorum=quorum, min_coverage=0.5)
    value = float(grid.values[0, 0])
    return None if np.isnan(value) else value


@given(VOTES)
def test_mean_and_median_are_the_standard_librarys(votes: list[int | None]) -> None:
    """Of those who scored."""
    known = [v for v in votes if v is not None]
    expected = statistics.mean(known) if known else None
    assert one_slot(votes, "mean") == (expected if expected is None else pytest.approx(expected))
    assert one_slot(votes, "median") == (statistics.median(known) if known else None)


@given(VOTES)
def test_a_majority_is_more_than_half_or_none(votes: list[int | None]) -> None:
    """Nobody casts a deciding vote."""
    known = Counter(v for v in votes if v is not None)
    winners = [v for v, n in known.items() if 2 * n > known.total()]
    assert one_slot(votes, "majority") == (winners[0] if winners else None)


def test_below_the_quorum_there_is_no_score() -> None:
    """And it is counted."""
    members = judges([8, 8, None, 4], [6, None, None, 4], [7, None, None, 4])
    grid, apart = panel(members, "mean", quorum=2, min_coverage=0.75)
    assert np.array_equal(grid.values[0], [7.0, np.nan, np.nan, 4.0], equal_nan=True)
    assert (apart.slots, apart.short, apart.below_quorum, apart.no_majority) == (3, 0, 1, 0)
    assert grid.coverage == (0.5,)
    assert grid.complete == (False,)
    loose, apart = panel(members, "mean", quorum=1, min_coverage=0.75)
    assert (loose.complete, apart.short, apart.below_quorum) == ((True,), 1, 0)


def test_disagreement_is_kept() -> None:
    """Over what all judges scored: three questions of four."""
    _, apart = panel(
        judges([5, 2, 9, 1], [5, 4, 9, None], [5, 6, 6, 1]), "median", quorum=2, min_coverage=0.5
    )
    assert apart.judges == ("j0", "j1", "j2")
    assert apart.unanimous == pytest.approx(1 / 3)
    assert apart.mean_range == pytest.approx((0 + 4 + 3) / 3)
    assert apart.far == pytest.approx(2 / 3)
    assert apart.mean_sd == pytest.approx(np.mean([0, np.std([2, 4, 6]), np.std([9, 9, 6])]))
    assert apart.severity == pytest.approx((-1 / 3, 1 / 3, 0))


def test_no_majority_is_counted_apart_from_no_quorum() -> None:
    """Three judges, three scores."""
    grid, apart = panel(judges([1, 5], [2, 5], [3, None]), "majority", quorum=2, min_coverage=0.5)
    assert np.array_equal(grid.values[0], [np.nan, 5.0], equal_nan=True)
    assert (apart.no_majority, apart.below_quorum, apart.short) == (1, 0, 1)


def test_judges_who_never_met_have_no_disagreement() -> None:
    """None, not 0."""
    _, apart = panel(judges([1, None], [None, 2]), "mean", quorum=1, min_coverage=0)
    assert (apart.unanimous, apart.mean_range, apart.far) == (None, None, None)
    assert apart.severity == (None, None)


@pytest.mark.parametrize("method", METHODS)
def test_a_panel_of_one_is_that_judge(method: Method) -> None:
    """Whatever the method."""
    (only,) = judges([3, None, 7])
    grid, _ = panel([only], method, quorum=1, min_coverage=0.5)
    assert np.array_equal(grid.values, only.values, equal_nan=True)


def test_a_quorum_is_more_than_half() -> None:
    """Unless told otherwise."""
    assert [default_quorum(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


def test_a_panel_is_one_more_table_of_the_leaderboard() -> None:
    """Its totals and intervals are those of the panel's grid; what lacks a quorum is unscorable."""
    questions = benchmark(["甲", "乙", "甲", "乙"], {"全": ("甲", "乙")})
    judges = [
        JudgeSpec(name=name, provider="p", model=name, rubric="r", pairwise=False)
        for name in ("j", "k")
    ]
    marks = {("j", 1): 3.0, ("j", 2): 5.0, ("j", 3): 8.0, ("j", 4): 6.0}
    marks |= {("k", 1): 5.0, ("k", 2): 9.0, ("k", 4): 7.0}
    records: list[Result] = [
        Judgment(
            trial=Trial(
                kind="judgment", question_id=q, candidates=(("m", 0),), judge=j, rubric="r"
            ),
            asks=(Response(text=""),),
            verdict=Verdict(mark),
            compat=mark,
        )
        for (j, q), mark in marks.items()
    ]
    scores = score(questions, judges, records, models=["m"], min_coverage=0.5)
    grid, _ = panel(grids(scores, questions), "mean", quorum=2, min_coverage=0.5)
    found = with_panel(scores, questions, grid)
    assert [table.judge for table in found.tables] == ["j", "k", "panel (mean of 2)"]
    [row] = found.tables[-1].rows
    assert row.robust.categories == {"甲": 4.0, "乙": 6.75}
    assert row.robust.total == pytest.approx((4 + 6.75) / 2)
    assert (row.coverage.planned, row.coverage.scored, row.coverage.unscorable) == (4, 3, 1)
    assert row.coverage.pending == 0
    assert row.marks == (4.0, 7.0, None, 6.5)
    again = grids(found, questions)[-1]
    assert np.array_equal(again.values, grid.values, equal_nan=True)
    assert intervals_of(found, questions)["panel (mean of 2)", "m"].total.value == row.robust.total
