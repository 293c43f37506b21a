"""Which block is next: targets and loads interleaved in an order that the seed decides. Pure.

First every target climbs its ladder: in each round, each target takes its next rung, the targets in
random order; so no provider is measured wholly before another, and a bad hour hurts all alike. A climb
ends early when more calls in flight brought less than 5 % more twice, when too many requests were turned
away or failed, or when this machine could not keep up twice. Repeats then go over the rungs that were
climbed, in one random order. One block runs at a time, so targets never take bandwidth from each other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from data.schema import Struct
from engine.benching.rungs import Rung
from engine.benching.settings import Settings

GAIN = 1.05
FLAT_STEPS = 2
BUSY_STEPS = 2
"""Rungs in a row: one alone may be somebody else's doing."""


class Load(Struct, frozen=True):
    """A block to be run: which target, which rung of the ladder (by number), which repeat."""

    target: str
    rung: int
    repeat: int = 0


class Schedule:
    """Hands out the blocks of a benchmark and hears how each went."""

    def __init__(self, settings: Settings, targets: Sequence[str]) -> None:
        self._settings, self._dice = settings, random.Random(f"{settings.seed} schedule")
        self._climbing = list(targets)
        self._next = dict.fromkeys(targets, 0)
        self._climbed: dict[str, list[Rung]] = {target: [] for target in targets}
        self._ended: dict[str, str] = {}
        self._round: list[Load] = []
        self._repeats: list[Load] | None = None

    @property
    def ended(self) -> dict[str, str]:
        """Targets whose ladder ended before its top, and why."""
        return dict(self._ended)

    def next(self) -> Load | None:
        """The next block; None: there is none."""
        if not self._round and self._climbing:
            self._round = [Load(target, self._next[target]) for target in self._climbing]
            self._dice.shuffle(self._round)
        while self._round:
            load = self._round.pop(0)
            if load.target in self._climbing:
                return load
        if self._climbing:
            return self.next()
        if self._repeats is None:
            self._repeats = self._all_repeats()
        return self._repeats.pop(0) if self._repeats else None

    def done(self, load: Load, rung: Rung | None) -> None:
        """How a block went; None: it could not be run at all, so its target is given up."""
        if load.repeat:
            if rung is None and self._repeats:
                self._repeats = [left for left in self._repeats if left.target != load.target]
            return
        target = load.target
        self._next[target] = load.rung + 1
        if rung is not None:
            self._climbed[target].append(rung)
        why = "it could not be measured" if rung is None else self._enough(target)
        if why:
            self._ended[target] = why
        if why or self._next[target] >= len(self._settings.levels):
            self._climbing.remove(target)

    def _enough(self, target: str) -> str:
        """Why this target's ladder ends here; empty: it goes on."""
        rungs, most = self._climbed[target], self._settings.max_errors
        last = rungs[-1]
        if all(rung.client.bound for rung in rungs[-BUSY_STEPS:]) and len(rungs) >= BUSY_STEPS:
            return f"this machine could not keep up ({last.client.bound[0]})"
        if self._settings.polite and last.turned_away:
            return "the first 429 was seen"
        if (last.limited.est or 0) > most:
            return f"{last.limited.est:.0%} of requests were turned away (429)"
        if (last.failed.est or 0) > most:
            return f"{last.failed.est:.0%} of requests failed"
        if len(rungs) > FLAT_STEPS and not any(
            _gained(a, b) for a, b in pairwise(rungs[-FLAT_STEPS - 1 :])
        ):
            return "more calls in flight brought less than 5 % more, twice"
        return ""

    def _all_repeats(self) -> list[Load]:
        loads = [
            Load(target, rung, repeat)
            for repeat in range(1, self._settings.repeats)
            for target, rungs in self._climbed.items()
            for rung in range(len(rungs))
        ]
        self._dice.shuffle(loads)
        return loads


def _gained(before: Rung, after: Rung) -> bool:
    """Is there more to be had? What is not known does not end a ladder."""
    if before.calls_per_min is None or after.calls_per_min is None:
        return True
    return after.calls_per_min.est >= GAIN * before.calls_per_min.est
