"""What a run on disk comes to: its scores and its counts, for reports and for the end of a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from cache.journal import Decode
from data.codec import decode_record, replace
from data.outline import decode_outline
from data.schema import (
    Answer,
    Benchmark,
    Failure,
    Intent,
    Judgment,
    Record,
    Result,
    Settled,
    Struct,
    Sweep,
    Trial,
    Usage,
)
from engine.escalated import Bill
from engine.escalation import Escalations
from engine.plan import Ledger, Plan, State
from engine.purse import Spent, sums
from engine.refusals import RefusalCount, Refusals
from engine.rundir import Stored, records
from engine.scores import MIN_COVERAGE, Scores, priced, score
from engine.served import Changed, Served, dated


def results(
    folder: Path,
    watch: Callable[[Record], None] | None = None,
    *,
    decode: Decode = decode_record,
) -> Iterator[Result]:
    """Answers, judgments and failures in the order written; the last of a trial counts.

    `watch` sees every record that goes by, so that one reading of a journal can serve two ends;
    `decode` as in `cache.journal.replay`.
    """
    kinds = () if watch else ("answer", "judgment", "failure")
    for record in records(folder, kinds=kinds, decode=decode):
        if watch is not None:
            watch(record)
        if isinstance(record, Answer | Judgment | Failure):
            yield record


def scores_of(
    run: Stored,
    *,
    min_coverage: float = MIN_COVERAGE,
    watch: Callable[[Record], None] | None = None,
) -> Scores:
    """The leaderboard of a run; `watch` as in `results`."""
    return scores_in(run.folder, run.sweep, run.benchmark, min_coverage=min_coverage, watch=watch)


def scores_in(
    folder: Path,
    sweep: Sweep,
    benchmark: Benchmark,
    *,
    min_coverage: float = MIN_COVERAGE,
    watch: Callable[[Record], None] | None = None,
) -> Scores:
    """The leaderboard of the run in `folder`, for those who know what it is about."""
    decode, bill = decode_record if watch else decode_outline, Bill()
    if any(judge.escalate for judge in sweep.judges):
        watch = both(watch, bill.watch)
    found = score(
        benchmark,
        sweep.judges,
        results(folder, watch, decode=decode),
        models=[m.name for m in sweep.models],
        samples=sweep.samples,
        repeats=sweep.repeats,
        min_coverage=min_coverage,
        where=str(folder / "journal.jsonl"),
    )
    return with_times(priced(found, bill), folder)


def with_times(scores: Scores, folder: Path) -> Scores:
    """The same with the times at which versions changed; the journal is only read again if any did."""
    if not scores.served:
        return scores
    intents = records(folder, kinds=("intent",), decode=decode_outline)
    return replace(scores, served=dated(scores.served, intents))


def both(
    one: Callable[[Record], None] | None, other: Callable[[Record], None]
) -> Callable[[Record], None]:
    """Both see every record."""

    def watch(record: Record) -> None:
        if one is not None:
            one(record)
        other(record)

    return watch


class Counts(Struct, frozen=True, kw_only=True):
    """Where the trials of a run stand. `possibly_billed`: intents that were never settled."""

    answered: int
    truncated: int
    refused: int
    judged: int
    unscorable: int
    failed: int
    pending: int
    attempts: int
    possibly_billed: int
    input_tokens: int
    output_tokens: int
    reasons: tuple[tuple[str, int], ...] = ()
    """Why trials failed, with how many, most frequent first."""
    money: tuple[tuple[str, str, int], ...] = ()
    """(column, currency, nano-units): spent, estimated, possibly billed, by currency."""
    unpriced: int = 0
    """Attempts of unknown price, which no sum has."""
    refusals: tuple[RefusalCount, ...] = ()
    """Who refused what, most frequent first."""
    served: tuple[Changed, ...] = ()
    """Models and judges that were served in several versions."""
    spared: int = 0
    """Judgments that an escalating judge is not asked for."""


def counts_of(run: Stored) -> Counts:
    """One pass over the journal."""
    plan = Plan(run.sweep, run.benchmark)
    ledger = Ledger(plan)
    open_intents = attempts = 0
    spent = Usage()
    failures: dict[Trial, str] = {}
    costs = Spent()
    refusals, served = Refusals(run.sweep), Served()
    for record in records(run.folder):
        ledger.enter(record, 0, 0)
        costs.enter(record)
        if isinstance(record, Failure):
            failures[record.trial] = f"{record.error}: {record.message}"
        elif isinstance(record, Answer | Judgment):
            failures.pop(record.trial, None)
            refusals.add(record)
            served.enter(record)
        if isinstance(record, Intent):
            attempts += 1
            open_intents += 1
        elif isinstance(record, Settled):
            open_intents -= 1
            spent += record.usage or Usage()
    costs.close()
    Escalations(plan, ledger).settle()
    money, unpriced = sums(costs)
    count = ledger.count
    hopeless = sum(ledger.state(n) is State.PENDING for n in ledger.hopeless())
    return Counts(
        answered=count(State.ANSWERED),
        truncated=count(State.TRUNCATED),
        refused=count(State.REFUSED),
        judged=count(State.JUDGED),
        unscorable=count(State.UNSCORABLE),
        failed=count(State.FAILED),
        pending=count(State.PENDING) - hopeless,
        attempts=attempts,
        possibly_billed=open_intents,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        reasons=tuple(Counter(failures.values()).most_common()),
        money=money,
        unpriced=unpriced,
        refusals=refusals.counts(),
        served=dated(served.changes(), records(run.folder, kinds=("intent",))),
        spared=count(State.SPARED),
    )


def latest_judgments(run: Stored) -> Iterator[Judgment]:
    """One judgment per trial, in the plan's order: by question, then model, then judge."""
    plan = Plan(run.sweep, run.benchmark)
    last: dict[int, Judgment] = {}
    for record in results(run.folder):
        number = plan.number(record.trial)
        if number is not None and isinstance(record, Judgment):
            last[number] = record
    return (last[number] for number in sorted(last))
