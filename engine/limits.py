"""What one account allows, and the door where its calls wait for it: the only import of aiolimiter.

A limit comes from the sweep file, or from what the provider says (headers, a 429's body), or is learned;
`statistics` says which. They are asked in one place, `admit`, for one call after the other, so calls go
out in the order in which they became ready and a large one cannot be overtaken for ever:

- calls in flight       `engine/concurrency.py`, which learns where nobody says
- requests per minute   aiolimiter, one every 60 / rpm seconds, or at high rates a handful every 20 ms
                        (timers are no finer than 1 ms), and exact windows: at most rpm in any minute
                        and ceil(rpm / 60) in any second, also when rpm has just changed. The
                        limiter alone is no queue: it lets newcomers past, hence the gate
- tokens, requests/day  `engine/pacing.py`: reserved by estimate, settled with real usage
- after a 429           `engine/delivered.py`: stand still, let one probe through, go on at the rate
                        that was really accepted; `engine/silence.py` where it does not say whether it
                        is about a rate
- an outage             `engine/breaker.py`

A wait always has a reason and, where it is known, an end: `waiting` says both.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Literal

from aiolimiter import AsyncLimiter

from data.codec import replace
from data.errors import TooLarge
from data.schema import Struct, Usage
from engine.breaker import Breaker
from engine.concurrency import ConcurrencyController
from engine.delivered import DeliveredRate, PauseClock
from engine.pacing import Drip, Window
from engine.recent import Lately
from engine.silence import Silence

LEARNED_CAP = 256
"""Calls in flight at most where the sweep file names no number."""
TICK_S = 0.02
"""At high rates as many requests as belong to this much time may go out together."""
SLACK_S = 1e-6
"""Timers may fire a hair early (asyncio's clock resolution); a clock that only jumps stays there."""
MINUTE_S, DAY_S = 60.0, 86_400.0
Source = Literal["sweep file", "headers", "429 body", "learned", "control"]


class Need(Struct, frozen=True):
    """What one call will take, in tokens: the prompt's estimate and what the answer may need."""

    input_tokens: int = 0
    output_tokens: int = 0
    least_input: int | None = None
    least_output: int | None = None
    """What it takes at least, by what was learned so far; None: all of the above."""

    @property
    def least(self) -> Need:
        """The least, as a need of its own."""
        asked = self.input_tokens if self.least_input is None else self.least_input
        said = self.output_tokens if self.least_output is None else self.least_output
        return Need(asked, said)


class Permit(Struct, frozen=True):
    """Leave for one call: what was reserved for it, and when, in seconds of the loop's clock."""

    need: Need
    at: float
    level: int = 1
    """Calls in flight when it went out, this one included."""
    answered: int = 0
    """Calls that had been answered until then."""


class LimitView(Struct, frozen=True):
    """One limit as it stands: its value (None: none known), where it comes from, how much of it is used."""

    name: str
    value: float | None
    source: Source
    used: float = 0.0


class LimitsView(Struct, frozen=True, kw_only=True):
    """One account's limits and counts."""

    limits: tuple[LimitView, ...]
    in_flight: int
    admitted: int
    rejected: int
    troubled: int
    excess_tokens: int
    """Tokens used beyond a limit, by estimates that were too low."""
    waiting: str


class _Amount:
    """A limit per minute (or day) on an amount that each call takes some of."""

    def __init__(
        self, name: str, limit: float, source: Source, of: Callable[[Need], int], span_s: float
    ) -> None:
        self.name, self.source, self.of, self.span_s = name, source, of, span_s
        self.window = Window(limit, span_s)
        self.drip = Drip(limit) if span_s == MINUTE_S else None

    def wait_s(self, need: Need, now: float) -> float:
        amount = self.of(need)
        even = self.drip.wait_s(amount, now) if self.drip else 0.0
        return max(self.window.wait_s(amount, now), even)

    def take(self, need: Need, now: float) -> None:
        amount = self.of(need)
        self.window.take(amount, now)
        if self.drip:
            self.drip.take(amount, now)

    def correct(self, difference: int, permit: Permit, now: float) -> int:
        """What the call really took; how much of it is beyond the limit."""
        self.window.correct(difference, permit.at)
        if self.drip:
            self.drip.correct(difference, now)
        if difference <= 0:
            return 0
        return math.ceil(min(max(self.window.used(now) - self.window.limit, 0), difference))

    def recall(self, past: Lately, epoch_s: float) -> None:
        """What went out before this session, and before this limit was known."""
        if self.name == "rpd":
            for slot in past.day:
                self.window.take(slot.requests, slot.at_s - epoch_s)
        else:
            for slot in past.minute:
                amount = self.of(Need(slot.input_tokens, slot.output_tokens))
                self.window.take(amount, slot.at_s - epoch_s)

    def set(self, limit: float, source: Source, now: float) -> None:
        self.window.limit, self.source = limit, source
        if self.drip:
            self.drip.set_rate(limit, now)


_MEASURES: dict[str, tuple[Callable[[Need], int], float]] = {
    "tpm": (lambda n: n.input_tokens + n.output_tokens, MINUTE_S),
    "input_tpm": (lambda n: n.input_tokens, MINUTE_S),
    "output_tpm": (lambda n: n.output_tokens, MINUTE_S),
    "rpd": (lambda n: 1, DAY_S),
}
WORDS = {
    "rpm": "requests/min",
    "tpm": "tokens/min",
    "input_tpm": "input-tokens/min",
    "output_tpm": "output-tokens/min",
    "rpd": "requests/day",
}
"""The console's words."""


class Limits:
    """Pacing of one account. All times are seconds of the running loop's clock."""

    def __init__(
        self, *, rpm: float | None, concurrency: int | None, **amounts: float | None
    ) -> None:
        """`amounts`: tpm, input_tpm, output_tpm, rpd; None or left out: no such limit is known."""
        self.rpm = rpm
        self._rpm_source: Source = "sweep file"
        self._spacing = _spacing(rpm) if rpm else None
        self._minute, self._second = Window(math.inf, MINUTE_S), Window(math.inf, 1.0)
        """Requests sent; asked at high rates, and in the first minute of a new rpm."""
        self._strict_until = math.inf if rpm and _handful(rpm) > 1 else -math.inf
        self._bound_windows()
        self.controller = (
            ConcurrencyController(LEARNED_CAP)  # slow start
            if concurrency is None
            else ConcurrencyController(concurrency, start=concurrency)
        )
        self._cap_source: Source = "learned" if concurrency is None else "sweep file"
        self._amounts: dict[str, _Amount] = {}
        for name, limit in amounts.items():
            if limit is not None:
                self._amounts[name] = _Amount(name, limit, "sweep file", *_MEASURES[name])
        self._pause, self._delivered, self._breaker = PauseClock(), DeliveredRate(), Breaker()
        self._silence = Silence()
        self._pace: Drip | None = None
        self._held = False
        self.in_flight = 0
        self._admitted = self._answered = self._rejected = self._troubled = self._excess = 0
        self._reason: tuple[str, float] = ("", 0.0)
        self._last_sent = self._rejected_at = -math.inf
        self._changed = asyncio.Event()
        self._past, self._epoch_s = Lately(), 0.0

    @property
    def counts_tokens(self) -> bool:
        """Does any limit here ask for a call's tokens?"""
        return not self._amounts.keys() <= {"rpd"}

    @property
    def concurrency(self) -> int:
        """Calls in flight that are allowed now."""
        return self.controller.limit

    # --- before a call -------------------------------------------------------------------------

    async def admit(self, need: Need = Need()) -> Permit:  # noqa: B008  (frozen)
        """Wait until this call may go out. One caller at a time; give the permit back later.

        Raises TooLarge if a limit can never let it through.
        """
        loop = asyncio.get_running_loop()
        while True:
            wait, reason = self._wait(need, loop.time())
            if wait > SLACK_S:
                self._reason = (reason, loop.time() + wait)
                await self._sleep(wait)
                continue
            if self._spacing is not None:
                waits = not self._spacing.has_capacity()
                await self._spacing.acquire()
                if waits and self._wait(need, loop.time())[0] > SLACK_S:
                    continue  # a pause, a cut or another rate came meanwhile: this slot is lost
            wait = self._breaker.may_send(loop.time())
            if wait > SLACK_S:
                self._reason = ("breaker open, probe", loop.time() + wait)
                await self._sleep(wait)
                continue
            break
        self._reason = ("", 0.0)
        return self._take(need, loop.time())

    def is_clear(self, need: Need) -> bool:
        """Could this call go out at once? Raises TooLarge if it never could."""
        now = asyncio.get_running_loop().time()
        return max(self._wait(need, now)[0], self._breaker.wait_s(now)) <= SLACK_S

    async def clear(self, need: Need = Need()) -> None:  # noqa: B008  (frozen)
        """Wait until a call like this could go out, without taking anything."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            wait, reason = self._wait(need, now)
            if self._breaker.wait_s(now) > wait:
                wait, reason = self._breaker.wait_s(now), "breaker open, probe"
            if wait <= SLACK_S:
                break
            self._reason = (reason, now + wait)
            await self._sleep(wait)
        self._reason = ("", 0.0)

    def _wait(self, need: Need, now: float) -> tuple[float, str]:
        """The longest wait and its reason; (0, "") if there is none."""
        need = self._fitted(need)
        longest, why = self._pause.wait_s(now), "429 retry-after"
        if self._held:
            longest, why = math.inf, "paused by hand"
        if self.in_flight >= self.concurrency and longest < math.inf:
            longest, why = math.inf, f"calls {self.in_flight}/{self.concurrency}"
        for amount in self._amounts.values():
            wait = amount.wait_s(need, now)
            if wait > longest:
                longest, why = wait, f"{WORDS[amount.name]} {amount.window.limit:g}"
        if self.rpm is not None:
            wait = self._spaced(self.rpm, now)
            if wait > longest:
                longest, why = wait, f"requests/min {self.rpm:g}"
        pace = self._delivered.pace(now)
        if pace is not None and (self.rpm is None or pace < self.rpm):
            wait = self._paced(pace, now).wait_s(1, now)
            if wait > longest:
                longest, why = wait, f"requests/min {pace:.0f} (learned)"
        return longest, why

    def _fitted(self, need: Need) -> Need:
        """What to reserve: a careful estimate never more than a whole limit, so that the call can go.

        Raises TooLarge if even the least is more.
        """
        for amount in self._amounts.values():
            over = math.ceil(amount.of(need) - amount.window.limit)
            if over <= 0:
                continue
            least = need.least
            if amount.of(least) > amount.window.limit:
                raise TooLarge(
                    f"this call needs {amount.of(least)} of {WORDS[amount.name]}, the account's whole"
                    f" limit is {amount.window.limit:g}: raise it or lower max_tokens"
                )
            said = need.output_tokens
            if amount.of(Need(0, 1)):
                said = max(said - over, least.output_tokens)
            shorter = replace(need, output_tokens=said)
            over = max(math.ceil(amount.of(shorter) - amount.window.limit), 0)
            need = replace(shorter, input_tokens=shorter.input_tokens - over)
        return need

    def _paced(self, pace: float, now: float) -> Drip:
        """The drip of the learned pace."""
        if self._pace is None:
            self._pace = Drip(pace, ahead_s=0.1)
        elif abs(self._pace.rate * 60 - pace) > 1e-9:
            self._pace.set_rate(pace, now)
        return self._pace

    def _spaced(self, rpm: float, now: float) -> float:
        """Until the next request may go: one spacing after the last, and within the windows."""
        together = self._strict_until == math.inf  # several belong to a tick
        wait = 0.0 if together else self._last_sent + 60.0 / rpm - now
        if now < self._strict_until:
            wait = max(wait, self._minute.wait_s(1, now), self._second.wait_s(1, now))
        return wait

    def _bound_windows(self) -> None:
        if self.rpm is not None:
            self._minute.limit = max(1, math.ceil(self.rpm))
            self._second.limit = max(1, math.ceil(self.rpm / 60.0))

    def _take(self, need: Need, now: float) -> Permit:
        need = self._fitted(need)
        for amount in self._amounts.values():
            amount.take(need, now)
        if self._pace is not None:
            self._pace.take(1, now)
        self._minute.take(1, now)
        self._second.take(1, now)
        self._last_sent = now
        self.in_flight += 1
        self._admitted += 1
        self._pause.sent(now)
        self._delivered.sent(1, now)
        self.controller.sent(self.in_flight, now)
        return Permit(need, now, self.in_flight, self._answered)

    async def _sleep(self, wait_s: float) -> None:
        """Until the time has come or something has changed."""
        self._changed.clear()
        alarm = None
        if wait_s < math.inf:
            alarm = asyncio.get_running_loop().call_later(wait_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if alarm is not None:
                alarm.cancel()

    def take(self, need: Need) -> Permit:
        """Leave for a call that `is_clear` has just let through. For calls outside the queue."""
        return self._take(need, asyncio.get_running_loop().time())

    def unused(self, permit: Permit) -> None:
        """The call did not go out after all."""
        self._left(permit, Usage(), asyncio.get_running_loop().time())

    def gave_up(self, permit: Permit) -> None:
        """Nobody waits for this call any more; what it took is unknown and stays reserved."""
        self._left(permit, None, asyncio.get_running_loop().time())

    # --- after a call --------------------------------------------------------------------------

    def succeeded(self, permit: Permit, usage: Usage | None, now: float) -> None:
        """The call was answered; what it really took replaces what was reserved."""
        self._left(permit, usage, now)
        self._accepted(permit, now)

    def rejected(
        self, permit: Permit, told_s: float | None, now: float, *, rate: bool | None
    ) -> None:
        """A 429. `rate`: it speaks of a rate or told a wait; else of calls in flight; None: of neither."""
        self._rejected += 1
        self._rejected_at = now
        self._left(permit, Usage(), now)
        self._breaker.succeeded(now, sent_at=permit.at)
        if rate is None:
            rate = self._speaks_of_rate(permit, now)
        if not rate:  # the cut is pause enough
            self.controller.rejected(now, sent_at=permit.at)
            return
        until = self._pause.rejected(now, told_s, sent_at=permit.at)
        self._delivered.after_rejection(now, sent_at=permit.at)
        self._delivered.paused(now, until, told=told_s is not None)
        self.controller.troubled(now)

    def _speaks_of_rate(self, permit: Permit, now: float) -> bool:
        paced = self._delivered.pace(now) is not None
        return self._silence.speaks_of_rate(
            self._served(permit), now, sent_at=permit.at, paced=paced
        )

    def _served(self, permit: Permit) -> int:
        """Calls served beside one that has ended: still in flight, or answered since it went out."""
        return self.in_flight + self._answered - permit.answered

    def troubled(self, permit: Permit, now: float) -> None:
        """A 5xx, a timeout or a broken connection: growth stops, nothing is cut."""
        self._troubled += 1
        self._left(permit, None, now)
        self._pause.troubled(now, sent_at=permit.at)
        self._breaker.failed(now, sent_at=permit.at)
        self.controller.troubled(now)

    def refused(self, permit: Permit, now: float) -> None:
        """The request itself was refused (4xx): the account is well."""
        self._left(permit, Usage(), now)
        self._accepted(permit, now)

    def _accepted(self, permit: Permit, now: float) -> None:
        """The account took the call."""
        self._answered += 1
        self._silence.answered(min(permit.level, self._served(permit)))
        self._pause.succeeded(now, sent_at=permit.at)
        self._breaker.succeeded(now, sent_at=permit.at)
        self.controller.succeeded(self.in_flight, now, sent_at=permit.at)

    def _left(self, permit: Permit, usage: Usage | None, now: float) -> None:
        """Out of flight; refund what was reserved and not used (all that is unknown stays reserved)."""
        self.in_flight -= 1
        self._changed.set()
        if usage is None:
            return
        used = Need(usage.input_tokens, usage.output_tokens)
        for amount in self._amounts.values():
            difference = amount.of(used) - amount.of(permit.need)
            self._excess += amount.correct(difference, permit, now)

    # --- changing limits -----------------------------------------------------------------------

    def told(self, name: str, value: float, source: Source, now: float) -> bool:
        """The provider named a limit. What the sweep file says stands above it. True if it changed."""
        if name == "concurrency":
            before = self.concurrency
            self.controller.told(value, now)
            return self.concurrency < before
        if name == "rpm":
            self._delivered.told(value, now)
            if self._rpm_source == "sweep file" and self.rpm is not None:
                return False
        known = self._amounts.get(name)
        if known is not None and (known.source == "sweep file" or known.window.limit == value):
            return False
        if name == "rpm" and self.rpm == value:
            return False
        return self.set(name, value, source, now)

    def set(self, name: str, value: float, source: Source, now: float) -> bool:
        """Set a limit whatever it was before. False for a name that is none."""
        if name == "concurrency":
            self.controller.set_cap(max(1, int(value)), now)
            self._cap_source = source
        elif name == "rpm":
            self.rpm, self._rpm_source, self._spacing = value, source, _spacing(value)
            self._strict_until = math.inf if _handful(value) > 1 else now + MINUTE_S
            self._bound_windows()
        elif name in self._amounts:
            self._amounts[name].set(value, source, now)
        elif name in _MEASURES:
            self._amounts[name] = _Amount(name, value, source, *_MEASURES[name])
            self._amounts[name].recall(self._past, self._epoch_s)
        else:
            return False
        self._changed.set()
        return True

    def recall(self, past: Lately, epoch_s: float, now: float) -> None:
        """Before the first call: what earlier sessions sent is in this one's windows, too.

        `epoch_s`: wall time minus the loop's. A told wait goes on; where it is longer than anybody
        waits in a session, one call may ask whether it still stands.
        """
        self._past, self._epoch_s = past, epoch_s
        for amount in self._amounts.values():
            amount.recall(past, epoch_s)
        for slot in past.minute:
            self._last_sent = slot.at_s - epoch_s
            self._minute.take(slot.requests, self._last_sent)
            self._second.take(slot.requests, self._last_sent)
            self._strict_until = max(self._strict_until, now + MINUTE_S)
        told_s, closed_s = (told.until_s - epoch_s - now for told in (past.told, past.closed))
        if max(told_s, closed_s) > 0:
            until = self._pause.rejected(now, told_s if told_s > 0 else None)
            self._delivered.paused(now, until)

    def hold(self, held: bool) -> None:
        """Let nothing out (or go on): by hand, from a second terminal."""
        self._held = held
        self._changed.set()

    # --- looking -------------------------------------------------------------------------------

    def calm_for_s(self, now: float) -> float:
        """Seconds since the last 429; infinite if there was none."""
        return now - self._rejected_at

    def held_up(self, now: float) -> tuple[str, float | None]:
        """Why the next call waits and for how many seconds (None: not known); "": it does not."""
        reason, until = self._reason
        left = until - now
        return reason, left if reason and 0 < left < math.inf else None

    def waiting(self, now: float) -> str:
        """The same in the console's words."""
        reason, left = self.held_up(now)
        return reason if left is None else f"{reason}, {left:.1f} s"

    @property
    def outages(self) -> int:
        """How often calls failed so much that only probes went out from then on."""
        return self._breaker.statistics().opened

    def statistics(self, now: float) -> LimitsView:
        """The present figures."""
        as_given = self.concurrency == self.controller.cap
        source: Source = self._cap_source if as_given else "learned"
        views = [LimitView("concurrency", self.concurrency, source, self.in_flight)]
        pace = self._delivered.pace(now)
        if self.rpm is not None:
            views.append(LimitView("rpm", self.rpm, self._rpm_source))
        if pace is not None:
            views.append(LimitView("pace", pace, "learned"))
        for amount in self._amounts.values():
            used = amount.window.used(now)
            views.append(LimitView(amount.name, amount.window.limit, amount.source, used))
        return LimitsView(
            limits=tuple(views),
            in_flight=self.in_flight,
            admitted=self._admitted,
            rejected=self._rejected,
            troubled=self._troubled,
            excess_tokens=self._excess,
            waiting=self.waiting(now),
        )


def _spacing(rpm: float) -> AsyncLimiter:
    """A bucket of `handful` that drips so slowly that a full one and a minute's drip make up rpm."""
    handful = _handful(rpm)
    if handful == 1:
        return AsyncLimiter(1, 60.0 / rpm)
    return AsyncLimiter(handful, 60.0 * handful / (rpm - handful))


def _handful(rpm: float) -> int:
    """How many may go out together: one, or what belongs to a tick."""
    return max(1, int(rpm * TICK_S / 60.0))
