"""What a 429 is about that does not say: a rate, or the calls in flight? Pure.

An account with so many places for calls refuses one only while all of them are taken. So a refusal while
clearly fewer calls were being served than the account has served at a time before speaks of a rate, and
so does one while none was. Any other may be about places, and is taken for it: that costs no pause.

Rules. Both counts leave out what was refused meanwhile: served with a call are those still in flight
when it ends, and those answered since it went out; no more have stood than were in flight when an
answered call went out. What was sent before a refusal that spoke of a rate belongs to its burst. Where a
rate has been learned already, fewer is enough: whatever has stood before. Places may become fewer, too: a
second refusal soon after the first lowers what is believed to have stood, until it is about places again.
"""

from __future__ import annotations

import math
from typing import Final

CLEARLY: Final = 0.8
"""The share of what has stood below which a refusal cannot be about places: the two counts are taken
here, not where the calls are served, so they may be off by a few."""
SOON_S: Final = 15.0


class Silence:
    """Reads the 429s of one account. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._stood = 0
        self._said_at = -math.inf
        """When a refusal last spoke of a rate."""

    def __repr__(self) -> str:
        return f"<Silence {self._stood} have stood>"

    def answered(self, level: int) -> None:
        """A call was answered that was one of `level` in flight."""
        self._stood = max(self._stood, level)

    def speaks_of_rate(self, served: int, now: float, *, sent_at: float, paced: bool) -> bool:
        """A call was refused while `served` others were being served. `paced`: a rate was learned."""
        if sent_at <= self._said_at:
            return True
        if served > 0 and served + 1 > (1.0 if paced else CLEARLY) * self._stood:
            return False
        if served > 0 and now - self._said_at < SOON_S:
            self._stood = served
        self._said_at = now
        return True
