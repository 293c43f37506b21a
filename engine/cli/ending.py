"""What a session says when it ends, and the small reports it leaves in the run's folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from data.text import printable

if TYPE_CHECKING:
    from engine.bootstrap import Outcome
    from engine.budget import Statistics
    from engine.config import Loaded
    from engine.scores import Scores
    from engine.sweep import Options

STATES = {
    "complete": "finished",
    "partial": "finished",
    "budget": "finished",
    "interrupted": "interrupted",
}


def say(loaded: Loaded, options: Options, outcome: Outcome, command: str) -> None:
    """The summary on stdout; warnings on stderr."""
    from data.codec import replace
    from engine.reports.terminal import print_summary

    scores = _scores(options) if loaded.sweep.judges and options.judge else None
    files = _leave_reports(options, scores) if scores is not None else []
    print_summary(
        replace(outcome.progress, state=STATES[outcome.state]),
        scores,
        run_dir=str(options.folder),
        file=sys.stdout,
        files=files,
        next_command=_next_command(loaded, outcome, options, command),
    )
    typer.echo(f"  money     {money_line(outcome.spent)}")
    if outcome.broke:
        typer.echo(f"stopped: {printable(outcome.broke)}", err=True)
    for note in outcome.notes:
        typer.echo(f"note: {printable(note)}", err=True)
    for stop in outcome.stopped:
        text = f"{stop.name} was stopped: {stop.error}: {stop.message}"
        typer.echo(f"stopped: {printable(text)}", err=True)
    if outcome.trouble:
        typer.echo(f"error: {printable(outcome.trouble)}", err=True)


def money_line(spent: Statistics) -> str:
    """Spent, estimated, possibly billed; what is unknown is said, never counted as 0."""
    from engine.money import Amount, formatted

    def shown(nano: int) -> str:
        return formatted(Amount(nano, spent.currency))

    total = spent.total
    parts = [f"{shown(total.spent)} spent"]
    if total.estimated:
        parts.append(f"{shown(total.estimated)} estimated")
    if total.possibly_billed:
        parts.append(f"{shown(total.possibly_billed)} possibly billed")
    if total.limit is not None:
        parts.append(f"ceiling {shown(total.limit)}")
    if total.unpriced:
        parts.append(f"{total.unpriced:,} calls of unknown price")
    return ", ".join(parts)


def _scores(options: Options) -> Scores:
    from engine.results import scores_of
    from engine.rundir import read_run

    return scores_of(read_run(options.folder))


def _leave_reports(options: Options, scores: Scores) -> list[str]:
    from engine.reports import csvfile, markdown
    from engine.reports.files import write_whole

    folder = options.folder / "report"
    write_whole(folder / "leaderboard.md", [markdown.render(scores).encode()])
    write_whole(folder / "leaderboard.csv", [csvfile.render(scores)])
    return ["report/leaderboard.md", "report/leaderboard.csv"]


def _next_command(loaded: Loaded, outcome: Outcome, options: Options, command: str) -> str:
    if outcome.state != "complete":
        return command
    if options.judge:
        return f"alignsweep report {options.folder}"
    return f"alignsweep judge {loaded.path}" if loaded.sweep.judges else ""
