"""Scores as a neutral leaderboard: who stands where, under which heads, with which remarks. Pure.

Every report draws this and none of them decides anything. The rules: models whose totals are equal
when rounded to two decimals share a rank (`2-3`); a model with too little coverage has no rank and
shows no total unless asked; the total by the other policy stands beside the headline wherever any
of them differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.schema import Struct
from engine import figures
from engine.cells import inert
from engine.duels import Duelist, DuelTable
from engine.escalated import Escalated
from engine.money import formatted
from engine.reports.uncertainty import Intervals
from engine.scores import Coverage, Row, Scores, Table
from engine.served import sentence

DIGITS = 2
TOTAL = "总分"
INTERVAL = "95 % CI"


class Head(Struct, frozen=True):
    """A column of means: its full name and one of about four cells."""

    name: str
    short: str


class Entry(Struct, frozen=True, kw_only=True):
    """One model's line. `values` stand under `Sheet.heads`; numbers are not rounded."""

    rank: str
    """`1`, `2-3`, or `–`: not ranked."""
    model: str
    total: float | None
    other_total: float | None
    values: tuple[float | None, ...]
    coverage: Coverage
    truncated: int
    row: Row


class DuelSheet(Struct, frozen=True, kw_only=True):
    """One pairwise judge's table as cells, best first."""

    title: str
    judge: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Rank, model (not made inert), then figures."""
    notes: tuple[str, ...]
    intervals: tuple[str, ...] = ()
    """Row by row the 95 % interval of the win rate; empty where they are not known."""

    def with_intervals(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Heads and rows with the interval beside the rate; as they are where there is none."""
        if not self.intervals:
            return self.heads, self.rows
        rows = zip(self.rows, self.intervals, strict=True)
        heads = (*self.heads[:3], INTERVAL, *self.heads[3:])
        return heads, tuple((*row[:3], shown, *row[3:]) for row, shown in rows)


class Sheet(Struct, frozen=True, kw_only=True):
    """One judge's leaderboard, best first, those without a rank last."""

    title: str
    judge: str
    policy: str
    other_policy: str
    """Named where the two policies' totals differ; else empty."""
    heads: tuple[Head, ...]
    entries: tuple[Entry, ...]
    dimensions: tuple[str, ...]
    notes: tuple[str, ...]
    escalated: Escalated | None = None


def sheets(scores: Scores, *, partial: bool = False) -> tuple[Sheet, ...]:
    """One sheet per judge. `partial`: show totals also where coverage is too low to rank them."""
    return tuple(_sheet(scores, table, partial) for table in scores.tables)


def duel_sheets(scores: Scores, intervals: Intervals | None = None) -> tuple[DuelSheet, ...]:
    """One sheet per pairwise judge; `intervals` of win rates in per cent, by judge and model."""
    return tuple(_duel_sheet(scores, table, intervals or {}) for table in scores.duels)


def ranks(totals: Sequence[float | None]) -> list[str]:
    """The rank of each total, highest first; equal after rounding is equal. None has none."""
    rounded = [None if total is None else round(total, DIGITS) for total in totals]
    found: list[str] = []
    for mine in rounded:
        if mine is None:
            found.append(figures.NONE)
            continue
        first = 1 + sum(other is not None and other > mine for other in rounded)
        last = first + sum(other == mine for other in rounded) - 1
        found.append(str(first) if first == last else f"{first}-{last}")
    return found


def heads(scores: Scores) -> tuple[Head, ...]:
    """Groups, each followed by its categories; categories in no group come last."""
    names: list[str] = []
    for group, members in scores.groups.items():
        names += [group, *(m for m in members if m in scores.categories)]
    names += [c for c in scores.categories if c not in names]
    shorts = [inert(n)[-2:] if n in scores.groups else inert(n)[:2] for n in names]
    if any(name.isascii() for name in names) or len(set(shorts)) < len(shorts):
        shorts = [inert(name) for name in names]
    return tuple(map(Head, names, shorts))


# --- one sheet ---------------------------------------------------------------------------------


