"""What there is to do: every trial of a sweep, by number, and what has become of each. Pure.

A trial's number is arithmetic, not an entry in a list: a sweep of a million trials costs a byte of
state each, and its texts stay in the journal.

    item     = one turn of one question, in benchmark order
    answer   = (item · samples + sample) · models + model
    judgment = answers + (answer · judges + judge) · repeats + repeat

Numbers hold for one process only; on disk a trial is written out in full, so that a sweep may grow.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum

from data.schema import Answer as AnswerRecord
from data.schema import Benchmark, Failure, Judgment, Question, QuestionId, Record, Sweep, Trial


class State(IntEnum):
    """Where a trial is. FAILED and lower are owed; the rest is final."""

    PENDING = 0
    ACTIVE = 1
    FAILED = 2
    ANSWERED = 3
    TRUNCATED = 4
    REFUSED = 5
    JUDGED = 6
    UNSCORABLE = 7


JUDGEABLE = frozenset({State.ANSWERED, State.TRUNCATED})
_ANSWER_STATES = {
    "answered": State.ANSWERED,
    "truncated": State.TRUNCATED,
    "refused": State.REFUSED,
}


class Plan:
    """The trials of a sweep, and the number of each."""

    def __init__(self, sweep: Sweep, benchmark: Benchmark) -> None:
        self.sweep, self.benchmark = sweep, benchmark
        self.items: tuple[tuple[Question, int], ...] = tuple(
            (question, turn)
            for question in benchmark.questions
            for turn in range(len(question.turns))
        )
        self.answers = len(self.items) * sweep.samples * len(sweep.models)
        self.judgments = self.answers * len(sweep.judges) * sweep.repeats
        self._item_of: dict[tuple[QuestionId, int], int] = {
            (question.id, turn): i for i, (question, turn) in enumerate(self.items)
        }
        self._model_of = {m.name: i for i, m in enumerate(sweep.models)}
        self._judge_of = {j.name: i for i, j in enumerate(sweep.judges)}

    def __len__(self) -> int:
        return self.answers + self.judgments

    def is_answer(self, number: int) -> bool:
        return number < self.answers

    def answer_of(self, number: int) -> int:
        """The answer that a judgment judges (an answer is its own)."""
        if number < self.answers:
            return number
        return (number - self.answers) // (len(self.sweep.judges) * self.sweep.repeats)

    def judgments_of(self, answer: int) -> range:
        """The numbers of all judgments of an answer."""
        width = len(self.sweep.judges) * self.sweep.repeats
        first = self.answers + answer * width
        return range(first, first + width)

    def model_index(self, number: int) -> int:
        return self.answer_of(number) % len(self.sweep.models)

    def judge_index(self, number: int) -> int:
        return (number - self.answers) // self.sweep.repeats % len(self.sweep.judges)

    def item_index(self, number: int) -> int:
        return self.answer_of(number) // len(self.sweep.models) // self.sweep.samples

    def item(self, number: int) -> tuple[Question, int]:
        """The question and turn a trial is about."""
        return self.items[self.item_index(number)]

    def turn_before(self, answer: int) -> int | None:
        """The answer to the previous turn of the same conversation, if there is one."""
        if self.item(answer)[1] == 0:
            return None
        return answer - self.sweep.samples * len(self.sweep.models)

    def turns_before(self, answer: int) -> list[int]:
        """The answers to all earlier turns of the same conversation, first turn first."""
        earlier: list[int] = []
        before = self.turn_before(answer)
        while before is not None:
            earlier.append(before)
            before = self.turn_before(before)
        return earlier[::-1]

    def turn_after(self, answer: int) -> int | None:
        """The answer to the next turn of the same conversation, if there is one."""
        question, turn = self.item(answer)
        if turn + 1 >= len(question.turns):
            return None
        return answer + self.sweep.samples * len(self.sweep.models)

    def trial(self, number: int) -> Trial:
        """The trial in full, as it is written."""
        question, turn = self.item(number)
        answer = self.answer_of(number)
        model = self.sweep.models[answer % len(self.sweep.models)].name
        candidates = ((model, answer // len(self.sweep.models) % self.sweep.samples),)
        if number < self.answers:
            return Trial(kind="answer", question_id=question.id, candidates=candidates, turn=turn)
        judge = self.sweep.judges[self.judge_index(number)]
        return Trial(
            kind="judgment",
            question_id=question.id,
            candidates=candidates,
            turn=turn,
            judge=judge.name,
            rubric=judge.rubric,
            repeat=(number - self.answers) % self.sweep.repeats,
        )

    def number(self, trial: Trial) -> int | None:
        """The number of a written trial; None if this sweep does not ask for it (any more)."""
        item = self._item_of.get((trial.question_id, trial.turn))
        model = self._model_of.get(trial.model)
        if item is None or model is None or trial.sample >= self.sweep.samples:
            return None
        answer = (item * self.sweep.samples + trial.sample) * len(self.sweep.models) + model
        if trial.kind == "answer":
            return answer
        judge = self._judge_of.get(trial.judge)
        if judge is None or trial.repeat >= self.sweep.repeats:
            return None
        first = self.answers + (answer * len(self.sweep.judges) + judge) * self.sweep.repeats
        return first + trial.repeat

    def answer_numbers(self, models: Sequence[int], items: Sequence[int]) -> Iterator[int]:
        """Answers question by question; within a question the models take turns."""
        for item in items:
            for sample in range(self.sweep.samples):
                base = (item * self.sweep.samples + sample) * len(self.sweep.models)
                for model in models:
                    yield base + model


class Ledger:
    """What has become of each trial: one byte of state, and where each answer stands in the journal."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.states = bytearray(len(plan))
        self.offsets = array("q", [-1]) * plan.answers
        self.lengths = array("l", [0]) * plan.answers
        self.scores = array("f", [math.nan]) * plan.judgments
        """By judgment, counted from 0; NaN: none."""
        self.foreign = 0
        """Records of trials that this sweep does not ask for."""

    def enter(self, record: Record, offset: int, length: int) -> None:
        """Take a journal line in: the last line of a trial decides."""
        if not isinstance(record, AnswerRecord | Judgment | Failure):
            return
        number = self.plan.number(record.trial)
        if number is None:
            self.foreign += 1
            return
        self.states[number] = self._state(record)
        if number < self.plan.answers:
            self.offsets[number], self.lengths[number] = offset, length
        elif isinstance(record, Judgment) and record.verdict is not None:
            self.scores[number - self.plan.answers] = record.verdict.score

    def score_sum(self, judgments: Sequence[int]) -> float:
        """The sum of the scores that these judgments have."""
        found = (self.scores[n - self.plan.answers] for n in judgments)
        return math.fsum(score for score in found if not math.isnan(score))

    def state(self, number: int) -> State:
        return State(self.states[number])

    def mark(self, number: int, state: State) -> None:
        self.states[number] = state

    def owed(self, number: int) -> bool:
        """Is this trial still to be done, and not under way?"""
        return self.states[number] in (State.PENDING, State.FAILED)

    def count(self, state: State) -> int:
        return self.states.count(state)

    def hopeless(self) -> set[int]:
        """Trials that will never come, because an answer they need was refused for good."""
        found: set[int] = set()
        refused = [n for n in range(self.plan.answers) if self.states[n] == State.REFUSED]
        for answer in refused:
            found.update(self.plan.judgments_of(answer))
            after = self.plan.turn_after(answer)
            while after is not None:
                found.update((after, *self.plan.judgments_of(after)))
                after = self.plan.turn_after(after)
        return found

    @staticmethod
    def _state(record: AnswerRecord | Judgment | Failure) -> State:
        if isinstance(record, Failure):
            return State.FAILED
        if isinstance(record, Judgment):
            return State.JUDGED if record.verdict is not None else State.UNSCORABLE
        return _ANSWER_STATES[record.state]
