"""The live picture as text: Progress and a size in, lines of exactly that width out. Pure.

    title      the run, how long it has been going, when it may end
    totals     bar, counts, rate, sparkline; or, when nothing moves, the reason
    models     one row each (`engine/frame_table.py`), with what each waits for (`engine/looks.py`)
    money      spent, expected, ceiling; failed, reused, saved how long ago
    judges, accounts, events       as many as there is room for

Nothing ever wraps, and what models or servers say has been made inert before it gets a place. For
screens too small for that, `compact` says the same in six lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.schema import Struct
from engine import figures
from engine.cells import fit, inert, width
from engine.costs import Expected
from engine.events import AccountView, JudgeRow, LogLine, ModelRow, Progress
from engine.forecast import Outlook, resolved
from engine.frame_table import ModelTable, bar
from engine.looks import accounts_of, is_full, look_of, silence
from engine.spans import Line, fitted, in_ascii, speakable

EVENTS = 8
SPARKS = " ▁▂▃▄▅▆▇█"
Clock = Callable[[float], str]

# --- public ------------------------------------------------------------------------------------


def frame(
    progress: Progress,
    columns: int,
    lines: int,
    *,
    outlook: Outlook | None = None,
    clock: Clock = figures.run_clock,
    ascii_only: bool = False,
    encoding: str = "utf-8",
) -> list[Line]:
    """The picture for a terminal of `columns` x `lines`: lines - 1 lines of `columns` cells each.

    The last screen line stays free, so that no terminal scrolls. `clock` writes the loop's seconds.
    """
    outlook = outlook or Outlook()
    room = max(lines - 1, 1)
    plan = _Rooms.plan(progress, room)
    table = ModelTable(progress, columns, outlook)
    judges = [_judge(judge, progress, columns) for judge in progress.judges]
    body = [
        _title(progress, columns, outlook),
        _totals(progress, columns),
        table.head(),
        *table.rows(plan.rows),
        *_blank(plan.gap),
        _footer(progress, columns, outlook),
        *_listed(judges, plan.judges, "judges"),
        *_listed([_account(a) for a in progress.accounts], plan.accounts, "accounts"),
        *_blank(plan.gap),
        *(_event(line, clock) for line in progress.log[: plan.events]),
    ]
    body = body[:room] + _blank(room - len(body))
    if progress.state == "stopping":
        body[-1] = _stopping(progress)
    return [_shown(line, columns, ascii_only, encoding) for line in body]


def compact(
    progress: Progress,
    columns: int,
    lines: int,
    *,
    outlook: Outlook | None = None,
    ascii_only: bool = False,
    encoding: str = "utf-8",
) -> list[Line]:
    """The same in six lines of `columns` cells, or as many as there are, the most telling first."""
    outlook = outlook or Outlook()
    mark = " [simulated]" if progress.simulated else ""
    failed = f"  {figures.count(progress.failed)} failed" if progress.failed else ""
    facts: list[Line] = [
        ((f"{inert(progress.name)}{mark} {figures.span(progress.elapsed_s)}", "bold"),),
        (*bar(progress.models, 8), (f" {_share_done(progress)}  eta {_eta(outlook, 0)}", "")),
        ((silence(progress) or f"{_of(progress.models, 'answers')} answers", ""),),
        (
            (f"{_of(progress.models, 'judgments')} judged", ""),
            (f" {figures.rate(progress.per_minute)}/min", ""),
        ),
        ((f"{_money(progress, outlook, short=True)}{failed}  {_saved(progress)}".strip(), ""),),
        _most_urgent(progress),
    ]
    if progress.state == "stopping":
        facts[-1] = _stopping(progress)
    room = max(lines - 1, 1)
    return [_shown(line, columns, ascii_only, encoding) for line in facts[:room]]


def sparkline(history: Sequence[int], cells: int) -> str:
    """The last stretches, the newest at the right, from zero to the highest of them."""
    recent = history[-cells:]
    top = max(recent, default=0)
    steps = len(SPARKS) - 1
    drawn = [SPARKS[-(-n * steps // top)] if top else SPARKS[1] for n in recent]
    return "".join(drawn).rjust(cells)


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
        """Models first, then a few events, judges, accounts, air, more events."""
        left = max(room - 4, 1)
        events = min(2 if room >= 20 else 1, left - 1)
        rows = min(len(progress.models), left - events)
        left -= rows + events
        judges = min(len(progress.judges), left)
        left -= judges
        accounts = min(len(progress.accounts), left)
        left -= accounts
        gap = 1 if left >= 4 else 0
        more = min(left - 2 * gap, EVENTS - events)
        return _Rooms(rows, accounts, judges, events + more, gap)


# --- header ------------------------------------------------------------------------------------


def _title(progress: Progress, columns: int, outlook: Outlook) -> Line:
    """The run's name is the last thing to be cut."""
    name = inert(progress.name)
    mark = "  [simulated]" if progress.simulated else ""
    state = "" if progress.state == "running" else f"{progress.state}   "
    right = f"{state}{figures.span(progress.elapsed_s)} elapsed   eta {_eta(outlook, columns)}"
    if columns < 72:
        right = f"{state}{figures.span(progress.elapsed_s)}  eta {_eta(outlook, columns)}"
    space = max(columns - width(right) - width(mark) - 2, 0)
    left = f"alignsweep  {name}"
    if width(left) > space:
        left = fit(name, min(width(name), space))
    gap = " " * max(columns - width(left) - width(mark) - width(right), 1)
    return ((left, "bold"), (mark, "yellow"), (gap, ""), (right, ""))


