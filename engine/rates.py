"""Counts over time in constant memory: how many a minute, how it went lately, how long calls take. Pure.

Times are seconds of the loop's clock, handed in.
"""

from __future__ import annotations

from collections import deque


class Rate:
    """Completions of the last minute, in twelve five-second buckets."""

    BUCKET_S = 5.0
    BUCKETS = 12

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque(maxlen=self.BUCKETS)

    def add(self, now: float) -> None:
        slot = int(now // self.BUCKET_S)
        if self._buckets and self._buckets[-1][0] == slot:
            self._buckets[-1] = (slot, self._buckets[-1][1] + 1)
        else:
            self._buckets.append((slot, 1))

    def per_minute(self, now: float, started: float) -> float:
        """Completions per minute over the last minute, or over the run if it is younger."""
        oldest = int(now // self.BUCKET_S) - self.BUCKETS + 1
        count = sum(n for slot, n in self._buckets if slot >= oldest)
        window = min(max(now - started, 1.0), self.BUCKETS * self.BUCKET_S)
        return count * 60.0 / window


class History:
    """Completions of each stretch of ten seconds; those without any are there, too."""

    STRETCH_S = 10.0
    KEPT = 40

    def __init__(self, started: float) -> None:
        self._started = started
        self._counts: deque[int] = deque([0], maxlen=self.KEPT + 1)
        self._slot = 0

    def add(self, now: float) -> None:
        self._go_on(now)
        self._counts[-1] += 1

    def past(self, now: float) -> tuple[int, ...]:
        """Stretches that are over, the oldest first."""
        self._go_on(now)
        return tuple(self._counts)[:-1]

    def _go_on(self, now: float) -> None:
        slot = int((now - self._started) // self.STRETCH_S)
        if slot > self._slot:
            self._counts.extend([0] * min(slot - self._slot, self.KEPT + 1))
            self._slot = slot


class Latencies:
    """Median and 95th percentile of the last fifty."""

    RECENT = 50
    LEAST = 5

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=self.RECENT)
        self._known: tuple[float | None, float | None] | None = None

    def add(self, seconds: float) -> None:
        self._seen.append(seconds)
        self._known = None

    def quantiles(self) -> tuple[float | None, float | None]:
        """None before a handful came."""
        if self._known is None:
            ordered = sorted(self._seen)
            last = len(ordered) - 1
            few = len(ordered) < self.LEAST
            self._known = (None, None) if few else (ordered[last // 2], ordered[round(0.95 * last)])
        return self._known
