"""What is left of a sweep, with what a benchmark measured of it: the input of a prediction.

The walk is that of `plan`: what the run's journal holds is done, what the cache knows is free, prompts
are rendered and measured. What a benchmark adds: its replies teach how long the next ones will be, as a
run's own do, and per call it knows the attempts (retries, re-asks) and the money that was really booked
beside what the tokens alone would cost. Before a run holds answers, judges were measured on references;
then the estimate of their prompts is corrected by what those took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

from data.schema import Response, Struct, Timing, Trial
from engine import judging
from engine.accounts import Pool
from engine.benching import batches
from engine.benching.folder import Benched
from engine.benching.prompts import Answers, Prompts
from engine.benching.quantiles import Range
from engine.benching.stored import stored_answers
from engine.benching.targets import Target, targets_of
from engine.config import Loaded, select
from engine.estimate import OVERHEAD, vocabulary_of
from engine.expectation import Seen
from engine.measure import prompt_of
from engine.plan import Plan
from engine.prediction import Cost, predict
from engine.preview import Ahead, look_ahead
from engine.purse import OWN
from engine.streams import Options
from providers.spoken import spoken

ENOUGH = 20
"""Verdicts on models' answers that must be there before those on references are left aside."""
COMPARED = 64
"""Prompts that are rendered again, to compare their estimate with what they took."""


class Leg(Struct, frozen=True, kw_only=True):
    """What one model or judge still has to do. Money in nano-units of the budget's currency."""

    target: str
    provider: str
    calls: int
    attempts: float
    """Requests a call: retries and re-asks counted, 429s not."""
    replies: float
    """Replies a call, whether they could be read or not."""
    input_tokens: float
    output_tokens: float
    spread: float
    """Half the 95 % interval of the tokens of a call, as a share."""
    s_per_token: float = 0.0
    """How much longer a reply takes for each token more, by the replies that came."""
    on_references: bool = False
    """A judge that was only shown reference answers: verdicts on models' answers may differ in length."""
    turns: int = 1
    cost: int | None = None
    """None: the price is unknown, or in a currency without a rate."""
    cost_spread: float = 0.0
    worst_call: int | None = None
    """What the budget reserves for one request at most."""


class Left(Struct, frozen=True):
    """All that is left, and what the run has spent so far."""

    legs: tuple[Leg, ...]
    booked: int
    missing: tuple[str, ...]
    """Targets that have something to do and were not measured."""


def left(loaded: Loaded, run: Path, benched: Benched, cache_path: Path | None, *, on: date) -> Left:
    """Of the whole sweep. Raises JournalMismatch for a run that the sweep cannot go on with."""
    targets = targets_of(loaded, "both", benched.settings, on)
    timings: dict[str, list[Timing]] = defaultdict(list)
    for _, block in benched.blocks:
        for timing in block:
            timings[timing.target].append(timing)
    answers = stored_answers(run)

    telling = {target.name: _telling(target, timings[target.name], answers) for target in targets}

    def teach(plan: Plan, seen: Seen) -> None:
        for target in targets:
            for timing in telling[target.name].timings:
                _learn(plan, seen, target, timing)

    options = Options(folder=run, selection=select(loaded), generate=bool(loaded.sweep.models))
    ahead = look_ahead(loaded, options, cache_path, teach=teach)
    costs = predict(ahead.workload, loaded.sweep, loaded.terms, on=on, booked=None).costs
    by_name = {_name_of(cost): cost for cost in costs if cost.share.to_send}
    pools = {t.provider.name: Pool(t.provider, spoken(t.provider)) for t in targets}
    prompts = Prompts(loaded, answers, pools)
    legs, missing = [], []
    for target in targets:
        cost = by_name.get(target.name)
        if cost is None:
            continue
        if not timings[target.name]:
            missing.append(target.name)
            continue
        blind = target.stage == "judge" and not telling[target.name].on_answers
        seen = telling[target.name].timings
        known = _known_prompts(prompts, target, seen) if blind else 1.0
        legs.append(_leg(loaded, target, cost, timings[target.name], known, blind=blind))
    return Left(tuple(legs), _booked(ahead, loaded.terms.exchange.currency), tuple(missing))


class _Telling(Struct, frozen=True):
    """The attempts that tell what the rest will be like."""

    timings: Sequence[Timing]
    on_answers: bool


def _telling(target: Target, timings: Sequence[Timing], answers: Answers) -> _Telling:
    """Of a judge those on models' answers, if there are enough: verdicts on references are others."""
    if target.stage == "generate":
        return _Telling(timings, on_answers=True)
    real = [timing for timing in timings if answers.get(timing.question_id)]
    return _Telling(real, on_answers=True) if len(real) >= ENOUGH else _Telling(timings, False)


def _name_of(cost: Cost) -> str:
    kind = "model" if cost.share.stage == "answers" else "judge"
    return f"{kind}:{cost.share.party}"


def _booked(ahead: Ahead, currency: str) -> int:
    """Nano-units of the budget's currency; reserves that a crash left open are in it too."""
    sums = ahead.spent.sums.items()
    return sum(nano for past, (nano, _) in sums if past.currency in (currency, OWN))


