"""The live view: paints Progress and nothing else.

There are four ways to watch a run, and `choose` picks one. All of them write to stderr: stdout is
for results.

- **full**: a picture on the alternate screen, from a daemon thread with a terminal of its own. The
  loop never waits for it: a terminal that stops reading blocks that thread alone, and leaving waits
  0.2 s at most. Only changed lines are sent; the last screen line stays free.
- **plain** and **json**: lines appended, for logs, pipes and programs (`engine/narration.py`).
- **none**.

`show` runs whichever was chosen until it is cancelled.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Literal

from data.schema import Struct
from engine import figures
from engine.forecast import Forecast
from engine.frame import Line, frame
from engine.narration import JsonConsole, Latest, PlainConsole, Sleep, Write

if TYPE_CHECKING:
    from rich.segment import Segment

Mode = Literal["auto", "full", "plain", "json", "none"]
Clock = Callable[[float], str]

MIN_COLUMNS, MIN_LINES = 60, 16
REPAINT_S = 0.25
LEAVE_S = 0.2

# --- choosing ----------------------------------------------------------------------------------


class Choice(Struct, frozen=True):
    """How a run is shown."""

    mode: Literal["full", "plain", "json", "none"]
    colour: bool = False
    ascii_only: bool = False


def choose(
    mode: Mode, *, stream: IO[str], env: Mapping[str, str], ascii_only: bool = False
) -> Choice:
    """What `mode` comes to on this stream: `auto` is full on a real terminal of 60 x 16 or more.

    A library's own idea of a terminal is not asked: FORCE_COLOR makes some call a pipe one.
    """
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    narrow = ascii_only or encoding not in {"utf8", "utf8sig"}
    colour = not env.get("NO_COLOR")
    if mode == "auto":
        mode = "full" if _paintable(stream, env) else "plain"
    if mode == "full" and not _isatty(stream):
        mode = "plain"
    return Choice(mode, colour and mode == "full", narrow)


def _paintable(stream: IO[str], env: Mapping[str, str]) -> bool:
    if not _isatty(stream) or env.get("TERM", "") in {"", "dumb"} or env.get("CI"):
        return False
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return False
    return size.columns >= MIN_COLUMNS and size.lines >= MIN_LINES


def _isatty(stream: IO[str]) -> bool:
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


async def show(
    choice: Choice,
    latest: Latest,
    *,
    stream: IO[str],
    sleep: Sleep,
    clock: Clock = figures.run_clock,
) -> None:
    """Show a run until cancelled, then leave the stream as found. `clock` writes loop time."""
    if choice.mode == "full":
        with LiveConsole(
            latest,
            stream.fileno(),
            clock=clock,
            colour=choice.colour,
            ascii_only=choice.ascii_only,
        ):
            while True:
                await sleep(3600.0)
    elif choice.mode == "plain":
        with _Outbox(stream) as out:
            await PlainConsole(latest, out.put, clock=clock).run(sleep)
    elif choice.mode == "json":
        with _Outbox(stream) as out:
            await JsonConsole(latest, out.put).run(sleep)
    else:
        while True:
            await sleep(3600.0)


# --- full --------------------------------------------------------------------------------------


class LiveConsole:
    """The picture on the alternate screen, sampled four times a second.

    `latest` is called from the painting thread and must only hand out a finished Progress. Entering
    and leaving never block; the screen is given back on leaving, on an exception and at exit.
    """

    def __init__(
        self,
        latest: Latest,
        fd: int,
        *,
        clock: Clock = figures.run_clock,
        colour: bool = True,
        ascii_only: bool = False,
    ) -> None:
        self._latest, self._fd, self._clock = latest, fd, clock
        self._colour, self._ascii = colour, ascii_only
        self._stop, self._dirty = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.frames = 0
        """Pictures painted so far."""

    def __enter__(self) -> LiveConsole:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()
        atexit.register(self.leave)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Stop painting and give the screen back, waiting 0.2 s at most; safe to call twice."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(LEAVE_S)
            atexit.unregister(self.leave)

    def repaint(self) -> None:
        """Forget what the screen shows: after SIGCONT, or when something else wrote to it."""
        self._dirty.set()

    def _run(self) -> None:
        """The thread. A terminal that is gone ends the painting, never the run."""
        with suppress(OSError):
            painter = _Painter(self._fd, self._colour)
            painter.enter()
            try:
                forecast = Forecast()
                while not self._stop.is_set():
                    self._paint(painter, forecast)
                    self._stop.wait(REPAINT_S)
            finally:
                painter.leave()

    def _paint(self, painter: _Painter, forecast: Forecast) -> None:
        if self._dirty.is_set():
            self._dirty.clear()
            painter.forget()
        progress = self._latest()
        columns, lines = os.get_terminal_size(self._fd)
        picture = frame(
            progress,
            max(columns, 1),
            max(lines, 2),
            outlook=forecast.add(progress),
            clock=self._clock,
            ascii_only=self._ascii,
        )
        painter.paint(picture, columns, lines)
        self.frames += 1


class _Painter:
    """Puts lines on a screen, sending those that changed. Used by one thread."""

    def __init__(self, fd: int, colour: bool) -> None:
        from rich.console import Console

        self._console = Console(
            file=_Direct(fd),  # type: ignore[arg-type]
            force_terminal=True,
            color_system="standard",
            no_color=not colour,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._shown: list[Line] = []
        self._size = (0, 0)

    def enter(self) -> None:
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def leave(self) -> None:
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)

    def forget(self) -> None:
        self._size = (0, 0)

    def paint(self, picture: list[Line], columns: int, lines: int) -> None:
        """One write per picture, so that a picture is never torn by another program's output."""
        from rich.control import Control

        with self._console:
            if self._size != (columns, lines):
                self._console.size = (columns, lines)
                self._size, self._shown = (columns, lines), []
                self._console.control(Control.clear())
            for y, line in enumerate(picture):
                if y >= len(self._shown) or self._shown[y] != line:
                    self._console.update_screen_lines([self._segments(line)], 0, y)
        self._shown = picture

    @staticmethod
    def _segments(line: Line) -> list[Segment]:
        from rich.segment import Segment
        from rich.style import Style

        return [Segment(text, Style.parse(style)) for text, style in line]


class _Direct:
    """A text file on a descriptor without a buffer, so without a lock that exit could wait for."""

    encoding = "utf-8"

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        self.send(text.encode(errors="replace"))
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


# --- lines -------------------------------------------------------------------------------------


class _Outbox:
    """Lines to a stream through a thread of their own, so that a reader who stops blocks nobody.

    When a thousand wait, further ones are dropped and counted.
    """

    WAITING = 1000

    def __init__(self, stream: IO[str]) -> None:
        self._write = _writer(stream)
        self._lines: queue.Queue[str | None] = queue.Queue(self.WAITING)
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self.dropped = 0

    def __enter__(self) -> _Outbox:
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


def _writer(stream: IO[str]) -> Write:
    """Past the stream's own buffer where it has a descriptor; what it cannot encode is escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        direct = _Direct(stream.fileno())
    except (OSError, ValueError, AttributeError):
        direct = None

    def write(text: str) -> None:
        if direct is None:
            stream.write(text)
        else:
            direct.send(text.encode(encoding, "backslashreplace"))

    return write
