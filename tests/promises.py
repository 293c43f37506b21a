"""What must hold after every session of a simulated day, whatever the weather was.

The numbers are those of the invariants: I1 nothing acknowledged is lost, I2 one final record a trial, I4
nothing is paid twice, I5 money is the providers' own count, I6 politeness, I7 every answer is the answer
to its own question, I8 it ends, I12 a score is the judge's own, I14 the outcome is what the journal says.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.catalog import accounts_of
from data.prices import cost
from data.schema import Answer, Failure, Intent, Judgment, ProviderSpec, Settled, Trial, Usage
from engine.purse import Party
from engine.retry import LONGEST_TOLD_S
from tests.weather import BILLED_UNSEEN, Exchange, digest, said

if TYPE_CHECKING:
    from tests.day import Played

HAIR_S = 1e-6
EPOCH_S = 1.8e9
"""The true wall time at second 0 of the day."""
COUNTED = frozenset(
    {"500", "502 page", "503 told", "reset", "hang", "error in 200", *BILLED_UNSEEN}
)
"""Faults that take an attempt and a retry from the budget."""
TOLD = ("told", "told date", "told body", "limit 429")
STOPS = ("dead key", "no quota", "long told")


class Ledger:
    """What is known of the run from all sessions so far."""

    def __init__(self) -> None:
        self.final: dict[Trial, Answer | Judgment] = {}
        self.failed: set[Trial] = set()
        self.spent = self.estimated = self.open = 0
        """Nano-units by the journal's own lines."""
        self.billed = 0
        """By the providers' count: all they charge for, seen or not."""


def check_session(played: Played, ledger: Ledger) -> None:
    """All that can be said after one session. Raises AssertionError."""
    _records(played, ledger)
    _attempts_match(played, ledger)
    _limits(played)
    _told_waits(played)
    _stops(played)
    _retries(played)
    _outcome(played, ledger)


def check_end(played: Played, ledger: Ledger) -> None:
    """The sweep is complete, and holds what a calm day would have brought."""
    models = {m.name: m.model for m in played.loaded.sweep.models}
    for question in played.loaded.benchmark.questions:
        for name, model in models.items():
            trial = Trial(kind="answer", question_id=question.id, candidates=((name, 0),))
            answer = ledger.final[trial]
            text, finish = said(digest(f"{model} {question.text}".encode()), judges=False)
            states = {"stop": "answered", "length": "truncated", "content_filter": "refused"}
            assert isinstance(answer, Answer)
            assert (answer.response.text, answer.state) == (text, states[finish]), "I13"
    answers = [r for r in ledger.final.values() if isinstance(r, Answer)]
    judgments = [r for r in ledger.final.values() if isinstance(r, Judgment)]
    judged = sum(answer.state != "refused" for answer in answers)
    assert len(judgments) == judged, "I2 a judgment for every answer that can be judged"


# --- the journal -------------------------------------------------------------------------------


def _records(played: Played, ledger: Ledger) -> None:
    """One final record a trial, nothing asked after it, and every word in its place."""
    seen: dict[str, int] = Counter()
    for record in played.records:
        if isinstance(record, Intent):
            assert record.trial not in ledger.final, f"I4 asked for again: {record.trial}"
        elif isinstance(record, Answer | Judgment):
            assert record.trial not in ledger.final, f"I2 a second record: {record.trial}"
            ledger.final[record.trial] = record
            ledger.failed.discard(record.trial)
            seen["final"] += 1
        elif isinstance(record, Failure):
            assert record.trial not in ledger.final, f"I2 a failure after it was done: {record}"
            ledger.failed.add(record.trial)
        if isinstance(record, Judgment):
            _score(record)


def _score(record: Judgment) -> None:
    """The verdict is in the last reply, and nothing else is a verdict."""
    text = record.asks[-1].text
    stated = None if record.verdict is None else record.verdict.score
    if text.startswith("no verdict"):
        assert stated is None, "I12 a score out of nothing"
    else:
        assert text == f"{{'综合得分': {stated:g}}}", f"I12 {text} is not {stated}"


