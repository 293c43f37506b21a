"""Who refused what in a run: a fold over its records. Pure.

A refusal is an outcome, and it is not spread evenly: filters differ from provider to provider and stop
some categories more than others. So it is counted by who refused, and by which code.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from data.schema import Answer, Judgment, Response, Struct, Sweep, Trial


class RefusalCount(Struct, frozen=True):
    """`count` answers, or replies of a judge, refused `by` the filter or the model of `account`."""

    account: str
    what: Literal["answers", "judge replies"]
    by: Literal["the filter", "the model"]
    code: str
    count: int


class Refusals:
    """Counts of one run. The last record of a trial counts."""

    def __init__(self, sweep: Sweep) -> None:
        self._models = {model.name: model.provider for model in sweep.models}
        self._judges = {judge.name: judge.provider for judge in sweep.judges}
        self._last: dict[Trial, list[RefusalCount]] = {}

    def add(self, record: Answer | Judgment) -> None:
        """One more record, in the order written."""
        self._last.pop(record.trial, None)
        if isinstance(record, Answer):
            account = self._models.get(record.trial.model, "")
            found = [_row(account, "answers", record.response)]
        else:
            account = self._judges.get(record.trial.judge, "")
            found = [_row(account, "judge replies", ask) for ask in record.asks]
        if rows := [row for row in found if row is not None]:
            self._last[record.trial] = rows

    def counts(self) -> tuple[RefusalCount, ...]:
        """A row for each way of being refused, most frequent first."""
        tally = Counter(row for rows in self._last.values() for row in rows)
        return tuple(
            RefusalCount(row.account, row.what, row.by, row.code, count)
            for row, count in tally.most_common()
        )


def _row(
    account: str, what: Literal["answers", "judge replies"], response: Response
) -> RefusalCount | None:
    if response.state != "refused":
        return None
    by: Literal["the filter", "the model"] = (
        "the model" if response.refused_by == "model" else "the filter"
    )
    return RefusalCount(account, what, by, response.refusal_code, 1)
