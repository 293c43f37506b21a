"""Rubrics side by side: the figures of the other files, on common answers, with tests that hold."""

from __future__ import annotations

import numpy as np
import pytest

from engine.agreement.joined import Scored
from engine.agreement.levels import item_level, system_level, text_level
from engine.agreement.pairs import pair_agreement
from engine.agreement.rubrics import MEASURES, RubricTable, compare_rubrics
from engine.agreement.run_scores import Judged
from engine.agreement.sample import Pair, sample_of

Scores = dict[str, float]


def scored(rows: list[tuple[int, str, float, Scores]]) -> list[Scored]:
    """(question, model, the humans' score, the judges' scores) of each answer."""
    return [
        Scored(
            Judged(
                question=str(q),
                turn=0,
                model=m,
                sample=0,
                category="甲",
                length=10 * q,
                digest="",
                scores=given,
            ),
            human,
        )
        for q, m, human, given in rows
    ]


def made(seed: int, noise: dict[str, float], questions: int = 40) -> list[Scored]:
    """Four models; a judge is the humans' score and its own noise."""
    chance = np.random.default_rng(seed)
    rows = []
    for q in range(questions):
        for i, m in enumerate("abcd"):
            human = float(chance.integers(1, 6)) + i / 2
            given = {j: human + own * float(chance.normal()) for j, own in noise.items()}
            rows.append((q, m, human, given))
    return scored(rows)


def compared(rows: list[Scored], *judges: str) -> RubricTable:
    return compare_rubrics([(j, f"rubric of {j}") for j in judges], rows)


def test_each_figure_is_that_of_its_own_page() -> None:
    """Item, text, system and pairs, as `agree --human` tells them of each judge alone."""
    rows = made(1, {"near": 1.0, "far": 4.0})
    found = compared(rows, "near", "far")
    assert [row.name for row in found.rows] == [
        "near",
        "far",
        "length",
        "length, 1 to 10",
        "constant",
    ]
    for row in found.rows[:2]:
        sample = sample_of(
            (
                Pair(r.answer.question, r.answer.model, r.answer.scores[row.name], r.human)
                for r in rows
            ),
            (row.name, "humans"),
        )
        theirs = (
            item_level(sample).pearson,
            text_level(sample).mean.spearman,
            system_level(sample).pearson,
            pair_agreement(sample).without_ties,
        )
        for ours, other in zip(row.measures, theirs, strict=True):
            assert ours.value == pytest.approx(other.value)
            assert ours.low is not None
            assert ours.high is not None
            assert ours.low <= (ours.value or 0) <= ours.high


def test_the_nearer_rubric_is_told_apart_and_equals_are_not() -> None:
    """A difference is first minus second; the same judge twice differs by nothing at p = 1."""
    rows = made(2, {"near": 0.5, "far": 5.0})
    twice = [Scored(r.answer, r.human) for r in rows]
    for row in twice:
        row.answer.scores["twin"] = row.answer.scores["near"]
    found = compared(twice, "near", "far", "twin")
    by_pair = {(one.first, one.second): one for one in found.differences}
    apart, same = by_pair["near", "far"], by_pair["near", "twin"]
    assert (apart.measures[0].value or 0) > 0.2
    assert (apart.measures[0].low or 0) > 0
    assert (apart.p_holm[0] or 1) < 0.05
    assert (same.measures[0].value, same.p[0]) == (0.0, 1.0)
    turned = (by_pair["far", "twin"].measures[0].value or 0) + (apart.measures[0].value or 0)
    assert turned == pytest.approx(0)


def test_only_answers_that_all_have_scored_are_compared() -> None:
    """What a judge left out is left out for the others, and counted."""
    rows = made(3, {"near": 1.0, "far": 1.0})
    for row in rows[:10]:
        del row.answer.scores["far"]
    found = compared(rows, "near", "far")
    assert (found.n, found.left_out) == (150, 10)
    assert [row.without_verdict for row in found.rows[:2]] == [0, 10]


def test_what_does_not_exist_is_undefined_and_says_why() -> None:
    """Two models, one answer a question, nothing in common."""
    rows = [row for row in made(4, {"j": 1.0, "k": 1.0}) if row.answer.model == "a"]
    found = compared(rows, "j", "k").rows[0].measures
    assert found[0].value is not None
    assert [m.why for m in found[1:]] == [
        "no question has two answers to compare",
        "1 models: a correlation takes 3 at least, better many more",
        "no question has two answers to compare",
    ]
    nothing = compared([], "j", "k")
    assert {m.why for row in nothing.rows for m in row.measures} == {
        "no answer was scored by all of them"
    }
    assert all(one.p == (None,) * len(MEASURES) for one in nothing.differences)


def test_equal_judges_are_seldom_told_apart() -> None:
    """At 5 %, about 5 % of 40 comparisons of judges with the same noise."""
    hits = 0
    for seed in range(40):
        found = compared(made(seed + 100, {"j": 2.0, "k": 2.0}, questions=15), "j", "k")
        hits += (found.differences[0].p[0] or 1) < 0.05
    assert hits <= 6  # binomial(40, 0.05) exceeds it once in 280
