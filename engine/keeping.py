"""What came back becomes records: answers, judgments, failures, each one journal line.

A line is told to the console when it is durable; the ledger knows it at once. A response of one call
that served several trials is written for each, the price for the first alone (`settled` None: nothing
was sent for this one).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from cache.journal import Place
from data.errors import CallError
from data.schema import Answer, Failure, Judgment, Response, Result, Settled
from engine.accounts import Job
from engine.events import AnswerSaved, Event, JudgmentSaved, TrialFailed
from engine.plan import State
from engine.rundir import Opened
from engine.served import said_by

RECENT = 4096
"""Answers whose text is kept in memory because they are about to be judged."""
_STATES = {"answered": State.ANSWERED, "truncated": State.TRUNCATED, "refused": State.REFUSED}


class Texts:
    """Answers' texts: from memory while they are new, else from their journal lines."""

    def __init__(self, stored: Callable[[int], str]) -> None:
        self._stored = stored
        self._recent: OrderedDict[int, str] = OrderedDict()

    def remember(self, answer: int, text: str) -> None:
        """It is about to be judged."""
        self._recent[answer] = text
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def __call__(self, answer: int) -> str:
        text = self._recent.get(answer)
        return self._stored(answer) if text is None else text


class Keeper:
    """Writes results into a run's journal and marks them in its ledger."""

    def __init__(self, run: Opened) -> None:
        self._journal, self._ledger = run.journal, run.ledger

    def keep_answer(
        self,
        job: Job,
        response: Response,
        settled: Settled | None,
        judgments_off: dict[str, int],
    ) -> None:
        """`judgments_off`: how many judgments a refusal takes away, by model."""
        trial = job.trial
        told = AnswerSaved(
            trial.model,
            response.state,
            settled is None,
            response.usage if settled else None,
            response.latency_s,
            judgments_off,
            said_by(response),
        )
        record = Answer(trial=trial, response=response, state=response.state)
        place = self._write(record, settled, told)
        self._ledger.offsets[job.number] = place.offset
        self._ledger.lengths[job.number] = place.length
        self._ledger.mark(job.number, _STATES[response.state])

    def keep_judgment(self, job: Job, record: Judgment, settled: Settled | None) -> None:
        """The verdict, or that none can be read after all asks."""
        trial, last = job.trial, job.asks[-1]
        told = JudgmentSaved(
            trial.model,
            trial.judge,
            None if record.verdict is None else record.verdict.score,
            settled is None,
            last.usage if settled else None,
            last.latency_s,
            said_by(last),
            len(job.asks),
        )
        self._write(record, settled, told)
        self._ledger.judged(job.number, record)

    def keep_settled(self, settled: Settled | None) -> None:
        """The end of an exchange that is not yet a result."""
        if settled is not None:
            self._journal.append(settled)

    def keep_failure(self, job: Job, error: CallError) -> None:
        """A failure is a record, never a score; the next session tries again."""
        trial = job.trial
        record = Failure(
            trial=trial,
            error=error.kind,
            message=str(error),
            attempts=job.tries.exchanges + 1,
            asks=tuple(job.asks),
        )
        told = TrialFailed(trial.model, trial.kind, error.kind, trial.judge, error.message)
        self._write(record, None, told)
        self._ledger.mark(job.number, State.FAILED)

    def _write(self, record: Result, settled: Settled | None, told: Event) -> Place:
        if settled is None:
            return self._journal.append_result(record, told=told)
        return self._journal.append_result(settled, record, told=told)
