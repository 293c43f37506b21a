"""How long a sweep takes beside the shortest it could: `python -m bench.makespan`.

Whole sessions (journal, judging, retries) on virtual time against embedded simulators, one for each
thing that can bind. The lower bound is computed from what the simulator played:

    rates         the n-th call goes out when the calls before it have filled the limit that held,
                  evenly: the contract of pacing is that no window's budget goes out in a burst
    concurrency   each call takes the first of the places that is free
    found         what a sender could do that knew the limit from the first refusal on: a call goes
                  out when the window forgets the one a whole limit before it. Time counts from there
    changed       the same from the change on, but time counts from the start

in the order that was played and with the latencies that were played, so the tail is included.
429s are counted from the moment the limit was found where it had to be, from the start where it was told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal, TypeAlias

from data.schema import ProviderSpec, Struct
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.runtime import run as run_loop
from engine.streams import Options
from providers.simulator import SimulatorTransport, simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

Binding: TypeAlias = Literal["rpm", "tpm", "concurrency"]
Steps: TypeAlias = Sequence[tuple[float, float]]
"""(from when in seconds, limit per minute), the first from 0."""
MODELS = 17


class Situation(Struct, frozen=True, kw_only=True):
    """A sweep file's provider, the simulator behind it, and what is asked of the engine."""

    name: str
    provider: str
    """Lines of the sweep file: what the user says."""
    simulator: str
    """Lines of the simulator: what holds."""
    binding: Binding
    limits: Steps
    goal: float
    refusals: float
    """429s ÷ requests, at most."""
    found: bool = False
    """The limit is not told: time and 429s count from the first refusal."""


SITUATIONS: tuple[Situation, ...] = (
    Situation(
        name="rpm-bound",
        provider="rpm = 600\nconcurrency = 100",
        simulator="latency_s = 3.0\nrpm = 600",
        binding="rpm",
        limits=((0.0, 600),),
        goal=1.03,
        refusals=0.001,
    ),
    Situation(
        name="tpm-bound",
        provider="tpm = 300_000\nconcurrency = 100",
        simulator="latency_s = 3.0\ntpm = 300_000",
        binding="tpm",
        limits=((0.0, 300_000),),
        goal=1.05,
        refusals=0.001,
    ),
    Situation(
        name="concurrency-bound",
        provider="concurrency = 100",
        simulator="latency_s = 6.0\nconcurrency = 50",
        binding="concurrency",
        limits=((0.0, 50),),
        goal=1.05,
        refusals=0.02,
        found=True,
    ),
    Situation(
        name="halved midway",
        provider="rpm = 600\nconcurrency = 100",
        simulator="latency_s = 3.0\nrpm = 600\nlimit_changes = [[100, 'rpm', 300]]",
        binding="rpm",
        limits=((0.0, 600), (100.0, 300)),
        goal=1.10,
        refusals=0.02,
    ),
    Situation(
        name="halved, only waits told",
        provider="rpm = 600\nconcurrency = 100",
        simulator=(
            "latency_s = 3.0\nrpm = 600\ntells = 'wait'\nlimit_changes = [[100, 'rpm', 300]]"
        ),
        binding="rpm",
        limits=((0.0, 600), (100.0, 300)),
        goal=1.10,
        refusals=0.02,
    ),
    Situation(
        name="unknown, in headers",
        provider="concurrency = 64",
        simulator="latency_s = 3.0\nrpm = 600",
        binding="rpm",
        limits=((0.0, 600),),
        goal=1.15,
        refusals=0.001,
    ),
    Situation(
        name="unknown, only waits told",
        provider="concurrency = 64",
        simulator="latency_s = 3.0\nrpm = 600\ntells = 'wait'",
        binding="rpm",
        limits=((0.0, 600),),
        goal=1.15,
        refusals=0.02,
        found=True,
    ),
    Situation(
        name="unknown, nothing told",
        provider="concurrency = 64",
        simulator="latency_s = 3.0\nrpm = 600\ntells = 'nothing'",
        binding="rpm",
        limits=((0.0, 600),),
        goal=1.30,
        refusals=0.02,
        found=True,
    ),
)


class Call(Struct, frozen=True):
    """One exchange: seconds since the start, latency, HTTP status (0: none), tokens."""

    sent_s: float
    latency_s: float
    status: int
    tokens: int


class Figures(Struct, frozen=True, kw_only=True):
    """One session, measured."""

    outcome: Outcome
    calls: tuple[Call, ...]
    limited: Mapping[str, int]
    makespan_s: float
    bound_s: float
    refusals: float
    real_s: float
    journal: bytes

    @property
    def ratio(self) -> float:
        """Makespan ÷ lower bound."""
        return self.makespan_s / self.bound_s


