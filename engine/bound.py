"""The shortest time in which a sweep could be done, whatever the engine does. Pure.

Per account, the largest of

    requests / requests per minute      tokens / tokens per minute (input, output, both)
    Σ latency / calls in flight         the longest chain: one answer, then one judgment

and for the sweep the largest of its accounts. The one that is largest is named: it is what to buy.
"""

from __future__ import annotations

from collections.abc import Iterable

from data.schema import ProviderSpec, Struct


class Load(Struct, frozen=True, kw_only=True):
    """What one account has to do."""

    requests: int
    input_tokens: float
    output_tokens: float
    latency_s: float
    """Mean time of one call."""
    chain_s: float
    """The longest chain of calls that follow one another."""


class Bound(Struct, frozen=True):
    """A lower bound in seconds, and the constraint that makes it."""

    account: str
    seconds: float
    constraint: str


def bound_of(spec: ProviderSpec, load: Load) -> Bound:
    """The largest of an account's own bounds."""
    candidates = [
        (load.requests * load.latency_s / spec.concurrency, f"calls in flight {spec.concurrency}"),
        (load.chain_s, "one answer, then its judgment"),
    ]
    tokens = load.input_tokens + load.output_tokens
    per_minute = (
        (spec.rpm, load.requests, "requests/min"),
        (spec.tpm, tokens, "tokens/min"),
        (spec.input_tpm, load.input_tokens, "input-tokens/min"),
        (spec.output_tpm, load.output_tokens, "output-tokens/min"),
    )
    for limit, amount, name in per_minute:
        if limit:
            # The first minute's budget is spread over its minute: nothing is free at the start.
            candidates.append((60.0 * amount / limit, f"{name} {limit:g}"))
    if spec.rpd and load.requests > spec.rpd:
        days = load.requests / spec.rpd - 1
        candidates.append((86400.0 * days, f"requests/day {spec.rpd:g}"))
    seconds, constraint = max(candidates)
    return Bound(spec.name, seconds, constraint)


def slowest(bounds: Iterable[Bound]) -> Bound | None:
    """The account that decides."""
    return max(bounds, key=lambda bound: bound.seconds, default=None)
