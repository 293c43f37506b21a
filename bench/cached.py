"""The same sweep again with everything in the response cache: `python -m bench.cached`.

34,833 requests (AlignBench's 683 questions, 17 models, two judges) are answered once by a server; then a
new run of the same sweep finds all of them in the cache and journals them. The time is that of the
session, from the journal's first line to its last; that of the whole process, with starting up and the
reports at the end, stands beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.machinery import (
    OFFICIAL,
    PER_QUESTION,
    Goal,
    canned_server,
    load,
    print_goals,
    workshop,
)
from engine.rundir import read_run


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--questions", type=int, default=OFFICIAL)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    count = given.questions * PER_QUESTION
    with canned_server() as server, workshop(server.url, given.questions, 64) as shop:
        shop.run(cache="warm", core=False)
        assert server.seen().requests == count
        print(f"{count:,} requests, all in the cache; {load()}", flush=True)
        rounds = []
        for _ in range(given.rounds):
            run, spent = shop.run(cache="warm", core=False)
            rounds.append(session_s(run))
            print(
                f"  session {rounds[-1]:5.2f} s, {count / rounds[-1]:6,.0f} trials/s"
                f"   whole process {spent.wall_s:5.2f} s, {spent.cpu_s:5.2f} s of CPU,"
                f" peak {spent.peak_mb:.0f} MB",
                flush=True,
            )
        assert not server.seen().requests, "something was asked again"
    print_goals(Goal("trials/s of a cached run", count / min(rounds), 15_000, form="{:,.0f}"))


def session_s(run: Path) -> float:
    """Seconds from the journal's header to its last line."""
    return (run / "journal.jsonl").stat().st_mtime - read_run(run).header.created_s


if __name__ == "__main__":
    main()
