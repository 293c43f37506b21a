"""A run as a workbook: AlignBench's own table for each judge, then everything it was made of.

    one sheet a judge   模型, the categories sorted, 中文推理, 中文语言, 总分, best first: the columns that
                        show_result.py of THUDM/AlignBench writes; ours stand to the right of them
    Dimensions  Judges  Comparisons  Answers  Judgments  Failures  Run

Written in one pass with the memory of a few rows; numbers unrounded. The same run gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.schema import Answer, Failure, Judgment, Question
from engine import figures
from engine.dossier import Dossier
from engine.judge_pairs import judge_pairs
from engine.reports.cells_xlsx import Page, Value, library
from engine.reports.files import whole
from engine.reports.overview import money_of, overview
from engine.reports.table import TOTAL, Entry, Sheet, sheets
from engine.reports.uncertainty import Interval, Intervals, intervals

_FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f\ud800-\udfff]")
_NAME = 31
"""Characters of a sheet's name."""


def write(dossier: Dossier, path: Path, *, partial: bool = False) -> Path:
    """The workbook. Raises ConfigError where xlsxwriter is missing, StorageError if writing fails."""
    xlsxwriter = library()
    with whole(path) as draft:
        book = _Book(xlsxwriter, draft, dossier)
        sure = intervals(dossier.scores, dossier.run.benchmark)
        for sheet in sheets(dossier.scores, partial=partial):
            _leaderboard(book, dossier, sheet, sure)
        _dimensions(book.page("Dimensions"), sheets(dossier.scores))
        _judges(book.page("Judges"), dossier)
        if dossier.scores.duels:
            _comparisons(book.page("Comparisons"), dossier, sure)
        answers, judgments = book.page("Answers"), book.page("Judgments")
        _records(answers, judgments, dossier)
        _failures(book.page("Failures"), dossier)
        _run(book.page("Run"), dossier, (answers, judgments))
        book.close()
    return path


class _Book:
    """An open workbook with the few formats it uses."""

    def __init__(self, xlsxwriter: Any, draft: Path, dossier: Dossier) -> None:
        options = {
            "constant_memory": True,
            "strings_to_urls": False,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
        }
        self._book = xlsxwriter.Workbook(str(draft), options)
        made = datetime.fromtimestamp(dossier.run.header.created_s, UTC).replace(tzinfo=None)
        title = dossier.run.sweep.name.encode("utf-8", "replace").decode()[:200]
        mark = "simulated" if dossier.scores.simulated else ""
        self._book.set_properties({"title": title, "created": made, "category": mark})
        self._formats = {
            "head": self._book.add_format({"bold": True, "bottom": 1, "text_wrap": True}),
            "head over figures": self._book.add_format(
                {"bold": True, "bottom": 1, "text_wrap": True, "align": "right"}
            ),
            "beside figures": self._book.add_format({"align": "right"}),
            "quoted": self._book.add_format({"quote_prefix": True}),
            "score": self._book.add_format({"num_format": "0.00"}),
        }
        self._names: set[str] = set()

    def page(self, name: str) -> Page:
        """A sheet; what Excel would not have in its name is replaced, and no name comes twice."""
        safe = _FORBIDDEN.sub("·", name).strip("'").strip()[:_NAME] or "Sheet"
        number = 1
        chosen = safe
        while chosen.casefold() in self._names or chosen.casefold() == "history":
            number += 1
            chosen = f"{safe[: _NAME - 4]} {number}"
        self._names.add(chosen.casefold())
        return Page(self._book.add_worksheet(chosen), self._formats)

    def close(self) -> None:
        self._book.close()


# --- tables ------------------------------------------------------------------------------------


