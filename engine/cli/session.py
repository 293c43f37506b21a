"""From a command's flags to a session and its exit code: what `run`, `generate` and `judge` share.

Ctrl-C: the first sends nothing more and waits for what is in flight (`--grace`), the second cancels
and flushes, the third leaves at once; the journal is whole each time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import typer

from data.errors import ConfigError, StorageError
from data.text import printable

if TYPE_CHECKING:
    from engine.bootstrap import Outcome
    from engine.config import Loaded
    from engine.events import Progress
    from engine.modes import Choice
    from engine.session import Session
    from engine.streams import Options

CacheFiles: TypeAlias = tuple[Path | None, tuple[Path, ...]]
"""The user's response cache (None: it is neither read nor written), and files of replies below it."""
EXIT_CODES = {"complete": 0, "partial": 3, "budget": 4, "interrupted": 130}


def conduct_session(
    loaded: Loaded,
    options: Options,
    *,
    caches: CacheFiles,
    progress: str,
    ascii_only: bool = False,
    grace_s: float = 10.0,
    command: str = "",
) -> Outcome:
    """Run one session with its console and print how it ended. Does not exit."""
    from engine.bootstrap import Outside, conduct, embedded
    from engine.cli.ending import say
    from engine.descriptors import make_room
    from engine.runtime import run

    outside = Outside(
        env=os.environ,
        cache_path=caches[0],
        cache_from=caches[1],
        now_s=time.time(),
        view=_viewer(progress, ascii_only, embedded(loaded)),
        stops=_ctrl_c(grace_s),
    )

    async def main() -> Outcome:
        return await conduct(loaded, options, outside)

    make_room(loaded.sweep)  # before the loop, which needs some itself
    outcome = run(main, virtual=embedded(loaded))
    try:
        say(loaded, options, outcome, command, caches)
    except (OSError, StorageError) as error:  # the run's own exit code matters more
        with suppress(OSError):
            typer.echo(f"error: {printable(str(error))}", err=True)
    return outcome


def exit_code(outcome: Outcome) -> int:
    """0 complete, 3 partial, 4 budget reached, 130 interrupted."""
    return EXIT_CODES[outcome.state]


def cache_files(*, no_cache: bool, below: Sequence[Path]) -> CacheFiles:
    """What a command's flags come to. Raises ConfigError where they contradict each other."""
    if no_cache and below:
        raise ConfigError("--no-cache and --cache-from contradict each other", how="leave one out")
    return None if no_cache else cache_file(), tuple(below)


def cache_file() -> Path:
    """The response cache of this user."""
    from engine.paths import cache_home

    return cache_home() / "responses.sqlite"


def run_folder(loaded: Loaded, run_dir: Path | None) -> Path:
    """Where the run lives."""
    return run_dir or Path("runs") / loaded.sweep.name


def forked(loaded: Loaded, name: str | None) -> Loaded:
    """The same sweep under another name."""
    from data.codec import replace
    from engine.sweepfile import folder_fault

    if name is None:
        return loaded
    if fault := folder_fault(name):
        raise ConfigError(f"`{printable(name, 80)}` {fault}", where="--fork")
    return replace(loaded, sweep=replace(loaded.sweep, name=name))


# --- console -----------------------------------------------------------------------------------


def choose_console(mode: str, *, ascii_only: bool, virtual: bool = False) -> Choice:
    """How this terminal is to be shown a run. Raises ConfigError for a mode that there is not."""
    from engine.modes import Mode, choose

    if mode not in get_args(Mode):
        raise ConfigError(
            f"no progress mode `{mode}`", where="--progress", how=", ".join(get_args(Mode))
        )
    wanted: Any = "plain" if virtual and mode in ("auto", "full", "inline") else mode
    return choose(wanted, stream=sys.stderr, env=os.environ, ascii_only=ascii_only)


def _viewer(
    mode: str, ascii_only: bool, virtual: bool
) -> Callable[[Callable[[], Progress]], Coroutine[Any, Any, None]]:
    """The console of this session. On virtual time nobody could watch it live."""
    from engine.console import show
    from engine.figures import wall_clock

    choice = choose_console(mode, ascii_only=ascii_only, virtual=virtual)

    async def view(latest: Callable[[], Progress]) -> None:
        epoch = time.time() - asyncio.get_running_loop().time()
        await show(choice, latest, stream=sys.stderr, sleep=asyncio.sleep, clock=wall_clock(epoch))

    return view


def _ctrl_c(grace_s: float) -> Callable[[Session], None]:
    """Signal handling for one session."""
    from engine.console import give_back

    def install(session: Session) -> None:
        loop = asyncio.get_running_loop()
        presses = 0
        pending: set[asyncio.Task[None]] = set()

        def pressed() -> None:
            nonlocal presses
            presses += 1
            if presses == 1:
                pending.add(loop.create_task(session.stop(grace_s)))
            elif presses == 2:
                session.abandon()
            else:
                give_back()
                os._exit(130)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, pressed)
            except (NotImplementedError, ValueError, RuntimeError):
                return  # not the main thread, or a system without signals

    return install
