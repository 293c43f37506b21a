"""What more of a limit would bring: the same rehearsal again, the binding account's limits raised.

Three kinds: one more (a minute, or in flight), twice the limit that binds, and one more key, which shares
the work and has the same limits again. Calls in flight are doubled too, since no rate is reached with too
few of them. Each is a whole rehearsal, so what becomes the next bottleneck is counted in. A provider with
several accounts is raised as a whole.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeAlias, TypeVar

from data.catalog import accounts_of
from data.codec import replace
from data.schema import AccountSpec, ProviderSpec, Struct
from engine.config import Loaded, Selection
from engine.limits import WORDS
from engine.rehearsal import AccountUse, Rehearsal, rehearse
from engine.standins import LIMITS, Assumed, as_limited


class Variation(Struct, frozen=True):
    """A provider with higher limits, or with one more key."""

    provider: str
    name: str
    """What was done, such as "rpm x2"."""
    limit: str = ""
    """Which limit is raised; empty: none, a key comes in."""
    factor: float = 1.0
    plus: float = 0.0

    def raised(self, value: float) -> float:
        """The limit's new value."""
        return value * self.factor + self.plus


class Saving(Struct, frozen=True):
    """What a variation brought. Virtual seconds; negative: it took longer."""

    variation: Variation
    limits: dict[str, float]
    """Those of all the provider's accounts together, as they are then."""
    duration_s: float
    saves_s: float
    then: AccountUse
    """What binds instead, or still."""


Job: TypeAlias = tuple[Loaded, Selection, Assumed, float]


def what_if(
    loaded: Loaded,
    selection: Selection,
    assumed: Assumed,
    base: Rehearsal,
    *,
    now_s: float,
    workers: int = 1,
) -> list[Saving]:
    """Rehearse each variation of the binding account, in so many processes; the best one first."""
    variations = variations_of(loaded, base)
    sweeps = [varied(loaded, variation) for variation in variations]
    ends = _rehearsed([(sweep, selection, assumed, now_s) for sweep in sweeps], workers)
    savings = [
        Saving(
            variation,
            limits_of(_provider(sweep, variation.provider)),
            end.duration_s,
            base.duration_s - end.duration_s,
            end.accounts[0],
        )
        for variation, sweep, end in zip(variations, sweeps, ends, strict=True)
    ]
    return sorted(savings, key=lambda saving: saving.duration_s)


def variations_of(loaded: Loaded, base: Rehearsal) -> list[Variation]:
    """Those of the binding account that are worth a rehearsal."""
    use = base.accounts[0]
    binding = _limit_in(use.binding)
    ideas = [Variation(use.provider, f"{binding} x2", binding, factor=2)]
    if binding in ("rpm", "concurrency"):
        ideas.append(Variation(use.provider, f"{binding} +1", binding, plus=1))
    if binding != "concurrency":
        ideas.append(Variation(use.provider, "concurrency x2", "concurrency", factor=2))
    if set(limits_of(_provider(loaded, use.provider))) == {"concurrency"}:
        return [replace(ideas[0], name="concurrency x2, or one more key"), *ideas[1:]]
    return [*ideas, Variation(use.provider, "one more key")]


def varied(loaded: Loaded, variation: Variation) -> Loaded:
    """The sweep with that provider's limits raised, its simulator's included, or with one more key."""
    providers = tuple(
        _varied(spec, variation) if spec.name == variation.provider else spec
        for spec in loaded.sweep.providers
    )
    return replace(loaded, sweep=replace(loaded.sweep, providers=providers))


def limits_of(provider: ProviderSpec) -> dict[str, float]:
    """Of all accounts together; what an account has no limit for is left out."""
    accounts = [as_limited(account) for account in accounts_of(provider)]
    named = {name: [getattr(account, name) for account in accounts] for name in LIMITS}
    return {name: sum(values) for name, values in named.items() if None not in values}


def _varied(spec: ProviderSpec, variation: Variation) -> ProviderSpec:
    if not variation.limit:
        return replace(spec, accounts=(*(spec.accounts or (AccountSpec(),)), AccountSpec()))
    limit = variation.limit
    return replace(
        _raised(spec, variation),
        accounts=tuple(_raised(own, variation) for own in spec.accounts),
        options={
            name: math.ceil(variation.raised(value)) if name == limit and value else value
            for name, value in spec.options.items()
        },
    )


Limited = TypeVar("Limited", ProviderSpec, AccountSpec)


def _raised(spec: Limited, variation: Variation) -> Limited:
    value = getattr(spec, variation.limit)
    if value is None:
        return spec
    new: Any = type(value)(variation.raised(value))  # calls in flight are whole
    return replace(spec, **{variation.limit: new})


def _provider(loaded: Loaded, name: str) -> ProviderSpec:
    return next(spec for spec in loaded.sweep.providers if spec.name == name)


def _limit_in(constraint: str) -> str:
    """The limit's name in a constraint of `engine/bound.py`, such as "requests/min 60"."""
    named = (name for name, words in WORDS.items() if constraint.startswith(words))
    return next(named, "concurrency")


# --- in processes of their own -----------------------------------------------------------------


def _rehearsed(jobs: Sequence[Job], workers: int) -> list[Rehearsal]:
    if workers <= 1 or len(jobs) <= 1:
        return [_rehearse(job) for job in jobs]
    with ProcessPoolExecutor(min(workers, len(jobs)), initializer=_die_quietly) as pool:
        return list(pool.map(_rehearse, jobs))


def _rehearse(job: Job) -> Rehearsal:
    loaded, selection, assumed, now_s = job
    return rehearse(loaded, selection, assumed, now_s=now_s)


def _die_quietly() -> None:
    """Ctrl-C reaches every process of a terminal: the first one says so, the others just end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
