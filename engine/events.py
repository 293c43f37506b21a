"""What the engine tells, and the picture of a run that is folded from it (`engine/tally.py`).

The core tells, it does not print: each event is one frozen record. A few times a second the tally is
asked for a frozen `Progress`, and the console draws only that. Nothing here knows a terminal, a file
or a clock: times are handed in, in seconds of the loop's clock.

A result is told after it is durable, so a number on screen is a promise (see docs/contracts.md).
"""

from __future__ import annotations

from typing import Literal, Protocol

from data.schema import AnswerState, Struct, Usage
from engine.served import Changed

# --- events ------------------------------------------------------------------------------------


class Planned(Struct, frozen=True):
    """Once per model before work starts: how many answers and judgments this session will see."""

    model: str
    answers: int
    judgments: int
    answers_done: int = 0
    judgments_done: int = 0
    account: str = ""
    """The account that answers for this model, so that the console can say what it waits for."""
    refused: int = 0
    unscorable: int = 0
    score_sum: float = 0.0
    """Of what is done already."""


class JudgePlanned(Struct, frozen=True):
    """Once per judge before work starts: how many judgments of its this session will see."""

    judge: str
    judgments: int
    judgments_done: int = 0
    account: str = ""


class AnswerSaved(Struct, frozen=True):
    """An answer is durable. `cached`: from the response cache."""

    model: str
    state: AnswerState
    cached: bool
    usage: Usage | None = None
    latency_s: float = 0.0
    judgments_off: dict[str, int] = {}
    """Judgments that will not come because the answer was refused, by the models they are named after."""
    said: tuple[str, str, str] = ("", "", "")
    """Who really answered, as `engine.served.said_by` has it."""


class JudgmentSaved(Struct, frozen=True):
    """A judgment is durable. `score` None: unscorable after all asks."""

    model: str
    judge: str
    score: float | None
    cached: bool
    usage: Usage | None = None
    latency_s: float = 0.0
    said: tuple[str, str, str] = ("", "", "")
    asks: int = 1
    """How often the judge was asked until a verdict could be read, or until it was given up."""


class TrialFailed(Struct, frozen=True):
    """A trial ended in an error that is recorded; the next run tries it again."""

    model: str
    kind: Literal["answer", "judgment"]
    error: str
    judge: str = ""
    message: str = ""
    """What went wrong, as one safe line."""


class Replanned(Struct, frozen=True):
    """Judgments of a model that are wanted after all (more than 0), or not any more (less)."""

    model: str
    judgments: int


class Retrying(Struct, frozen=True):
    """An attempt failed and the trial waits `wait_s` seconds in its account's timed queue."""

    account: str
    model: str
    error: str
    wait_s: float


class Hedged(Struct, frozen=True):
    """A straggler was sent twice; `second_won`: the copy was answered first."""

    account: str
    model: str
    second_won: bool


class Stopped(Struct, frozen=True):
    """An account or a model will not be asked again in this session; its trials stay pending."""

    scope: Literal["model", "account"]
    name: str
    error: str
    message: str


class Noted(Struct, frozen=True):
    """A sentence for the log: something a user may want to know."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


Event = (
    Planned
    | JudgePlanned
    | AnswerSaved
    | JudgmentSaved
    | TrialFailed
    | Replanned
    | Retrying
    | Hedged
    | Stopped
    | Noted
)


class Listener(Protocol):
    """Anything that wants to hear events."""

    def __call__(self, event: Event, /) -> None: ...


# --- the picture -------------------------------------------------------------------------------


class AccountView(Struct, frozen=True):
    """One account now, as `engine/accounts.py` reports it."""

    name: str
    in_flight: int
    concurrency: int
    rpm: float | None
    waiting: str = ""
    """Why its next call waits and for how long, such as "requests/min 60, 0.8 s"; empty: it does not."""
    queued: int = 0
    stopped: str = ""
    calls: int = 0
    """Calls of this session that have ended, 429s left out."""
    bound_s: float | None = None
    """The shortest time in which these could have been made; None: none was, or limits changed."""
    bound_by: str = ""
    """The constraint that makes it, such as "requests/min 60"."""
    limits_changed: bool = False
    remedy: str = ""
    """Of an account that is stopped: what its user can do, such as "auth 401: check OPENAI_API_KEY"."""


class ModelRow(Struct, frozen=True):
    """One model's line on the console."""

    name: str
    answers: int
    answers_done: int
    answers_reused: int
    judgments: int
    judgments_done: int
    judgments_reused: int
    failed: int
    refused: int
    retries: int
    unscorable: int
    mean_score: float | None
    per_minute: float
    """Answers and judgments finished in the last 60 s, cached ones left out."""
    stopped: str = ""
    account: str = ""
    answers_failed: int = 0
    """Of `failed`: answers, whose judgments can never come."""
    saved_ago_s: float | None = None
    """Seconds since this model's last result became durable in this session."""
    cached: int = 0
    """Of what is reused: results of the response cache; the others are the journal's."""
    in_flight: int = 0
    """Calls of this model itself, its judges' left out."""
    p50_s: float | None = None
    """Median and 95th percentile of its last answers' latencies; None: too few came."""
    p95_s: float | None = None


