"""When will it end, and what will it have cost: ranges, from what really happened lately.

Looks at Progress every ten seconds. Per model: what remains, divided by the quartiles of the rates of
the last five minutes, in stretches of half a minute; stored results are no rate. Whether judging goes
faster once all answers are there depends on who shares which limits, so the range holds both: the later
of the two stages by itself, and all that remains at the pace of both together. The run ends with its
last model: not remaining work over total rate. Too little data, or none lately, is no forecast: a dead
run must not count down. Money: see `engine/costs.py`. Pure; time is `Progress.now_s`.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from data.schema import Struct
from engine.costs import Costs, Expected, quantile
from engine.events import ModelRow, Progress

SAMPLE_S = 10.0
STRETCH = 3
"""Samples that a rate is taken over."""
KEPT = 30
"""Samples in five minutes."""
ENOUGH_S = 60.0
ENOUGH_RESULTS = 30
"""In the whole run, before anything is said about its end."""
ENOUGH_OF_ONE = 5
"""Of one model, before it takes part."""
LEAST_SPREAD = 0.05
"""However even the pace was, nobody knows the future better than that."""


class Estimate(Struct, frozen=True):
    """Seconds from now: `low_s` at the upper quartile of recent rates, `high_s` at the lower."""

    low_s: float
    high_s: float


class Outlook(Struct, frozen=True):
    """The forecast of a run. `total` None: not enough to go by."""

    total: Estimate | None = None
    deciding: str = ""
    """The model that ends last."""
    models: dict[str, Estimate] = {}
    left_out: int = 0
    """Models with work left of which nothing can be said: standing, or hardly begun."""
    stopped: int = 0
    """Models with work left that will not be done in this session."""
    money: Expected | None = None
    """What the whole run will have cost; None: not known."""


class Forecast:
    """Recent rates per model, and the outlook they give."""

    def __init__(self) -> None:
        self._paces: dict[str, tuple[_Pace, _Pace, _Pace]] = {}
        self._costs = Costs()
        self._sampled_s: float | None = None

    def add(self, progress: Progress) -> Outlook:
        """Take a picture in and say how it looks now."""
        due = self._sampled_s is None or progress.now_s - self._sampled_s >= SAMPLE_S
        if due:
            self._sampled_s = progress.now_s
            self._costs.look(progress)
            for row in progress.models:
                new = _Pace(), _Pace(), _Pace()
                answers, judgments, both = self._paces.setdefault(row.name, new)
                answers.look(progress.now_s, row.answers_done - row.answers_reused)
                judgments.look(progress.now_s, row.judgments_done - row.judgments_reused)
                both.look(progress.now_s, fresh(row))
        return self._outlook(progress)

    def _outlook(self, progress: Progress) -> Outlook:
        gone = {account.name.partition("#")[0] for account in progress.accounts if account.stopped}
        open_rows = [row for row in progress.models if remaining(row)]
        stopped = [row for row in open_rows if row.stopped or row.account in gone]
        known: dict[str, Estimate] = {}
        for row in open_rows:
            estimate = None if row in stopped else self._estimate(row, progress)
            if estimate is not None:
                known[row.name] = estimate
        left_out = len(open_rows) - len(stopped) - len(known)
        money = self._costs.expected(progress)
        few = sum(map(fresh, progress.models)) < ENOUGH_RESULTS
        total, deciding = None, ""
        if known and not few and progress.elapsed_s >= ENOUGH_S:
            deciding = max(known, key=lambda name: known[name].high_s)
            total = Estimate(max(e.low_s for e in known.values()), known[deciding].high_s)
        shown = known if progress.elapsed_s >= ENOUGH_S else {}
        return Outlook(total, deciding, shown, left_out, len(stopped), money)

    def _estimate(self, row: ModelRow, progress: Progress) -> Estimate | None:
        """None: this model has hardly begun, or finished nothing for a minute."""
        if fresh(row) < ENOUGH_OF_ONE or row.per_minute <= 0:
            return None
        answers = max(row.answers - row.answers_done - row.answers_failed, 0)
        judgments = max(remaining(row) - answers, 0)
        paces = self._paces[row.name]
        ends = [
            (left / fast, left / slow)
            for left, pace in zip((answers, judgments), paces[:2], strict=True)
            for slow, fast in (pace.quartiles,)
            if left and fast
        ]
        slow, fast = paces[2].quartiles
        if not fast:
            slow = fast = row.per_minute / 60.0
        if not ends:
            ends = [(0.0, 0.0)]
        low = min(max(end[0] for end in ends) or math.inf, (answers + judgments) / fast)
        high = max(*(end[1] for end in ends), (answers + judgments) / slow)
        return Estimate(low * (1 - LEAST_SPREAD), high * (1 + LEAST_SPREAD))


class _Pace:
    """How many a second, lately: the quartiles of stretches of half a minute."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=KEPT + 1)
        self.quartiles = 0.0, 0.0

    def look(self, now_s: float, count: int) -> None:
        self._looks.append((now_s, count))
        looks = list(self._looks)[::-1][::STRETCH][::-1]
        if len(looks) < 2:
            looks = list(self._looks)
        rates = sorted(
            (after - before) / (end - start)
            for (start, before), (end, after) in pairwise(looks)
            if after > before and end > start
        )
        if rates:
            self.quartiles = quantile(rates, 0.25), quantile(rates, 0.75)


# --- what is left ------------------------------------------------------------------------------


def resolved(row: ModelRow) -> int:
    """Trials of a model that nothing more will come of in this session, successes or not.

    An answer that failed takes its judgments with it.
    """
    judged = row.answers - row.refused  # judgments of refused answers are not counted to begin with
    per_answer = row.judgments / judged if judged else 0.0
    lost = round(row.answers_failed * per_answer)
    done = row.answers_done + row.judgments_done + row.failed + lost
    return min(done, row.answers + row.judgments)


def remaining(row: ModelRow) -> int:
    """Trials of a model that are still to come."""
    return row.answers + row.judgments - resolved(row)


def fresh(row: ModelRow) -> int:
    """Results of this session that were not stored before."""
    done = row.answers_done + row.judgments_done
    return done - row.answers_reused - row.judgments_reused
