"""An asyncio event loop on virtual time: nine minutes of waiting take a twentieth of a second.

The loop's own `time()` is a counter. Whenever nothing is ready, its selector does not wait for the next
timer: it moves the counter there. Whatever waits through the running loop's clock (asyncio.sleep,
anyio, aiolimiter) therefore runs at once and in the right order, and says the same times every run.

Three cases, when nothing is ready:
- a timer is set: the clock jumps to it;
- no timer is set: the loop really blocks, since only a real thread or a real socket can wake it;
- a thread works while a timer is set: the clock does not wait for the thread. So blocking work that
  virtual time should see as instant runs inline.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Mapping
from typing import Any

POLL_EVERY = 64
"""Steps of the loop after which its wake-up pipe is looked at, where nothing else could be ready."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.SelectorEventLoop` whose clock starts at `start` (seconds) and only jumps."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        super().__init__(_JumpingSelector(self))
        self.jump(0.0)

    def time(self) -> float:
        return self._now

    def wait(self, seconds: float) -> None:
        """Nothing happened for so long. A timer that is due at once still costs a nanosecond, or who
        waits for a rounding error (the last 1e-17 of an aiolimiter permit) would wait for ever."""
        if not self._ready:  # type: ignore[attr-defined]
            self.jump(seconds or self._clock_resolution)

    def jump(self, seconds: float) -> None:
        """Move the clock on.

        asyncio runs a timer once `when < time() + resolution`. Real time grows past that by itself;
        this clock stands still, so the resolution must stay larger than its last binary digit.
        """
        self._now += seconds
        self._clock_resolution: float = max(1e-9, 2 * math.ulp(self._now))


class _JumpingSelector(selectors.BaseSelector):
    """A real selector for real sockets, polled; the time it should have waited is jumped over.

    Where only the loop's own wake-up pipe is registered, it is polled now and then: threads are heard
    without it as long as a timer is set, signals a few steps later.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._real = loop, selectors.DefaultSelector()
        self._registered = self._unpolled = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and self._registered <= 1 and self._unpolled < POLL_EVERY:
            self._unpolled += 1
            self._loop.wait(timeout)
            return []
        self._unpolled = 0
        events = self._real.select(None if timeout is None else 0)
        if not events and timeout is not None:
            self._loop.wait(timeout)
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.register(fileobj, events, data)
        self._registered += 1
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._real.unregister(fileobj)
        self._registered -= 1
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def new_loop(start: float = 0.0) -> asyncio.AbstractEventLoop:
    """A fresh loop at `start` seconds: `anyio.run(main, backend_options={"loop_factory": new_loop})`."""
    return VirtualLoop(start)
