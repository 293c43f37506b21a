"""The leaderboard as CSV that spreadsheets open as it is meant.

UTF-8 with a byte order mark and CRLF (else Chinese comes out garbled there), numbers unrounded. A
text that a spreadsheet would run as a formula gets a leading apostrophe; the JSON report has the
exact text.

A file has one kind of row: totals of pointwise judges, or games of pairwise ones (`render_duels`). A
run with judges of both kinds has two files, since a mean of 1 to 10 and a rate of wins share no column.
"""

from __future__ import annotations

import csv
import io

from engine.cells import inert
from engine.reports.table import Entry, Sheet, sheets
from engine.reports.uncertainty import Interval, Intervals
from engine.scores import Scores

_BOUNDS = ("total_low", "total_high", "rank_low", "rank_high")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def render(scores: Scores, *, partial: bool = False, sure: Intervals | None = None) -> bytes:
    """One line per judge and model, all judges in one file; of pairwise judges only, their games.

    `sure` fills the bounds of total and rank (95 %); a model without them has empty cells there.
    """
    if scores.duels and not scores.tables:
        return render_duels(scores, sure)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    all_sheets = sheets(scores, partial=partial)
    for number, sheet in enumerate(all_sheets):
        if number == 0:
            writer.writerow(_head(sheet))
        for entry in sheet.entries:
            bounds = (sure or {}).get((sheet.judge, entry.model), Interval())
            writer.writerow(_line(scores, sheet, entry, bounds))
    return out.getvalue().encode("utf-8-sig")


def render_duels(scores: Scores, sure: Intervals | None = None) -> bytes:
    """One line per pairwise judge and model: games by how they ended, and rates of 1.

    `sure` (in per cent) fills the last columns; empty without.
    """
    known = sure or {}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        [
            *("benchmark", "judge", "baseline", "model", "win_rate_adjusted", "win_rate"),
            *("wins", "ties", "losses", "inconsistent", "missing"),
            *("judge_consistency", "judge_first_wins", "simulated"),
            *("adjusted_low", "adjusted_high", "rank_low", "rank_high"),
        ]
    )
    for table in scores.duels:
        for row in table.rows:
            writer.writerow(
                [
                    *(
                        text(scores.benchmark),
                        text(table.judge),
                        text(table.baseline),
                        text(row.model),
                    ),
                    *(row.adjusted, row.win_rate, row.wins, row.ties, row.losses),
                    *(row.inconsistent, row.missing, table.consistency, table.first_wins),
                    str(scores.simulated).lower(),
                    *_shares(known.get((table.judge, row.model), Interval())),
                ]
            )
    return out.getvalue().encode("utf-8-sig")


def _shares(found: Interval) -> list[float | int | None]:
    """Of 1, as the rates are."""
    ends = (found.low, found.high)
    shares = [None if end is None else end / 100 for end in ends]
    return [*shares, found.rank_low, found.rank_high]


def text(foreign: str) -> str:
    """Foreign text for one cell: no control character and no formula."""
    shown = inert(foreign)
    return f"'{shown}" if foreign.startswith(_FORMULA) or shown.startswith(_FORMULA) else shown


def _head(sheet: Sheet) -> list[str]:
    return [
        *("benchmark", "judge", "policy", "rank", "model", "total", "robust_total", "compat_total"),
        *(text(head.name) for head in sheet.heads),
        *("planned", "scored", "unscorable", "refused", "failed", "pending", "truncated"),
        *("coverage", *_BOUNDS, "simulated"),
    ]


def _line(
    scores: Scores, sheet: Sheet, entry: Entry, bounds: Interval
) -> list[str | int | float | None]:
    coverage, shown = entry.coverage, entry.total is not None
    return [
        *(text(scores.benchmark), text(sheet.judge), sheet.policy, _rank(entry), text(entry.model)),
        entry.total,
        entry.row.robust.total if shown else None,
        entry.row.compat.total if shown else None,
        *entry.values,
        *(coverage.planned, coverage.scored, coverage.unscorable, coverage.refused),
        *(coverage.failed, coverage.pending, entry.truncated),
        *(coverage.share, *_bounds(entry, bounds), str(scores.simulated).lower()),
    ]


def _bounds(entry: Entry, found: Interval) -> list[float | int | None]:
    """Of a total that is shown."""
    if entry.total is None:
        return [None] * 4
    return [found.low, found.high, found.rank_low, found.rank_high]


def _rank(entry: Entry) -> str:
    """`2-3` would be read as a date: a shared rank is written `2..3`, none is empty."""
    return entry.rank.replace("-", "..") if entry.rank[0].isdigit() else ""
