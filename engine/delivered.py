"""What to do after a 429 that is about a rate: stand still first, then pace at what is accepted. Pure.

Two clocks, kept apart on purpose. `PauseClock` says whether anything may go out at all: after a 429
nobody sends until the told (or a growing default) wait is over, then one probe, then twice as many every
half second, evenly spaced. `DeliveredRate` says how fast it goes on: at the rate that was accepted over
the last 30 s, probing upward 5 % per clean 15 s. A pause is no evidence about the rate, so paused time
does not count in the 30 s; and a rate is no reason to pause.

Rules of the rate. Accepted is what was sent and not refused: refusals come at once, answers may take
minutes. One cut per episode: only a refusal of a call that was sent after the last change cuts again,
refusals of older calls correct the figure. The new pace is what was accepted, but at least 5 % below the
refused one, 10 % on the second refusal without a clean probe between, then 20 %: so a limit that halved
is found in seconds, before the 30 s have forgotten the old one. No episode takes more than half, because
a low rate may only mean that there was little to send; for the same reason a probe needs 80 % of the
pace to have been used. A refusal after which nothing was accepted yet tells that the pause was too
short, not that the pace is too high.

A pause that nobody asked for is different: if what went out after it was refused as well, the account was
closed all the while, so that time counts, and the new pace is what was accepted in the last minute. And
what a whole minute accepted since the first of several refusals, pauses included, is surely allowed.

A probe may cost a refusal, so 60 accepted calls pay for it. Above the pace that was last refused the
probes grow to 40 % and cost less: there the limit has risen. After `told` a pace never exceeds the
told limit, and a told rise is followed at once.

Source of the idea of pacing at the delivery rate: Cardwell et al., "BBR", ACM Queue 14-5 (2016).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal, NamedTuple, TypeAlias

from data.schema import Struct

WINDOW_S: Final = 30.0
MINUTE_S: Final = 60.0
"""The span of most limits, and all that is remembered."""
SLOT_S: Final = 0.5
LEAST_SPAN_S: Final = 2.0
"""A rate is not read off less time than this."""
EVIDENCE, EVIDENCE_S = 3, 5.0
PLENTY, PLENTY_S = 30, 2.0
"""Calls accepted and seconds not paused without which there is no first pace: a moment tells nothing.
Many calls need less time."""
SETTLE_S: Final = 1.0
"""Refusals this soon after a cut belong to it, where nobody says when their calls were sent."""
CLEAN_S: Final = 15.0
PAID: Final = 60
"""Accepted calls that a probe must have earned first."""
PROBE, WIDEST_PROBE = 0.05, 0.4
USED: Final = 0.8
BELOW: Final = 0.97
"""The share of a rate that is surely allowed at which to go on: at all of it a full window stays full."""
DOUBT: Final = 5
"""Refusals in a row of a probe after which its start is no longer believed in."""
CUTS: Final = (0.95, 0.9, 0.8)
"""At most this share of the refused pace: first, second and further refusals in a row."""
MOST_AT_ONCE, LEAST_OF_FIRST = 0.5, 0.1
"""The lowest that an episode may go, as a share of the refused pace or of the first one."""

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 10.0
PAUSE_GROWTH: Final = 1.5
PATIENCE_S: Final = 3.0
"""A probe that was not refused by then is taken as accepted: its answer may take minutes."""
RAMP_STEP_S: Final = 0.5
RAMP_STEPS: Final = 8

PauseState: TypeAlias = Literal["open", "paused", "probing", "ramping"]


class DeliveredStatistics(Struct, frozen=True, kw_only=True):
    """Per minute, in the unit that is counted. `pace` is None while nothing was refused."""

    pace: float | None
    delivered: float
    told: float | None
    cuts: int
    probes: int


class _Pause(NamedTuple):
    start: float
    end: float
    told: bool

    def within(self, start: float, end: float) -> float:
        """Seconds of it between two moments."""
        return max(min(self.end, end) - max(self.start, start), 0.0)


class DeliveredRate:
    """The rate of one account in one unit: make one for requests (amount 1) and one for tokens.

    `now` and `sent_at` are seconds of any one clock.
    """

    def __init__(self) -> None:
        self._slots: deque[list[float]] = deque()
        """[start, amount] of half seconds in which something was sent and not refused."""
        self._sum = 0.0
        self._pauses: deque[_Pause] = deque()
        self._began: float | None = None
        self._pace: float | None = None
        self._told: float | None = None
        self._refused_pace = self._least = 0.0
        """What was last refused, and the lowest this episode may go."""
        self._step = PROBE
        self._stood = 0.0
        """The pace before the last probe."""
        self._row_began = math.inf
        """When the first of the refusals in a row came."""
        self._changed_at = self._clean_since = self._closed_at = -math.inf
        self._since = self._earned = 0
        """Calls sent and not refused since the last change, and since the last probe or refusal."""
        self._reopened = 0
        """Calls sent and not refused since the last pause began."""
        self._in_a_row = self._cuts = self._probes = 0

    def __repr__(self) -> str:
        return f"<DeliveredRate pace {self._pace} told {self._told}>"

    def sent(self, amount: float, now: float) -> None:
        """This much goes out (one request, or so many tokens) and counts as accepted until refused."""
        if self._began is None:
            self._began = now
        self._since += 1
        self._earned += 1
        self._reopened += 1
        start = now // SLOT_S * SLOT_S
        if self._slots and self._slots[-1][0] >= start:
            self._slots[-1][1] += amount
        else:
            self._slots.append([start, amount])
        self._sum += amount

    def paused(self, start: float, end: float, *, told: bool = True) -> None:
        """Nothing is sent from `start` to `end`; a longer pause replaces a shorter one it overlaps.

        `told`: the account asked for it.
        """
        if self._pauses and start < self._pauses[-1].end:
            before = self._pauses.pop()
            start, end, told = before.start, max(end, before.end), told or before.told
        else:
            self._reopened = 0
        self._pauses.append(_Pause(start, end, told))
        self._clean_since = max(self._clean_since, end)

    def delivered(self, now: float, span_s: float = WINDOW_S) -> float:
        """Accepted per minute over the last `span_s` (at most 60) seconds that were not paused."""
        self._forget(now)
        start = max(now - span_s, self._began if self._began is not None else now)
        whole = span_s >= MINUTE_S
        taken = self._sum if whole else sum(a for at, a in self._slots if at + SLOT_S > start)
        return 60.0 * max(taken, 0.0) / max(self._open_s(start, now), LEAST_SPAN_S)

    def after_rejection(
        self, now: float, amount: float = 1.0, *, sent_at: float | None = None
    ) -> float:
        """A 429 for what was sent as `amount`: the rate per minute to pace at from now on.

        Infinite while nothing is known.
        """
        self._take_back(amount, sent_at)
        self._clean_since, self._earned = max(self._clean_since, now), 0
        delivered = self.delivered(now)
        if self._is_old(now, sent_at):
            if self._pace is not None and self._least <= delivered < self._pace:
                self._pace = delivered
        elif self._was_closed(sent_at):
            self._reckon(now)
        elif delivered > 0 and self._is_evidence(now):
            self._cut(delivered, now)
        return math.inf if self._pace is None else self._pace

    def pace(self, now: float) -> float | None:
        """The rate per minute to pace at; None: as nothing was refused, whatever else is known."""
        if (
            self._pace is not None
            and now - self._clean_since >= CLEAN_S
            and self._earned * self._step >= PAID * PROBE
        ):
            if self.delivered(now, CLEAN_S) >= USED * self._pace:
                self._probe(self._pace, now)
            self._clean_since, self._earned = now, 0
        return self._pace

    def told(self, per_minute: float, now: float) -> None:
        """The account named its limit. A higher one than it named before is followed at once."""
        before, self._told = self._told, per_minute
        if self._pace is None or before == per_minute:
            return
        if before is None or per_minute > before or per_minute < self._pace:
            self._in_a_row = 0
            self._change(per_minute, now)

    def statistics(self, now: float) -> DeliveredStatistics:
        """The present figures."""
        return DeliveredStatistics(
            pace=self._pace,
            delivered=self.delivered(now),
            told=self._told,
            cuts=self._cuts,
            probes=self._probes,
        )

    def _cut(self, delivered: float, now: float) -> None:
        before = self._pace or self._told
        if before is None:
            pace, self._least = delivered, LEAST_OF_FIRST * delivered
        else:
            most = CUTS[min(self._in_a_row, len(CUTS) - 1)]
            self._least = MOST_AT_ONCE * before
            pace = max(min(delivered, most * before), self._least)
            pace = max(pace, min(before, BELOW * self._surely(now)))
        self._refused_pace, self._step = before or delivered, PROBE
        self._in_a_row += 1
        if self._in_a_row == 1:
            self._row_began = now
        self._cuts += 1
        self._change(pace, now)

    def _was_closed(self, sent_at: float | None) -> bool:
        """A pause of our own making is over, and nothing was accepted since."""
        if not self._pauses or self._pauses[-1].told or self._reopened:
            return False
        return sent_at is None or sent_at >= self._pauses[-1].end

    def _reckon(self, now: float) -> None:
        """The last pause was not ours but the account's."""
        self._pauses.pop()
        self._closed_at = now
        began = now if self._began is None else max(self._began, now - MINUTE_S)
        if self._sum < EVIDENCE or self._open_s(began, now) < EVIDENCE_S:
            return
        pace = self.delivered(now, MINUTE_S)
        if self._pace is None or pace < self._pace:
            self._refused_pace, self._step = pace, PROBE
            self._cuts += 1
            self._change(pace, now)

    def _surely(self, now: float) -> float:
        """The rate that is surely allowed, as far as can be told; 0: nothing can.

        What a whole minute let in, pauses included, if the limit has not fallen in it; and at first the
        pace from which a refused probe started.
        """
        if now - self._row_began >= MINUTE_S or now - self._closed_at < MINUTE_S:
            span_s = now - (self._began or 0.0)
            return 60.0 * max(self._sum, 0.0) / min(max(span_s, LEAST_SPAN_S), MINUTE_S)
        return self._stood if self._in_a_row < DOUBT else 0.0

    def _probe(self, pace: float, now: float) -> None:
        """Nothing was refused for long enough: a little faster; above all known trouble, more so."""
        if pace > self._refused_pace:
            self._step = min(2 * self._step, WIDEST_PROBE)
        self._in_a_row, self._stood = 0, pace
        self._probes += 1
        self._change(pace * (1 + self._step), now)

    def _is_old(self, now: float, sent_at: float | None) -> bool:
        """This refusal belongs to a burst that was answered already."""
        if sent_at is not None:
            return sent_at <= self._changed_at
        return self._cuts > 0 and now - self._settled_from() < SETTLE_S

    def _is_evidence(self, now: float) -> bool:
        if self._pace is None and self._told is None:
            began = now if self._began is None else max(self._began, now - WINDOW_S)
            calls, span_s = self._since, self._open_s(began, now)
            return (calls >= EVIDENCE and span_s >= EVIDENCE_S) or (
                calls >= PLENTY and span_s >= PLENTY_S
            )
        return self._since > 0

    def _open_s(self, start: float, now: float) -> float:
        """Seconds since `start` that were not paused."""
        return now - start - sum(pause.within(start, now) for pause in self._pauses)

    def _settled_from(self) -> float:
        return max(self._changed_at, self._pauses[-1].end if self._pauses else -math.inf)

    def _take_back(self, amount: float, sent_at: float | None) -> None:
        self._since = max(self._since - 1, 0)
        if sent_at is None or not self._pauses or sent_at >= self._pauses[-1].start:
            self._reopened = max(self._reopened - 1, 0)
        for slot in reversed(self._slots):
            if sent_at is None or slot[0] <= sent_at:
                self._sum -= min(amount, slot[1])
                slot[1] -= min(amount, slot[1])
                return

    def _change(self, pace: float, now: float) -> None:
        self._pace = min(pace, self._told) if self._told is not None else pace
        self._changed_at, self._since = now, 0
        self._clean_since = max(self._clean_since, now)

    def _forget(self, now: float) -> None:
        while self._slots and self._slots[0][0] + SLOT_S <= now - MINUTE_S:
            self._sum -= self._slots.popleft()[1]
        if not self._slots:
            self._sum = 0.0
        while self._pauses and self._pauses[0].end <= now - MINUTE_S:
            self._pauses.popleft()