def _leaderboard(book: _Book, dossier: Dossier, sheet: Sheet, sure: Intervals) -> None:
    page = book.page(sheet.judge)
    scores = dossier.scores
    categories = sorted(scores.categories)
    official = ["模型", *categories, *scores.groups, TOTAL]
    ours = ["rank", "low", "high", "rank_low", "rank_high", "robust", "compat", "planned", "scored"]
    ours += [
        "unscorable",
        "refused",
        "failed",
        "pending",
        "truncated",
        "coverage",
        "cost",
        "simulated",
    ]
    widths = [30, *[10] * (len(official) + len(ours) - 1)]
    page.head([*official, *ours], widths, scores=True)
    costs = {
        p.name: money_of(p.booked, p.unpriced) for p in dossier.parties if p.stage == "generate"
    }
    for entry in sheet.entries:
        own = dict(zip((h.name for h in sheet.heads), entry.values, strict=True))
        means = [own.get(name) for name in (*categories, *scores.groups)]
        interval = sure.get((sheet.judge, entry.model), Interval())
        line = _ours(entry, interval, costs[entry.model], simulated=scores.simulated)
        page.row([entry.model, *means, entry.total, *line], scores=True)
    page.finish(len(official) + len(ours))
    page.sheet.freeze_panes(1, 1)
    page.sheet.set_landscape()
    page.sheet.fit_to_pages(1, 0)
    colours = {"type": "3_color_scale", "min_color": "#F5F8FC", "mid_color": "#BCD4F0"}
    area = (1, 1, max(1, page.rows - 1), len(official) - 2)
    page.sheet.conditional_format(*area, {**colours, "max_color": "#5AA5F2"})


def _ours(entry: Entry, interval: Interval, cost: str, *, simulated: bool) -> list[Value]:
    coverage, shown = entry.coverage, entry.total is not None
    return [
        entry.rank.replace("-", "–"),
        *(interval.low, interval.high, interval.rank_low, interval.rank_high),
        entry.row.robust.total if shown else None,
        entry.row.compat.total if shown else None,
        *(coverage.planned, coverage.scored, coverage.unscorable, coverage.refused),
        *(coverage.failed, coverage.pending, entry.truncated, coverage.share),
        *(cost, str(simulated).lower()),
    ]


def _dimensions(page: Page, found: Sequence[Sheet]) -> None:
    page.head(["judge", "model", "dimension", "mean", "n"], [22, 26, 20, 10, 10])
    for sheet in found:
        for entry in sheet.entries:
            for name, dimension in entry.row.dimensions.items():
                page.row([sheet.judge, entry.model, name, dimension.mean, dimension.n])
    page.finish(5)


def _judges(page: Page, dossier: Dossier) -> None:
    names = ["first", "second", "model", "n", "second minus first", "same", "within one point"]
    page.head([*names, "pearson", "spearman", "kendall"], [22, 22, 26, *[12] * 7])
    for pair in judge_pairs(dossier):
        figures_ = [pair.n, pair.shift, pair.same, pair.near, pair.pearson, pair.spearman]
        page.row([pair.first, pair.second, "", *figures_, pair.kendall])
        for model in pair.models:
            page.row([pair.first, pair.second, model.model, model.n, model.shift])
    page.finish(10)


def _comparisons(page: Page, dossier: Dossier, sure: Intervals) -> None:
    names = ["judge", "baseline", "model", "win rate, ties half", "win rate, decided"]
    names += ["wins", "ties", "losses", "inconsistent", "missing", "95 % low", "95 % high"]
    page.head(names, [22, 22, 26, *[12] * 9])
    for table in dossier.scores.duels:
        for row in table.rows:
            rates = [row.adjusted, row.win_rate, row.wins, row.ties, row.losses]
            games = [*rates, row.inconsistent, row.missing]
            interval = sure.get((table.judge, row.model), Interval())
            bounds = [None if b is None else b / 100 for b in (interval.low, interval.high)]
            page.row([table.judge, table.baseline, row.model, *games, *bounds])
    page.finish(len(names))


# --- single answers and judgments --------------------------------------------------------------


