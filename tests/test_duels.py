"""Games and win rates: who won, what is missing, and how consistent a judge is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Choice, Failure, JudgeSpec, Judgment, Response, Result, Trial, Verdict
from engine.duels import Duelist, duels

JUDGE = JudgeSpec(name="j", provider="p", model="j", rubric="r", pairwise=True)
CHOICES: list[Choice] = ["first+", "first", "tie", "second", "second+"]


def judged(
    question: int, pair: tuple[str, str], position: int, choice: Choice | None, repeat: int = 0
) -> Judgment:
    """A record; None: the verdict could not be read."""
    trial = Trial(
        kind="judgment",
        question_id=question,
        candidates=((pair[0], 0), (pair[1], 0)),
        judge="j",
        rubric="r",
        position=position,
        repeat=repeat,
    )
    verdict = None if choice is None else Verdict(0.5, choice=choice)
    return Judgment(trial=trial, asks=(Response(text=""),), verdict=verdict)


def row(records: list[Result], model: str, judge: JudgeSpec = JUDGE) -> Duelist:
    """One model's line."""
    [table] = duels([judge], records, ["a", "b"])
    return next(found for found in table.rows if found.model == model)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("first", "first", "wins"),
        ("first+", "first", "wins"),
        ("second", "second", "losses"),
        ("tie", "tie", "ties"),
        ("first", "second", "inconsistent"),
        ("first", "tie", "inconsistent"),
        ("first", None, "missing"),
        (None, None, "missing"),
    ],
)
def test_a_winner_must_win_in_both_positions(
    first: Choice | None, second: Choice | None, result: str
) -> None:
    """What goes the other way round when turned is no tie."""
    records: list[Result] = [judged(1, ("a", "b"), 0, first), judged(1, ("a", "b"), 1, second)]
    found = row(records, "a")
    counts = {n: getattr(found, n) for n in ("wins", "ties", "losses", "inconsistent", "missing")}
    assert counts == dict.fromkeys(counts, 0) | {result: 1}


def test_one_position_is_enough_where_the_sweep_asks_for_one() -> None:
    """Each pair is judged once, whoever is shown first."""
    once = JudgeSpec(name="j", provider="p", model="j", rubric="r", pairwise=True, positions="one")
    assert row([judged(1, ("a", "b"), 1, "second")], "b", once).wins == 1


def test_win_rates_are_shares_of_games_and_of_decided_games() -> None:
    """2 wins, 1 loss, 1 tie: adjusted 2.5 of 4, decided 2 of 3."""
    choices: list[Choice] = ["first", "first", "second", "tie"]
    records = [judged(q, ("a", "b"), p, c) for q, c in enumerate(choices) for p in (0, 1)]
    assert row(list(records), "a").adjusted == 2.5 / 4
    assert row(list(records), "a").win_rate == pytest.approx(2 / 3)
    assert row(list(records), "b").adjusted == 1.5 / 4


def test_what_is_undefined_is_none() -> None:
    """No games, and games without a decision."""
    assert row([], "a").adjusted is None
    ties: list[Result] = [judged(1, ("a", "b"), p, "tie") for p in (0, 1)]
    assert (row(ties, "a").adjusted, row(ties, "a").win_rate) == (0.5, None)


def test_the_last_record_of_a_trial_counts() -> None:
    """A failure that was mended, and a verdict that was lost again."""
    broken = Failure(trial=judged(1, ("a", "b"), 0, None).trial, error="Overloaded", message="")
    records: list[Result] = [
        broken,
        judged(1, ("a", "b"), 0, "first"),
        judged(1, ("a", "b"), 1, "first"),
    ]
    assert row(records, "a").wins == 1
    assert row([*records, broken], "a").missing == 1


def test_position_bias_is_told_apart_from_quality() -> None:
    """A judge that always likes what is shown first is never consistent."""
    records = [
        judged(q, ("a", "b"), p, "first" if p == 0 else "second") for q in range(10) for p in (0, 1)
    ]
    [table] = duels([JUDGE], records, ["a", "b"])
    assert (table.consistency, table.first_wins) == (0.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(CHOICES), st.sampled_from(CHOICES))))
def test_what_one_wins_the_other_loses(games: list[tuple[int, Choice, Choice]]) -> None:
    """And the order of records does not matter."""
    last = {q: (one, two) for q, one, two in games}
    records = [judged(q, ("a", "b"), p, c) for q, pair in last.items() for p, c in enumerate(pair)]
    a, b = row(list(records), "a"), row(list(records), "b")
    assert (a.wins, a.losses, a.ties, a.inconsistent) == (b.losses, b.wins, b.ties, b.inconsistent)
    random.Random(0).shuffle(records)
    assert row(list(records), "a") == a
