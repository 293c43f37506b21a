"""What there is to do: every trial of a sweep, by number, and what has become of each. Pure.

A trial's number is arithmetic, not an entry in a list: a sweep of a million trials costs a byte of
state each, and its texts stay in the journal.

    item     = one turn of one question, in benchmark order
    group    = item · samples + sample
    answer   = group · models + model
    judgment = answers + group · slots + slot

A slot is one thing a judge does with the answers of a group: judge one model's, or compare two models',
in one of two positions. The table of slots is the same for all groups.

Numbers hold for one process only; on disk a trial is written out in full, so that a sweep may grow.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import combinations, product

from data.codec import canonical, sha256
from data.schema import Answer as AnswerRecord
from data.schema import (
    Benchmark,
    Failure,
    JudgeSpec,
    Judgment,
    Question,
    QuestionId,
    Record,
    Struct,
    Sweep,
    Trial,
)


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
    SPARED = 8
    """Not asked for: cheaper judges have settled it (`engine/escalation.py`)."""


_STATES = tuple(State)
JUDGEABLE = frozenset({State.ANSWERED, State.TRUNCATED})
_ANSWER_STATES = {
    "answered": State.ANSWERED,
    "truncated": State.TRUNCATED,
    "refused": State.REFUSED,
}


class Slot(Struct, frozen=True):
    """One judgment among those of an item and sample: who judges which models, and how."""

    judge: int
    models: tuple[int, ...]
    """One model for a pointwise judge; two for a pairwise one, in the order in which they are named."""
    position: int | None
    """0: the first model's answer is shown first; 1: the second's; None: the content decides."""
    repeat: int


class Plan:
    """The trials of a sweep, and the number of each."""

    def __init__(self, sweep: Sweep, benchmark: Benchmark) -> None:
        self.sweep, self.benchmark = sweep, benchmark
        self.items: tuple[tuple[Question, int], ...] = tuple(
            (question, turn)
            for question in benchmark.questions
            for turn in range(len(question.turns))
        )
        self._models = len(sweep.models)
        self._slots = tuple(_slots(sweep))
        self.groups = len(self.items) * sweep.samples
        self.answers = self.groups * self._models
        self.judgments = self.groups * len(self._slots)
        self._item_of: dict[tuple[QuestionId, int], int] = {
            (question.id, turn): i for i, (question, turn) in enumerate(self.items)
        }
        self._model_of = {m.name: i for i, m in enumerate(sweep.models)}
        self._slot_of = {self._key(slot): i for i, slot in enumerate(self._slots)}
        self._needing = [
            [i for i, slot in enumerate(self._slots) if model in slot.models]
            for model in range(self._models)
        ]
        self._named = [
            [i for i, slot in enumerate(self._slots) if model == slot.models[0]]
            for model in range(self._models)
        ]

    def __len__(self) -> int:
        return self.answers + self.judgments

    def is_answer(self, number: int) -> bool:
        return number < self.answers

    def answer_of(self, number: int) -> int:
        """The (first) answer that a judgment judges; an answer is its own."""
        if number < self.answers:
            return number
        group, slot = self._place(number)
        return group * self._models + slot.models[0]

    def answers_of(self, number: int) -> tuple[int, ...]:
        """All answers that a judgment judges, in the order of its candidates."""
        group, slot = self._place(number)
        first = group * self._models
        return tuple([first + model for model in slot.models])

    def judgments_of(self, answer: int) -> list[int]:
        """The numbers of all judgments that need an answer."""
        return self._numbers(answer, self._needing)

    def named_after(self, answer: int) -> list[int]:
        """Those of them that it is the first candidate of: each judgment is named after one answer."""
        return self._numbers(answer, self._named)

    def model_index(self, number: int) -> int:
        return self.answer_of(number) % self._models

    def judge_index(self, number: int) -> int:
        return self._slots[(number - self.answers) % len(self._slots)].judge

    def item_index(self, number: int) -> int:
        return self.answer_of(number) // self._models // self.sweep.samples

    def item(self, number: int) -> tuple[Question, int]:
        """The question and turn a trial is about."""
        return self.items[self.item_index(number)]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What judges do with the answers of one item and sample; the same for all."""
        return self._slots

    def place(self, judgment: int) -> tuple[int, int]:
        """(group, slot) of a judgment; `judgment_at` is the way back."""
        return divmod(judgment - self.answers, len(self._slots))

    def judgment_at(self, group: int, slot: int) -> int:
        return self.answers + group * len(self._slots) + slot

    def turn_before(self, answer: int) -> int | None:
        """The answer to the previous turn of the same conversation, if there is one."""
        if self.item(answer)[1] == 0:
            return None
        return answer - self.sweep.samples * self._models

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
        return answer + self.sweep.samples * self._models

    def trial(self, number: int) -> Trial:
        """The trial in full, as it is written."""
        question, turn = self.item(number)
        sample = self.answer_of(number) // self._models % self.sweep.samples
        if number < self.answers:
            model = self.sweep.models[number % self._models].name
            return Trial(
                kind="answer", question_id=question.id, candidates=((model, sample),), turn=turn
            )
        _, slot = self._place(number)
        judge = self.sweep.judges[slot.judge]
        names = tuple(self.sweep.models[model].name for model in slot.models)
        position = slot.position
        if position is None:
            position = _coin(self.sweep.seed, question, turn, names)
        return Trial(
            kind="judgment",
            question_id=question.id,
            candidates=tuple((name, sample) for name in names),
            turn=turn,
            judge=judge.name,
            rubric=judge.rubric,
            position=position,
            repeat=slot.repeat,
        )

    def number(self, trial: Trial) -> int | None:
        """The number of a written trial; None if this sweep does not ask for it (any more)."""
        name, sample = trial.candidates[0]
        item = self._item_of.get((trial.question_id, trial.turn))
        model = self._model_of.get(name)
        if item is None or model is None or sample >= self.sweep.samples:
            return None
        group = item * self.sweep.samples + sample
        if trial.kind == "answer":
            return group * self._models + model
        names = tuple([name for name, _ in trial.candidates])
        for position in (trial.position, None):
            slot = self._slot_of.get((trial.judge, names, position, trial.repeat))
            if slot is not None:
                return self.answers + group * len(self._slots) + slot
        return None

    def answer_numbers(self, models: Sequence[int], items: Sequence[int]) -> Iterator[int]:
        """Answers question by question; within a question the models take turns."""
        for item in items:
            for sample in range(self.sweep.samples):
                base = (item * self.sweep.samples + sample) * self._models
                for model in models:
                    yield base + model

    def _place(self, number: int) -> tuple[int, Slot]:
        """The item and sample of a judgment, as one index, and its slot."""
        group, slot = divmod(number - self.answers, len(self._slots))
        return group, self._slots[slot]

    def _numbers(self, answer: int, slots: Sequence[Sequence[int]]) -> list[int]:
        group, model = divmod(answer, self._models)
        base = self.answers + group * len(self._slots)
        return [base + slot for slot in slots[model]]

    def _key(self, slot: Slot) -> tuple[str, tuple[str, ...], int | None, int]:
        names = tuple(self.sweep.models[model].name for model in slot.models)
        return self.sweep.judges[slot.judge].name, names, slot.position, slot.repeat