def _attempts_match(played: Played, ledger: Ledger) -> None:
    """Intents are the exchanges, in order; what was settled is what the provider says it billed."""
    intents = {r.id: r for r in played.records if isinstance(r, Intent)}
    settled = {r.id: r for r in played.records if isinstance(r, Settled)}
    exchanges = dict(enumerate(played.exchanges, start=1))
    assert list(intents) == list(range(1, len(intents) + 1)), "I5 intents out of order"
    if not played.died:
        assert len(intents) == len(exchanges), "I5 an exchange without its intent"
    elif "power" not in (played.sitting.ending, played.sitting.fault):
        assert 0 <= len(intents) - len(exchanges) <= 1, "I5 an exchange without its intent"
    assert settled.keys() <= intents.keys()
    for number, intent in intents.items():
        one = exchanges.get(number)
        end = settled.get(number)
        ledger.open += 0 if end else intent.reserve or 0
        if end is not None and end.cost is not None:
            if end.estimated:
                ledger.estimated += end.cost
            else:
                ledger.spent += end.cost
        if one is not None:
            one.work = (intent.trial, intent.ask)
            assert one.account == intent.account
            _settled_rightly(played, one, intent, end, ledger)
    _own_words(played, exchanges)


def _settled_rightly(
    played: Played, one: Exchange, intent: Intent, end: Settled | None, ledger: Ledger
) -> None:
    judge, model = intent.trial.judge, intent.trial.model
    party: Party = ("judge", judge) if judge else ("generate", model)
    price = played.loaded.terms.own.get(party)
    charge = 0
    if price is not None and one.billed is not None:
        charge = cost(price, Usage(*one.billed))
        assert intent.reserve is not None
        assert charge <= intent.reserve, "I5 the worst case was not the worst"
    ledger.billed += charge
    if end is None:
        return
    delivered = one.status == 200 and one.fate in ("sound", "slow") and end.error == ""
    useless = one.fate == "no choices" and end.error == "BadReply"  # and yet it tells its usage
    assert (end.usage is not None) == (delivered or useless), f"I5 {one} {end}"
    if end.usage is not None:
        assert (end.usage.input_tokens, end.usage.output_tokens) == one.billed, "I5 tokens"
        assert end.cost == (None if price is None else charge), "I5 cost"
    if price is not None and one.billed is not None:
        assert end.cost is not None
        assert end.cost >= charge, f"I5 booked less than was billed: {one} {end}"


def _own_words(played: Played, exchanges: dict[int, Exchange]) -> None:
    """A result stands behind the end of its own exchange, and holds what was said there."""
    for before, record in zip(played.records, played.records[1:], strict=False):
        if not isinstance(before, Settled) or before.error:
            continue
        one = exchanges.get(before.id)
        if one is None:
            continue
        if isinstance(record, Answer) and not record.response.cached:
            assert record.response.text == one.text, "I7"
        elif isinstance(record, Judgment) and not record.asks[-1].cached:
            assert record.asks[-1].text == one.text, "I7"


# --- politeness --------------------------------------------------------------------------------


def _accounts(played: Played) -> Iterable[tuple[ProviderSpec, list[Exchange]]]:
    by_account: dict[str, list[Exchange]] = defaultdict(list)
    for one in played.exchanges:
        by_account[one.account].append(one)
    for spec in played.loaded.sweep.providers:
        for account in accounts_of(spec):
            yield account, by_account[account.name]


def _limits(played: Played) -> None:
    """Requests in any second, minute and day, and calls in flight, as the sweep file has them."""
    for spec, sent in _accounts(played):
        times = [one.at_s for one in sent]
        if spec.rpm is not None:
            _window(times, 60.0, max(1, math.ceil(spec.rpm)), f"I6 {spec.name} rpm")
            _window(times, 1.0, max(1, math.ceil(spec.rpm / 60)), f"I6 {spec.name} rpm, a second")
        if spec.rpd is not None:
            _window(times, 86_400.0, int(spec.rpd), f"I6 {spec.name} rpd")
        changes = sorted((t, d) for o in sent for t, d in ((o.at_s, 1), (o.ended_s, -1)))
        flying = 0
        for _, change in changes:
            flying += change
            assert flying <= spec.concurrency, f"I6 {spec.name}: {flying} in flight"


