"""`alignsweep plan`: what a sweep would send, cost and take, before it sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.cli.session import CacheFiles
    from engine.config import Loaded
    from engine.prediction import Prediction
    from engine.streams import Options


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("plan")(plan)


def plan(
    sweep: flags.SweepFile,
    limit: flags.Limit = None,
    category: flags.Category = None,
    models: flags.Models = None,
    run_dir: flags.RunDir = None,
    fork: flags.Fork = None,
    no_cache: flags.NoCache = False,
    cache_from: flags.CacheFrom = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document instead of lines.")
    ] = False,
) -> None:
    """Show what a sweep would send, what that would cost and how long it must take. Sends nothing."""
    from engine.cli.session import cache_files, forked, run_folder
    from engine.config import load, select
    from engine.given import with_models_of_run
    from engine.paths import data_home
    from engine.streams import Options

    loaded = forked(load(sweep, home=data_home()), fork)
    folder = run_folder(loaded, run_dir)
    generate = bool(loaded.sweep.models)
    loaded = with_models_of_run(loaded, folder)
    if not loaded.sweep.models:
        raise ConfigError(
            "this sweep has no [[models]], and no run yet",
            where=str(sweep),
            how="to judge answers that exist: alignsweep judge FILE --answers … --dry-run",
        )
    selection = select(loaded, models=models or [], categories=category or [], limit=limit)
    options = Options(
        folder=folder,
        selection=selection,
        generate=generate,
    )
    caches = cache_files(no_cache=no_cache, below=cache_from or [])
    say_plan(loaded, options, caches, as_json=as_json)


def say_plan(
    loaded: Loaded, options: Options, caches: CacheFiles, *, as_json: bool = False
) -> None:
    """Print what would be sent and what it would take; then complain about what is missing.

    Raises ConfigError for a price that a budget needs, and for the first key that is not there.
    """
    import os
    import time
    from datetime import UTC, datetime

    from engine.adapting import notes
    from engine.bootstrap import booked, check_keys
    from engine.prediction import predict
    from engine.preview import look_ahead
    from engine.reports.prediction import document

    now_s = time.time()
    ahead = look_ahead(loaded, options, *caches)
    spent, complaint = None, None
    try:
        spent = booked(loaded, options, ahead.spent, now_s)
    except ConfigError as error:
        complaint = error
    today = datetime.fromtimestamp(now_s, tz=UTC).date()
    prediction = predict(ahead.workload, loaded.sweep, loaded.terms, on=today, booked=spent)
    if as_json:
        folder = str(options.folder)
        typer.echo(document(prediction, loaded.sweep, run_folder=folder), nl=False)
    else:
        _print(loaded, options, prediction)
        for note in notes(loaded.sweep):
            typer.echo(f"note: {note}")
    if complaint is not None:
        raise complaint
    check_keys(loaded, os.environ)


def _print(loaded: Loaded, options: Options, prediction: Prediction) -> None:
    from engine.figures import many
    from engine.reports import prediction as paper

    sweep, chosen = loaded.sweep, options.selection
    ids = [question.id for question in loaded.benchmark.questions for _ in question.turns]
    questions = len({ids[item] for item in chosen.items})
    typer.echo(
        f"{printable(sweep.name)}: {many(len(chosen.models), 'model')}"
        f" x {many(questions, 'question')} x {many(sweep.samples, 'sample')},"
        f" {many(len(sweep.judges), 'judge')}"
        f" on {printable(sweep.benchmark)}"
    )
    typer.echo(f"run folder: {printable(str(options.folder))}")
    for line in (
        *paper.request_lines(prediction, sweep),
        *paper.token_lines(prediction),
        *paper.money_lines(prediction),
        *paper.time_lines(prediction, sweep),
    ):
        typer.echo(line)
    work = prediction.workload
    asks = f"up to {sweep.asks - 1} re-asks a judgment" if sweep.asks > 1 else "no re-asks"
    typer.echo(
        f"\nto send: {work.to_send:,}   cached: {work.cached:,}   done: {work.done:,}"
        f"\n  {asks} and retries come on top"
    )