def _sheet(scores: Scores, table: Table, partial: bool) -> Sheet:
    columns = heads(scores)
    totals = [table.headline(row).total if row.complete else None for row in table.rows]
    entries = [
        _entry(table, row, rank, columns, partial)
        for row, rank in zip(table.rows, ranks(totals), strict=True)
    ]
    order = sorted(range(len(entries)), key=lambda i: (totals[i] is None, -(totals[i] or 0.0), i))
    other = "robust" if table.policy == "compat" else "compat"
    simulated = " (simulated)" if scores.simulated else ""
    below = _joined([inert(name) for name in table.escalated.below]) if table.escalated else ""
    asked = f" where {below} leave a doubt" if below else ""
    return Sheet(
        title=f"{inert(scores.benchmark)} by {inert(table.judge)}{asked}{simulated}",
        judge=table.judge,
        policy=table.policy,
        other_policy=other if _policies_differ(table) else "",
        heads=columns,
        entries=tuple(entries[i] for i in order),
        dimensions=tuple(dict.fromkeys(d for row in table.rows for d in row.dimensions)),
        notes=tuple(_notes(scores, table, partial)),
        escalated=table.escalated,
    )


def _entry(table: Table, row: Row, rank: str, columns: Sequence[Head], partial: bool) -> Entry:
    means = table.headline(row)
    other = row.robust if table.policy == "compat" else row.compat
    shown = row.complete or partial
    both = {**means.categories, **means.groups}
    return Entry(
        rank=rank,
        model=row.model,
        total=means.total if shown else None,
        other_total=other.total if shown else None,
        values=tuple(both.get(head.name) for head in columns),
        coverage=row.coverage,
        truncated=row.truncated,
        row=row,
    )


def _policies_differ(table: Table) -> bool:
    return any(
        figures.score(row.robust.total) != figures.score(row.compat.total) for row in table.rows
    )


def _kind(table: Table) -> str:
    """The reading that is no compat."""
    return "robust" if table.policy == "compat" else table.policy


# --- what a reader must know -------------------------------------------------------------------


def _notes(scores: Scores, table: Table, partial: bool) -> list[str]:
    notes: list[str] = []
    if scores.simulated:
        notes.append("Everything here is simulated: no model was asked and no judge has read it.")
    notes += _served(scores, table.judge)
    low = [row for row in table.rows if not row.complete]
    if low:
        what = "no rank" if partial else "no rank and no total"
        notes.append(
            f"Coverage below {figures.percent(scores.min_coverage)}: {what} ({_names(low)})."
        )
    notes += _thin_categories(scores, table)
    missing = _missing(sum((row.coverage for row in table.rows), Coverage(0)))
    if missing:
        notes.append(f"Without a score: {missing}.")
    truncated = sum(row.truncated for row in table.rows)
    if truncated:
        notes.append(f"Truncated answers, judged as they are: {figures.count(truncated)}.")
    if _policies_differ(table):
        notes.append(
            f"{_kind(table)} leaves unreadable verdicts out; compat reads the first reply with upstream's "
            "own parser and averages -1 in for what that cannot read."
        )
    if table.escalated is not None:
        notes.append(escalation_note(table.judge, table.escalated))
    if scores.ignored:
        notes.append(
            f"Records of other questions, models or judges: {figures.count(scores.ignored)}."
        )
    return notes


def _served(scores: Scores, judge: str) -> list[str]:
    """Versions that changed: of every model, and of this judge."""
    return [sentence(c) for c in scores.served if c.stage == "generate" or c.name == judge]


def escalation_note(judge: str, told: Escalated) -> str:
    """How often an escalating judge was asked, why, what counts elsewhere, and what that saved."""
    below = _joined([inert(name) for name in told.below])
    decided = told.asked + told.waiting + told.spared
    reasons = (
        (told.apart, f"where they were {told.disagree or 0:g} or more apart"),
        (told.unreadable, "where one of them could not be read"),
        (told.rank, "on which a rank hung"),
    )
    why = ", ".join(f"{figures.count(n)} {what}" for n, what in reasons if n)
    text = (
        f"{inert(judge)} was asked about {figures.count(told.asked)} of {figures.count(decided)}"
        f" answers that {below} judged ({figures.percent(told.share)})"
    )
    text += f": {why}." if why else "."
    if told.waiting:
        text += f" {figures.count(told.waiting)} in doubt still wait for it."
    money = " + ".join(formatted(amount) for amount in told.saved)
    text += f" Elsewhere the mean of {below} counts: {figures.count(told.spared)} calls saved"
    text += f", about {money} at its mean price." if money else "."
    if told.below_cost:
        text += f" {below} cost {' + '.join(map(formatted, told.below_cost))}."
    if told.shift is not None:
        text += f" Where both judged it is {told.shift:+.2f} from their mean."
    return text


