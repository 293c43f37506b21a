"""A run on disk, trial by trial: its last record, and the requests that led to it, rendered again.

What was sent is not stored; it follows from the sweep, the questions, the rubrics and the answers, which
are. So whoever has the folder can say what each reply replied to: to hand replies on
(`engine/bundling.py`), and to read every verdict again (`engine/verification.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from cache.journal import replay
from data.errors import DataError
from data.schema import Answer, Failure, Judgment, Record, Request, Result
from engine.answering import answer_request
from engine.dossier import Texts
from engine.judging import Case, judge_request
from engine.plan import Plan
from engine.rundir import Stored


class Asked:
    """Close it (or use `with`): it holds the journal open. Memory: 16 bytes a trial."""

    def __init__(self, run: Stored, watch: Callable[[Record], None] | None = None) -> None:
        """Reads the journal once; `watch` sees every record that goes by.

        Raises JournalDamaged, as resuming would.
        """
        self.run = run
        self.plan = Plan(run.sweep, run.benchmark)
        path = run.folder / "journal.jsonl"
        offsets = array("q", [-1]) * len(self.plan)
        lengths = array("q", [0]) * len(self.plan)
        for place, record in replay(path):
            if watch is not None:
                watch(record)
            if isinstance(record, Answer | Judgment | Failure):
                number = self.plan.number(record.trial)
                if number is not None:
                    offsets[number], lengths[number] = place.offset, place.length
        self._path, self._texts = path, Texts(path, offsets, lengths)

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        self._texts.close()

    def records(self) -> Iterator[tuple[int, Result, bytes]]:
        """The last record of each trial, in the plan's order: its number, itself, and as a line."""
        for number in range(len(self.plan)):
            record, line = self._texts.at(number), self._texts.line(number)
            if record is not None and line is not None:
                yield number, record, line

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
        record = self._texts.at(number)
        if not isinstance(record, Answer):
            trial = self.plan.trial(number)
            what = f"question {trial.question_id}, {trial.model}, sample {trial.sample}"
            raise DataError(
                f"an answer is missing on which others rest: {what}", path=str(self._path)
            )
        return record.response.text
