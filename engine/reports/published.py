"""A run's table beside the published one, with the differences. Pure: lines of text.

For the demo, whose simulated judges are centred on the published category means: the agreement is
built in, and every such table says so. It shows the machinery, it is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine import figures
from engine.cells import fit, inert, width
from engine.scores import Row, Scores, Table
from providers.scorebook import Leaderboard, PublishedRow

COLUMNS = (("总分", "总分"), ("推理", "中文推理"), ("语言", "中文语言"))
"""What the published table calls a column, and what ours does."""
CELL = 18


def beside(scores: Scores, board: Leaderboard) -> Iterator[str]:
    """One block of lines per judge that has a published table."""
    for table in scores.tables:
        if table.judge in board.judges:
            yield from _block(table, board.judges[table.judge])


def _block(table: Table, published: Mapping[str, PublishedRow]) -> Iterator[str]:
    rows = [(row, published[row.model]) for row in table.rows if row.model in published]
    rows.sort(key=lambda pair: -pair[1].summary["总分"])
    name = max((width(inert(row.model)) for row, _ in rows), default=5)
    yield f"judge {inert(table.judge)} (simulated): this run, published, difference"
    heads = "".join(fit(short, CELL) for short, _ in COLUMNS)
    yield f"  {fit('model', name)}  {heads}".rstrip()
    largest = 0.0
    for row, row_published in rows:
        cells = []
        for short, long in COLUMNS:
            ours, theirs = _mean(row, long), row_published.summary[short]
            difference = None if ours is None else ours - theirs
            largest = max(largest, abs(difference or 0.0))
            cells.append(fit(_cell(ours, theirs, difference), CELL))
        yield f"  {fit(inert(row.model), name)}  {''.join(cells)}".rstrip()
    yield f"  largest difference {largest:.2f}: a mean of few whole scores moves in steps"


def _cell(ours: float | None, theirs: float, difference: float | None) -> str:
    sign = "" if difference is None else f"{round(difference, 2) + 0.0:+.2f}"
    return f"{figures.score(ours)} {figures.score(theirs)} {sign}"


def _mean(row: Row, column: str) -> float | None:
    return row.robust.total if column == "总分" else row.robust.groups.get(column)
