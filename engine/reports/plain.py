"""Tables and paragraphs as plain lines, for commands that print without rich. Pure.

Widths are terminal cells. One column, the name, gives way where the terminal is narrow; a number
never does: columns that may go are dropped instead, last first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data.schema import Struct
from engine.cells import cut, fit, width

NAME_MIN, NAME_MAX = 14, 40
GAP = 2


class Heading(Struct, frozen=True):
    """A column: its head, how it is aligned, and whether it stays on a narrow terminal."""

    text: str
    right: bool = True
    optional: bool = False


def grid_lines(
    heads: Sequence[Heading], rows: Sequence[Sequence[str]], columns: int, *, name: int = 1
) -> list[str]:
    """The head and the rows; `name` is the column that gives way. All texts are inert."""
    kept = list(range(len(heads)))
    while _needed(heads, rows, kept, name) + NAME_MIN > columns:
        optional = [i for i in kept if heads[i].optional]
        if not optional:
            break
        kept.remove(optional[-1])
    room = columns - _needed(heads, rows, kept, name)
    longest = max((width(row[name]) for row in (*rows, [head.text for head in heads])), default=0)
    widths = {i: _widest(heads, rows, i) for i in kept}
    widths[name] = max(min(longest, room, NAME_MAX), NAME_MIN)
    lines = [[head.text for head in heads], *rows]
    return [
        (" " * GAP).join(fit(line[i], widths[i], right=heads[i].right) for i in kept).rstrip()
        for line in lines
    ]


def paragraph(text: str, columns: int, *, first: str = "", rest: str = "") -> list[str]:
    """`text` over as many lines as it takes, broken at spaces; a word longer than a line is broken."""
    indent = rest or " " * width(first)
    lines, line, free = [first], "", columns - width(first)
    for word in _words(text, max(columns - width(indent), 8)):
        needed = width(word) + (1 if line else 0)
        if needed > free and line:
            lines[-1] += line
            lines.append(indent)
            line, free, needed = "", columns - width(indent), width(word)
        line += f" {word}" if line else word
        free -= needed
    lines[-1] += line
    return lines


def _words(text: str, room: int) -> Iterator[str]:
    """The words of a text, none of them wider than `room`."""
    for whole in text.split():
        word = whole
        while width(word) > room:
            piece = cut(word, room, "")
            yield piece
            word = word[len(piece) :]
        yield word


def _needed(
    heads: Sequence[Heading], rows: Sequence[Sequence[str]], kept: Sequence[int], name: int
) -> int:
    """Cells of everything but the name, gaps included."""
    return sum(_widest(heads, rows, i) for i in kept if i != name) + GAP * (len(kept) - 1)


def _widest(heads: Sequence[Heading], rows: Sequence[Sequence[str]], column: int) -> int:
    return max(width(heads[column].text), *(width(row[column]) for row in rows), 0)
