"""How much may go out when: exact windows and even spacing of amounts. Pure; times are handed in.

A `Window` keeps a promise: in any span of 60 s (a second, a day) no more than the limit was taken. A
`Drip` keeps it even: what is taken leaks away at the limit's own rate, and the next may come when
the level has fallen to one second's worth (or to nothing, for what is larger than that). Together
they let a whole minute's budget through in every minute, with no burst at its start.

Both work in two steps, `wait_s` and `take`, so that several limits can be asked before any is used, and
both can give back: a reservation that turned out too high frees the difference at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SLOTS: Final = 600
"""A window remembers amounts in slots of a 600th of its span, counted to the slot's end: it forgets a
little late, never early."""


class Window:
    """At most `limit` in any `span_s` seconds."""

    def __init__(self, limit: float, span_s: float) -> None:
        self.limit, self.span_s = limit, span_s
        self._slot_s = span_s / SLOTS
        self._taken: deque[list[float]] = deque()
        self._sum = 0.0

    def used(self, now: float) -> float:
        """Taken in the last `span_s` seconds."""
        self._forget(now)
        return self._sum

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` fits; infinite if it never will."""
        if amount > self.limit:
            return float("inf")
        self._forget(now)
        excess = self._sum + amount - self.limit
        if excess <= 0:
            return 0.0
        for end, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return max(0.0, end + self.span_s - now)
        return max(
            0.0, self._taken[-1][0] + self.span_s - now
        )  # a sum of floats may be a hair high

    def take(self, amount: float, now: float) -> None:
        """Count `amount` as used now."""
        end = (now // self._slot_s + 1) * self._slot_s
        if self._taken and self._taken[-1][0] >= end:
            self._taken[-1][1] += amount
        else:
            self._taken.append([end, amount])
        self._sum += amount

    def correct(self, difference: float, taken_at: float) -> None:
        """What was taken at `taken_at` turned out to be larger (or smaller, if negative)."""
        for slot in reversed(self._taken):
            if slot[0] - self._slot_s <= taken_at:
                change = max(difference, -slot[1])
                slot[1] += change
                self._sum += change
                return

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + self.span_s <= now:
            self._sum -= self._taken.popleft()[1]
        if not self._taken:
            self._sum = 0.0


class Drip:
    """Even spacing of `per_minute`: a level that leaks."""

    def __init__(self, per_minute: float, *, ahead_s: float = 1.0) -> None:
        self.rate = per_minute / 60.0
        self._ahead = ahead_s * self.rate
        """How full the level may be: a second's worth."""
        self._level, self._at = 0.0, 0.0

    def set_rate(self, per_minute: float, now: float) -> None:
        """A new limit; what was taken stays taken."""
        self._leak(now)
        share = self._ahead / self.rate
        self.rate = per_minute / 60.0
        self._ahead = share * self.rate

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may go: at once if it fits below a second's worth, or if all is quiet."""
        self._leak(now)
        room = max(self._ahead - amount, 0.0)
        return max(0.0, (self._level - room) / self.rate)

    def take(self, amount: float, now: float) -> None:
        """Raise the level by `amount`."""
        self._leak(now)
        self._level += amount

    def correct(self, difference: float, now: float) -> None:
        """An earlier amount turned out larger (or smaller): the level follows.

        Below nothing it is credit, at most a second's worth: what was held back for too long.
        """
        self._leak(now)
        self._level = max(-self._ahead, self._level + difference)

    def _leak(self, now: float) -> None:
        leaked = self._level - (now - self._at) * self.rate
        self._level = max(min(self._level, 0.0), leaked)
        self._at = now
