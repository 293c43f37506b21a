"""A prediction on paper: lines of at most 80 cells for people, one document for programs.

What is not known is said in words, never as 0: a price, a bound, a limit, a latency nobody measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from data import codec
from data.prices import PER_MILLION, Price
from data.schema import ProviderSpec, Sweep
from engine import figures
from engine.bound import Bound, limited, slowest, together
from engine.budget import Scope
from engine.cells import cut, fit, inert
from engine.estimate import MIDDLE, Vocabulary
from engine.expectation import FIRST_TOKEN_S, TOKENS_PER_S, VERDICT
from engine.limits import WORDS
from engine.money import NANO, Amount, formatted
from engine.prediction import Cost, Fit, Prediction, Sum
from engine.reports.plain import paragraph
from engine.workload import Range, Share

SCHEMA = "alignsweep.plan/1"
COLUMNS, NAME = 80, 22
"""Cells of a line, and of a name in it."""
NO_BOUND = "no bound"

# --- for people --------------------------------------------------------------------------------


def request_lines(prediction: Prediction, sweep: Sweep) -> Iterator[str]:
    """Requests by provider, with the limits that are known."""
    for provider in sweep.providers:
        mine = prediction.workload.of(provider)
        if not mine:
            continue
        kind = " (simulated)" if provider.simulated else ""
        yield ""
        facts = (
            f"{inert(provider.name)}{kind}: {sum(s.to_send for s in mine):,} requests"
            f" ({', '.join(_limits(together(provider)))})"
        )
        yield from paragraph(facts, COLUMNS, rest="  ")
        yield from paragraph(inert(provider.base_url), COLUMNS, first="  at ")
        for share in mine:
            yield (
                f"  {share.to_send:>9,} {share.stage} by {inert(share.party)}"
                f"  ({share.done:,} done, {share.cached:,} cached)"
            )
            if share.unsure:
                basis = "as so far" if share.doubt_seen else "a guess: nothing is judged yet"
                yield (
                    f"{'':11} at most: {share.calls('low'):,} at least, likely"
                    f" {share.calls('likely'):,} ({figures.percent(share.doubt)} in doubt, {basis})"
                )


def token_lines(prediction: Prediction) -> Iterator[str]:
    """Input and output per model and judge, and where the figures come from."""
    shares = [share for share in prediction.workload.shares if share.to_send]
    if not shares:
        return
    yield ""
    yield fit("tokens", NAME) + f"{'input':>20}{'':>9}{'output':>20}"
    yield " " * NAME + f"{'low':>10}{'likely':>9}{'worst':>10}" * 2
    for share in shares:
        yield _name(share) + _tokens(share.input) + _tokens(share.output)
    if len(shares) > 1:
        work = prediction.workload
        yield fit("in all", NAME) + _tokens(work.input) + _tokens(work.output)
    yield from (f"  {line}" for line in _origins(shares))


def money_lines(prediction: Prediction) -> Iterator[str]:
    """Money per model and judge, in all, and beside each ceiling."""
    costs = [cost for cost in prediction.costs if cost.share.to_send]
    if not costs:
        return
    yield ""
    if all(cost.sum is None for cost in costs):
        yield f"money: {prediction.unpriced:,} calls of unknown price"
        return
    yield fit("money", NAME) + f"{'low':>14}{'likely':>14}{'worst':>14}   per million"
    for cost in costs:
        if cost.sum is None:
            yield f"{_name(cost.share)}  {cost.share.to_send:,} calls of unknown price"
        else:
            yield f"{_name(cost.share)}{_amounts(cost.sum)}   {_price(cost.price)}".rstrip()
    for total in prediction.totals if len(costs) > 1 else ():
        yield fit("in all", NAME) + _amounts(total)
    if prediction.unpriced:
        yield f"{fit('and', NAME)}  {prediction.unpriced:,} calls of unknown price"
    for ceiling in prediction.fits:
        yield from fit_lines(ceiling)


def time_lines(prediction: Prediction, sweep: Sweep) -> Iterator[str]:
    """The lower bound of each account, and of the sweep."""
    if not prediction.bounds:
        return
    yield ""
    yield fit("time", NAME) + f"{'at least':>10}{'likely':>10}   because of"
    for low, likely in zip(prediction.bounds, prediction.likely_bounds, strict=True):
        yield _time(inert(low.account), low, likely, likely.constraint)
    least, likeliest = slowest(prediction.bounds), slowest(prediction.likely_bounds)
    if least and likeliest and len(prediction.bounds) > 1:
        yield _time("the sweep", least, likeliest, cut(inert(likeliest.account), NAME))
    at_work = {bound.account for bound in prediction.bounds}
    free = [
        inert(p.name) for p in sweep.providers if p.name in at_work and not limited(together(p))
    ]
    if free:
        yield cut(f"  no limit is known but calls in flight: {', '.join(free)}", COLUMNS)
    if any(b.assumed for b in (*prediction.bounds, *prediction.likely_bounds)):
        yield (
            f"  ~ no call was timed yet: {FIRST_TOKEN_S:g} s a call and"
            f" {1 / TOKENS_PER_S:g} s an output token are assumed"
        )


def fit_lines(ceiling: Fit) -> Iterator[str]:
    """Does what is to come fit under a ceiling?"""
    kind, name = ceiling.scope
    scope = f"{kind} {cut(inert(name), NAME)}" if name else "the run"
    total = ceiling.sum
    yield (
        f"budget of {scope}: {_shown(ceiling.limit, total)},"
        f" {_shown(ceiling.booked, total)} of it spent"
    )
    likely = "fits" if ceiling.likely_fits else "DOES NOT FIT"
    worst = "fits" if ceiling.worst_fits else "does not fit"
    yield (
        f"  likely {_shown(total.likely, total):>14}  {likely:<12}"
        f"   worst {_shown(total.worst, total):>14}  {worst}"
    )


def left_lines(prediction: Prediction) -> Iterator[str]:
    """What a session that ran out of money left, and what the next one needs."""
    parts = [
        f"likely {_shown(total.likely, total)}, at most {_shown(total.worst, total)}"
        for total in prediction.totals
        if total.likely or total.worst != 0
    ]
    if prediction.unpriced:
        parts.append(f"{prediction.unpriced:,} of unknown price")
    first, *more = parts or ["free"]
    yield f"left      {prediction.workload.to_send:,} requests: {first}"
    yield from (f"          {part}" for part in more)
    for ceiling in prediction.fits:
        total = ceiling.sum
        if ceiling.worst_fits:
            continue
        likely, most = (_shown(_cents_up(n), total) for n in (ceiling.likely, ceiling.worst))
        yield f"budget    {_key(ceiling.scope)}: {likely} would likely do, {most} in any case"
    yield "go on     raise the budget in the sweep file, then run the same command again"


def _key(scope: Scope) -> str:
    """As the sweep file writes it."""
    kind, name = scope
    return f"{kind}s.{cut(inert(name), NAME)}" if name else "total"


def _cents_up(nano: int | None) -> int | None:
    cent = NANO // 100
    return None if nano is None else -(-nano // cent) * cent


# --- for programs ------------------------------------------------------------------------------


def document(prediction: Prediction, sweep: Sweep, *, run_folder: str) -> bytes:
    """One JSON document on one line; money in nano-units (10^-9), times in seconds."""
    work = prediction.workload
    least, likely = slowest(prediction.bounds), slowest(prediction.likely_bounds)
    both = zip(prediction.bounds, prediction.likely_bounds, strict=True)
    return (
        codec.encode(
            {
                "schema": SCHEMA,
                "name": sweep.name,
                "benchmark": sweep.benchmark,
                "run_folder": run_folder,
                "simulated": any(provider.simulated for provider in sweep.providers),
                "to_send": work.to_send,
                "cached": work.cached,
                "done": work.done,
                "input_tokens": work.input,
                "output_tokens": work.output,
                "shares": [_share(cost) for cost in prediction.costs],
                "money": [_sum(total) for total in prediction.totals],
                "unpriced_calls": prediction.unpriced,
                "budget": [_fit(ceiling) for ceiling in prediction.fits],
                "accounts": [_bounds(*pair) for pair in both],
                "sweep": _bounds(least, likely) if least and likely else None,
            }
        )
        + b"\n"
    )


def _share(cost: Cost) -> dict[str, Any]:
    share = codec.plain(cost.share)
    share["input_tokens"], share["output_tokens"] = share.pop("input"), share.pop("output")
    return {**share, "money": _sum(cost.sum) if cost.sum else None, "price": cost.price}


def _sum(total: Sum) -> dict[str, Any]:
    return {
        "currency": total.currency,
        "low_nano": total.low,
        "likely_nano": total.likely,
        "worst_nano": total.worst,
    }


def _fit(ceiling: Fit) -> dict[str, Any]:
    total = ceiling.sum
    return {
        "scope": ceiling.scope,
        "limit_nano": ceiling.limit,
        "booked_nano": ceiling.booked,
        **_sum(total),
        "likely_fits": ceiling.likely_fits,
        "worst_fits": ceiling.worst_fits,
    }


def _bounds(low: Bound, likely: Bound) -> dict[str, Any]:
    return {"at_least": low, "likely": likely}


# --- cells -------------------------------------------------------------------------------------


def _limits(spec: ProviderSpec) -> list[str]:
    known = ((getattr(spec, name), word) for name, word in WORDS.items())
    rates = [f"{_plain(limit)} {word}" for limit, word in known if limit]
    accounts = [f"{len(spec.accounts)} accounts"] if spec.accounts else []
    return [*accounts, f"{spec.concurrency} in flight", *(rates or ["no rate limit given"])]


def _plain(limit: float) -> str:
    """3,000,000, and 0.5; never 3e+06."""
    return f"{limit:,.0f}" if limit >= 1000 else f"{limit:g}"


def _name(share: Share) -> str:
    role = "judge " if share.stage == "judgments" else ""
    return fit(role + inert(share.party), NAME)


def _tokens(amount: Range) -> str:
    worst = NO_BOUND if amount.worst is None else figures.tokens(int(amount.worst))
    return (
        f"{figures.tokens(int(amount.low)):>10}{figures.tokens(int(amount.likely)):>9}{worst:>10}"
    )


def _amounts(total: Sum) -> str:
    three = (total.low, total.likely, total.worst)
    return "".join(f" {_shown(nano, total):>13}" for nano in three)


def _shown(nano: int | None, total: Sum) -> str:
    return NO_BOUND if nano is None else formatted(Amount(nano, total.currency))


def _price(price: Price | None) -> str:
    if price is None:
        return ""
    parts = (Decimal(pico) / PER_MILLION for pico in (price.input_pico, price.output_pico))
    return f"{price.currency} " + " + ".join(f"{part:,f}" for part in parts)


def _time(name: str, low: Bound, likely: Bound, by: str) -> str:
    spans = "".join(
        f"{('~' if bound.assumed else '') + figures.span(bound.seconds):>10}"
        for bound in (low, likely)
    )
    return f"{fit(name, NAME)}{spans}   {by}"


def _origins(shares: Sequence[Share]) -> Iterator[str]:
    """Where the lengths of replies come from."""
    seen = [share for share in shares if share.basis == "seen"]
    if seen:
        replies = sum(share.seen for share in seen)
        yield f"output of {_parties(seen)} as in the {replies:,} replies that came"
    referred = [share for share in shares if share.basis == "references"]
    if referred:
        yield f"output of {_parties(referred)} by the length of the references"
    plain = [s for s in shares if s.basis == "default" and s.stage == "answers"]
    if plain:
        yield f"output of {_parties(plain)} as in published samples (no references)"
    verdicts = [s for s in shares if s.basis == "default" and s.stage == "judgments"]
    if verdicts:
        each = Vocabulary(MIDDLE, MIDDLE).tokens(VERDICT)
        yield f"output of {_parties(verdicts)}: {each:.0f} tokens a verdict (no reply came yet)"
    if any(share.output.worst is None for share in shares):
        yield "no bound: without max_tokens nothing limits a reply"
    if len(seen) < len(shares):
        yield "today's models often say more: a run with --limit 10 teaches this table"


def _parties(shares: Sequence[Share]) -> str:
    if len(shares) == 1:
        return cut(inert(shares[0].party), NAME)
    models = sum(share.stage == "answers" for share in shares)
    counts = [(models, "models"), (len(shares) - models, "judges")]
    return " and ".join(f"{n} {word}" for n, word in counts if n)