def _joined(names: Sequence[str]) -> str:
    """`a, b and c`"""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _thin_categories(scores: Scores, table: Table) -> list[str]:
    """A total hides a category of which half is missing; this line does not."""
    thin = [
        f"{inert(row.model)} {inert(category)} {figures.percent(coverage.share)}"
        for row in table.rows
        if row.complete
        for category, coverage in row.by_category.items()
        if coverage.share < scores.min_coverage
    ]
    if not thin:
        return []
    more = f" and {len(thin) - 5} more" if len(thin) > 5 else ""
    return [f"Thin categories: {', '.join(thin[:5])}{more}."]


def _missing(coverage: Coverage) -> str:
    parts = (
        (coverage.unscorable, "unreadable verdicts"),
        (coverage.refused, "of refused answers"),
        (coverage.failed, "failed"),
        (coverage.pending, "pending"),
    )
    return ", ".join(f"{figures.count(n)} {what}" for n, what in parts if n)


def _names(rows: Sequence[Row] | Sequence[Duelist]) -> str:
    shown = ", ".join(inert(row.model) for row in rows[:5])
    return shown + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


# --- comparisons -------------------------------------------------------------------------------

_DUEL_HEADS = (
    "rank",
    "model",
    "win %",
    "wins",
    "ties",
    "losses",
    "incons.",
    "missing",
    "decided %",
)


def _duel_sheet(scores: Scores, table: DuelTable, intervals: Intervals) -> DuelSheet:
    rates = [None if row.adjusted is None else 100 * row.adjusted for row in table.rows]
    enough = [row.coverage >= scores.min_coverage for row in table.rows]
    places = ranks([rate if whole else None for rate, whole in zip(rates, enough, strict=True)])
    rows = tuple(
        (rank, row.model, figures.score(rate), *_duel_cells(row))
        for rank, rate, row in zip(places, rates, table.rows, strict=True)
    )
    against = f" against {inert(table.baseline)}" if table.baseline else ""
    simulated = " (simulated)" if scores.simulated else ""
    return DuelSheet(
        title=f"{inert(scores.benchmark)}: wins by {inert(table.judge)}{against}{simulated}",
        judge=table.judge,
        heads=_DUEL_HEADS,
        rows=rows,
        notes=tuple(_duel_notes(scores, table)),
        intervals=tuple(_win_span(table, row.model, intervals) for row in table.rows)
        if intervals
        else (),
    )


def _win_span(table: DuelTable, model: str, intervals: Intervals) -> str:
    """61.2–65.3"""
    if model == table.baseline:
        return "baseline"
    found = intervals.get((table.judge, model))
    if found is None or found.low is None or found.high is None:
        return figures.NONE
    return f"{found.low:.1f}–{found.high:.1f}"


def _duel_cells(row: Duelist) -> tuple[str, ...]:
    decided = None if row.win_rate is None else 100 * row.win_rate
    counts = (row.wins, row.ties, row.losses, row.inconsistent, row.missing)
    return (*map(figures.count, counts), figures.score(decided))


def _duel_notes(scores: Scores, table: DuelTable) -> list[str]:
    notes = ["win %: a tie, or a game with another verdict when turned (incons.), counts a half."]
    if table.baseline:
        notes.append(
            f"{inert(table.baseline)} is the baseline: 50 by definition; its games are all of them."
        )
    if scores.simulated:
        notes.insert(
            0, "Everything here is simulated: no model was asked and no judge has read it."
        )
    notes += _served(scores, table.judge)
    low = [row for row in table.rows if row.coverage < scores.min_coverage]
    if low:
        least = figures.percent(scores.min_coverage)
        notes.append(f"Games with a result below {least}: no rank ({_names(low)}).")
    if table.consistency is not None:
        notes.append(f"Same winner in both positions: {figures.percent(table.consistency)}.")
    if table.first_wins is not None:
        notes.append(
            f"Shown first and found better: {figures.percent(table.first_wins)} of decided verdicts"
            " (50 % without a bias)."
        )
    return notes
