"""What a run's judges gave its answers: one record an answer, from the journal.

A judge's score of an answer is the mean of its readable verdicts (repeats), as the robust policy of
`engine/scores.py` has it; without any it has none. The last line of a trial counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from data.codec import sha256
from data.errors import ConfigError
from data.schema import Answer, JudgeSpec, Judgment, Result, Struct, Trial
from data.text import printable
from engine.results import results
from engine.rundir import Stored

AnswerKey = tuple[str, int, str, int]
"""(question id as text, turn, model, sample)"""


class Judged(Struct, frozen=True, kw_only=True):
    """One answer of a run, with the scores that judges gave it."""

    question: str
    """Its id, as text."""
    turn: int
    model: str
    sample: int
    category: str
    length: int
    """Characters."""
    digest: str
    """Of its text, see `text_digest`."""
    scores: dict[str, float]
    """Judge -> score."""

    @property
    def key(self) -> AnswerKey:
        return (self.question, self.turn, self.model, self.sample)


class _Found:
    """What the journal says about one answer."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.verdicts: dict[tuple[str, int], float | None] = {}

    def scores(self) -> dict[str, float]:
        per_judge: dict[str, list[float]] = {}
        for (judge, _), score in self.verdicts.items():
            if score is not None:
                per_judge.setdefault(judge, []).append(score)
        return {judge: sum(scores) / len(scores) for judge, scores in per_judge.items()}


def judged_answers(run: Stored, records: Iterable[Result] | None = None) -> tuple[Judged, ...]:
    """Every answer of the run's own questions that there is, judged or not, in no special order."""
    categories = {str(q.id): q.category for q in run.benchmark.questions}
    found: dict[AnswerKey, _Found] = {}
    for record in results(run.folder) if records is None else records:
        trial = record.trial
        if str(trial.question_id) not in categories or len(trial.candidates) != 1:
            continue
        own = found.setdefault(_key(trial), _Found())
        if trial.kind == "answer":
            own.answer = record if isinstance(record, Answer) else None
        else:
            verdict = record.verdict if isinstance(record, Judgment) else None
            own.verdicts[trial.judge, trial.repeat] = verdict.score if verdict else None
    return tuple(
        Judged(
            question=key[0],
            turn=key[1],
            model=key[2],
            sample=key[3],
            category=categories[key[0]],
            length=len(own.answer.response.text),
            digest=text_digest(own.answer.response.text),
            scores=own.scores(),
        )
        for key, own in found.items()
        if own.answer is not None
    )


def text_digest(text: str) -> str:
    """Two answers are the same if these are."""
    return sha256(text.encode("utf-8", "surrogatepass"))


def judge_of(run: Stored, name: str) -> JudgeSpec:
    """The judge of that name. Raises ConfigError."""
    for judge in run.sweep.judges:
        if judge.name == name:
            return judge
    known = ", ".join(printable(judge.name, 60) for judge in run.sweep.judges)
    raise ConfigError(
        f"no judge `{printable(name, 80)}` in this run",
        where=str(run.folder),
        how=f"its judges: {known or 'none'}",
    )


def is_simulated(run: Stored) -> bool:
    """Whether what this run's judges said was simulated."""
    judges = {judge.provider for judge in run.sweep.judges}
    return any(spec.simulated for spec in run.sweep.providers if spec.name in judges)


def _key(trial: Trial) -> AnswerKey:
    return (str(trial.question_id), trial.turn, trial.model, trial.sample)
