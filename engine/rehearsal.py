"""A whole sweep before a cent is spent: the engine itself, on virtual time, against stand-ins.

What runs is `conduct`: the same scheduling, pacing, retries, budget, judging and journal as for money.
Only two things differ: simulators play the providers (`engine/standins.py`), and time jumps. So hours
pass in seconds, no socket is opened and no key is read. The run's folder is gone as soon as the session
has opened its files, so nothing is left behind, however it ends. No response cache takes part: every
trial counts as not yet bought.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from data.catalog import accounts_of
from data.errors import OverBudget, StorageError
from data.schema import ProviderSpec, Struct
from engine.bootstrap import Outcome, Outside, conduct
from engine.bound import Load, bound_of
from engine.budget import Statistics
from engine.config import Loaded, Selection
from engine.events import Event, Stopped
from engine.plan import Plan
from engine.runtime import run as run_loop
from engine.session import Session
from engine.standins import RATES, Asked, Assumed, Source, Troupe, as_limited, staged
from engine.streams import Options

BYTES_PER_TRIAL = 3000
"""Room in the journal, generously."""
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: there fdatasync costs nothing."""


class AccountUse(Struct, frozen=True, kw_only=True):
    """What one account had to do, and how busy that kept the limit that binds it."""

    name: str
    """NAME, or NAME#1 where a provider has several."""
    provider: str
    requests: int
    """Those refused with 429 included."""
    rejected: int
    input_tokens: int
    output_tokens: int
    latency_s: float | None
    """Mean of a reply; None: there was none."""
    latency_source: Source
    binding: str
    """The limit that its work needs most time for, such as "requests/min 60"."""
    busy: float
    """That time as a share of the whole duration, 0 to 1."""
    unlimited: bool
    """No rate limit is named for it: a rehearsal cannot know any."""


class Rehearsal(Struct, frozen=True, kw_only=True):
    """What a rehearsal came to. Times are virtual seconds since its start."""

    state: Literal["complete", "partial", "budget", "interrupted"]
    duration_s: float
    trials: int
    failed: int
    pending: int
    """Never reached, because money ran out."""
    requests: int
    rejected: int
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    """Money, estimated worst cases of lost replies included; None: no call has a known price."""
    spent: Statistics
    accounts: tuple[AccountUse, ...]
    """Busiest first: the first one's binding limit is that of the sweep."""
    errors: tuple[tuple[str, int], ...] = ()
    """Why trials failed, with how many, most frequent first."""
    broke: str = ""
    """The ceiling that was reached, in words."""
    broke_s: float | None = None
    """When it first stopped somebody."""


def rehearse(loaded: Loaded, selection: Selection, assumed: Assumed, *, now_s: float) -> Rehearsal:
    """The selection of a sweep on virtual time. `now_s` (epoch seconds) decides which prices hold.

    Raises ConfigError where a budget lacks a price, StorageError where the journal finds no room.
    """
    simulated = {provider.name for provider in loaded.sweep.providers if provider.simulated}
    stage, troupe, stops = staged(loaded, assumed), Troupe(assumed, simulated), _FirstStop()
    with _scratch(_trials(loaded, selection) * BYTES_PER_TRIAL) as scratch:

        def vanish(session: Session) -> None:
            """The session holds its files open: nothing of it needs a name any more."""
            shutil.rmtree(scratch, ignore_errors=True)

        outside = Outside(
            env={},
            cache_path=None,
            now_s=now_s,
            view=None,
            stops=vanish,
            transports=troupe.transports,
            virtual=True,
            hear=stops,
        )
        options = Options(folder=scratch / "run", selection=selection)

        async def session() -> Outcome:
            return await conduct(stage, options, outside)

        outcome = run_loop(session, virtual=True)
    if outcome.trouble:  # figures of a part would pass for those of the whole
        raise StorageError(outcome.trouble)
    asked = troupe.asked()
    uses = [
        _use(account, provider.name, asked[account.name], outcome, assumed.source(provider))
        for provider, staged_one in zip(loaded.sweep.providers, stage.sweep.providers, strict=True)
        for account in accounts_of(staged_one)
        if account.name in asked
    ]
    return _summed_up(outcome, uses, stops.at_s)


class _FirstStop:
    """Hears when the budget first stopped somebody."""

    def __init__(self) -> None:
        self.at_s: float | None = None

    def __call__(self, event: Event) -> None:
        if self.at_s is None and isinstance(event, Stopped) and event.error == OverBudget.__name__:
            self.at_s = asyncio.get_running_loop().time()


def _trials(loaded: Loaded, selection: Selection) -> int:
    """At most so many, as far as items are chosen."""
    plan = Plan(loaded.sweep, loaded.benchmark)
    return math.ceil(len(plan) * len(selection.items) / max(len(plan.items), 1))


@contextmanager
def _scratch(room: int) -> Iterator[Path]:
    """A folder for the run: in memory if there is room, else where temporary files go."""
    at_once = (os.cpu_count() or 1) + 1  # variations are rehearsed side by side
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > at_once * room
    with tempfile.TemporaryDirectory(
        prefix="alignsweep-rehearsal-",
        dir=MEMORY if in_memory else None,
        ignore_cleanup_errors=True,
    ) as scratch:
        yield Path(scratch)


# --- what it came to ---------------------------------------------------------------------------


def _use(
    account: ProviderSpec, provider: str, asked: Asked, outcome: Outcome, source: Source
) -> AccountUse:
    counts, duration_s = asked.counts, outcome.progress.elapsed_s
    rejected = counts.by_status.get("429", 0)
    answered = counts.requests - rejected
    latency_s = asked.busy_s / answered if answered else None
    load = Load(
        requests=answered,
        input_tokens=counts.input_tokens,
        output_tokens=counts.output_tokens,
        latency_s=latency_s or 0.0,
        chain_s=0.0,  # whose chain is the longest is not seen from an account
    )
    limited = as_limited(account)
    bound = bound_of(limited, load)
    return AccountUse(
        name=account.name,
        provider=provider,
        requests=counts.requests,
        rejected=rejected,
        input_tokens=counts.input_tokens,
        output_tokens=counts.output_tokens,
        latency_s=latency_s,
        latency_source=source,
        binding=bound.constraint,
        busy=min(bound.seconds / duration_s, 1.0) if duration_s else 0.0,
        unlimited=all(getattr(limited, name) is None for name in RATES),
    )


def _summed_up(outcome: Outcome, uses: list[AccountUse], broke_s: float | None) -> Rehearsal:
    rejected = sum(use.rejected for use in uses)  # free, whatever the price is
    total = outcome.spent.total
    priced = total.booked or total.calls - rejected > total.unpriced
    unknown = total.unpriced or outcome.spent.others  # or in a currency of its own
    return Rehearsal(
        state=outcome.state,
        duration_s=outcome.progress.elapsed_s,
        trials=outcome.progress.planned,
        failed=outcome.failed,
        pending=outcome.pending,
        requests=sum(use.requests for use in uses),
        rejected=rejected,
        input_tokens=sum(use.input_tokens for use in uses),
        output_tokens=sum(use.output_tokens for use in uses),
        cost_nano=total.booked if priced or not unknown else None,
        spent=outcome.spent,
        accounts=tuple(sorted(uses, key=lambda use: -use.busy)),
        errors=outcome.progress.errors,
        broke=outcome.broke,
        broke_s=broke_s,
    )