class PauseStatistics(Struct, frozen=True, kw_only=True):
    """`until_s` is the end of the present or last pause on the clock that was handed in."""

    state: PauseState
    until_s: float
    pauses: int
    paused_s: float
    """The sum of all pauses, as far as they were announced."""
    probes: int


class PauseClock:
    """Whether an account may be sent anything. Ask `wait_s`, then tell `sent` and how it ended.

    `now` and `sent_at` are seconds of any one clock. Without `sent_at` an outcome counts for the probe.
    """

    def __init__(self) -> None:
        self._state: PauseState = "open"
        self._until = self._began = self._opened = self._probed = 0.0
        self._next_s = FIRST_PAUSE_S
        self._step, self._next = 0, 0.0
        """Of the ramp, and when its next call may go."""
        self._pauses, self._probes, self._paused_s = 0, 0, 0.0

    def __repr__(self) -> str:
        return f"<PauseClock {self._state} until {self._until:g}>"

    def wait_s(self, now: float) -> float:
        """0: one more call may go out now. Else the seconds after which to ask again."""
        self._turn(now)
        if self._state == "paused":
            return max(self._until - now, 0.0)
        if self._state == "probing":
            return self._probed + PATIENCE_S - now
        if self._state == "ramping":
            return max(self._next - now, 0.0)
        return 0.0

    def sent(self, now: float) -> None:
        """A call went out."""
        self._turn(now)
        if self._state == "paused":
            self._state, self._probed = "probing", now
            self._probes += 1
        elif self._state == "ramping":
            self._next = max(self._next, now) + RAMP_STEP_S / 2 ** (self._step + 1)

    def succeeded(self, now: float, *, sent_at: float | None = None) -> None:
        """A call was accepted. The probe's success opens the gate; older calls say nothing."""
        counts = sent_at >= self._until if sent_at is not None else self._state != "paused"
        if counts or not self._pauses:
            self._next_s = FIRST_PAUSE_S
            if self._state == "probing":
                self._open(now)

    def troubled(self, now: float, *, sent_at: float | None = None) -> None:
        """A call ended without an answer to the question (5xx, timeout): another probe may go."""
        if self._state == "probing" and (sent_at is None or sent_at >= self._probed):
            self._state, self._until = "paused", now

    def rejected(
        self, now: float, told_s: float | None = None, *, sent_at: float | None = None
    ) -> float:
        """A 429: nobody sends until the returned time. `told_s` is the wait it asked for, if any."""
        old = sent_at <= self._began if sent_at is not None else self._state == "paused"
        if old and self._pauses:
            return self._extend(now, told_s)
        wait = told_s or self._next_s
        if not told_s:
            self._next_s = min(self._next_s * PAUSE_GROWTH, LONGEST_PAUSE_S)
        until = max(now + wait, self._until) if self._state == "paused" else now + wait
        self._state, self._began, self._until = "paused", now, until
        self._pauses += 1
        self._paused_s += until - now
        return self._until

    def statistics(self) -> PauseStatistics:
        """Counts so far."""
        return PauseStatistics(
            state=self._state,
            until_s=self._until,
            pauses=self._pauses,
            paused_s=self._paused_s,
            probes=self._probes,
        )

    def _extend(self, now: float, told_s: float | None) -> float:
        """One more refusal of the same burst: only a later told end changes anything."""
        until = now + (told_s or -math.inf)
        if until > self._until:
            self._paused_s += until - max(self._until, now)
            self._until = until
            self._state = "paused"
        return self._until

    def _turn(self, now: float) -> None:
        """Let time pass: a patient probe opens the gate, the ramp climbs, and ends."""
        if self._state == "probing" and now - self._probed >= PATIENCE_S:
            self._open(self._probed + PATIENCE_S)
        if self._state == "ramping":
            step = int((now - self._opened) / RAMP_STEP_S)
            if step >= RAMP_STEPS:
                self._state = "open"
            else:
                self._step = step

    def _open(self, now: float) -> None:
        self._state, self._opened, self._step, self._next = "ramping", now, 0, now
