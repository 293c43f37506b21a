"""`alignsweep status`, `report`, `export`: what a run has come to. They send nothing and lock nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.reports.uncertainty import Intervals
    from engine.results import Counts
    from engine.rundir import Stored
    from engine.scores import Scores

Format = Literal["terminal", "md", "csv", "json", "jsonl", "html", "xlsx", "svg", "png"]
Texts = Literal["all", "failures", "none"]
Combine = Literal["mean", "median", "majority"]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("status")(status)
    app.command("report")(report)
    app.command("export")(export)


def status(
    run: flags.RunName,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say how far a run is, what failed, and how to go on. Works while it is running, too."""
    from cache.journal import at_work
    from data.codec import encode
    from engine.figures import many
    from engine.results import counts_of
    from engine.rundir import find_run, read_run
    from engine.served import sentence

    stored = read_run(find_run(run))
    counts = counts_of(stored)
    if as_json:
        typer.echo(encode({"run": str(stored.folder), "name": stored.sweep.name, "counts": counts}))
        return
    sweep = stored.sweep
    done = counts.answered + counts.truncated + counts.refused
    judged = counts.judged + counts.unscorable
    typer.echo(
        f"{printable(sweep.name)}: {many(len(sweep.models), 'model')},"
        f" {many(len(sweep.judges), 'judge')}, {printable(sweep.benchmark)}  ({stored.folder})"
    )
    typer.echo(
        f"answers    {done:,} final ({counts.truncated:,} truncated, {counts.refused:,} refused)"
    )
    typer.echo(f"judgments  {judged:,} final ({counts.unscorable:,} unscorable)")
    if counts.spared:
        typer.echo(f"spared     {counts.spared:,} judgments: cheaper judges had settled them")
    typer.echo(f"failed     {counts.failed:,}      pending  {counts.pending:,}")
    for reason, count in counts.reasons[:5]:
        typer.echo(f"           {count:,} x {printable(reason, 160)}")
    for row in counts.refusals:
        code = f" ({printable(row.code, 60)})" if row.code else ""
        typer.echo(
            f"refused    {row.count:,} x {row.what} by {row.by} of {printable(row.account, 60)}{code}"
        )
    for change in counts.served:
        typer.echo(f"changed    {sentence(change)}")
    typer.echo(
        f"requests   {counts.attempts:,} sent, {counts.possibly_billed:,} without a known end"
        f" (possibly billed)"
    )
    typer.echo(f"tokens     {counts.input_tokens:,} in, {counts.output_tokens:,} out")
    typer.echo(f"money      {_money(counts)}")
    if at_work(stored.folder):
        typer.echo("\na process is at work on it now")
    elif counts.pending or counts.failed:
        typer.echo("\nto go on, run the same command again (its sweep file is kept in sweep.toml)")


def _money(counts: Counts) -> str:
    from engine.figures import money

    parts = [
        f"{money(nano, code)} {column.replace('_', ' ')}" for column, code, nano in counts.money
    ]
    if counts.unpriced:
        parts.append(f"{counts.unpriced:,} requests of unknown price")
    return ", ".join(parts) or "nothing"


def report(
    run: flags.RunName,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="terminal, md, csv, json, jsonl (one verdict a line), html (one page with everything),"
            " xlsx, svg or png (plots).",
        ),
    ] = "terminal",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write it here (plots: a folder). Default: stdout; html, xlsx and plots: report/ in"
            " the run's folder.",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Show totals also where coverage is too low to rank.")
    ] = False,
    min_coverage: Annotated[
        float,
        typer.Option(
            "--min-coverage", min=0, max=1, help="Below this share of scored judgments: no rank."
        ),
    ] = 0.95,
    panel: Annotated[
        Combine | None,
        typer.Option("--panel", help="One table more: the judges of single answers as one."),
    ] = None,
    quorum: Annotated[
        int | None,
        typer.Option(
            "--quorum", min=1, help="Judges a panel's score needs; default: more than half."
        ),
    ] = None,
    texts: Annotated[
        Texts,
        typer.Option(
            "--texts", help="html: which texts it holds (failures: where something is missing)."
        ),
    ] = "all",
    reprice: Annotated[
        bool,
        typer.Option(
            "--reprice", help="Instead: what it cost, beside what it would cost at today's prices."
        ),
    ] = False,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="The same with your own prices (TOML, by name or model id)."),
    ] = None,
) -> None:
    """Print the leaderboard of a run, one table per judge, or write a report about all of it."""
    if reprice or prices is not None:
        _reprice(run, format_, out, prices)
        return
    from engine.reports.files import write_whole
    from engine.reports.uncertainty import win_intervals
    from engine.results import scores_of
    from engine.rundir import find_run, read_run

    if format_ in ("html", "xlsx", "svg", "png", "jsonl") and panel:
        raise ConfigError(
            f"{format_} has no panel", where="--panel", how="terminal, md, csv or json"
        )
    if format_ in ("html", "xlsx", "svg", "png"):
        from engine.dossier import read_dossier
        from engine.reports.large import write_large

        dossier = read_dossier(find_run(run), min_coverage=min_coverage)
        for path in write_large(dossier, format_, out, partial=partial, texts=texts):
            typer.echo(f"wrote {printable(str(path))}", err=True)
        return
    stored = read_run(find_run(run))
    _need_judges(stored)
    scores = scores_of(stored, min_coverage=min_coverage)
    if panel is not None or quorum is not None:
        scores = _with_panel(stored, scores, panel, quorum)
    if format_ == "terminal" and out is None:
        from engine.reports.terminal import print_scores

        wins = win_intervals(scores, stored.benchmark)
        print_scores(scores, file=sys.stdout, partial=partial, intervals=wins)
        return
    text = _rendered(stored, scores, format_, partial)
    if out is not None:
        write_whole(out, [text])
        typer.echo(f"wrote {printable(str(out))}", err=True)
        if format_ == "csv" and scores.duels and scores.tables:
            from engine.reports import csvfile

            beside = out.with_name(f"{out.stem}-comparisons{out.suffix}")
            write_whole(beside, [csvfile.render_duels(scores, _sure(stored, scores))])
            typer.echo(f"wrote {printable(str(beside))}", err=True)
    else:
        sys.stdout.buffer.write(text)
        if format_ == "csv" and scores.duels and scores.tables:
            typer.echo(
                "note: comparisons have columns of their own; --out X.csv also writes X-comparisons.csv",
                err=True,
            )


