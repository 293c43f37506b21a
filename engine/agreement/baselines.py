"""Judges that read nothing. Shown beside every judge, because agreement means little without them.

On 1,392 English pairs with human labels "the longer answer wins" agrees more often than a published
judge of 6 billion parameters does, and is consistent under swapping always (AUTO-J's Eval-P through
CritiqueLLM's eval_pairwise.py). Lengths are in characters.
"""

from __future__ import annotations

from collections.abc import Callable

from data.human import Label
from engine.agreement.pairs import verdict

PER_POINT = 80
"""Characters that are worth a point to `length, 1 to 10`."""


def _verdict_length(length: int) -> float:
    """The length as a judge would have to write it: a whole score from 1 to 10."""
    return float(min(10, 1 + length // PER_POINT))


POINTWISE: dict[str, Callable[[int], float]] = {
    "length": float,
    "length, 1 to 10": _verdict_length,
    "constant": lambda _: 5.0,
}
"""Length of an answer -> its score."""

PAIRWISE: dict[str, Callable[[int, int], Label]] = {
    "longer wins": verdict,
    "first wins": lambda _first, _second: 0,
    "always a tie": lambda _first, _second: 2,
}
"""Lengths of two answers -> the verdict."""
