"""`alignsweep bench`: what a provider gives per minute and per coin, measured with the sweep's own calls.

Exit codes: 0 measured, 2 the user can mend it, 4 stopped by money or time (what is there is valid), 5 this
machine could not keep up, 6 an objective of --slo is not met, 130 interrupted (the same command with --out
goes on).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import benched, foretelling
from engine.cli import options as flags
from engine.cli.benched import as_text, columns, hold_to, put
from engine.cli.benching import measure_with
from engine.cli.ordering import agree, new_folder, order_of

if TYPE_CHECKING:
    from data.schema import LoadKind
    from engine.benching.outlook import Outlook
    from engine.benching.work import Finished, Order

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
for _after in (benched.report, benched.limits, benched.diff, benched.apply):
    app.command(_after.__name__)(_after)
app.command("judges")(foretelling.judges)
STOPPED, CLIENT_BOUND = 4, 5
STOPPED_BY = {
    "money": "stopped: the budget does not cover the worst case of one more call",
    "time": "stopped: --max-seconds have passed",
}

Targets = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", help="Only this model or judge; may be repeated."),
]
Leg = Annotated[
    str | None, typer.Option(help="answer (models), judge (judges) or both.", show_default="both")
]
Ladder = Annotated[
    str | None,
    typer.Option(help="Calls in flight, one block each.", show_default="1,2,4,8,16,32,64"),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="One block of so many calls in flight, no ladder.")
]
Rpm = Annotated[
    str, typer.Option(help="Open load instead: calls a minute, one block each (60,120).")
]
Arrival = Annotated[str, typer.Option(help="With --rpm: poisson or constant.")]
Questions = Annotated[int | None, typer.Option(help="Questions at most; all if left out.")]
MinRequests = Annotated[
    int | None, typer.Option(help="Calls in a block at least.", show_default="40")
]
MaxRequests = Annotated[
    int | None,
    typer.Option(
        help="Calls in a block at most (never below three rounds of its places).",
        show_default="400",
    ),
]
StepSeconds = Annotated[
    str | None, typer.Option(help="Seconds of a block: MIN..MAX.", show_default="20..90")
]
Precision = Annotated[
    float | None,
    typer.Option(
        "--ci", help="Enough when the rate is known within this (half width).", show_default="0.1"
    ),
]
Repeat = Annotated[
    int | None,
    typer.Option(help="Blocks per load; the repeats in random order.", show_default="1"),
]
MaxCost = Annotated[
    str | None, typer.Option(help="The benchmark's own budget, in the sweep's currency.")
]
MaxSeconds = Annotated[
    float | None, typer.Option(help="Begin no further block after so many seconds.")
]
Cache = Annotated[
    str | None,
    typer.Option(help="natural, or cold: every prompt begins with salt.", show_default="natural"),
]
Stream = Annotated[
    str | None,
    typer.Option(help="auto (as the sweep file has it), yes or no.", show_default="auto"),
]
Slo = Annotated[
    str | None,
    typer.Option(help="Objectives, such as `p95 ttft < 2 s, error rate < 1 %`; exit code 6."),
]
Seed = Annotated[
    int | None, typer.Option(help="Decides the order of questions and blocks.", show_default="0")
]


@app.command("run")
def run(
    sweep: flags.SweepFile,
    target: Targets = None,
    leg: Leg = None,
    ladder: Ladder = None,
    concurrency: Concurrency = None,
    rpm: Rpm = "",
    arrival: Arrival = "poisson",
    questions: Questions = None,
    min_requests: MinRequests = None,
    max_requests: MaxRequests = None,
    step_seconds: StepSeconds = None,
    ci: Precision = None,
    repeat: Repeat = None,
    max_cost: MaxCost = None,
    max_seconds: MaxSeconds = None,
    cache: Cache = None,
    stream: Stream = None,
    seed: Seed = None,
    slo: Slo = None,
    run_dir: flags.RunDir = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The benchmark's folder; one that was begun is gone on with."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
    keep: Annotated[
        bool, typer.Option(help="Answers go into the response cache: the sweep need not buy them.")
    ] = True,
    dry_run: flags.DryRun = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON on stdout; the rest on stderr.")
    ] = False,
) -> None:
    """Measure models and judges of a sweep file under rising load, and report."""
    given = {
        "leg": leg, "questions": questions, "min_requests": min_requests,
        "max_requests": max_requests, "step_seconds": step_seconds, "ci": ci, "repeat": repeat,
        "max_cost": max_cost, "max_seconds": max_seconds, "cache": cache, "stream": stream,
        "seed": seed, "slo": slo,
    }  # fmt: skip
    loads = _loads(ladder, concurrency, rpm, arrival)
    order = order_of(sweep, given, loads, target, run_dir)
    plan = _outlook(order)
    _say_plan(plan, order, err=as_json)
    if dry_run:
        return
    agree(order, yes)
    folder = out or new_folder(order)
    finished = measure_with(order, folder, keep=keep)
    _finish(folder, finished, order, run_dir, as_json=as_json)


@app.command("plan")
def plan(
    sweep: flags.SweepFile,
    target: Targets = None,
    leg: Leg = None,
    ladder: Ladder = None,
    rpm: Rpm = "",
    questions: Questions = None,
    min_requests: MinRequests = None,
    max_requests: MaxRequests = None,
    step_seconds: StepSeconds = None,
    repeat: Repeat = None,
    max_cost: MaxCost = None,
    run_dir: flags.RunDir = None,
) -> None:
    """Show what a benchmark would send, cost and take. Sends nothing and needs no key."""
    given = {
        "leg": leg, "questions": questions, "min_requests": min_requests,
        "max_requests": max_requests, "step_seconds": step_seconds, "repeat": repeat,
        "max_cost": max_cost,
    }  # fmt: skip
    order = order_of(sweep, given, _loads(ladder, None, rpm, "poisson"), target, run_dir)
    _say_plan(_outlook(order), order, err=False)


# --- what is asked for -------------------------------------------------------------------------


def _loads(
    ladder: str | None, concurrency: int | None, rpm: str, arrival: str
) -> tuple[LoadKind, tuple[float, ...] | None]:
    """The kind of load, and its levels; None: the ladder of the sweep file."""
    from engine.benching.settings import levels_of

    if not rpm:
        ladder = str(concurrency) if concurrency else ladder
        return "closed", levels_of(ladder) if ladder is not None else None
    if arrival == "poisson":
        return "poisson", levels_of(rpm)
    if arrival == "constant":
        return "constant", levels_of(rpm)
    raise ConfigError(
        f"no arrival `{printable(arrival, 40)}`", where="--arrival", how="poisson, constant"
    )


def _outlook(order: Order) -> Outlook:
    from engine.benching.outlook import outlook

    return outlook(order.loaded, order.settings, order.targets, order.answers)


def _say_plan(plan: Outlook, order: Order, *, err: bool) -> None:
    from engine.budget import TOTAL
    from engine.reports.benched import plan_lines

    for line in plan_lines(plan, columns(), order.ceiling.limits.get(TOTAL)):
        typer.echo(line, err=err)
    if any(target.stage == "judge" for target in order.targets) and not order.answers:
        typer.echo(
            "note: no run holds answers yet, so judges are shown the questions' references", err=err
        )


# --- the end -----------------------------------------------------------------------------------


def _finish(
    folder: Path, finished: Finished, order: Order, run_dir: Path | None, *, as_json: bool
) -> None:
    """The report, its files, and the exit code."""
    from engine.benching.document import document
    from engine.benching.folder import read
    from engine.cli.foretelling import foretold_of
    from engine.reports import benched_files
    from engine.reports.files import write_whole

    found = read(folder)
    doc = foretold_of(document(found), found, order.loaded, run_dir)
    write_whole(folder / "report" / "bench.json", [benched_files.as_json(doc)])
    write_whole(folder / "report" / "bench.csv", [benched_files.as_csv(doc)])
    write_whole(folder / "report" / "bench.md", [benched_files.as_markdown(doc).encode()])
    for name, why in finished.ended.items():
        typer.echo(f"{printable(name)} ended early: {printable(why)}", err=True)
    put(benched_files.as_json(doc) if as_json else as_text(doc), None)
    typer.echo(f"report: {printable(str(folder / 'report'))}", err=True)
    if finished.state in ("money", "time"):
        typer.echo(STOPPED_BY[finished.state], err=True)
        raise typer.Exit(STOPPED)
    if finished.state == "broken":
        raise typer.Exit(2)
    if any(rung.client.bound for report in doc.targets for rung in report.rungs):
        raise typer.Exit(CLIENT_BOUND)
    hold_to(doc)
