"""A panel of judges as one more table of a leaderboard, so that every report can draw it. Pure.

The very scores of `panel.py`, slot by slot, taken to means as `engine/scores.py` takes them. A panel
has no verdicts of its own: no dimensions, and no second policy, since compat reads single replies.
What became of the other slots (refused, failed, pending) is as with its first judge; a slot without a
quorum or a majority is unscorable.
"""

from __future__ import annotations

import math
from itertools import chain

from data.codec import replace
from data.schema import Benchmark
from engine.scores import Coverage, Row, Scores, Table, means_of
from engine.stats.grid import Grid


def with_panel(scores: Scores, benchmark: Benchmark, grid: Grid) -> Scores:
    """`scores` with the panel's table after its judges'; `grid` as `panel` makes it."""
    return replace(scores, tables=(*scores.tables, _table(scores, benchmark, grid)))


def _table(scores: Scores, benchmark: Benchmark, grid: Grid) -> Table:
    first = scores.tables[0]
    return Table(
        judge=grid.judge,
        rubric="",
        policy="robust",
        rows=tuple(_row(scores, benchmark, grid, row) for row in first.rows),
    )


def _row(scores: Scores, benchmark: Benchmark, grid: Grid, like: Row) -> Row:
    marks = _marks(benchmark, grid, like)
    found: dict[str, list[float]] = {category: [] for category in benchmark.categories}
    scored = dict.fromkeys(benchmark.categories, 0)
    for question, slots in zip(benchmark.questions, marks, strict=True):
        known = [score for score in slots if score is not None]
        scored[question.category] += len(known)
        if known:
            found[question.category].append(math.fsum(known) / len(known))
    means = means_of({c: _mean(v) for c, v in found.items()}, benchmark.groups)
    by_category = {c: _coverage(like.by_category[c], n) for c, n in scored.items()}
    coverage = sum(by_category.values(), Coverage(0))
    return replace(
        like,
        robust=means,
        compat=means,
        coverage=coverage,
        by_category=by_category,
        dimensions={},
        complete=coverage.share >= scores.min_coverage,
        marks=tuple(chain.from_iterable(marks)),
    )


def _marks(benchmark: Benchmark, grid: Grid, like: Row) -> list[list[float | None]]:
    """Question by question in the benchmark's order, as `Row.marks` has them."""
    own = grid.marks[grid.models.index(like.model)]
    place = {question: i for i, question in enumerate(grid.layout.questions)}
    draws = len(like.marks) // max(sum(len(q.turns) for q in benchmark.questions), 1)
    return [
        [
            None if math.isnan(score) else float(score)
            for score in own[place[question.id], : len(question.turns) * draws]
        ]
        for question in benchmark.questions
    ]


def _coverage(like: Coverage, scored: int) -> Coverage:
    """What the panel could not score although its first judge did, or some other: unscorable."""
    gone = like.refused + like.failed + like.pending
    refused, failed = like.refused, like.failed
    left = like.planned - scored
    if left < gone:  # other judges have what the first lacks
        failed = min(failed, left - min(refused, left))
        refused = min(refused, left)
        return Coverage(like.planned, scored, 0, refused, failed)
    return Coverage(like.planned, scored, left - gone, refused, failed)


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
