"""How sure a total is: the one place where a report asks the statistics.

Every field is optional in what the reports draw: a model without an entry, or an entry without bounds,
is drawn as a dot with no whisker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.schema import Benchmark, Struct
from engine.scores import Scores


class Interval(Struct, frozen=True, kw_only=True):
    """Of one model's total by one judge: 95 % bounds of the mean and of the rank."""

    low: float | None = None
    high: float | None = None
    rank_low: int | None = None
    """The best rank that the data allow, 1 or more."""
    rank_high: int | None = None
    told_from_next: bool | None = None
    """Whether it is told apart from the next model (5 %, Holm over all pairs); the last has no next."""


Intervals = Mapping[tuple[str, str], Interval]
"""By (judge, model)."""


def neighbours(found: Sequence[Interval]) -> tuple[str, str] | None:
    """Does rank 4 beat rank 5? In English and in Chinese; `found`: of the ranked models, best first."""
    if all(one.told_from_next is None for one in found):
        return None
    pairs = [(n, n + 1) for n, one in enumerate(found, start=1) if one.told_from_next]
    english = ", ".join(f"{a} from {b}" for a, b in pairs) or "none"
    other = "、".join(f"{a} 与 {b}" for a, b in pairs) or "无"
    rest = pairs and len(pairs) < len(found) - 1
    return (
        f"Neighbours told apart (5 %, Holm): {english}{'; no others' if rest else ''}.",
        f"分得开的相邻名次（5 %，Holm 校正）：{other}{'；其余分不开' if rest else ''}。",
    )


def ties(scores: Scores, benchmark: Benchmark) -> dict[str, str]:
    """By judge: `ranks 4-7 and 9-10`, the stretches of ranks that the data cannot tell apart."""
    from engine.stats.grid import grids
    from engine.stats.ranking import rankings

    found = {}
    for grid in grids(scores, benchmark):
        [ranking] = rankings(grid, [grid.total])
        stretches = [f"{first}-{last}" for first, last in ranking.runs if last > first]
        if stretches:
            *others, end = stretches
            found[grid.judge] = f"ranks {', '.join(others)}{' and ' if others else ''}{end}"
    return found


def intervals(scores: Scores, benchmark: Benchmark) -> Intervals:
    """Intervals of all totals (`engine/stats/`); models that have none are left out.

    Those of win rates (`win_intervals`) are among them, by the names of the pairwise judges.
    """
    from engine.stats.grid import grids
    from engine.stats.ranking import rankings

    found: dict[tuple[str, str], Interval] = {}
    for grid in grids(scores, benchmark):
        [ranking] = rankings(grid, [grid.total])
        told = [*(pair.told_apart for pair in ranking.neighbours), None]
        for standing, apart in zip(ranking.standings, told, strict=False):
            found[grid.judge, standing.model] = Interval(
                low=standing.estimate.low,
                high=standing.estimate.high,
                rank_low=standing.rank_low,
                rank_high=standing.rank_high,
                told_from_next=apart,
            )
    return {**found, **win_intervals(scores, benchmark)}


def win_intervals(scores: Scores, benchmark: Benchmark) -> Intervals:
    """Of every win rate of the pairwise judges, in per cent; a baseline's own has none."""
    from engine.stats.ranking import places
    from engine.stats.stratified import estimate
    from engine.stats.wins import win_grid

    found: dict[tuple[str, str], Interval] = {}
    for table in scores.duels:
        grid = win_grid(table, benchmark, min_coverage=scores.min_coverage)
        ranked = [m for m, whole in zip(grid.models, grid.complete, strict=True) if whole]
        ranks = places(grid, ranked, grid.total)
        for model in grid.models:
            guess = estimate(grid.row(model), grid.layout, grid.total)
            low, high = ranks.get(model, (None, None))
            found[grid.judge, model] = Interval(
                low=None if guess.low is None else max(guess.low, 0.0),
                high=None if guess.high is None else min(guess.high, 100.0),
                rank_low=low,
                rank_high=high,
            )
    return found
