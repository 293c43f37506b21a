"""Intervals for the leaderboard: around its very means, from its very records."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import (
    Benchmark,
    JudgeSpec,
    Judgment,
    ParsePolicy,
    Response,
    Result,
    Trial,
    Verdict,
)
from engine.reports import jsonfile
from engine.scores import Scores, score
from engine.stats.grid import grids
from engine.stats.intervals import intervals_of
from engine.stats.stratified import estimate
from tests.grid_maker import GROUPS, benchmark

SMALL = benchmark([c for group in GROUPS.values() for c in group] * 3, GROUPS)
Given = dict[tuple[str, int, int], float | None]
"""(model, question, repeat) to a score, None for an unreadable verdict."""


def scored(
    given_scores: Given,
    *,
    parse: ParsePolicy = "robust",
    repeats: int = 2,
    asked: Benchmark = SMALL,
) -> Scores:
    records: list[Result] = [
        Judgment(
            trial=Trial(
                kind="judgment",
                question_id=question,
                candidates=((model, 0),),
                judge="j",
                repeat=repeat,
            ),
            asks=(Response(text="x"),),
            verdict=None if value is None else Verdict(value),
            compat=-1.0 if value is None else value,
        )
        for (model, question, repeat), value in given_scores.items()
    ]
    judge = JudgeSpec(name="j", provider="p", model="m", rubric="r", parse=parse)
    return score(asked, [judge], records, models=["m"], repeats=repeats)


CELLS = st.dictionaries(
    st.tuples(st.just("m"), st.integers(1, len(SMALL.questions)), st.integers(0, 1)),
    st.none() | st.integers(1, 10).map(float),
    max_size=60,
)


@given(CELLS, st.sampled_from(["robust", "compat"]))
def test_every_value_is_the_leaderboards_own(cells: Given, parse: ParsePolicy) -> None:
    """Total, groups and categories, to the last digit where there is an interval; None where None."""
    scores = scored(cells, parse=parse)
    found = intervals_of(scores, SMALL)["j", "m"]
    (table,) = scores.tables
    means = table.headline(table.rows[0])
    pairs = [(found.total, means.total)]
    pairs += [(found.groups[name], mean) for name, mean in means.groups.items()]
    pairs += [(found.categories[name], mean) for name, mean in means.categories.items()]
    assert len(pairs) == 11
    for guess, mean in pairs:
        assert (guess.value is None) == (mean is None)
        if guess.low is not None and guess.high is not None:
            assert guess.value == mean
            assert mean is not None
            assert guess.low < mean < guess.high


def test_a_hand_counted_total() -> None:
    """Two categories with weights 1/2: SE² = (s1²/2 + s2²/2) / 4."""
    asked = benchmark(["甲", "甲", "乙", "乙"], {"一": ("甲",), "二": ("乙",)})
    cells: Given = {("m", i, r): v for i, v in enumerate([4.0, 6, 1, 7], start=1) for r in (0, 1)}
    found = intervals_of(scored(cells, asked=asked), asked)["j", "m"]
    assert found.total.value == 4.5
    assert found.total.se == pytest.approx(math.sqrt((2 / 2 + 18 / 2) / 4))
    assert found.groups["一"] == found.categories["甲"]


def test_repeats_are_averaged_before_questions_are() -> None:
    """Twice the judgments are not twice the questions."""
    values = [4.0, 6.0, 9.0]
    asked = benchmark(["甲"] * 3)
    once: Given = {("m", i, 0): v for i, v in enumerate(values, start=1)}
    twice: Given = {("m", i, r): v for i, v in enumerate(values, start=1) for r in (0, 1)}
    one = intervals_of(scored(once, repeats=1, asked=asked), asked)["j", "m"].total
    assert intervals_of(scored(twice, asked=asked), asked)["j", "m"].total == one
    assert one.n == 3


def test_compat_takes_minus_one_for_a_score_and_robust_takes_it_for_none() -> None:
    """As their means do."""
    asked = benchmark(["甲"] * 3)
    cells: Given = {("m", 1, 0): 5.0, ("m", 2, 0): 7.0, ("m", 3, 0): None}
    robust, compat = (
        intervals_of(scored(cells, repeats=1, asked=asked, parse=policy), asked)["j", "m"].total
        for policy in ("robust", "compat")
    )
    assert (robust.value, robust.n) == (6.0, 2)
    assert compat.value == pytest.approx(11 / 3)
    assert compat.n == 3


def test_a_dialogues_turns_are_one_question() -> None:
    """Ragged: one question with two turns between two with one."""
    whole = benchmark(["甲"] * 3)
    asked = Benchmark(
        name="b",
        title="b",
        sha256="0",
        questions=tuple(
            type(q)(
                id=q.id,
                category=q.category,
                subcategory="",
                turns=("问", "再问")[: 1 + (q.id == 2)],
            )
            for q in whole.questions
        ),
    )
    records: list[Result] = [
        Judgment(
            trial=Trial(
                kind="judgment", question_id=q, candidates=(("m", 0),), turn=turn, judge="j"
            ),
            asks=(Response(text="x"),),
            verdict=Verdict(value),
        )
        for q, turn, value in [(1, 0, 3.0), (2, 0, 5.0), (2, 1, 8.0), (3, 0, 9.0)]
    ]
    judge = JudgeSpec(name="j", provider="p", model="m", rubric="r")
    scores = score(asked, [judge], records, models=["m"])
    (grid,) = grids(scores, asked)
    assert grid.row("m").tolist() == [3.0, 6.5, 9.0]
    assert grid.planned == 4
    assert (
        estimate(grid.row("m"), grid.layout, grid.total).value
        == scores.tables[0].rows[0].robust.total
    )


def test_the_json_report_carries_them() -> None:
    """An additive column; without them it is null."""
    cells: Given = {("m", i, 0): float(i % 7 + 1) for i in range(1, len(SMALL.questions) + 1)}
    scores = scored(cells, repeats=1)
    document = json.loads(jsonfile.render(scores, intervals_of(scores, SMALL)))
    (model,) = document["judges"][0]["models"]
    assert model["intervals"]["total"]["value"] == model["robust"]["total"]
    assert model["intervals"]["total"]["low"] < model["robust"]["total"]
    assert set(model["intervals"]["categories"]) == set(SMALL.categories)
    (bare,) = json.loads(jsonfile.render(scores))["judges"][0]["models"]
    assert bare["intervals"] is None
