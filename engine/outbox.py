"""Writing to a terminal or a pipe that may stop reading, past every buffer and every lock.

Whoever stops reading (Ctrl-S, a dead connection) blocks one thread, never the loop, and leaving waits
0.2 s at most.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress
from typing import IO

from engine.narration import Write

LEAVE_S = 0.2


class Direct:
    """A text file on a descriptor without a buffer, so without a lock that exit could wait for."""

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        self._fd, self.encoding = fd, encoding

    def write(self, text: str) -> int:
        self.send(text.encode(self.encoding, errors="replace"))
        return len(text)

    def send(self, data: bytes) -> None:
        """All of it, however long the other side takes."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return True


class Outbox:
    """Lines to a stream through a thread of their own, so that a reader who stops blocks nobody.

    When a thousand wait, further ones are dropped and counted.
    """

    WAITING = 1000

    def __init__(self, stream: IO[str]) -> None:
        self._write = writer(stream)
        self._lines: queue.Queue[str | None] = queue.Queue(self.WAITING)
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self.dropped = 0

    def __enter__(self) -> Outbox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.put(None)
        self._thread.join(LEAVE_S)

    def put(self, text: str | None) -> None:
        """Hand a line over; None is the last."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        """The thread. A pipe that is gone ends the telling, never the run."""
        with suppress(OSError, ValueError):
            while (text := self._lines.get()) is not None:
                self._write(text)


def writer(stream: IO[str]) -> Write:
    """Past the stream's own buffer where it has a descriptor; what it cannot encode is escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        direct = Direct(stream.fileno())
    except (OSError, ValueError, AttributeError):
        direct = None

    def write(text: str) -> None:
        if direct is None:
            stream.write(text)
        else:
            direct.send(text.encode(encoding, "backslashreplace"))

    return write
