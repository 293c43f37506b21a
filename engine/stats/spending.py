"""What judging cost, repeat by repeat. A fold over the journal's records; it opens nothing."""

from __future__ import annotations

from collections import Counter

from data.schema import Intent, Record, Settled, Trial
from engine.money import Amount


class JudgingMoney:
    """Sums of what the judgments' attempts cost. Unknown prices are counted, never 0."""

    def __init__(self) -> None:
        self._open: dict[int, Trial] = {}
        self._nano: Counter[tuple[str, int, str]] = Counter()
        self._unknown: Counter[tuple[str, int]] = Counter()

    def watch(self, record: Record) -> None:
        """Take note of a judgment's attempt and its end; anything else is let pass."""
        if isinstance(record, Intent):
            self._open.pop(record.id, None)  # numbers begin anew in each session
            if record.trial.kind == "judgment":
                self._open[record.id] = record.trial
        elif isinstance(record, Settled):
            trial = self._open.pop(record.id, None)
            if trial is not None:
                self._enter(trial, record)

    def after(self, judge: str, repeats: int) -> tuple[Amount, ...]:
        """What this judge's judgments after its first so many repeats cost, by currency.

        Empty where nothing is known, or any of it is not.
        """
        if any(name == judge and repeat >= repeats for name, repeat in self._unknown):
            return ()
        sums: Counter[str] = Counter()
        for (name, repeat, currency), nano in self._nano.items():
            if name == judge and repeat >= repeats:
                sums[currency] += nano
        return tuple(Amount(nano, currency) for currency, nano in sorted(sums.items()) if nano)

    def _enter(self, trial: Trial, end: Settled) -> None:
        if end.cost is not None:
            self._nano[trial.judge, trial.repeat, end.currency] += end.cost
        elif not end.error:  # what was refused is free
            self._unknown[trial.judge, trial.repeat] += 1
