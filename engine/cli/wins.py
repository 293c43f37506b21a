"""What `rank` and `compare` make of judges that compare two answers: no command of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from data.schema import Benchmark
    from engine.duels import DuelTable, Pairing
    from engine.reports.compared import Compared
    from engine.reports.rated import Rated
    from engine.reports.won import Won
    from engine.scores import Scores
    from engine.stats.length_control import LengthControlled
    from engine.stats.style import Styles


def tables_by(scores: Scores, judge: str | None) -> tuple[DuelTable, ...]:
    """The pairwise judges that are asked for; None: all of them."""
    return tuple(table for table in scores.duels if judge in (None, table.judge))


def won(
    table: DuelTable,
    asked: Benchmark,
    scores: Scores,
    styles: Styles,
    by: Literal["total", "category"],
    *,
    cluster: bool,
) -> Won:
    """One judge's ranking by win rate."""
    from engine.reports.won import Won
    from engine.stats.ranking import rankings
    from engine.stats.wins import win_grid

    grid = win_grid(table, asked, min_coverage=scores.min_coverage, by_category=by == "category")
    return Won(
        table=table,
        rankings=rankings(grid, list(grid.columns), clustered=cluster),
        clusters=grid.layout.clusters if cluster else None,
        equal_length=_equal_length(table, asked, styles, grid.models) if by == "total" else {},
    )


def rated(table: DuelTable, asked: Benchmark, scores: Scores, styles: Styles, ties: str) -> Rated:
    """One judge's Bradley-Terry ratings, from its games."""
    from engine.reports.rated import Rated
    from engine.reports.won import games_line
    from engine.stats.bradley_terry import Ratings, TieRule
    from engine.stats.bradley_terry import rated as ratings
    from engine.stats.design import layout_of
    from engine.stats.style_control import controlled
    from engine.stats.wins import outcomes_of, tournament_of

    rule: TieRule = "davidson" if ties == "davidson" else "half"
    layout, _ = layout_of(asked)
    whole = {row.model: row.coverage >= scores.min_coverage for row in table.rows}
    names = sorted(model for model, enough in whole.items() if enough)
    if len(names) < 2:
        found, styled = Ratings(reason="fewer than two ranked models"), None
    else:
        found = ratings(*tournament_of(table, layout, names), names, layout, rule)
        styled = controlled(
            lambda i, j: outcomes_of(table, layout, names[i], names[j]), names, layout, styles
        )
    return Rated(
        judge=table.judge,
        ratings=found,
        styled=styled if rule == "half" else None,
        unranked=tuple(model for model, enough in whole.items() if not enough),
        games=games_line(table.pairings),
    )


def compared(
    table: DuelTable,
    asked: Benchmark,
    scores: Scores,
    styles: Styles,
    a: str,
    b: str,
    *,
    cluster: bool,
) -> Compared:
    """Two models by one judge: their own games if they met, else those with the baseline."""
    from engine.cli.compare import compared_lines
    from engine.reports.compared import Compared
    from engine.stats.battles import win_rate
    from engine.stats.length_control import length_controlled, lengths_of
    from engine.stats.wins import meeting, outcomes_of

    whole = meeting(table, asked, a, b, by_category=False)
    parts = meeting(table, asked, a, b, by_category=True)
    layout = whole.grid.layout
    results = outcomes_of(table, layout, a, b)
    return Compared(
        judge=table.judge,
        a=a,
        b=b,
        lines=(
            *compared_lines(whole.grid, a, b, cluster),
            *compared_lines(parts.grid, a, b, cluster),
        ),
        refused=_refused(whole.pairings, scores.min_coverage),
        win_rate=win_rate(results),
        equal_length=length_controlled(results, lengths_of(styles, (a, b), layout.questions)),
        largest=(),
        questions=len(layout.questions),
        clusters=layout.clusters if cluster else None,
        games=whole.pairings,
        baseline=whole.baseline,
    )


def _refused(pairings: Sequence[Pairing], min_coverage: float) -> str:
    """Why coverage forbids a verdict; empty if it does not."""
    for one in pairings:
        games = one.wins + one.ties + one.losses + one.inconsistent
        if games < min_coverage * (games + one.missing):
            share = int(1000 * games / (games + one.missing)) / 10
            return f"only {share:g} % of the games of {one.first} and {one.second} have a result"
    return "" if pairings else "these two have no games"


def _equal_length(
    table: DuelTable, asked: Benchmark, styles: Styles, models: Sequence[str]
) -> dict[str, LengthControlled]:
    """By model: its win rate over the baseline at equal length; empty without a baseline."""
    from engine.stats.design import layout_of
    from engine.stats.length_control import length_controlled, lengths_of
    from engine.stats.wins import outcomes_of

    layout, _ = layout_of(asked)
    found = {}
    for model in models:
        if table.baseline and model != table.baseline:
            results = outcomes_of(table, layout, model, table.baseline)
            lengths = lengths_of(styles, (model, table.baseline), layout.questions)
            found[model] = length_controlled(results, lengths)
    return found
