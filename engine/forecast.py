"""When will it end, and what will it have cost: ranges, from what really happened lately.

Looks at Progress every ten seconds. What remains is divided by the quartiles of the rates of the last
five minutes, in stretches of half a minute; stored results are no rate. A model ends when its answers
have come and its judgments are made: at its own pace, or when the judges are through with all that is
left for them, whichever is earlier. The run ends with its last model: not remaining work over total
rate. Too little data, or none lately, is no forecast: a dead run must not count down. Money: see
`engine/costs.py`. Pure; time is `Progress.now_s`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
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
        self._answers: dict[str, _Pace] = {}
        self._both: dict[str, _Pace] = {}
        self._judging = _Pace()
        self._costs = Costs()
        self._sampled_s: float | None = None

    def add(self, progress: Progress) -> Outlook:
        """Take a picture in and say how it looks now."""
        now = progress.now_s
        if self._sampled_s is None or now - self._sampled_s >= SAMPLE_S:
            self._sampled_s = now
            self._costs.look(progress)
            for row in progress.models:
                pace = self._answers.setdefault(row.name, _Pace())
                pace.look(now, row.answers_done - row.answers_reused)
                self._both.setdefault(row.name, _Pace()).look(now, fresh(row))
            judged = sum(m.judgments_done - m.judgments_reused for m in progress.models)
            self._judging.look(now, judged)
        return self._outlook(progress)

    def _outlook(self, progress: Progress) -> Outlook:
        gone = {account.name.partition("#")[0] for account in progress.accounts if account.stopped}
        open_rows = [row for row in progress.models if remaining(row)]
        going = [row for row in open_rows if not row.stopped and row.account not in gone]
        known: dict[str, Estimate] = {}
        if progress.elapsed_s >= ENOUGH_S:
            judging = self._judging_ends(going)
            sharing = {judge.account for judge in progress.judges}
            for row in going:
                if fresh(row) >= ENOUGH_OF_ONE and row.per_minute > 0:
                    known[row.name] = self._estimate(row, judging, row.account in sharing)
        total, deciding = None, ""
        if known and sum(map(fresh, progress.models)) >= ENOUGH_RESULTS:
            deciding = max(known, key=lambda name: known[name].high_s)
            total = Estimate(max(e.low_s for e in known.values()), known[deciding].high_s)
        stopped, left_out = len(open_rows) - len(going), len(going) - len(known)
        money = self._costs.expected(progress)
        return Outlook(total, deciding, known, left_out, stopped, money)

    def _judging_ends(self, going: Sequence[ModelRow]) -> Estimate | None:
        """When the judges would be through with everything that is left for them."""
        slow, fast = self._judging.quartiles
        left = sum(_left(row)[1] for row in going)
        return Estimate(left / fast, left / slow) if fast else None

    def _estimate(self, row: ModelRow, judging: Estimate | None, shared: bool) -> Estimate:
        """`shared`: answers and judgments come from the same account."""
        answers, judgments = _left(row)
        slow, fast = self._both[row.name].quartiles
        if not fast:
            slow = fast = row.per_minute / 60.0
        together = Estimate((answers + judgments) / fast, (answers + judgments) / slow)
        slow, fast = self._answers[row.name].quartiles
        if shared or (answers and not fast):
            return _widened(together.low_s, together.high_s)
        low, high = (answers / fast, answers / slow) if answers else (0.0, 0.0)
        if judgments and judging is not None:
            low = max(low, min(together.low_s, judging.low_s))
            high = max(high, min(together.high_s, judging.high_s))
        return _widened(low, high)


def _widened(low_s: float, high_s: float) -> Estimate:
    return Estimate(low_s * (1 - LEAST_SPREAD), high_s * (1 + LEAST_SPREAD))


def _left(row: ModelRow) -> tuple[int, int]:
    """Answers and judgments that are still to come."""
    answers = max(row.answers - row.answers_done - row.answers_failed, 0)
    return answers, max(remaining(row) - answers, 0)


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
