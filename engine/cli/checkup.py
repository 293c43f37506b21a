"""`alignsweep providers check`: which accounts are asked, and how what they did is said."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError
from data.text import printable

if TYPE_CHECKING:
    from data.prices import Price
    from data.schema import JudgeSpec, ModelSpec
    from engine.budget import Stage
    from engine.checking import Finding, Probe
    from providers.ratelimits import LimitSeen
    from providers.wire import Endpoint

CHECK_S = 60.0
"""Longest wait for a reply to the tiny request."""


def probes_of(names: list[str], sweep: Path | None, model: str) -> list[Probe]:
    """One per account of the sweep file, or per preset that is named. Raises ConfigError."""
    if sweep is not None:
        return _of_sweep(sweep, names, model)
    if not names:
        raise ConfigError(
            "which providers?", how="name presets, or give a sweep file: --sweep FILE"
        )
    from data.catalog import ProviderTable, resolve
    from engine.checking import Probe
    from engine.config import check_address
    from engine.ownpresets import known_presets

    known = known_presets()
    specs = [resolve(name, ProviderTable(), where="", known=known) for name in names]
    for spec in specs:
        check_address(spec, spec.name)
    return [Probe(spec=spec, model=model) for spec in specs]


def _of_sweep(sweep: Path, names: list[str], model: str) -> list[Probe]:
    """Each account with the first model or judge that uses it."""
    from data.catalog import accounts_of
    from data.codec import replace
    from engine.answering import temperature_of
    from engine.checking import MAX_TOKENS, THINKING_TOKENS, Probe
    from engine.config import load
    from engine.paths import data_home

    loaded = load(sweep, home=data_home())
    specs = {spec.name: spec for spec in loaded.sweep.providers}
    for name in names:
        if name not in specs:
            raise ConfigError(
                f"no account `{printable(name, 80)}` in this sweep",
                where=str(sweep),
                how=f"there are: {', '.join(map(printable, specs))}",
            )
    found: dict[str, Probe] = {}
    parties: list[ModelSpec | JudgeSpec] = [*loaded.sweep.models, *loaded.sweep.judges]
    for party in parties:
        if party.provider in found or (names and party.provider not in names):
            continue
        stage: Stage = "judge" if party in loaded.sweep.judges else "generate"
        found[party.provider] = Probe(
            spec=specs[party.provider],
            model=model or party.model,
            temperature=temperature_of(party, "", loaded.sweep.temperatures),
            max_tokens=THINKING_TOKENS if party.thinking == "on" else MAX_TOKENS,
            thinking=party.thinking,
            parameters=party.parameters,
            own_price=loaded.terms.own.get((stage, party.name)),
        )
    return [
        replace(probe, spec=account)
        for probe in found.values()
        for account in accounts_of(probe.spec)
    ]


def reachable(probes: list[Probe]) -> tuple[list[tuple[Probe, Endpoint]], list[Finding]]:
    """The accounts that can be asked, and what is to be said of the others.

    Raises ConfigError if none can be: then nothing is sent at all.
    """
    from data.catalog import is_embedded
    from data.codec import replace
    from engine.checking import Finding
    from engine.keys import endpoint_of
    from providers.spoken import spoken

    ready, others, first = [], [], None
    for probe in probes:
        spec = replace(probe.spec, timeout_s=min(probe.spec.timeout_s, CHECK_S))
        if is_embedded(spec):
            others.append(Finding(account=spec.name))
            continue
        try:
            endpoint = endpoint_of(spec, spoken(spec), os.environ)
        except ConfigError as error:
            first = first or error
            others.append(Finding(account=spec.name, error="not sent", message=error.what))
            continue
        ready.append((replace(probe, spec=spec), endpoint))
    if first is not None and not ready:
        raise first
    return ready, others


# --- what is said ------------------------------------------------------------------------------


def told(finding: Finding) -> Iterator[str]:
    """The lines of one account: the outcome, then what is behind it."""
    name = printable(finding.account, 60)
    yield f"{name}: {_outcome(finding)}"
    mark = "not known: with a budget it needs `price`" if finding.model else ""
    price = _money(finding.price) if finding.price else "" if finding.error else mark
    limits = ", ".join(_limit(seen) for seen in finding.limits)
    rows = [
        ("mend", finding.advice),
        ("price", price),
        ("limits", limits or ("none told" if finding.response else "")),
    ]
    rows += [("changed", change) for change in finding.changes]
    rows += [("refused", _advice(finding.account, rule)) for rule in finding.left_out]
    rows += [("fault", fault) for fault in finding.faults]
    for label, text in rows:
        if text:
            yield f"  {label:<9}{printable(text, 300)}"


def _outcome(finding: Finding) -> str:
    took = "" if finding.latency_s is None else f" ({finding.latency_s:.2f} s)"
    response = finding.response
    if finding.error:
        return f"{finding.error}: {printable(finding.message, 300)}{took}"
    if response is None:
        if finding.latency_s is None:
            return "simulated inside this program; nothing to check"
        return f"there, and takes the key{took}; name a model with --model to see it answer"
    usage = response.usage
    tokens = f"{usage.input_tokens} + {usage.output_tokens} tokens" if usage else "tokens not told"
    served = f" as {printable(response.served_model, 60)}" if response.served_model else ""
    said = {"answered": "answers", "truncated": "answers (cut at max_tokens)", "refused": "refuses"}
    return f"{said[response.state]}{served}, {tokens}{took}"


def _advice(account: str, rule: str) -> str:
    """What to write so that a refused parameter is no longer sent."""
    verb, _, name = rule.partition(" ")
    value = f'["{name}"]' if verb == "drop" else f'{{ {name} = "max_completion_tokens" }}'
    table = account.partition("#")[0]  # NAME#1 is written under NAME
    return f"{name}; to mend it: [[providers.{table}.sampling]] {verb} = {value}"


def _limit(seen: LimitSeen) -> str:
    left = "" if seen.remaining is None else f", {seen.remaining:,.0f} left"
    most = "?" if seen.limit is None else f"{seen.limit:,.0f}"
    return f"{seen.name} {most}{left}"


def _money(price: Price) -> str:
    """Per million tokens, and where that was read."""
    per = f"{price.currency} {price.input_pico / 1e6:g} in, {price.output_pico / 1e6:g} out per million"
    return f"{per}  ({price.source}{f', {price.date}' if price.date else ''})"


def folded(line: str, hang: int = 22) -> str:
    """The line as a paragraph whose further lines begin below its value."""
    columns = max(60, shutil.get_terminal_size().columns)
    return textwrap.fill(
        line, columns, subsequent_indent=" " * hang, break_on_hyphens=False, break_long_words=False
    )
