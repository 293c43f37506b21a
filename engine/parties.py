"""What each model and each judge of a run sent, took, cost and failed at. Fed record by record.

Tokens and money are those of attempts (retries included), states those of trials. Pure.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from data.schema import (
    Answer,
    Failure,
    Intent,
    Judgment,
    Record,
    Response,
    Result,
    Settled,
    Struct,
    Sweep,
    Trial,
    Usage,
)
from engine.plan import Plan, State
from engine.purse import OWN, Spent
from engine.purse import Party as Who


class Party(Struct, frozen=True, kw_only=True):
    """A model as it answered, or a judge as it judged."""

    stage: str
    """generate or judge."""
    name: str
    provider: str
    model: str
    """As the provider calls it."""
    states: dict[str, int]
    """Trials by state, in lower case; only those that occur."""
    requests: int
    """HTTP exchanges begun."""
    errors: dict[str, int]
    """Exchanges that ended in an error, by its kind."""
    input_tokens: int
    output_tokens: int
    booked: dict[str, int]
    """Currency -> nano-units: spent, estimated and possibly billed."""
    unpriced: int
    """Exchanges of unknown price."""
    reused: int
    """Results that came from the cache."""
    latency_p50_s: float | None
    latency_p95_s: float | None
    served: tuple[str, ...]
    """What the provider said it had served."""


class Mishap(Struct, frozen=True, kw_only=True):
    """Trials that ended in one kind of error and were not mended later."""

    stage: str
    name: str
    error: str
    count: int
    example: str


class Timeline(Struct, frozen=True):
    """When calls came back, in seconds since the epoch, sorted."""

    answers: Sequence[float]
    judgments: Sequence[float]


class Books:
    """Takes journal lines in, in order; `close` at the end of the journal."""

    def __init__(self) -> None:
        self._accounts: dict[Who, _Account] = defaultdict(_Account)
        self._open: dict[int, Intent] = {}
        self._failed: dict[int, Failure] = {}
        self._spent = Spent()
        self._times: dict[str, array[float]] = {"generate": array("d"), "judge": array("d")}

    def enter(self, record: Record, number: int | None) -> None:
        """`number`: that of a result's trial, None for anything else."""
        self._spent.enter(record)
        if isinstance(record, Intent):
            self._open[record.id] = record
            self._accounts[_who(record.trial)].requests += 1
        elif isinstance(record, Settled):
            self._settle(record)
        elif isinstance(record, Answer | Judgment | Failure) and number is not None:
            self._result(record, number)

    def close(self) -> None:
        self._spent.close()
        self._open.clear()

    def parties(
        self, sweep: Sweep, plan: Plan, states: bytearray, hopeless: Collection[int] = ()
    ) -> tuple[Party, ...]:
        """All of the sweep's models and judges, in its order. `hopeless`: trials that will never come,
        because an answer they need was refused; they count as refused."""
        counted: dict[Who, Counter[str]] = defaultdict(Counter)
        models, judges = sweep.models, sweep.judges
        for number, state in enumerate(states):
            who: Who = (
                ("generate", models[plan.model_index(number)].name)
                if number < plan.answers
                else ("judge", judges[plan.judge_index(number)].name)
            )
            lost = state == State.PENDING and number in hopeless
            counted[who]["refused" if lost else State(state).name.lower()] += 1
        money, unpriced = self._money()
        found = []
        for stage, specs in (("generate", models), ("judge", judges)):
            for spec in specs:
                who = ("generate" if stage == "generate" else "judge", spec.name)
                own = self._accounts[who]
                own.booked, own.unpriced = money.get(who, {}), unpriced.get(who, 0)
                found.append(own.party(who, spec.provider, spec.model, dict(counted[who])))
        return tuple(found)

    def mishaps(self) -> tuple[Mishap, ...]:
        """Most frequent first."""
        kinds: dict[tuple[str, str, str], list[Failure]] = defaultdict(list)
        for failure in self._failed.values():
            kinds[*_who(failure.trial), failure.error].append(failure)
        found = [
            Mishap(stage=stage, name=name, error=error, count=len(f), example=f[-1].message)
            for (stage, name, error), f in kinds.items()
        ]
        return tuple(sorted(found, key=lambda m: (-m.count, m.stage, m.name, m.error)))

    def timeline(self) -> Timeline:
        return Timeline(sorted(self._times["generate"]), sorted(self._times["judge"]))

    def _settle(self, record: Settled) -> None:
        intent = self._open.pop(record.id, None)
        if intent is None:
            return
        who = _who(intent.trial)
        account = self._accounts[who]
        account.usage += record.usage or Usage()
        if record.error:
            account.errors[record.error] += 1
        else:
            self._times[who[0]].append(intent.t_s + record.latency_s)

    def _result(self, record: Result, number: int) -> None:
        if isinstance(record, Failure):
            self._failed[number] = record
            return
        self._failed.pop(number, None)
        account = self._accounts[_who(record.trial)]
        for reply in (record.response,) if isinstance(record, Answer) else record.asks:
            account.reply(reply)

    def _money(self) -> tuple[dict[Who, dict[str, int]], Counter[Who]]:
        money: dict[Who, dict[str, int]] = defaultdict(dict)
        unpriced: Counter[Who] = Counter()
        named = {past.currency for past in self._spent.sums} - {"", OWN}
        own = named.pop() if len(named) == 1 else "?"
        for past, (nano, calls) in self._spent.sums.items():
            who = (past.stage, past.name)
            if not past.currency:
                unpriced[who] += calls
                continue
            code = own if past.currency == OWN else past.currency
            money[who][code] = money[who].get(code, 0) + nano
        return money, unpriced


class _Account:
    """What is summed up about one party."""

    def __init__(self) -> None:
        self.requests = self.reused = self.unpriced = 0
        self.usage = Usage()
        self.errors: Counter[str] = Counter()
        self.booked: dict[str, int] = {}
        self.latencies = array("f")
        self.served: dict[str, None] = {}

    def reply(self, reply: Response) -> None:
        if reply.cached:
            self.reused += 1
        elif reply.latency_s:
            self.latencies.append(reply.latency_s)
        if reply.served_model and len(self.served) < 20:
            self.served[reply.served_model] = None

    def party(self, who: Who, provider: str, model: str, states: dict[str, int]) -> Party:
        times = sorted(self.latencies)
        return Party(
            stage=who[0],
            name=who[1],
            provider=provider,
            model=model,
            states=states,
            requests=self.requests,
            errors=dict(self.errors.most_common()),
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            booked=self.booked,
            unpriced=self.unpriced,
            reused=self.reused,
            latency_p50_s=_quantile(times, 0.5),
            latency_p95_s=_quantile(times, 0.95),
            served=tuple(self.served),
        )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of all does not exceed (nearest rank); None of nothing."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _who(trial: Trial) -> Who:
    return ("judge", trial.judge) if trial.kind == "judgment" else ("generate", trial.model)
