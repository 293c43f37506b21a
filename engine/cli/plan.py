"""`alignsweep plan`: what a sweep would send, per provider, before it sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.config import Loaded
    from engine.preview import Share
    from engine.sweep import Options


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
) -> None:
    """Show what a sweep would send, per provider. Sends nothing."""
    from engine.cli.session import forked, run_folder
    from engine.config import load, select
    from engine.given import with_models_of_run
    from engine.paths import data_home
    from engine.sweep import Options

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
    say_plan(loaded, options, no_cache=no_cache)


def say_plan(loaded: Loaded, options: Options, *, no_cache: bool) -> None:
    """Print the shares of all providers, the totals, and keys that are missing."""
    import os

    from engine.adapting import notes
    from engine.bootstrap import check_keys
    from engine.cli.session import cache_file
    from engine.preview import look_ahead

    cache_path = None if no_cache else cache_file()
    shares = look_ahead(loaded, options, cache_path)
    _print(loaded, options, shares)
    for note in notes(loaded.sweep):
        typer.echo(f"note: {note}")
    check_keys(loaded, os.environ)


def _print(loaded: Loaded, options: Options, shares: list[Share]) -> None:
    sweep, chosen = loaded.sweep, options.selection
    ids = [question.id for question in loaded.benchmark.questions for _ in question.turns]
    questions = len({ids[item] for item in chosen.items})
    typer.echo(
        f"{printable(sweep.name)}: {len(chosen.models)} models x {questions} questions"
        f" x {sweep.samples} samples, {len(sweep.judges)} judges"
        f" on {printable(sweep.benchmark)}"
    )
    typer.echo(f"run folder: {printable(str(options.folder))}")
    for provider in sweep.providers:
        mine = [s for s in shares if s.provider == provider.name]
        if not mine:
            continue
        rpm = f"{provider.rpm:g} requests/min" if provider.rpm else "no rate limit given"
        kind = " (simulated)" if provider.simulated else ""
        typer.echo(
            f"\n{printable(provider.name)}{kind}: {sum(s.to_send for s in mine):,} requests"
            f"  ({provider.concurrency} in flight, {rpm})  {printable(provider.base_url)}"
        )
        for share in mine:
            typer.echo(
                f"  {share.to_send:>9,} {share.stage} by {printable(share.party)}"
                f"  ({share.done:,} done, {share.cached:,} cached)"
            )
    typer.echo(
        f"\nto send: {sum(s.to_send for s in shares):,}   cached: {sum(s.cached for s in shares):,}"
        f"   done: {sum(s.done for s in shares):,}   (re-asks and retries come on top)"
    )