def _eta(outlook: Outlook, columns: int) -> str:
    """`1h08–1h45 (glm-5) + 1 stopped`: a range, who decides it, and who is not in it."""
    text = figures.NONE
    if outlook.total is not None:
        text = figures.between(outlook.total.low_s, outlook.total.high_s)
        if columns >= 120:
            text += f" ({fit(inert(outlook.deciding), min(width(inert(outlook.deciding)), 20))})"
    for count, word in ((outlook.stopped, "stopped"), (outlook.left_out, "unknown")):
        if count and outlook.total is not None and columns >= 72:
            text += f" + {count} {word}"
    return text


def _totals(progress: Progress, columns: int) -> Line:
    if progress.state == "running" and (words := silence(progress)):
        return ((words, "yellow"),)
    facts = f" {_share_done(progress):>7}"
    if columns >= 72:
        facts += f"  {_of(progress.models, 'answers')} answers"
    facts += f"  {_of(progress.models, 'judgments')} judged"
    facts += f"  {figures.rate(progress.per_minute):>4}/min"
    sparks = 0 if columns < 100 else 16 if columns < 160 else 30
    drawn = f"  {sparkline(progress.history, sparks)}" if sparks else ""
    cells = max(columns - width(facts) - width(drawn), 0)
    return (*bar(progress.models, cells), (facts, ""), (drawn, "dim"))


def _share_done(progress: Progress) -> str:
    """Of what is planned, resolved one way or another: it reaches 100 %."""
    done = sum(resolved(m) for m in progress.models)
    return figures.percent(done / progress.planned if progress.planned else 1.0, 1)


def _of(models: Sequence[ModelRow], kind: str) -> str:
    """`5,192/11,611`, as wide at the start as at the end."""
    planned = figures.count(sum(getattr(m, kind) for m in models))
    done = figures.count(sum(getattr(m, f"{kind}_done") for m in models))
    return f"{done:>{len(planned)}}/{planned}"


# --- footer ------------------------------------------------------------------------------------


def _footer(progress: Progress, columns: int, outlook: Outlook) -> Line:
    """Money on the left, what is safe on the right; what does not fit is said in fewer words."""
    failed = f"{figures.count(progress.failed)} failed"
    style = "bold red" if progress.failed else ""
    saved = _saved(progress)
    rights = [f"  {_reused(progress)}  {saved}", f"  {_reused(progress, True)}  {saved}"]
    rights.append(f"  {saved}")
    lefts = [_money(progress, outlook), _money(progress, outlook, short=True)]
    if columns >= 120:
        lefts.insert(0, f"{lefts[0]}   {_tokens(progress)}".strip())
    elif not lefts[0]:
        lefts = [_tokens(progress), ""]
    pairs = [(left, right) for right in rights[:2] for left in lefts]
    pairs += [(left, rights[2]) for left in lefts]
    room = columns - len(failed) - 2
    fits = ((a, b) for a, b in pairs if width(a) + width(b) <= room)
    left, right = next(fits, (lefts[-1], rights[-1]))
    gap = " " * max(columns - width(left) - width(failed) - width(right), 2)
    over = _beyond(progress, outlook.money)
    return ((left, "yellow" if over else ""), (gap, ""), (failed, style), (right, ""))


def _tokens(progress: Progress) -> str:
    said, read = figures.tokens(progress.tokens_out), figures.tokens(progress.tokens_in)
    return f"tokens {read} in, {said} out"


def _saved(progress: Progress) -> str:
    if progress.saved_ago_s is None:
        return "nothing saved yet"
    return f"saved {figures.span(progress.saved_ago_s)} ago"


def _reused(progress: Progress, short: bool = False) -> str:
    """What was not asked again: of the run's journal, and of the cache."""
    text = f"{figures.count(progress.reused)} reused"
    stored = progress.reused - progress.cached
    if short or not (stored and progress.cached):
        return text if short or not progress.cached else f"{text} (cache)"
    return f"{text} ({figures.count(progress.cached)} cache)"


def _money(progress: Progress, outlook: Outlook, *, short: bool = False) -> str:
    """`USD 168.63 spent, 320–405 expected, cap 400`; empty while nothing has a price."""
    money = progress.money
    if money is None or (not money.booked and money.limit is None):
        return ""
    least = "≥ " if money.unpriced else ""
    text = f"{money.currency} {least}{figures.money(money.booked)}"
    text += "".join(f" + {figures.money(nano, code)}" for code, nano in money.others.items())
    text += " spent"
    if outlook.money is not None:
        low, high = figures.amounts(outlook.money.low, outlook.money.high)
        expected = low if low == high else f"{low}–{high}"
        text += f" of {expected}" if short else f", {expected} expected"
    if money.limit is not None:
        text += f", cap {figures.amounts(money.limit)[0]}"
    if money.unpriced_parties and not short:
        text += f" ({money.unpriced_parties} without price)"
    if money.waiting:
        text += f", {money.waiting} wait"
    return text


