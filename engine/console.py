"""The live view: paints Progress and nothing else.

There are five ways to watch a run (`engine/modes.py`). All of them write to stderr: stdout is for
results.

- **full**: a picture on the alternate screen, from a daemon thread with a terminal of its own. The
  loop never waits for it: a terminal that stops reading blocks that thread alone, and leaving waits
  0.2 s at most. Only changed lines are sent; the last screen line stays free.
- **inline**: six lines in place, painted by the same thread.
- **plain** and **json**: lines appended, for logs, pipes and programs (`engine/narration.py`).
- **none**.

`show` runs whichever was chosen until it is cancelled. The screen is given back on leaving, on an
exception, at exit, and while a shell holds the process (Ctrl-Z). After `kill -9` nobody can: `reset`.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import IO, TYPE_CHECKING, Protocol

from engine import figures
from engine.events import Progress
from engine.forecast import Forecast
from engine.frame import EVENTS, compact, frame
from engine.modes import MIN_COLUMNS, MIN_LINES, Choice
from engine.narration import JsonConsole, Latest, PlainConsole, Sleep
from engine.outbox import LEAVE_S, Direct, Outbox
from engine.spans import Line, plain_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment

Clock = Callable[[float], str]

REPAINT_S = 0.25
INLINE_LINES = 7

# --- public ------------------------------------------------------------------------------------


async def show(
    choice: Choice,
    latest: Latest,
    *,
    stream: IO[str],
    sleep: Sleep,
    clock: Clock = figures.run_clock,
) -> None:
    """Show a run until cancelled, then leave the stream as found. `clock` writes loop time."""
    if choice.mode in ("full", "inline"):
        live = LiveConsole(
            latest,
            stream.fileno(),
            clock=clock,
            colour=choice.colour,
            ascii_only=choice.ascii_only,
            encoding=choice.encoding,
            inline=choice.mode == "inline",
        )
        with live, _job_control(live):
            while True:
                await sleep(3600.0)
    elif choice.mode == "plain":
        with Outbox(stream) as out:
            plain = PlainConsole(
                latest, out.put, clock=clock, colour=choice.colour, annotated=choice.annotated
            )
            await plain.run(sleep)
    elif choice.mode == "json":
        with Outbox(stream) as out:
            await JsonConsole(latest, out.put).run(sleep)
    else:
        while True:
            await sleep(3600.0)


def print_picture(
    choice: Choice, progress: Progress, columns: int, *, file: IO[str], clock: Clock
) -> None:
    """The same picture once, where a reader finds it again: all of it, however many lines it takes."""
    from rich.console import Console
    from rich.text import Text

    parts = (progress.models, progress.judges, progress.accounts, progress.log[:EVENTS])
    picture = frame(
        progress,
        columns,
        sum(map(len, parts)) + 8,
        clock=clock,
        ascii_only=choice.ascii_only,
        encoding=choice.encoding,
    )
    console = Console(
        file=file,
        width=columns,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=not choice.colour,
    )
    while picture and not plain_text(picture[-1]).strip():
        picture.pop()
    for line in picture:
        console.print(Text.assemble(*line), end="\n", overflow="ignore", no_wrap=True, crop=False)


def give_back() -> None:
    """Give back whatever screen is painted on: before a process leaves at once."""
    for live in tuple(_LIVE):
        live.leave()


# --- the thread --------------------------------------------------------------------------------


class LiveConsole:
    """The picture on the alternate screen or in place, sampled four times a second.

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
        encoding: str = "utf-8",
        inline: bool = False,
    ) -> None:
        self._latest, self._fd, self._clock = latest, fd, clock
        self._colour, self._inline = colour, inline
        self._ascii, self._encoding = ascii_only, encoding
        self._forecast = Forecast()
        self._stop, self._dirty = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.frames = 0
        """Pictures painted so far."""

    def __enter__(self) -> LiveConsole:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Begin to paint; returns at once."""
        self._stop = threading.Event()
        painting = threading.Thread(
            target=self._run, args=(self._stop,), name="console", daemon=True
        )
        self._thread = painting
        painting.start()
        _LIVE.add(self)
        atexit.register(self.leave)

    def leave(self) -> None:
        """Stop painting and give the screen back, waiting 0.2 s at most; safe to call twice."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(LEAVE_S)
            _LIVE.discard(self)
            atexit.unregister(self.leave)

    def repaint(self) -> None:
        """Forget what the screen shows: after SIGCONT, or when something else wrote to it."""
        self._dirty.set()

    def _run(self, stop: threading.Event) -> None:
        """The thread. A terminal that is gone ends the painting, never the run."""
        kind = InlinePainter if self._inline else ScreenPainter
        with suppress(OSError):
            painter: _Painter = kind(self._fd, self._colour, self._encoding)
            painter.enter()
            try:
                while not stop.is_set():
                    self._paint(painter)
                    stop.wait(REPAINT_S)
            finally:
                painter.leave()

    def _paint(self, painter: _Painter) -> None:
        if self._dirty.is_set():
            self._dirty.clear()
            painter.forget()
        progress = self._latest()
        outlook = self._forecast.add(progress)
        size = os.get_terminal_size(self._fd)
        columns, lines = max(size.columns, 1), max(size.lines, 2)
        small = columns < MIN_COLUMNS or lines < MIN_LINES
        if self._inline or small:
            picture = compact(
                progress,
                max(columns - 1, 1),  # the last column free, so that no line wraps
                min(lines, INLINE_LINES),
                outlook=outlook,
                ascii_only=self._ascii,
                encoding=self._encoding,
            )
        else:
            picture = frame(
                progress,
                columns,
                lines,
                outlook=outlook,
                clock=self._clock,
                ascii_only=self._ascii,
                encoding=self._encoding,
            )
        painter.paint(picture, columns, lines)
        self.frames += 1


