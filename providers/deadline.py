"""A total deadline for each of many calls that all get the same time, with one timer for all of them.

Since each gets as long as the others, they run out in the order in which they began: only the oldest
needs a timer on the loop. A call that runs out is cancelled and raises TimeoutError where it was
entered; a cancellation from elsewhere goes through, as with `asyncio.timeout`, which costs a timer a call.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Calls that may take `total_s` seconds each, of the running loop's clock: `with deadlines.one():`."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._open: dict[Deadline, None] = {}
        """In order of beginning, so of running out."""
        self._timer: asyncio.TimerHandle | None = None

    def one(self) -> Deadline:
        """That of one call, within the current task."""
        return Deadline(self)

    def begun(self, call: Deadline) -> None:
        self._open[call] = None
        if self._timer is None:
            self._watch(call)

    def ended(self, call: Deadline) -> None:
        self._open.pop(call, None)

    def _watch(self, oldest: Deadline) -> None:
        self._timer = asyncio.get_running_loop().call_at(oldest.due, self._look)

    def _look(self) -> None:
        """Cancel what has run out; wait for what is the oldest then."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        while (oldest := next(iter(self._open), None)) is not None:
            if oldest.due > now:
                self._watch(oldest)
                return
            del self._open[oldest]
            oldest.run_out()


class Deadline:
    """A context manager that raises TimeoutError once its time is over. To be entered once."""

    __slots__ = ("_all", "_cancelling", "_out", "_task", "due")

    def __init__(self, deadlines: Deadlines) -> None:
        self._all = deadlines
        self._out = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is a task's")
        self._task, self._cancelling = task, task.cancelling()
        self.due = task.get_loop().time() + self._all.total_s
        self._all.begun(self)
        return self

    def run_out(self) -> None:
        self._out = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._out:
            self._all.ended(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
