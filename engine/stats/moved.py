"""How far a model's total moved from one run to another, on the questions that both scored. Pure.

The differences question by question are one column of their own, as in `paired.py`: what is hard in
both runs cancels out. Questions that were changed, or that lack a score in either run, are left out.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from data.schema import QuestionId
from engine.stats.arrays import Floats
from engine.stats.grid import Grid
from engine.stats.stratified import Estimate, estimate


def moved(before: Grid, after: Grid, model: str, common: Collection[QuestionId]) -> Estimate:
    """The total's change, after minus before, over `common` questions; both grids have the model."""
    places = {q: i for i, q in enumerate(before.layout.questions) if q in common}
    old = before.row(model)
    known = [old[places[q]] if q in places else np.nan for q in after.layout.questions]
    difference: Floats = after.row(model) - np.array(known)
    return estimate(difference, after.layout, after.total)
