"""What a sweep makes of 1,024 places where every call takes a second: `python -m bench.latency`.

The ideal is a server that is never idle: requests · latency ÷ places, whatever waits for what. The
time is that between the server's first request and its last reply; judging follows the answers, so the
last second is never full, and starting up is not counted.
"""

from __future__ import annotations

import argparse

from bench.machinery import OFFICIAL, Goal, canned_server, load, print_goals, workshop


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--questions", type=int, default=OFFICIAL)
    flags.add_argument("--in-flight", type=int, default=1024)
    flags.add_argument("--latency-s", type=float, default=1.0)
    given = flags.parse_args()
    with (
        canned_server(given.latency_s) as server,
        workshop(server.url, given.questions, given.in_flight) as shop,
    ):
        print(f"{given.in_flight:,} in flight, {given.latency_s:g} s; {load()}", flush=True)
        _, spent = shop.run()
        seen = server.seen()
    took_s = seen.last_s - seen.first_s
    work = spent.between(seen.first_s, seen.last_s)
    ideal_s = seen.requests * given.latency_s / given.in_flight
    print(
        f"  {seen.requests:,} requests in {took_s:.1f} s, ideal {ideal_s:.1f} s, at most"
        f" {seen.most_at_once:,} at once, {work.cpu_s / work.wall_s:.0%} of a core"
    )
    print_goals(
        Goal(
            f"ideal ÷ time at {given.latency_s:g} s, {given.in_flight:,} in flight",
            ideal_s / took_s,
            0.93,
        )
    )


if __name__ == "__main__":
    main()
