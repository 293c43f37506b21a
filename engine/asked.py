"""A run on disk, trial by trial: its last record, and the requests that led to it, rendered again.

What was sent is not stored; it follows from the sweep, the questions, the rubrics and the answers, which
are. So whoever has the folder can say what each reply replied to: to hand replies on
(`engine/bundling.py`), and to read every verdict again (`engine/verification.py`).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import TypeAlias

from cache.journal import Place, replay
from data.codec import decode_record
from data.errors import DataError
from data.schema import Answer, Failure, Judgment, Record, Request
from engine.answering import answer_request
from engine.judging import Case, judge_request
from engine.plan import Plan
from engine.rundir import Stored

Final: TypeAlias = Answer | Judgment | Failure


class Asked:
    """Use it as a context: it holds the journal open. Memory: 16 bytes a trial."""

    def __init__(self, run: Stored) -> None:
        """Reads the journal once. Raises JournalDamaged, as resuming would."""
        self.run = run
        self.plan = Plan(run.sweep, run.benchmark)
        self._offsets = array("q", [-1]) * len(self.plan)
        self._lengths = array("q", [0]) * len(self.plan)
        self.lines = self.foreign = 0
        """Lines of the journal, and final records of trials that the sweep does not ask for."""
        self._path = run.folder / "journal.jsonl"
        for place, record in replay(self._path):
            self.lines += 1
            self._enter(place, record)

    def __enter__(self) -> Asked:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def _enter(self, place: Place, record: Record) -> None:
        if not isinstance(record, Answer | Judgment | Failure):
            return
        number = self.plan.number(record.trial)
        if number is None:
            self.foreign += 1
        else:
            self._offsets[number], self._lengths[number] = place.offset, place.length

    def line(self, number: int) -> bytes | None:
        """The last line of a trial, as it stands in the journal; None: it has none."""
        if self._offsets[number] < 0:
            return None
        return os.pread(self._fd, self._lengths[number], self._offsets[number])

    def records(self) -> Iterator[tuple[int, Final]]:
        """The last record of each trial, in the plan's order."""
        for number in range(len(self.plan)):
            line = self.line(number)
            if line is not None:
                yield number, _final(line)

    def answer_request(self, number: int) -> Request:
        """What a model was asked."""
        return answer_request(self.plan, number, self._text)

    def case(self, number: int) -> Case:
        """What lay before a judge."""
        sweep = self.plan.sweep
        judge = sweep.judges[self.plan.judge_index(number)]
        dialogues = tuple(
            tuple(self._text(n) for n in (*self.plan.turns_before(answer), answer))
            for answer in self.plan.answers_of(number)
        )
        question, _ = self.plan.item(number)
        rubric = self.run.rubrics[judge.rubric]
        return Case(sweep, judge, rubric, self.plan.trial(number), question, dialogues)

    def judge_requests(self, number: int, record: Judgment) -> Iterator[Request]:
        """What a judge was asked, ask after ask."""
        case = self.case(number)
        for ask in range(len(record.asks)):
            yield judge_request(case, ask)[0]

    def _text(self, number: int) -> str:
        """The text of an answer. Raises DataError where there is none, though something rests on it."""
        line = self.line(number)
        record = _final(line) if line is not None else None
        if not isinstance(record, Answer):
            raise DataError(
                f"a record rests on an answer that is not there: {self.plan.trial(number)}",
                path=str(self._path),
            )
        return record.response.text


def _final(line: bytes) -> Final:
    record = decode_record(line)
    assert isinstance(record, Answer | Judgment | Failure)
    return record
