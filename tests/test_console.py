"""The live view on a real pseudo-terminal, and its plain and JSON relatives on virtual time."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from engine.console import LiveConsole, show
from engine.events import AccountView, AnswerSaved, Noted, Planned, Progress
from engine.modes import Choice, Mode, choose
from engine.narration import JsonConsole, PlainConsole
from engine.tally import Tally

GONE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"
PATIENCE_S = 20.0


@dataclass
class Terminal:
    """A pseudo-terminal: a person sits at `keyboard`, programs write to `screen`."""

    keyboard: int
    screen: int

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, marker: bytes) -> bytes:
        seen, deadline = b"", time.monotonic() + PATIENCE_S
        while marker not in seen:
            ready, _, _ = select.select([self.keyboard], [], [], deadline - time.monotonic())
            assert ready, f"{marker!r} never came; seen: {seen[-200:]!r}"
            seen += os.read(self.keyboard, 65536)
        return seen

    def fill(self) -> None:
        """Write until nobody could write any more: what Ctrl-S or a dead connection looks like."""
        os.set_blocking(self.screen, False)
        try:
            while True:
                os.write(self.screen, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self.screen, True)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    keyboard, screen = pty.openpty()
    found = Terminal(keyboard, screen)
    found.resize(80, 24)
    yield found
    os.close(keyboard)
    os.close(screen)


def a_run() -> Tally:
    run = Tally("night", started=0.0)
    run.add(Planned("model-a", 683, 1366, account="acme"), 0.0)
    run.add(AnswerSaved("model-a", "answered", False), 1.0)
    return run


def picture(now: float = 2.0) -> Progress:
    return a_run().progress(now)


# --- full --------------------------------------------------------------------------------------


def test_the_screen_is_given_back_on_leaving(terminal: Terminal) -> None:
    """The alternate screen is entered first and left last, the cursor shown again."""
    with LiveConsole(picture, terminal.screen):
        seen = terminal.read_until(b"model-a")
        assert GONE in seen
    seen = terminal.read_until(BACK)
    assert b"\x1b[?25h" in seen


def test_the_screen_is_given_back_when_the_run_breaks(terminal: Terminal) -> None:
    """An exception passes through, the terminal is whole."""

    def broken_run() -> None:
        with LiveConsole(picture, terminal.screen):
            terminal.read_until(b"model-a")
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        broken_run()
    terminal.read_until(BACK)


def test_a_terminal_that_nobody_reads_blocks_nobody(terminal: Terminal) -> None:
    """Entering takes no time, leaving 0.2 s; when it is read again the screen is given back."""
    terminal.fill()
    start = time.monotonic()
    console = LiveConsole(picture, terminal.screen)
    with console:
        entered_s = time.monotonic() - start
    left_s = time.monotonic() - start
    assert entered_s < 0.2
    assert left_s < 1.0
    assert console.frames == 0
    terminal.read_until(BACK)


def test_after_a_resize_the_whole_screen_is_painted_anew(terminal: Terminal) -> None:
    """Nothing of the old picture is left: the screen is cleared and every line sent."""
    with LiveConsole(picture, terminal.screen):
        terminal.read_until(b"model-a")
        terminal.resize(120, 40)
        seen = terminal.read_until(b"refused")
        assert b"\x1b[2J" in seen


def test_only_changed_lines_are_sent(terminal: Terminal) -> None:
    """A picture that does not change is not sent again."""
    pictures = iter([picture(2.0)] * 3)
    last = a_run()
    last.add(Noted("now something happened"), 3.0)
    final = last.progress(2.0)
    with LiveConsole(lambda: next(pictures, final), terminal.screen):
        seen = terminal.read_until(b"something happened")
    assert seen.count(b"model-a") == 1


def test_without_colour_no_colour_is_sent(terminal: Terminal) -> None:
    """Bold and dim are not colours."""
    with LiveConsole(picture, terminal.screen, colour=False):
        plain = terminal.read_until(b"saved")
    terminal.read_until(BACK)
    with LiveConsole(picture, terminal.screen):
        coloured = terminal.read_until(b"saved")
    assert not any(b"\x1b[%dm" % code in plain for code in range(30, 38))
    assert any(b"\x1b[%dm" % code in coloured for code in range(30, 38))


def test_a_terminal_that_goes_away_ends_the_painting_only() -> None:
    """The run goes on, and leaving is quiet."""
    keyboard, screen = pty.openpty()
    os.close(keyboard)
    with LiveConsole(picture, screen) as console:
        pass
    assert console.frames == 0
    os.close(screen)


# --- choosing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "size", "mode"),
    [
        ({"TERM": "xterm"}, (80, 24), "full"),
        ({"TERM": "xterm"}, (60, 16), "full"),
        ({"TERM": "xterm"}, (59, 40), "inline"),
        ({"TERM": "xterm"}, (80, 15), "inline"),
        ({"TERM": "xterm"}, (19, 15), "plain"),
        ({"TERM": "dumb"}, (80, 24), "plain"),
        ({}, (80, 24), "plain"),
        ({"TERM": "xterm", "CI": "true"}, (80, 24), "plain"),
    ],
)
def test_auto_is_full_on_a_real_terminal_that_is_large_enough(
    terminal: Terminal, env: dict[str, str], size: tuple[int, int], mode: Mode
) -> None:
    """And plain everywhere else."""
    terminal.resize(*size)
    with open(terminal.screen, "w", encoding="utf-8", closefd=False) as stream:
        assert choose("auto", stream=stream, env=env).mode == mode


def test_a_pipe_is_never_painted_on() -> None:
    """Whatever FORCE_COLOR says, and even if asked."""
    env = {"TERM": "xterm", "FORCE_COLOR": "1"}
    assert choose("auto", stream=io.StringIO(), env=env).mode == "plain"
    assert choose("full", stream=io.StringIO(), env=env).mode == "plain"
    assert choose("json", stream=io.StringIO(), env=env).mode == "json"


def test_no_color_keeps_the_picture_and_drops_the_colour(terminal: Terminal) -> None:
    """Glyphs carry the state."""
    with open(terminal.screen, "w", encoding="utf-8", closefd=False) as stream:
        chosen = choose("auto", stream=stream, env={"TERM": "xterm", "NO_COLOR": "1"})
    assert (chosen.mode, chosen.colour, chosen.ascii_only) == ("full", False, False)
    with open(terminal.screen, "w", encoding="gbk", closefd=False) as stream:
        assert choose("auto", stream=stream, env={"TERM": "xterm"}).ascii_only


# --- plain and JSON ----------------------------------------------------------------------------


class Night:
    """A run and a clock of its own, watched for some seconds of it."""

    def __init__(self, seconds: int, script: Callable[[Tally, float], None] | None = None) -> None:
        self.run, self.now, self.end = a_run(), 2.0, 2.0 + seconds
        self.script = script
        self.accounts: tuple[AccountView, ...] = ()

    def latest(self) -> Progress:
        return self.run.progress(self.now, self.accounts)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.end:
            raise asyncio.CancelledError
        if self.script:
            self.script(self.run, self.now)

    def watch(self, mode: str) -> list[str]:
        out = io.StringIO()

        async def main() -> None:
            await show(Choice(mode), self.latest, stream=out, sleep=self.sleep)  # type: ignore[arg-type]

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        return out.getvalue().splitlines()


def test_plain_says_every_thirty_seconds_why_nothing_moves() -> None:
    """Silence is what a stuck job looks like."""
    night = Night(seconds=95)
    night.accounts = (AccountView("acme", 3, 8, 60.0, "429 retry-after 41 s"),)
    lines = night.watch("plain")
    assert [line[:8] for line in lines] == [
        "00:00:02",
        "00:00:02",
        "00:00:32",
        "00:01:02",
        "00:01:32",
        "00:01:37",
    ]
    assert "nothing finished for 31s: acme waits for 429 retry-after 41 s" in lines[2]
    assert "ans 1/683 judged 0/1366" in lines[1]
    assert "plan   night: 1 model, 0 judges, 2,049 answers and judgments" in lines[0]


def test_plain_tells_warnings_at_once_but_not_one_a_second() -> None:
    """One per model in ten seconds, the others counted; another model is not held back."""

    def script(run: Tally, now: float) -> None:
        run.add(Noted("model-a slow down", "warning"), now)
        if now == 5.0:
            run.add(Noted("acme is gone", "error"), now)
            run.add(Noted("not worth a line"), now)

    said = Night(25, script).watch("plain")
    lines = [line for line in said if "judged" not in line and " plan " not in line]
    assert lines == [
        "00:00:03 warn   model-a slow down",
        "00:00:05 error  acme is gone",
        "00:00:13 warn   model-a slow down (+9 more)",
        "00:00:23 warn   model-a slow down (+9 more)",
    ]


def test_plain_lines_are_inert_and_at_most_160_cells() -> None:
    """What a server says moves no cursor and starts no line."""
    night = Night(3, lambda run, now: run.add(Noted("\x1b[2J\n坏" * 200, "error"), now))
    line = next(line for line in night.watch("plain") if "error" in line)
    assert "\x1b" not in line
    assert len(line.encode("gbk")) <= 160
    assert line.endswith("...")


def test_plain_tells_where_things_stand_at_the_end() -> None:
    """The last line is not up to thirty seconds old."""
    night = Night(5, lambda run, now: run.add(AnswerSaved("model-a", "answered", False), now))
    assert "ans 5/683" in night.watch("plain")[-1]


def test_a_line_in_the_log_is_told_once_even_when_the_log_is_full() -> None:
    """The log drops its oldest lines; the newest of them are still new only once."""
    told: list[str] = []
    run = a_run()
    console = PlainConsole(lambda: run.progress(60.0), told.append)
    for n in range(120):
        run.add(Noted(f"error {n}", "error"), 60.0)
        console.look()
    assert sum(f"error {n}\n" in "".join(told) for n in range(120)) == 120


def test_json_is_one_object_a_line_with_its_schema() -> None:
    """Pictures every five seconds, log lines as they come."""
    night = Night(11, lambda run, now: run.add(Noted("hm"), now) if now == 4.0 else None)
    records = [json.loads(line) for line in night.watch("json")]
    assert {r["schema"] for r in records} == {"alignsweep.progress/1"}
    assert [(r["event"], r["t_s"]) for r in records] == [
        *(("progress", 2.0), ("log", 4.0), ("progress", 7.0)),
        *(("progress", 12.0), ("progress", 13.0)),
    ]
    assert records[0]["models"][0]["name"] == "model-a"


def test_json_survives_a_pipe_that_nobody_holds_any_more() -> None:
    """The reader has gone; the run has not."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8", buffering=1) as stream:
        night = Night(3)

        async def main() -> None:
            await show(Choice("json"), night.latest, stream=stream, sleep=night.sleep)

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


def test_lines_to_a_terminal_that_nobody_reads_block_nobody(terminal: Terminal) -> None:
    """Ctrl-S in plain mode stops the screen, not the run."""
    terminal.fill()
    night = Night(seconds=600)
    start = time.monotonic()

    async def main() -> None:
        with open(terminal.screen, "w", encoding="utf-8", closefd=False) as stream:
            await show(Choice("plain"), night.latest, stream=stream, sleep=night.sleep)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert time.monotonic() - start < 1.0
    assert night.now == 602.0
    terminal.read_until(b"00:10:02")


def test_json_looks_need_no_loop() -> None:
    """One look is one picture."""
    told: list[str] = []
    JsonConsole(picture, told.append).look()
    assert json.loads(told[0])["event"] == "progress"
