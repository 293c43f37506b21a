"""The live picture as text: Progress and a size in, lines of exactly that width out. Pure.

A line is a tuple of (text, style) spans; styles are the few words a terminal knows (`dim`, `bold
red`) and only repeat what a glyph already says, so nothing is lost without colour. Rules: nothing
ever wraps, rows stand in the sweep's order and never move, columns depend on the width alone, and
what models or servers say has been made inert before it gets a place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.schema import Struct
from engine import figures
from engine.cells import fit, inert, width
from engine.events import AccountView, JudgeRow, LogLine, ModelRow, Progress
from engine.forecast import Estimate, Outlook, remaining, resolved

Span = tuple[str, str]
Line = tuple[Span, ...]

STALLED_S = 120.0
"""A model with calls in flight and nothing finished for so long is marked."""
SILENT_S = 30.0
"""When nothing at all finished for so long, the total bar gives way to the reason."""
EVENTS = 8
ENOUGH = 20
"""A mean over fewer judgments tempts without telling."""

ASCII = str.maketrans("━─×·▶◷✓✗–…≥", "#-x.>~+x-~>")
"""One cell for one cell: what is drawn where East Asian ambiguous characters are wide."""

# --- public ------------------------------------------------------------------------------------


def frame(
    progress: Progress,
    columns: int,
    lines: int,
    *,
    outlook: Outlook | None = None,
    clock: Callable[[float], str] = figures.run_clock,
    ascii_only: bool = False,
) -> list[Line]:
    """The picture for a terminal of `columns` x `lines`: lines - 1 lines of `columns` cells each.

    The last screen line stays free, so that no terminal scrolls. `clock` writes the loop's seconds.
    """
    outlook = outlook or Outlook()
    room = max(lines - 1, 1)
    plan = _Rooms.plan(progress, room)
    table = _Table(progress, columns, outlook)
    body = [
        _title(progress, columns, outlook),
        _totals(progress, columns),
        table.head(),
        *table.rows(plan.rows),
        *_blank(plan.gap),
        _footer(progress, columns),
        *_listed([_account(a) for a in progress.accounts], plan.accounts, "accounts"),
        *_listed([_judge(j) for j in progress.judges], plan.judges, "judges"),
        *_blank(plan.gap),
        *(_event(line, clock) for line in progress.log[: plan.events]),
    ]
    fitted = [_fitted(line, columns) for line in body[:room]]
    fitted += [_fitted((), columns)] * (room - len(fitted))
    return [_ascii(line) for line in fitted] if ascii_only else fitted


def plain_text(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


# --- what gets how many lines ------------------------------------------------------------------


class _Rooms(Struct, frozen=True):
    """Lines for each part of the picture, beside the four that are always there."""

    rows: int
    accounts: int
    judges: int
    events: int
    gap: int

    @staticmethod
    def plan(progress: Progress, room: int) -> _Rooms:
        """Models first, then a few events, accounts, judges, air, more events."""
        left = max(room - 4, 1)
        events = min(2 if room >= 20 else 1, left - 1)
        rows = min(len(progress.models), left - events)
        left -= rows + events
        accounts = min(len(progress.accounts), left)
        left -= accounts
        judges = min(len(progress.judges), left) if room >= 29 else 0
        left -= judges
        gap = 1 if left >= 4 else 0
        more = min(left - 2 * gap, EVENTS - events)
        return _Rooms(rows, accounts, judges, events + more, gap)


# --- header and footer -------------------------------------------------------------------------


def _title(progress: Progress, columns: int, outlook: Outlook) -> Line:
    left = f"alignsweep  {inert(progress.name)}"
    mark = "  [simulated]" if progress.simulated else ""
    state = "" if progress.state == "running" else f"{progress.state}   "
    right = f"{state}{figures.span(progress.elapsed_s)} elapsed   eta {_eta(outlook, columns)}"
    space = max(columns - width(right) - width(mark) - 2, 0)
    name = fit(left, min(width(left), space))
    gap = " " * max(columns - width(name) - width(mark) - width(right), 1)
    return ((name, "bold"), (mark, "yellow"), (gap, ""), (right, ""))


def _eta(outlook: Outlook, columns: int) -> str:
    if outlook.total is None:
        return figures.NONE
    text = figures.between(outlook.total.low_s, outlook.total.high_s)
    if columns >= 120:
        text += f" ({fit(inert(outlook.deciding), min(width(inert(outlook.deciding)), 20))})"
    return text + (f" + {outlook.left_out} unknown" if outlook.left_out else "")


def _totals(progress: Progress, columns: int) -> Line:
    silent_s = progress.elapsed_s if progress.saved_ago_s is None else progress.saved_ago_s
    working = progress.state == "running" and any(remaining(m) for m in progress.models)
    if working and silent_s >= SILENT_S:
        return ((f"nothing finished for {figures.span(silent_s)}: {reason(progress)}", "yellow"),)
    done = sum(resolved(m) for m in progress.models)
    share = done / progress.planned if progress.planned else 1.0
    facts = f" {figures.percent(share, 1):>7}"
    if columns >= 72:
        facts += f"  {_of(progress.models, 'answers')} answers"
    facts += f"  {_of(progress.models, 'judgments')} judged"
    facts += f"  {figures.rate(progress.per_minute):>4}/min"
    return (*_bar(_Parts.of(progress.models), max(columns - width(facts), 0)), (facts, ""))


def _of(models: Sequence[ModelRow], kind: str) -> str:
    """`5,192/11,611`, as wide at the start as at the end."""
    planned = figures.count(sum(getattr(m, kind) for m in models))
    done = figures.count(sum(getattr(m, f"{kind}_done") for m in models))
    return f"{done:>{len(planned)}}/{planned}"


def reason(progress: Progress) -> str:
    """Why nothing moves, in a few words: what the accounts wait for, and what has stopped."""
    parts = [
        f"{inert(a.name)} waits for {inert(a.waiting)}" for a in progress.accounts if a.waiting
    ]
    parts += [
        f"{inert(a.name)} stopped: {inert(a.stopped)}" for a in progress.accounts if a.stopped
    ]
    silent = sum(a.in_flight for a in progress.accounts if not (a.waiting or a.stopped))
    if silent:
        parts.append(f"{silent} calls in flight without an answer")
    return "; ".join(parts) or "nothing is in flight"


def _footer(progress: Progress, columns: int) -> Line:
    tokens = (
        f"tokens {figures.tokens(progress.tokens_in)} in, {figures.tokens(progress.tokens_out)} out"
    )
    if money := _money(progress):
        tokens = f"{money}   {tokens}" if columns >= 120 else money
    failed = f"{figures.count(progress.failed)} failed"
    saved = "nothing saved yet"
    if progress.saved_ago_s is not None:
        saved = f"saved {figures.span(progress.saved_ago_s)} ago"
    reused = f"  {figures.count(progress.reused)} reused" if columns >= 72 else ""
    rest = f"{reused}  {saved}"
    gap = " " * max(columns - width(tokens) - width(failed) - width(rest), 2)
    return ((tokens, ""), (gap, ""), (failed, "bold red" if progress.failed else ""), (rest, ""))


def _money(progress: Progress) -> str:
    """`USD 168.63 spent, cap 400.00`; empty while nothing has a price."""
    money = progress.money
    if money is None or (not money.booked and money.limit is None):
        return ""
    least = "≥ " if money.unpriced else ""
    spent = f"{money.currency} {least}{figures.money(money.booked)} spent"
    return spent if money.limit is None else f"{spent}, cap {figures.money(money.limit)}"


# --- the table of models -----------------------------------------------------------------------


class _Look(Struct, frozen=True):
    """A model's state: its glyph, the glyph's style, the words, and how much it needs attention."""

    glyph: str
    style: str
    words: str
    rank: int


class _Column(Struct, frozen=True):
    """One column: from which screen width on, its head, its own width, what stands in it."""

    screen: int
    head: str
    cells: int
    text: Callable[[ModelRow], str]
    style: str = ""


class _Table:
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
            _Column(100, "retry", 5, lambda m: figures.some(m.retries)),
            _Column(72, "/min", 4, lambda m: figures.rate(m.per_minute)),
            _Column(160, "eta", 12, lambda m: _range(outlook.models.get(m.name))),
            _Column(100, "so far", 6, _so_far, "dim"),
            *self._money_column(),
        )
        self._columns = [c for c in numbers if columns >= c.screen]
        if columns < 160:
            eta = _Column(0, "eta", 6, lambda m: _worst(outlook.models.get(m.name)))
            self._columns.append(eta)

    def _money_column(self) -> tuple[_Column, ...]:
        """What each model's answers cost (its judgments are the judges' lines)."""
        money = self._progress.money
        if money is None or not money.booked:
            return ()
        spent = money.by_party

        def cost(row: ModelRow) -> str:
            return figures.money(spent[row.name]) if spent.get(row.name) else figures.NONE

        return (_Column(120, money.currency, 7, cost),)

    def head(self) -> Line:
        left = f"  {fit('model', self._name)} {fit('progress', self._bar)}"
        numbers = "".join(f" {c.head:>{c.cells}}" for c in self._columns)
        return ((f"{left}{numbers}  waiting for", "dim"),)

    def rows(self, room: int) -> list[Line]:
        """All models, or those that need looking at and one line about the others."""
        looks = [look_of(m, self._progress) for m in self._progress.models]
        if len(looks) <= room:
            chosen = list(range(len(looks)))
            return [self._row(i, looks[i]) for i in chosen]
        by_need = sorted(range(len(looks)), key=lambda i: (looks[i].rank, i))
        chosen = sorted(by_need[: max(room - 1, 0)])
        hidden = [looks[i].rank for i in by_need[max(room - 1, 0) :]]
        return [*(self._row(i, looks[i]) for i in chosen), ((_others(hidden), "dim"),)]

    def _row(self, index: int, look: _Look) -> Line:
        row = self._progress.models[index]
        name = fit(inert(row.name), self._name)
        spans: list[Span] = [(f"{look.glyph} ", look.style), (f"{name} ", "")]
        spans += _bar(_Parts.of((row,)), self._bar)
        for column in self._columns:
            text = column.text(row)
            style = "" if text == figures.NONE else column.style
            spans.append((f" {text:>{column.cells}}", style))
        spans.append((f"  {look.words}", look.style if look.rank == 0 else ""))
        return tuple(spans)


def look_of(row: ModelRow, progress: Progress) -> _Look:
    """What state a model is in. There are six, and the first that holds is shown."""
    account = _account_of(row, progress)
    stopped = (account.stopped if account else "") or row.stopped
    if remaining(row) == 0:
        return _Look("✓", "green", _losses(row), 3)
    if stopped:
        return _Look("✗", "bold red", inert(stopped), 0)
    if account and account.waiting:
        return _Look("◷", "yellow", inert(account.waiting), 1)
    in_flight = account is not None and account.in_flight > 0
    silent_s = progress.elapsed_s if row.saved_ago_s is None else row.saved_ago_s
    if in_flight and silent_s >= STALLED_S:
        return _Look("!", "bold red", f"no result for {figures.span(silent_s)}", 0)
    if not in_flight and row.saved_ago_s is None:
        return _Look("·", "dim", "", 2)
    judging = row.answers_done + row.answers_failed >= row.answers
    return _Look("▶", "cyan", "judging" if judging else _losses(row), 1)


def _account_of(row: ModelRow, progress: Progress) -> AccountView | None:
    if not row.account and len(progress.accounts) == 1:
        return progress.accounts[0]
    return next((a for a in progress.accounts if a.name == row.account), None)


def _losses(row: ModelRow) -> str:
    """What a reader should know of a model that works: nothing, in the best case."""
    parts = [
        f"{figures.count(n)} {word}"
        for n, word in (
            (row.failed, "failed"),
            (row.refused, "refused"),
            (row.unscorable, "unscorable"),
        )
        if n
    ]
    return ", ".join(parts)


def _others(ranks: list[int]) -> str:
    words = ("need attention", "running", "queued", "done")
    parts = [f"{ranks.count(rank)} {words[rank]}" for rank in (0, 1, 3, 2) if rank in ranks]
    return "  + " + ", ".join(parts)


def _sizes(columns: int) -> tuple[int, int]:
    """Cells of the name and of the bar."""
    if columns < 72:
        return 14, 6
    if columns < 100:
        return 16, 8
    return (20, 16) if columns < 160 else (30, 28)


def _started(row: ModelRow, done: int) -> str:
    """A count, or nothing yet where nothing has begun."""
    return str(done) if row.answers_done or row.judgments_done or row.failed else figures.NONE


def _so_far(row: ModelRow) -> str:
    """The mean score of all verdicts so far."""
    return figures.score(row.mean_score if row.judgments_done >= ENOUGH else None)


def _range(estimate: Estimate | None) -> str:
    return figures.between(estimate.low_s, estimate.high_s) if estimate else figures.NONE


def _worst(estimate: Estimate | None) -> str:
    return figures.coarse_span(estimate.high_s) if estimate else figures.NONE


# --- bars --------------------------------------------------------------------------------------


class _Parts(Struct, frozen=True):
    """Shares of 1 for a bar: judged, answered (judged included), and whether anything failed."""

    judged: float
    answered: float
    failed: bool

    @staticmethod
    def of(models: Sequence[ModelRow]) -> _Parts:
        answers, judgments = sum(m.answers for m in models), sum(m.judgments for m in models)
        answered = _share(sum(m.answers_done for m in models), answers)
        judged = _share(sum(m.judgments_done for m in models), judgments) if judgments else answered
        return _Parts(judged, answered, any(m.failed for m in models))


def _bar(parts: _Parts, cells: int) -> Line:
    """`━` judged, `─` answered, `×` something failed, `·` to come; full when it is all there."""
    judged = min(int(parts.judged * cells), cells)
    failed = 1 if parts.failed and cells else 0
    judged = min(judged, cells - failed)
    answered = max(min(int(parts.answered * cells), cells - failed) - judged, 0)
    rest = cells - judged - answered - failed
    return (
        ("━" * judged, "green" if judged == cells else "cyan"),
        ("─" * answered, "blue"),
        ("×" * failed, "red"),
        ("·" * rest, "dim"),
    )


def _share(part: int, whole: int) -> float:
    return min(part / whole, 1.0) if whole else 0.0


# --- accounts, judges, events ------------------------------------------------------------------


def _account(account: AccountView) -> Line:
    flight = f"{account.in_flight}/{account.concurrency}"
    facts = f"account {fit(inert(account.name), 16)} {flight:>7} in flight"
    facts += f"  {figures.limit(account.rpm):>5} rpm" if account.rpm else "   no rpm limit"
    facts += f"  {figures.count(account.queued):>5} queued" if account.queued else " " * 14
    if account.stopped:
        return ((facts, ""), (f"  stopped: {inert(account.stopped)}", "bold red"))
    return ((facts, ""), (f"  {inert(account.waiting)}", "yellow"))


def _judge(judge: JudgeRow) -> Line:
    facts = f"judge   {fit(inert(judge.name), 16)} {figures.count(judge.done):>7} done"
    facts += (
        f"  {figures.some(judge.unscorable):>5} unscorable  {figures.rate(judge.per_minute):>5}/min"
    )
    return ((facts, ""),)


def _listed(lines: list[Line], room: int, what: str) -> list[Line]:
    """As many as there is room for; the last one says how many more there are."""
    if len(lines) <= room:
        return lines
    if room == 0:
        return []
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], ((f"  + {hidden} more {what}", "dim"),)]


def _event(line: LogLine, clock: Callable[[float], str]) -> Line:
    style = {"error": "bold red", "warning": "yellow"}.get(line.level, "")
    mark = {"error": "! ", "warning": "~ "}.get(line.level, "  ")
    return ((f"{clock(line.t_s)} ", "dim"), (mark, style), (inert(line.text), style))


# --- exact width -------------------------------------------------------------------------------


def _blank(lines: int) -> list[Line]:
    return [()] * lines


def _fitted(line: Line, columns: int) -> Line:
    """The line in exactly `columns` cells: the span that does not fit is cut, the rest dropped."""
    kept: list[Span] = []
    room = columns
    for text, style in line:
        if not text:
            continue
        size = width(text)
        if size > room:
            if room:
                kept.append((fit(text, room), style))
            return tuple(kept)
        kept.append((text, style))
        room -= size
    if room:
        kept.append((" " * room, ""))
    return tuple(kept)


def _ascii(line: Line) -> Line:
    return tuple((text.translate(ASCII), style) for text, style in line)
