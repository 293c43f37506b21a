"""`alignsweep providers`: the presets, all of one, and whether an account works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.errors import ConfigError
from data.text import printable

if TYPE_CHECKING:
    from data.catalog import ProviderTable
    from data.prices import Price
    from data.schema import JudgeSpec, ModelSpec
    from engine.budget import Stage
    from engine.checking import Finding, Probe
    from providers.ratelimits import LimitSeen
    from providers.wire import Endpoint

app = typer.Typer(no_args_is_help=True)
NAME, API, KEY, WIDE = 17, 17, 21, 120
"""Widths of the list's columns, and of a terminal that has room for the addresses beside them."""
CHECK_S = 60.0
"""Longest wait for a reply to the tiny request."""


@app.command("list")
def list_() -> None:
    """All presets: their api, their key's variable and whether it is set, their address."""
    from engine.ownpresets import known_presets, own_file

    columns = shutil.get_terminal_size().columns
    wide = columns >= WIDE
    head = f"{'name':<{NAME}}{'api':<{API}}{'key':<{KEY}}{'set':<5}{'prices':<8}"
    typer.echo(head + ("address" if wide else ""))
    for name, table in sorted(known_presets().items()):
        key, is_set = _key(table)
        row = f"{printable(name):<{NAME}}{table.api or '?':<{API}}{key:<{KEY}}{is_set:<5}"
        joint = "" if wide else f"\n{'':<{NAME}}"
        typer.echo(f"{row}{_prices(table):<8}{joint}{printable(table.base_url or '?')}")
    file = own_file()
    there = "read" if file.is_file() else "not there"
    typer.echo(f"\nyour own: {printable(str(file))} ({there})")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A preset's name.")]) -> None:
    """Everything that is known of one preset, and where it was read."""
    from data.catalog import presets
    from engine.ownpresets import known_presets

    known = known_presets()
    if name not in known:
        from data.catalog import ProviderTable, resolve

        resolve(name, ProviderTable(), where="", known=known)
    table = known[name]
    typer.echo(f"{printable(name)}{'' if table == presets().get(name) else '  (with your own)'}")
    for line in _described(table):
        typer.echo(_folded(f"  {line}"))


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Presets; with --sweep: accounts of that file.")
    ] = None,
    sweep: Annotated[
        Path | None, typer.Option("--sweep", help="Check the accounts of this sweep file.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="The model's id there.")] = "",
    faults: Annotated[
        bool,
        typer.Option(
            "--faults", help="Send a wrong key and an unknown model too, to see both told."
        ),
    ] = False,
) -> None:
    """Send one tiny request per account, and say what came back. Keys are never shown."""
    from datetime import UTC, datetime

    from engine.checking import check as check_all
    from engine.runtime import run

    probes = _probes(names or [], sweep, model)
    endpoints, findings = _reachable(probes)

    async def main() -> list[Finding]:
        from providers.transport import AiohttpTransport

        transport = AiohttpTransport(connections=len(endpoints))
        try:
            ready = [(probe, endpoint, transport) for probe, endpoint in endpoints]
            return await check_all(ready, faults=faults, on=datetime.now(UTC).date())
        finally:
            await transport.aclose()

    findings += run(main) if endpoints else []
    order = [probe.spec.name for probe in probes]
    for finding in sorted(findings, key=lambda finding: order.index(finding.account)):
        for line in _told(finding):
            typer.echo(_folded(line, 11))
    raise typer.Exit(0 if all(finding.fine for finding in findings) else 3)


# --- what is checked ---------------------------------------------------------------------------


def _probes(names: list[str], sweep: Path | None, model: str) -> list[Probe]:
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
    return list(found.values())


def _reachable(probes: list[Probe]) -> tuple[list[tuple[Probe, Endpoint]], list[Finding]]:
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


def _told(finding: Finding) -> Iterator[str]:
    """The lines of one account: the outcome, then what is behind it."""
    name = printable(finding.account, 60)
    yield f"{name}: {_outcome(finding)}"
    mark = "not known: with a budget it needs `price`" if finding.model else ""
    price = _money(finding.price) if finding.price else mark
    limits = ", ".join(_limit(seen) for seen in finding.limits)
    rows = [("price", price), ("limits", limits or ("none told" if finding.response else ""))]
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
    return f"{name}; to mend it: [[providers.{account}.sampling]] {verb} = {value}"


def _limit(seen: LimitSeen) -> str:
    left = "" if seen.remaining is None else f", {seen.remaining:,.0f} left"
    most = "?" if seen.limit is None else f"{seen.limit:,.0f}"
    return f"{seen.name} {most}{left}"


def _money(price: Price) -> str:
    """Per million tokens, and where that was read."""
    per = f"{price.currency} {price.input_pico / 1e6:g} in, {price.output_pico / 1e6:g} out per million"
    return f"{per}  ({price.source}{f', {price.date}' if price.date else ''})"


# --- presets -----------------------------------------------------------------------------------


def _key(table: ProviderTable) -> tuple[str, str]:
    """The name of the key's variable, and whether it is set; never its value."""
    if table.api_key_file:
        return "in a file", "-"
    if not table.api_key_env:
        return "none", "-"
    is_set = bool(os.environ.get(table.api_key_env, "").strip())
    return printable(table.api_key_env, KEY - 1), "yes" if is_set else "no"


def _prices(table: ProviderTable) -> str:
    from urllib.parse import urlsplit

    from data.prices import overlay

    host = (urlsplit(table.base_url or "").hostname or "").lower()
    return "yes" if any(line.host == host for line in overlay()) else "-"


def _described(table: ProviderTable) -> Iterator[str]:
    from data.codec import plain

    written: dict[str, Any] = plain(table)
    sampling, rules = written.pop("sampling", []), written.pop("rules", [])
    for key, value in written.items():
        is_set = f" (set: {_key(table)[1]})" if key == "api_key_env" else ""
        yield f"{key:<15}{_shown(value)}{is_set}"
    for rule in sampling:
        who = ", ".join(rule.pop("models", ["all models"]))
        thinks = f", thinking {rule.pop('thinks')}" if "thinks" in rule else ""
        yield f"sampling       for {printable(who)}{thinks}"
        for key, value in rule.items():
            yield f"  {key:<18}{_shown(value)}"
    for rule in rules:
        yield f"rule           {_shown(rule)}"
    yield from _errors(table)


def _errors(table: ProviderTable) -> Iterator[str]:
    """What its errors mean, and where that was read."""
    from data.outcomes import dialects

    name = table.errors or "openai"
    dialect = dialects()[name]
    unsure = "" if dialect.certain else ", partly from public code and reports"
    yield f"errors of `{name}`: {dialect.source} ({dialect.checked}{unsure})"
    for rule in dialect.rules:
        status = [f"HTTP {s}" for s in rule.status]
        says = [f"words /{rule.says}/"] if rule.says else []
        yield f"  {rule.means:<15}{printable(', '.join([*rule.code, *says, *status]), 200)}"
    yield f"  then those of {dialect.extends}"


def _folded(line: str, hang: int = 22) -> str:
    """The line as a paragraph whose further lines begin below its value."""
    import textwrap

    columns = max(60, shutil.get_terminal_size().columns)
    return textwrap.fill(
        line, columns, subsequent_indent=" " * hang, break_on_hyphens=False, break_long_words=False
    )


def _shown(value: object, *, nested: bool = False) -> str:
    """A value much as TOML writes it, with room to fold."""
    if isinstance(value, dict):
        inside = ", ".join(f"{k} = {_shown(v, nested=True)}" for k, v in value.items())
        if nested:
            return f"{{ {inside} }}" if inside else "{}"
        return inside or "none"
    if isinstance(value, list):
        return ", ".join(_shown(v, nested=True) for v in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return printable(str(value), 400)