def main() -> None:
    """Parse the flags, play every situation, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--models", type=int, default=MODELS)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--only", default="", help="situations whose name contains this")
    given = flags.parse_args()
    print(f"{'':<26}{'÷ bound':>8}{'goal':>7}{'429s ÷':>9}{'at most':>9}{'virtual':>9}{'real':>8}")
    for situation in SITUATIONS:
        if given.only in situation.name:
            print_line(situation, play(situation, models=given.models, seed=given.seed))


def print_line(situation: Situation, seen: Figures) -> None:
    """One row of the table."""
    assert seen.outcome.state == "complete", seen.outcome
    print(
        f"{situation.name:<26}{seen.ratio:8.3f}{situation.goal:7.2f}{seen.refusals:9.2%}"
        f"{situation.refusals:9.1%}{seen.makespan_s:7.0f} s{seen.real_s:6.1f} s"
        f"   429s {dict(seen.limited)}"
    )


def play(situation: Situation, *, models: int = MODELS, seed: int = 0) -> Figures:
    """One session of a situation, from its sweep file to its figures."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="alignsweep-bench-") as scratch:
        folder = Path(scratch)
        sweep = folder / "sweep.toml"
        sweep.write_text(sweep_text(situation, models, seed), encoding="utf-8")
        outcome, meter, end_s = conduct_in(folder, load(sweep, home=folder / "home"))
        journal = (folder / "run" / "journal.jsonl").read_bytes()
    calls = tuple(meter.calls)
    found_s = first_refusal(calls) if situation.found else 0.0
    late = [call for call in calls if call.sent_s > found_s]
    limited = meter.inner.statistics().limited
    return Figures(
        outcome=outcome,
        calls=calls,
        limited=limited,
        makespan_s=end_s - found_s,
        bound_s=lower_bound(situation, calls, found_s),
        refusals=sum(call.status == 429 for call in late) / len(calls),
        real_s=time.perf_counter() - started,
        journal=journal,
    )


def sweep_text(situation: Situation, models: int, seed: int) -> str:
    """A sweep of so many models and one judge, all with one embedded provider."""
    lines = [
        f'name = "makespan"\nbenchmark = "mini"\nseed = {seed}',
        '[providers.sim]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true',
        f"{situation.provider}\n[providers.sim.simulator]\nseed = {seed}\n{situation.simulator}",
        *(f'[[models]]\nname = "m{i}"\nprovider = "sim"\nmodel = "m{i}"' for i in range(models)),
        '[[judges]]\nname = "j"\nprovider = "sim"\nmodel = "gpt-4-0613"',
    ]
    return "\n".join(lines)


def conduct_in(folder: Path, loaded: Loaded) -> tuple[Outcome, Meter, float]:
    """The session's outcome, what its provider saw, and the virtual seconds it took."""
    meters: dict[str, Meter] = {}

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        for spec in specs:
            meters[spec.name] = Meter(simulator_for(spec.options, [loaded.benchmark]))
        return dict(meters)

    outside = Outside({}, None, 1.8e9, _nobody_watches, lambda session: None, transports)
    options = Options(folder=folder / "run", selection=select(loaded))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    outcome, end_s = run_loop(session, virtual=True)
    return outcome, meters["sim"], end_s


class Meter:
    """A simulator whose every exchange is written down."""

    def __init__(self, inner: SimulatorTransport) -> None:
        self.inner = inner
        self.calls: list[Call] = []

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        """As the simulator does."""
        now = asyncio.get_running_loop().time
        sent_s, status, tokens = now(), 0, 0
        try:
            reply = await self.inner.send(request, endpoint)
            status, tokens = reply.status, _tokens(reply)
            return reply
        finally:
            self.calls.append(Call(sent_s, now() - sent_s, status, tokens))

    async def aclose(self) -> None:
        """Nothing to close."""


# --- the lower bound ---------------------------------------------------------------------------


def lower_bound(situation: Situation, calls: Sequence[Call], found_s: float) -> float:
    """Seconds, counted from `found_s`: what was played, in the order in which it was played."""
    played = sorted((c for c in calls if c.status != 429), key=lambda call: call.sent_s)
    if situation.binding == "concurrency":
        places = int(situation.limits[0][1])
        return _places_bound([_after(call, found_s) for call in played], places)
    since, limit = situation.limits[-1]
    if situation.found or since:
        since = max(since, found_s)
        starts = [call.sent_s for call in played if call.sent_s <= since]
        _as_the_window_allows(starts, len(played), int(limit), since)
    else:
        amounts = [1 if situation.binding == "rpm" else call.tokens for call in played]
        starts = [60.0 * before / limit for before in accumulate(amounts[:-1], initial=0)]
    ends = (at + call.latency_s for at, call in zip(starts, played, strict=True))
    return max(ends) - found_s


def first_refusal(calls: Sequence[Call]) -> float:
    """When the limit was found: told in a reply's headers counts as soon as it is refused."""
    return min((c.sent_s + c.latency_s for c in calls if c.status == 429), default=0.0)


def _after(call: Call, moment: float) -> float:
    """The part of a call's latency that lies after a moment."""
    return max(0.0, call.sent_s + call.latency_s - max(call.sent_s, moment))


def _as_the_window_allows(starts: list[float], count: int, size: int, found_s: float) -> None:
    """Go on from what went out before `found_s`: each call when the window forgets another."""
    while len(starts) < count:
        forgotten = starts[len(starts) - size] + 60.0 if len(starts) >= size else found_s
        starts.append(max(forgotten, found_s))


def _places_bound(latencies: Sequence[float], places: int) -> float:
    """Each call takes the first place that is free."""
    free = [0.0] * places
    for latency in latencies:
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


def _tokens(reply: HttpReply) -> int:
    from data import codec

    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(codec.decode(reply.body)["usage"]["total_tokens"])
    return 0


async def _nobody_watches(latest: Callable[[], Progress]) -> None:
    """No console."""


if __name__ == "__main__":
    main()
