"""Columns of scores for tests of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import strategies as st

from engine.agreement.sample import Pair, Sample, sample_of

SCORES = st.integers(1, 10).map(float)
VALUES = SCORES | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
COLUMNS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=40)
PAIRS = st.lists(
    st.builds(Pair, st.sampled_from("abcdefgh"), st.sampled_from("xyz"), SCORES, SCORES),
    min_size=1,
    max_size=40,
)


def sample(pairs: Sequence[Pair]) -> Sample:
    """With names."""
    return sample_of(pairs, ("judge", "humans"))


def row(x: Sequence[float], y: Sequence[float]) -> Sample:
    """One answer a question, of one model."""
    return sample(
        [
            Pair(f"{i:04}", "m", float(a), float(b))
            for i, (a, b) in enumerate(zip(x, y, strict=True))
        ]
    )


def same(mine: float | None, theirs: float) -> bool:
    """Equal but for rounding."""
    return mine is not None and math.isclose(mine, theirs, rel_tol=1e-7, abs_tol=1e-9)
