"""What a run will have cost: what is booked, and what remains times what a trial has cost lately. Pure.

Per model and judge, the money booked between two looks is divided by the trials that were finished in
between; what remains is priced at the quartiles of that, so the range is as wide as the costs scatter.
Who has not finished anything yet is taken to cost what the others of its kind do. What is stopped will
cost nothing more in this session. Amounts are nano-units of the run's currency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from data.schema import Struct
from engine.events import JudgeRow, ModelRow, Progress

LOOKS = 30
LEAST = 5
"""Trials between two looks that are worth a look."""


class Expected(Struct, frozen=True):
    """Nano-units that the whole run will have cost."""

    low: int
    high: int


class _Party:
    """What one model's answers, or one judge's judgments, have cost a piece."""

    def __init__(self, booked: int, finished: int) -> None:
        self._booked, self._finished = booked, finished
        self.each: deque[float] = deque(maxlen=LOOKS)

    def look(self, booked: int, finished: int) -> None:
        if finished - self._finished < LEAST:
            return
        self.each.append((booked - self._booked) / (finished - self._finished))
        self._booked, self._finished = booked, finished


class Costs:
    """Fed with pictures of a run; knows what its trials cost."""

    def __init__(self) -> None:
        self._parties: dict[tuple[str, str], _Party] = {}

    def look(self, progress: Progress) -> None:
        """Take in what was booked since the last look."""
        booked = progress.money.by_party if progress.money is not None else {}
        for kind, row in _rows(progress):
            now = booked.get(row.name, 0), _finished(row)
            party = self._parties.get((kind, row.name))
            if party is None:
                self._parties[kind, row.name] = _Party(*now)
            else:
                party.look(*now)

    def expected(self, progress: Progress) -> Expected | None:
        """None: nothing has a price, or too little was bought so far."""
        money = progress.money
        if money is None or not money.booked or money.others:
            return None  # what costs something in another currency cannot be added
        low = high = float(money.booked)
        left = _left(progress)
        for (kind, name), count in left.items():
            each = self._each(kind, name)
            if not each:
                return None
            low += count * quantile(each, 0.25)
            high += count * quantile(each, 0.75)
        return Expected(int(low), int(high)) if left else None

    def _each(self, kind: str, name: str) -> list[float]:
        """What a trial of this party costs, by itself or by its like; ascending."""
        own = self._parties.get((kind, name))
        if own is not None and own.each:
            return sorted(own.each)
        return sorted(x for (k, _), party in self._parties.items() if k == kind for x in party.each)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between neighbours, as statistics texts have it."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _rows(progress: Progress) -> Iterable[tuple[str, ModelRow | JudgeRow]]:
    yield from (("model", row) for row in progress.models)
    yield from (("judge", row) for row in progress.judges)


def _finished(row: ModelRow | JudgeRow) -> int:
    """Trials of this session that were not known before."""
    if isinstance(row, JudgeRow):
        return row.done - row.reused
    return row.answers_done - row.answers_reused


def _left(progress: Progress) -> dict[tuple[str, str], int]:
    """Trials still to be bought, by party. A judge's are scaled to what its models can still get."""
    gone = {account.name.partition("#")[0] for account in progress.accounts if account.stopped}
    models = [m for m in progress.models if not m.stopped and m.account not in gone]
    left = {("model", m.name): m.answers - m.answers_done - m.answers_failed for m in models}
    wanted = sum(m.judgments - m.judgments_done for m in models)
    planned = sum(max(j.judgments - j.done, 0) for j in progress.judges)
    for judge in progress.judges if planned else ():
        share = min(wanted / planned, 1.0)
        left["judge", judge.name] = round(max(judge.judgments - judge.done, 0) * share)
    return {party: count for party, count in left.items() if count > 0}
