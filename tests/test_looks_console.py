"""The acceptance checks of the console: geometry, colour, blocked terminals, resizing, hostile names.

Where a screen is looked at, it is tmux's own idea of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from data.schema import Usage
from engine.console import LiveConsole
from engine.events import (
    AccountView,
    AnswerSaved,
    JudgePlanned,
    JudgmentSaved,
    MoneyView,
    Noted,
    Planned,
    Progress,
    Stopped,
    TrialFailed,
)
from engine.forecast import Forecast
from engine.frame import compact, frame
from engine.looks import look_of, shortened
from engine.modes import Mode, choose
from engine.spans import Line, plain_text
from engine.tally import Tally
from tests.conftest import MAIN, ROOT, Program

SIZES = [(60, 20), (80, 24), (100, 30), (120, 40), (200, 50)]
NAMES = [
    *("gpt-5.2", "通义千问-Plus", "文心一言 5.0", "讯飞星火 V5", "meta-llama/llama-5-70b-instruct"),
    *("豆包-Pro-256k", "kimi-k3", "glm-5", "glm-5-air", "a[/b]c :fire: \x1b[31mred", "⚠️ nasty 1️⃣"),
]
NEW = "\x1b[31;1m\x1b]0;owned\x07\x9b2J\u202e[red]x[/red] :fire: \u200b"


def a_run(count: int, *, work: int = 40) -> Tally:
    """So many models in every state there is, with judges, an error and a refusal."""
    run = Tally("alignbench-2026-11", started=0.0, simulated=True)
    names = [f"{NAMES[i % len(NAMES)]}{'' if i < len(NAMES) else i}" for i in range(count)]
    for i, name in enumerate(names):
        run.add(Planned(name, 683, 1366, account=f"acme{i % 4}"), 0.0)
    run.add(JudgePlanned("gpt-4-0613", 683 * count, 0, "acme0"), 0.0)
    run.add(JudgePlanned("CritiqueLLM", 683 * count, 0, "court"), 0.0)
    for i, name in enumerate(names):
        for _ in range(work * (i % 5)):
            run.add(AnswerSaved(name, "answered", False, Usage(300, 200), 4.0), 60.0 + i)
            run.add(JudgmentSaved(name, "gpt-4-0613", 7.0, False, Usage(900, 200), 3.0), 61.0)
    if names:
        run.add(TrialFailed(names[0], "answer", "BadRequest", message=f"no {NEW}"), 70.0)
        run.add(Stopped("model", names[-1], "Unauthorized", NEW * 5), 71.0)
    return run


def pictured(run: Tally, now: float = 100.0, **changes: object) -> Progress:
    """With accounts that wait for one thing or another."""
    accounts = (
        AccountView("acme0", 48, 48, None, "calls 48/48", 20),
        AccountView("acme1", 3, 32, 60.0, "429 retry-after, 41 s", 250),
        AccountView("acme2", 0, 8, 60.0, "breaker open, probe, 12 s", 9),
        AccountView("acme3", 0, 8, None, stopped="Unauthorized", remedy="auth 401: check ACME_KEY"),
        AccountView("court", 16, 64, None),
    )
    money = MoneyView(
        currency="USD", booked=168_630_000_000, limit=400 * 10**9, reserved=10**9, calls=900
    )
    return run.progress(now, accounts, money=money, **changes)  # type: ignore[arg-type]


def texts(lines: list[Line]) -> list[str]:
    return [plain_text(line) for line in lines]


# --- C1: geometry ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 17, 40])
def test_every_line_is_as_wide_as_the_screen_and_one_line_stays_free(
    size: tuple[int, int], count: int
) -> None:
    """Chinese and hostile names, every state, with and without a forecast."""
    progress = pictured(a_run(count))
    forecast = Forecast()
    for outlook in (None, forecast.add(progress)):
        for ascii_only, encoding in ((False, "utf-8"), (True, "utf-8"), (True, "ascii")):
            shown = texts(
                frame(progress, *size, outlook=outlook, ascii_only=ascii_only, encoding=encoding)
            )
            assert len(shown) == size[1] - 1
            assert {cell_len(line) for line in shown} == {size[0]}
            assert not any(c < " " or "\x7f" <= c < "\xa0" for line in shown for c in line)
            if encoding == "ascii":
                assert all(line.isascii() for line in shown)


@pytest.mark.parametrize("columns", [20, 39, 40, 59])
def test_the_small_picture_is_as_narrow_as_its_terminal(columns: int) -> None:
    """And has at most six lines, whatever happens."""
    for state in ("running", "stopping", "interrupted"):
        shown = texts(compact(pictured(a_run(17), state=state, grace_s=8.0), columns, 12))
        assert len(shown) <= 6
        assert {cell_len(line) for line in shown} == {columns}


def test_rows_never_move_and_numbers_never_shift() -> None:
    """The columns of a row begin where they began, also when a count grows by two digits."""
    early, late = pictured(a_run(17, work=1)), pictured(a_run(17, work=160))
    heads = [texts(frame(p, 120, 40))[2] for p in (early, late)]
    assert heads[0] == heads[1]
    rows = [[line[2:14] for line in texts(frame(p, 120, 40))[3:20]] for p in (early, late)]
    assert rows[0] == rows[1]


def test_when_there_are_more_models_than_lines_those_in_need_stay() -> None:
    """The last line counts the others."""
    shown = texts(frame(pictured(a_run(40)), 80, 24))
    others = next(line for line in shown if line.startswith("  + "))
    assert re.search(r"\+ (\d+ need attention, )?\d+ (running|queued)", others)


# --- what the picture says ---------------------------------------------------------------------


def test_the_ends_of_waits_survive_the_narrowest_column() -> None:
    """What is cut is the reason's middle, never the time."""
    words = "requests/min 63 (learned), 14 s"
    for cells in range(10, 32):
        short = shortened(words, cells)
        assert cell_len(short) <= cells
        assert short.endswith("14 s")


