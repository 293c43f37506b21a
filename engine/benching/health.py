"""Whether this process keeps up: how late its event loop wakes, and how much of a core it uses.

A benchmark whose client is busy measures its client. On virtual time nobody is ever late, so nothing is
watched there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from data.schema import Struct
from engine.benching.quantiles import quantile

TICK_S = 0.01


class Health(Struct, frozen=True):
    """Of one block."""

    lag_p99_s: float | None = None
    cpu: float | None = None


class Watch:
    """Samples the loop's lateness while `run` goes on. `cpu_s`: this process's CPU time so far."""

    def __init__(self, cpu_s: Callable[[], float] | None) -> None:
        self._cpu_s = cpu_s
        self._lags: list[float] = []
        self._cpu_at = self._at = 0.0

    async def run(self) -> None:
        """For ever: a task beside the block."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + TICK_S
            await asyncio.sleep(TICK_S)
            self._lags.append(max(0.0, clock() - due))

    def start(self, now: float) -> None:
        """A block begins."""
        self._lags, self._at = [], now
        self._cpu_at = self._cpu_s() if self._cpu_s else 0.0

    def stop(self, now: float) -> Health:
        """What was seen since it began."""
        if self._cpu_s is None or now <= self._at:
            return Health()
        lag = quantile(sorted(self._lags), 0.99) if self._lags else None
        return Health(lag, (self._cpu_s() - self._cpu_at) / (now - self._at))
