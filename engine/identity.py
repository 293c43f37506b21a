"""What makes two sweeps the same sweep. Pure.

Everything that can change a result is identity; everything else (limits, timeouts, keys, the parse
policy, the console) may change from one session to the next. A sweep may grow: more models or judges
extend the plan. Changing or removing one is refused, with the difference said.
"""

from __future__ import annotations

from typing import Any

from data.codec import canonical, plain, sha256
from data.schema import JudgeSpec, ModelSpec, ProviderSpec, Struct, Sweep
from engine.adapting import wire_parameters

_NOT_IDENTITY = frozenset({"parse", "provider"})
_DECIDES = frozenset(
    {"models", "judges", "benchmark_sha256", "rubric_sha256", "temperatures"}
    | {"samples", "repeats", "seed", "send_seed"}
)
"""Fields of a sweep that `identity` speaks for; whatever is not here may change, and is told."""


class Difference(Struct, frozen=True):
    """Between a run and the sweep file of today."""

    refused: tuple[str, ...]
    """Changes of what decides results."""
    grown: tuple[str, ...]
    """Models and judges that came in."""
    other: tuple[str, ...]
    """Changes that decide no result."""


def identity(sweep: Sweep) -> dict[str, Any]:
    """All that decides results, as plain data."""
    providers = {p.name: p for p in sweep.providers}
    return {
        "benchmark": sweep.benchmark_sha256,
        "temperatures": sweep.temperatures,
        "samples": sweep.samples,
        "repeats": sweep.repeats,
        "seed": sweep.seed,
        "send_seed": sweep.send_seed,
        "models": {m.name: _party(m, sweep, providers) for m in sweep.models},
        "judges": {
            j.name: {**_party(j, sweep, providers), "rubric": sweep.rubric_sha256[j.rubric]}
            for j in sweep.judges
        },
    }


def digest(sweep: Sweep) -> str:
    """Hex sha256 of the identity."""
    return sha256(canonical(identity(sweep)))


def compare(old: Sweep, new: Sweep) -> Difference:
    """What changed from `old` to `new`."""
    before, after = identity(old), identity(new)
    parties = {"models", "judges"}
    refused = _changes("", _without(before, parties), _without(after, parties))
    grown: list[str] = []
    for kind in ("models", "judges"):
        for name, party in before[kind].items():
            if name not in after[kind]:
                refused.append(f"{kind[:-1]} `{name}` was removed")
                continue
            refused.extend(_changes(f"{kind[:-1]} `{name}`", party, after[kind][name]))
        grown.extend(f"{kind[:-1]} `{n}` was added" for n in after[kind] if n not in before[kind])
    known = {m.name for m in old.models} | {j.name for j in old.judges}
    other = _changes("", _flat(old, known), _flat(new, known))
    return Difference(tuple(refused), tuple(grown), tuple(other))


def _party(
    party: ModelSpec | JudgeSpec, sweep: Sweep, providers: dict[str, ProviderSpec]
) -> dict[str, Any]:
    fields = {k: v for k, v in plain(party).items() if k not in _NOT_IDENTITY}
    provider = providers.get(party.provider)
    if provider is not None:
        fields["provider"] = {"api": provider.api, "identity": provider.cache_identity}
        if sent := wire_parameters(party, provider, sweep):
            fields["sent"] = sent
    return fields


def _without(fields: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in keys}


def _flat(sweep: Sweep, known: set[str]) -> dict[str, Any]:
    """Everything that is not identity, one level deep, for saying what changed. Of models and judges
    only the `known`: whoever came in is told as growth."""
    fields = {k: v for k, v in plain(sweep).items() if k not in _DECIDES}
    for provider in fields.pop("providers"):
        for key, value in provider.items():
            fields[f"providers.{provider['name']}.{key}"] = value
    for model in sweep.models:
        if model.name in known:
            fields[f"models.{model.name}.provider"] = model.provider
    for judge in sweep.judges:
        if judge.name in known:
            for key in ("provider", "rubric", "parse"):
                fields[f"judges.{judge.name}.{key}"] = getattr(judge, key)
    return fields


def _changes(of: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    place = f"{of}: " if of else ""
    return [
        f"{place}{key}: {_short(before.get(key))} -> {_short(after.get(key))}"
        for key in dict.fromkeys([*before, *after])
        if canonical(before.get(key)) != canonical(after.get(key))  # so that true is not 1
    ]


def _short(value: Any) -> str:
    text = (
        "(unset)"
        if value is None
        else value
        if isinstance(value, str)
        else canonical(value).decode()
    )
    return text if len(text) <= 60 else text[:57] + "…"
