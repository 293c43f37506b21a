"""The shortest time in which a sweep could be done, whatever the engine does. Pure.

Per account, the largest of

    requests / requests per minute      tokens / tokens per minute (input, output, both)
    Σ latency / calls in flight         the longest chain: one answer, then one judgment
    whole days of requests per day

and for the sweep the largest of its providers. The one that is largest is named: it is what to buy.
Several accounts of one provider share its work, so what they allow adds up (`together`).
What a limit lets go at once is free, one call or a second's worth; the rest of a minute's budget is
spread over its minute, as docs/contracts.md has it. Of a limit that was found on the way, a whole
minute's worth is free: nobody spread it before. The first calls of a day may all go at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator

from data.catalog import accounts_of
from data.codec import replace
from data.schema import ProviderSpec, Struct
from engine.limits import WORDS
from engine.workload import Figure, Share, Workload


class Load(Struct, frozen=True, kw_only=True):
    """What one account has to do."""

    requests: int
    input_tokens: float
    output_tokens: float
    latency_s: float
    """Mean time of one call."""
    chain_s: float
    """The longest chain of calls that follow one another; 0: unknown."""
    assumed: bool = False
    """No call was timed: both times are assumed."""


class Bound(Struct, frozen=True):
    """A lower bound in seconds, and the constraint that makes it."""

    account: str
    seconds: float
    constraint: str
    assumed: bool = False
    """It rests on an assumed latency, so it is no more than a guess."""


def bounds_of(
    workload: Workload, providers: Iterable[ProviderSpec], *, figure: Figure = "low"
) -> list[Bound]:
    """A bound for each provider that has something to send, in their order.

    With "low" no more tokens are counted than will hardly be undercut, so that it stays a bound;
    "likely" is the best guess of the same.
    """
    return [
        bound_of(together(spec), load_of(workload, spec, figure))
        for spec in providers
        if any(share.to_send for share in workload.of(spec))
    ]


def load_of(workload: Workload, spec: ProviderSpec, figure: Figure) -> Load:
    """What one provider's account has to do."""
    shares = [share for share in workload.of(spec) if share.to_send]
    requests = sum(share.calls(figure) for share in shares)
    return Load(
        requests=requests,
        input_tokens=sum(share.input.at(figure) for share in shares),
        output_tokens=sum(share.output.at(figure) for share in shares),
        latency_s=sum(share.latency_s.at(figure) * share.calls(figure) for share in shares)
        / max(requests, 1),
        chain_s=max((_chain_s(s, workload.shares, figure) for s in shares), default=0.0),
        assumed=not all(share.latency_seen for share in shares),
    )


def bound_of(spec: ProviderSpec, load: Load, *, found: Collection[str] = ()) -> Bound:
    """The largest of an account's own bounds. `found`: limits that were not known from the start."""
    seconds, constraint, assumed = max(_candidates(spec, load, found))
    return Bound(spec.name, seconds, constraint, assumed)


def together(spec: ProviderSpec) -> ProviderSpec:
    """The provider with what all its accounts allow; a limit that one of them lacks is none."""
    own = accounts_of(spec)
    summed = {
        name: sum(limits) if all(limits := [getattr(account, name) for account in own]) else None
        for name in WORDS
    }
    return replace(spec, concurrency=sum(account.concurrency for account in own), **summed)


def slowest(bounds: Iterable[Bound]) -> Bound | None:
    """The account that decides."""
    return max(bounds, key=lambda bound: bound.seconds, default=None)


def limited(spec: ProviderSpec) -> bool:
    """Is any limit known but that of calls in flight?"""
    return any((spec.rpm, spec.tpm, spec.input_tpm, spec.output_tpm, spec.rpd))


def _candidates(
    spec: ProviderSpec, load: Load, found: Collection[str]
) -> Iterator[tuple[float, str, bool]]:
    """Seconds, constraint, and whether a latency was assumed for it."""
    in_flight_s = load.requests * load.latency_s / spec.concurrency
    yield in_flight_s, f"calls in flight {spec.concurrency}", load.assumed
    yield load.chain_s, "one answer, then its judgment", load.assumed
    amounts = {
        "rpm": load.requests,
        "tpm": load.input_tokens + load.output_tokens,
        "input_tpm": load.input_tokens,
        "output_tpm": load.output_tokens,
    }
    for name, amount in amounts.items():
        limit = getattr(spec, name)
        if limit and load.requests:
            free_s = 60.0 if name in found else 1.0
            calls_at_once = max(len(spec.accounts), 1)
            at_once = max(calls_at_once * amount / load.requests, limit * free_s / 60.0)
            seconds = 60.0 * max(amount - at_once, 0.0) / limit
            yield seconds, f"{WORDS[name]} {limit:.12g}", False
    if spec.rpd and load.requests:
        days = math.ceil(load.requests / spec.rpd) - 1
        yield 86_400.0 * days, f"{WORDS['rpd']} {spec.rpd:.12g}", False


def _chain_s(share: Share, shares: Iterable[Share], figure: Figure) -> float:
    """One conversation of this share, and then its judgment."""
    own_s = share.latency_s.at(figure) * share.turns
    if share.stage == "judgments":
        return own_s
    judges = (other for other in shares if other.stage == "judgments" and other.to_send)
    return own_s + max((judge.latency_s.at(figure) for judge in judges), default=0.0)
