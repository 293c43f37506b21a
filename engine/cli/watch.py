"""`alignsweep watch`: the live view of a run, from its own process or else from what it left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
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
AGAIN_S = 5.0
"""Between two readings of a journal whose process cannot be asked."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("watch")(watch)


def watch(
    run: flags.RunName,
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
) -> None:
    """Watch a run that another process is at work on, or see where one has come to.

    Ctrl-C ends the watching, not the run.
    """
    from engine.cli.report import status
    from engine.cli.session import choose_console
    from engine.rundir import find_run

    folder = find_run(run)
    choice = choose_console(progress, ascii_only=ascii_only)
    try:
        asyncio.run(_watch(folder, choice))
    except KeyboardInterrupt:
        return
    if choice.mode != "json":
        _print_last(folder, ascii_only)
        status(run)


async def _watch(folder: Path, choice: Choice) -> None:
    """Show the run's own pictures until its process has ended."""
    from engine import figures
    from engine.console import show

    first = await _picture(folder)
    if first is None:
        typer.echo(f"no process is at work on {printable(str(folder))}", err=True)
        return
    board = [first]
    clock = figures.wall_clock(time.time() - first.now_s)
    view = asyncio.ensure_future(
        show(choice, lambda: board[0], stream=sys.stderr, sleep=asyncio.sleep, clock=clock)
    )
    try:
        while (latest := await _picture(folder)) is not None:
            board[0] = latest
            await asyncio.sleep(LOOK_S if latest.accounts else AGAIN_S)
    finally:
        view.cancel()
        await asyncio.wait([view])


async def _picture(folder: Path) -> Progress | None:
    """What the run says of itself, or what its journal says; None if nobody is at work."""
    from cache.journal import at_work
    from data.codec import convert
    from engine.control import ask
    from engine.events import Progress
    from engine.retrospect import looked_back

    try:
        reply: Any = await ask(folder, {"op": "status"})
    except ConfigError:
        return (
            await asyncio.to_thread(looked_back, folder, time.time()) if at_work(folder) else None
        )
    picture: Progress = convert(reply["progress"], Progress, where=os.fspath(folder))
    return picture


def _print_last(folder: Path, ascii_only: bool) -> None:
    """The picture that remains, on stdout."""
    from engine.console import print_picture
    from engine.figures import wall_clock
    from engine.modes import MIN_COLUMNS, choose
    from engine.retrospect import looked_back

    choice = choose("full", stream=sys.stdout, env=os.environ, ascii_only=ascii_only)
    columns = max(shutil.get_terminal_size().columns, MIN_COLUMNS)
    picture = looked_back(folder, time.time())
    print_picture(choice, picture, columns, file=sys.stdout, clock=wall_clock(0.0))
    typer.echo("")
