"""The verdicts of a pairwise judge as a grid of win rates, so that every other file can take them. Pure.

The unit is the question: its games (both positions, repeats, samples, turns) stand or fall together, so
they are one observation, and no interval takes them for independent ones. Values are per cent; a tie
and an inconsistent game (`engine/duels.py`) count half.

A win rate R = P / N is a ratio of points to games, both summed over questions. Its questions' values are

    z_q = R + (P_q - R N_q) / mean(N)

whose mean is R exactly, also where games are missing, and whose spread over the questions is R's
linearised error (Cochran, Sampling Techniques, 3rd edition 1977, 6.4). With all games there, z_q is just
the points won on q. Every question counts the same, so the win rate has one stratum; for single
categories (`by_category`) each has its own rate.

Against a baseline every rate is one against the baseline, whose own is 50 on every question.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.codec import replace
from data.schema import Benchmark, Struct
from engine.duels import DuelTable, Pairing
from engine.stats.arrays import Floats, Ints, summed
from engine.stats.design import TOTAL, Column, Layout, columns, layout_of
from engine.stats.grid import Grid

EVEN = 50.0
WON, DRAWN, LOST = 0, 1, 2
_Tallies = dict[tuple[str, str], Floats]
"""(model, opponent) -> questions x (won, drawn, lost)."""


class Meeting(Struct, frozen=True, kw_only=True):
    """Two models, as two rows of a grid, and how they came to be compared."""

    grid: Grid
    pairings: tuple[Pairing, ...]
    """Their games with each other, from the side of either; or both ones' games with the baseline."""
    baseline: str
    """Whom both met; empty where they met each other."""


def win_grid(
    table: DuelTable, asked: Benchmark, *, min_coverage: float, by_category: bool = False
) -> Grid:
    """Win rates in per cent, models x questions; the columns: the total, or every category."""
    layout = _layout(asked, by_category)
    tallies = _tallies(table, layout)
    found: dict[str, Floats] = {}
    for row in table.rows:
        own = [games for (model, _), games in tallies.items() if model == row.model]
        found[row.model] = _rates(np.sum(own, axis=0), layout) if own else _nothing(layout)
        if row.is_baseline and own:
            found[row.model] = np.full(len(layout.questions), EVEN)
    enough = {row.model: row.coverage >= min_coverage for row in table.rows}
    coverage = {row.model: row.coverage for row in table.rows}
    grid = _grid(table, asked, layout, found, by_category=by_category)
    return replace(
        grid,
        complete=tuple(enough[model] for model in grid.models),
        coverage=tuple(coverage[model] for model in grid.models),
    )


def meeting(table: DuelTable, asked: Benchmark, a: str, b: str, *, by_category: bool) -> Meeting:
    """Two models against each other; through the baseline where they did not meet."""
    layout = _layout(asked, by_category)
    tallies = _tallies(table, layout)
    if (a, b) in tallies:
        rows = {a: _rates(tallies[a, b], layout), b: _rates(tallies[b, a], layout)}
        own = tuple(p for p in table.pairings if {p.first, p.second} == {a, b})
        grid = _grid(table, asked, layout, rows, by_category=by_category)
        return Meeting(grid=grid, pairings=own, baseline="")
    rows = {
        model: _rates(games, layout)
        if (games := tallies.get((model, table.baseline))) is not None
        else _nothing(layout)
        for model in (a, b)
    }
    grid = _grid(table, asked, layout, rows, by_category=by_category)
    met = [{model, table.baseline} for model in (a, b)]
    own = tuple(p for p in table.pairings if {p.first, p.second} in met)
    return Meeting(grid=grid, pairings=own, baseline=table.baseline)


def tournament_of(table: DuelTable, layout: Layout, models: Sequence[str]) -> tuple[Floats, Floats]:
    """questions x models x models: games that row won against column; games without a winner, in both
    halves. What `bradley_terry.tournament` makes of scores."""
    place = {model: i for i, model in enumerate(models)}
    won = np.zeros((len(layout.questions), len(models), len(models)))
    tied = np.zeros_like(won)
    for (model, opponent), games in _tallies(table, layout).items():
        if model in place and opponent in place:
            won[:, place[model], place[opponent]] = games[:, WON]
            tied[:, place[model], place[opponent]] = games[:, DRAWN]
    return won, tied


def outcomes_of(table: DuelTable, layout: Layout, a: str, b: str) -> Floats:
    """By question: a's share of the points of its games with b, from 0 to 1; NaN without a game."""
    games = _tallies(table, layout).get((a, b))
    if games is None:
        return _nothing(layout)
    return _share(games)


# --- inside ------------------------------------------------------------------------------------


def _layout(asked: Benchmark, by_category: bool) -> Layout:
    layout, _ = layout_of(asked)
    if by_category:
        return layout
    return replace(layout, strata=(TOTAL,), stratum=np.zeros_like(layout.stratum))


def _tallies(table: DuelTable, layout: Layout) -> _Tallies:
    place = {question: i for i, question in enumerate(layout.questions)}
    found: _Tallies = {}
    for one in table.pairings:
        games = np.zeros((len(place), 3))
        for question, counts in one.questions.items():
            games[place[question]] = counts
        found[one.first, one.second] = games
        found[one.second, one.first] = games[:, ::-1]
    return found


def _rates(games: Floats, layout: Layout) -> Floats:
    """z of each question, in per cent; NaN without a game."""
    n = games.sum(axis=1)
    points = games[:, WON] + games[:, DRAWN] / 2
    there = n > 0
    met = _each(layout.stratum, there.astype(np.float64))
    all_games, all_points = _each(layout.stratum, n), _each(layout.stratum, points)
    rate = all_points / np.maximum(all_games, 1)
    moved = (points - rate * n) * met / np.maximum(all_games, 1)
    return np.where(there, 100 * (rate + moved), np.nan)


def _each(stratum: Ints, amounts: Floats) -> Floats:
    """The sum over its stratum, for each question."""
    found: Floats = summed(stratum, amounts, int(stratum.max(initial=0)) + 1)[stratum]
    return found


def _share(games: Floats) -> Floats:
    n = games.sum(axis=1)
    points = games[:, WON] + games[:, DRAWN] / 2
    return np.where(n > 0, points / np.maximum(n, 1), np.nan)


def _nothing(layout: Layout) -> Floats:
    return np.full(len(layout.questions), np.nan)


def _grid(
    table: DuelTable,
    asked: Benchmark,
    layout: Layout,
    rows: dict[str, Floats],
    *,
    by_category: bool,
) -> Grid:
    names = tuple(sorted(rows))
    values = np.array([rows[name] for name in names]).reshape(len(names), len(layout.questions))
    return Grid(
        judge=table.judge,
        models=names,
        complete=(True,) * len(names),
        coverage=(1.0,) * len(names),
        layout=layout,
        columns=_columns(layout, asked, by_category=by_category),
        marks=values[:, :, None],
        values=values,
        planned=len(layout.questions),
        repeats=1,
    )


def _columns(layout: Layout, asked: Benchmark, *, by_category: bool) -> tuple[Column, ...]:
    """The total alone, or every category; a group's rate would be neither."""
    if not by_category:
        return (Column(TOTAL, "total", (1.0,)),)
    every = columns(layout.strata, asked.categories, asked.groups)
    return tuple(column for column in every if column.kind == "category")
