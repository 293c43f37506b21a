"""`alignsweep verify RUN` and `repair RUN`: is it what its reports say, and what if it is damaged."""

from __future__ import annotations

from typing import Annotated

import typer

from data.text import printable
from engine.cli import options as flags

MISSED = 6
"""Exit code: what was published is not what the journal gives."""


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("verify")(verify)
    app.command("repair")(repair)


def verify(
    run: flags.RunName,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Work every number of a run out again from its journal, and compare. Sends and changes nothing."""
    from data.codec import encode
    from engine.rundir import find_run, read_run
    from engine.verification import Finding, verify

    stored = read_run(find_run(run))
    findings: list[Finding] = []
    for finding in verify(stored):
        findings.append(finding)
        if not as_json:
            mark = "ok" if finding.state == "same" else finding.state
            typer.echo(f"{mark:<8} {finding.what:<24} {printable(finding.detail)}")
    wrong = [finding.what for finding in findings if finding.state != "same"]
    if as_json:
        typer.echo(encode({"run": str(stored.folder), "verified": not wrong, "findings": findings}))
    elif wrong:
        typer.echo(f"\nnot verified: {printable(', '.join(wrong))}", err=True)
    else:
        typer.echo(f"\nverified: {len(findings)} checks of {stored.folder}")
    if wrong:
        raise typer.Exit(MISSED)


def repair(run: flags.RunName) -> None:
    """Mend a journal that is damaged in the middle: keep the original, and all lines that are whole.

    What was lost is asked again by the next `run`. A torn end needs no repair: `run` cuts it by itself.
    """
    from cache.journal import RunLock
    from cache.salvage import salvage
    from engine.rundir import find_run

    folder = find_run(run)
    lock = RunLock(folder)
    try:
        done = salvage(folder / "journal.jsonl")
    finally:
        lock.close()
    if done is None:
        typer.echo(f"{folder} is not damaged: nothing was changed")
        return
    typer.echo(f"kept {done.kept:,} lines; lost {len(done.lost):,} ({done.lost_bytes:,} bytes):")
    for line, offset, length in done.lost[:10]:
        typer.echo(f"  line {line:,}: {length:,} bytes from byte {offset:,}")
    if len(done.lost) > 10:
        typer.echo(f"  and {len(done.lost) - 10:,} more")
    typer.echo(f"the original is {printable(str(done.original))}")
    typer.echo("next: the same `run` command again asks for what is missing")
