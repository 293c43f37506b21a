"""Estimates in words and columns: what all reports on agreement write alike. Pure.

Shares and correlations go without their leading zero (`.612`), as the literature has it. What does
not exist is written `undefined`, and each reason is told once below its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.agreement.estimate import Estimate
from engine.cells import cut, fit, inert, width
from engine.figures import NONE

UNDEFINED = "undefined"
COLUMNS = 80
NAME, CELL = 18, 19
"""Cells of a row's name, and of a number with its interval."""


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Lines of at most COLUMNS cells, cut between words; what follows stands further in."""
    for line in lines:
        rest, hang = line, " " * (len(line) - len(line.lstrip()) + 2)
        while width(rest) > COLUMNS and " " in (head := cut(rest, COLUMNS, "")).lstrip():
            break_at = head.rindex(" ")
            yield rest[:break_at].rstrip()
            rest = hang + rest[break_at:].lstrip()
        yield rest


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """`.612`, `-.063`, `1.000`; `–` for None."""
    if value is None:
        return NONE
    rounded = round(value, digits) + 0.0  # no -0
    text = f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(rounded) < 1 else text


def ranged(found: Estimate, digits: int = 3, *, signed: bool = False) -> str:
    """`.612 [.50, .70]`; without an interval only the number."""
    if found.value is None:
        return UNDEFINED
    value = number(found.value, digits, signed=signed)
    if found.low is None or found.high is None:
        return value
    return f"{value} [{number(found.low, 2)}, {number(found.high, 2)}]"


def row(name: str, cells: Iterable[str], *, name_width: int = NAME, cell: int = CELL) -> str:
    """A line: a name and cells, flush left."""
    shown = "".join(fit(text, cell) for text in cells)
    return f"  {fit(inert(name), name_width)} {shown}".rstrip()


def estimate_row(name: str, found: Sequence[Estimate]) -> str:
    """A line of estimates; where none exists for one and the same reason, the reason."""
    reasons = {e.why for e in found if e.value is None}
    if len(reasons) == 1 and all(e.value is None for e in found):
        return f"  {fit(inert(name), NAME)} {UNDEFINED}: {inert(reasons.pop())}"
    return row(name, map(ranged, found))


def reasons(found: Iterable[tuple[str, Estimate]]) -> Iterator[str]:
    """`undefined: WHAT, WHAT: why`, a line a reason."""
    by_reason: dict[str, list[str]] = {}
    for what, estimate in found:
        if estimate.value is None:
            names = by_reason.setdefault(estimate.why, [])
            if what not in names:
                names.append(what)
    for why, names in by_reason.items():
        yield f"  {UNDEFINED} ({', '.join(map(inert, names))}): {inert(why)}"