def _records(answers: Page, judgments: Page, dossier: Dossier) -> None:
    """Both sheets in one reading of the journal, question by question."""
    dimensions = list(
        dict.fromkeys(d for t in dossier.scores.tables for r in t.rows for d in r.dimensions)
    )
    question = ["question", "category", "subcategory", "model", "sample", "turn"]
    tail = ["tokens in", "tokens out", "latency s", "served"]
    answer_head = [*question, "state", "characters", *tail, "answer"]
    answers.head(answer_head, [10, 12, 14, 26, 8, 6, 11, 11, *[10] * 4, 100])
    judgment_head = [*question, "judge", "repeat", "opponent", "score", "choice"]
    judgment_head += [*dimensions, "read from", "asks", *tail, "judgment"]
    widths = [10, 12, 14, 26, 8, 6, 22, 8, 16, 8, 9, *[10] * len(dimensions), 10, 6, *[10] * 4, 100]
    judgments.head(judgment_head, widths)
    with dossier.texts() as texts:
        for place, about in enumerate(dossier.run.benchmark.questions):
            for number in dossier.numbers(place):
                record = texts.at(number)
                if isinstance(record, Answer):
                    answers.row(_answer(about, record))
                elif isinstance(record, Judgment):
                    mark = dossier.mark(number)
                    judgments.row(_judgment(about, record, mark, dimensions))
    answers.finish(len(answer_head))
    judgments.finish(len(judgment_head))


def _answer(about: Question, record: Answer) -> Iterator[Value]:
    trial, reply = record.trial, record.response
    yield from (about.id, about.category, about.subcategory)
    yield from (trial.model, trial.sample, trial.turn, record.state, len(reply.text))
    yield from _reply(reply)
    yield reply.text


def _judgment(
    about: Question, record: Judgment, mark: float | None, dimensions: Sequence[str]
) -> Iterator[Value]:
    trial, verdict = record.trial, record.verdict
    yield from (about.id, about.category, about.subcategory)
    yield from (trial.model, trial.sample, trial.turn, trial.judge, trial.repeat)
    pairwise = len(trial.candidates) > 1
    yield trial.candidates[1][0] if pairwise else None
    yield None if pairwise else mark
    yield verdict.choice if verdict else None
    for name in dimensions:
        yield verdict.dimensions.get(name) if verdict else None
    yield verdict.source if verdict else None
    yield len(record.asks)
    last = record.asks[-1] if record.asks else None
    yield from _reply(last) if last else [None] * 4
    yield last.text if last else None


def _reply(reply: Any) -> list[Value]:
    usage = reply.usage
    tokens = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    return [*tokens, reply.latency_s, reply.served_model]


def _failures(page: Page, dossier: Dossier) -> None:
    page.head(["stage", "name", "error", "question", "model", "attempts", "message"])
    page.sheet.set_column(1, 6, 22)
    with dossier.texts() as texts:
        for number in dossier.failed():
            record = texts.at(number)
            if isinstance(record, Failure):
                trial = record.trial
                judged = trial.kind == "judgment"
                stage, name = ("judge", trial.judge) if judged else ("generate", trial.model)
                where: list[Value] = [trial.question_id, trial.model, record.attempts]
                page.row([stage, name, record.error, *where, record.message])
    page.finish(7)


def _run(page: Page, dossier: Dossier, long: tuple[Page, Page]) -> None:
    page.head(["what", "value"], [24, 100])
    for word, value in overview(dossier):
        page.row([word, value])
    if dossier.scores.simulated:
        page.row(["simulated", "no model was asked and no judge has read it"])
    for sheet in sheets(dossier.scores):
        for note in sheet.notes:
            page.row([f"note: {sheet.judge}", note])
    for left in long:
        if left.left_out:
            page.row(["left out", f"{figures.count(left.left_out)} rows: a sheet holds no more"])
    for party in dossier.parties:
        cost = money_of(party.booked, party.unpriced)
        page.row([f"cost: {party.name}", f"{cost}, {figures.count(party.requests)} requests"])
