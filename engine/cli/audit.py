"""`alignsweep audit RUN`: what a careful reader would find odd in its judgments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.audit import Audit, Tendency

HEADS = {
    "anchor": "answers of known quality (anchors): mean score",
    "length": "length",
    "family": "self-preference",
}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("audit")(audit)


def audit(
    run: flags.RunName,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Contradictory verdicts, answers that steer the judge, judges' tendencies. Sends nothing."""
    from data.codec import encode
    from engine.audit import audit as look
    from engine.results import results
    from engine.rundir import find_run, read_run

    stored = read_run(find_run(run))
    found = look(stored.sweep, results(stored.folder))
    if as_json:
        typer.echo(encode(found))
        return
    simulated = any(provider.simulated for provider in stored.sweep.providers)
    mark = " (simulated)" if simulated else ""
    typer.echo(f"{printable(stored.sweep.name)}: {printable(stored.sweep.benchmark)}{mark}\n")
    _print(found)
    if simulated:
        typer.echo("\nEverything here is simulated: no model was asked and no judge has read it.")


def _print(found: Audit) -> None:
    from engine.reports.estimates import wrapped

    for line in wrapped(_lines(found)):
        typer.echo(line)


def _lines(found: Audit) -> Iterator[str]:
    from engine.cells import cut, inert
    from engine.reports.estimates import COLUMNS

    yield "what is odd"
    for finding in found.findings:
        share = f" ({100 * finding.count / finding.of:.1f} %)" if finding.of else ""
        yield f"  {finding.count:>7,} of {finding.of:>7,}{share:<10} {finding.what}"
        for example in finding.examples:
            yield f"          {cut(inert(example), COLUMNS - 10)}"
    for kind, head in HEADS.items():
        mine = [t for t in found.tendencies if t.kind == kind]
        about = {t.what.partition(" (")[0] for t in mine}
        shared = about.pop() if kind != "anchor" and len(about) == 1 else ""
        if mine:
            yield ""
            yield f"{head}: {inert(shared)}" if shared else head
        for tendency in mine:
            yield f"  {_line(tendency, shared)}"
    if any(t.error is not None for t in found.tendencies):
        yield ""
        yield "± is one standard error; about twice as much either way is a 95 % interval"
    if not any(t.kind == "anchor" for t in found.tendencies):
        yield ""
        yield "no anchors were judged: `alignsweep data anchors` makes them"


def _line(tendency: Tendency, shared: str) -> str:
    """Judge, figure, and what it is a figure of, as far as the head has not said so."""
    from engine.cells import fit, inert

    value = "–" if tendency.value is None else f"{tendency.value:+.2f}"
    if tendency.kind == "anchor":
        value = value.removeprefix("+")
    error = "" if tendency.error is None else f" ± {tendency.error:.2f}"
    unit = " models" if tendency.kind == "family" else ""
    n = f"(n = {tendency.n:,}{unit})" if tendency.n else ""
    what = inert(tendency.what.removeprefix(shared).strip())
    parts = [f"{fit(inert(tendency.judge), 20)} {value}{error}", n, what, tendency.note]
    return "  ".join(filter(None, parts))
