"""A benchmark at work, as a terminal sees it: signals, and a line per block on stderr.

On a terminal the block that runs has a line that changes; elsewhere there is one line when it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import typer

from data.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.benching.work import BlockBegan, BlockEnded, Finished, Order, Told

INTERRUPTED = 130
REFRESH_S = 0.25
_CLEAR = "\r\x1b[K"


def measure_with(order: Order, folder: Path, *, keep: bool) -> Finished:
    """One session; Ctrl-C ends it with exit code 130, and what was measured stays."""
    from data.catalog import is_embedded
    from engine.benching.conduct import measure, reach
    from engine.benching.work import World
    from engine.cli.session import cache_file
    from engine.runtime import run as run_loop

    virtual = all(is_embedded(target.provider) for target in order.targets)
    typer.echo(f"folder: {printable(str(folder))}", err=True)
    teller = _Teller(live=sys.stderr.isatty() and not virtual)
    world = World(
        env=os.environ,
        now_s=time.time(),
        connect=reach,
        cpu_s=None if virtual else time.process_time,
        hear=teller,
        virtual=virtual,
        cache_path=cache_file() if keep else None,
    )

    async def main() -> Finished:
        me = asyncio.current_task()
        assert me is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                asyncio.get_running_loop().add_signal_handler(number, me.cancel)
        return await measure(order, folder, world)

    try:
        return run_loop(main, virtual=virtual, exact=True)
    except (KeyboardInterrupt, asyncio.CancelledError):
        teller.say("interrupted: what was measured is kept")
        again = f"--out {printable(str(folder))}"
        typer.echo(f"the same command with {again} goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None


class _Teller:
    """Hears what a benchmark does."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._began = self._shown = 0.0
        self._what = ""
        self._attempts = self._limited = self._failed = 0

    def __call__(self, told: Told) -> None:
        from data.schema import Timing
        from engine.benching.work import BlockBegan, BlockEnded

        if isinstance(told, Timing):
            self._attempt(told.error)
        elif isinstance(told, BlockBegan):
            self._begin(told)
        elif isinstance(told, BlockEnded):
            self.say(_ended(told))
        else:
            self.say(told.text)

    def say(self, text: str) -> None:
        """A line that stays."""
        typer.echo(f"{_CLEAR if self._live else ''}  {printable(text)}", err=True)

    def _begin(self, block: BlockBegan) -> None:
        self._what = f"{printable(block.target)} at {block.level:g}"
        self._attempts = self._limited = self._failed = 0
        self._began = self._shown = time.monotonic()

    def _attempt(self, error: str) -> None:
        self._attempts += 1
        self._limited += error == "RateLimited"
        self._failed += error not in ("", "RateLimited")
        now = time.monotonic()
        if self._live and self._what and now - self._shown >= REFRESH_S:
            self._shown = now
            bad = f", {self._limited} turned away" if self._limited else ""
            bad += f", {self._failed} failed" if self._failed else ""
            line = f"  {self._what}: {self._attempts} requests{bad}, {now - self._began:.0f} s"
            typer.echo(_CLEAR + line, err=True, nl=False)


def _ended(told: BlockEnded) -> str:
    """What a block came to, in a line."""
    from engine.figures import money

    block, rate, total = told.block, told.rung.useful_per_min, told.spent.total
    speed = f"{rate.est:.1f} useful/min" if rate else "no figures"
    booked = money(total.booked, told.spent.currency)
    return (
        f"{block.target} at {block.level:g}: {told.rung.calls} calls in {block.ended_s:.0f} s,"
        f" {speed} ({block.why}); {booked} so far"
    )
