"""Does anything grow that should not? `python -m bench.soak` (an hour), or `… soak 5` (minutes).

One sweep that lasts so long at a steady 300 requests a second, with journal, cache and limits. Memory and
open descriptors of its process are looked at every second. What counts is their slope (least squares) once
the first fifth is over: by then every pool and buffer should be full. The slope of a few minutes, given for
an hour, is a rough figure: what still warms up looks like growth.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.machinery import (
    PER_QUESTION,
    ROOT,
    Goal,
    Workshop,
    canned_server,
    load,
    print_goals,
    workshop,
)
from data.schema import Struct

RATE = 300.0
"""Requests a second."""
IN_FLIGHT = 64
LATENCY_S = 0.1
WARM = 0.2
"""The share of the time that is not counted."""
FASTEST_RPM = "rpm = 1_000_000"


class Look(Struct, frozen=True):
    """The process at one moment."""

    at_s: float
    rss_mb: float
    descriptors: int


def main() -> None:
    """Parse the flags, watch, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("minutes", type=float, nargs="?", default=60.0)
    flags.add_argument("--rate", type=float, default=RATE, help="requests a second")
    given = flags.parse_args()
    trials = int(60 * given.minutes * given.rate)
    print(f"{trials:,} trials at {given.rate:g} a second; {load()}", flush=True)
    with (
        canned_server(LATENCY_S) as server,
        workshop(server.url, math.ceil(trials / PER_QUESTION), IN_FLIGHT) as shop,
    ):
        _slow_down(shop, given.rate)
        looks = watched(shop)
        seen = server.seen()
    work = [look for look in looks if seen.first_s <= look.at_s <= seen.last_s]
    tell(work, seen.requests, seen.last_s - seen.first_s, given.rate)


def tell(work: Sequence[Look], requests: int, took_s: float, rate: float) -> None:
    """The figures beside their goals."""
    steady = [look for look in work if look.at_s >= work[0].at_s + WARM * took_s]
    minutes = (steady[-1].at_s - steady[0].at_s) / 60
    rss = [look.rss_mb for look in steady]
    counts = [look.descriptors for look in steady]
    print(
        f"  {requests:,} requests in {took_s / 60:.1f} min, {requests / took_s:.0f} a second; counted:"
        f" the last {minutes:.1f} min\n"
        f"  memory {rss[0]:.1f} MB, then {min(rss):.1f} to {max(rss):.1f}, at last {rss[-1]:.1f};"
        f" descriptors {min(counts)} to {max(counts)}, at last {counts[-1]}"
    )
    times = [look.at_s / 3600 for look in steady]
    print_goals(
        Goal("requests/s ÷ those allowed", requests / took_s / rate, 0.97),
        Goal("memory, MB an hour", slope(times, rss), 1.0, least=False, form="{:+.2f}"),
        Goal("descriptors an hour", slope(times, counts), 1.0, least=False, form="{:+.2f}"),
    )


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the least-squares line."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread


def watched(shop: Workshop) -> list[Look]:
    """Run the sweep to its end, looking at it every second. It must succeed."""
    command = [sys.executable, "-c", "from engine.cli.main import main; main()", "run"]
    command += ["sweep.toml", "--progress", "none", "--run-dir", "soak"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(shop.folder / "caches")}
    with _started(command, shop.folder, env) as child:
        looks = list(_looks(child))
    if child.returncode:
        raise SystemExit(f"the sweep ended with {child.returncode}: see above")
    return looks


@contextmanager
def _started(
    command: list[str], folder: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _looks(child: subprocess.Popen[bytes]) -> Iterator[Look]:
    """Until it has ended. Fields of /proc/PID/statm as proc(5) has them."""
    here = Path(f"/proc/{child.pid}")
    while child.poll() is None:
        try:
            pages = int((here / "statm").read_text().split()[1])
            descriptors = sum(1 for _ in (here / "fd").iterdir())
        except (OSError, IndexError):  # it is just ending
            continue
        yield Look(time.monotonic(), pages * resource.getpagesize() / 1e6, descriptors)
        time.sleep(1.0)


def _slow_down(shop: Workshop, rate: float) -> None:
    """The sweep file with a rate of its own."""
    path = shop.folder / "sweep.toml"
    text = path.read_text(encoding="utf-8")
    assert FASTEST_RPM in text
    path.write_text(text.replace(FASTEST_RPM, f"rpm = {60 * rate:g}"), encoding="utf-8")


if __name__ == "__main__":
    main()
