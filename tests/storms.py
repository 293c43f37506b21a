"""One session that takes a day at its limits, through two dozen storms."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import anyio

from data.schema import ProviderSpec
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.streams import Options
from providers.simulator import Simulator, sim_options
from providers.virtual import new_loop
from providers.wire import Transport
from tests.day import DAY_S, HOUR_S, MEMORY, write_questions
from tests.promises import EPOCH_S
from tests.weather import PASSING, Exchange, Sky, Spell, Terse

RPM = 0.75
GOOD = frozenset({"sound", "slow"})
STORMS, LONGEST_S = 24, 1200.0
SWEEP = """
name = "storms"
benchmark = "q.jsonl"
samples = 4
{providers}
{models}
[[judges]]
name = "j"
provider = "q"
model = "judge"
rubric = "general"
"""
PROVIDER = """
[providers.{name}]
api = "openai-chat"
base_url = "simulated:"
simulated = true
cache_identity = "simulated:{name}"
rpm = {rpm}
concurrency = 4
[providers.{name}.simulator]
latency_s = 4.0
"""


@dataclass(frozen=True)
class Stormy:
    """What became of the day."""

    outcome: Outcome
    exchanges: list[Exchange]
    hours: float
    trace: str

    @property
    def requests(self) -> int:
        return len(self.exchanges)

    @property
    def needed(self) -> int:
        """Requests of a calm day."""
        return sum(one.fate in GOOD for one in self.exchanges)

    @property
    def faults(self) -> int:
        return sum(one.fate not in GOOD for one in self.exchanges)


def stormy_day(seed: int) -> Stormy:
    """Storms of up to twenty minutes, all over the day; a request meets two faults at most."""
    skies: dict[str, Sky] = {}
    sent: list[Exchange] = []

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        for spec in specs:
            dice = random.Random(f"storms {seed} {spec.name}")
            simulator = Simulator(sim_options(spec.options, where=spec.name), Terse())
            sky = Sky(spec.name, simulator, _storms(dice), 0.0, dice, most=2)
            sky.began = sent.append
            skies[spec.name] = sky
        return dict(skies)

    outside = Outside({}, None, EPOCH_S, None, lambda session: None, transports)

    async def main(loaded: Loaded, folder: Path) -> tuple[Outcome, float]:
        options = Options(folder=folder / "run", selection=select(loaded))
        outcome = await asyncio.wait_for(conduct(loaded, options, outside), 3 * DAY_S)
        return outcome, asyncio.get_running_loop().time()

    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="alignsweep-storms-", dir=where) as scratch:
        folder = Path(scratch)
        outcome, end_s = anyio.run(
            main,
            _sweep(folder),
            folder,
            backend="asyncio",
            backend_options={"loop_factory": new_loop},
        )
    trace = hashlib.blake2b(repr([vars(one) for one in sent]).encode(), digest_size=16)
    return Stormy(outcome, sent, end_s / HOUR_S, trace.hexdigest())


def _sweep(folder: Path) -> Loaded:
    write_questions(folder)
    text = SWEEP.format(
        providers="".join(PROVIDER.format(name=name, rpm=RPM) for name in ("p", "q")),
        models="".join(
            f'[[models]]\nname = "m{i}"\nprovider = "p"\nmodel = "m{i}"\n' for i in range(4)
        ),
    )
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return load(folder / "s.toml", home=folder / "home")


def _storms(dice: random.Random) -> list[Spell]:
    starts = (dice.uniform(0, DAY_S) for _ in range(STORMS))
    return [
        Spell(start_s, start_s + dice.uniform(60, LONGEST_S), dice.choice(PASSING), 0.8)
        for start_s in starts
    ]


def longest_gaps(story: Stormy) -> dict[str, float]:
    """Of each model and judge, the longest time between two good replies, in seconds."""
    good: dict[str, list[float]] = defaultdict(list)
    for one in sorted(story.exchanges, key=lambda one: one.ended_s):
        if one.fate in GOOD:
            good[one.model].append(one.ended_s)
    return {model: max(b - a for a, b in pairwise(times)) for model, times in good.items()}
