"""Axes cut to the data, and the places of values on them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.schema import Struct

LEAST = 0.4
"""Points that an axis spans at least: a hundredth is not blown up to look like a difference."""
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
TICKS = 7
"""At most."""


class Axis(Struct, frozen=True):
    """From `low` to `high`, both at ticks, across `width` units with `margin` at either end."""

    low: float
    high: float
    ticks: tuple[float, ...]
    width: float
    margin: float = 12.0

    def place(self, value: float) -> float:
        """Where a value stands, in units from the left, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.margin + share * (self.width - 2 * self.margin), 1)


def axis_for(values: Sequence[float], width: float) -> Axis:
    """An axis that just holds these values; of nothing, from 0 to 1."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    narrow = max(0.0, LEAST - (high - low)) / 2
    low, high = low - narrow, high + narrow
    span = high - low
    step = next((s for s in _STEPS if span / s <= TICKS - 1.5), 10 ** math.ceil(math.log10(span)))
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    ticks = tuple(round(i * step, 6) for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, width)


def tick_text(axis: Axis, value: float) -> str:
    """A tick as it is written: no more digits than its neighbours need."""
    step = axis.ticks[1] - axis.ticks[0]
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


HEAT = 10
"""Levels of the one sequential scale."""


def heat(value: float | None, low: float, high: float) -> str:
    """The class of a heat cell: `h0` (low) to `h9` (high), `hx` where there is no value."""
    if value is None:
        return "hx"
    share = (value - low) / (high - low) if high > low else 0.5
    return f"h{min(HEAT - 1, max(0, int(share * HEAT)))}"
