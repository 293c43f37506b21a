"""What to do about an error: the only place that decides it. Pure.

The class of the error is the policy; no status code is looked at. Being limited (429) costs no
attempt; a broken provider or line does. A wait that the provider told is kept (plus a little, so that
a crowd does not return at once); without one it is full jitter: uniform between 0 and
min(cap, base · 2^n). Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
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
"""How often one trial is limited before it gives up."""


class Tries(Struct, frozen=True):
    """What a trial has been through: failed exchanges that count, and 429s, which do not."""

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
    if isinstance(error, RateLimited):  # busy, not broken: patience costs nothing
        after = Tries(tries.failed, tries.told + 1)
        n, enough = after.told, after.told >= TOLD_LIMIT
    else:
        after = Tries(tries.failed + 1, tries.told)
        n, enough = after.failed, after.failed >= attempts
    told_s = error.retry_after_s
    if enough or (told_s is not None and told_s > LONGEST_TOLD_S):
        return None
    return Again(_jitter(n, dice) if told_s is None else _told(told_s, dice), after)


def _told(wait_s: float, dice: random.Random) -> float:
    return max(wait_s, FLOOR_S) + dice.uniform(0, min(1.0, 0.1 * wait_s))


def _jitter(n: int, dice: random.Random) -> float:
    return max(FLOOR_S, dice.uniform(0, min(CAP_S, BASE_S * 2.0**n)))