def _beyond(progress: Progress, expected: Expected | None) -> bool:
    """Is the ceiling likely to be reached?"""
    limit = progress.money.limit if progress.money is not None else None
    return limit is not None and expected is not None and expected.high > limit


# --- judges, accounts, events ------------------------------------------------------------------


def _judge(judge: JudgeRow, progress: Progress, columns: int) -> Line:
    """A judge: how far, which verdicts could not be read, what it waits for."""
    done = figures.count(judge.done)
    if judge.judgments:
        done = f"{done}/{figures.count(judge.judgments)}"
    facts = f"judge   {fit(inert(judge.name), 16)} {done:>13} done"
    facts += f"  {figures.rate(judge.per_minute):>5}/min"
    accounts = accounts_of(judge.account, progress)
    if columns >= 100 and accounts:
        flight = f"{judge.in_flight}/{sum(a.concurrency for a in accounts)}"
        facts += f"  {flight:>7} in flight"
    if columns >= 120 and judge.asked_again:
        facts += f"  {figures.count(judge.asked_again)} asked again"
    unread = f"  {figures.some(judge.unscorable):>3} unreadable"
    style = "yellow" if judge.unscorable else ""
    waiting = next((a.remedy or a.waiting for a in accounts if a.remedy or a.waiting), "")
    waits = "" if is_full(waiting) else "yellow"
    return ((facts, ""), (unread, style), (f"  {inert(waiting)}", waits))


def _account(account: AccountView) -> Line:
    flight = f"{account.in_flight}/{account.concurrency}"
    facts = f"account {fit(inert(account.name), 16)} {flight:>7} in flight"
    facts += f"  {figures.limit(account.rpm):>5} rpm" if account.rpm else "   no rpm limit"
    facts += f"  {figures.count(account.queued):>5} queued" if account.queued else " " * 14
    if account.stopped:
        stopped = inert(account.remedy or account.stopped)
        return ((facts, ""), (f"  ✗ stopped: {stopped}", "bold red"))
    style = "" if is_full(account.waiting) else "yellow"
    return ((facts, ""), (f"  {inert(account.waiting)}", style))


def _listed(lines: list[Line], room: int, what: str) -> list[Line]:
    """As many as there is room for; the last one says how many more there are."""
    if len(lines) <= room:
        return lines
    if room == 0:
        return []
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], ((f"  + {hidden} more {what}", "dim"),)]


def _event(line: LogLine, clock: Clock) -> Line:
    style = {"error": "bold red", "warning": "yellow"}.get(line.level, "")
    mark = {"error": "! ", "warning": "~ "}.get(line.level, "  ")
    return ((f"{clock(line.t_s)} ", "dim"), (mark, style), (inert(line.text), style))


def _stopping(progress: Progress) -> Line:
    """What is still under way after Ctrl-C, for how long, and what giving it up may cost."""
    flying = sum(a.in_flight for a in progress.accounts)
    if progress.money is not None:  # those that wait for refunds hold a place but were never sent
        flying = max(flying - progress.money.waiting, 0)
    left = f", {figures.span(progress.grace_s)} left" if progress.grace_s is not None else ""
    lost = ""
    if progress.money is not None and progress.money.reserved and flying:
        lost = f" (at most {figures.money(progress.money.reserved, progress.money.currency)})"
    text = f"stopping: {figures.many(flying, 'call')} in flight{left} · Ctrl-C gives them up{lost}"
    return ((text, "bold yellow"),)


def _most_urgent(progress: Progress) -> Line:
    """The model that needs its user most, or the last event."""
    looks = [(look_of(m, progress), m) for m in progress.models]
    urgent = [(look, m) for look, m in looks if look.rank == 0]
    if urgent:
        look, row = urgent[0]
        more = f" (+{len(urgent) - 1})" if len(urgent) > 1 else ""
        return ((f"{look.glyph} {inert(row.name)}{more}: {look.words}", look.style),)
    waits = [(look, m) for look, m in looks if look.glyph == "◷"]
    if waits:
        look, row = waits[0]
        return ((f"{look.glyph} {inert(row.name)}: {look.words}", look.style),)
    return ((inert(progress.log[0].text), ""),) if progress.log else ()


# --- exact width -------------------------------------------------------------------------------


def _blank(lines: int) -> list[Line]:
    return [()] * max(lines, 0)


def _shown(line: Line, columns: int, ascii_only: bool, encoding: str) -> Line:
    exact = fitted(line, columns)
    if ascii_only:
        exact = in_ascii(exact)
    return exact if encoding == "utf-8" else speakable(exact, encoding)
