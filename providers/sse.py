"""Server-sent events in a body that is there as a whole. Pure: bytes in, events out.

Source: the HTML Standard, section "Server-sent events" (parsing an event stream). Lines end in LF, CR or
CRLF; a blank line ends an event; `data` lines of one event are joined by LF; a line that begins with a
colon is a comment (DeepSeek's `: keep-alive`, OpenRouter's `: OPENROUTER PROCESSING`); blank lines before
the first event, a byte order mark and fields nobody knows say nothing.

Two liberties. An event that the end of the body leaves open is given, too: some servers forget the last
blank line, and whoever reads its JSON sees whether it is whole. And the body is looked at as bytes, never
cut into characters, so it does not matter where the network has split it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from data.errors import BadReply
from data.schema import Struct
from providers.wire import HttpReply

MOST_LINES = 1_000_000
"""Of one stream. A chunk is two lines, so no model has ever said as much."""
DONE = b"[DONE]"
"""The data of OpenAI's last event."""
_LINE = re.compile(rb"([^\r\n]+)((?:\r\n|\r|\n)*)")
_LINE_ENDS = frozenset({b"", b"\n", b"\r", b"\r\n"})
"""What stands between two lines of one event; anything longer holds a blank line."""
_BOM = b"\xef\xbb\xbf"
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Event(Struct, frozen=True):
    """One event. `end` is the offset in the body behind its last data line: when it had arrived."""

    data: bytes
    name: str
    end: int


def is_stream(reply: HttpReply) -> bool:
    """Is the body an event stream? What came decides, not what was asked for: some servers answer a
    request for a stream with plain JSON, and some stream unasked."""
    if reply.body[:1] == b"{":
        return False
    start = reply.body[:4096].removeprefix(_BOM).lstrip()
    if start.startswith((b"{", b"[")):
        return False
    kind = reply.headers.get("content-type", "")
    return "event-stream" in kind.lower() or start.startswith(_BEGINNINGS)


def events(body: bytes) -> Iterator[Event]:
    """All events that carry data, in order. Raises BadReply for a stream of absurdly many lines."""
    data: list[bytes] = []
    name, end = b"", 0
    start = len(_BOM) if body.startswith(_BOM) else 0
    for number, line in enumerate(_LINE.finditer(body, start)):
        if number == MOST_LINES:
            raise BadReply(f"a stream of more than {MOST_LINES:,} lines", status=200)
        field, _, value = line[1].partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
            end = line.end(1)
        elif field == b"event":
            name = value.removeprefix(b" ")
        if line[2] not in _LINE_ENDS:
            if data:
                yield Event(b"\n".join(data), name.decode("utf-8", "replace"), end)
            data, name = [], b""
    if data:
        yield Event(b"\n".join(data), name.decode("utf-8", "replace"), end)


class Channel:
    """A text that came in pieces, and where in the body each piece ended."""

    __slots__ = ("_ends", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._ends: list[int] = []

    def add(self, piece: object, end: int) -> None:
        """Take in what a chunk holds of this text. Null, "" and what is no text are no token."""
        if isinstance(piece, str) and piece:
            self._pieces.append(piece)
            self._ends.append(end)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def first(self) -> int | None:
        """Where its first piece ended; None: there was none."""
        return self._ends[0] if self._ends else None

    @property
    def last(self) -> int | None:
        """Where its last piece ended."""
        return self._ends[-1] if self._ends else None

    def end_of(self, character: int) -> int | None:
        """Where the piece ended that holds this character (from 0) of the text."""
        sizes = list(accumulate(map(len, self._pieces)))
        piece = bisect_right(sizes, character)
        return self._ends[piece] if piece < len(sizes) else None


def arrival_s(reply: HttpReply, end: int | None) -> float | None:
    """Seconds from sending until the body had arrived up to `end`; None: nobody noted it."""
    if end is None:
        return None
    place = bisect_left(reply.marks, end, key=lambda mark: mark[0])
    return reply.marks[place][1] if place < len(reply.marks) else None
