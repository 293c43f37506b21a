"""In what order a benchmark asks the sweep's questions: every stretch is a fair sample of them all.

Strata are categories times thirds of length (the first N questions of a file are its first category, and
long prompts take longer; MLPerf saw the same). Each stratum is shuffled, its k-th of n questions gets the
place (k + u) / n on a line from 0 to 1, with one u per stratum, and all are sorted by place. So any
stretch of the order holds each stratum by its share, within one question a stratum.

A question is asked once per target (and stage). Rungs start at different places of the order, the same
for all targets, so that targets can be compared question by question. When all have been asked, the next
round is salted (engine/benching/prompts.py), or a provider's prompt cache would answer part of it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from data.schema import Question

THIRDS = 3


def stratified(questions: Sequence[Question], dice: random.Random) -> list[int]:
    """Indices into `questions`, each once."""
    placed: list[tuple[float, int]] = []
    for members in _strata(questions):
        dice.shuffle(members)
        start = dice.random()
        placed += [((k + start) / len(members), index) for k, index in enumerate(members)]
    return [index for _, index in sorted(placed)]


def _strata(questions: Sequence[Question]) -> list[list[int]]:
    """Category by third of length, the lengths by rank within the category."""
    categories: dict[str, list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        categories[question.category].append(index)
    strata = []
    for members in categories.values():
        by_length = sorted(members, key=lambda i: len(questions[i].text))
        cuts = [round(len(members) * third / THIRDS) for third in range(THIRDS + 1)]
        parts = [by_length[a:b] for a, b in pairwise(cuts)]
        strata += [part for part in parts if part]
    return strata


class Deck:
    """One target's questions: each is dealt once before any is dealt again."""

    def __init__(self, order: Sequence[int], rungs: int, dealt: Iterable[int] = ()) -> None:
        """`dealt`: what earlier sessions of this benchmark have asked already."""
        self._order, self._rungs = order, max(rungs, 1)
        self._dealt: set[int] = set()
        self.round = 0
        """Rounds before this one: above 0, questions are asked again."""
        for index in dealt:
            self._mark(index)

    def deal(self, rung: int) -> int:
        """The next question for a rung (by its number on the ladder)."""
        start = rung % self._rungs * len(self._order) // self._rungs
        for step in range(len(self._order)):
            index = self._order[(start + step) % len(self._order)]
            if index not in self._dealt:
                break
        self._mark(index)
        return index

    def _mark(self, index: int) -> None:
        self._dealt.add(index)
        if len(self._dealt) == len(self._order):
            self._dealt.clear()
            self.round += 1
