"""The picture of a run that nobody is at work on, or nobody can be asked about: from its journal.

The same `Progress` as a run shows of itself, so `watch` draws the same view. What a journal does not
know is left out: calls in flight, waiting, rates. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from cache.journal import at_work
from data.outline import decode_outline
from data.schema import Answer, Failure, Intent, Judgment, Limit, Record, Settled, Trial, Usage
from engine.events import JudgeRow, LogLine, ModelRow, MoneyView, Progress
from engine.plan import Ledger, Plan, State
from engine.purse import Spent
from engine.rates import Latencies
from engine.rundir import Stored, read_run, records

PAUSE_S = 300.0
"""A longer gap between two calls is time in which nobody was at work."""
LOG_LINES = 50


def looked_back(folder: Path, now_s: float) -> Progress:
    """Where the run stands. Raises DataError for a journal that cannot be read."""
    stored = read_run(folder)
    seen = _Seen(stored)
    for record in records(folder, decode=decode_outline):
        seen.enter(record)
    return seen.progress(now_s, busy=at_work(folder))


class _Seen:
    """Counters over a journal's lines, in order."""

    def __init__(self, stored: Stored) -> None:
        self._stored, self._plan = stored, Plan(stored.sweep, stored.benchmark)
        self._ledger, self._spent = Ledger(self._plan), Spent()
        self._usage = Usage()
        self._worked_s, self._last_s = 0.0, stored.header.created_s
        self._failures: dict[Trial, Failure] = {}
        self._cached: Counter[str] = Counter()
        self._asked_again: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        self._log: list[LogLine] = []

    def enter(self, record: Record) -> None:
        """One line."""
        self._ledger.enter(record, 0, 0)
        self._spent.enter(record)
        match record:
            case Intent():
                self._at(record.t_s)
                self._retries[record.trial.model] += record.attempt > 1
            case Settled():
                self._usage += record.usage or Usage()
            case Answer():
                self._failures.pop(record.trial, None)
                if record.response.latency_s > 0 and not record.response.cached:
                    self._latencies[record.trial.model].add(record.response.latency_s)
                self._cached[record.trial.model] += record.response.cached
            case Judgment():
                self._failures.pop(record.trial, None)
                self._asked_again[record.trial.judge] += len(record.asks) - 1
                self._cached[record.trial.model] += record.asks[-1].cached
            case Failure():
                self._failures[record.trial] = record
            case Limit():
                text = f"{record.account}: {record.name} is now {record.value:g} ({record.source})"
                self._log.append(LogLine(record.t_s, "info", text))

    def _at(self, t_s: float) -> None:
        gap = t_s - self._last_s
        self._worked_s += gap if 0 < gap <= PAUSE_S else 0.0
        self._last_s = max(self._last_s, t_s)

    def progress(self, now_s: float, *, busy: bool) -> Progress:
        self._spent.close()
        plan, sweep = self._plan, self._stored.sweep
        hopeless = self._ledger.hopeless()
        models = tuple(self._model(i, hopeless) for i in range(len(sweep.models)))
        whole = not any(self._ledger.owed(n) for n in range(len(plan)) if n not in hopeless)
        reasons = Counter(f"{f.error}: {f.message}" for f in self._failures.values())
        log = [
            LogLine(self._last_s, "warning", f"{count:,} x failed: {reason}")
            for reason, count in reasons.most_common()
        ]
        return Progress(
            name=sweep.name,
            elapsed_s=self._worked_s,
            simulated=any(p.simulated for p in sweep.providers),
            state="running" if busy else "finished" if whole else "interrupted",
            models=models,
            judges=tuple(self._judge(i, hopeless) for i in range(len(sweep.judges))),
            accounts=(),
            tokens_in=self._usage.input_tokens,
            tokens_out=self._usage.output_tokens,
            per_minute=0.0,
            saved_ago_s=max(now_s - self._last_s, 0.0),
            log=(*log, *reversed(self._log))[:LOG_LINES],
            errors=tuple(reasons.most_common()),
            now_s=now_s,
            money=self._money(),
        )

    def _model(self, index: int, hopeless: set[int]) -> ModelRow:
        """One model's line."""
        plan, states, name = self._plan, self._ledger.states, self._stored.sweep.models[index].name
        answers = list(plan.answer_numbers([index], range(len(plan.items))))
        judgments = [j for a in answers for j in plan.named_after(a) if j not in hopeless]
        failed = sum(states[n] == State.FAILED for n in (*answers, *judgments))
        scored = sum(states[n] == State.JUDGED for n in judgments)
        p50_s, p95_s = self._latencies[name].quantiles()
        return ModelRow(
            name=name,
            answers=len(answers),
            answers_done=sum(states[n] > State.FAILED for n in answers),
            answers_reused=0,
            judgments=len(judgments),
            judgments_done=sum(states[n] > State.FAILED for n in judgments),
            judgments_reused=self._cached[name],
            failed=failed,
            refused=sum(states[n] == State.REFUSED for n in answers),
            retries=self._retries[name],
            unscorable=sum(states[n] == State.UNSCORABLE for n in judgments),
            mean_score=self._ledger.score_sum(judgments) / scored if scored else None,
            per_minute=0.0,
            account=self._stored.sweep.models[index].provider,
            answers_failed=sum(states[n] == State.FAILED for n in answers),
            cached=self._cached[name],
            p50_s=p50_s,
            p95_s=p95_s,
        )

    def _judge(self, index: int, hopeless: set[int]) -> JudgeRow:
        """One judge's line."""
        plan, states = self._plan, self._ledger.states
        spec = self._stored.sweep.judges[index]
        numbers = [
            n
            for n in range(plan.answers, len(plan))
            if n not in hopeless and plan.judge_index(n) == index
        ]
        return JudgeRow(
            spec.name,
            sum(states[n] > State.FAILED for n in numbers),
            sum(states[n] == State.UNSCORABLE for n in numbers),
            0.0,
            account=spec.provider,
            judgments=len(numbers),
            asked_again=self._asked_again[spec.name],
        )

    def _money(self) -> MoneyView | None:
        """What was paid in each currency, the one of most calls first; None where there is none.

        Worst cases in the budget's own currency are left out where that has no other name.
        """
        booked: dict[str, Counter[str]] = {}
        counts: Counter[str] = Counter()
        for past, (nano, count) in self._spent.sums.items():
            counts[past.currency] += count
            if past.currency:
                booked.setdefault(past.currency, Counter())[past.name] += nano
        own = booked.pop("own", Counter())
        if not booked:
            return None
        first, *others = sorted(booked, key=lambda code: (-counts[code], code))
        if not others:
            booked[first] += own
        return MoneyView(
            currency=first,
            booked=booked[first].total(),
            calls=counts.total(),
            unpriced=counts[""],
            by_party=dict(booked[first]),
            others={code: booked[code].total() for code in others},
        )