@pytest.mark.parametrize(
    ("account", "glyph", "words"),
    [
        (AccountView("a", 3, 8, 60.0, "requests/min 60, 0.8 s", 9), "◷", "requests/min 60, 0.8 s"),
        (AccountView("a", 0, 8, 60.0, "429 retry-after, 41 s", 9), "◷", "429 retry-after, 41 s"),
        (AccountView("a", 0, 8, 60.0, "breaker open, probe, 12 s", 9), "◷", "breaker open, probe, 12 s"),
        (AccountView("a", 0, 8, None, "paused by hand", 9), "◷", "paused by hand"),
        (AccountView("a", 8, 8, None, "calls 8/8", 9), "▶", "calls 8/8"),
        (AccountView("a", 7, 8, None, "", 9), "▶", "calls 7/8"),
        (AccountView("a", 2, 8, None, "", 0), "▶", ""),
        (AccountView("a", 0, 8, None, stopped="X", remedy="auth 401: check K"), "✗", "auth 401: check K"),
        (AccountView("a", 0, 8, None, stopped="DailyQuota"), "✗", "daily quota used up"),
    ],
)  # fmt: skip
def test_a_model_says_which_limit_binds_it_and_until_when(
    account: AccountView, glyph: str, words: str
) -> None:
    """C9, as far as the picture is concerned: the account's reason, with its end."""
    run = Tally("r", started=0.0)
    run.add(Planned("m", 10, 20, account="a"), 0.0)
    run.add(AnswerSaved("m", "answered", False), 9.0)
    progress = run.progress(10.0, (account,))
    look = look_of(progress.models[0], progress)
    assert (look.glyph, look.words) == (glyph, words)


def test_a_model_whose_calls_never_come_back_is_called_stalled() -> None:
    """After a minute, or four times what its slow calls take if that is longer."""
    run = Tally("r", started=0.0)
    run.add(Planned("m", 100, 0, account="a"), 0.0)
    for _ in range(20):
        run.add(AnswerSaved("m", "answered", False, None, 30.0), 10.0)
    view = (AccountView("a", 5, 8, None),)

    def glyph(now: float) -> str:
        progress = run.progress(now, view, flying={("answer", "m"): 5})
        return look_of(progress.models[0], progress).glyph

    assert glyph(10.0 + 119.0) == "▶"
    assert glyph(10.0 + 121.0) == "!"


