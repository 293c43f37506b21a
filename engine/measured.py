"""What an earlier run of a sweep tells about its providers: how fast they answered, and at what length.

The time of a reply is brought to that of 200 tokens with the simulator's own formula, so that what is
fitted here is what is played there: median and sigma of a log-normal, per provider. Lengths are learned as
`plan` learns them (`engine/expectation.py`). Replies from the cache tell no time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from statistics import median, pstdev

from data.errors import DataError
from data.schema import Answer, Judgment, Record, Response, Struct, Sweep
from engine.expectation import Seen
from engine.identity import compare
from engine.plan import Plan
from engine.rundir import read_run, records
from engine.standins import Pace
from providers.simulator import length_factor

ENOUGH = 20
"""Replies of a provider below which its times are not believed."""
SPREADS = (0.05, 1.5)
"""Sigma is kept within: a handful of equal replies, or one stall, is no distribution."""


class Earlier(Struct, frozen=True):
    """An earlier run, as far as it tells anything."""

    paces: dict[str, Pace] = {}
    """By provider."""
    seen: Seen | None = None
    note: str = ""
    """Why nothing was read from a run that is there."""


def measured_in(folder: Path, plan: Plan) -> Earlier:
    """What the run in `folder` tells; nothing if there is none. Changes nothing.

    A run that cannot be read, or that is another sweep's, is no reason to fail: the note says so.
    """
    if not (folder / "journal.jsonl").is_file():
        return Earlier()
    seen, times = Seen(plan), _Times(plan.sweep)
    try:
        if compare(read_run(folder).sweep, plan.sweep).refused:
            return Earlier(note=f"{folder} is a run of another sweep: its times were not used")
        for record in records(folder):
            seen.enter(record)
            times.enter(record)
    except DataError as error:
        return Earlier(note=f"no times were read from {folder}: {error.reason}")
    return Earlier(times.paces(), seen)


class _Times:
    """Times of replies by provider, each as if it had had 200 tokens."""

    def __init__(self, sweep: Sweep) -> None:
        self._models = {model.name: model.provider for model in sweep.models}
        self._judges = {judge.name: judge.provider for judge in sweep.judges}
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    def enter(self, record: Record) -> None:
        """A line of the journal: an answer, or a judgment with all its asks."""
        if isinstance(record, Answer):
            self._add(self._models.get(record.trial.model), record.response)
        elif isinstance(record, Judgment):
            for reply in record.asks:
                self._add(self._judges.get(record.trial.judge), reply)

    def paces(self) -> dict[str, Pace]:
        """Of every provider that replied often enough."""
        found = {}
        for provider, times in self._times.items():
            if len(times) >= ENOUGH:
                spread = min(max(pstdev(map(math.log, times)), SPREADS[0]), SPREADS[1])
                found[provider] = Pace(median(times), spread, len(times))
        return found

    def _add(self, provider: str | None, reply: Response) -> None:
        if provider and reply.usage is not None and reply.latency_s > 0 and not reply.cached:
            seconds = reply.latency_s / length_factor(reply.usage.output_tokens)
            self._times[provider].append(seconds)
