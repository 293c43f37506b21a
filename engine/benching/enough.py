"""When a block is steady, and when it has seen enough. Pure.

Steady: every place has been filled once and as many calls as there are places have come back (an open
load: as many as are in flight on average). Enough: the throughput is known as finely as was asked for, or
the most requests or seconds are reached. A closed load goes on for three rounds of calls in any case (up
to twice the seconds): with fewer its queue is not yet what it will be.
"""

from __future__ import annotations

from data.schema import LoadKind
from engine.benching import batches
from engine.benching.settings import Settings

ROUNDS = 3
LOOK_EVERY = 4
"""Calls between two looks at the interval."""
HOPELESS, LEAST_FAILED = 0.5, 20
"""A block ends when at least so many attempts have failed and they are more than this share."""


class Enough:
    """Hears each call's end, in order. Times are seconds since the block began."""

    def __init__(self, settings: Settings, load: LoadKind, level: float, latency_s: float) -> None:
        """`latency_s`: a first guess of how long a call takes."""
        self._settings = settings
        places = level if load == "closed" else level / 60 * latency_s
        self._places = max(1, round(places))
        self._rounds = ROUNDS * self._places if load == "closed" else 1
        self._closed = load == "closed"
        self._began = self._ended = self._failed = self._attempts = 0
        self._limited = False
        self._walls: list[float] = []
        self._ends: list[float] = []
        self.steady_s: float | None = None
        """When the window began."""

    def began(self) -> None:
        """A call was begun."""
        self._began += 1

    def attempted(self, *, failed: bool, limited: bool = False) -> None:
        """An attempt ended; `limited`: in a 429; `failed`: in another error."""
        self._attempts += 1
        self._failed += failed
        self._limited |= limited

    def ended(self, intended_s: float, done_s: float) -> None:
        """A call ended."""
        self._ended += 1
        if self.steady_s is not None:
            self._walls.append(done_s - intended_s)
            self._ends.append(done_s)
        elif self._ended >= self._places and self._began >= self._places:
            self.steady_s = done_s

    def why(self, now_s: float) -> str:
        """Why no further call is begun; empty: go on."""
        if self._failed >= LEAST_FAILED and self._failed > HOPELESS * self._attempts:
            return "errors"
        if self._limited and self._settings.polite:
            return "limited"
        n, wanted = len(self._walls), self._settings
        if n >= max(wanted.max_requests, self._rounds):
            return "count"
        if now_s >= wanted.max_seconds:
            patient = self._closed and n < self._rounds and now_s < 2 * wanted.max_seconds
            if not patient:
                return "time"
        full = n >= max(wanted.min_requests, self._rounds)
        if full and now_s >= wanted.min_seconds and n % LOOK_EVERY == 0 and self._precise():
            return "precise"
        return ""

    def _precise(self) -> bool:
        """Closed: the mean time of a call; open: completions, by the gaps between them."""
        values, places = self._walls, float(self._places)
        if not self._closed:
            places = 0.0
            values = [b - a for a, b in zip(self._ends, self._ends[1:], strict=False)]
        found = batches.mean(values, places=places)
        return found is not None and found.precision <= self._settings.ci
