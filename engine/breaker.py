"""When to stop trying: a budget for retries and a circuit breaker, both of one account. Pure.

`RetryBudget` keeps a bad hour from doubling the bill: retries are at most a tenth of first attempts,
plus a small floor that lets a quiet account try again too. `Breaker` keeps a dead server from being
hammered: while it is open only probes go out, at most one a second.

Neither hears of 429s: an account that limits is busy, not broken. Both decide by counts and by the times
handed in, so the same outcomes give the same decisions.

Sources: retry budgets, Site Reliability Engineering (2016), chapter 21; circuit breakers, Nygard,
Release It! (2007), chapter 5.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal, TypeAlias

from data.schema import Struct

EARNED: Final = 0.1
FLOOR: Final = 10.0
DRIP_S: Final = 10.0
"""A token a drip, but only up to the floor."""
MOST: Final = 1000.0
"""Savings of a long good time are not kept beyond this: they would be spent on one bad hour."""

WINDOW: Final = 50
"""Outcomes that the ratio looks at."""
LEAST: Final = 20
"""Outcomes before there is a ratio at all."""
RATIO: Final = 0.5
STREAK: Final = 10
PROBE_S: Final = 1.0
PROBE_GROWTH: Final = 1.5
LONGEST_PROBE_S: Final = 10.0

BreakerState: TypeAlias = Literal["closed", "open"]


class RetryStatistics(Struct, frozen=True, kw_only=True):
    """Tokens are retries, below 0 those booked ahead; `denied` counts those not granted at once."""

    tokens: float
    first_attempts: int
    spent: int
    denied: int


class RetryBudget:
    """A token bucket of retries: at any time spent <= 10 + first attempts / 10 + seconds / 10.

    A retry that is booked counts from the time at which it is there.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._tokens, self._at = FLOOR, now
        self._first = self._spent = self._denied = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._tokens:.1f} left>"

    def first_attempt(self, now: float) -> None:
        """A trial is sent for the first time: it earns a tenth of a retry."""
        self._drip(now)
        self._first += 1
        self._tokens = max(self._tokens, min(self._tokens + EARNED, MOST))

    def spend(self, now: float) -> bool:
        """Take one retry; False if there is none."""
        self._drip(now)
        if self._tokens < 1.0:
            self._denied += 1
            return False
        self._tokens -= 1.0
        self._spent += 1
        return True

    def book(self, now: float) -> float:
        """Take the next retry that nobody has: seconds until it is there, even if nothing is earned.

        So many that fail at once come back one after the other, and never more than the budget allows.
        """
        if self.spend(now):
            return 0.0
        self._tokens -= 1.0
        self._spent += 1
        return -self._tokens * DRIP_S

    def statistics(self) -> RetryStatistics:
        """Counts so far."""
        return RetryStatistics(
            tokens=self._tokens,
            first_attempts=self._first,
            spent=self._spent,
            denied=self._denied,
        )

    def _drip(self, now: float) -> None:
        passed, self._at = max(now - self._at, 0.0), max(now, self._at)
        if self._tokens < FLOOR:
            self._tokens = min(FLOOR, self._tokens + passed / DRIP_S)


class BreakerStatistics(Struct, frozen=True, kw_only=True):
    """`opened`: how often; `next_probe_s`: when the next probe may go, on the clock handed in."""

    state: BreakerState
    opened: int
    probes: int
    streak: int
    failing: float
    """The share of failures among the last outcomes."""
    next_probe_s: float


class Breaker:
    """Opens when an account's server is down, and finds out when it is back.

    It opens after 10 failures in a row, or when half of the last 50 outcomes (at least 20) failed. Then
    probes go out 1 s apart, later up to 10 s, and the first success of one closes it. `now` and
    `sent_at` are seconds of any one clock; with `sent_at`, calls from before the opening say nothing.
    """

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._failures = self._streak = 0
        self._state: BreakerState = "closed"
        self._opened_at = -math.inf
        self._next_probe = self._interval = 0.0
        self._opened = self._probes = 0

    def __repr__(self) -> str:
        return f"<Breaker {self._state} streak {self._streak}>"

    def may_send(self, now: float) -> float:
        """0: send now, and in the open state this call is the probe. Else seconds until to ask again."""
        if self._state == "closed":
            return 0.0
        if now < self._next_probe:
            return self._next_probe - now
        self._probes += 1
        self._next_probe = now + self._interval
        self._interval = min(self._interval * PROBE_GROWTH, LONGEST_PROBE_S)
        return 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until a call could go out, without sending it."""
        return 0.0 if self._state == "closed" else max(0.0, self._next_probe - now)

    def succeeded(self, now: float, *, sent_at: float | None = None) -> None:
        """Any answer at all: also a refusal of the request, or a 429."""
        if self._state == "closed":
            self._count(failed=False)
        elif sent_at is None or sent_at > self._opened_at:
            self._state = "closed"
            self._outcomes.clear()
            self._failures = self._streak = 0

    def failed(self, now: float, *, sent_at: float | None = None) -> None:
        """A transport fault or a 5xx."""
        if self._state == "open":
            return
        if sent_at is not None and sent_at <= self._opened_at:
            return  # a late casualty of the outage that is over
        self._count(failed=True)
        failing = self._failures / len(self._outcomes)
        if self._streak >= STREAK or (len(self._outcomes) >= LEAST and failing >= RATIO):
            self._state, self._opened_at = "open", now
            self._opened += 1
            self._interval = PROBE_S
            self._next_probe = now + PROBE_S

    def statistics(self) -> BreakerStatistics:
        """Counts so far."""
        return BreakerStatistics(
            state=self._state,
            opened=self._opened,
            probes=self._probes,
            streak=self._streak,
            failing=self._failures / len(self._outcomes) if self._outcomes else 0.0,
            next_probe_s=self._next_probe,
        )

    def _count(self, *, failed: bool) -> None:
        if len(self._outcomes) == WINDOW:
            self._failures -= self._outcomes[0]
        self._outcomes.append(failed)
        self._failures += failed
        self._streak = self._streak + 1 if failed else 0
