"""The same sweep again with everything in the response cache: `python -m bench.cached`.

34,833 requests (AlignBench's 683 questions, 17 models, two judges) are answered once by a server; then a
new run of the same sweep finds all of them in the cache and journals them. The time is that of the
whole process, starting up and summing up included.
"""

from __future__ import annotations

import argparse

from bench.machinery import (
    OFFICIAL,
    PER_QUESTION,
    Goal,
    canned_server,
    load,
    print_goals,
    workshop,
)


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
            spent = shop.run(cache="warm", core=False)[1]
            rounds.append(spent)
            print(
                f"  {spent.wall_s:6.2f} s   {count / spent.wall_s:8,.0f} trials/s"
                f"   {1e6 * spent.cpu_s / count:5.0f} µs of CPU each   peak {spent.peak_mb:.0f} MB",
                flush=True,
            )
        assert not server.seen().requests, "something was asked again"
    fastest = min(spent.wall_s for spent in rounds)
    print_goals(Goal("trials/s of a cached run", count / fastest, 15_000, form="{:,.0f}"))


if __name__ == "__main__":
    main()
