"""What the live console costs: `python -m bench.console`.

17 rows and 10,000 events a second, painted ten times a second (a run paints four times) on a terminal
of 120 x 40 that is read. The same loop without the console is measured in turn with it; the difference
of their CPU times, sampling the picture and painting it, is the console's.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from bench.machinery import JUDGES, MODELS, Goal, load, print_goals
from data.schema import Usage
from engine import console
from engine.events import AccountView, AnswerSaved, Event, JudgmentSaved, Planned
from engine.tally import Tally

EVENTS = 10_000
"""A second."""
USAGE = Usage(900, 420)
ACCOUNT = AccountView("sim", 1024, 1024, 60_000.0, "requests/min 60000, 0.1 s", 512)
PEERS = "rich.live with a Table: 10.9 % at 10 Hz (measured once, same size and events)"


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--hertz", type=float, default=10.0)
    flags.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    console.REPAINT_S = 1 / given.hertz
    print(f"{MODELS} rows, {EVENTS:,} events/s, {given.hertz:g} Hz; {load()}")
    without, shown = [], []
    for _ in range(given.rounds):
        without.append(share(given.seconds, given.hertz, painted=False))
        shown.append(share(given.seconds, given.hertz, painted=True))
        print(f"  events alone {without[-1]:.2%}   with the console {shown[-1]:.2%}", flush=True)
    cost = 100 * (min(shown) - min(without))
    print_goals(Goal("console, % of a core", cost, 2.0, least=False, peers=PEERS))


def share(seconds: float, hertz: float, *, painted: bool) -> float:
    """CPU time ÷ time of so many seconds of events, with or without a console."""
    tally = a_tally()
    events = _events()
    board = [tally.progress(time.monotonic(), (ACCOUNT,))]
    with (
        terminal() as fd,
        console.LiveConsole(lambda: board[0], fd) if painted else nullcontext(),
    ):
        started, cpu = time.monotonic(), time.process_time()
        while (now := time.monotonic()) - started < seconds:
            for _ in range(int(EVENTS / hertz)):
                tally.add(next(events), now)
            if painted:
                board[0] = tally.progress(now, (ACCOUNT,))
            time.sleep(max(0.0, now + 1 / hertz - time.monotonic()))
        return (time.process_time() - cpu) / (time.monotonic() - started)


def a_tally() -> Tally:
    """17 models and a plan for each."""
    tally = Tally("bench", started=time.monotonic())
    for i in range(MODELS):
        tally.add(Planned(f"model-{i}", 100_000, 200_000, account="sim"), time.monotonic())
    return tally


def _events() -> Iterator[Event]:
    """Answers and judgments of all models in turn, for ever."""
    answers = [AnswerSaved(f"model-{i}", "answered", False, USAGE, 0.75) for i in range(MODELS)]
    verdicts = [
        JudgmentSaved(f"model-{i}", f"judge-{j}", 7.0, False, USAGE, 0.75)
        for i in range(MODELS)
        for j in range(JUDGES)
    ]
    while True:
        yield from answers
        yield from verdicts


@contextmanager
def terminal() -> Iterator[int]:
    """A terminal of 120 x 40 that another process reads."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "120", "rows", "40"], stdin=follower, check=False)
    quiet = subprocess.DEVNULL
    reader = subprocess.Popen(["cat"], stdin=leader, stdout=quiet, stderr=quiet)
    try:
        yield follower
    finally:
        os.close(follower)
        os.close(leader)
        reader.terminate()
        reader.wait()


if __name__ == "__main__":
    main()
