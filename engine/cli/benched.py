"""What is done with a benchmark that is over: `bench report`, `limits`, `diff` and `apply`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.benching.document import Document


MISSED = 6
PROBE_LADDER = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
PROBE = {
    "min_requests": 8,
    "max_requests": 60,
    "step_seconds": "2..10",
    "ci": 0.5,
    "repeat": 1,
    "max_seconds": 300.0,
    "slo": "",
}
"""Short blocks: what is wanted is a 429 and what it says, not a figure."""


def limits(
    sweep: flags.SweepFile,
    run_dir: flags.RunDir = None,
    bench: Annotated[
        list[Path] | None, typer.Option(help="A benchmark's folder outside ./runs; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per limit.")] = False,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Ask first, with rising load, until the first 429; it costs."),
    ] = False,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Probe only with this one.")
    ] = None,
    max_cost: Annotated[str, typer.Option(help="The probe's budget.")] = "0.20",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
) -> None:
    """Show what is known of each account's limits, who said so, and how long ago.

    Sends nothing, unless it is to probe.
    """
    from data.codec import encode
    from engine.benching.discovered import gathered
    from engine.benching.folder import all_of
    from engine.cli.session import run_folder
    from engine.config import load
    from engine.paths import data_home
    from engine.reports.benched import limit_lines

    if probe:
        _probe(sweep, target, max_cost, run_dir, yes=yes)
    loaded = load(sweep, home=data_home())
    folder = run_folder(loaded, run_dir)
    benches = [*all_of(Path("runs"), loaded.sweep.name), *(bench or ())]
    found = gathered(loaded.sweep.providers, [folder, *benches])
    if as_json:
        for limit in found:
            typer.echo(encode(limit).decode())
        return
    for line in limit_lines(found, time.time(), columns()):
        typer.echo(line)


def _probe(
    sweep: Path, target: list[str] | None, max_cost: str, run_dir: Path | None, *, yes: bool
) -> None:
    """A short benchmark that stops at the first 429; what it met is in its journal."""
    from engine.cli.benching import measure_with
    from engine.cli.ordering import agree, new_folder, order_of

    given = {**PROBE, "max_cost": max_cost}
    order = order_of(sweep, given, ("closed", PROBE_LADDER), target, run_dir, polite=True)
    agree(order, yes)
    finished = measure_with(order, new_folder(order), keep=True)
    for name, why in finished.ended.items():
        typer.echo(f"{printable(name)}: {printable(why)}", err=True)


def report(
    bench: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    form: Annotated[str, typer.Option("--format", help="text, html, json, csv or md.")] = "text",
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
    slo: Annotated[
        str | None, typer.Option(help="Hold it against these objectives instead; exit code 6.")
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option(
            help="The sweep file that the prediction is of; else the one it was made for."
        ),
    ] = None,
    run_dir: flags.RunDir = None,
    deadline: Annotated[
        str, typer.Option(help="When the sweep has to be done: 45m, 2h, 90 (seconds).")
    ] = "",
    budget: Annotated[
        str | None, typer.Option(help="What the sweep may cost, in its currency; else its own.")
    ] = None,
) -> None:
    """Report a benchmark again, also one that was interrupted, and what it foretells of its sweep."""
    from engine.benching.document import document
    from engine.benching.folder import read
    from engine.benching.samples import samples
    from engine.cli.foretelling import Wanted, foretelling
    from engine.reports import benched_files
    from engine.reports.bench_web.page import render

    found = read(bench)
    wanted = Wanted(sweep, run_dir, deadline, budget)
    doc = foretelling(document(found, slo), found, bench, wanted)
    made = {
        "html": lambda: render(doc, samples(found)),
        "text": lambda: as_text(doc),
        "json": lambda: benched_files.as_json(doc),
        "csv": lambda: benched_files.as_csv(doc),
        "md": lambda: benched_files.as_markdown(doc).encode(),
    }
    if form not in made:
        raise ConfigError(
            f"no format `{printable(form, 40)}`", where="--format", how=", ".join(made)
        )
    put(made[form](), out)
    if slo is not None:
        hold_to(doc)


def diff(
    before: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    after: Annotated[Path, typer.Argument(help="Another one's.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per figure.")] = False,
) -> None:
    """Compare two benchmarks rung by rung; a difference counts when it is beyond noise."""
    from data.codec import encode
    from engine.benching.compared import changes
    from engine.benching.folder import read
    from engine.reports.bench_diff import lines

    old, new = read(before), read(after)
    found = changes(old, new)
    if as_json:
        for change in found:
            typer.echo(encode(change).decode())
        return
    for line in lines(old, new, found, columns()):
        typer.echo(line)


def apply(
    bench: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    sweep: flags.SweepFile,
    write: Annotated[
        bool, typer.Option("--write", help="Change the file (a .bak stays); else only show.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Even what was found on a simulator.")
    ] = False,
) -> None:
    """Put what a benchmark found (concurrency, rpm, tpm, timeout) into a sweep file, comments kept."""
    from engine.benching.document import document
    from engine.benching.findings import findings
    from engine.benching.folder import read
    from engine.benching.rewriting import difference, put_back, rewritten
    from engine.config import load
    from engine.paths import data_home

    doc = document(read(bench))
    if doc.simulated and not simulated:
        raise ConfigError(
            "this benchmark was of a simulator", where=str(bench), how="--simulated, if you mean it"
        )
    loaded = load(sweep, home=data_home())
    found = findings(doc, loaded.sweep.providers)
    for finding in found:
        was = "nothing" if finding.before is None else f"{finding.before:g}"
        typer.echo(
            f"{printable(finding.provider)}: {finding.key} {was} -> {finding.value}"
            f"  ({printable(finding.evidence)})"
        )
    if not found:
        typer.echo("nothing to change")
        return
    day = datetime.fromtimestamp(doc.started_s, tz=UTC).date().isoformat()
    text = sweep.read_bytes().decode("utf-8")
    changed = rewritten(text, found, f"measured {day}, alignsweep bench", path=str(sweep))
    typer.echo("")
    for line in difference(text, changed, sweep.name):
        typer.echo(printable(line))
    if not write:
        typer.echo("\nnothing was changed; --write does it")
        return
    backup = put_back(sweep, changed)
    load(sweep, home=data_home())
    typer.echo(f"\nwritten; the file as it was: {printable(str(backup))}")


def hold_to(doc: Document) -> None:
    """Exit with code 6, saying why, where an objective is not met at what is recommended."""
    from engine.benching.document import unmet

    found = unmet(doc)
    for line in found:
        typer.echo(f"objective: {printable(line)}", err=True)
    if found:
        raise typer.Exit(MISSED)


def as_text(doc: Document) -> bytes:
    from engine.reports.benched import lines

    return ("\n".join(lines(doc, columns())) + "\n").encode()


def columns() -> int:
    import shutil

    return max(60, shutil.get_terminal_size((80, 24)).columns)


def put(data: bytes, out: Path | None) -> None:
    from engine.reports.files import write_whole

    if out is not None:
        write_whole(out, [data])
        typer.echo(f"written: {printable(str(out))}", err=True)
        return
    typer.echo(data.decode("utf-8"), nl=False)
