"""The scores of one judge as arrays: models x questions x slots, in canonical order.

A slot is one judgment planned for a question: by turn, sample and repeat, the repeat running fastest.
A question's value is the mean of the scores that it has, as `engine/scores.py` takes it; without any
it is NaN, and no figure ever takes that for a number. A judge under the compat policy has upstream's
scores here, -1 included.
"""

from __future__ import annotations

import numpy as np

from data.schema import Benchmark, Struct
from engine.scores import Scores, Table
from engine.stats.arrays import Floats
from engine.stats.design import TOTAL, Column, Layout, columns, layout_of


class Grid(Struct, frozen=True, eq=False, kw_only=True):
    """What one judge (or a panel) gave every model on every question."""

    judge: str
    models: tuple[str, ...]
    """Sorted by name."""
    complete: tuple[bool, ...]
    """Covered well enough to be ranked, model by model."""
    coverage: tuple[float, ...]
    layout: Layout
    columns: tuple[Column, ...]
    marks: Floats
    """models x questions x slots."""
    values: Floats
    """models x questions."""
    planned: int
    """Slots of one model."""
    repeats: int

    @property
    def total(self) -> Column:
        """The column of the total."""
        return next(column for column in self.columns if column.kind == TOTAL)

    def thin(self, model: str) -> str:
        """Why coverage forbids a model a total; empty if it does not."""
        place = self.models.index(model)
        if self.complete[place]:
            return ""
        return f"only {int(self.coverage[place] * 1000) / 10:g} % of its judgments have a score"

    def row(self, model: str) -> Floats:
        """One model's values by question."""
        found: Floats = self.values[self.models.index(model)]
        return found


def grids(scores: Scores, benchmark: Benchmark) -> tuple[Grid, ...]:
    """One grid per judge, in the order of the tables."""
    layout, order = layout_of(benchmark)
    heads = columns(layout.strata, scores.categories, scores.groups)
    turns = [len(question.turns) for question in benchmark.questions]
    return tuple(_grid(scores, table, layout, heads, turns, order) for table in scores.tables)


def means(marks: Floats) -> Floats:
    """The mean over the last axis of what is not NaN; NaN where nothing is."""
    there = ~np.isnan(marks)
    count = there.sum(axis=-1)
    total = np.where(there, marks, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _grid(
    scores: Scores,
    table: Table,
    layout: Layout,
    heads: tuple[Column, ...],
    turns: list[int],
    order: tuple[int, ...],
) -> Grid:
    rows = sorted(table.rows, key=lambda row: row.model)
    draws = len(rows[0].marks) // sum(turns) if rows and turns else 0
    width = [n * draws for n in turns]
    marks = np.full((len(rows), len(turns), max(width, default=0)), np.nan)
    for m, row in enumerate(rows):
        flat = np.array(row.marks, dtype=np.float64)  # None becomes NaN
        start = 0
        for q, n in enumerate(width):
            marks[m, q, :n] = flat[start : start + n]
            start += n
    marks = marks[:, list(order), :]
    return Grid(
        judge=table.judge,
        models=tuple(row.model for row in rows),
        complete=tuple(row.complete for row in rows),
        coverage=tuple(row.coverage.share for row in rows),
        layout=layout,
        columns=heads,
        marks=marks,
        values=means(marks),
        planned=sum(width),
        repeats=scores.repeats,
    )
