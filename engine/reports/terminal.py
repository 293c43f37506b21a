"""The leaderboard on a terminal, and the last words of a run.

rich lays the table out once; all foreign text goes in as inert Text, never as markup. Where the
terminal is too narrow, categories go first, then groups; a name is cut, a number never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from engine import figures
from engine.cells import cut, fit, inert, width
from engine.events import Progress
from engine.forecast import remaining
from engine.reports.plain import paragraph
from engine.reports.table import TOTAL, DuelSheet, Entry, Head, Sheet, duel_sheets, sheets
from engine.reports.uncertainty import Intervals
from engine.scores import Scores

NAME_MIN, NAME_MAX = 14, 40
TOP = 10


def print_scores(
    scores: Scores,
    *,
    file: IO[str],
    columns: int | None = None,
    colour: bool | None = None,
    partial: bool = False,
    top: int | None = None,
    intervals: Intervals | None = None,
) -> None:
    """One table per judge, `top` rows at most, `columns` cells wide (default: the terminal's).

    `intervals`: of win rates (`win_intervals`).
    """
    console = _console(file, columns, colour)
    _print_all(console, scores, top, partial=partial, intervals=intervals)


def print_summary(
    progress: Progress,
    scores: Scores | None,
    *,
    run_dir: str,
    file: IO[str],
    columns: int | None = None,
    partial: bool = False,
    ties: Mapping[str, str] | None = None,
    facts: Sequence[tuple[str, str]] = (),
) -> None:
    """The end of a run: whether it is all there, what is missing, the table, where things are.

    `partial`: show totals of a part of the questions. `ties`: by judge, the ranks that cannot be told
    apart. `facts`: the last lines, each with its head.
    """
    console = _console(file, columns, None)
    for text in summary_lines(progress, run_dir):
        _say(console, text)
    if scores is not None:
        _print_all(console, scores, TOP, partial=partial, ties=ties)
        console.print()
    for head, text in facts:
        if text:
            _fact(console, head, inert(text))


def summary_lines(progress: Progress, run_dir: str) -> list[str]:
    """Finished or not, and what is missing and why. The first line is the sentence to read."""
    left = sum(remaining(m) for m in progress.models)
    whole = progress.state == "finished" and left == 0
    early = "interrupted" if progress.state == "interrupted" else "ended early"
    word = "finished" if whole else early
    answers = _done(progress, "answers")
    judgments = _done(progress, "judgments")
    simulated = " (simulated)" if progress.simulated else ""
    lines = [
        f"{word}{simulated} after {figures.span(progress.elapsed_s)}: {answers} answers, "
        f"{judgments} judgments safe in {inert(run_dir)}"
    ]
    if progress.reused:
        lines.append(f"  reused    {figures.count(progress.reused)} results, not asked again")
    parts = [
        (progress.failed, "failed"),
        (sum(m.refused for m in progress.models), "refused"),
        (sum(m.unscorable for m in progress.models), "verdicts unreadable"),
        (left, "not reached"),
    ]
    missing = ", ".join(f"{figures.count(n)} {what}" for n, what in parts if n)
    if missing:
        lines.append(f"  missing   {missing}")
    stopped = [(m.name, m.stopped) for m in progress.models if m.stopped]
    stopped += [(a.name, a.remedy or a.stopped) for a in progress.accounts if a.stopped]
    lines += [f"  stopped   {inert(name)}: {inert(why)}" for name, why in dict.fromkeys(stopped)]
    return lines


def _print_all(
    console: Console,
    scores: Scores,
    top: int | None,
    *,
    partial: bool = False,
    intervals: Intervals | None = None,
    ties: Mapping[str, str] | None = None,
) -> None:
    for sheet in sheets(scores, partial=partial):
        _print_sheet(console, sheet, top, (ties or {}).get(sheet.judge, ""))
    for duel in duel_sheets(scores, intervals):
        _print_duels(console, duel, top)


# --- one sheet ---------------------------------------------------------------------------------


def _print_sheet(console: Console, sheet: Sheet, top: int | None, ties: str = "") -> None:
    entries = sheet.entries if top is None else sheet.entries[:top]
    heads = _heads_that_fit(sheet, console.width)
    table = RichTable(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    spare = console.width - _numbers_width(sheet, heads)
    longest = max((width(inert(e.model)) for e in entries), default=0)
    name = max(min(longest, NAME_MAX, spare), NAME_MIN)
    for head in _columns(sheet, heads):
        left = head == "model"
        table.add_column(Text(fit(head, name) if left else head), justify=_side(left), no_wrap=True)
    for entry in entries:
        cells = [fit(c, name) if i == 1 else c for i, c in enumerate(_cells(sheet, entry, heads))]
        table.add_row(*(Text(cell) for cell in cells))
    console.print()
    console.print(Text(cut(sheet.title, console.width), style="bold"))
    console.print(table, crop=True, no_wrap=True)
    hidden = len(sheet.entries) - len(entries)
    if hidden:
        _say(console, f"  + {hidden} more in the report")
    if ties:
        _remark(console, f"{ties} cannot be told apart (5 %, Holm; `alignsweep rank` says more).")
    for note in sheet.notes:
        _remark(console, note)


def _print_duels(console: Console, sheet: DuelSheet, top: int | None) -> None:
    heads, every = sheet.with_intervals()
    rows = every if top is None else every[:top]
    columns = list(zip(heads, *rows, strict=True))
    longest = max((width(inert(row[1])) for row in rows), default=0)
    spare = console.width - _wide(columns)
    if spare < min(longest, NAME_MAX):  # the share of decided games follows from the counts
        heads, rows = heads[:-1], tuple(row[:-1] for row in rows)
        spare = console.width - _wide(columns[:-1])
    name = max(min(longest, NAME_MAX, spare), NAME_MIN)
    table = RichTable(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    for i, head in enumerate(heads):
        table.add_column(
            Text(fit(head, name) if i == 1 else head), justify=_side(i == 1), no_wrap=True
        )
    for row in rows:
        cells = [fit(inert(cell), name) if i == 1 else cell for i, cell in enumerate(row)]
        table.add_row(*(Text(cell) for cell in cells))
    console.print()
    console.print(Text(cut(sheet.title, console.width), style="bold"))
    console.print(table, crop=True, no_wrap=True)
    if len(sheet.rows) > len(rows):
        _say(console, f"  + {len(sheet.rows) - len(rows)} more in the report")
    for note in sheet.notes:
        _remark(console, note)


def _wide(columns: Sequence[Sequence[str]]) -> int:
    """Cells of everything but the name, a space after each column."""
    return 1 + sum(max(map(width, column)) + 1 for i, column in enumerate(columns) if i != 1)


def _columns(sheet: Sheet, heads: Sequence[Head]) -> list[str]:
    other = [sheet.other_policy] if sheet.other_policy else []
    return ["rank", "model", TOTAL, *other, *(h.short for h in heads), "scored"]


def _cells(sheet: Sheet, entry: Entry, heads: Sequence[Head]) -> list[str]:
    values = dict(zip((h.name for h in sheet.heads), entry.values, strict=True))
    other = [figures.score(entry.other_total)] if sheet.other_policy else []
    return [
        entry.rank,
        inert(entry.model),
        figures.score(entry.total),
        *other,
        *(figures.score(values[h.name]) for h in heads),
        figures.percent(entry.coverage.share),
    ]


def _heads_that_fit(sheet: Sheet, columns: int) -> tuple[Head, ...]:
    """All heads, or only the groups, or none."""
    groups = sheet.entries[0].row.robust.groups if sheet.entries else {}
    some = tuple(h for h in sheet.heads if h.name in groups)
    for heads in (sheet.heads, some):
        if columns - _numbers_width(sheet, heads) >= NAME_MIN:
            return heads
    return ()


def _numbers_width(sheet: Sheet, heads: Sequence[Head]) -> int:
    """Cells of everything but the name, a space after each column."""
    rows = [_cells(sheet, entry, heads) for entry in sheet.entries]
    rows.append(_columns(sheet, heads))
    per_column = [max(width(cell) for cell in cells) + 1 for cells in zip(*rows, strict=True)]
    return sum(per_column) - per_column[1] + 1


def _side(left: bool) -> Literal["left", "right"]:
    return "left" if left else "right"


def _console(file: IO[str], columns: int | None, colour: bool | None) -> Console:
    return Console(
        file=file,
        width=columns,
        force_terminal=colour,
        no_color=None if colour is None else not colour,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _remark(console: Console, note: str) -> None:
    """A note, indented as a whole on a terminal, one line where programs read."""
    columns = console.width if console.is_terminal else 10**6
    for line in paragraph(note, columns, first="  * "):
        _say(console, line)


def _fact(console: Console, head: str, text: str) -> None:
    """`  files     report.html · …`: what does not fit goes on below itself."""
    columns = console.width if console.is_terminal else 10**6
    for line in paragraph(text, columns, first=f"  {head:<10}", rest=" " * 12):
        _say(console, line)


def _say(console: Console, text: str) -> None:
    """A line that may wrap: nothing in it may be lost."""
    console.print(Text(text), soft_wrap=not console.is_terminal)


def _done(progress: Progress, kind: str) -> str:
    done = sum(getattr(m, f"{kind}_done") for m in progress.models)
    return (
        f"{figures.count(done)} of {figures.count(sum(getattr(m, kind) for m in progress.models))}"
    )