_LIVE: set[LiveConsole] = set()
"""Painting now: at most one in a program."""


@contextmanager
def _job_control(live: LiveConsole) -> Iterator[None]:
    """Ctrl-Z gives the screen back, stops, and takes the screen again when the process goes on."""
    loop = asyncio.get_running_loop()

    def suspend() -> None:
        live.leave()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, suspend)
        live.enter()

    try:
        loop.add_signal_handler(signal.SIGTSTP, suspend)
        loop.add_signal_handler(signal.SIGCONT, live.repaint)
    except (NotImplementedError, ValueError, RuntimeError):
        yield  # not the main thread, or a system without signals
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)
        loop.remove_signal_handler(signal.SIGCONT)


# --- painters ----------------------------------------------------------------------------------


class _Painter(Protocol):
    """Puts lines on a terminal. Used by one thread."""

    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def forget(self) -> None: ...
    def paint(self, picture: list[Line], columns: int, lines: int) -> None: ...


class ScreenPainter:
    """The alternate screen: the lines that changed go to where they stand."""

    def __init__(self, fd: int, colour: bool, encoding: str = "utf-8") -> None:
        self._console = _rich(fd, colour, encoding)
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

        resized = self._size != (columns, lines)
        if not resized and picture == self._shown:
            return
        with self._console:
            if resized:
                self._console.size = (columns, lines)
                self._size, self._shown = (columns, lines), []
                self._console.control(Control.clear())
            # Neighbours go together: rich takes as long to begin as to write some lines.
            for new, run in groupby(enumerate(picture), self._is_new):
                if new:
                    rows = list(run)
                    segments = [_segments(line) for _, line in rows]
                    self._console.update_screen_lines(segments, 0, rows[0][0])
        self._shown = picture

    def _is_new(self, row: tuple[int, Line]) -> bool:
        y, line = row
        return y >= len(self._shown) or self._shown[y] != line


class InlinePainter:
    """A few lines below what is there already, repainted in place. Resizing may leave debris."""

    def __init__(self, fd: int, colour: bool, encoding: str = "utf-8") -> None:
        self._console = _rich(fd, colour, encoding)
        self._shown: list[Line] = []

    def enter(self) -> None:
        self._console.show_cursor(False)

    def leave(self) -> None:
        if self._shown:
            self._console.file.write("\r\n")
        self._shown = []
        self._console.show_cursor(True)

    def forget(self) -> None:
        self._shown = []

    def paint(self, picture: list[Line], columns: int, lines: int) -> None:
        """All lines or none: they are few."""
        from rich.segment import Segment, Segments

        if picture == self._shown:
            return
        up = len(self._shown) - 1
        back = f"\x1b[{up}A\r" if up > 0 else "\r"
        spans = [Segment(f"{back}\x1b[J", None, [])]
        for y, line in enumerate(picture):
            spans += [*([Segment("\n")] if y else []), *_segments(line)]
        self._console.size = (columns, lines)
        self._console.print(Segments(spans), end="", soft_wrap=True)
        self._shown = picture


def _rich(fd: int, colour: bool, encoding: str) -> Console:
    from rich.console import Console

    return Console(
        file=Direct(fd, encoding),  # type: ignore[arg-type]
        force_terminal=True,
        color_system="standard",
        no_color=not colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _segments(line: Line) -> list[Segment]:
    from rich.segment import Segment
    from rich.style import Style

    return [Segment(text, Style.parse(style)) for text, style in line]
