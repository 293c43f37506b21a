"""`alignsweep diff RUN_A RUN_B`: what changed from one run to another. Sends nothing."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from engine.cli import options as flags


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("diff")(diff)


def diff(
    run_a: flags.RunName,
    run_b: flags.RunName,
    as_json: Annotated[
        bool, typer.Option("--json", help="As one JSON object, nothing rounded or left out.")
    ] = False,
    min_coverage: Annotated[
        float,
        typer.Option(
            "--min-coverage", min=0, max=1, help="Below this share of scored judgments: no total."
        ),
    ] = 0.95,
) -> None:
    """Say what changed between two runs: who was asked what, scores, coverage and cost."""
    from data.codec import encode
    from engine.diff import diff as compare
    from engine.dossier import read_dossier
    from engine.reports.compared_runs import lines
    from engine.rundir import find_run

    folders = find_run(run_a), find_run(run_b)
    before, after = (read_dossier(folder, min_coverage=min_coverage) for folder in folders)
    found = compare(before, after)
    if as_json:
        sys.stdout.buffer.write(encode(found) + b"\n")
        return
    for line in lines(found, max(60, shutil.get_terminal_size((120, 24)).columns)):
        typer.echo(line)
