"""`alignsweep selftest`: the engine against a hostile server on this machine, scene by scene.

Nothing leaves the machine and no key is read; the folder of a scene that failed is kept, to be looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.text import printable

if TYPE_CHECKING:
    from engine.selftest.performing import Part, Verdict

MISSED = 6
"""Exit code: something did not happen as it must."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("selftest")(selftest)


def selftest(
    show_list: Annotated[
        bool, typer.Option("--list", help="Say which scenes there are, and play nothing.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="This scene, or all whose name begins so (429*); repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a scene.")] = False,
) -> None:
    """Prove on this machine that faults of servers and models lose, repeat and leak nothing."""
    from engine.selftest.performing import parts, scratch

    chosen = parts(only or [])
    if show_list:
        _list(chosen)
        return
    folder = scratch()
    verdicts = _play(chosen, folder, as_json=as_json)
    failed = [verdict for verdict in verdicts if verdict.state != "ok"]
    if not failed:
        folder.rmdir()
    if not as_json:
        _summary(verdicts, failed, folder)
    if failed:
        raise typer.Exit(MISSED)


def _list(chosen: Sequence[Part]) -> None:
    from engine.selftest.expected import says

    modes: dict[str, list[str]] = {}
    for scene, mode in chosen:
        modes.setdefault(scene.name, []).append(mode)
    for scene in dict.fromkeys(scene for scene, _ in chosen):
        typer.echo(f"{scene.name:<24} {', '.join(modes[scene.name]):<22} {says(scene)}")


def _play(chosen: Sequence[Part], folder: Path, *, as_json: bool) -> list[Verdict]:
    """One line a scene as it ends; on a terminal they come in the order in which they end."""
    from data.codec import encode
    from engine.runtime import run
    from engine.selftest.performing import perform_all

    def tell(verdict: Verdict) -> None:
        if as_json:
            typer.echo(encode(verdict))
            return
        mark = "ok" if verdict.state == "ok" else "FAILED"
        typer.echo(
            f"{mark:<7}{verdict.name:<24} {verdict.mode:<7} {verdict.ends:<10} {verdict.expected}"
        )
        for complaint in verdict.complaints:
            typer.echo(f"       {printable(complaint)}")

    async def main() -> list[Verdict]:
        return await perform_all(chosen, folder, tell)

    return run(main)


def _summary(verdicts: Sequence[Verdict], failed: Sequence[Verdict], folder: Path) -> None:
    from engine.selftest.invariants import CHECKS

    requests = sum(verdict.requests for verdict in verdicts)
    scenes = len({verdict.name for verdict in verdicts})
    typer.echo(
        f"\n{scenes:,} scenes in {len(verdicts):,} performances, {requests:,} requests over real sockets"
    )
    typer.echo(f"checked of each: {', '.join(CHECKS)}")
    if failed:
        names = ", ".join(f"{verdict.name} ({verdict.mode})" for verdict in failed)
        typer.echo(f"FAILED: {len(failed):,}: {names}\ntheir folders: {folder}", err=True)
    else:
        typer.echo("all ok")
    sys.stdout.flush()
