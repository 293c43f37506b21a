"""What one account has really done in this session, and the shortest time it could have done it in.

Counted as calls end: a 429 is no work, a failure is a call without tokens. The bound takes the limits
that the sweep file gives or the provider told (`engine/bound.py`); for calls in flight, where fewer or
more were let out than the file says, the most that there were. A limit that changed meanwhile bounds
nothing, so there is no bound then.
"""

from __future__ import annotations

from data.codec import replace
from data.errors import CallError, RateLimited
from data.schema import ProviderSpec, Response
from engine.bound import Bound, Load, bound_of
from engine.limits import WORDS, LimitsView

NAMES = tuple(WORDS)
"""Limits that the sweep file or a provider names, those of calls in flight apart."""


class Meter:
    """The counters of one account. Fed from the loop's thread.

    `latency_s` is the sum over all calls, `peak` the most that were in flight at
    once as one ended: those that were turned away are gone by then.
    """

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self._told: dict[str, int] = {}
        self.calls = self.input_tokens = self.output_tokens = self.peak = 0
        self.latency_s = 0.0

    def ended(self, end: Response | CallError, latency_s: float, in_flight: int) -> None:
        """A call is over; `in_flight` still counts it."""
        if isinstance(end, RateLimited):
            return
        self.peak = max(self.peak, in_flight)
        self.calls += 1
        self.latency_s += latency_s
        if isinstance(end, Response) and end.usage is not None:
            self.input_tokens += end.usage.input_tokens
            self.output_tokens += end.usage.output_tokens

    def told(self, name: str) -> None:
        """The provider named a limit that was not known, or was another."""
        self._told[name] = self._told.get(name, 0) + 1

    def changed(self, view: LimitsView) -> bool:
        """Did a limit change while it was in force? `view`: as they stand now."""
        now = {limit.name: limit for limit in view.limits}
        for name in NAMES:
            given, present = getattr(self._spec, name), now.get(name)
            if given is not None and (present is None or present.value != given):
                return True
            if present is not None and (present.source == "control" or self._told.get(name, 0) > 1):
                return True
        return False

    def bound(self, view: LimitsView) -> Bound | None:
        """The shortest time for what was done; None: nothing was, or limits changed meanwhile."""
        if not self.calls or self.changed(view):
            return None
        now = {limit.name: limit.value for limit in view.limits}
        in_force = {name: now.get(name) for name in NAMES}
        spec = replace(self._spec, concurrency=self._places(view), **in_force)
        return bound_of(spec, self._load(), found=self._told)

    def _places(self, view: LimitsView) -> int:
        """Calls in flight that were allowed, or the most there were where that number has moved."""
        allowed = next(limit.value for limit in view.limits if limit.name == "concurrency")
        return self._spec.concurrency if allowed == self._spec.concurrency else max(self.peak, 1)

    def _load(self) -> Load:
        return Load(
            requests=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            latency_s=self.latency_s / self.calls,
            chain_s=0.0,
        )
