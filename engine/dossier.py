"""A run as the large reports need it, from one reading of its journal.

    scores      what engine/scores.py makes of it: the only place where means are taken
    marks       the score of every single judgment, by its number in the plan
    parties     what each model and judge sent, took, cost and failed
    texts       where in the journal every answer and judgment stands; read back one at a time

Memory holds numbers and places, never the texts of a run. The last line of a trial counts.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from cache.journal import Place, replay
from data.codec import decode_record
from data.errors import DataError
from data.schema import (
    Amended,
    Answer,
    Failure,
    Header,
    Judgment,
    Record,
    Result,
    Struct,
)
from engine.escalated import Bill
from engine.escalation import Escalations
from engine.parties import Books, Mishap, Party, Timeline
from engine.plan import Ledger, Plan, State
from engine.results import with_times
from engine.rundir import Stored, read_run
from engine.scores import MIN_COVERAGE, Scores, priced, score


class Session(Struct, frozen=True):
    """When the run was started, or changed, and what changed then."""

    t_s: float
    """Seconds since the epoch."""
    changes: tuple[str, ...]


class Dossier:
    """What is known about a run. Made by `read_dossier`."""

    def __init__(self, run: Stored, scores: Scores, plan: Plan, gathered: _Gathered) -> None:
        self.run, self.scores, self.plan = run, scores, plan
        self.states: bytearray = gathered.ledger.states
        """One `State` a trial, by number."""
        self.marks: array[float] = gathered.marks
        """The score of each judgment, counted from 0; NaN: none. Under its judge's own policy."""
        self.parties: tuple[Party, ...] = gathered.books.parties(
            run.sweep, plan, self.states, gathered.ledger.hopeless()
        )
        self.mishaps: tuple[Mishap, ...] = gathered.books.mishaps()
        self.timeline: Timeline = gathered.books.timeline()
        self.sessions: tuple[Session, ...] = tuple(gathered.sessions)
        self._offsets, self._lengths = gathered.offsets, gathered.lengths

    def numbers(self, question: int) -> Iterator[int]:
        """All trials of a question (its place in the benchmark): answers first, then judgments."""
        items = self._items_of[question]
        per_answer = self.plan.answers // max(len(self.plan.items), 1)
        per_judgment = self.plan.judgments // max(len(self.plan.items), 1)
        for item in items:
            yield from range(item * per_answer, (item + 1) * per_answer)
        for item in items:
            first = self.plan.answers + item * per_judgment
            yield from range(first, first + per_judgment)

    def mark(self, number: int) -> float | None:
        """The score of the judgment of this number."""
        found = self.marks[number - self.plan.answers]
        return None if math.isnan(found) else found

    def state(self, number: int) -> State:
        return State(self.states[number])

    def failed(self) -> Iterator[int]:
        """Trials that ended in an error and were not mended later."""
        return (n for n, state in enumerate(self.states) if state == State.FAILED)

    def texts(self) -> Texts:
        """The journal, opened for reading single records; close it (or use `with`)."""
        return Texts(self.run.folder / "journal.jsonl", self._offsets, self._lengths)

    @property
    def _items_of(self) -> list[range]:
        """The items (turns) of each question: neighbours in the plan."""
        found: list[range] = []
        start = 0
        for question in self.run.benchmark.questions:
            found.append(range(start, start + len(question.turns)))
            start += len(question.turns)
        return found


class Texts:
    """Single records of a journal, by trial number. Holds one file open and nothing else."""

    def __init__(self, path: Path, offsets: array[int], lengths: array[int]) -> None:
        self._path, self._offsets, self._lengths = path, offsets, lengths
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(error.strerror or str(error), path=str(path)) from None

    def at(self, number: int) -> Result | None:
        """The last record of this trial; None: it has none yet."""
        line = self.line(number)
        if line is None:
            return None
        record = decode_record(line)
        if not isinstance(record, Answer | Judgment | Failure):
            raise DataError("this line was a result a moment ago", path=str(self._path))
        return record

    def line(self, number: int) -> bytes | None:
        """That record as it stands in the journal, its newline included."""
        if self._offsets[number] < 0:
            return None
        return os.pread(self._fd, self._lengths[number], self._offsets[number])

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Texts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_dossier(folder: Path, *, min_coverage: float = MIN_COVERAGE) -> Dossier:
    """Everything about the run in `folder`. Raises what `read_run` raises, and DataError for a run
    that mixes real and simulated results."""
    run = read_run(folder)
    plan = Plan(run.sweep, run.benchmark)
    gathered = _Gathered(run, plan)
    path = folder / "journal.jsonl"

    def results() -> Iterator[Result]:
        for place, record in replay(path):
            gathered.enter(place, record)
            if isinstance(record, Answer | Judgment | Failure):
                yield record

    scores = score(
        run.benchmark,
        run.sweep.judges,
        results(),
        models=[m.name for m in run.sweep.models],
        samples=run.sweep.samples,
        repeats=run.sweep.repeats,
        min_coverage=min_coverage,
        where=str(path),
    )
    gathered.close()
    priced_scores = priced(scores, gathered.bill)
    return Dossier(run, with_times(priced_scores, folder), plan, gathered)


class _Gathered:
    """What one pass over the journal collects."""

    def __init__(self, run: Stored, plan: Plan) -> None:
        self._plan = plan
        self._compat = {j.name for j in run.sweep.judges if j.parse == "compat"}
        self.ledger = Ledger(plan)
        self.offsets = array("q", [-1]) * len(plan)
        self.lengths = array("q", [0]) * len(plan)
        self.marks = array("d", [math.nan]) * plan.judgments
        self.books = Books()
        self.bill = Bill()
        self.sessions: list[Session] = []

    def enter(self, place: Place, record: Record) -> None:
        self.ledger.enter(record, place.offset, place.length)
        self.bill.watch(record)
        if isinstance(record, Header):
            self.sessions.append(Session(record.created_s, ()))
        elif isinstance(record, Amended):
            self.sessions.append(Session(record.t_s, record.changes))
        number = None
        if isinstance(record, Answer | Judgment | Failure):
            number = self._plan.number(record.trial)
        if number is not None and isinstance(record, Answer | Judgment | Failure):
            self.offsets[number], self.lengths[number] = place.offset, place.length
            if number >= self._plan.answers:
                self.marks[number - self._plan.answers] = self._mark(record)
        self.books.enter(record, number)

    def close(self) -> None:
        self.books.close()
        Escalations(self._plan, self.ledger).settle()

    def _mark(self, record: Result) -> float:
        if not isinstance(record, Judgment):
            return math.nan
        if record.trial.judge in self._compat:
            return record.compat if record.compat >= 0 else math.nan
        return math.nan if record.verdict is None else record.verdict.score
