"""Two published leaderboards of the same models against each other, column by column.

Only means are published, so this is system level and nothing else; it saturates. (With eight models
two judges both reach rho = 1 whose text-level correlation with people is .63 and .44.) Intervals
are over models, the only thing there is to resample.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.codec import Undecodable, decode_as, read_bytes
from data.errors import ConfigError, DataError
from data.schema import Struct
from data.text import printable
from engine.agreement.estimate import Estimate
from engine.agreement.levels import Correlations, item_level
from engine.agreement.sample import Pair, sample_of
from engine.agreement.shift import mean_shift
from providers.scorebook import Leaderboard, PublishedRow, published

TOTAL = "总分"
BUILT_IN = "alignbench"


class Column(Struct, frozen=True, kw_only=True):
    """One column. Differences are second - first."""

    name: str
    n: int
    correlations: Correlations
    difference: Estimate
    largest: float
    """The largest difference of one model, without its sign."""


class RankChange(Struct, frozen=True):
    """A model whose rank by 总分 is not the same. A rank is (best, worst): they differ in a tie."""

    model: str
    first: tuple[int, int]
    second: tuple[int, int]


class Leaderboards(Struct, frozen=True, kw_only=True):
    """All of one comparison."""

    name: str
    source: str
    first: str
    second: str
    models: int
    columns: tuple[Column, ...]
    rank_changes: tuple[RankChange, ...]
    differences: dict[str, float]
    """By model: second - first of 总分."""


def load_board(name_or_path: str) -> Leaderboard:
    """`alignbench`, or a JSON file of the same form. Raises DataError."""
    if name_or_path == BUILT_IN:
        return published(BUILT_IN)
    path = Path(name_or_path)
    data = read_bytes(path)
    try:
        board: Leaderboard = decode_as(data, Leaderboard)
    except Undecodable as error:
        raise DataError(
            f"no leaderboards: {printable(str(error), 200)}",
            path=printable(str(path)),
            how="a JSON file like data/leaderboards/alignbench.json, or the name `alignbench`",
        ) from None
    return board


def compare_boards(board: Leaderboard, judges: tuple[str, ...] = ()) -> Leaderboards:
    """The two judges (default: the first two of the file) on the models that both tables hold.

    Raises ConfigError for judges that are not there.
    """
    first, second = _two(board, judges)
    one, other = board.judges[first], board.judges[second]
    models = [model for model in one if model in other]
    if not models:
        raise ConfigError(f"{printable(first, 60)} and {printable(second, 60)} share no model")
    columns = {
        name: (_values(one, models, name), _values(other, models, name))
        for name in _names(one[models[0]])
        if all(_has(table[model], name) for table in (one, other) for model in models)
    }
    totals = columns.get(TOTAL, ([], []))
    return Leaderboards(
        name=board.benchmark,
        source=board.source,
        first=first,
        second=second,
        models=len(models),
        columns=tuple(
            _column(name, models, both, (first, second)) for name, both in columns.items()
        ),
        rank_changes=_rank_changes(models, totals),
        differences={m: b - a for m, a, b in zip(models, *totals, strict=False)},
    )


def _two(board: Leaderboard, judges: tuple[str, ...]) -> tuple[str, str]:
    known = ", ".join(printable(name, 60) for name in board.judges)
    chosen = judges or tuple(board.judges)[:2]
    unknown = next((name for name in chosen if name not in board.judges), None)
    if unknown is not None:
        raise ConfigError(f"no table by `{printable(unknown, 60)}`", how=f"judges here: {known}")
    if len(set(chosen)) != 2:
        raise ConfigError("it takes tables of two judges", how=f"judges here: {known}")
    return chosen[0], chosen[1]


def _names(row: PublishedRow) -> list[str]:
    return [*row.summary, *row.categories]


def _has(row: PublishedRow, name: str) -> bool:
    return name in row.summary or name in row.categories


def _values(table: Mapping[str, PublishedRow], models: list[str], name: str) -> list[float]:
    return [{**table[model].summary, **table[model].categories}[name] for model in models]


def _column(
    name: str, models: list[str], both: tuple[list[float], list[float]], judges: tuple[str, str]
) -> Column:
    rows = list(zip(models, *both, strict=True))
    sample = sample_of((Pair(model, model, a, b) for model, a, b in rows), judges)
    return Column(
        name=name,
        n=len(models),
        correlations=item_level(sample),
        difference=mean_shift(sample.turned()),
        largest=float(np.abs(sample.y - sample.x).max()),
    )


def _rank_changes(
    models: list[str], totals: tuple[list[float], list[float]]
) -> tuple[RankChange, ...]:
    rows = zip(models, _ranks(totals[0]), _ranks(totals[1]), strict=False)
    return tuple(RankChange(m, a, b) for m, a, b in rows if a != b)


def _ranks(totals: list[float]) -> list[tuple[int, int]]:
    above = [sum(other > own for other in totals) for own in totals]
    return [(n + 1, n + totals.count(own)) for n, own in zip(above, totals, strict=True)]
