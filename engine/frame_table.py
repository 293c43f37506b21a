"""The models' table of the live picture, and the bars. Pure.

Rows stand in the sweep's order and never move; columns depend on the screen's width alone, so a number
that changes moves no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.schema import Struct
from engine import figures
from engine.cells import fit, inert
from engine.events import ModelRow, Progress
from engine.forecast import Estimate, Outlook
from engine.looks import Look, accounts_of, look_of, shortened
from engine.spans import Line, Span

INTERIM_ANSWERS, INTERIM_JUDGMENTS = 100, 200
"""A mean over fewer tempts without telling."""


class _Column(Struct, frozen=True):
    """One column: from which screen width on, its head, its own width, what stands in it."""

    screen: int
    head: str
    cells: int
    text: Callable[[ModelRow], str]
    style: str = ""


class ModelTable:
    """Rows and head of the models' table at one screen width."""

    def __init__(self, progress: Progress, columns: int, outlook: Outlook) -> None:
        self._progress, self._outlook = progress, outlook
        self._name, self._bar = _sizes(columns)
        answers = max((len(str(m.answers)) for m in progress.models), default=0)
        judgments = max((len(str(m.judgments)) for m in progress.models), default=0)
        numbers = (
            _Column(0, "ans", max(4, answers), lambda m: _started(m, m.answers_done)),
            _Column(0, "judged", max(6, judgments), lambda m: _started(m, m.judgments_done)),
            _Column(0, "fail", 4, lambda m: figures.some(m.failed), "red"),
            _Column(100, "refused", 7, lambda m: figures.some(m.refused)),
            _Column(120, "retry", 5, lambda m: figures.some(m.retries)),
            _Column(100, "flight", 7, self._flight),
            _Column(160, "p50", 6, lambda m: _seconds(m.p50_s)),
            _Column(72, "/min", 4, lambda m: figures.rate(m.per_minute)),
            *self._money_column(),
            _Column(160, "eta", 12, lambda m: _range(outlook.models.get(m.name))),
            _Column(160, "interim", 7, _interim, "dim"),
        )
        self._columns = [c for c in numbers if columns >= c.screen]
        if columns < 160:
            eta = _Column(0, "eta", 6, lambda m: _worst(outlook.models.get(m.name)))
            self._columns.append(eta)
        taken = 2 + self._name + 1 + self._bar + sum(c.cells + 1 for c in self._columns) + 2
        self._words = max(columns - taken, 0)

    def head(self) -> Line:
        left = f"  {fit('model', self._name)} {fit('progress', self._bar)}"
        numbers = "".join(f" {c.head:>{c.cells}}" for c in self._columns)
        return ((f"{left}{numbers}  waiting for", "dim"),)

    def rows(self, room: int) -> list[Line]:
        """All models, or those that need looking at and one line about the others."""
        looks = [look_of(m, self._progress) for m in self._progress.models]
        if len(looks) <= room:
            return [self._row(i, look) for i, look in enumerate(looks)]
        by_need = sorted(range(len(looks)), key=lambda i: (looks[i].rank, i))
        chosen = sorted(by_need[: max(room - 1, 0)])
        hidden = [looks[i].rank for i in by_need[max(room - 1, 0) :]]
        return [*(self._row(i, looks[i]) for i in chosen), ((_others(hidden), "dim"),)]

    def _row(self, index: int, look: Look) -> Line:
        row = self._progress.models[index]
        name = fit(inert(row.name), self._name)
        spans: list[Span] = [(f"{look.glyph} ", look.style), (f"{name} ", "")]
        spans += bar((row,), self._bar)
        for column in self._columns:
            text = column.text(row)
            style = "" if text == figures.NONE else column.style
            spans.append((f" {text:>{column.cells}}", style))
        words = shortened(look.words, self._words)
        spans.append((f"  {words}", look.style if look.rank == 0 else ""))
        return tuple(spans)

    def _flight(self, row: ModelRow) -> str:
        """Calls of this model, and how many its accounts may have in flight."""
        if not row.in_flight:
            return figures.NONE
        places = sum(a.concurrency for a in accounts_of(row.account, self._progress))
        return f"{row.in_flight}/{places}"

    def _money_column(self) -> tuple[_Column, ...]:
        """What each model's answers cost (its judgments are the judges' lines)."""
        money = self._progress.money
        if money is None or not money.booked:
            return ()
        spent = money.by_party
        judges = {judge.name for judge in self._progress.judges}

        def cost(row: ModelRow) -> str:
            if row.name in judges:  # booked under one name, as `[budget]` counts; no part is known
                return figures.NONE
            return figures.money(spent[row.name]) if spent.get(row.name) else figures.NONE

        return (_Column(100, money.currency, 7, cost),)


def _others(ranks: list[int]) -> str:
    words = ("need attention", "running", "queued", "done")
    parts = [f"{ranks.count(rank)} {words[rank]}" for rank in (0, 1, 3, 2) if rank in ranks]
    return "  + " + ", ".join(parts)


def _sizes(columns: int) -> tuple[int, int]:
    """Cells of the name and of the bar."""
    if columns < 72:
        return 14, 6
    if columns < 120:
        return 16, 8
    return (20, 16) if columns < 160 else (30, 28)


def _started(row: ModelRow, done: int) -> str:
    """A count, or nothing yet where nothing has begun."""
    return str(done) if row.answers_done or row.judgments_done or row.failed else figures.NONE


def _interim(row: ModelRow) -> str:
    """The mean score of all verdicts so far, where there are enough."""
    few = row.answers_done < INTERIM_ANSWERS or row.judgments_done < INTERIM_JUDGMENTS
    return figures.score(None if few else row.mean_score)


def _seconds(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.1f}s"


def _range(estimate: Estimate | None) -> str:
    return figures.between(estimate.low_s, estimate.high_s) if estimate else figures.NONE


def _worst(estimate: Estimate | None) -> str:
    return figures.coarse_span(estimate.high_s) if estimate else figures.NONE


# --- bars --------------------------------------------------------------------------------------


def bar(models: Sequence[ModelRow], cells: int) -> Line:
    """`━` judged, `─` answered, `×` something failed, `·` to come; full when it is all there."""
    answers, judgments = sum(m.answers for m in models), sum(m.judgments for m in models)
    answered_share = _share(sum(m.answers_done for m in models), answers)
    judged_share = answered_share
    if judgments:
        judged_share = _share(sum(m.judgments_done for m in models), judgments)
    failed = 1 if cells and any(m.failed for m in models) else 0
    judged = min(int(judged_share * cells), cells - failed)
    answered = max(min(int(answered_share * cells), cells - failed) - judged, 0)
    rest = cells - judged - answered - failed
    return (
        ("━" * judged, "green" if judged == cells else "cyan"),
        ("─" * answered, "blue"),
        ("×" * failed, "red"),
        ("·" * rest, "dim"),
    )


def _share(part: int, whole: int) -> float:
    return min(part / whole, 1.0) if whole else 0.0