def _reprice(run: str, format_: Format, out: Path | None, prices: Path | None) -> None:
    """Booked costs beside those at other prices."""
    import shutil
    from datetime import UTC, datetime

    from engine.reports import repriced
    from engine.reports.files import write_whole
    from engine.repricing import own_prices, reprice
    from engine.rundir import find_run, read_run, records

    if format_ not in ("terminal", "csv", "json"):
        raise ConfigError(
            f"costs are not told as {format_}",
            where="--reprice",
            how="--format terminal, csv or json",
        )
    stored = read_run(find_run(run))
    today = datetime.now(tz=UTC).date()
    own = own_prices(stored.sweep, stored.folder, prices)
    rows = reprice(stored.sweep, records(stored.folder, kinds=("intent", "settled")), own, today)
    if format_ == "csv":
        text = repriced.as_csv(rows)
    elif format_ == "json":
        text = repriced.as_json(rows, today)
    else:
        columns = shutil.get_terminal_size().columns
        simulated = any(provider.simulated for provider in stored.sweep.providers)
        lines = repriced.lines(rows, today, columns, simulated=simulated)
        text = "".join(f"{line}\n" for line in lines).encode()
    if out is None:
        sys.stdout.buffer.write(text)
        return
    write_whole(out, [text])
    typer.echo(f"wrote {printable(str(out))}", err=True)


def export(
    run: flags.RunName,
    alignbench: Annotated[
        bool, typer.Option("--alignbench", help="In AlignBench's own record format.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder; default: export/ in the run's folder.")
    ] = None,
) -> None:
    """Write answers and judgments as files that other tools read."""
    from engine.export import export_alignbench
    from engine.rundir import find_run, read_run

    if not alignbench:
        raise ConfigError("say in which format", how="alignsweep export RUN --alignbench")
    stored = read_run(find_run(run))
    folder = out or stored.folder / "export"
    for judge in (judge.name for judge in stored.sweep.judges if judge.pairwise):
        typer.echo(
            f"note: {printable(judge)} compares two answers; AlignBench's format has no place for that",
            err=True,
        )
    for path in export_alignbench(stored, folder):
        typer.echo(printable(str(path)))


def _need_judges(stored: Stored) -> None:
    if not stored.sweep.judges:
        raise ConfigError(
            f"{stored.sweep.name} has no judges: there are no scores to report",
            how="add [[judges]] to the sweep file and run it again",
        )


def _with_panel(
    stored: Stored, scores: Scores, method: Combine | None, quorum: int | None
) -> Scores:
    from engine.cli.rank import PANEL, judged_by
    from engine.stats.panel_table import with_panel

    if method is None:
        raise ConfigError("only a panel has it", where="--quorum", how="add --panel mean")
    [(grid, _)] = judged_by(stored, scores, PANEL, method, quorum)
    return with_panel(scores, stored.benchmark, grid)


def _sure(stored: Stored, scores: Scores) -> Intervals:
    from engine.reports.uncertainty import intervals

    return intervals(scores, stored.benchmark)


def _rendered(stored: Stored, scores: Scores, format_: Format, partial: bool) -> bytes:
    from engine.reports import csvfile, jsonfile, markdown
    from engine.reports.uncertainty import win_intervals
    from engine.results import latest_judgments

    if format_ == "md":
        from engine.dossier import read_dossier
        from engine.reports.overview import facts

        known = facts(read_dossier(stored.folder))
        document = markdown.render(scores, partial=partial, sure=_sure(stored, scores), facts=known)
        return document.encode()
    if format_ == "csv":
        return csvfile.render(scores, partial=partial, sure=_sure(stored, scores))
    if format_ == "json":
        from engine.stats.intervals import intervals_of

        wins = win_intervals(scores, stored.benchmark)
        return jsonfile.render(scores, intervals_of(scores, stored.benchmark), wins)
    if format_ == "jsonl":
        return b"".join(jsonfile.verdict_lines(latest_judgments(stored), stored.benchmark))
    import io

    from engine.reports.terminal import print_scores

    text, wins = io.StringIO(), win_intervals(scores, stored.benchmark)
    print_scores(scores, file=text, columns=120, colour=False, partial=partial, intervals=wins)
    return text.getvalue().encode()
