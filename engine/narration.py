"""A run told in lines, for logs, pipes and programs.

Plain: a line every 30 s even when nothing moves (a silent job looks like a stuck one), then with
the reason; a line at once for a warning or an error, but at most one per model in 10 s, so that a
bad night does not fill a disk. JSON: one object a line with its schema. Both look once a second
with the `sleep` they are given, so they run on the loop's clock, virtual or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from data import codec
from engine import figures
from engine.cells import cut, inert
from engine.events import LogLine, Progress
from engine.forecast import Forecast, remaining, resolved
from engine.frame import SILENT_S, reason

Latest = Callable[[], Progress]
Sleep = Callable[[float], Awaitable[None]]
Write = Callable[[str], None]
Clock = Callable[[float], str]

PLAIN_CELLS = 160
PLAIN_S = 30.0
JSON_S = 5.0
POLL_S = 1.0
QUIET_S = 10.0
"""At most one line per model in so many seconds."""
SCHEMA = "alignsweep.progress/1"

# --- plain -------------------------------------------------------------------------------------


class PlainConsole:
    """Lines of at most 160 cells, appended. Plain text: no cursor, no colour."""

    def __init__(self, latest: Latest, write: Write, *, clock: Clock = figures.run_clock) -> None:
        self._latest, self._write, self._clock = latest, write, clock
        self._forecast = Forecast()
        self._news = _News()
        self._told_s: float | None = None
        self._quiet: dict[str, tuple[float, int]] = {}

    async def run(self, sleep: Sleep) -> None:
        """Look once a second until cancelled; what is new then is still told."""
        try:
            while True:
                self.look()
                await sleep(POLL_S)
        finally:
            self.look(last=True)

    def look(self, last: bool = False) -> None:
        """Tell what is new since the last look. `last` tells where things stand in any case."""
        progress = self._latest()
        outlook = self._forecast.add(progress)
        for line in self._news.since(progress.log):
            if line.level != "info":
                self._tell(line, progress)
        if last or self._told_s is None or progress.now_s - self._told_s >= PLAIN_S:
            self._told_s = progress.now_s
            eta = "-"
            if outlook.total is not None:
                eta = figures.between(outlook.total.low_s, outlook.total.high_s, "-")
            self._put(f"{self._clock(progress.now_s)} {status_line(progress, eta)}")

    def _tell(self, line: LogLine, progress: Progress) -> None:
        """A warning or error now, unless its model has just had one: those are counted."""
        subject = _subject(line, progress)
        told_s, held = self._quiet.get(subject, (-QUIET_S, 0))
        if line.t_s - told_s < QUIET_S:
            self._quiet[subject] = (told_s, held + 1)
            return
        self._quiet[subject] = (line.t_s, 0)
        more = f" (+{held} more)" if held else ""
        level = "error  " if line.level == "error" else "warn   "
        self._put(f"{self._clock(line.t_s)} {level}{inert(line.text)}{more}")

    def _put(self, text: str) -> None:
        self._write(cut(text, PLAIN_CELLS, "...") + "\n")


def status_line(progress: Progress, eta: str) -> str:
    """Where a run stands, and what it waits for, in ASCII but for names."""
    done = sum(resolved(m) for m in progress.models)
    share = done / progress.planned if progress.planned else 1.0
    parts = [
        f"{figures.percent(share, 1):>7}",
        f"ans {_done(progress, 'answers')}",
        f"judged {_done(progress, 'judgments')}",
        f"fail {progress.failed}",
        f"ref {sum(m.refused for m in progress.models)}",
        f"{progress.per_minute:.0f}/min",
        f"tokens {figures.tokens(progress.tokens_in)}+{figures.tokens(progress.tokens_out)}",
        f"eta {eta}",
        *_bound(progress),
    ]
    if progress.money is not None and progress.money.booked:
        parts.insert(-1, figures.money(progress.money.booked, progress.money.currency))
    if progress.state != "running":
        parts.append(progress.state)
    if progress.simulated:
        parts.append("simulated")
    text = " ".join(parts)
    silent_s = progress.elapsed_s if progress.saved_ago_s is None else progress.saved_ago_s
    waits = [f"{inert(a.name)} {inert(a.waiting)}" for a in progress.accounts if a.waiting]
    if silent_s >= SILENT_S and any(remaining(m) for m in progress.models):
        return f"{text} | nothing finished for {figures.span(silent_s)}: {reason(progress)}"
    return f"{text} | waiting: {'; '.join(waits)}" if waits else text


def _bound(progress: Progress) -> list[str]:
    """The shortest time in which what is done could have been done, and how near the run came to it."""
    if progress.bound is None or progress.bound.bound_s is None or not progress.elapsed_s:
        return []
    seconds = progress.bound.bound_s
    share = figures.percent(min(seconds / progress.elapsed_s, 1.0))
    return [f"bound {figures.span(seconds)} ({share})"]


def _done(progress: Progress, kind: str) -> str:
    done = sum(getattr(m, f"{kind}_done") for m in progress.models)
    return f"{done}/{sum(getattr(m, kind) for m in progress.models)}"


def _subject(line: LogLine, progress: Progress) -> str:
    """Whom a line is about: the model or account it begins with, else its own text."""
    names = [*(m.name for m in progress.models), *(a.name for a in progress.accounts)]
    about = [name for name in names if line.text.startswith(name)]
    return max(about, key=len, default=line.text)


class _News:
    """Which log lines have not been seen yet, oldest first."""

    def __init__(self) -> None:
        self._seen: tuple[LogLine, ...] = ()

    def since(self, log: tuple[LogLine, ...]) -> list[LogLine]:
        """`log` is newest first, and drops its oldest lines."""
        before = self._seen
        self._seen = log
        for new in range(len(log) + 1):
            if log[new:] == before[: len(log) - new]:
                return list(reversed(log[:new]))
        return list(reversed(log))


# --- json --------------------------------------------------------------------------------------


class JsonConsole:
    """One JSON object a line: a picture every five seconds, each log line as it comes."""

    def __init__(self, latest: Latest, write: Write) -> None:
        self._latest, self._write = latest, write
        self._news = _News()
        self._told_s: float | None = None

    async def run(self, sleep: Sleep) -> None:
        """Look once a second until cancelled, and once more then."""
        try:
            while True:
                self.look()
                await sleep(POLL_S)
        finally:
            self.look(last=True)

    def look(self, last: bool = False) -> None:
        """Write what is new since the last look."""
        progress = self._latest()
        for line in self._news.since(progress.log):
            self._put({"event": "log", "t_s": line.t_s, "level": line.level, "text": line.text})
        if last or self._told_s is None or progress.now_s - self._told_s >= JSON_S:
            self._told_s = progress.now_s
            picture = codec.plain(progress)
            del picture["log"]
            self._put({"event": "progress", "t_s": progress.now_s, **picture})

    def _put(self, record: dict[str, object]) -> None:
        self._write(codec.encode({"schema": SCHEMA, **record}).decode() + "\n")
