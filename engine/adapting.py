"""What providers' own ways make of a sweep's requests: part of its identity, and told to its user. Pure.

A party (a model or judge) asks with few sets of parameters: one per temperature. Each is looked at once,
without its messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from data.codec import plain, replace
from data.sampling import Change, adapted, profile, shown
from data.schema import JudgeSpec, ModelSpec, ProviderSpec, Request, Sweep
from data.text import printable
from engine.answering import temperature_of


def notes(sweep: Sweep) -> tuple[str, ...]:
    """Every parameter that some party's provider does not get as it was asked for, once."""
    specs = {spec.name: spec for spec in sweep.providers}
    parties: list[ModelSpec | JudgeSpec] = [*sweep.models, *sweep.judges]
    found: list[str] = []
    for party in parties:
        spec = specs.get(party.provider)
        if spec is None:  # its answers came from elsewhere
            continue
        own = profile(spec.sampling, party.model, party.thinking)
        told = [change for asked in _asked(party, sweep) for change in adapted(own, asked)[1]]
        who = f"{printable(party.name, 80)} at {printable(spec.name, 80)}"
        found += [f"{who}: {line}" for line in _lines(told)]
    return tuple(dict.fromkeys(found))


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    """Values of a parameter that end alike share a line."""
    alike: dict[str, list[Change]] = {}
    for change in changes:
        alike.setdefault(f"{change.name} {change.sent!r}", []).append(change)
    for same in alike.values():
        values = dict.fromkeys(shown(c.asked) for c in same if c.asked is not None)
        yield str(replace(same[0], asked=", ".join(values) or None))


def wire_parameters(
    party: ModelSpec | JudgeSpec, spec: ProviderSpec, sweep: Sweep
) -> list[dict[str, Any]]:
    """What is sent in place of what the sweep file says; empty: nothing differs."""
    own = profile(spec.sampling, party.model, party.thinking)
    if own.empty:
        return []
    return [plain(adapted(own, request)[0]) for request in _asked(party, sweep)]


def _asked(party: ModelSpec | JudgeSpec, sweep: Sweep) -> Iterator[Request]:
    """A party's requests without their messages, one per temperature."""
    if isinstance(party, JudgeSpec):
        temperatures = [temperature_of(party, "", {})]
    else:
        categories = [*sweep.temperatures] or [""]
        asked = (temperature_of(party, c, sweep.temperatures) for c in categories)
        temperatures = list(dict.fromkeys(asked))
    for temperature in temperatures:
        yield Request(
            model=party.model,
            messages=(),
            temperature=temperature,
            max_tokens=party.max_tokens,
            seed=sweep.seed if sweep.send_seed else None,
            parameters=party.parameters,
            thinking=party.thinking,
        )
