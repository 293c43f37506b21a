"""What an account was sent lately, read from the journal: a resumed session goes on in the same windows.

A provider does not care which process sent a request. So an intent of the last minute counts in the
windows of requests and tokens, one of the last day in that of requests a day, and a wait that a 429 asked
for still runs. Kept are only sums in slots of a window's 600th, whatever the journal's length; a slot
counts at its latest moment, so it is forgotten a little late and never early.

Wall clocks are set. A time in the future is wrong: it stands for the first right time that the journal
names after it, or for now. So nothing waits longer than its window. An account that got another key or
another address is another account; a new key under the old name cannot be told from the old one.
"""

from __future__ import annotations

import math

from data import errors
from data.catalog import accounts_of
from data.schema import Intent, Settled, Sweep, Usage
from engine.pacing import SLOTS
from engine.retry import LONGEST_TOLD_S

MINUTE_S, DAY_S = 60.0, 86_400.0
_UNCOUNTED = frozenset(
    kind.__name__
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, (errors.RateLimited, errors.Fatal))
    and kind is not errors.DeadlinePassed
)
"""Ends of calls that took no tokens; after all others that tell no usage, what was held stays held."""


class Slot:
    """What went out within a little time. `at_s`: of its latest, in seconds since the epoch."""

    __slots__ = ("at_s", "input_tokens", "output_tokens", "requests", "since_s")

    def __init__(self, at_s: float) -> None:
        self.since_s = self.at_s = at_s
        self.requests = self.input_tokens = self.output_tokens = 0


class Told:
    """The wait that ends last of those that an account asked for."""

    __slots__ = ("at_s", "wait_s")

    def __init__(self) -> None:
        self.at_s, self.wait_s = -math.inf, 0.0

    @property
    def until_s(self) -> float:
        """Its end, in seconds since the epoch; -inf: there was none."""
        return self.at_s + self.wait_s

    def enter(self, at_s: float, wait_s: float) -> None:
        """One more."""
        if at_s + wait_s > self.until_s:
            self.at_s, self.wait_s = at_s, wait_s


class Lately:
    """One account's last minute and day, in slots in order of time, and what it asked for."""

    def __init__(self) -> None:
        self.minute: list[Slot] = []
        self.day: list[Slot] = []
        """Requests only."""
        self.undated: Slot | None = None
        """Sent at a time that is still to come."""
        self.told, self.closed = Told(), Told()
        """Waits that a session sits out, and longer ones, which stopped the account."""


class Recent:
    """All accounts of a run. Told every intent and its end, in the journal's order; then `close`."""

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s
        self._accounts: dict[str, Lately] = {}
        self._open: dict[int, tuple[Intent, Lately, Slot | None]] = {}
        self._places: dict[str, tuple[str, str, str]] = {}
        self._undated = False

    def of(self, account: str) -> Lately:
        """What is known of an account."""
        return self._accounts.get(account) or Lately()

    def accounts(self, sweep: Sweep) -> None:
        """The run goes on with these accounts."""
        for account in (a for provider in sweep.providers for a in accounts_of(provider)):
            place = account.base_url, account.api_key_env, account.api_key_file
            if self._places.setdefault(account.name, place) != place:
                self._places[account.name] = place
                self._accounts.pop(account.name, None)

    def sent(self, intent: Intent) -> None:
        """A request went out. Intents are numbered anew in each session."""
        if self._open:
            self._open.pop(intent.id, None)  # a session before this one never learned its end
        age_s = self._now_s - intent.t_s
        if self._undated and age_s >= 0:
            self._date(intent.t_s)
        if age_s > DAY_S:
            return
        lately = self._accounts.get(intent.account)
        if lately is None:
            lately = self._accounts[intent.account] = Lately()
        slot: Slot | None = None
        if age_s < 0:
            slot = lately.undated = lately.undated or Slot(math.inf)
            slot.requests += 1
            self._undated = True
        else:
            _slot(lately.day, intent.t_s, DAY_S / SLOTS).requests += 1
            if age_s < MINUTE_S:
                slot = _slot(lately.minute, intent.t_s, MINUTE_S / SLOTS)
                slot.requests += 1
        if slot is not None:
            slot.input_tokens += intent.input_tokens
            slot.output_tokens += intent.output_tokens
        self._open[intent.id] = intent, lately, slot

    def settled(self, end: Settled) -> None:
        """A request got its end."""
        intent, lately, slot = self._open.pop(end.id, (None, None, None))
        if intent is None or lately is None:
            return
        used = Usage() if end.usage is None and end.error in _UNCOUNTED else end.usage
        if slot is not None and used is not None:
            slot.input_tokens += used.input_tokens - intent.input_tokens
            slot.output_tokens += used.output_tokens - intent.output_tokens
        if end.told_s is not None:
            told = lately.told if end.told_s <= LONGEST_TOLD_S else lately.closed
            told.enter(min(intent.t_s + end.latency_s, self._now_s), end.told_s)

    def close(self) -> None:
        """The journal ends here, now."""
        self._date(self._now_s)
        self._open.clear()

    def _date(self, at_s: float) -> None:
        """What is said to be sent later than now was sent before this."""
        self._undated = False
        for lately in self._accounts.values():
            for told in (lately.told, lately.closed):
                told.at_s = at_s if told.at_s == self._now_s else told.at_s
            slot, lately.undated = lately.undated, None
            if slot is None:
                continue
            slot.since_s = slot.at_s = at_s
            if self._now_s - at_s < DAY_S:
                _slot(lately.day, at_s, DAY_S / SLOTS).requests += slot.requests
            if self._now_s - at_s < MINUTE_S:
                lately.minute.append(slot)


def _slot(slots: list[Slot], at_s: float, span_s: float) -> Slot:
    """The slot of this moment, which is the last one or a new one."""
    if slots and at_s < slots[-1].since_s + span_s:
        slots[-1].at_s = max(slots[-1].at_s, at_s)
    else:
        slots.append(Slot(at_s))
    return slots[-1]
