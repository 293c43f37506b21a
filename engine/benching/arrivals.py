"""When the calls of an open load are due. Pure.

All times are worked out from the start of the block, never from the call before: a late one does not
push the others back, and the rate does not decay. `poisson` draws independent exponential gaps, the
arrivals of many people who know nothing of each other; `constant` is evenly spaced.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from data.schema import LoadKind


def arrivals(load: LoadKind, per_minute: float, dice: random.Random) -> Iterator[float]:
    """Seconds since the start, for ever."""
    gap = 60.0 / per_minute
    due = 0.0
    number = 0
    while True:
        if load == "poisson":
            due += dice.expovariate(1.0 / gap)
        else:
            due = number * gap
        yield due
        number += 1
