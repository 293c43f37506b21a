"""The fold over events: counters that become a Progress when asked.

Fed from the loop's thread, asked a few times a second. Memory is constant: rates are kept in buckets,
the log in a ring.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Literal

from data.schema import Usage
from engine.events import (
    AccountView,
    AnswerSaved,
    Event,
    Hedged,
    JudgePlanned,
    JudgeRow,
    JudgmentSaved,
    LogLine,
    ModelRow,
    MoneyView,
    Noted,
    Planned,
    Progress,
    Replanned,
    Retrying,
    Stopped,
    TrialFailed,
)
from engine.rates import History, Latencies, Rate
from engine.served import Served

Flying = Mapping[tuple[str, str], int]
"""Calls in flight of each ("answer" or "judgment", name of the model or judge)."""


class _Model:
    """Mutable counters of one model."""

    def __init__(self, plan: Planned) -> None:
        self.plan = plan
        self.answers_done, self.judgments_done = plan.answers_done, plan.judgments_done
        self.answers_reused, self.judgments_reused = plan.answers_done, plan.judgments_done
        self.failed = self.retries = self.judgments_off = self.cached = 0
        self.refused, self.unscorable = plan.refused, plan.unscorable
        self.answers_failed = 0
        self.saved: float | None = None
        self.score_sum = plan.score_sum
        self.scored = plan.judgments_done - plan.unscorable
        self.rate, self.latencies = Rate(), Latencies()
        self.stopped = ""


class _Judge:
    """Mutable counters of one judge."""

    def __init__(self, plan: JudgePlanned) -> None:
        self.plan = plan
        self.done = plan.judgments_done
        self.reused = plan.judgments_done
        self.unscorable = self.asked_again = 0
        self.rate = Rate()


class Tally:
    """The fold over events. One instance per run, fed from the loop's thread."""

    LOG_LINES = 50
    REASONS = 100
    """Different reasons of failures that are told apart."""

    def __init__(self, name: str, *, started: float, simulated: bool = False) -> None:
        self._name, self._started, self._simulated = name, started, simulated
        self._models: dict[str, _Model] = {}
        self._judges: dict[str, _Judge] = {}
        self._tokens_in = self._tokens_out = 0
        self._hedged = self._hedges_won = 0
        self._saved: float | None = None
        self._rate, self._history = Rate(), History(started)
        self._errors: Counter[str] = Counter()
        self._served = Served()
        self._log: deque[LogLine] = deque(maxlen=self.LOG_LINES)

    def add(self, event: Event, now: float) -> None:
        """Take one event in; `now` is the loop's clock."""
        match event:
            case Planned():
                self._models[event.model] = _Model(event)
            case JudgePlanned():
                self._judges[event.judge] = _Judge(event)
            case AnswerSaved():
                self._add_answer(event, now)
            case JudgmentSaved():
                self._add_judgment(event, now)
            case TrialFailed():
                self._add_failure(event, now)
                self._models[event.model].answers_failed += event.kind == "answer"
            case Replanned():
                if event.model in self._models:
                    self._models[event.model].judgments_off -= event.judgments
            case Retrying():
                if event.model in self._models:
                    self._models[event.model].retries += 1
            case Hedged():
                self._hedged += 1
                self._hedges_won += event.second_won
            case Stopped():
                self._add_stop(event, now)
            case Noted():
                self._log.appendleft(LogLine(now, event.level, event.text))

    def progress(
        self,
        now: float,
        accounts: tuple[AccountView, ...] = (),
        state: Literal["running", "stopping", "finished", "interrupted"] = "running",
        money: MoneyView | None = None,
        *,
        flying: Flying | None = None,
        grace_s: float | None = None,
    ) -> Progress:
        """The picture at `now`."""
        flying = flying or {}
        return Progress(
            name=self._name,
            elapsed_s=now - self._started,
            simulated=self._simulated,
            state=state,
            models=tuple(
                self._row(name, m, now, flying.get(("answer", name), 0))
                for name, m in self._models.items()
            ),
            judges=tuple(
                self._judge_row(name, j, now, flying.get(("judgment", name), 0))
                for name, j in self._judges.items()
            ),
            accounts=accounts,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            per_minute=self._rate.per_minute(now, self._started),
            saved_ago_s=None if self._saved is None else now - self._saved,
            log=tuple(self._log),
            errors=tuple(self._errors.most_common()),
            now_s=now,
            hedged=self._hedged,
            hedges_won=self._hedges_won,
            money=money,
            served=self._served.changes(),
            history=self._history.past(now),
            grace_s=grace_s,
        )

    def _add_answer(self, event: AnswerSaved, now: float) -> None:
        model = self._models[event.model]
        model.answers_done += 1
        for name, count in event.judgments_off.items():
            self._models[name].judgments_off += count
        model.refused += event.state == "refused"
        self._count(model, event.cached, event.usage, now)
        model.answers_reused += event.cached
        self._hear("generate", event.model, event, now)
        if not event.cached and event.latency_s > 0:
            model.latencies.add(event.latency_s)

    def _add_judgment(self, event: JudgmentSaved, now: float) -> None:
        model = self._models[event.model]
        model.judgments_done += 1
        model.judgments_reused += event.cached
        judge = self._judges.get(event.judge)
        if judge is None:
            judge = self._judges[event.judge] = _Judge(JudgePlanned(event.judge, 0))
        judge.done += 1
        judge.reused += event.cached
        judge.asked_again += event.asks - 1
        if event.score is None:
            model.unscorable += 1
            judge.unscorable += 1
        else:
            model.score_sum += event.score
            model.scored += 1
        if not event.cached:
            judge.rate.add(now)
        self._count(model, event.cached, event.usage, now)
        self._hear("judge", event.judge, event, now)

    def _hear(self, stage: str, name: str, event: AnswerSaved | JudgmentSaved, now: float) -> None:
        """Who really answered; a version that is new goes into the log at once."""
        at_s = None if event.cached else now - self._started
        for news in self._served.add(stage, name, event.said, at_s=at_s):
            self._log.appendleft(LogLine(now, "warning", news))

    def _count(self, model: _Model, cached: bool, usage: Usage | None, now: float) -> None:
        self._saved = model.saved = now
        if cached:
            model.cached += 1
            return
        model.rate.add(now)
        self._rate.add(now)
        self._history.add(now)
        if usage is not None:
            self._tokens_in += usage.input_tokens
            self._tokens_out += usage.output_tokens

    def _add_failure(self, event: TrialFailed, now: float) -> None:
        """Counted by its reason; a reason that is new goes into the log at once."""
        self._models[event.model].failed += 1
        reason = f"{event.error}: {event.message}" if event.message else event.error
        if reason not in self._errors and len(self._errors) >= self.REASONS:
            reason = "other reasons"
        if reason not in self._errors:
            text = f"{event.judge or event.model} failed: {reason}"
            self._log.appendleft(LogLine(now, "warning", text))
        self._errors[reason] += 1

    def _add_stop(self, event: Stopped, now: float) -> None:
        text = f"{event.name} stopped: {event.error}: {event.message}"
        self._log.appendleft(LogLine(now, "error", text))
        if event.scope == "model" and event.name in self._models:
            self._models[event.name].stopped = event.error

    def _judge_row(self, name: str, judge: _Judge, now: float, in_flight: int) -> JudgeRow:
        return JudgeRow(
            name,
            judge.done,
            judge.unscorable,
            judge.rate.per_minute(now, self._started),
            account=judge.plan.account,
            judgments=judge.plan.judgments,
            asked_again=judge.asked_again,
            in_flight=in_flight,
            reused=judge.reused,
        )

    def _row(self, name: str, model: _Model, now: float, in_flight: int) -> ModelRow:
        p50_s, p95_s = model.latencies.quantiles()
        return ModelRow(
            name=name,
            answers=model.plan.answers,
            answers_done=model.answers_done,
            answers_reused=model.answers_reused,
            judgments=model.plan.judgments - model.judgments_off,
            judgments_done=model.judgments_done,
            judgments_reused=model.judgments_reused,
            failed=model.failed,
            refused=model.refused,
            retries=model.retries,
            unscorable=model.unscorable,
            mean_score=model.score_sum / model.scored if model.scored else None,
            per_minute=model.rate.per_minute(now, self._started),
            stopped=model.stopped,
            account=model.plan.account,
            answers_failed=model.answers_failed,
            saved_ago_s=None if model.saved is None else now - model.saved,
            cached=model.cached,
            in_flight=in_flight,
            p50_s=p50_s,
            p95_s=p95_s,
        )
