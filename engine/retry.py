"""What to do about an error: the only place that decides it. Pure.

The class of the error is the policy; no status code is looked at. A wait that the provider told is
kept (plus a little, so that a crowd does not return at once) and costs no attempt; without one it is
full jitter: uniform between 0 and min(cap, base · 2^n). Source: AWS Architecture Blog, "Exponential
Backoff And Jitter".
"""

from __future__ import annotations

import random

from data.errors import CallError, RateLimited, Retryable
from data.schema import Struct

BASE_S = 1.0
CAP_S = 60.0
FLOOR_S = 0.05
"""No retry comes sooner than this, whatever the dice say."""
LONGEST_TOLD_S = 900.0
"""A longer wait than this is not sat out: the trial fails now and the next run tries it again."""
TOLD_LIMIT = 50
"""How often one trial follows a told wait before it gives up."""


class Tries(Struct, frozen=True):
    """What a trial has been through: failed exchanges that count, and waits that were told."""

    failed: int = 0
    told: int = 0

    @property
    def exchanges(self) -> int:
        return self.failed + self.told


class Again(Struct, frozen=True):
    """Try again after `wait_s` seconds."""

    wait_s: float
    tries: Tries


def decide(error: CallError, tries: Tries, attempts: int, dice: random.Random) -> Again | None:
    """Again, or None: give up. `attempts` is how many exchanges may fail in all."""
    if not isinstance(error, Retryable):
        return None
    told = error.retry_after_s
    if told is not None:
        return _told(told, tries, dice)
    if isinstance(error, RateLimited):  # busy, not broken: patience costs nothing
        after = Tries(tries.failed, tries.told + 1)
        return Again(_jitter(after.told, dice), after) if after.told < TOLD_LIMIT else None
    after = Tries(tries.failed + 1, tries.told)
    return Again(_jitter(after.failed, dice), after) if after.failed < attempts else None


def _told(wait_s: float, tries: Tries, dice: random.Random) -> Again | None:
    after = Tries(tries.failed, tries.told + 1)
    if wait_s > LONGEST_TOLD_S or after.told >= TOLD_LIMIT:
        return None
    return Again(max(wait_s, FLOOR_S) + dice.uniform(0, min(1.0, 0.1 * wait_s)), after)


def _jitter(n: int, dice: random.Random) -> float:
    return max(FLOOR_S, dice.uniform(0, min(CAP_S, BASE_S * 2.0**n)))
