"""The providers of a rehearsal: for each account of a sweep, a simulator with the limits of the sweep file.

A stand-in has the limits that the sweep file names and no others. It keeps its provider's address (prices
belong to it) and what that makes of parameters, and loses keys, certificates and proxies, so none can be
asked for. It speaks the simulator's own dialect, whole. It says when to come back after a 429 and nothing
else, since headers would only repeat what the sweep file says. A sweep's own embedded simulators
stay as they are, but for what was asked for expressly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal

from data.catalog import accounts_of, is_embedded
from data.codec import replace
from data.schema import ProviderSpec, Struct
from engine.config import Loaded
from engine.expectation import FIRST_TOKEN_S, TOKENS_PER_S, Seen
from engine.script import script_for
from providers.simulator import (
    TYPICAL_TOKENS,
    SimStatistics,
    SimulatorTransport,
    sim_options,
    simulator_for,
)
from providers.understudy import Understudy
from providers.wire import Transport

LATENCY_S = FIRST_TOKEN_S + TYPICAL_TOKENS / TOKENS_PER_S
"""Median of a reply of 200 tokens where nobody knows better: what `plan` assumes, too."""
LATENCY_SPREAD = 0.5
RATES = ("rpm", "tpm", "input_tpm", "output_tpm", "rpd")
LIMITS = (*RATES, "concurrency")
Source = Literal["given", "measured", "assumed", "simulator"]
"""Where the time of a reply comes from: asked for, an earlier run, our default, the sweep file."""


class Pace(Struct, frozen=True):
    """How a provider was seen to answer (`engine/measured.py`)."""

    latency_s: float
    """Median of a reply of 200 tokens; longer ones take longer."""
    spread: float
    """Sigma of the log-normal."""
    replies: int


class Assumed(Struct, frozen=True, kw_only=True):
    """What a rehearsal takes for granted. None: what was measured, else the default."""

    seed: int | None = None
    latency_s: float | None = None
    error_rate: float | None = None
    measured: Mapping[str, Pace] = {}
    """By provider."""
    seen: Seen | None = None
    """Replies of an earlier run: lengths are learned from them."""

    def source(self, spec: ProviderSpec) -> Source:
        """Where this provider's time of a reply comes from."""
        if self.latency_s is not None:
            return "given"
        if is_embedded(spec):
            return "simulator"
        return "measured" if spec.name in self.measured else "assumed"


def staged(loaded: Loaded, assumed: Assumed) -> Loaded:
    """The same sweep with stand-ins for its providers."""
    providers = tuple(_stand_in(spec, assumed) for spec in loaded.sweep.providers)
    return replace(loaded, sweep=replace(loaded.sweep, providers=providers))


def _stand_in(spec: ProviderSpec, assumed: Assumed) -> ProviderSpec:
    asked = {"seed": assumed.seed, "latency_s": assumed.latency_s, "error_rate": assumed.error_rate}
    told = {name: value for name, value in asked.items() if value is not None}
    if is_embedded(spec):
        return replace(spec, options={**spec.options, **told})
    pace = assumed.measured.get(spec.name) or Pace(LATENCY_S, LATENCY_SPREAD, 0)
    return replace(
        spec,
        api="openai-chat",
        api_key_env="",
        api_key_file="",
        headers={},
        stream=False,
        path="",
        query={},
        auth="",
        errors="",
        rules=(),
        ca_file="",
        proxy="",
        simulated=True,
        options={
            "latency_s": pace.latency_s,
            "latency_spread": pace.spread,
            "tells": "wait",
            **told,
        },
        accounts=tuple(replace(own, api_key_env="", api_key_file="") for own in spec.accounts),
    )


def as_limited(account: ProviderSpec) -> ProviderSpec:
    """An account with the limits that hold: its own or its simulator's, whichever is lower."""
    changes: dict[str, Any] = {}
    for name in LIMITS:
        named = [n for n in (getattr(account, name), account.options.get(name)) if n is not None]
        changes[name] = min(named, default=None)
    return replace(account, **changes)


class Asked(Struct, frozen=True):
    """What an account was asked, and the seconds in flight of all its calls together."""

    counts: SimStatistics
    busy_s: float


class Troupe:
    """The simulators that play a staged sweep's accounts."""

    def __init__(self, assumed: Assumed, simulated: Set[str] = frozenset()) -> None:
        """`simulated`: providers that are simulators themselves, at an address."""
        self._assumed, self._simulated = assumed, simulated
        self._players: dict[str, SimulatorTransport] = {}

    def transports(self, accounts: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        """One simulator an account. `loaded` is the staged sweep."""
        wanted = {account.name for account in accounts}
        for provider in loaded.sweep.providers:
            for account in accounts_of(provider):
                if account.name in wanted:
                    self._players[account.name] = self._player(account, provider.name, loaded)
        return dict(self._players)

    def asked(self) -> dict[str, Asked]:
        """What each account was asked."""
        return {
            name: Asked(player.statistics(), player.busy_s)
            for name, player in self._players.items()
        }

    def _player(self, account: ProviderSpec, provider: str, loaded: Loaded) -> SimulatorTransport:
        where = f"providers.{provider}.simulator"
        if is_embedded(account):
            return simulator_for(account.options, [loaded.benchmark], where=where)
        named = {name: getattr(account, name) for name in LIMITS}
        limits = {name: math.ceil(limit) for name, limit in named.items() if limit is not None}
        values = {"seed": loaded.sweep.seed, **account.options, **limits}
        options = sim_options(values, where=where)
        simulated = provider in self._simulated
        script = script_for(loaded, provider, self._assumed.seen, simulated=simulated)
        speaker = Understudy(options.seed, script, list(loaded.rubrics.values()))
        return SimulatorTransport(options, speaker)
