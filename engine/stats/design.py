"""What a figure is made of: which questions stand in which category, and what a category weighs. Pure.

AlignBench's formula (THUDM/AlignBench, show_result.py): the total is the mean of the group means, a
group's mean that of its categories. So a column is a weighted sum of category means, whose weights
add up to 1, and a question of category c with n_c questions weighs w_c / n_c. Without groups the
total is the mean of all categories.

Questions and categories stand in an order of their own, so that no figure depends on the order in
which a file or a sweep names them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from data.schema import Benchmark, QuestionId, Struct
from engine.stats.arrays import Ints

TOTAL = "total"
Kind = Literal["total", "group", "category"]


class Column(Struct, frozen=True):
    """A figure of the table. `weights` go by `Layout.strata`; `reason` says why there can be none."""

    name: str
    kind: Kind
    weights: tuple[float, ...]
    reason: str = ""


class Layout(Struct, frozen=True, eq=False, kw_only=True):
    """The questions of a benchmark in canonical order, each in its stratum and its cluster."""

    questions: tuple[QuestionId, ...]
    strata: tuple[str, ...]
    """Category names, sorted."""
    stratum: Ints
    """Of each question, a place in `strata`."""
    cluster: Ints
    """Of each question: those of one subcategory of one category share a number."""

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return int(self.cluster.max()) + 1 if self.cluster.size else 0


def layout_of(benchmark: Benchmark) -> tuple[Layout, tuple[int, ...]]:
    """The layout, and for each of its questions the place in the benchmark."""
    questions = benchmark.questions
    order = sorted(
        range(len(questions)), key=lambda i: (questions[i].category, repr(questions[i].id))
    )
    chosen = [questions[i] for i in order]
    strata = {name: i for i, name in enumerate(sorted(set(benchmark.categories)))}
    kinds = sorted({(q.category, q.subcategory) for q in chosen})
    cluster = {kind: i for i, kind in enumerate(kinds)}
    layout = Layout(
        questions=tuple(q.id for q in chosen),
        strata=tuple(strata),
        stratum=np.array([strata[q.category] for q in chosen], dtype=np.int64),
        cluster=np.array([cluster[q.category, q.subcategory] for q in chosen], dtype=np.int64),
    )
    return layout, tuple(order)


def columns(
    strata: Sequence[str], categories: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> tuple[Column, ...]:
    """The total, each group followed by its categories, then what stands in no group."""
    found = [_column(TOTAL, "total", strata, groups.values() if groups else [categories])]
    named: set[str] = set()
    for group, members in groups.items():
        found.append(_column(group, "group", strata, [members]))
        own = [name for name in members if name in strata and name not in named]
        found += [_column(name, "category", strata, [[name]]) for name in own]
        named.update(own)
    rest = [name for name in categories if name not in named]
    return (*found, *(_column(name, "category", strata, [[name]]) for name in rest))


def _column(
    name: str, kind: Kind, strata: Sequence[str], groups: Collection[Sequence[str]]
) -> Column:
    """The mean over `groups` of the mean over each one's categories."""
    weights = dict.fromkeys(strata, 0.0)
    for members in groups:
        for category in members:
            if category not in weights:
                return Column(name, kind, (0.0,) * len(strata), f"no questions of {category}")
            weights[category] += 1 / (len(groups) * len(members))
    return Column(name, kind, tuple(weights.values()))
