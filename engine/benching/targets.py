"""Who can be measured: each model of a sweep file, answering, and each judge, judging. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from data.catalog import accounts_of
from data.codec import replace
from data.errors import ConfigError
from data.prices import Price, price_of
from data.schema import JudgeSpec, ModelSpec, ProviderSpec, Struct
from data.text import printable
from engine.benching.settings import Settings
from engine.budget import Stage
from engine.config import Loaded
from engine.purse import Party

LEGS = {"answer": ("generate",), "judge": ("judge",), "both": ("generate", "judge")}


class Target(Struct, frozen=True, kw_only=True):
    """One party of the sweep, as it is measured."""

    name: str
    """`model:NAME` or `judge:NAME`."""
    stage: Stage
    party: ModelSpec | JudgeSpec
    provider: ProviderSpec
    account: ProviderSpec
    """The provider's first account: others are taken to be alike."""
    price: Price | None

    @property
    def key(self) -> Party:
        """What the purse calls it."""
        return self.stage, self.party.name


def targets_of(loaded: Loaded, leg: str, settings: Settings, on: date) -> tuple[Target, ...]:
    """The sweep's parties, in its order. Raises ConfigError for a name that is not among them."""
    if leg not in LEGS:
        raise ConfigError(f"no leg `{printable(leg, 40)}`", where="--leg", how=", ".join(LEGS))
    specs = {spec.name: _streaming(spec, settings) for spec in loaded.sweep.providers}
    found = []
    parties: tuple[tuple[Stage, ModelSpec | JudgeSpec], ...] = (
        *(("generate", model) for model in loaded.sweep.models),
        *(("judge", judge) for judge in loaded.sweep.judges),
    )
    for stage, party in parties:
        provider = specs[party.provider]
        own = loaded.terms.own.get((stage, party.name))
        kind = "model" if stage == "generate" else "judge"
        found.append(
            Target(
                name=f"{kind}:{party.name}",
                stage=stage,
                party=party,
                provider=provider,
                account=accounts_of(provider)[0],
                price=price_of(provider, party.model, own=own, on=on),
            )
        )
    wanted = _named(settings.targets, [target.name for target in found])
    chosen = [t for t in found if t.stage in LEGS[leg] and (not wanted or t.name in wanted)]
    if not chosen:
        raise ConfigError(
            "there is nothing to measure",
            where=str(loaded.path),
            how=f"--leg {leg} and -t leave none of: {', '.join(t.name for t in found)}",
        )
    return tuple(chosen)


def _streaming(spec: ProviderSpec, settings: Settings) -> ProviderSpec:
    return spec if settings.stream == "auto" else replace(spec, stream=settings.stream == "yes")


def _named(wanted: Sequence[str], known: Sequence[str]) -> set[str]:
    """Full names; `NAME` alone stands for the model and the judge of that name."""
    found: set[str] = set()
    for name in wanted:
        hits = {full for full in known if name in (full, full.partition(":")[2])}
        if not hits:
            raise ConfigError(
                f"no model or judge `{printable(name, 80)}` in this sweep",
                where="--target",
                how=f"there are: {', '.join(map(printable, known))}",
            )
        found |= hits
    return found
