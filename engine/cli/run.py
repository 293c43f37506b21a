"""`alignsweep run`, `generate`, `judge`: the commands that send requests."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from data.errors import ConfigError
from engine.cli import options as flags

if TYPE_CHECKING:
    from data.answers import GivenAnswer
    from engine.config import Loaded

Stage = Literal["run", "generate", "judge"]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("run")(run)
    app.command("generate")(generate)
    app.command("judge")(judge)


def run(
    context: typer.Context,
    sweep: flags.SweepFile,
    limit: flags.Limit = None,
    category: flags.Category = None,
    models: flags.Models = None,
    dry_run: flags.DryRun = False,
    run_dir: flags.RunDir = None,
    fork: flags.Fork = None,
    no_cache: flags.NoCache = False,
    cache_from: flags.CacheFrom = None,
    no_retry_failed: flags.NoRetryFailed = False,
    grace: flags.Grace = 10.0,
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
) -> None:
    """Run a sweep, or go on with it: answers and judgments, until nothing is left to do.

    The same command again resumes: nothing that is finished is asked again.
    """
    loaded = _loaded(sweep, fork)
    _need_models(loaded)
    _go("run", loaded, context.params)


def generate(
    context: typer.Context,
    sweep: flags.SweepFile,
    limit: flags.Limit = None,
    category: flags.Category = None,
    models: flags.Models = None,
    dry_run: flags.DryRun = False,
    run_dir: flags.RunDir = None,
    fork: flags.Fork = None,
    no_cache: flags.NoCache = False,
    cache_from: flags.CacheFrom = None,
    no_retry_failed: flags.NoRetryFailed = False,
    grace: flags.Grace = 10.0,
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
) -> None:
    """Only the answers of a sweep; `run` or `judge` on the same file judges them later."""
    loaded = _loaded(sweep, fork)
    _need_models(loaded)
    _go("generate", loaded, context.params)


def judge(
    context: typer.Context,
    sweep: flags.SweepFile,
    answers: Annotated[
        list[Path] | None,
        typer.Option(
            "--answers",
            help="Answers in AlignBench's model_answer format: a file or a folder; repeatable.",
        ),
    ] = None,
    null_as_none: Annotated[
        bool,
        typer.Option(
            "--null-as-none", help='Judge a null answer as the text "None", as upstream does.'
        ),
    ] = False,
    limit: flags.Limit = None,
    category: flags.Category = None,
    models: flags.Models = None,
    dry_run: flags.DryRun = False,
    run_dir: flags.RunDir = None,
    fork: flags.Fork = None,
    no_cache: flags.NoCache = False,
    cache_from: flags.CacheFrom = None,
    no_retry_failed: flags.NoRetryFailed = False,
    grace: flags.Grace = 10.0,
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
) -> None:
    """Only the judgments: of a run's own answers, or of answers of any origin (--answers)."""
    from engine.cli.session import run_folder
    from engine.given import with_answers

    loaded = _loaded(sweep, fork)
    if not loaded.sweep.judges:
        raise ConfigError("this sweep has no [[judges]]", where=str(sweep))
    folder = run_folder(loaded, run_dir)
    loaded, given = with_answers(loaded, answers or [], folder, null_as_none=null_as_none)
    _go("judge", loaded, context.params, given)


# --- what they share ---------------------------------------------------------------------------


def _go(
    stage: Stage,
    loaded: Loaded,
    params: Mapping[str, Any],
    given: tuple[GivenAnswer, ...] = (),
) -> None:
    """Plan or conduct; leaves with the session's exit code. `params` are the command's flags."""
    from engine.cli.plan import say_plan
    from engine.cli.session import cache_files, conduct_session, exit_code, run_folder
    from engine.config import select
    from engine.streams import Options

    options = Options(
        folder=run_folder(loaded, params["run_dir"]),
        selection=select(
            loaded,
            models=params["models"] or [],
            categories=params["category"] or [],
            limit=params["limit"],
        ),
        answers=given,
        generate=stage != "judge",
        judge=stage != "generate",
        retry_failed=not params["no_retry_failed"],
    )
    caches = cache_files(no_cache=params["no_cache"], below=params["cache_from"] or [])
    if params["dry_run"]:
        say_plan(loaded, options, caches)
        return
    outcome = conduct_session(
        loaded,
        options,
        caches=caches,
        progress=params["progress"],
        ascii_only=params["ascii_only"],
        grace_s=params["grace"],
        command=shlex.join(["alignsweep", *sys.argv[1:]]),
    )
    raise typer.Exit(exit_code(outcome))


def _loaded(sweep: Path, fork: str | None) -> Loaded:
    from engine.cli.session import forked
    from engine.config import load
    from engine.paths import data_home

    return forked(load(sweep, home=data_home()), fork)


def _need_models(loaded: Loaded) -> None:
    if not loaded.sweep.models:
        raise ConfigError(
            "this sweep has no [[models]]",
            where=str(loaded.path),
            how="to judge answers that exist already: alignsweep judge FILE --answers …",
        )
