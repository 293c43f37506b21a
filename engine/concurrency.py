"""How many calls an account may have in flight when nobody told: learned from its 429s. Pure.

Four situations decide what a success and a refusal mean.

    searching   no refusal yet: every success adds one, so the limit doubles a round (slow start)
    climbing    below a remembered ceiling: the same, up to the ceiling and not beyond
    holding     at the ceiling: nothing moves until enough calls have paid for a probe
    probing     above it by 1, 3, 7, ..., one step per clean round; past a tenth above the ceiling the
                memory is void and the search starts again

Rules. The limit grows only while it is used: the peak in flight of this round is at least 80 % of it,
and a probe counts only if the peak reached it. A refusal of a call that was sent after the last change
opens an episode: the limit falls to 80 %, once; refusals of older calls only correct it, down to what
turned out to have been accepted; the remembered ceiling never falls below half of what the limit was.
A refused probe goes back to the last level that
stood and no further: it told that the ceiling stands. A number told in the 429 is the ceiling exactly.
Trouble (5xx, timeout) stops growth for a round and cuts nothing. Whatever happens, 1 <= limit <= cap.

A probe costs a refusal, so it is paid for: a round and 100 accepted calls at the ceiling, twice as many
after a refused one, eight times above a told ceiling. So at most about 1 % of calls are refused once the
ceiling is known.

Sources: additive increase, multiplicative decrease: Chiu and Jain, Computer Networks and ISDN Systems 17
(1989); slow start: Jacobson, SIGCOMM 1988.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal, TypeAlias

from data.schema import Struct

START: Final = 20
CUT: Final = 0.8
USED: Final = 0.8
"""The share of the limit that must be in flight for it to grow."""
BAND: Final = 0.1
"""How far above a ceiling its memory is believed."""
LEAST: Final = 0.5
"""No episode takes the ceiling below this share of what the limit was: a burst may have been too fast."""
PAID: Final = 100
"""Accepted calls that a probe must have earned first."""
PATIENCE: Final = 2
"""Times that, after a refused probe."""
TOLD_PATIENCE: Final = 8
"""The same above a ceiling that the account itself named."""
REMEMBERED: Final = 256
"""Changes of the limit kept in the log."""

Cause: TypeAlias = Literal["growth", "probe", "429", "probe refused", "told", "cap"]


class LimitChange(Struct, frozen=True):
    """The limit went from `before` to `after`; growth within a round is one change."""

    at_s: float
    before: int
    after: int
    cause: Cause


class ConcurrencyStatistics(Struct, frozen=True, kw_only=True):
    """What the controller knows and has seen. `ceiling` is None while it is unknown."""

    limit: int
    cap: int
    ceiling: int | None
    told: bool
    """The ceiling was read in a 429 and not refused since."""
    in_flight: int
    sent: int
    succeeded: int
    rejected: int
    troubled: int
    episodes: int
    """Bursts of 429s that cut the limit."""
    changes: tuple[LimitChange, ...]


class ConcurrencyController:
    """Learns the number of calls that one account accepts at a time. `now`: seconds of any one clock.

    Tell it every call and how it ended. `in_flight` is the count at the moment of telling: a call that
    is being sent included, one that has ended not. `sent_at`, when the ended call was sent, makes
    episodes exact; without it the calls in flight at a cut are counted out before the next one.
    """

    def __init__(self, cap: int, *, start: int = START) -> None:
        if cap < 1 or start < 1:
            raise ValueError(f"cap and start are at least 1, not {cap} and {start}")
        self.cap = cap
        self.limit = min(start, cap)
        self._ceiling: int | None = None
        """The highest level that is known to stand, once one was refused."""
        self._base = 0
        """The ceiling from which the present probes started."""
        self._stride, self._patience, self._told = 1, 1, False
        self._changes: deque[LimitChange] = deque(maxlen=REMEMBERED)
        self._in_flight = self._peak = 0
        self._round_left, self._clean, self._round = self.limit, True, 0
        self._logged_round = -1
        self._changed_at = -math.inf
        """When the limit last fell or rose by a probe: what was sent before says nothing about it."""
        self._older = 0
        """Calls sent before that and not yet ended."""
        self._floor = self._done = self._earned = 0
        """The lowest ceiling of this episode; successes since that change, and those at the ceiling."""
        self._sent = self._succeeded = self._rejected = self._troubled = self._episodes = 0

    def __repr__(self) -> str:
        return f"<ConcurrencyController {self.limit} of {self.cap}, ceiling {self._ceiling}>"

    def sent(self, in_flight: int, now: float) -> None:
        """A call goes out."""
        self._sent += 1
        self._in_flight = in_flight
        self._peak = max(self._peak, in_flight)

    def succeeded(self, in_flight: int, now: float, *, sent_at: float | None = None) -> None:
        """The account accepted a call and answered it."""
        self._succeeded += 1
        self._done += 1
        self._in_flight = in_flight
        fresh = sent_at > self._changed_at if sent_at is not None else self._older == 0
        self._older = max(self._older - 1, 0)
        if fresh and self._clean:
            self._accept(now)
        if fresh:
            self._count_to_round(now)

    def rejected(
        self, now: float, told_limit: float | None = None, *, sent_at: float | None = None
    ) -> None:
        """A 429; `told_limit` is the number of concurrent calls its body names."""
        self._rejected += 1
        crowded = self._in_flight > self.limit  # then it was sent before the cut
        fresh = sent_at > self._changed_at if sent_at is not None else not crowded
        self._in_flight = max(self._in_flight - 1, 0)
        self._older = max(self._older - 1, 0)
        if told_limit is not None and 1 <= told_limit < self.limit:
            self._obey(int(told_limit), now)
        elif fresh:
            self._cut(now)
        else:
            self._correct(now)

    def told(self, limit: float, now: float) -> None:
        """The account named its number of concurrent calls; a lower one than now is obeyed at once."""
        if 1 <= limit < self.limit:
            self._obey(int(limit), now)

    def troubled(self, now: float) -> None:
        """A 5xx, a timeout, a broken connection: no growth before the round is over."""
        self._troubled += 1
        self._in_flight = max(self._in_flight - 1, 0)
        self._older = max(self._older - 1, 0)
        self._clean = False
        self._count_to_round(now)

    def set_cap(self, cap: int, now: float) -> None:
        """A new configured cap; what was learned stays learned."""
        if cap < 1:
            raise ValueError(f"the cap is at least 1, not {cap}")
        self.cap = cap
        if self.limit > cap:
            self._move(cap, "cap", now)

    def statistics(self) -> ConcurrencyStatistics:
        """Counts so far and the log of changes, oldest first."""
        return ConcurrencyStatistics(
            limit=self.limit,
            cap=self.cap,
            ceiling=self._ceiling,
            told=self._told,
            in_flight=self._in_flight,
            sent=self._sent,
            succeeded=self._succeeded,
            rejected=self._rejected,
            troubled=self._troubled,
            episodes=self._episodes,
            changes=tuple(self._changes),
        )

    # --- growing ---

    def _accept(self, now: float) -> None:
        """One more clean success at this limit: grow by one, or earn towards a probe."""
        if self._peak < USED * self.limit:
            return
        if self._ceiling is None or self.limit < self._ceiling:
            self._move(self.limit + 1, "growth", now)
        elif self.limit == self._ceiling < self.cap:
            self._earned += 1
            if self._earned >= self._patience * max(PAID, self.limit):
                self._base, self._stride = self.limit, 1
                self._probe(now)

    def _probe(self, now: float) -> None:
        self._move(self.limit + self._stride, "probe", now)
        self._stride *= 2
        self._new_level(math.nextafter(now, -math.inf))  # the probe itself goes out now

    def _end_of_round(self, now: float) -> None:
        """A probe that was used and not refused in a whole clean round stands: go on from there."""
        ceiling = self._ceiling
        if ceiling is None or not self._clean or not ceiling < self.limit <= self._peak:
            return
        self._ceiling, self._patience, self._told = self.limit, 1, False
        if self.limit > (1 + BAND) * self._base:
            self._ceiling = None
        elif self.limit < self.cap:
            self._probe(now)

    # --- shrinking ---

    def _obey(self, told: int, now: float) -> None:
        self._ceiling, self._told, self._patience = told, True, TOLD_PATIENCE
        self._fall(told, "told", now)

    def _cut(self, now: float) -> None:
        """The first refusal at this level."""
        if self._ceiling is not None and self.limit > self._ceiling:
            self._patience = PATIENCE
            self._fall(self._ceiling, "probe refused", now)
            return
        before, self._told, self._patience = self.limit, False, 1
        lower = max(1, int(CUT * before))
        self._ceiling = max(lower, min(self._in_flight, before - 1))
        self._fall(lower, "429", now)
        self._floor = max(1, int(LEAST * before))

    def _correct(self, now: float) -> None:
        """A refusal of a call from before the cut: fewer were accepted than was thought."""
        if self._ceiling is None or self._told:
            return
        accepted = self._in_flight + self._done
        self._ceiling = min(self._ceiling, max(accepted, self._floor))
        if accepted < self.limit:
            self._move(accepted, "429", now)

    def _fall(self, limit: int, cause: Cause, now: float) -> None:
        self._episodes += 1
        self._move(limit, cause, now)
        self._floor = self.limit
        self._new_level(now)

    # --- bookkeeping ---

    def _new_level(self, changed_at: float) -> None:
        self._changed_at, self._older = changed_at, self._in_flight
        self._done = self._earned = 0
        self._start_round()

    def _count_to_round(self, now: float) -> None:
        self._round_left -= 1
        if self._round_left <= 0:
            self._end_of_round(now)
            self._start_round()

    def _start_round(self) -> None:
        self._round_left, self._peak, self._clean = self.limit, self._in_flight, True
        self._round += 1

    def _move(self, limit: int, cause: Cause, now: float) -> None:
        before, self.limit = self.limit, max(1, min(limit, self.cap))
        if self.limit == before:
            return
        last = self._changes[-1] if self._changes else None
        if last and last.cause == cause == "growth" and self._logged_round == self._round:
            self._changes[-1] = LimitChange(last.at_s, last.before, self.limit, cause)
        else:
            self._changes.append(LimitChange(now, before, self.limit, cause))
        self._logged_round = self._round