def _window(times: list[float], span_s: float, most: int, what: str) -> None:
    for first, last in zip(times, times[most:], strict=False):
        assert last - first >= span_s - HAIR_S, f"{what}: more than {most} from {first} to {last}"


def _told_waits(played: Played) -> None:
    """After a 429 that says when, nothing goes to that account before."""
    for spec, sent in _accounts(played):
        told = [o for o in sent if o.status == 429 and 0 < o.told_s <= LONGEST_TOLD_S]
        for one in told:
            end_s = one.ended_s + one.told_s - HAIR_S
            early = [o for o in sent if one.ended_s < o.at_s < end_s]
            assert not early, f"I6 {spec.name}: {early[0]} came before the end of {one}"


def _stops(played: Played) -> None:
    """After a reply that stops an account, a model or a request, nobody asks there again."""
    for spec, sent in _accounts(played):
        ends = [one.ended_s for one in sent if one.fate in STOPS and one.status]
        ends += [o.ended_s for o in sent if o.status == 429 and o.told_s > LONGEST_TOLD_S]
        late = [one for one in sent if ends and one.at_s > min(ends)]
        assert not late, f"I6 {spec.name} was asked after it was stopped: {late[0]}"
    last: dict[object, Exchange] = {}
    for one in played.exchanges:
        before = last.get(one.work) if one.work else None
        if before is not None and before.fate == "bad request" and before.ended_s <= one.at_s:
            raise AssertionError(f"I6 sent again after it was refused for good: {one}")
        last[one.work] = one


def _retries(played: Played) -> None:
    """Retries within their budget, attempts of an ask within theirs."""
    sweep = played.loaded.sweep
    failed: Counter[object] = Counter()
    for spec in sweep.providers:
        names = {account.name for account in accounts_of(spec)}
        retries = first = 0
        seen: dict[object, Exchange] = {}
        for one in (o for o in played.exchanges if o.account in names and o.work):
            before = seen.get(one.work)
            seen[one.work] = one
            failed[one.work] += one.fate in COUNTED
            if before is None or before.fate == "sound":  # once more with a larger cap is new work
                first += 1
            elif before.fate in COUNTED and before.ended_s <= one.at_s:
                retries += 1
                passed_s = one.at_s - played.started_s
                most = len(names) * (10 + passed_s / 10) + first / 10
                assert retries <= most + HAIR_S, f"I6 {spec.name}: retry {retries} of {most:.1f}"
    most_failed = sweep.attempts * (2 if sweep.hedge else 1) * 2
    for work, count in failed.items():
        assert count <= most_failed, f"I6 {work} failed {count} times"


# --- politeness over several sessions ----------------------------------------------------------


@dataclass
class Sent:
    """One request as a later session can know it: by its lines in the journal."""

    at_s: float
    held: int
    """Tokens that were reserved for it."""
    told_until_s: float = 0.0
    ended_s: float = math.inf
    took: int = 0
    """What it took, since `ended_s`."""


class Lately:
    """What the journal can tell a session of those before it: all whose clock was not slower."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Sent]] = defaultdict(list)
        self.slowest_s = -math.inf
        """The wall clock's smallest lead over the true time since `sent` begins."""


