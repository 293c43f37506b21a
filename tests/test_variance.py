"""Judge noise: what is put in comes out, and what repeats were worth."""

from __future__ import annotations

import numpy as np
import pytest

from engine.stats.grid import Grid
from engine.stats.stratified import estimate
from engine.stats.variance import UNKNOWN, noise, worth
from tests.grid_maker import ALIGNBENCH, GROUPS, benchmark, flat, grid_of

ASKED = benchmark(ALIGNBENCH, GROUPS)
NAN = float("nan")


def noisy(sd: float, repeats: int, seed: int = 1, questions: float = 2.0) -> Grid:
    """One model whose judge errs by `sd` at every asking."""
    rng = np.random.default_rng(seed)
    true = rng.normal(5, questions, len(ALIGNBENCH))
    marks = true[:, None] + rng.normal(0, sd, (len(ALIGNBENCH), repeats))
    return grid_of(ASKED, {"m": marks}, repeats=repeats)


def test_the_judges_part_is_what_judging_again_would_move() -> None:
    """300 judgings of the same answers: the spread of the totals is J."""
    rng = np.random.default_rng(2)
    true = rng.normal(5, 2, len(ALIGNBENCH))
    totals = []
    for _ in range(300):
        marks = true[:, None] + rng.normal(0, 1.5, (len(ALIGNBENCH), 2))
        grid = grid_of(ASKED, {"m": marks}, repeats=2)
        totals.append(estimate(grid.row("m"), grid.layout, grid.total).value)
    found = noise(grid, "m", grid.total)
    assert found.judge_se == pytest.approx(np.std(np.array(totals, dtype=float)), rel=0.12)


def test_shares_add_up() -> None:
    """Noise 1, questions 2, three repeats: 1/3 of 4 1/3 is the judge's."""
    grid = noisy(1.0, 3)
    found = noise(grid, "m", grid.total)
    assert found.share == pytest.approx((1 / 3) / (4 + 1 / 3), rel=0.15)
    assert found.se is not None
    assert found.se_without is not None
    assert found.judge_se is not None
    assert found.se**2 == pytest.approx(found.se_without**2 + found.judge_se**2)


def test_more_repeats_leave_the_questions_part_alone() -> None:
    """What 2 repeats predict for endlessly many is what 40 repeats nearly have."""
    few, many = noisy(2.0, 2), noisy(2.0, 40)
    predicted = noise(few, "m", few.total).se_without
    assert predicted == pytest.approx(noise(many, "m", many.total).se, rel=0.06)


def test_a_judge_that_repeats_itself_has_no_noise() -> None:
    """Temperature 0, as it should be."""
    scores = np.random.default_rng(3).integers(1, 11, 30).astype(float)
    grid = flat({"m": np.column_stack([scores, scores])}, repeats=2)
    found = noise(grid, "m", grid.total)
    assert (found.judge_se, found.share) == (0.0, 0.0)
    assert found.se_without == found.se


def test_lost_repeats_are_no_repeats() -> None:
    """Pooled over the answers that were judged twice; a question with one score carries all of it."""
    marks = [[4.0, 6.0], [5.0, 7.0], [8.0, NAN], [1.0, 3.0]]
    grid = flat({"m": marks}, repeats=2)
    found = noise(grid, "m", grid.total)
    assert found.judge_se == pytest.approx(np.sqrt((2 / 2 * 3 + 2) / 16))


def test_samples_are_not_repeats() -> None:
    """Two answers to one question, each judged twice alike: they differ, the judge does not."""
    marks = [[4.0, 4.0, 8.0, 8.0], [5.0, 5.0, 6.0, 6.0], [2.0, 2.0, 9.0, 9.0]]
    found = noise(grid := flat({"m": marks}, repeats=2), "m", grid.total)
    assert found.judge_se == 0.0


def test_what_cannot_be_known_says_why() -> None:
    """One repeat; repeats of which no second ever came; no spread at all."""
    once = flat({"m": [1.0, 5.0, 9.0]})
    assert noise(once, "m", once.total).reason == UNKNOWN
    half = flat({"m": [[1.0, NAN], [5.0, NAN], [9.0, NAN]]}, repeats=2)
    assert noise(half, "m", half.total).reason == "no answer was judged twice"
    same = flat({"m": [[5.0, 5.0], [5.0, 5.0]]}, repeats=2)
    assert "the same on every question" in noise(same, "m", same.total).reason


# --- were they worth it ------------------------------------------------------------------------


def test_repeats_that_change_nothing_were_not_needed() -> None:
    """The first alone has the order already."""
    grid = flat({"a": [[9.0, 8.0], [8.0, 9.0]], "b": [[2.0, 3.0], [3.0, 2.0]]}, repeats=2)
    found = worth(grid, grid.total, [("a", "b")])
    assert found is not None
    assert (found.enough, found.enough_to_tell, found.swapped) == (1, 1, 0)


def test_a_swap_that_nobody_can_tell_apart_was_not_worth_its_money() -> None:
    """The first repeat has b ahead, all three have a ahead; whether that counts, the pairs say."""
    marks = {"a": [[4.0, 6.0, 6.0]] * 3, "b": [[5.0, 5.0, 5.0]] * 3}
    grid = flat(marks, repeats=3)
    shrugged, believed = worth(grid, grid.total, []), worth(grid, grid.total, [("a", "b")])
    assert shrugged is not None
    assert believed is not None
    assert (shrugged.enough, shrugged.enough_to_tell, shrugged.swapped) == (2, 1, 1)
    assert believed.enough_to_tell == 2


def test_without_repeats_or_rivals_there_is_nothing_to_say() -> None:
    """None."""
    assert worth(flat({"a": [1.0], "b": [2.0]}), flat({"a": [1.0]}).total, []) is None
    alone = flat({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, repeats=2, thin=["b"])
    assert worth(alone, alone.total, []) is None
