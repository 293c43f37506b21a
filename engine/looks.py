"""What state a model is in, and why nothing moves, in a few words a person can act on. Pure.

Six states, each with a glyph, so that nothing depends on colour: `✓` complete, `✗` stopped and in need
of its user, `!` stalled, `◷` waiting for something known, `▶` at work, `·` queued. The words name the
limit that binds, with its end where that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.schema import Struct
from engine import figures
from engine.advice import in_short
from engine.cells import cut, inert, width
from engine.events import AccountView, ModelRow, Progress
from engine.forecast import remaining

STALLED_S = 60.0
STALLED_P95 = 4.0
"""Calls in flight and nothing finished for a minute, and for four times what slow calls take."""
SILENT_S = 30.0
"""When nothing at all finished for so long, the total bar gives way to the reason."""
REFUNDS = "refunds, budget near"
FULL = 0.75
"""Of the calls in flight that are allowed: with a queue behind them, these are what binds."""
_SHORTER = (
    (" (learned)", ""),
    ("requests/", "req/"),
    ("-tokens/", "-tok/"),
    ("429 retry-after", "429"),
    ("breaker open, probe", "breaker"),
    ("judging: calls", "judging"),
)
_LOSSES = ("failed", "refused", "unreadable")


class Look(Struct, frozen=True):
    """A model's state: its glyph, the glyph's style, the words, and how much it needs attention."""

    glyph: str
    style: str
    words: str
    rank: int
    """0 needs its user, 1 at work, 2 queued, 3 done."""


def look_of(row: ModelRow, progress: Progress) -> Look:
    """What state a model is in. There are six, and the first that holds is shown."""
    accounts = accounts_of(row.account, progress)
    if remaining(row) == 0:
        return Look("✓", "green", losses(row), 3)
    if stopped := stop_of(row, accounts):
        return Look("✗", "bold red", stopped, 0)
    silent_s = progress.elapsed_s if row.saved_ago_s is None else row.saved_ago_s
    if row.in_flight and silent_s >= max(STALLED_S, STALLED_P95 * (row.p95_s or 0.0)):
        words = f"no answer for {figures.span(silent_s)} ({row.in_flight} in flight)"
        return Look("!", "bold red", words, 0)
    answered = row.answers_done + row.answers_failed >= row.answers
    if answered:
        accounts = judges_of(progress)
    waiting = _waiting(accounts)
    if is_full(waiting) and progress.money is not None and progress.money.waiting:
        waiting = REFUNDS
    if waiting and not is_full(waiting):
        return Look("◷", "yellow", f"judging: {waiting}" if answered else waiting, 1)
    if not row.in_flight and row.saved_ago_s is None:
        return Look("·", "dim", waiting or losses(row), 2)
    doing = waiting
    if answered:
        doing = f"judging: {waiting}" if waiting else "judging"
    return Look("▶", "cyan", ", ".join(filter(None, (doing, losses(row)))), 1)


def stop_of(row: ModelRow, accounts: Sequence[AccountView]) -> str:
    """Why nothing more is asked of a model; empty: it is."""
    if row.stopped:
        return inert(in_short(row.stopped))
    if accounts and all(account.stopped for account in accounts):
        return inert(accounts[-1].remedy or in_short(accounts[-1].stopped))
    return ""


def accounts_of(provider: str, progress: Progress) -> list[AccountView]:
    """The accounts that share a provider's work: NAME, or NAME#1, NAME#2 …"""
    if not provider and len(progress.accounts) == 1:
        return list(progress.accounts)
    return [
        a for a in progress.accounts if a.name.partition("#")[0] == provider or a.name == provider
    ]


def judges_of(progress: Progress) -> list[AccountView]:
    """The accounts of judges that still have judgments to make."""
    found: dict[str, AccountView] = {}
    for judge in progress.judges:
        if not judge.judgments or judge.done < judge.judgments:
            found |= {a.name: a for a in accounts_of(judge.account, progress)}
    return list(found.values())


def losses(row: ModelRow) -> str:
    """What a reader should know of a model's results: nothing, in the best case."""
    parts = [
        f"{figures.count(n)} {word}"
        for n, word in (
            (row.failed, "failed"),
            (row.refused, "refused"),
            (row.unscorable, "unreadable"),
        )
        if n
    ]
    return ", ".join(parts)


# --- waiting -----------------------------------------------------------------------------------


def is_full(waiting: str) -> bool:
    """Is what binds the number of calls in flight? Then there is work going on, not a wait."""
    return waiting.startswith("calls ")


def _waiting(accounts: Sequence[AccountView]) -> str:
    """What binds the accounts that share some work; empty if one of them is free."""
    open_ones = [a for a in accounts if not a.stopped]
    reasons = [inert(a.waiting) or _nearly_full(a) for a in open_ones]
    if not reasons or not all(reasons):
        return ""
    return next((r for r in reasons if is_full(r)), reasons[0])


def _nearly_full(account: AccountView) -> str:
    if account.queued and account.in_flight >= FULL * account.concurrency:
        return f"calls {account.in_flight}/{account.concurrency}"
    return ""


def shortened(words: str, cells: int) -> str:
    """Words in at most `cells` cells. What goes last is the end of a wait: `req/m…, 14 s`."""
    while width(words) > cells and words.endswith(_LOSSES) and ", " in words:
        words = words.rpartition(", ")[0]
    if width(words) > cells and words.endswith("in flight)"):
        words = words.rpartition(" (")[0]
    for long, short in _SHORTER:
        if width(words) <= cells:
            return words
        words = words.replace(long, short)
    head, comma, end = words.rpartition(", ")
    if width(words) > cells and comma and end.endswith("s") and width(end) + 6 <= cells:
        return f"{cut(head, cells - width(end) - 2)}, {end}"
    return cut(words, cells)


# --- silence -----------------------------------------------------------------------------------


def silence(progress: Progress) -> str:
    """`nothing finished for 48s: …` when nothing at all moves; else empty."""
    silent_s = progress.elapsed_s if progress.saved_ago_s is None else progress.saved_ago_s
    if silent_s < SILENT_S or not any(remaining(m) for m in progress.models):
        return ""
    return f"nothing finished for {figures.span(silent_s)}: {reason(progress)}"


def reason(progress: Progress) -> str:
    """Why nothing moves: what the accounts wait for, what has stopped, what never came back."""
    waiting = [a for a in progress.accounts if a.waiting and not is_full(a.waiting)]
    parts = []
    if progress.money is not None and progress.money.waiting:
        parts.append(f"{figures.many(progress.money.waiting, 'call')} wait for refunds: budget")
    parts += [f"{inert(a.name)} waits for {inert(a.waiting)}" for a in waiting]
    parts += [
        f"{inert(a.name)} stopped: {inert(a.remedy or a.stopped)}"
        for a in progress.accounts
        if a.stopped
    ]
    silent = sum(a.in_flight for a in progress.accounts if a not in waiting and not a.stopped)
    if silent:
        parts.append(f"{figures.many(silent, 'call')} in flight without an answer")
    return "; ".join(parts) or "nothing is in flight"
