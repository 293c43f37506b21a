"""`alignsweep rank`: the leaderboard with its uncertainty, and which ranks are told apart."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from data.errors import ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.schema import Record
    from engine.reports.ranked import Judged
    from engine.reports.rated import Rated
    from engine.reports.won import Won
    from engine.rundir import Stored
    from engine.scores import Scores
    from engine.stats.grid import Grid
    from engine.stats.panel import Disagreement, Method
    from engine.stats.ranking import Ranking
    from engine.stats.spending import JudgingMoney
    from engine.stats.style import Styles

PANEL = "panel"
By = Literal["total", "category", "rating"]
Combine = Literal["mean", "median", "majority"]
Ties = Literal["half", "davidson"]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help="Only this judge; `panel` combines all. Default: each in turn."),
]
PanelMethod = Annotated[Combine, typer.Option("--panel", help="How a panel combines its scores.")]
Quorum = Annotated[
    int | None,
    typer.Option("--quorum", min=1, help="Judges a panel's score needs; default: more than half."),
]
Cluster = Annotated[
    bool,
    typer.Option(
        "--cluster", help="Take subcategories, not single questions, as what was sampled."
    ),
]
MinCoverage = Annotated[
    float,
    typer.Option(
        "--min-coverage", min=0, max=1, help="Below this share of scored judgments: no rank."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object, unrounded.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("rank")(rank)


def rank(
    run: flags.RunName,
    judge: JudgeName = None,
    by: Annotated[
        By,
        typer.Option(
            "--by", help="total, every category, or Bradley-Terry rating by wins per question."
        ),
    ] = "total",
    cluster: Cluster = False,
    panel: PanelMethod = "mean",
    quorum: Quorum = None,
    ties: Annotated[
        Ties, typer.Option("--ties", help="For --by rating: half a win each, or Davidson's model.")
    ] = "half",
    min_coverage: MinCoverage = 0.95,
    as_json: AsJson = False,
) -> None:
    """Rank a run's models with intervals, and say which ranks can be told apart."""
    from engine.cli.wins import rated as rated_wins
    from engine.cli.wins import tables_by, won
    from engine.results import scores_of
    from engine.rundir import find_run, read_run
    from engine.stats.spending import JudgingMoney
    from engine.stats.style import Styles

    stored = read_run(find_run(run))
    money, styles = JudgingMoney(), Styles([m.name for m in stored.sweep.models])

    def watch(record: Record) -> None:
        styles.watch(record)
        money.watch(record)

    pairs = any(one.pairwise for one in stored.sweep.judges)
    seen = watch if pairs else styles.watch if by == "rating" else money.watch
    scores = scores_of(stored, min_coverage=min_coverage, watch=seen)
    chosen = judged_by(stored, scores, judge, panel, quorum)
    tables = tables_by(scores, judge)
    asked = stored.benchmark
    if by == "rating":
        rated = [_rated(grid, styles, ties) for grid, _ in chosen]
        rated += [rated_wins(table, asked, scores, styles, ties) for table in tables]
        _say_ratings(stored, scores, rated, as_json)
        return
    found = [
        _judged(grid, disagreement, by, cluster, money, stored.sweep.repeats)
        for grid, disagreement in chosen
    ]
    wins = [won(table, asked, scores, styles, by, cluster=cluster) for table in tables]
    if as_json:
        from engine.reports.ranked import document
        from engine.reports.won import plain

        about = {**facts(stored, scores), "by": by}
        sys.stdout.buffer.write(document(found, about, [plain(one) for one in wins]))
        return
    _say(stored, scores, found, wins)


def judged_by(
    stored: Stored, scores: Scores, judge: str | None, method: Method, quorum: int | None
) -> list[tuple[Grid, Disagreement | None]]:
    """The pointwise judges asked for, or the panel of all of them; none where a pairwise one is.

    Raises ConfigError for a judge that is not there.
    """
    if judge != PANEL and (quorum is not None or method != "mean"):
        flag = "--panel" if quorum is None else "--quorum"
        raise ConfigError("only a panel has it", where=flag, how="add --judge panel")
    from engine.stats.grid import grids
    from engine.stats.panel import default_quorum, panel

    if not stored.sweep.judges:
        raise ConfigError(
            f"{stored.sweep.name} has no judges: there are no scores to compare",
            how="add [[judges]] to the sweep file and run it again",
        )
    names = [one.name for one in stored.sweep.judges]
    if judge is not None and judge != PANEL and judge not in names:
        known = ", ".join(printable(name) for name in names)
        raise ConfigError(
            f"no judge `{printable(judge)}` in this run", where="--judge", how=f"{known}, or panel"
        )
    found = grids(scores, stored.benchmark)
    if judge in names or judge is None:
        return [(grid, None) for grid in found if judge in (None, grid.judge)]
    _refuse_odd_panel(stored)
    needed = default_quorum(len(found)) if quorum is None else quorum
    if needed > len(found):
        raise ConfigError(
            f"a quorum of {needed} of {len(found)} judges", where="--quorum", how="ask for fewer"
        )
    return [panel(found, method, quorum=needed, min_coverage=scores.min_coverage)]


def facts(stored: Stored, scores: Scores) -> dict[str, Any]:
    """What every document of this kind begins with."""
    return {
        "run": str(stored.folder),
        "name": stored.sweep.name,
        "simulated": scores.simulated,
        "benchmark": scores.benchmark,
        "benchmark_sha256": scores.benchmark_sha256,
        "min_coverage": scores.min_coverage,
    }


