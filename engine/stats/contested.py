"""The judgments on which the order of two neighbouring models hangs. Pure, numpy.

Models are ranked by the mean of the judges below (`engine/escalation.py`), total by total. Neighbours
whose difference is not told from nothing (paired on the same questions, two-sided p of 5 % or more, see
`engine/stats/paired.py`) may stand in either order. Of their questions those are contested on which
the judges below do not all say the same of the two: who is better, or that they are equal. There both
models' answers go to the expensive judge, so that one scale decides between them.

An answer counts with the scores that it has; a model without any in some category has no rank and no
neighbours. Only verdicts of the judges below count, so the outcome does not depend on what the expensive
judge has said so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.stats.design import columns, layout_of
from engine.stats.grid import Grid, means
from engine.stats.paired import ALPHA, compare
from engine.stats.stratified import estimate

if TYPE_CHECKING:
    from engine.escalation import Ladder
    from engine.plan import Ledger, Plan
    from engine.stats.arrays import Floats


def contested(plan: Plan, ledger: Ledger, ladders: Sequence[Ladder]) -> frozenset[int]:
    """Judgments of one expensive judge that could change the order of two neighbours.

    `ladders` are the judge's slots, one per model and repeat.
    """
    by_model: dict[int, list[Ladder]] = {}
    for ladder in ladders:
        by_model.setdefault(plan.slots[ladder.slot].models[0], []).append(ladder)
    grid = _grid(plan, _marks(plan, ledger, by_model))
    place = {model.name: i for i, model in enumerate(plan.sweep.models)}
    found: set[int] = set()
    for a, b in _uncertain(grid):
        ours, theirs = by_model[place[a]], by_model[place[b]]
        for one, other in zip(ours, theirs, strict=True):
            for group in range(plan.groups):
                if _divided(plan, ledger, group, one, other):
                    found.add(plan.judgment_at(group, one.slot))
                    found.add(plan.judgment_at(group, other.slot))
    return frozenset(found)


def _marks(plan: Plan, ledger: Ledger, by_model: dict[int, list[Ladder]]) -> Floats:
    """models x items x (sample, repeat): the mean of the judges below; NaN where none has a score."""
    samples = plan.sweep.samples
    repeats = len(next(iter(by_model.values())))
    marks = np.full((len(by_model), len(plan.items), samples * repeats), np.nan)
    for model, ladders in by_model.items():
        for group in range(plan.groups):
            item, sample = divmod(group, samples)
            for r, ladder in enumerate(ladders):
                scores = [s for s in _scores(plan, ledger, group, ladder) if s is not None]
                if scores:
                    marks[model, item, sample * repeats + r] = sum(scores) / len(scores)
    return marks


def _scores(plan: Plan, ledger: Ledger, group: int, ladder: Ladder) -> list[float | None]:
    """The scores from below of one answer; None for what cannot be read."""
    found = (ledger.score_of(plan.judgment_at(group, slot)) for slot in ladder.below)
    return [score if score is not None and score >= 0 else None for score in found]


def _grid(plan: Plan, marks: Floats) -> Grid:
    """Turns of a question are slots of it, as everywhere in `engine/stats/`."""
    benchmark = plan.benchmark
    layout, order = layout_of(benchmark)
    turns = [len(question.turns) for question in benchmark.questions]
    width = marks.shape[2]
    whole = np.full((len(marks), len(turns), max(turns) * width), np.nan)
    start = 0
    for q, n in enumerate(turns):
        whole[:, q, : n * width] = marks[:, start : start + n].reshape(len(marks), n * width)
        start += n
    whole = whole[:, list(order), :]
    share = (~np.isnan(marks)).mean(axis=(1, 2))
    return Grid(
        judge="",
        models=tuple(model.name for model in plan.sweep.models),
        complete=(True,) * len(marks),
        coverage=tuple(share.tolist()),
        layout=layout,
        columns=columns(layout.strata, benchmark.categories, benchmark.groups),
        marks=whole,
        values=means(whole),
        planned=int(marks.shape[1] * marks.shape[2]),
        repeats=plan.sweep.repeats,
    )


def _uncertain(grid: Grid) -> Iterator[tuple[str, str]]:
    """Neighbours in the ranking by total that are not told apart."""
    totals = [
        (estimate(grid.row(model), grid.layout, grid.total).value, model) for model in grid.models
    ]
    ranked = [
        m for v, m in sorted(totals, key=lambda one: (-(one[0] or 0), one[1])) if v is not None
    ]
    for comparison in compare(grid, list(pairwise(ranked)), grid.total):
        p = comparison.p if comparison.p is not None else comparison.p_flip
        if p is None or p >= ALPHA:
            yield comparison.a, comparison.b


def _divided(plan: Plan, ledger: Ledger, group: int, one: Ladder, other: Ladder) -> bool:
    """Do the judges below differ in who of the two answered better?"""
    ours, theirs = _scores(plan, ledger, group, one), _scores(plan, ledger, group, other)
    signs = {
        (a > b) - (a < b)
        for a, b in zip(ours, theirs, strict=True)
        if a is not None and b is not None
    }
    return len(signs) > 1