def _learn(plan: Plan, seen: Seen, target: Target, timing: Timing) -> None:
    """One reply of the benchmark, as one of the run would teach it."""
    if timing.usage is None or timing.error or timing.ask or timing.salted:
        return
    models = plan.sweep.models
    name = target.party.name if target.stage == "generate" else models[0].name if models else ""
    candidates = ((name, 0),)
    if target.stage == "generate":
        trial = Trial(kind="answer", question_id=timing.question_id, candidates=candidates)
    else:
        trial = Trial(
            kind="judgment",
            question_id=timing.question_id,
            candidates=candidates,
            judge=target.party.name,
            rubric=getattr(target.party, "rubric", ""),
        )
    number = plan.number(trial)
    if number is not None:
        text = " " * timing.characters  # nobody reads it: how long it is matters
        took_s = timing.done_s - timing.sent_s
        seen.add(number, Response(text=text, usage=timing.usage, latency_s=took_s))


def _known_prompts(prompts: Prompts, target: Target, timings: Sequence[Timing]) -> float:
    """What a judge's prompts took, as a share of their estimate."""
    vocabulary = vocabulary_of(target.party.model, simulated=target.provider.simulated)
    index_of = {question.id: i for i, question in enumerate(prompts.questions)}
    plain = [t for t in timings if t.usage is not None and not t.ask and not t.salted]
    real = estimated = 0.0
    for timing in plain[:: max(1, len(plain) // COMPARED)]:
        if timing.usage is None or timing.question_id not in index_of:
            continue
        job = prompts.job(target, index_of[timing.question_id])
        assert job.case is not None
        prompt = prompt_of(judging.judge_request(job.case, 0)[0], job.http.body)
        estimated += vocabulary.tokens(prompt.size) + OVERHEAD * prompt.messages
        real += timing.usage.input_tokens
    return real / estimated if estimated else 1.0


def _leg(
    loaded: Loaded,
    target: Target,
    cost: Cost,
    timings: Sequence[Timing],
    known: float,
    *,
    blind: bool,
) -> Leg:
    share = cost.share
    calls = share.calls("likely")
    seen = _Seen(timings)
    total = None
    worst = None
    if cost.sum is not None and cost.sum.currency == loaded.terms.exchange.currency:
        price = cost.price
        total = float(cost.sum.likely)
        if price is not None and share.output.likely:
            # Only the prompts' part is corrected; the replies' lengths were seen.
            part = share.input.likely * price.input_pico
            whole = part + share.output.likely * price.output_pico
            total *= (part * known + whole - part) / whole if whole else 1.0
        total *= seen.money_factor
        worst = cost.sum.call
    return Leg(
        target=target.name,
        provider=share.provider,
        calls=calls,
        attempts=seen.attempts,
        replies=seen.replies,
        input_tokens=share.input.likely * known * seen.replies,
        output_tokens=share.output.likely * seen.replies,
        spread=_share(seen.tokens),
        s_per_token=_s_per_token(timings),
        on_references=blind,
        turns=share.turns,
        cost=None if total is None else round(total),
        cost_spread=_share(seen.costs),
        worst_call=worst,
    )


def _share(found: Range | None) -> float:
    """Half an interval relative to its middle; all of it where nothing is known."""
    return min(found.precision, 1.0) if found is not None else 1.0


def _s_per_token(timings: Sequence[Timing]) -> float:
    """Least squares within each block, so that a block's load plays no part; never below 0."""
    blocks: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for timing in timings:
        if timing.usage is not None and not timing.error:
            took_s = timing.done_s - timing.sent_s
            blocks[timing.block].append((float(timing.usage.output_tokens), took_s))
    together = spread = 0.0
    for pairs in blocks.values():
        tokens, seconds = fmean(x for x, _ in pairs), fmean(y for _, y in pairs)
        together += sum((x - tokens) * (y - seconds) for x, y in pairs)
        spread += sum((x - tokens) ** 2 for x, _ in pairs)
    return max(0.0, together / spread) if spread else 0.0


class _Seen:
    """One target's attempts, per call."""

    def __init__(self, timings: Sequence[Timing]) -> None:
        tokens: dict[tuple[int, int], float] = defaultdict(float)
        costs: dict[tuple[int, int], float] = defaultdict(float)
        sent = replies = 0
        cold: list[int] = []
        for timing in timings:
            key = timing.block, timing.call
            usage = timing.usage
            tokens[key] += usage.input_tokens + usage.output_tokens if usage else 0
            costs[key] += timing.cost or 0
            sent += timing.status != 429
            replies += usage is not None
            if timing.cold is not None and not timing.ask:
                cold.append(timing.cold)
        calls = max(len(tokens), 1)
        self.attempts, self.replies = sent / calls, replies / calls
        ones = [1.0] * len(tokens)
        self.tokens = batches.ratio(list(tokens.values()), ones)
        self.costs = batches.ratio(list(costs.values()), ones)
        plain = sum(cold) / len(cold) if cold else 0.0
        real = sum(costs.values()) / calls
        self.money_factor = real / plain if plain and real else 1.0
        """What was booked for a call beside what one reply costs without a prompt cache."""
