"""The engine as a library: a sweep from its file to its scores, from a program of your own.

    loaded = load("sweep.toml")
    outcome = await run(loaded)             # inside an event loop of yours, or: run_blocking(loaded)
    table = scores(outcome_folder(loaded)).tables[0]

The same as the commands, with the same promises: nothing is sent before the whole file is sound, what was
told as done is on disk, and the same call again goes on where it was. Errors are those of
`data/errors.py`: ConfigError and DataError before anything is sent, StorageError never (it is in the
Outcome). Documented with an example in docs/api.md, which the tests run.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.bootstrap import Outcome, Outside, booked, conduct, embedded
from engine.config import Loaded, select
from engine.config import load as load_sweep
from engine.events import Progress
from engine.paths import cache_home, data_home
from engine.prediction import Prediction, predict
from engine.preview import look_ahead
from engine.results import scores_of
from engine.rundir import read_run
from engine.runtime import run as run_loop
from engine.scores import Scores
from engine.session import Session
from engine.streams import Options

Watch = Callable[[Progress], None]
"""Told how the sweep stands, four times a second and once at the end."""
WATCH_S = 0.25


def load(path: str | Path) -> Loaded:
    """Read and check a sweep file. Raises ConfigError or DataError."""
    return load_sweep(Path(path), home=data_home())


def outcome_folder(loaded: Loaded) -> Path:
    """Where a sweep's run lives unless somebody says otherwise."""
    return Path("runs") / loaded.sweep.name


def options(
    loaded: Loaded,
    *,
    folder: Path | None = None,
    models: Sequence[str] = (),
    categories: Sequence[str] = (),
    limit: int | None = None,
    generate: bool = True,
    judge: bool = True,
    retry_failed: bool = True,
) -> Options:
    """What of a sweep a session does, as the commands' flags say it. Raises ConfigError."""
    return Options(
        folder=folder or outcome_folder(loaded),
        selection=select(loaded, models=models, categories=categories, limit=limit),
        generate=generate,
        judge=judge,
        retry_failed=retry_failed,
    )


def plan(loaded: Loaded, chosen: Options | None = None, *, caching: bool = True) -> Prediction:
    """What a session would send: requests, tokens, money and time. Sends nothing. Raises ConfigError."""
    chosen = chosen or options(loaded)
    ahead = look_ahead(loaded, chosen, _cache_file() if caching else None)
    now_s = time.time()
    spent = booked(loaded, chosen, ahead.spent, now_s)
    today = datetime.fromtimestamp(now_s, tz=UTC).date()
    return predict(ahead.workload, loaded.sweep, loaded.terms, on=today, booked=spent)


async def run(
    loaded: Loaded,
    chosen: Options | None = None,
    *,
    caching: bool = True,
    watch: Watch | None = None,
    started: Callable[[Session], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """One session on the running asyncio loop. Raises ConfigError or DataError before anything is sent.

    `watch` is told how it goes; `started` is given the Session, whose `stop(grace_s)` ends it in good
    order. Cancelling the call gives up what is in flight; the journal stays whole. `env` holds the keys
    (default: the process's environment).
    """

    async def view(latest: Callable[[], Progress]) -> None:
        if watch is None:
            return
        try:
            while True:
                watch(latest())
                await asyncio.sleep(WATCH_S)
        finally:
            watch(latest())

    outside = Outside(
        env=os.environ if env is None else env,
        cache_path=_cache_file() if caching else None,
        now_s=time.time(),
        view=view,
        stops=started or (lambda session: None),
    )
    return await conduct(loaded, chosen or options(loaded), outside)


def run_blocking(
    loaded: Loaded,
    chosen: Options | None = None,
    *,
    caching: bool = True,
    watch: Watch | None = None,
) -> Outcome:
    """`run` on a loop of its own; on virtual time where all providers are embedded simulators."""

    async def session() -> Outcome:
        return await run(loaded, chosen, caching=caching, watch=watch)

    return run_loop(session, virtual=embedded(loaded))


def scores(folder: Path) -> Scores:
    """The tables of a run, finished or not. Raises DataError for what is no run."""
    return scores_of(read_run(folder))


def _cache_file() -> Path:
    return cache_home() / "responses.sqlite"
