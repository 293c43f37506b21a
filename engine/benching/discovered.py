"""What is known of accounts' limits, who said so, and when.

Three kinds of sources: the sweep file; what providers told in headers and in the bodies of 429s; what was
learned from 429s that told nothing. The last two stand in journals, of runs and of benchmarks alike, since
both go through the same limiter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from data.catalog import accounts_of
from data.schema import Limit, ProviderSpec, Struct
from engine.limits import WORDS, Limits
from engine.rundir import records

JOURNAL = "journal.jsonl"


class LimitFound(Struct, frozen=True, kw_only=True):
    """One limit of one account. Names: rpm, tpm, input_tpm, output_tpm, rpd, concurrency, pace.

    `pace` is the rate a minute that went through after 429s which named none.
    """

    account: str
    name: str
    value: float
    source: str
    """sweep file, headers, 429 body, learned, control (set by hand)."""
    found_s: float | None = None
    """Seconds since the epoch; None: it is as it stands now."""
    where: str = ""
    """The run or benchmark that met it."""


def known_limits(limits: Limits, now: float) -> Iterator[tuple[str, float, str]]:
    """(name, value, source) of what is known now beyond the sweep file."""
    for view in limits.statistics(now).limits:
        if view.name != "concurrency" and view.source != "sweep file" and view.value is not None:
            yield view.name, view.value, view.source
    places = limits.controller.statistics()
    if places.ceiling is not None:
        yield "concurrency", float(places.ceiling), "429 body" if places.told else "learned"


def latest_limits(found: Iterable[Limit], where: str = "") -> tuple[LimitFound, ...]:
    """The latest word of each source on each limit."""
    latest = {(limit.account, limit.name, limit.source): limit for limit in found}
    return tuple(
        LimitFound(
            account=limit.account,
            name=limit.name,
            value=limit.value,
            source=limit.source,
            found_s=limit.t_s,
            where=where,
        )
        for limit in latest.values()
    )


def written(providers: Sequence[ProviderSpec]) -> Iterator[LimitFound]:
    """What the sweep file says (or the preset that it names)."""
    for provider in providers:
        for account in accounts_of(provider):
            for name in (*WORDS, "concurrency"):
                value = getattr(account, name)
                if value is not None:
                    yield LimitFound(
                        account=account.name, name=name, value=float(value), source="sweep file"
                    )


def gathered(providers: Sequence[ProviderSpec], folders: Iterable[Path]) -> list[LimitFound]:
    """Written and met: account by account, limit by limit, the newest first.

    `folders`: runs and benchmarks of this sweep. Raises JournalDamaged.
    """
    found = list(written(providers))
    for folder in folders:
        if (folder / JOURNAL).exists():
            met = (r for r in records(folder, kinds=("limit",)) if isinstance(r, Limit))
            found += latest_limits(met, folder.name)
    order = {(a.name): i for i, a in enumerate(a for p in providers for a in accounts_of(p))}
    return sorted(
        (limit for limit in found if limit.account in order),
        key=lambda limit: (order[limit.account], limit.name, -(limit.found_s or 0.0)),
    )
