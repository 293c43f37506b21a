"""`alignsweep watch`: the live view of a run that another process is at work on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.events import Progress
    from engine.modes import Choice

LOOK_S = 0.25


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("watch")(watch)


def watch(
    run: flags.RunName,
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
) -> None:
    """Watch a run that another process is at work on. Ctrl-C ends the watching, not the run."""
    from engine.cli.report import status
    from engine.cli.session import choose_console
    from engine.rundir import find_run

    folder = find_run(run)
    choice = choose_console(progress, ascii_only=ascii_only)
    try:
        seen = asyncio.run(_watch(folder, choice))
    except KeyboardInterrupt:
        return
    if not seen:
        typer.echo(f"no process is at work on {printable(str(folder))}", err=True)
    status(run)


async def _watch(folder: Path, choice: Choice) -> bool:
    """Show the run's own pictures until its process has ended. False if there was none."""
    from engine import figures
    from engine.console import show

    first = await _picture(folder)
    if first is None:
        return False
    board = [first]
    clock = figures.wall_clock(time.time() - first.now_s)
    view = asyncio.ensure_future(
        show(choice, lambda: board[0], stream=sys.stderr, sleep=asyncio.sleep, clock=clock)
    )
    try:
        while (latest := await _picture(folder)) is not None:
            board[0] = latest
            await asyncio.sleep(LOOK_S)
    finally:
        view.cancel()
        await asyncio.wait([view])
    return True


async def _picture(folder: Path) -> Progress | None:
    """What the run shows at this moment; None if nobody answers."""
    from data.codec import convert
    from engine.control import ask
    from engine.events import Progress

    try:
        reply: Any = await ask(folder, {"op": "status"})
    except ConfigError:
        return None
    picture: Progress = convert(reply["progress"], Progress, where=os.fspath(folder))
    return picture
