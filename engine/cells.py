"""Text measured in terminal cells: made inert, cut, padded.

A Chinese character takes two cells, a combining mark none, so columns are built with these
helpers and never with `len` or `str.ljust`. `inert` comes first: it leaves only characters about
whose width terminals agree, so the measuring below can stay this simple. Pure; knows no terminal.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from data.text import printable

ELLIPSIS = "…"
_MARKS = 2
"""Combining marks kept after one character: more is decoration that paints over its neighbours."""
_DROPPED = frozenset(
    [
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0xE0100, 0xE01F0),
        *range(0x1F3FB, 0x1F400),  # skin tones
        *(0x20E3, 0x034F),  # keycap, grapheme joiner
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # fillers that show nothing
    ]
)
_REPLACED = frozenset(
    [
        *range(0x2630, 0x2638),
        *range(0x268A, 0x2690),
        *range(0x4DC0, 0x4E00),
        *range(0x1D300, 0x1D357),
        *range(0x1D360, 0x1D377),
    ]
)
"""Symbols that became wide in Unicode 16: half the terminals draw them narrow."""
_JOINING_JAMO = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF))


def inert(text: str) -> str:
    """`text` as one line that any terminal draws alike: escapes spelt out, disputed ones gone."""
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        code, kind = ord(char), unicodedata.category(char)
        if code in _DROPPED:
            continue
        marks = marks + 1 if kind[0] == "M" else 0
        if marks <= _MARKS:
            doubtful = code in _REPLACED or kind in {"Co", "Cn"} or kind == "Mc"
            kept.append("\ufffd" if doubtful else char)
    return printable("".join(kept))


@lru_cache(maxsize=4096)  # most of a picture's cells say what they said before
def width(text: str) -> int:
    """Cells that an inert text takes."""
    return len(text) if text.isascii() else _wide(text)


@lru_cache(maxsize=4096)
def _wide(text: str) -> int:
    """Bars and names come again in every picture."""
    return sum(map(_cells, text))


def cut(text: str, cells: int, mark: str = ELLIPSIS) -> str:
    """`text` in at most `cells` cells; what was too long ends with `mark`."""
    if width(text) <= cells:
        return text
    room = cells - width(mark)
    if room < 0:
        return mark[: max(cells, 0)]
    taken = 0
    for index, char in enumerate(text):
        taken += _cells(char)
        if taken > room:
            return text[:index] + mark
    return text


def fit(text: str, cells: int, *, right: bool = False, mark: str = ELLIPSIS) -> str:
    """`text` in exactly `cells` cells, cut or padded; `right` aligns numbers."""
    shown = cut(text, cells, mark)
    gap = " " * (cells - width(shown))
    return gap + shown if right else shown + gap


def _cells(char: str) -> int:
    code = ord(char)
    if code < 0x300:
        return 1
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    if any(low <= code <= high for low, high in _JOINING_JAMO):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