def check_across(played: Played, lately: Lately) -> None:
    """No limit is exceeded in any window, and no told wait cut short, whoever sent the requests.

    A wall clock that was set forward between two sessions lets the first look older than it is.
    """
    lead_s = played.sitting.wall_s
    if lead_s > lately.slowest_s:
        lately.sent.clear()
    lately.slowest_s = lead_s
    mine = _sent(played)
    for spec in (a for p in played.loaded.sweep.providers for a in accounts_of(p)):
        before = lately.sent[spec.name]
        _keeps_waits(spec.name, before, mine[spec.name])
        _keeps_tokens(spec, [*before, *mine[spec.name]])
        times = [one.at_s for one in (*before, *mine[spec.name])]
        if spec.rpm is not None:
            _window(times, 60.0, max(1, math.ceil(spec.rpm)), f"I6 {spec.name} rpm, resumed")
            second = max(1, math.ceil(spec.rpm / 60))
            _window(times, 1.0, second, f"I6 {spec.name} rpm, a second, resumed")
        if spec.rpd is not None:
            _window(times, 86_400.0, int(spec.rpd), f"I6 {spec.name} rpd, resumed")
        before += mine[spec.name]


def _sent(played: Played) -> dict[str, list[Sent]]:
    """By account, what this session's lines say that it sent, at true times."""
    found: dict[str, list[Sent]] = defaultdict(list)
    by_number: dict[int, Sent] = {}
    for record in played.records:
        if isinstance(record, Intent):
            true_s = played.started_s + record.t_s - _first_wall_s(played)
            one = Sent(true_s, record.input_tokens + record.output_tokens)
            by_number[record.id] = one
            found[record.account].append(one)
        elif isinstance(record, Settled):
            one, exchange = by_number[record.id], played.exchanges[record.id - 1]
            if exchange.status == 429 and 0 < exchange.told_s <= LONGEST_TOLD_S:
                one.told_until_s = exchange.ended_s + exchange.told_s
            if record.usage is not None or exchange.status in range(400, 500):
                usage = record.usage or Usage()
                one.ended_s, one.took = exchange.ended_s, usage.input_tokens + usage.output_tokens
    return found


def _first_wall_s(played: Played) -> float:
    """The wall clock at the start of the session."""
    return EPOCH_S + played.started_s + played.sitting.wall_s


def _keeps_waits(account: str, before: list[Sent], mine: list[Sent]) -> None:
    for one in before:
        early = [o for o in mine if o.at_s < one.told_until_s - HAIR_S]
        assert not early, (
            f"I6 {account}: {early[0]} came before the end of {one}, in a session before"
        )


def _keeps_tokens(spec: ProviderSpec, sent: list[Sent]) -> None:
    """When a call goes out, what is known of the last minute and held for it is within the limit."""
    if spec.tpm is None:
        return
    first = 0
    for last, one in enumerate(sent):
        while sent[first].at_s <= one.at_s - 60.0 + HAIR_S:
            first += 1
        window = sent[first : last + 1]
        known = sum(
            o.took if o.ended_s < one.at_s else min(o.held, o.took or o.held) for o in window
        )
        assert known <= spec.tpm, f"I6 {spec.name}: {known} tokens/min at {one}"


# --- the end -----------------------------------------------------------------------------------


def _outcome(played: Played, ledger: Ledger) -> None:
    """What the session says of itself is what the journal says, and what the providers billed."""
    assert ledger.spent + ledger.estimated + ledger.open >= 0
    lost = "power" in (played.sitting.ending, played.sitting.fault) and played.died
    booked = ledger.spent + ledger.estimated + ledger.open
    if lost:  # intents are not synced: what a power cut takes from the books is known to nobody
        ledger.billed = min(ledger.billed, booked)
    assert ledger.billed <= booked, "I5 the providers billed more than the books say"
    if played.outcome is None:
        return
    total = played.outcome.spent.total
    if not played.disk.failed:  # else the end of an attempt may be known and yet not written
        assert (total.spent, total.estimated) == (ledger.spent, ledger.estimated), "I5 resumed sums"
        assert total.possibly_billed + total.reserved == ledger.open, "I5 open ends"
    assert total.overshoot == 0
    if played.outcome.state == "complete":
        assert not ledger.failed, "I14"
        assert played.outcome.trouble == "", "I14"
    if played.disk.failed:
        assert played.outcome.trouble, "I14 the disk failed, and nobody was told"