def title_of(scores: Scores, judge: str) -> str:
    """`alignbench-v1.1 by gpt-4 (simulated)`"""
    from engine.cells import inert

    simulated = " (simulated)" if scores.simulated else ""
    return f"{inert(scores.benchmark)} by {inert(judge)}{simulated}"


def say_simulated(scores: Scores) -> None:
    """So that nobody takes this for a finding."""
    if scores.simulated:
        typer.echo("\nEverything here is simulated: no model was asked and no judge has read it.")


def terminal_width() -> int:
    """Cells a line may have."""
    import shutil

    return max(shutil.get_terminal_size().columns, 60)


def escalation_lines(scores: Scores, judge: str) -> list[str]:
    """What was asked of a judge that others stand in for; nothing for any other."""
    from engine.reports.plain import paragraph
    from engine.reports.table import escalation_note

    told = next((t.escalated for t in scores.tables if t.judge == judge), None)
    note = escalation_note(judge, told) if told else ""
    return list(paragraph(note, terminal_width(), first="  * ")) if note else []


def _refuse_odd_panel(stored: Stored) -> None:
    """Scores can be combined only if they are read alike, on one scale."""
    judges = [judge for judge in stored.sweep.judges if not judge.pairwise]
    ladder = next((judge for judge in judges if judge.escalate), None)
    if ladder is not None:
        raise ConfigError(
            f"{printable(ladder.name)} is a panel already: its verdict counts where it was asked,"
            " elsewhere the mean of the judges below",
            where="--judge panel",
            how=f"--judge {printable(ladder.name)}",
        )
    if len(judges) < 2:
        which = "score single answers" if len(judges) < len(stored.sweep.judges) else "score"
        raise ConfigError(
            f"a panel needs two judges that {which}; this run has {len(judges) or 'none'}",
            where="--judge panel",
        )
    compat = [judge.name for judge in judges if judge.parse == "compat"]
    if compat:
        raise ConfigError(
            f"{printable(compat[0])} has parse = compat, whose -1 is no score to combine",
            where="--judge panel",
            how='set parse = "robust" for it and run the same command again: nothing is asked anew',
        )
    scales = {
        (rubric.low, rubric.high)
        for judge in judges
        if (rubric := stored.rubrics.get(judge.rubric)) is not None
    }
    if len(scales) > 1:
        raise ConfigError("these judges score on different scales", where="--judge panel")


def _judged(
    grid: Grid,
    disagreement: Disagreement | None,
    by: By,
    cluster: bool,
    money: JudgingMoney,
    repeats: int,
) -> Judged:
    from engine.reports.ranked import Judged
    from engine.stats.ranking import rankings
    from engine.stats.variance import noise, worth

    columns = [column for column in grid.columns if column.kind == by]
    tables = rankings(grid, columns, clustered=cluster)
    clusters = grid.layout.clusters if cluster else None
    if by != "total":
        return Judged(
            judge=grid.judge, rankings=tables, clusters=clusters, disagreement=disagreement
        )
    ranked = [one.model for one in tables[0].standings]
    gain = worth(grid, grid.total, _apart(tables[0]))
    enough = gain.enough_to_tell if gain else repeats
    return Judged(
        judge=grid.judge,
        rankings=tables,
        clusters=clusters,
        noise=tuple(noise(grid, model, grid.total, clustered=cluster) for model in ranked),
        worth=gain,
        saved=money.after(grid.judge, enough),
        disagreement=disagreement,
    )


def _apart(table: Ranking) -> list[tuple[str, str]]:
    return [(p.comparison.a, p.comparison.b) for p in table.pairs if p.told_apart]


def _say(stored: Stored, scores: Scores, found: Sequence[Judged], wins: Sequence[Won]) -> None:
    from engine.figures import many
    from engine.reports import won
    from engine.reports.ranked import between_judges, lines

    columns = terminal_width()
    models = many(len(stored.sweep.models), "model")
    asked = many(len(stored.benchmark.questions), "question")
    for judged in found:
        title = f"{title_of(scores, judged.judge)}: {models}, {asked}"
        for line in [*lines(judged, columns, title=title), *escalation_lines(scores, judged.judge)]:
            typer.echo(line)
    for one in wins:
        title = f"{title_of(scores, one.judge)}, pair by pair: {models}, {asked}"
        for line in won.lines(one, columns, title=title):
            typer.echo(line)
    tables = [*(judged.rankings for judged in found), *(one.rankings for one in wins)]
    for line in between_judges(tables, columns):
        typer.echo(line)
    say_simulated(scores)


def _rated(grid: Grid, styles: Styles, ties: Ties) -> Rated:
    from engine.reports.rated import Rated
    from engine.stats.bradley_terry import ratings
    from engine.stats.style_control import style_controlled

    placed = zip(grid.models, grid.complete, strict=True)
    return Rated(
        judge=grid.judge,
        ratings=ratings(grid, ties),
        styled=style_controlled(grid, styles) if ties == "half" else None,
        unranked=tuple(model for model, whole in placed if not whole),
    )


def _say_ratings(stored: Stored, scores: Scores, found: Sequence[Rated], as_json: bool) -> None:
    from engine.reports.rated import document, lines

    if as_json:
        sys.stdout.buffer.write(document(found, {**facts(stored, scores), "by": "rating"}))
        return
    for rated in found:
        title = f"{title_of(scores, rated.judge)}: Bradley-Terry ratings"
        for line in lines(rated, terminal_width(), title=title):
            typer.echo(line)
    say_simulated(scores)
