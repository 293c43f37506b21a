"""Pairs of scores as columns: what all measures are computed from.

A row is one answer with two scores, `x` (usually the judge's) and `y` (usually the humans'). Rows
are sorted by what they are about, so their order in a file or a journal decides nothing, and the
seed of all resampling is a hash of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import Array, Codes
from engine.agreement.intervals import seed_of


class Pair(Struct, frozen=True):
    """Two scores of one answer. `question` is the cluster, a text of any kind."""

    question: str
    model: str
    x: float
    y: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The columns, equally long. `names` say who gave x and who gave y."""

    x: Array
    y: Array
    question: Codes
    model: Codes
    questions: int
    models: tuple[str, ...]
    names: tuple[str, str]
    seed: int

    def __len__(self) -> int:
        return len(self.x)

    def with_x(self, x: Array, name: str) -> Sample:
        """The same rows with another x."""
        return replace(self, x=x, names=(name, self.names[1]))

    def turned(self) -> Sample:
        """x and y changed over."""
        return replace(self, x=self.y, y=self.x, names=self.names[::-1])


def sample_of(pairs: Iterable[Pair], names: tuple[str, str]) -> Sample:
    """The columns of these pairs, in an order of their own."""
    rows = sorted(pairs, key=lambda p: (p.question, p.model, p.x, p.y))
    questions, question = _coded([p.question for p in rows])
    models, model = _coded([p.model for p in rows])
    return Sample(
        x=np.array([p.x for p in rows], dtype=np.float64),
        y=np.array([p.y for p in rows], dtype=np.float64),
        question=question,
        model=model,
        questions=len(questions),
        models=models,
        names=names,
        seed=seed_of(rows),
    )


def _coded(names: Sequence[str]) -> tuple[tuple[str, ...], Codes]:
    """The distinct names, sorted, and for each row the place of its own."""
    distinct = tuple(sorted(set(names)))
    place = {name: i for i, name in enumerate(distinct)}
    return distinct, np.array([place[name] for name in names], dtype=np.intp)
