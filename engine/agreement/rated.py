"""Answers with a human score, ready to be compared with whatever predicts it. Rows, no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from data.errors import ConfigError
from data.human import HumanFile, HumanScore
from data.schema import Struct
from engine.agreement.baselines import POINTWISE
from engine.agreement.joined import Scored
from engine.agreement.sample import Pair, Sample, sample_of

BLOCK = 8
"""Rows on end that upstream's script takes for one question's."""
HUMAN = "humans"

VoteKey = tuple[str, str, int, int, str]


class Rated(Struct, frozen=True, kw_only=True):
    """One answer with the humans' mean, its length, and a judge's score if there is a judge."""

    question: str
    model: str
    category: str
    human: float
    length: int | None = None
    judge: float | None = None


Column = Callable[[Rated], float | None]
"""A predictor: what it says about an answer, None for nothing."""


def rated_by(judge: str, scored: Iterable[Scored]) -> list[Rated]:
    """The answers that this judge of a run has scored, too."""
    return [
        Rated(
            question=row.answer.question,
            model=row.answer.model,
            category=row.answer.category,
            human=row.human,
            length=row.answer.length,
            judge=row.answer.scores[judge],
        )
        for row in scored
        if judge in row.answer.scores
    ]


def rated_in(file: HumanFile) -> list[Rated]:
    """The answers of a human file, in its order. Raises ConfigError if it holds no texts."""
    found: dict[VoteKey, list[HumanScore]] = {}
    for row in file.scores:
        found.setdefault(vote_key(row), []).append(row)
    rows = [_rated(votes) for votes in found.values()]
    if all(row.length is None for row in rows):
        raise ConfigError(
            "no answers in this file, so they have no length",
            where=file.path,
            how="give a run (alignsweep agree RUN --human FILE), or a column `response`",
        )
    return rows


def vote_key(row: HumanScore) -> VoteKey:
    """The answer that a human score is about."""
    return (row.question_id, row.question, row.turn, row.sample, row.model)


def judge_column(row: Rated) -> float | None:
    """What the judge says."""
    return row.judge


def baseline_columns() -> dict[str, Column]:
    """Every baseline by its name."""

    def column(rule: Callable[[int], float]) -> Column:
        return lambda row: None if row.length is None else rule(row.length)

    return {name: column(rule) for name, rule in POINTWISE.items()}


def by_category(rows: Iterable[Rated]) -> dict[str, list[Rated]]:
    """Rows by category, in the order in which categories first appear."""
    parts: dict[str, list[Rated]] = {}
    for row in rows:
        parts.setdefault(row.category, []).append(row)
    return parts


def sampled(rows: Iterable[Rated], column: Column, name: str) -> Sample:
    """The rows about which the predictor says something; clusters are questions."""
    said = ((row, column(row)) for row in rows)
    pairs = (Pair(row.question, row.model, x, row.human) for row, x in said if x is not None)
    return sample_of(pairs, (name, HUMAN))


def sampled_in_blocks(rows: Sequence[Rated], column: Column, name: str) -> Sample:
    """As upstream groups them: a cluster is eight rows on end; an incomplete last one is left out."""
    whole = len(rows) // BLOCK * BLOCK
    said = ((i, row, column(row)) for i, row in enumerate(rows[:whole]))
    pairs = (
        Pair(f"{i // BLOCK:09}", f"{i:09}", x, row.human) for i, row, x in said if x is not None
    )
    return sample_of(pairs, (name, HUMAN))


def _rated(votes: Sequence[HumanScore]) -> Rated:
    """Several people's scores of one answer."""
    first = votes[0]
    text = next((vote.response for vote in votes if vote.response is not None), None)
    return Rated(
        question=first.question_id or first.question,
        model=first.model,
        category=first.category,
        human=sum(vote.score for vote in votes) / len(votes),
        length=None if text is None else len(text),
    )