def test_near_the_ceiling_calls_are_said_to_wait_for_refunds() -> None:
    """They hold a place each, but it is money that they wait for."""
    run = Tally("r", started=0.0)
    run.add(Planned("m", 10, 20, account="a"), 0.0)
    run.add(AnswerSaved("m", "answered", False), 9.0)
    view = (AccountView("a", 8, 8, None, "calls 8/8", 9),)
    money = MoneyView(currency="USD", booked=10**9, limit=10**9, waiting=8)
    progress = run.progress(50.0, view, money=money)
    look = look_of(progress.models[0], progress)
    assert (look.glyph, look.words) == ("◷", "refunds, budget near")
    shown = texts(frame(progress, 120, 24))
    assert "8 calls wait for refunds: budget" in shown[1]
    assert any("cap 1.00, 8 wait" in line for line in shown)


def test_after_the_first_ctrl_c_the_last_line_counts_down() -> None:
    """With what is in flight, and what giving it up may cost."""
    shown = texts(frame(pictured(a_run(5), state="stopping", grace_s=8.4), 100, 24))
    assert shown[-1].startswith("stopping: 67 calls in flight, 8s left · Ctrl-C gives them up")
    assert "at most USD 1.00" in shown[-1]


def test_everything_is_said_without_colour() -> None:
    """Each style repeats a glyph, a word or a number of its own line."""
    progress = pictured(a_run(17))
    for line in frame(progress, 120, 40):
        loud = [text for text, style in line if style in ("bold red", "yellow") and text.strip()]
        for text in loud:
            assert re.search(r"[✗!~◷×]|\w", text)


# --- C2 is bench/console.py; C3: a terminal that nobody reads ----------------------------------


def test_a_blocked_terminal_never_holds_up_the_loop() -> None:
    """Twenty pictures a second to a pty that nobody reads: the loop keeps its pace."""
    import fcntl
    import pty
    import struct
    import termios

    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    run, ticks, seconds = a_run(17), 0, 2.0

    def latest() -> Progress:
        run.add(Noted(f"tick {ticks}"), 90.0)
        return pictured(run, 90.0 + ticks / 100)

    async def tick() -> None:
        nonlocal ticks
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            ticks += 1

    with LiveConsole(latest, screen) as live:
        asyncio.run(tick())
        painted = live.frames
    free = ticks
    ticks = 0
    asyncio.run(tick())
    assert free >= 0.8 * ticks, (free, ticks, painted)
    os.close(keyboard)
    os.close(screen)


# --- C7: modes ---------------------------------------------------------------------------------

