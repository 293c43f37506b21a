"""What one account allows, and the gate where its calls wait for it: the only import of aiolimiter.

A gate is passed by one caller at a time, in the order of arrival, because aiolimiter alone is no queue:
it lets newcomers past, and starts with a burst. Behind the gate it only spaces requests: one every
60 / rpm seconds, or at high rates a handful every 20 ms, since timers are no finer than 1 ms; in
either case at most rpm go out in any minute.

A pause (a 429) holds everybody at the gate until it ends; nobody in the line loses his place.
"""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

TICK_S = 0.02
"""At high rates as many requests as belong to this much time may go out together."""
SLACK_S = 1e-6
"""Timers may fire a hair early (asyncio's clock resolution); a clock that only jumps stays there."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class Limits:
    """Pacing of one account. All times are seconds of the running loop's clock."""

    def __init__(self, *, rpm: float | None, concurrency: int) -> None:
        self.rpm, self.concurrency = rpm, concurrency
        self._spacing = _spacing(rpm) if rpm else None
        self._paused_until = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._waiting = ""

    async def admit(self) -> None:
        """Wait until one more request may go out. Call it with the gate held."""
        loop = asyncio.get_running_loop()
        while True:
            while (left := self._paused_until - loop.time()) > SLACK_S:
                self._waiting = "429 retry-after"
                await asyncio.sleep(left)
            if self._spacing is not None:
                self._waiting = f"requests/min {self.rpm:g}"
                await self._spacing.acquire()
            if self._paused_until <= loop.time() + SLACK_S:
                break  # else a pause began meanwhile: this slot is lost
        self._waiting = ""

    def slow_down(self, told_s: float | None) -> None:
        """A 429: hold everybody for the told time, or a growing default if none was told."""
        wait = told_s if told_s is not None else self._pause_s
        if told_s is None:
            self._pause_s = min(self._pause_s * 1.5, LONGEST_PAUSE_S)
        now = asyncio.get_running_loop().time()
        self._paused_until = max(self._paused_until, now + wait)

    def succeeded(self) -> None:
        """A call came back: the default pause starts small again."""
        self._pause_s = FIRST_PAUSE_S

    def waiting(self, now: float) -> str:
        """Why the next call waits, in the console's words; empty if it does not."""
        left = self._paused_until - now
        if left > 0:
            return f"429 retry-after {left:.0f} s"
        return self._waiting


def _spacing(rpm: float) -> AsyncLimiter:
    """A bucket of `handful` that drips so slowly that a full one and a minute's drip make up rpm."""
    handful = int(rpm * TICK_S / 60.0)
    if handful <= 1:
        return AsyncLimiter(1, 60.0 / rpm)
    return AsyncLimiter(handful, 60.0 * handful / (rpm - handful))
