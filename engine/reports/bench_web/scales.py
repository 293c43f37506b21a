"""Axes of a benchmark's drawings: where a value stands, and which ticks are written. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from data.schema import Struct

MOST_TICKS = 6
WIDE = 12.0
"""Positive values that differ by more than this many times stand on a logarithmic axis."""
_ROUND = (1.0, 2.0, 5.0)


class Scale(Struct, frozen=True):
    """From `low` at `start` to `high` at `end`, in the drawing's units; a y axis has `start` below."""

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value stands, to a tenth; what lies outside stands at the edge."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)


def linear(values: Iterable[float], start: float, end: float) -> Scale:
    """From zero to a round number above all values."""
    top = max(values, default=0.0)
    step = next(s for s in _steps(top) if s * (MOST_TICKS - 1) >= top)
    count = max(1, math.ceil(top / step - 1e-9))
    return Scale(0.0, step * count, tuple(step * i for i in range(count + 1)), start, end)


def logarithmic(values: Iterable[float], start: float, end: float) -> Scale:
    """Around positive values (others are left out), with ticks at 1, 2 and 5."""
    found = [value for value in values if value > 0] or [1.0]
    low, high = min(found), max(found)
    if high < 2 * low:
        low, high = low / 1.5, high * 1.5
    low, high = low / 1.08, high * 1.08
    ticks = [t for t in _steps(low, start=math.floor(math.log10(low))) if t >= low]
    inside = list(_until(ticks, high))
    while len(inside) > MOST_TICKS + 1:
        inside = inside[::3] if len(inside) > 2 * MOST_TICKS else inside[::2]
    return Scale(low, high, tuple(inside), start, end, logarithmic=True)


def fitting(values: Iterable[float], start: float, end: float) -> Scale:
    """Linear, unless the values differ too much for that."""
    found = [value for value in values if value > 0]
    wide = found and max(found) > WIDE * min(found)
    return logarithmic(found, start, end) if wide else linear(found, start, end)


def tick_text(value: float) -> str:
    """0.05, 2.5, 40, 1,000: no more digits than there are."""
    return f"{value:,.10g}" if value >= 1 or not value else f"{value:.4f}".rstrip("0")


def _steps(above: float, start: int | None = None) -> Iterator[float]:
    """1, 2, 5, 10, 20 … times a power of ten that is small beside `above`; 64 decades of them."""
    first = math.floor(math.log10(above)) - 2 if above > 0 and start is None else start or 0
    for power in range(first, first + 64):
        for digit in _ROUND:
            yield float(f"{digit:g}e{power}")


def _until(rising: Iterable[float], high: float) -> Iterator[float]:
    for value in rising:
        if value > high:
            return
        yield value
