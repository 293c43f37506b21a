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
from engine.forecast import Forecast, Outlook, resolved
from engine.looks import silence

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

    def __init__(
        self,
        latest: Latest,
        write: Write,
        *,
        clock: Clock = figures.run_clock,
        colour: bool = False,
        annotated: bool = False,
    ) -> None:
        """`annotated`: warnings and errors also as GitHub Actions reads them."""
        self._latest, self._write, self._clock = latest, write, clock
        self._colour, self._annotated = colour, annotated
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
        if self._told_s is None:
            self._put(f"{self._clock(progress.now_s)} plan   {plan_line(progress)}")
        for line in self._news.since(progress.log):
            if line.level != "info":
                self._tell(line, progress)
        if last or self._told_s is None or progress.now_s - self._told_s >= PLAIN_S:
            self._told_s = progress.now_s
            self._put(f"{self._clock(progress.now_s)} {status_line(progress, outlook)}")

    def _tell(self, line: LogLine, progress: Progress) -> None:
        """A warning or error now, unless its model has just had one: those are counted."""
        subject = _subject(line, progress)
        told_s, held = self._quiet.get(subject, (-QUIET_S, 0))
        if line.t_s - told_s < QUIET_S:
            self._quiet[subject] = (told_s, held + 1)
            return
        self._quiet[subject] = (line.t_s, 0)
        more = f" (+{held} more)" if held else ""
        error = line.level == "error"
        level = "error  " if error else "warn   "
        text = f"{inert(line.text)}{more}"
        self._put(f"{self._clock(line.t_s)} {level}{text}", "31" if error else "33")
        if self._annotated:
            safe = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            self._write(f"::{'error' if error else 'warning'}::{safe}\n")

    def _put(self, text: str, colour: str = "") -> None:
        text = cut(text, PLAIN_CELLS, "...")
        self._write(f"\x1b[{colour}m{text}\x1b[0m\n" if colour and self._colour else f"{text}\n")


def plan_line(progress: Progress) -> str:
    """What is to be done, and what of it is there already."""
    parts = [
        f"{figures.many(len(progress.models), 'model')}, {figures.many(len(progress.judges), 'judge')}",
        f"{figures.count(progress.planned)} answers and judgments",
        f"{figures.count(progress.reused)} of them stored",
    ]
    if progress.money is not None and progress.money.limit is not None:
        parts.append(f"cap {figures.money(progress.money.limit, progress.money.currency)}")
    return f"{inert(progress.name)}: {', '.join(parts)}"


def status_line(progress: Progress, outlook: Outlook) -> str:
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
        *_money(progress, outlook),
        f"eta {_eta(outlook)}",
        *_bound(progress),
    ]
    if progress.state != "running":
        parts.append(progress.state)
    if progress.simulated:
        parts.append("simulated")
    text = " ".join(parts)
    waits = [f"{inert(a.name)} {inert(a.waiting)}" for a in progress.accounts if a.waiting]
    if words := silence(progress):
        return f"{text} | {words}"
    return f"{text} | waiting: {'; '.join(waits)}" if waits else text


def _eta(outlook: Outlook) -> str:
    if outlook.total is None:
        return "-"
    text = figures.between(outlook.total.low_s, outlook.total.high_s, "-")
    return f"{text} + {outlook.stopped} stopped" if outlook.stopped else text


def _money(progress: Progress, outlook: Outlook) -> list[str]:
    """`USD 0.41 of 320-405`: spent, and what the whole is expected to come to."""
    if progress.money is None or not progress.money.booked:
        return []
    amounts = {progress.money.currency: progress.money.booked, **progress.money.others}
    spent = " + ".join(figures.money(nano, code) for code, nano in amounts.items())
    if outlook.money is None:
        return [spent]
    low, high = figures.amounts(outlook.money.low, outlook.money.high)
    return [f"{spent} of {low}" if low == high else f"{spent} of {low}-{high}"]


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
        self._forecast = Forecast()
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
        outlook = self._forecast.add(progress)
        for line in self._news.since(progress.log):
            self._put({"event": "log", "t_s": line.t_s, "level": line.level, "text": line.text})
        if last or self._told_s is None or progress.now_s - self._told_s >= JSON_S:
            self._told_s = progress.now_s
            picture = codec.plain(progress)
            del picture["log"]
            total, money = outlook.total, outlook.money
            ahead = {
                "eta_s": [total.low_s, total.high_s] if total else None,
                "expected": [money.low, money.high] if money else None,
                "silence": silence(progress),
            }
            self._put({"event": "progress", "t_s": progress.now_s, **picture, **ahead})

    def _put(self, record: dict[str, object]) -> None:
        self._write(codec.encode({"schema": SCHEMA, **record}).decode() + "\n")
