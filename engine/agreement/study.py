"""Two judges' explanations of the same answers, compared by people who do not know whose is whose.

AlignBench's authors had annotators compare explanations that two judge prompts gave for one answer,
in three aspects, and report wins, ties and losses (arXiv 2311.18743, table 5). This makes such a
study and counts it:

- A *case* is an answer that both judges have explained and scored. Cases come in the order of a hash
  of their texts, so a limit takes a random choice that is the same every time.
- Each annotator sees every case once. Whose explanation stands on the left alternates down that
  order, and between annotators: balanced exactly, and decided by content alone.
- A row's id says nothing; the key, which annotators do not get, knows what it is.
- The published margins divide by the comparisons planned although some are missing; here both
  denominators are told. The test is the sign test (exact, two-sided, ties left out) over cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from data import codec
from data.schema import Answer, JudgeSpec, Judgment, Question, QuestionId, Struct
from engine.agreement.estimate import Estimate
from engine.agreement.reliability import krippendorff_alpha
from engine.results import results
from engine.rundir import Stored

ASPECTS = ("合理性", "可读性", "一致性")
"""Correct and fair; logic, clarity and detail; the explanation fits its score."""
OVERALL = "三项合计"
"""Derived: whoever wins more of the aspects that were filled in."""
MASK = "〔评委〕"
"""Stands for a judge's name in an explanation."""

Side = Literal["left", "right"]
Choice = Literal["left", "right", "tie"]
Vote = Literal[1, 0, -1]
"""For the first judge, a tie, for the second."""
Place = tuple[QuestionId, int, tuple[tuple[str, int], ...]]


class Explained(Struct, frozen=True):
    """What a judge said about an answer, its own and its rivals' names masked."""

    text: str
    score: float


class Case(Struct, frozen=True, kw_only=True):
    """One answer and two explanations."""

    id: str
    question_id: str
    model: str
    question: str
    reference: str
    answer: str
    first: Explained
    second: Explained


class SheetRow(Struct, frozen=True, kw_only=True):
    """One line of an annotator's sheet."""

    id: str
    case: Case
    left: Explained
    right: Explained


class KeyRow(Struct, frozen=True, kw_only=True):
    """What a line of a sheet is about."""

    case: str
    question_id: str
    model: str
    annotator: int
    first_is: Side


class Key(Struct, frozen=True, kw_only=True):
    """What annotators must not see. `rows` by the ids of sheets."""

    schema: str = "alignsweep.explain-study/1"
    run: str
    run_id: str
    first: str
    second: str
    simulated: bool
    cases: int
    annotators: int
    rows: dict[str, KeyRow]


