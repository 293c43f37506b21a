"""When will it end: a range, from what really happened in the last five minutes.

Samples Progress every ten seconds. Per model: what remains, divided by the quartiles of its recent
rate; stored results are no rate. The run ends with its last model, so the whole is the model that
takes longest, not remaining work over total rate. Too little data, or none lately, is no forecast:
a dead run must not count down. Pure; time is `Progress.now_s`.
"""

from __future__ import annotations

from collections import deque

from data.schema import Struct
from engine.events import ModelRow, Progress

SAMPLE_S = 10.0
WINDOW_S = 300.0
ENOUGH_S = 60.0
ENOUGH_RESULTS = 30
"""In the whole run, before anything is said about its end."""
ENOUGH_OF_ONE = 5
"""Of one model, before it takes part."""


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
    """Models with work left of which nothing can be said: stopped, standing, hardly begun."""


class Forecast:
    """Recent rates per model, and the outlook they give."""

    def __init__(self) -> None:
        self._rates: dict[str, deque[float]] = {}
        self._sampled_s: float | None = None

    def add(self, progress: Progress) -> Outlook:
        """Take a picture in and say how it looks now."""
        due = self._sampled_s is None or progress.now_s - self._sampled_s >= SAMPLE_S
        if due:
            self._sampled_s = progress.now_s
            for row in progress.models:
                length = int(WINDOW_S / SAMPLE_S)
                self._rates.setdefault(row.name, deque(maxlen=length)).append(row.per_minute)
        return self._outlook(progress)

    def _outlook(self, progress: Progress) -> Outlook:
        open_rows = [row for row in progress.models if remaining(row)]
        enough = progress.elapsed_s >= ENOUGH_S
        models = {
            row.name: self._estimate(row)
            for row in open_rows
            if enough and fresh(row) >= ENOUGH_OF_ONE and row.per_minute > 0 and not row.stopped
        }
        left_out = len(open_rows) - len(models)
        if not models or sum(map(fresh, progress.models)) < ENOUGH_RESULTS:
            return Outlook(models=models, left_out=left_out)
        deciding = max(models, key=lambda name: models[name].high_s)
        total = Estimate(max(e.low_s for e in models.values()), models[deciding].high_s)
        return Outlook(total=total, deciding=deciding, models=models, left_out=left_out)

    def _estimate(self, row: ModelRow) -> Estimate:
        rates = sorted(rate for rate in self._rates[row.name] if rate > 0) or [row.per_minute]
        slow, fast = _quantile(rates, 0.25), _quantile(rates, 0.75)
        return Estimate(remaining(row) / fast * 60.0, remaining(row) / slow * 60.0)


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


def _quantile(ordered: list[float], share: float) -> float:
    """Linear between neighbours, as statistics texts have it."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
