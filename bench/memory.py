"""What a sweep's memory depends on: `python -m bench.memory` (it takes some minutes).

Two questions. What does a trial in flight cost: the same sweep with 64 and with 1,024 calls in flight,
the difference of the peaks by the difference in flight (four jobs are admitted per place, so the
figure is that of a place with all that belongs to it). And what does a finished trial leave behind:
the peak of a sweep of a million trials beside that of ten thousand. Peaks are those of the work, from
the first request to the last reply; what the reports need afterwards is shown beside them.
"""

from __future__ import annotations

import argparse

from bench.machinery import (
    PER_QUESTION,
    Goal,
    Spent,
    canned_server,
    load,
    print_goals,
    workshop,
)

LATENCY_S = 0.25
"""Long enough to have all places taken."""


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--trials", type=int, nargs=2, default=[10_000, 1_000_000])
    flags.add_argument("--in-flight", type=int, nargs=2, default=[64, 1024])
    given = flags.parse_args()
    print(load())
    (few, small), (many, large) = (in_flight(places) for places in given.in_flight)
    each_kb = 1000 * (large.peak_mb - small.peak_mb) / (many - few)
    print_goals(Goal("KB per trial in flight", each_kb, 40, least=False, form="{:.1f}"))
    short, long = (finished(trials) for trials in given.trials)
    growth = long.peak_mb - short.peak_mb
    print_goals(
        Goal(f"growth to {given.trials[1]:,} trials, MB", growth, 150, least=False, form="{:.0f}")
    )


def in_flight(places: int) -> tuple[int, Spent]:
    """A sweep with so many places: how many calls were in flight, and what it used."""
    with canned_server(LATENCY_S) as server, workshop(server.url, 150, places) as shop:
        _, spent = shop.run()
        seen = server.seen()
    work = spent.between(seen.first_s, seen.last_s)
    print(f"  {seen.most_at_once:,} in flight: peak {work.peak_mb:.0f} MB", flush=True)
    return seen.most_at_once, work


def finished(trials: int) -> Spent:
    """A sweep of so many trials."""
    with canned_server() as server, workshop(server.url, trials // PER_QUESTION + 1, 256) as shop:
        _, spent = shop.run()
        seen = server.seen()
    work = spent.between(seen.first_s, seen.last_s)
    print(
        f"  {seen.requests:,} trials: peak {work.peak_mb:.0f} MB in {work.wall_s:.0f} s;"
        f" with its reports {spent.peak_mb:.0f} MB, {spent.wall_s:.0f} s",
        flush=True,
    )
    return work


if __name__ == "__main__":
    main()
