"""A line of the picture: (text, style) spans, brought to an exact width and to what a terminal can show.

Styles are the few words a terminal knows (`dim`, `bold red`) and only repeat what a glyph already
says. Pure; knows no terminal.
"""

from __future__ import annotations

from engine.cells import fit, width

Span = tuple[str, str]
Line = tuple[Span, ...]

ASCII = str.maketrans("━─×·▶◷✓✗–…≥≤▁▂▃▄▅▆▇█", "#-x.>~+x-~><_.,:-=+#")
"""One cell for one cell: what is drawn where East Asian ambiguous characters are wide."""


def plain_text(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def fitted(line: Line, columns: int) -> Line:
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


def in_ascii(line: Line) -> Line:
    """Our own signs in ASCII; names stay as they are."""
    return tuple((text.translate(ASCII), style) for text, style in line)


def speakable(line: Line, encoding: str) -> Line:
    """What `encoding` cannot say becomes question marks, as many as it takes cells."""
    return tuple((spoken(text, encoding), style) for text, style in line)


def spoken(text: str, encoding: str) -> str:
    """As `speakable`, for one text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_spoken_char(char, encoding) for char in text)
    return text


def _spoken_char(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return "?" * width(char)
    return char
