"""Why every waiting trial waits, and until when as far as that is known, in a few lines. Pure.

A trial that is not finished is in exactly one of these places, so the counts add up to what remains:

    in flight     a call is on its way
    ready         in its provider's backlog; the accounts there say what holds them up
    later         it failed and is tried again at a known time
    stopped       its account or model is asked no more in this session
    elsewhere     not admitted yet: its turn, or the answer that it needs, has not come
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from data.schema import Struct
from engine.accounts import Pool
from engine.events import Progress
from engine.forecast import remaining


class Waiting(Struct, frozen=True):
    """`count` trials wait for the same thing. `until_s`: seconds from now; None: not known."""

    count: int
    where: str
    """An account or provider; empty: the run as a whole."""
    why: str
    until_s: float | None = None


def why_waiting(progress: Progress, pools: Iterable[Pool], now: float) -> tuple[Waiting, ...]:
    """All groups of unfinished trials. `now`: the loop's clock."""
    found = [group for pool in pools for group in _of_pool(pool, now)]
    stopped = {view.name: view.stopped for view in progress.accounts if view.stopped}
    for row in progress.models:
        reason = row.stopped or stopped.get(row.account, "")
        if reason and remaining(row):
            found.append(Waiting(remaining(row), row.name, f"stopped: {reason}"))
    placed = sum(group.count for group in found)
    rest = sum(map(remaining, progress.models)) - placed
    if rest > 0:
        found.append(Waiting(rest, "", "their turn, or the answers that they need"))
    return tuple(found)


def _of_pool(pool: Pool, now: float) -> Sequence[Waiting]:
    """What is in one provider's hands."""
    found = [
        Waiting(account.in_flight, account.name, "a reply")
        for account in pool.accounts
        if account.in_flight
    ]
    if ready := pool.backlog.ready:
        why, until_s = _held_up(pool, now)
        found.append(Waiting(ready, pool.spec.name, why, until_s))
    later = pool.backlog.later
    if later:
        first = min(due for due, _ in later)
        kinds = dict.fromkeys(job.trouble for _, job in sorted(later, key=lambda pair: pair[0]))
        why = f"another try after {', '.join(kinds)}"
        found.append(Waiting(len(later), pool.spec.name, why, max(0.0, first - now)))
    return found


def _held_up(pool: Pool, now: float) -> tuple[str, float | None]:
    """What the next ready job of a pool waits for: the account that will be free first."""
    reasons = [account.held_up(now) for account in pool.accounts if account.stopped is None]
    known = [reason for reason in reasons if reason[0]]
    if not known:
        return "a free place", None
    return min(known, key=lambda reason: math.inf if reason[1] is None else reason[1])
