"""Forecasts against seeded simulations: how often the truth lies in the range that is shown."""

from __future__ import annotations

import random

from engine.events import (
    AnswerSaved,
    JudgePlanned,
    JudgmentSaved,
    MoneyView,
    Planned,
    Progress,
    Stopped,
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
        self.answers = dict.fromkeys(self.rates, ANSWERS - half)
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
    assert right / all_frames >= 0.8


def test_a_run_in_which_nothing_moves_has_no_end() -> None:
    """A minute after the last result the range gives way to a dash."""
    sim = Sim(1, slow=False, stored=False, stall=False)
    forecast = Forecast()
    for _ in range(30):
        said = forecast.add(sim.step())
    assert said.total is not None
    sim.now += 70.0
    assert forecast.add(sim.run.progress(sim.now)).total is None


def test_a_model_that_was_stopped_is_named_and_not_waited_for() -> None:
    """The end is the others'."""
    sim = Sim(1, slow=False, stored=False, stall=False)
    forecast = Forecast()
    sim.run.add(Stopped("model", "m0", "UnknownModel", "404"), 0.0)
    sim.answers["m0"] = 0
    for _ in range(30):
        said = forecast.add(sim.step())
    assert (said.stopped, said.left_out) == (1, 0)
    assert said.total is not None
    assert "m0" not in said.models


def test_the_cost_of_the_whole_is_a_range_around_the_truth() -> None:
    """Each answer 1 to 3 cents, each judgment one: what was booked and what remains at that price."""
    sim, dice = Sim(3, slow=False, stored=True, stall=False), random.Random(0)
    forecast = Forecast()
    spent = {"j": 0} | dict.fromkeys(sim.rates, 0)
    before: dict[str, int] = {}
    ranges = []
    while not sim.over:
        progress = sim.step()
        for name, cents in ((n, dice.randint(1, 3)) for n in sim.rates):
            done = next(m for m in progress.models if m.name == name).answers_done
            spent[name] += (done - before.get(name, ANSWERS // 2)) * cents * 10**7
            before[name] = done
        judged = sum(m.judgments_done - m.judgments_reused for m in progress.models)
        spent["j"] = judged * 10**7
        money = MoneyView(currency="USD", booked=sum(spent.values()), by_party=dict(spent))
        said = forecast.add(sim.run.progress(sim.now, money=money)).money
        if said is not None and progress.done > 0.7 * progress.planned:
            ranges.append(said)
    truth = sum(spent.values())
    assert ranges
    assert all(said.low <= said.high for said in ranges)
    near = [0.85 * said.low <= truth <= 1.15 * said.high for said in ranges]
    assert sum(near) >= 0.9 * len(near)
