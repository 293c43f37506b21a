"""`alignsweep compare`: two models of a run on the same questions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags
from engine.cli import rank as ranks

if TYPE_CHECKING:
    from engine.reports.compared import Apart, Compared, Line
    from engine.rundir import Stored
    from engine.stats.grid import Grid
    from engine.stats.style import Styles


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compare")(compare)


def compare(
    run: flags.RunName,
    a: Annotated[str, typer.Argument(help="A model, as the table names it.")],
    b: Annotated[str, typer.Argument(help="The model to compare it with.")],
    judge: ranks.JudgeName = None,
    cluster: ranks.Cluster = False,
    panel: ranks.PanelMethod = "mean",
    quorum: ranks.Quorum = None,
    min_coverage: ranks.MinCoverage = 0.95,
    as_json: ranks.AsJson = False,
) -> None:
    """Compare two models question by question: which is better, by how much, how sure."""
    from engine.cli.wins import compared as compared_wins
    from engine.cli.wins import tables_by
    from engine.reports.compared import between_judges, document, lines
    from engine.results import scores_of
    from engine.rundir import find_run, read_run
    from engine.stats.style import Styles

    stored = read_run(find_run(run))
    _check_models(stored, a, b)
    styles = Styles([a, b])
    scores = scores_of(stored, min_coverage=min_coverage, watch=styles.watch)
    chosen = ranks.judged_by(stored, scores, judge, panel, quorum)
    found = [_compared(stored, grid, a, b, styles, cluster) for grid, _ in chosen]
    found += [
        compared_wins(table, stored.benchmark, scores, styles, a, b, cluster=cluster)
        for table in tables_by(scores, judge)
    ]
    if as_json:
        sys.stdout.buffer.write(document(found, ranks.facts(stored, scores)))
        return
    columns = ranks.terminal_width()
    for one in found:
        for line in lines(one, columns, title=ranks.title_of(scores, one.judge)):
            typer.echo(line)
    for line in between_judges(found, columns):
        typer.echo(line)
    ranks.say_simulated(scores)


def _check_models(stored: Stored, a: str, b: str) -> None:
    names = [model.name for model in stored.sweep.models]
    for name in (a, b):
        if name not in names:
            known = ", ".join(printable(one) for one in names)
            raise ConfigError(f"no model `{printable(name)}` in this run", how=f"it has: {known}")
    if a == b:
        raise ConfigError(f"`{printable(a)}` is the same model twice", how="name two models")


def _compared(
    stored: Stored, grid: Grid, a: str, b: str, styles: Styles, cluster: bool
) -> Compared:
    from engine.reports.compared import Compared
    from engine.stats.battles import outcomes, win_rate
    from engine.stats.length_control import length_controlled, lengths_of

    results = outcomes(grid.row(a) - grid.row(b))
    lengths = lengths_of(styles, (a, b), grid.layout.questions)
    return Compared(
        judge=grid.judge,
        a=a,
        b=b,
        lines=compared_lines(grid, a, b, cluster),
        refused=_refused(grid, a, b),
        win_rate=win_rate(results),
        equal_length=length_controlled(results, lengths),
        largest=_largest(stored, grid, a, b),
        questions=len(grid.layout.questions),
        clusters=grid.layout.clusters if cluster else None,
    )


def _refused(grid: Grid, a: str, b: str) -> str:
    """Why coverage forbids a total; empty if it does not."""
    return ", ".join(f"{name} lacks scores ({why})" for name in (a, b) if (why := grid.thin(name)))


def compared_lines(grid: Grid, a: str, b: str, cluster: bool) -> tuple[Line, ...]:
    """The total, the groups and the categories; p of the categories corrected together."""
    from engine.reports.compared import Line
    from engine.stats.holm import holm
    from engine.stats.paired import compare as compare_pairs
    from engine.stats.paired import shared_means

    found = [
        (
            column,
            compare_pairs(grid, [(a, b)], column, clustered=cluster)[0],
            shared_means(grid, a, b, column),
        )
        for column in grid.columns
    ]
    corrected = iter(holm([one.p for column, one, _ in found if column.kind == "category"]))
    return tuple(
        Line(
            name=column.name,
            kind=column.kind,
            mean_a=means[0],
            mean_b=means[1],
            comparison=one,
            p=next(corrected) if column.kind == "category" else one.p,
        )
        for column, one, means in found
    )


def _largest(stored: Stored, grid: Grid, a: str, b: str) -> tuple[Apart, ...]:
    """The questions that speak most for a, then those for b."""
    from engine.reports.compared import LARGEST, Apart

    questions = {question.id: question for question in stored.benchmark.questions}
    known = [
        Apart(
            question=number,
            category=questions[number].category,
            a=ours,
            b=theirs,
            text=questions[number].text,
        )
        for number, ours, theirs in zip(
            grid.layout.questions, grid.row(a).tolist(), grid.row(b).tolist(), strict=True
        )
        if abs(ours - theirs) > 0  # False for NaN
    ]
    by_difference = sorted(known, key=lambda one: one.b - one.a)
    for_a = [one for one in by_difference[:LARGEST] if one.a > one.b]
    for_b = [one for one in by_difference[::-1][:LARGEST] if one.b > one.a]
    return (*for_a, *for_b)