MODES: list[tuple[dict[str, str], bool, Mode, bool, bool]] = [
    ({"TERM": "xterm"}, True, "full", True, False),
    ({"TERM": "xterm", "NO_COLOR": "1"}, True, "full", False, False),
    ({"TERM": "xterm", "LANG": "C"}, True, "full", True, True),
    ({"TERM": "xterm", "LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, True, "full", True, True),
    ({"TERM": "xterm", "LANG": "zh_CN.UTF-8"}, True, "full", True, False),
    ({"TERM": "dumb"}, True, "plain", False, False),
    ({"TERM": "xterm", "CI": "1"}, True, "plain", False, False),
    ({"TERM": "xterm"}, False, "plain", False, False),
    ({"TERM": "xterm", "FORCE_COLOR": "1"}, False, "plain", True, False),
    ({"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, "plain", False, False),
    ({"TERM": "xterm", "CLICOLOR_FORCE": "1"}, False, "plain", True, False),
]


@pytest.mark.parametrize(("env", "terminal", "mode", "colour", "ascii_only"), MODES)
def test_a_stream_is_shown_what_it_can_show(
    env: dict[str, str], terminal: bool, mode: Mode, colour: bool, ascii_only: bool, tmp_path: Path
) -> None:
    """Terminal or pipe, with what the environment says of colour, CI and language."""
    import fcntl
    import pty
    import struct
    import termios

    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    place = screen if terminal else os.open(tmp_path / "pipe", os.O_WRONLY | os.O_CREAT)
    with open(place, "w", encoding="utf-8", closefd=False) as stream:
        chosen = choose("auto", stream=stream, env=env)
    assert (chosen.mode, chosen.colour, chosen.ascii_only) == (mode, colour, ascii_only)
    for fd in {keyboard, screen, place}:
        os.close(fd)


# --- a real run in a real terminal -------------------------------------------------------------

SWEEP = """name = "night"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "http://127.0.0.1:{port}/v1"
simulated = true
concurrency = 2
{models}
[[judges]]
name = "评委"
model = "judge"
provider = "sim"
rubric = "alignsweep"
"""
MODEL = '[[models]]\nname = "{name}"\nmodel = "m"\nprovider = "sim"\n'
needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """A tmux of its own, with one window."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"

    def __call__(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        # What tmux starts inherits this: in continuous integration nobody would look at a screen.
        env = {k: v for k, v in os.environ.items() if k not in ("CI", "GITHUB_ACTIONS", "NO_COLOR")}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env).stdout

    def open(self, columns: int, lines: int, command: str, env: dict[str, str]) -> None:
        given = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]
        size = ("-x", str(columns), "-y", str(lines))
        self("new-session", "-d", "-s", "t", *size, *given, command)

    def screen(self) -> str:
        return self("capture-pane", "-p", "-t", "t")

    def history(self) -> str:
        return self("capture-pane", "-p", "-S", "-500", "-t", "t")

    def until(self, found: Callable[[str], object], patience_s: float = 90.0) -> str:
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if found(seen := self.screen()):
                return seen
            time.sleep(0.1)
        raise AssertionError(f"never seen:\n{seen}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """A slow simulated provider; its port."""
    program = Program(tmp_path)
    process = program.start("simulate", "--port", "0", "--latency-ms", "700")
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    yield int(line.rsplit(":", 1)[1].split("/")[0])
    process.terminate()
    process.wait()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    found = Tmux(tmp_path)
    yield found
    found("kill-server")


def started(
    tmux: Tmux, folder: Path, port: int, *, columns: int, lines: int, flags: str = ""
) -> None:
    """A shell in tmux that runs the sweep and then says its exit code and its terminal's settings."""
    models = "".join(MODEL.format(name=name) for name in ("通义千问-Plus", "glm-5"))
    (folder / "s.toml").write_text(SWEEP.format(port=port, models=models), encoding="utf-8")
    run = f"{sys.executable} -c '{MAIN}' run s.toml --grace 3 {flags}"
    (folder / "go").write_text(
        f"set -m; trap : INT; cd {folder}; stty -g > before\n{run}\ncode=$?\n"
        "if [ $code -ge 146 ]; then echo stopped-now; read x; fg; code=$?; fi\n"
        "echo exit-code=$code; stty -g > after; echo done-all; exec cat\n"
    )
    env = Program(folder).env | {
        "TERM": "screen-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }
    wanted = (
        "HOME",
        "PYTHONPATH",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "TERM",
        "LANG",
    )
    tmux.open(columns, lines, f"sh {folder}/go", {key: env[key] for key in wanted})


@needs_tmux
def test_resizing_leaves_nothing_behind(tmp_path: Path, tmux: Tmux, server: int) -> None:
    """C4: one head line at every size; afterwards only the summary is in the scrollback."""
    started(tmux, tmp_path, server, columns=120, lines=40)
    tmux.until(lambda s: "waiting for" in s and "glm-5" in s)
    for columns, lines in ((90, 30), (60, 20), (40, 12), (120, 40)):
        tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))
        mark = "night" if columns < 60 else "waiting for"
        tmux.until(lambda s, mark=mark: mark in s)  # type: ignore[misc]
        time.sleep(0.8)
        seen = tmux.screen()
        assert seen.count("night") == 1, seen
        assert max(map(cell_len, seen.splitlines())) <= columns
    tmux("send-keys", "-t", "t", "C-c")
    tmux.until(lambda s: "done-all" in s)
    assert "waiting for" not in tmux.history()
    assert "exit-code=130" in tmux.history()


@needs_tmux
@pytest.mark.parametrize("presses", [1, 2, 3])
def test_the_terminal_is_whole_after_ctrl_c(
    tmp_path: Path, tmux: Tmux, server: int, presses: int
) -> None:
    """C5: drained, cancelled, or left at once: exit code 130, the screen back, the settings as before."""
    started(tmux, tmp_path, server, columns=80, lines=24)
    tmux.until(lambda s: "waiting for" in s and "▶" in s)
    for _ in range(presses):
        tmux("send-keys", "-t", "t", "C-c")
        time.sleep(0.15)
    seen = tmux.until(lambda s: "done-all" in s)
    assert "exit-code=130" in seen
    assert "waiting for" not in seen
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    assert tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}").split() == [
        "0",
        "1",
    ]


@needs_tmux
def test_a_termination_signal_ends_the_run_in_good_order(
    tmp_path: Path, tmux: Tmux, server: int
) -> None:
    """C5: SIGTERM is the first Ctrl-C: what is in flight comes in, and the summary is printed."""
    started(tmux, tmp_path, server, columns=80, lines=24)
    tmux.until(lambda s: "waiting for" in s and "▶" in s)
    shell = tmux("display-message", "-p", "-t", "t", "#{pane_pid}").strip()
    child = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
    os.kill(int(child.stdout.split()[0]), signal.SIGTERM)
    tmux.until(lambda s: "done-all" in s)
    assert "interrupted" in tmux.history()
    assert "exit-code=130" in tmux.history()


@needs_tmux
def test_six_lines_in_place_for_a_small_terminal(tmp_path: Path, tmux: Tmux, server: int) -> None:
    """Below 60 x 16 nothing takes the whole screen; what stood there before stays."""
    started(tmux, tmp_path, server, columns=44, lines=12)
    seen = tmux.until(lambda s: "judged" in s and "answers" in s)
    assert max(map(cell_len, seen.splitlines())) <= 44
    time.sleep(1.0)
    assert tmux.screen().count("night") == 1
    assert tmux("display-message", "-p", "-t", "t", "#{alternate_on}").strip() == "0"
    tmux("send-keys", "-t", "t", "C-c")
    tmux.until(lambda s: "done-all" in s)
    assert "interrupted" in tmux.history()


_MEASURE = """import os, sys, termios, tty
kept = termios.tcgetattr(0)
tty.setraw(0)
for sign in sys.argv[2]:
    os.write(1, b"\\r" + sign.encode() + b"\\x1b[6n")
    reply = b""
    while not reply.endswith(b"R"):
        reply += os.read(0, 1)
    with open(sys.argv[1], "a") as file:
        file.write(str(int(reply.split(b";")[1][:-1]) - 1) + " ")
termios.tcsetattr(0, termios.TCSANOW, kept)
os.write(1, b"\\rdone-all")
"""


@needs_tmux
def test_every_sign_of_ours_is_as_wide_in_a_terminal_as_here(tmp_path: Path, tmux: Tmux) -> None:
    """C11: the terminal is asked where its cursor stands after each."""
    signs = "━─×·▶◷✓✗–…≥▁▂▃▄▅▆▇█通豆。（é"
    (tmp_path / "measure.py").write_text(_MEASURE)
    command = f"{sys.executable} {tmp_path}/measure.py {tmp_path}/widths '{signs}'; exec cat"
    tmux.open(40, 10, command, {"LANG": "C.UTF-8", "TERM": "screen-256color"})
    tmux.until(lambda s: "done-all" in s)
    measured = [int(w) for w in (tmp_path / "widths").read_text().split()]
    assert measured == [cell_len(sign) for sign in signs]


@needs_tmux
def test_ctrl_z_gives_the_screen_back_and_fg_takes_it_again(
    tmp_path: Path, tmux: Tmux, server: int
) -> None:
    """C5: the shell stands on its own screen meanwhile."""
    started(tmux, tmp_path, server, columns=80, lines=24)
    tmux.until(lambda s: "waiting for" in s and "▶" in s)
    tmux("send-keys", "-t", "t", "C-z")
    seen = tmux.until(lambda s: "stopped-now" in s)
    assert "waiting for" not in seen
    tmux("send-keys", "-t", "t", "Enter")
    tmux.until(lambda s: "waiting for" in s and "glm-5" in s)
    tmux("send-keys", "-t", "t", "C-c")
    assert "exit-code=130" in tmux.until(lambda s: "done-all" in s)
