"""Forecasts against seeded simulations: how often the truth lies in the range that is shown."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from engine.costs import Costs
from engine.events import (
    AnswerSaved,
    JudgePlanned,
    JudgmentSaved,
    MoneyView,
    Planned,
    Progress,
)
from engine.forecast import Estimate, Forecast
from engine.tally import Tally

ANSWERS, JUDGES = 200, 2
STEP_S = 10.0


class Sim:
    """Models that answer at rates of their own, judges that share one, in steps of ten seconds."""

    def __init__(self, seed: int, *, slow: bool, stored: bool, stall: bool) -> None:
        self.dice = random.Random(seed)
        self.rates = {f"m{i}": self.dice.uniform(0.3, 0.6) for i in range(5)}
        if slow:
            self.rates["m0"] = 0.12
        self.judging = self.dice.uniform(1.5, 6.0)
        self.stall = (350.0, 410.0) if stall else (-1.0, -1.0)
        self.run = Tally("sim", started=0.0)
        half = ANSWERS // 2 if stored else 0
        self.answers = {name: ANSWERS - half for name in self.rates}
        self.queue: list[str] = []
        for name in self.rates:
            done = (half, JUDGES * half)
            self.run.add(Planned(name, ANSWERS, JUDGES * ANSWERS, *done, "acme"), 0.0)
        self.run.add(JudgePlanned("j", 5 * JUDGES * ANSWERS, 5 * JUDGES * half, "court"), 0.0)
        self.now = 0.0

    def step(self) -> Progress:
        self.now += STEP_S
        if not self.stall[0] <= self.now < self.stall[1]:
            for name, rate in self.rates.items():
                for _ in range(min(self._drawn(rate), self.answers[name])):
                    self.answers[name] -= 1
                    self.run.add(AnswerSaved(name, "answered", False), self.now)
                    self.queue += [name] * JUDGES
            for _ in range(min(self._drawn(self.judging), len(self.queue))):
                name = self.queue.pop(0)
                self.run.add(JudgmentSaved(name, "j", 7.0, False), self.now)
        return self.run.progress(self.now)

    def _drawn(self, rate: float) -> int:
        """How many ends fall into a step: exponential gaps."""
        count, at = 0, self.dice.expovariate(rate)
        while at < STEP_S:
            count, at = count + 1, at + self.dice.expovariate(rate)
        return count

    @property
    def over(self) -> bool:
        return not self.queue and not any(self.answers.values())


def frames(sim: Sim) -> tuple[list[tuple[float, float, Estimate | None]], float]:
    """(time, share done, what was said) of every step, and when it really ended."""
    forecast, said = Forecast(), []
    while not sim.over:
        progress = sim.step()
        fresh = progress.done - progress.reused
        share = fresh / (progress.planned - progress.reused)
        said.append((sim.now, share, forecast.add(progress).total))
    return said, sim.now


def holds(said: Estimate, left_s: float) -> bool:
    """Does the truth round into what is shown?"""
    step = 60.0 if said.high_s < 600 else 300.0 if said.high_s < 7200 else 900.0
    return said.low_s - step / 2 <= left_s <= said.high_s + step / 2


SCENARIOS = [{"slow": bool(i & 1), "stored": bool(i & 2), "stall": bool(i & 4)} for i in range(8)]


def test_the_truth_lies_in_the_range_in_four_of_five_frames() -> None:
    """Fifty seeded runs, with a slow model, half of it stored, a stall in the middle, or all three."""
    right = all_frames = 0
    for seed in range(50):
        said, end = frames(Sim(seed, **SCENARIOS[seed % 8]))
        late = [(t, e) for t, share, e in said if share >= 0.1 and e is not None]
        right += sum(holds(e, end - t) for t, e in late)
        all_frames += len(late)
    assert all_frames > 1000
    print(right / all_frames, all_frames)
    assert right / all_frames >= 0.8
