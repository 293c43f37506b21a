"""Which judgments of an expensive judge are asked for at all. Decided from the ledger alone.

A judge with `escalate` waits for the judges that it names. When all of them have finished with an answer
(for one repeat), it is asked about that answer where

    unreadable   one of them gave no verdict that could be read
    disagree     their scores are `disagree` apart, or farther
    rank         (with `rank = true`) the order of two neighbouring models hangs on it

and spared otherwise. Only final verdicts count, so a failed or pending judgment decides nothing yet, and
the same journal always leads to the same decision: nothing about it is written down, a resumed run
works it out again. `rank` looks at all of the sweep at once, so it waits until no judgment of the named
judges is owed any more (`engine/stats/contested.py`); until then what it may ask for counts as spared.

What was asked for stays: a verdict that is there is never taken back when a sweep grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from data.schema import EscalateRule, Struct
from engine.plan import Ledger, Plan, Slot, State

Reason = Literal["undecided", "unreadable", "disagree", "rank", "agreed"]
ASKED = frozenset({"unreadable", "disagree", "rank"})
"""Reasons to ask."""
_FINAL = frozenset({State.JUDGED, State.UNSCORABLE})
ENOUGH = 20
ASSUMED = 0.3
"""Before anything is judged: the share of answers that leave a doubt. A guess, and told as one."""
_DIGITS = 4
"""Scores are kept to single precision: 7.3 - 5.3 is 2."""


def doubt(
    scores: Sequence[float | None], rule: EscalateRule
) -> Literal["unreadable", "disagree", ""]:
    """Why these verdicts of one answer do not settle it; empty: they do. None is an unreadable one.

    A score below 0 is none: it is what upstream's parser puts where it found nothing.
    """
    found = [score for score in scores if score is not None and score >= 0]
    if len(found) < len(scores):
        return "unreadable"
    far = rule.disagree is not None and apart(found) >= rule.disagree
    return "disagree" if far else ""


def apart(scores: Sequence[float]) -> float:
    """How far the highest score is from the lowest."""
    return round(max(scores) - min(scores), _DIGITS)


class Ladder(Struct, frozen=True):
    """One slot of an expensive judge, and the slots of the judges that it waits for."""

    slot: int
    below: tuple[int, ...]
    rule: EscalateRule
    judge: int


class Change(Struct, frozen=True):
    """What a verdict has decided: judgments to ask for, and judgments that are spared."""

    opened: tuple[int, ...] = ()
    spared: tuple[int, ...] = ()
    late: bool = False
    """What is opened had counted as spared."""


class Escalations:
    """The decisions about one run; `settle` once when the ledger is full, then told of every verdict."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        self._ladders = {ladder.slot: ladder for ladder in _ladders(plan)}
        self._above: dict[int, list[Ladder]] = {}
        for ladder in self._ladders.values():
            for slot in ladder.below:
                self._above.setdefault(slot, []).append(ladder)
        self._contested: dict[int, frozenset[int]] = {}
        """Judge -> its judgments on which a rank hangs; a judge that is not here is not decided yet."""

    def settle(self, *, foresee: bool = False) -> None:
        """Decide all that can be decided. `foresee`: what `rank` may still ask for stays undecided."""
        if not self._ladders:
            return
        self._contest()
        for number in self._numbers():
            if self._ledger.owed(number) or self._ledger.state(number) is State.SPARED:
                undecided = foresee and self._may_rank(number)
                spared = self.reason(number) == "agreed" and not undecided
                state = State.SPARED if spared else State.PENDING
                if spared or self._ledger.state(number) is State.SPARED:
                    self._ledger.mark(number, state)

    def open(self, number: int) -> bool:
        """May this judgment be asked for, as far as escalation is concerned?"""
        return number < self._plan.answers or self.reason(number) in (*ASKED, "")

    def reason(self, number: int) -> Reason | Literal[""]:
        """Why a judgment is asked for, or not; empty: its judge is asked about everything."""
        group, slot = self._plan.place(number)
        ladder = self._ladders.get(slot)
        if ladder is None:
            return ""
        below = [self._plan.judgment_at(group, other) for other in ladder.below]
        if any(self._ledger.state(n) not in _FINAL for n in below):
            return "undecided"
        why = doubt([self._ledger.score_of(n) for n in below], ladder.rule)
        if why:
            return why
        return "rank" if number in self._contested.get(ladder.judge, ()) else "agreed"

    def judged(self, number: int) -> Change:
        """A verdict is there: what it has decided."""
        group, slot = self._plan.place(number)
        opened, spared = [], []
        for ladder in self._above.get(slot, ()):
            above = self._plan.judgment_at(group, ladder.slot)
            reason = self.reason(above)
            if not self._ledger.owed(above) or reason == "undecided":
                continue
            if reason == "agreed":
                self._ledger.mark(above, State.SPARED)
                spared.append(above)
            else:
                opened.append(above)
        return Change(tuple(opened), tuple(spared))

    def idle(self) -> Change:
        """Nothing else is left to do: judgments that `rank` asks for, if it can be decided now."""
        opened = [n for n in self._contest() if self._ledger.state(n) is State.SPARED]
        for number in opened:
            self._ledger.mark(number, State.PENDING)
        return Change(tuple(opened), late=True)

    def doubted(self, judge: int) -> tuple[float, bool]:
        """The share of a judge's judgments that is asked for, and whether this run has shown it.

        As long as fewer than `ENOUGH` are decided it is assumed.
        """
        decided = asked = 0
        for number in self._numbers():
            if self._plan.judge_index(number) == judge:
                reason = self.reason(number)
                decided += reason != "undecided"
                asked += reason in ASKED
        return (asked / decided, True) if decided >= ENOUGH else (ASSUMED, False)

    # --- rank ----------------------------------------------------------------------------------

    def _contest(self) -> list[int]:
        """Find what `rank` asks for, of every judge for whom that is not known and can be."""
        found: list[int] = []
        for judge, ladders in self._ranking().items():
            if judge in self._contested or not self._complete(ladders):
                continue
            from engine.stats.contested import contested  # numpy: only where it is wanted

            self._contested[judge] = contested(self._plan, self._ledger, ladders)
            found += sorted(self._contested[judge])
        return found

    def _ranking(self) -> dict[int, list[Ladder]]:
        by_judge: dict[int, list[Ladder]] = {}
        for ladder in self._ladders.values():
            if ladder.rule.rank:
                by_judge.setdefault(ladder.judge, []).append(ladder)
        return by_judge

    def _may_rank(self, number: int) -> bool:
        ladder = self._ladders[self._plan.place(number)[1]]
        return ladder.rule.rank and ladder.judge not in self._contested

    def _complete(self, ladders: Sequence[Ladder]) -> bool:
        """Is no judgment of the judges below owed, but those that a refused answer took away?"""
        below = {slot for ladder in ladders for slot in ladder.below}
        missing = {
            self._plan.judgment_at(group, slot)
            for group in range(self._plan.groups)
            for slot in below
            if self._ledger.state(self._plan.judgment_at(group, slot)) not in _FINAL
        }
        return not missing or missing <= self._ledger.hopeless()

    def _numbers(self) -> Iterator[int]:
        for group in range(self._plan.groups):
            for slot in self._ladders:
                yield self._plan.judgment_at(group, slot)


def _ladders(plan: Plan) -> Iterator[Ladder]:
    """Each slot of each judge that escalates, with those of the same model and repeat below it."""
    judges = plan.sweep.judges
    place = {judge.name: i for i, judge in enumerate(judges)}
    by_key = {_key(slot, slot.judge): i for i, slot in enumerate(plan.slots)}
    for i, slot in enumerate(plan.slots):
        rule = judges[slot.judge].escalate
        if rule is not None:
            below = tuple(by_key[_key(slot, place[name])] for name in rule.judges)
            yield Ladder(i, below, rule, slot.judge)


def _key(slot: Slot, judge: int) -> tuple[int, tuple[int, ...], int]:
    return judge, slot.models, slot.repeat
