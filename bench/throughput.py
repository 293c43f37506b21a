"""Requests per second of a whole sweep, beside a bare loop: `python -m bench.throughput`.

One run measures three processes against the same simulated provider (0 ms): the sweep with journal,
cache, limits and live console; a bare aiohttp loop that sends the same bodies (orjson out and in, one
session, as many workers as the sweep has calls in flight); and the sweep again with everything in the
cache. Only the ratios mean anything: machines differ, and drift.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson

from bench.machinery import (
    MAIN,
    Spent,
    bodies_of,
    simulated_provider,
    timed,
    write_benchmark,
    write_sweep,
)


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--questions", type=int, default=200)
    flags.add_argument("--benchmark", type=Path, help="a question file, instead of made-up ones")
    flags.add_argument("--in-flight", type=int, nargs="+", default=[64])
    flags.add_argument(
        "--bare", nargs=3, metavar=("URL", "BODIES", "WORKERS"), help=argparse.SUPPRESS
    )
    given = flags.parse_args()
    if given.bare:
        url, bodies, workers = given.bare
        asyncio.run(bare_loop(url, Path(bodies), int(workers)))
        return
    for in_flight in given.in_flight:
        measure(given.questions, in_flight, given.benchmark)


def measure(questions: int, in_flight: int, given: Path | None) -> None:
    """One comparison, printed."""
    with tempfile.TemporaryDirectory(prefix="alignsweep-bench-") as scratch:
        folder = Path(scratch)
        benchmark = given.resolve() if given else folder / "questions.jsonl"
        sweep = folder / "sweep.toml"
        if given is None:
            write_benchmark(benchmark, questions)
        env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TERM": "xterm-256color"}
        env.pop("CI", None)
        run = [sys.executable, "-c", MAIN, "run", str(sweep), "--progress", "full"]
        with simulated_provider(benchmark) as url:
            write_sweep(sweep, url, benchmark, concurrency=in_flight)
            ours = timed(run, cwd=folder, env=env)
            count = _write_bodies(folder)
            bare = timed(
                [
                    *(sys.executable, "-m", "bench.throughput", "--bare", url),
                    *(str(folder / "bodies"), str(in_flight)),
                ],
                cwd=Path(__file__).parents[1],
                env=env,
            )
            (folder / "runs" / "bench").rename(folder / "runs" / "first")
            again = timed(run, cwd=folder, env=env)
        _print(count, in_flight, ours, bare, again)


async def bare_loop(url: str, bodies: Path, workers: int) -> None:
    """The least that could be done: send, wait, parse."""
    texts = [orjson.loads(line) for line in bodies.read_bytes().splitlines()]
    todo: Iterator[dict[str, object]] = iter(texts)
    started = time.perf_counter()

    async def work(session: aiohttp.ClientSession) -> None:
        for body in todo:
            async with session.post(
                f"{url}/chat/completions",
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
            ) as response:
                reply = orjson.loads(await response.read())
                assert reply["choices"][0]["message"]["content"]

    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session) for _ in range(workers)))
    print(
        f"bare loop: {len(texts) / (time.perf_counter() - started):.0f} requests/s", file=sys.stderr
    )


def _write_bodies(folder: Path) -> int:
    count = 0
    with (folder / "bodies").open("wb") as file:
        for body in bodies_of(folder / "runs" / "bench"):
            file.write(body + b"\n")
            count += 1
    return count


def _print(count: int, in_flight: int, ours: Spent, bare: Spent, again: Spent) -> None:
    assert (ours.code, bare.code, again.code) == (0, 0, 0), "a measured process failed"
    print(f"{count:,} requests, {in_flight} in flight, 0 ms")
    for name, spent in (("sweep", ours), ("bare loop", bare), ("sweep, all cached", again)):
        print(
            f"  {name:<18} {spent.wall_s:7.2f} s  {count / spent.wall_s:8.0f} /s"
            f"  cpu {1000 * spent.cpu_s / count:6.3f} ms each  peak {spent.peak_mb:6.0f} MB"
        )
    print(f"  throughput ÷ bare loop  {bare.wall_s / ours.wall_s:.2f}")
    print(f"  cpu per request ÷ bare  {ours.cpu_s / bare.cpu_s:.2f}")


if __name__ == "__main__":
    main()
