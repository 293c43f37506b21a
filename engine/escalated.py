"""The scores of a judge that was asked only where others left a doubt, and what that saved. Pure.

Its verdict counts wherever there is one (also one that cannot be read: then the answer has no score).
Where it was spared, the mean of the judges below stands in for it. So its table covers all answers,
and ranks, intervals and comparisons are taken from it as from any other. What is pending or failed below
has no score yet.

Judges differ in strictness. `shift` says by how much this one differs from the mean of those below on
the answers that both have scored: where it is far from 0, answers that were escalated and answers that
were not do not quite stand on one scale.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from data.codec import replace
from data.schema import EscalateRule, Intent, Record, Settled, Struct, Verdict
from engine.escalation import doubt
from engine.money import Amount

K = TypeVar("K", bound=Hashable)
Marks = Mapping[K, tuple[Verdict | None, float]]
"""Slot -> (verdict, the score that upstream's parser reads)."""
STANDS_IN = "mean of the judges below"
"""The flag of a verdict that was made here."""


class Escalated(Struct, frozen=True, kw_only=True):
    """How often a judge was asked, and why; what it was spared."""

    below: tuple[str, ...]
    disagree: float | None
    asked: int = 0
    spared: int = 0
    waiting: int = 0
    """In doubt, and without its verdict so far."""
    unreadable: int = 0
    """Of `asked`: one below could not be read. `apart`: their scores were; `rank`: an order hung on it."""
    apart: int = 0
    rank: int = 0
    both: int = 0
    """Of `asked`: answers that it and all below have scored, and the sum of its distances from them."""
    distance: float = 0.0
    saved: tuple[Amount, ...] = ()
    """What the spared calls would have cost at the mean of its calls; empty: unknown."""
    below_cost: tuple[Amount, ...] = ()
    """What the judges below cost; empty: unknown."""

    @property
    def shift(self) -> float | None:
        """Its mean distance from the mean of the judges below; below 0 is stricter."""
        return self.distance / self.both if self.both else None

    @property
    def share(self) -> float:
        """Of the decided answers, those that it was asked about, of 1."""
        decided = self.asked + self.spared + self.waiting
        return (self.asked + self.waiting) / decided if decided else 0.0

    def __add__(self, more: Escalated) -> Escalated:
        names = ("asked", "spared", "waiting", "unreadable", "apart", "rank", "both", "distance")
        return replace(self, **{name: getattr(self, name) + getattr(more, name) for name in names})


def stand_in(
    own: Marks[K], below: Sequence[Marks[K]], rule: EscalateRule
) -> tuple[dict[K, tuple[Verdict | None, float]], Escalated]:
    """One model's marks as they count, and what was asked for."""
    found = dict(own)
    counts: Counter[str] = Counter()
    distance = 0.0
    slots = dict.fromkeys([*own, *(slot for marks in below[:1] for slot in marks)])
    for slot in slots:
        marks = [one[slot] for one in below if slot in one]
        scores = [None if verdict is None else verdict.score for verdict, _ in marks]
        why = doubt(scores, rule) if len(marks) == len(below) else "undecided"
        if slot in own:
            counts["asked"] += 1
            counts[{"unreadable": "unreadable", "disagree": "apart", "": "rank"}.get(why, "")] += 1
            verdict = own[slot][0]
            if verdict is not None and why in ("disagree", ""):
                counts["both"] += 1
                distance += verdict.score - _mean([s for s in scores if s is not None])
        elif why in ("unreadable", "disagree"):
            counts["waiting"] += 1
        elif not why:
            counts["spared"] += 1
            found[slot] = _mean_mark(marks)
    told = Escalated(
        below=rule.judges,
        disagree=rule.disagree,
        asked=counts["asked"],
        spared=counts["spared"],
        waiting=counts["waiting"],
        unreadable=counts["unreadable"],
        apart=counts["apart"],
        rank=counts["rank"],
        both=counts["both"],
        distance=distance,
    )
    return found, told


def _mean_mark(marks: Sequence[tuple[Verdict | None, float]]) -> tuple[Verdict, float]:
    """The mean of readable verdicts: of the score, and of each dimension that all of them give."""
    verdicts = [verdict for verdict, _ in marks if verdict is not None]
    shared = [n for n in verdicts[0].dimensions if all(n in v.dimensions for v in verdicts)]
    dimensions = {name: _mean([v.dimensions[name] for v in verdicts]) for name in shared}
    score = _mean([verdict.score for verdict in verdicts])
    return Verdict(score, dimensions, flags=(STANDS_IN,)), _mean([compat for _, compat in marks])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


# --- money -------------------------------------------------------------------------------------


class Bill:
    """What each judge's calls cost. A fold over the journal's records; it opens nothing."""

    def __init__(self) -> None:
        self._open: dict[int, str] = {}
        self._nano: Counter[tuple[str, str]] = Counter()
        self._calls: Counter[str] = Counter()
        self._unknown: set[str] = set()

    def watch(self, record: Record) -> None:
        """Take note of a judgment's attempt and its end; anything else is let pass."""
        if isinstance(record, Intent):
            self._open.pop(record.id, None)  # numbers begin anew in each session
            if record.trial.kind == "judgment":
                self._open[record.id] = record.trial.judge
                self._calls[record.trial.judge] += record.ask == 0 and record.attempt == 1
        elif isinstance(record, Settled):
            judge = self._open.pop(record.id, None)
            if judge is not None and record.cost is not None:
                self._nano[judge, record.currency] += record.cost
            elif judge is not None and not record.error:  # what was refused is free
                self._unknown.add(judge)

    def priced(self, told: Escalated, judge: str) -> Escalated:
        """With the money that is known; all asks of a judgment count towards its price."""
        saved = [
            Amount(nano * told.spared // max(self._calls[judge], 1), currency)
            for currency, nano in self._of([judge])
        ]
        spent = [Amount(nano, currency) for currency, nano in self._of(told.below)]
        return replace(told, saved=tuple(saved), below_cost=tuple(spent))

    def _of(self, judges: Sequence[str]) -> list[tuple[str, int]]:
        """Sums by currency; nothing where any of it is unknown."""
        sums: Counter[str] = Counter()
        for (judge, currency), nano in self._nano.items():
            if judge in judges and nano:
                sums[currency] += nano
        return [] if self._unknown & set(judges) else sorted(sums.items())
