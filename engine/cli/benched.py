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


def limits(
    sweep: flags.SweepFile,
    run_dir: flags.RunDir = None,
    bench: Annotated[
        list[Path] | None, typer.Option(help="A benchmark's folder outside ./runs; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per limit.")] = False,
) -> None:
    """Show what is known of each account's limits, who said so, and how long ago. Sends nothing."""
    from data.codec import encode
    from engine.benching.discovered import gathered
    from engine.benching.folder import all_of
    from engine.cli.session import run_folder
    from engine.config import load
    from engine.paths import data_home
    from engine.reports.benched import limit_lines

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


def report(
    bench: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    form: Annotated[str, typer.Option("--format", help="text, html, json, csv or md.")] = "text",
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
    slo: Annotated[
        str | None, typer.Option(help="Hold it against these objectives instead; exit code 6.")
    ] = None,
) -> None:
    """Report a benchmark again, also one that was interrupted."""
    from engine.benching.document import document
    from engine.benching.folder import read
    from engine.benching.samples import samples
    from engine.reports import benched_files
    from engine.reports.bench_web.page import render

    benched = read(bench)
    doc = document(benched, slo)
    made = {
        "html": lambda: render(doc, samples(benched)),
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
