"""What the figures of a rehearsal stand on: what was assumed, and what nobody could know. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from data.prices import price_of
from data.schema import JudgeSpec, ModelSpec
from data.text import printable
from engine import figures
from engine.budget import Stage
from engine.config import Loaded
from engine.estimate import MIDDLE, Vocabulary
from engine.expectation import VERDICT
from engine.rehearsal import Rehearsal
from engine.standins import LATENCY_S, Assumed

NAMED = 4
"""Names that are told; the others are counted."""
REASONS = 3
"""Different reasons of failures that are told."""


def caveats(loaded: Loaded, assumed: Assumed, end: Rehearsal, on: date) -> tuple[str, ...]:
    """One sentence each, the gravest first. `on` decides which prices hold."""
    return (
        *_failures(end),
        *_limits(end),
        *_replies(assumed, end),
        *_prices(loaded, on),
        "every trial counts as not yet bought: no cache and no earlier run takes part",
    )


def _failures(end: Rehearsal) -> Iterator[str]:
    for reason, count in end.errors[:REASONS]:
        yield f"failed: {count:,} x {printable(reason, 120)}"


def _limits(end: Rehearsal) -> Iterator[str]:
    unlimited = [use.name for use in end.accounts if use.unlimited]
    if unlimited:
        yield f"no rate limit given for {_some(unlimited)}: the rehearsal cannot know it"


def _replies(assumed: Assumed, end: Rehearsal) -> Iterator[str]:
    """Where times and lengths come from."""
    by_source: dict[str, list[str]] = {}
    for use in end.accounts:
        by_source.setdefault(use.latency_source, []).append(use.name)
    if "given" in by_source:
        yield f"a reply of 200 tokens takes {assumed.latency_s:g} s (median), as you said"
    for name in by_source.get("measured", ()):
        pace = assumed.measured[name]
        yield (
            f"{printable(name)}: times as of {pace.replies:,} replies of the earlier run"
            f" (median {pace.latency_s:.1f} s for 200 tokens)"
        )
    if "assumed" in by_source:
        yield (
            f"a reply of 200 tokens is assumed to take {LATENCY_S:g} s (median; --latency) at"
            f" {_some(by_source['assumed'])}"
        )
    if by_source.keys() != {"simulator"}:
        yield _lengths(assumed)
    if assumed.error_rate:
        yield f"{assumed.error_rate:.1%} of all requests fail, as you said"


def _lengths(assumed: Assumed) -> str:
    if assumed.seen is not None:
        return "lengths are learned from the earlier run, as `plan` learns them"
    verdict = Vocabulary(MIDDLE, MIDDLE).tokens(VERDICT)
    return (
        "answers are assumed to be nearly as long as the reference answers, verdicts"
        f" {verdict:.0f} tokens, as `plan` assumes"
    )


def _prices(loaded: Loaded, on: date) -> Iterator[str]:
    """Who has no price, and who has one in a currency without a rate."""
    unknown: list[str] = []
    foreign: dict[str, list[str]] = {}
    for stage, party in _parties(loaded):
        spec = next(p for p in loaded.sweep.providers if p.name == party.provider)
        price = price_of(spec, party.model, own=loaded.terms.own.get((stage, party.name)), on=on)
        if price is None:
            unknown.append(party.name)
        elif not loaded.terms.exchange.knows(price.currency):
            foreign.setdefault(price.currency, []).append(party.name)
    if unknown:
        yield f"no price is known for {_some(unknown)}"
    for currency, names in foreign.items():
        yield f"no exchange rate for {currency}, which {_some(names)} cost: [exchange] {currency} = …"


def _parties(loaded: Loaded) -> Iterator[tuple[Stage, ModelSpec | JudgeSpec]]:
    for model in loaded.sweep.models:
        yield "generate", model
    for judge in loaded.sweep.judges:
        yield "judge", judge


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    shown = [printable(name, 40) for name in dict.fromkeys(names)]
    more = len(shown) - NAMED
    return ", ".join(shown[:NAMED]) + (f" and {figures.count(more)} more" if more > 0 else "")