class Outcome(Struct, frozen=True, kw_only=True):
    """From the first judge's side. `planned` = wins + ties + losses + missing."""

    wins: int
    ties: int
    losses: int
    planned: int
    p: float | None
    """Of the sign test; None: nothing but ties."""
    alpha: Estimate | None = None
    """Krippendorff's, nominal, among annotators; None for one annotator."""

    @property
    def missing(self) -> int:
        return self.planned - self.given

    @property
    def given(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def margin_of_planned(self) -> float | None:
        """(wins - losses) / planned: as published."""
        return (self.wins - self.losses) / self.planned if self.planned else None

    @property
    def margin_of_given(self) -> float | None:
        return (self.wins - self.losses) / self.given if self.given else None

    @property
    def win_rate(self) -> float | None:
        """Wins of wins and losses."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None


# --- making it ---------------------------------------------------------------------------------


def cases(run: Stored, first: JudgeSpec, second: JudgeSpec) -> tuple[Case, ...]:
    """Every answer that both judges have explained readably, in the order of their hashes."""
    questions = {q.id: q for q in run.benchmark.questions}
    answers: dict[Place, Answer] = {}
    verdicts: dict[tuple[Place, str], Judgment] = {}
    for record in results(run.folder):
        trial = record.trial
        place = (trial.question_id, trial.turn, trial.candidates)
        if isinstance(record, Answer):
            answers[place] = record
        elif isinstance(record, Judgment) and trial.repeat == 0:
            verdicts[place, trial.judge] = record
    hidden = _names(first, second)
    found = []
    for place, answer in answers.items():
        question = questions.get(answer.trial.question_id)
        both = [_explained(verdicts.get((place, j.name)), hidden) for j in (first, second)]
        if question is not None and both[0] is not None and both[1] is not None:
            found.append(_case(question, answer, both[0], both[1]))
    return tuple(sorted(found, key=lambda case: case.id))


def sheet(chosen: Sequence[Case], annotator: int) -> list[tuple[SheetRow, KeyRow]]:
    """The lines of one annotator (from 0), in an order of their own."""
    rows = []
    for rank, case in enumerate(chosen):
        first_left = (rank + annotator) % 2 == 0
        number = codec.sha256(f"{case.id} {annotator}".encode())[:12]
        sides = (case.first, case.second) if first_left else (case.second, case.first)
        key = KeyRow(
            case=case.id,
            question_id=case.question_id,
            model=case.model,
            annotator=annotator,
            first_is="left" if first_left else "right",
        )
        rows.append((SheetRow(id=number, case=case, left=sides[0], right=sides[1]), key))
    return sorted(rows, key=lambda row: row[0].id)


def _case(question: Question, answer: Answer, first: Explained, second: Explained) -> Case:
    turn, text = answer.trial.turn, answer.response.text
    reference = question.references[turn] if question.references else ""
    told = (str(question.id), turn, answer.trial.candidates, text, first.text, second.text)
    return Case(
        id=codec.sha256(codec.canonical(told)),
        question_id=str(question.id),
        model=answer.trial.model,
        question="\n\n".join(question.turns[: turn + 1]),
        reference=reference,
        answer=text,
        first=first,
        second=second,
    )


def _explained(judgment: Judgment | None, hidden: Sequence[str]) -> Explained | None:
    if judgment is None or judgment.verdict is None or not judgment.asks:
        return None
    text = judgment.asks[-1].text
    for name in hidden:
        text = text.replace(name, MASK)
    return Explained(text, judgment.verdict.score)


def _names(*judges: JudgeSpec) -> list[str]:
    """Longest first, so that a name within a name is masked whole."""
    names = {name for judge in judges for name in (judge.name, judge.model, judge.rubric)}
    return sorted((name for name in names if len(name) > 2), key=len, reverse=True)


# --- counting it -------------------------------------------------------------------------------


def outcomes(key: Key, choices: Mapping[str, Mapping[str, Choice]]) -> dict[str, Outcome]:
    """By aspect, and overall. `choices`: row id -> aspect -> choice; what is missing is left out."""
    votes: dict[str, dict[tuple[str, int], Vote]] = {name: {} for name in (*ASPECTS, OVERALL)}
    for number, row in key.rows.items():
        own = {a: _vote(c, row.first_is) for a, c in choices.get(number, {}).items()}
        for aspect, vote in own.items():
            votes[aspect][row.case, row.annotator] = vote
        if own:
            votes[OVERALL][row.case, row.annotator] = _sign(sum(own.values()))
    return {aspect: _counted(key, given) for aspect, given in votes.items()}


def left_share(choices: Mapping[str, Mapping[str, Choice]]) -> tuple[int, int]:
    """How often the left side won, of all that were decided: a check on the annotators."""
    sides = [c for row in choices.values() for c in row.values() if c != "tie"]
    return sides.count("left"), len(sides)


def outcome(wins: int, ties: int, losses: int, *, planned: int) -> Outcome:
    """Counts as they stand in a table."""
    p = sign_test(wins, losses)
    return Outcome(wins=wins, ties=ties, losses=losses, planned=planned, p=p)


def sign_test(wins: int, losses: int) -> float | None:
    """Two-sided p of the exact binomial test with one half; None where nothing was decided."""
    n = wins + losses
    if not n:
        return None
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return 1.0 if 2 * tail >= 1 << n else float(2 * tail / (1 << n))


def _counted(key: Key, votes: Mapping[tuple[str, int], Vote]) -> Outcome:
    """Votes are counted one by one; the test is over cases, so that annotators who saw the same case
    do not count as independent."""
    values = list(votes.values())
    per_case: dict[str, int] = {}
    for (case, _), vote in votes.items():
        per_case[case] = per_case.get(case, 0) + vote
    signs = [_sign(total) for total in per_case.values()]
    found = outcome(
        values.count(1), values.count(0), values.count(-1), planned=key.cases * key.annotators
    )
    return codec.replace(
        found,
        p=sign_test(signs.count(1), signs.count(-1)),
        alpha=_alpha(votes, key.annotators) if key.annotators > 1 else None,
    )


def _alpha(votes: Mapping[tuple[str, int], Vote], annotators: int) -> Estimate:
    columns = {case: i for i, case in enumerate(dict.fromkeys(case for case, _ in votes))}
    ratings = np.full((annotators, len(columns)), np.nan)
    for (case, annotator), vote in votes.items():
        ratings[annotator, columns[case]] = vote
    return krippendorff_alpha(ratings, "nominal")


def _vote(choice: Choice, first_is: Side) -> Vote:
    if choice == "tie":
        return 0
    return 1 if choice == first_is else -1


def _sign(total: int) -> Vote:
    return 1 if total > 0 else -1 if total < 0 else 0
