"""Requests per second and CPU per request of a whole sweep, beside a bare loop.

    python -m bench.throughput

The sweep has everything on (journal, cache, limits, live console); the bare loop (`bench/bare.py`)
posts the same bodies with as many in flight. Both talk to the same server (0 ms), which counts: the
rate and the CPU time are those between its first request and its last reply, so starting up and
summing up do not count. The client has one core to itself. Only ratios mean anything: machines
differ, and drift; so all take turns, and each one's best counts.

Between the two stands `bench/least.py`: the bare loop with hashing, journal, decoding and cache. No
engine with these promises can be cheaper, so the sweep is set beside it as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.machinery import (
    Goal,
    Server,
    Spent,
    Workshop,
    bare,
    canned_server,
    load,
    print_goals,
    workshop,
    write_bodies,
)
from data.schema import Struct


class Side(Struct, frozen=True):
    """One client, measured once, between its first request and its last reply."""

    per_second: float
    cpu_ms: float
    """Per request."""
    peak_mb: float


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--questions", type=int, default=300)
    flags.add_argument("--benchmark", type=Path, help="a question file, instead of made-up ones")
    flags.add_argument("--in-flight", type=int, nargs="+", default=[64, 1024])
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    for in_flight in given.in_flight:
        with (
            canned_server() as server,
            workshop(server.url, given.questions, in_flight, given=given.benchmark) as shop,
        ):
            compare(shop, server, in_flight, given.rounds)


def compare(shop: Workshop, server: Server, in_flight: int, rounds: int) -> None:
    """So many turns of each, printed, and the ratios of the best."""
    run, _ = shop.run()
    bodies = shop.folder / "bodies"
    count = write_bodies(run, bodies)
    print(f"{count:,} requests, {in_flight} in flight, 0 ms; {load()}", flush=True)
    server.seen()
    ours, theirs, least = [], [], []
    for _ in range(rounds):
        ours.append(_side("sweep", shop.run()[1], server, count))
        theirs.append(_side("bare", bare(server.url, bodies, in_flight), server, count))
        least.append(_side("least", bare(server.url, bodies, in_flight, "least"), server, count))
    sides = (ours, theirs, least)
    our_rate, their_rate, least_rate = (max(s.per_second for s in side) for side in sides)
    our_cpu, their_cpu, least_cpu = (min(s.cpu_ms for s in side) for side in sides)
    print(
        f"  least ÷ bare: throughput {least_rate / their_rate:.2f}, CPU {least_cpu / their_cpu:.2f};"
        f" sweep ÷ least: throughput {our_rate / least_rate:.2f}, CPU {our_cpu / least_cpu:.2f}"
    )
    print_goals(
        Goal(f"throughput ÷ bare loop, {in_flight} in flight", our_rate / their_rate, 0.55),
        Goal(
            f"CPU per request ÷ bare loop, {in_flight} in flight",
            our_cpu / their_cpu,
            1.9,
            least=False,
        ),
    )


def _side(name: str, spent: Spent, server: Server, count: int) -> Side:
    seen = server.seen()
    assert seen.requests == count, f"{name}: {seen.requests} requests instead of {count}"
    work = spent.between(seen.first_s, seen.last_s)
    side = Side(seen.per_second, 1000 * work.cpu_s / count, work.peak_mb)
    print(
        f"  {name:<6}{side.per_second:8.0f} /s   {side.cpu_ms:6.3f} ms of CPU each"
        f"   peak {side.peak_mb:4.0f} MB",
        flush=True,
    )
    return side


if __name__ == "__main__":
    main()