class JudgeRow(Struct, frozen=True):
    """One judge's line on the console."""

    name: str
    done: int
    unscorable: int
    per_minute: float
    account: str = ""
    judgments: int = 0
    """Planned for this session, those that earlier sessions did included; 0: not known."""
    asked_again: int = 0
    """Asks beyond the first, of verdicts that could not be read."""
    in_flight: int = 0
    reused: int = 0
    """Of `done`: what was stored before."""


class LogLine(Struct, frozen=True):
    """A line of the event log; `t_s` in seconds of the loop's clock."""

    t_s: float
    level: str
    text: str


class MoneyView(Struct, frozen=True, kw_only=True):
    """What a run has cost, earlier sessions included. Amounts in nano-units of `currency`."""

    currency: str
    booked: int
    """Spent, estimated and possibly billed."""
    limit: int | None = None
    """The ceiling of the whole run, if there is one."""
    calls: int = 0
    unpriced: int = 0
    """Calls of unknown price, which no amount has."""
    by_party: dict[str, int] = {}
    """Booked, by the names of models and judges."""
    reserved: int = 0
    """The worst case of all calls in flight."""
    unpriced_parties: int = 0
    """Models and judges that have made calls of unknown price."""
    waiting: int = 0
    """Calls that wait for refunds of others, because the ceiling is near."""
    others: dict[str, int] = {}
    """Booked in further currencies, which nobody gave a rate for."""


class Progress(Struct, frozen=True, kw_only=True):
    """A whole run at one moment."""

    name: str
    elapsed_s: float
    simulated: bool
    state: Literal["running", "stopping", "finished", "partial", "interrupted"]
    models: tuple[ModelRow, ...]
    judges: tuple[JudgeRow, ...]
    accounts: tuple[AccountView, ...]
    tokens_in: int
    tokens_out: int
    per_minute: float
    saved_ago_s: float | None
    """Seconds since the last result became durable."""
    log: tuple[LogLine, ...]
    """Newest first."""
    errors: tuple[tuple[str, int], ...] = ()
    """Why trials failed, with how many, most frequent first."""
    now_s: float = 0.0
    """The loop's clock when this picture was taken, as in `LogLine.t_s`."""
    hedged: int = 0
    """Stragglers that were sent twice, and how often the second copy was the faster one."""
    hedges_won: int = 0
    money: MoneyView | None = None
    """None: nobody keeps account of money."""
    served: tuple[Changed, ...] = ()
    """Who was served in several versions in this session; times are seconds since it began."""
    history: tuple[int, ...] = ()
    """Results of each past stretch of ten seconds, the oldest first."""
    grace_s: float | None = None
    """While stopping: seconds that calls in flight are still given."""

    @property
    def bound(self) -> AccountView | None:
        """The account whose lower bound is the largest: the run's own. None: there is none."""
        if any(account.limits_changed for account in self.accounts):
            return None
        bounded = [account for account in self.accounts if account.bound_s is not None]
        return max(bounded, key=lambda account: account.bound_s or 0.0, default=None)

    @property
    def planned(self) -> int:
        return sum(m.answers + m.judgments for m in self.models)

    @property
    def done(self) -> int:
        return sum(m.answers_done + m.judgments_done for m in self.models)

    @property
    def failed(self) -> int:
        return sum(m.failed for m in self.models)

    @property
    def reused(self) -> int:
        return sum(m.answers_reused + m.judgments_reused for m in self.models)

    @property
    def cached(self) -> int:
        """Of what is reused: what the response cache had."""
        return sum(m.cached for m in self.models)
