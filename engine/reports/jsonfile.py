"""The exact results: one JSON document, and one JSON line per verdict.

Numbers are not rounded and texts not changed; what reads this decides itself what is safe to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from data import codec
from data.codec import replace
from data.schema import Benchmark, Judgment
from engine.duels import DuelTable
from engine.escalated import Escalated
from engine.reports.table import Entry, Sheet, sheets
from engine.reports.uncertainty import Interval
from engine.scores import Coverage, Scores

if TYPE_CHECKING:
    from engine.stats.intervals import Intervals

SCORES_SCHEMA = "alignsweep.scores/1"
VERDICT_SCHEMA = "alignsweep.verdict/1"


def render(
    scores: Scores,
    intervals: Mapping[tuple[str, str], Intervals] | None = None,
    wins: Mapping[tuple[str, str], Interval] | None = None,
) -> bytes:
    """The whole document on one line. A total is given even where coverage leaves it unranked.

    `intervals` (engine/stats/intervals.py, by judge and model) belong to the means of the judge's policy;
    `wins` (engine/reports/uncertainty.py) to the adjusted win rates, in per cent.
    """
    return (
        codec.encode(
            {
                "schema": SCORES_SCHEMA,
                "simulated": scores.simulated,
                "benchmark": scores.benchmark,
                "benchmark_sha256": scores.benchmark_sha256,
                "categories": scores.categories,
                "groups": scores.groups,
                "min_coverage": scores.min_coverage,
                "ignored_records": scores.ignored,
                "judges": [_judge(sheet, intervals or {}) for sheet in sheets(scores)],
                "duels": [_duel(table, wins or {}) for table in scores.duels],
            }
        )
        + b"\n"
    )


def verdict_lines(judgments: Iterable[Judgment], benchmark: Benchmark) -> Iterator[bytes]:
    """One line per judgment, newline included, in the order given.

    `score` is null where no verdict could be read; `compat` is what upstream's parser reads from
    the first reply, -1 for nothing.
    """
    categories = {q.id: (q.category, q.subcategory) for q in benchmark.questions}
    for judgment in judgments:
        trial, verdict = judgment.trial, judgment.verdict
        category, subcategory = categories.get(trial.question_id, ("", ""))
        yield (
            codec.encode(
                {
                    "schema": VERDICT_SCHEMA,
                    "judge": trial.judge,
                    "rubric": trial.rubric,
                    "model": trial.model,
                    "opponent": trial.candidates[1][0] if len(trial.candidates) > 1 else None,
                    "position": trial.position,
                    "question_id": trial.question_id,
                    "category": category,
                    "subcategory": subcategory,
                    "turn": trial.turn,
                    "sample": trial.sample,
                    "repeat": trial.repeat,
                    "score": verdict.score if verdict else None,
                    "choice": verdict.choice if verdict else None,
                    "compat": judgment.compat,
                    "dimensions": verdict.dimensions if verdict else {},
                    "source": verdict.source if verdict else None,
                    "flags": verdict.flags if verdict else (),
                    "asks": len(judgment.asks),
                    "simulated": any(ask.simulated for ask in judgment.asks),
                }
            )
            + b"\n"
        )


def _duel(table: DuelTable, wins: Mapping[tuple[str, str], Interval]) -> dict[str, Any]:
    rows = [
        {
            **codec.plain(row),
            "adjusted_win_rate": row.adjusted,
            "win_rate": row.win_rate,
            "interval_percent": wins.get((table.judge, row.model)),
        }
        for row in table.rows
    ]
    pairings = [
        {name: value for name, value in codec.plain(one).items() if name != "questions"}
        for one in table.pairings
    ]
    return {**codec.plain(replace(table, pairings=())), "rows": rows, "pairings": pairings}


def _judge(sheet: Sheet, intervals: Mapping[tuple[str, str], Intervals]) -> dict[str, Any]:
    return {
        "judge": sheet.judge,
        "policy": sheet.policy,
        "models": [
            _model(entry, intervals.get((sheet.judge, entry.model))) for entry in sheet.entries
        ],
        "notes": sheet.notes,
        "escalated": _escalated(sheet.escalated) if sheet.escalated else None,
    }


def _escalated(told: Escalated) -> dict[str, Any]:
    return {**codec.plain(told), "share": told.share, "shift": told.shift}


def _model(entry: Entry, intervals: Intervals | None) -> dict[str, Any]:
    row = entry.row
    return {
        "model": entry.model,
        "rank": entry.rank if row.complete and entry.total is not None else None,
        "complete": row.complete,
        "robust": row.robust,
        "compat": row.compat,
        "coverage": _coverage(row.coverage),
        "coverage_by_category": {c: _coverage(v) for c, v in row.by_category.items()},
        "truncated": row.truncated,
        "dimensions": row.dimensions,
        "intervals": intervals,
    }


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        **codec.plain(coverage),
        "pending": coverage.pending,
        "share": coverage.share,
    }
