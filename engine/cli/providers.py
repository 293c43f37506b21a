"""`alignsweep providers`: the presets, all of one, and whether an account works."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.text import printable
from engine.cli.checkup import folded, probes_of, reachable, told

if TYPE_CHECKING:
    from data.catalog import ProviderTable
    from engine.checking import Finding

app = typer.Typer(no_args_is_help=True)
NAME, API, KEY, WIDE = 17, 17, 21, 120
"""Widths of the list's columns, and of a terminal that has room for the addresses beside them."""


@app.command("list")
def list_() -> None:
    """All presets: api, the key's variable and whether it is set, known prices, address."""
    from engine.ownpresets import known_presets, own_file

    columns = shutil.get_terminal_size().columns
    wide = columns >= WIDE
    head = f"{'name':<{NAME}}{'api':<{API}}{'key':<{KEY}}{'set':<5}{'prices':>6}  "
    typer.echo((head + ("address" if wide else "")).rstrip())
    for name, table in sorted(known_presets().items()):
        key, is_set = _key(table)
        row = f"{printable(name):<{NAME}}{table.api or '?':<{API}}{key:<{KEY}}{is_set:<5}"
        joint = "  " if wide else f"\n{'':<{NAME}}"
        typer.echo(f"{row}{_prices(table):>6}{joint}{printable(table.base_url or '?')}")
    typer.echo("\nprices: models whose price is known; any other: `price` in the sweep file")
    if importlib.util.find_spec("genai_prices") is None:
        typer.echo(
            "        many more with the extra `prices`: pip install '.[prices]' in its folder"
        )
    file = own_file()
    there = "read" if file.is_file() else "not there"
    typer.echo(f"your own: {printable(str(file))} ({there})")


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
        typer.echo(folded(f"  {line}"))


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

    probes = probes_of(names or [], sweep, model)
    endpoints, findings = reachable(probes)

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
        for line in told(finding):
            typer.echo(folded(line, 11))
    raise typer.Exit(0 if all(finding.fine for finding in findings) else 3)


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
    """How many models have a known price."""
    from datetime import UTC, datetime

    from data.prices import priced

    found = priced(table.base_url or "", datetime.now(UTC).date())
    return f"{found:,}" if found else "-"


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


def _shown(value: object, *, nested: bool = False) -> str:
    """A value much as TOML writes it, with room to fold."""
    if isinstance(value, dict):
        inside = ", ".join(
            f"{printable(str(k), 80)} = {_shown(v, nested=True)}" for k, v in value.items()
        )
        if nested:
            return f"{{ {inside} }}" if inside else "{}"
        return inside or "none"
    if isinstance(value, list):
        return ", ".join(_shown(v, nested=True) for v in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return printable(str(value), 400)
