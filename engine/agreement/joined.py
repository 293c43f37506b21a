"""Human scores and labels, put beside the answers of a run that they are about.

An answer is found by its question (its id, or its exact text where the file has no ids), model,
turn and sample; where the file holds the answer's text, only that very text will do, whichever
sample it is. Several annotators' scores of one answer become their mean; labels of pairs stay votes.
What fits nothing is counted, by reason, and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from data.errors import ConfigError
from data.human import HumanFile, HumanPair, HumanScore, Label
from data.schema import Struct
from data.text import printable
from engine.agreement.run_scores import AnswerKey, Judged, text_digest
from engine.rundir import Stored

Reason = Literal["question", "answer", "text"]


class LeftOut(Struct, frozen=True, kw_only=True):
    """Rows of the file that are about nothing in the run."""

    question: int = 0
    """The run has no such question."""
    answer: int = 0
    """It has the question, but no answer of that model."""
    text: int = 0
    """It has an answer, but another one than people scored."""


class Scored(Struct, frozen=True):
    """One answer with the humans' mean."""

    answer: Judged
    human: float


class Labelled(Struct, frozen=True):
    """Two answers with one person's label. `question` is its text: pairs of one question are one
    cluster, also where each has an id of its own."""

    question: str
    first: Judged
    second: Judged
    label: Label


class Desk:
    """The answers of a run, to be looked up as a human file names them."""

    def __init__(self, run: Stored, answers: Iterable[Judged]) -> None:
        self._run = run
        self._by_text: dict[str, list[str]] = {}
        self._place = {str(q.id): i for i, q in enumerate(run.benchmark.questions)}
        self._text_of = {str(q.id): q.text for q in run.benchmark.questions}
        for question in run.benchmark.questions:
            self._by_text.setdefault(question.text, []).append(str(question.id))
        self._by_key: dict[AnswerKey, Judged] = {}
        self._by_digest: dict[tuple[str, int, str], list[Judged]] = {}
        for answer in answers:
            self._by_key[answer.key] = answer
            place = (answer.question, answer.turn, answer.digest)
            self._by_digest.setdefault(place, []).append(answer)

    def scores(self, file: HumanFile) -> tuple[tuple[Scored, ...], LeftOut]:
        """Each answer once, in benchmark order. Raises ConfigError if none is found."""
        found: dict[AnswerKey, tuple[Judged, list[float]]] = {}
        missing: list[Reason] = []
        for row in file.scores:
            answer = self._answer(row, row.model, row.response)
            if isinstance(answer, Judged):
                found.setdefault(answer.key, (answer, []))[1].append(row.score)
            else:
                missing.append(answer)
        self._check(file, len(found), missing)
        rows = [Scored(answer, sum(s) / len(s)) for answer, s in found.values()]
        rows.sort(key=lambda row: (self._place[row.answer.question], row.answer.key))
        return tuple(rows), _left_out(missing)

    def labels(self, file: HumanFile) -> tuple[tuple[Labelled, ...], LeftOut]:
        """Each vote, in benchmark order. Raises ConfigError if no pair is found."""
        found: list[Labelled] = []
        missing: list[Reason] = []
        for row in file.pairs:
            texts: Sequence[str | None] = row.responses or (None, None)
            first, second = (
                self._answer(row, model, text)
                for model, text in zip(row.models, texts, strict=True)
            )
            if not isinstance(first, Judged):
                missing.append(first)
            elif not isinstance(second, Judged):
                missing.append(second)
            else:
                question = self._text_of[first.question]
                found.append(Labelled(question, first, second, row.label))
        self._check(file, len(found), missing)
        found.sort(key=lambda row: (self._place[row.first.question], row.first.key))
        return tuple(found), _left_out(missing)

    def _answer(self, row: HumanScore | HumanPair, model: str, text: str | None) -> Judged | Reason:
        """The answer, or what is missing of it. An empty `model` is any."""
        known = [row.question_id] if row.question_id else self._by_text.get(row.question, [])
        ids = [number for number in known if number in self._text_of]
        if not ids:
            return "question"
        keys = [(number, row.turn, model, row.sample) for number in ids]
        named = [self._by_key[key] for key in keys if key in self._by_key]
        if text is None:
            return named[0] if named else "answer"
        digest = text_digest(text)
        same = (a for i in ids for a in self._by_digest.get((i, row.turn, digest), ()))
        match = next((a for a in same if not model or a.model == model), None)
        return match or ("text" if named else "answer")

    def _check(self, file: HumanFile, found: int, missing: Sequence[Reason]) -> None:
        if found:
            return
        why = {
            "question": "its questions are not this run's",
            "answer": "this run has no answers of its models",
            "text": "this run's answers are other texts than people scored",
        }[max(set(missing), key=missing.count)]
        raise ConfigError(
            f"nothing in {file.path} is about {printable(str(self._run.folder))}: {why}",
            how="judge the scored answers first: alignsweep data import FILE, then"
            " alignsweep judge SWEEP --answers …",
        )


def _left_out(missing: Sequence[Reason]) -> LeftOut:
    return LeftOut(
        question=missing.count("question"),
        answer=missing.count("answer"),
        text=missing.count("text"),
    )
