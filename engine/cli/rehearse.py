"""`alignsweep rehearse`: a whole sweep on virtual time, against simulated providers with its limits."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.config import Loaded, Selection
    from engine.rehearsal import Rehearsal
    from engine.reports.rehearsal import Told
    from engine.standins import Assumed

BUDGET_REACHED, INTERRUPTED = 4, 130


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("rehearse")(rehearse)


def rehearse(
    sweep: flags.SweepFile,
    limit: flags.Limit = None,
    category: flags.Category = None,
    models: flags.Models = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides every time, length and fault; the sweep's own.")
    ] = None,
    latency_s: Annotated[
        float | None,
        typer.Option(
            "--latency",
            min=0,
            help="Median seconds of a reply of 200 tokens; left out: as an earlier run of this"
            " sweep shows, else 2.5.",
        ),
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of requests that fail: 5xx, resets, silence."),
    ] = None,
    no_what_if: Annotated[
        bool, typer.Option("--no-what-if", help="Leave out what higher limits would bring.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as one JSON line.")] = False,
    run_dir: flags.RunDir = None,
) -> None:
    """Play a sweep through on virtual time: how long it takes, what it costs, what binds it.

    Nothing is sent and no key is needed. Exit code 4: the budget would be reached.
    """
    from engine.cli.session import run_folder
    from engine.config import load, select
    from engine.measured import measured_in
    from engine.paths import data_home
    from engine.plan import Plan
    from engine.standins import Assumed

    loaded = load(sweep, home=data_home())
    if not loaded.sweep.models:
        raise ConfigError(
            "this sweep has no [[models]]: there is nothing to rehearse", where=str(sweep)
        )
    selection = select(loaded, models=models or [], categories=category or [], limit=limit)
    plan = Plan(loaded.sweep, loaded.benchmark)
    earlier = measured_in(run_folder(loaded, run_dir), plan)
    assumed = Assumed(
        seed=seed,
        latency_s=latency_s,
        error_rate=error_rate,
        measured=earlier.paces,
        seen=earlier.seen,
    )
    try:
        end = _play(
            loaded, selection, assumed, earlier.note, what_if=not no_what_if, as_json=as_json
        )
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was sent and nothing is left behind", err=True)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(BUDGET_REACHED if end.state == "budget" else 0)


def _play(
    loaded: Loaded,
    selection: Selection,
    assumed: Assumed,
    note: str,
    *,
    what_if: bool,
    as_json: bool,
) -> Rehearsal:
    """Rehearse, tell, rehearse what may be better, tell that. Lines come as soon as they are known."""
    from data.codec import replace
    from engine import whatif
    from engine.rehearsal import rehearse as play
    from engine.reports import rehearsal as report

    _hint("rehearsing on virtual time …")
    now_s, started = time.time(), time.perf_counter()
    end = play(loaded, selection, assumed, now_s=now_s)
    told = _told(loaded, selection, assumed, end, note, now_s)
    told = replace(told, real_s=time.perf_counter() - started)
    if not as_json:
        _say(*report.base_lines(told))
    if what_if and end.accounts and end.state != "budget":
        _hint("trying higher limits …")
        savings = whatif.what_if(
            loaded, selection, assumed, end, now_s=now_s, workers=os.cpu_count() or 1
        )
        told = replace(told, what_if=tuple(savings))
        if not as_json:
            _say("", *report.saving_lines(savings, end))
    if as_json:
        typer.echo(report.render(told), nl=False)
    else:
        _say("", *report.note_lines(told))
    return end


def _told(
    loaded: Loaded,
    selection: Selection,
    assumed: Assumed,
    end: Rehearsal,
    note: str,
    now_s: float,
) -> Told:
    from engine.caveats import caveats
    from engine.reports.rehearsal import Told

    ids = [question.id for question in loaded.benchmark.questions for _ in question.turns]
    today = datetime.fromtimestamp(now_s, tz=UTC).date()
    return Told(
        sweep=loaded.sweep.name,
        benchmark=loaded.sweep.benchmark,
        models=len(selection.models),
        judges=len(loaded.sweep.judges),
        questions=len({ids[item] for item in selection.items}),
        samples=loaded.sweep.samples,
        rehearsal=end,
        real_s=0.0,
        notes=(*caveats(loaded, assumed, end, today), *([note] if note else ())),
    )


def _hint(text: str) -> None:
    """For somebody who watches and would else see nothing for some seconds."""
    if sys.stderr.isatty():
        typer.echo(text, err=True)


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)
