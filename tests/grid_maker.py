"""Grids as the statistics take them, from a few lines of numbers. For tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.schema import Benchmark, Question
from engine.stats.design import columns, layout_of
from engine.stats.grid import Grid, means

GROUPS = {
    "中文推理": ("数学计算", "逻辑推理"),
    "中文语言": ("基本任务", "中文理解", "综合问答", "文本写作", "角色扮演", "专业能力"),
}
SIZES = {
    "专业能力": 124,
    "角色扮演": 116,
    "数学计算": 112,
    "逻辑推理": 92,
    "文本写作": 75,
    "基本任务": 68,
    "中文理解": 58,
    "综合问答": 38,
}
"""AlignBench's."""
ALIGNBENCH = tuple(category for category, n in SIZES.items() for _ in range(n))


def benchmark(
    categories: Sequence[str],
    groups: Mapping[str, tuple[str, ...]] | None = None,
    subcategories: Sequence[str] | None = None,
) -> Benchmark:
    """One question per name of a category, with ids 1, 2, …"""
    kinds = subcategories or categories
    questions = tuple(
        Question(id=i, category=category, subcategory=kind, turns=(f"问{i}",))
        for i, (category, kind) in enumerate(zip(categories, kinds, strict=True), start=1)
    )
    return Benchmark(
        name="b", title="b", questions=questions, sha256="0", groups=dict(groups or {})
    )


def grid_of(
    asked: Benchmark,
    scores: Mapping[str, Any],
    *,
    repeats: int = 1,
    thin: Sequence[str] = (),
    judge: str = "judge",
) -> Grid:
    """`scores`: by model, one number per question in the benchmark's order, or one row of slots.

    None and NaN are no score. Models named in `thin` have too little coverage to be ranked.
    """
    layout, order = layout_of(asked)
    names = sorted(scores)
    marks = np.array([np.array(scores[name], dtype=np.float64) for name in names])
    if marks.ndim == 2:
        marks = marks[:, :, None]
    marks = marks[:, list(order), :]
    return Grid(
        judge=judge,
        models=tuple(names),
        complete=tuple(name not in thin for name in names),
        coverage=tuple(0.5 if name in thin else 1.0 for name in names),
        layout=layout,
        columns=columns(layout.strata, asked.categories, asked.groups),
        marks=marks,
        values=means(marks),
        planned=marks.shape[1] * marks.shape[2],
        repeats=repeats,
    )


def flat(scores: Mapping[str, Any], **options: Any) -> Grid:
    """All questions in one category."""
    n = len(next(iter(scores.values())))
    return grid_of(benchmark(["甲"] * n), scores, **options)