def _slots(sweep: Sweep) -> Iterator[Slot]:
    """Model by model what each pointwise judge does, then pair by pair what the pairwise ones do."""
    pointwise = [j for j, judge in enumerate(sweep.judges) if not judge.pairwise]
    repeats = range(sweep.repeats)
    for model, judge, repeat in product(range(len(sweep.models)), pointwise, repeats):
        yield Slot(judge, (model,), 0, repeat)
    for j, spec in enumerate(sweep.judges):
        if spec.pairwise:
            positions = (0, 1) if spec.positions == "both" else (None,)
            for pair, position, repeat in product(_pairs(sweep, spec), positions, repeats):
                yield Slot(j, pair, position, repeat)


def _pairs(sweep: Sweep, judge: JudgeSpec) -> list[tuple[int, int]]:
    """Who is compared with whom: everybody with the baseline, or all with all, by name.

    By name, so that a sweep file whose models change places asks for the same pairs.
    """
    names = {i: model.name for i, model in enumerate(sweep.models)}
    if judge.baseline:
        return [(i, b) for b in names if names[b] == judge.baseline for i in names if i != b]
    return list(combinations(sorted(names, key=names.__getitem__), 2))


def _coin(seed: int, question: Question, turn: int, names: tuple[str, ...]) -> int:
    """Who is shown first, where each pair is judged once: by content, never by the order of the run."""
    return int(sha256(canonical([seed, question.turns[turn], sorted(names)]))[0], 16) & 1


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
        if not isinstance(record, (AnswerRecord, Judgment, Failure)):
            return
        number = self.plan.number(record.trial)
        if number is None:
            self.foreign += 1
            return
        self.states[number] = self._state(record)
        if number < self.plan.answers:
            self.offsets[number], self.lengths[number] = offset, length
        elif isinstance(record, Judgment):
            self.judged(number, record)

    def judged(self, number: int, record: Judgment) -> None:
        """A judgment is there: its state, and its score if it has one."""
        self.states[number] = self._state(record)
        verdict = record.verdict
        self.scores[number - self.plan.answers] = math.nan if verdict is None else verdict.score

    def score_of(self, number: int) -> float | None:
        """The score of a judgment, to single precision; None: it has none."""
        found = self.scores[number - self.plan.answers]
        return None if math.isnan(found) else found

    def score_sum(self, judgments: Sequence[int]) -> float:
        """The sum of the scores that these judgments have."""
        found = (self.scores[n - self.plan.answers] for n in judgments)
        return math.fsum(score for score in found if not math.isnan(score))

    def state(self, number: int) -> State:
        return _STATES[self.states[number]]

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
