"""What a workload would cost, whether the budget has room for it, and how long it must take. Pure.

Money is integer nano-units, three figures as in `engine/workload.py`. `worst` is what the budget would
reserve for all calls one after the other; None: an answer without max_tokens has no bound. An unknown
price is a number of calls, never an amount. Amounts are in the budget's currency where there is a rate,
else in the price's own. Cached input is priced in full: nobody can promise that a provider finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from data.codec import replace
from data.prices import Price, Tier, cost, price_of
from data.schema import ProviderSpec, Struct, Sweep, Usage
from engine.bound import Bound, bounds_of
from engine.budget import TOTAL, Line, Scope, Stage, Statistics
from engine.money import Amount, Exchange
from engine.purse import Terms
from engine.workload import Share, Workload, WorkStage

STAGES: Mapping[WorkStage, Stage] = {"answers": "generate", "judgments": "judge"}


class Sum(Struct, frozen=True):
    """Nano-units of one currency. `worst` and `call` None: there is no bound."""

    currency: str
    low: int = 0
    likely: int = 0
    worst: int | None = 0
    call: int | None = 0
    """The most that one call may cost: what the budget must have room for to the last."""

    def __add__(self, more: Sum) -> Sum:
        worst = call = None
        if self.worst is not None and more.worst is not None:
            worst = self.worst + more.worst
        if self.call is not None and more.call is not None:
            call = max(self.call, more.call)
        return Sum(self.currency, self.low + more.low, self.likely + more.likely, worst, call)


class Cost(Struct, frozen=True):
    """What one share would cost. `sum` None: the price is unknown."""

    share: Share
    sum: Sum | None
    price: Price | None


class Fit(Struct, frozen=True):
    """One ceiling, in nano-units of the budget's currency: what is booked, and what is to come."""

    scope: Scope
    limit: int
    booked: int
    sum: Sum

    @property
    def likely(self) -> int | None:
        """A ceiling that would likely do: what comes, and room for one more call at its worst."""
        return None if self.sum.call is None else self.booked + self.sum.likely + self.sum.call

    @property
    def worst(self) -> int | None:
        """A ceiling that would do in any case."""
        return None if self.sum.worst is None else self.booked + self.sum.worst

    @property
    def likely_fits(self) -> bool:
        return (self.likely is not None and self.likely <= self.limit) or not self.sum.likely

    @property
    def worst_fits(self) -> bool:
        return self.worst is not None and self.worst <= self.limit


class Prediction(Struct, frozen=True):
    """What a session would take."""

    workload: Workload
    costs: tuple[Cost, ...]
    """One for each share of the workload."""
    totals: tuple[Sum, ...]
    """One for each currency; the budget's own first."""
    unpriced: int
    """Calls of unknown price: no amount has them."""
    fits: tuple[Fit, ...]
    """The ceilings that there are, the run's first."""
    bounds: tuple[Bound, ...]
    """By the low figures: of each account."""
    likely_bounds: tuple[Bound, ...]
    """By the likely figures, of the same accounts."""


def predict(
    workload: Workload, sweep: Sweep, terms: Terms, *, on: date, booked: Statistics | None
) -> Prediction:
    """All of it. `booked`: what is spent already; None: no ceiling is looked at."""
    specs = {spec.name: spec for spec in sweep.providers}
    costs = tuple(_cost(share, specs, terms, on) for share in workload.shares)
    own = terms.exchange.currency
    found: dict[str, Sum] = {}
    for priced in costs:
        if priced.sum is not None:
            currency = priced.sum.currency
            found[currency] = found.get(currency, Sum(currency)) + priced.sum
    return Prediction(
        workload,
        costs,
        tuple(sorted(found.values(), key=lambda total: total.currency != own)),
        sum(priced.share.to_send for priced in costs if priced.sum is None),
        _fits(terms, costs, booked) if booked is not None else (),
        tuple(bounds_of(workload, sweep.providers)),
        tuple(bounds_of(workload, sweep.providers, figure="likely")),
    )


# --- money -------------------------------------------------------------------------------------


def _cost(share: Share, specs: Mapping[str, ProviderSpec], terms: Terms, on: date) -> Cost:
    spec = specs.get(share.provider)
    if spec is None or not share.to_send:
        return Cost(share, Sum(terms.exchange.currency), None)
    own = terms.own.get((STAGES[share.stage], share.party))
    price = price_of(spec, share.model, own=own, on=on)
    if price is None:
        return Cost(share, None, None)
    return Cost(share, _converted(sum_of(share, price), terms.exchange), price)


def sum_of(share: Share, price: Price) -> Sum:
    """What a share costs at this price, in the price's currency.

    A call's tier is that of its prompt: low and likely take that of the mean prompt, worst the dearest
    that the largest can reach. Each call is rounded up by less than one nano-unit.
    """
    flat = _flat(price, share.input.likely / max(share.calls("likely"), 1))
    worst = call = None
    if share.input.worst is not None and (share.output.worst is not None or not price.output_pico):
        most = Usage(int(share.input.worst), int(share.output.worst or 0))
        longest = int(share.output.worst or 0) // max(share.to_send, 1)
        reachable = [0, *(t.above + 1 for t in price.tiers if t.above < share.largest_input)]
        dearest = [_dearest(_flat(price, tokens)) for tokens in reachable]
        worst = max(cost(rates, most) for rates in dearest)
        worst += share.to_send if worst else 0
        call = max(cost(rates, Usage(share.largest_input, longest)) for rates in dearest)
    return Sum(
        price.currency,
        cost(flat, Usage(int(share.input.low), int(share.output.low))),
        cost(flat, Usage(int(share.input.likely), int(share.output.likely))),
        worst,
        call,
    )


def _flat(price: Price, input_tokens: float) -> Price:
    """The price of all requests with so many input tokens, without its tiers."""
    rates: Price | Tier = price
    for tier in price.tiers:
        if tier.above < input_tokens:
            rates = tier
    return replace(
        price,
        input_pico=rates.input_pico,
        output_pico=rates.output_pico,
        cached_input_pico=rates.cached_input_pico,
        tiers=(),
    )


def _dearest(price: Price) -> Price:
    """Cached input may cost more than other input."""
    return replace(price, input_pico=max(price.input_pico, price.cached_input_pico or 0))


def _converted(amount: Sum, exchange: Exchange) -> Sum:
    """In the budget's currency if there is a rate."""
    if not exchange.knows(amount.currency):
        return amount

    def even(nano: int) -> int:
        return exchange.even(Amount(nano, amount.currency))

    def up(nano: int | None) -> int | None:
        return None if nano is None else exchange.up(Amount(nano, amount.currency))

    low, likely = even(amount.low), even(amount.likely)
    return Sum(exchange.currency, low, likely, up(amount.worst), up(amount.call))


# --- ceilings ----------------------------------------------------------------------------------


def _fits(terms: Terms, costs: tuple[Cost, ...], booked: Statistics) -> tuple[Fit, ...]:
    own = terms.exchange.currency
    fits = []
    for scope, limit in sorted(terms.ceiling.limits.items(), key=lambda item: item[0] != TOTAL):
        inside = [
            c.sum for c in costs if c.sum and c.sum.currency == own and _binds(scope, c.share)
        ]
        fits.append(Fit(scope, limit, _line(booked, scope).booked, sum(inside, Sum(own))))
    return tuple(fits)


def _binds(scope: Scope, share: Share) -> bool:
    """Does this ceiling hold for that share? As `Charge.scopes` has it."""
    kind, name = scope
    of = {"account": share.provider, "model": share.party, "stage": STAGES[share.stage]}
    return kind == "total" or of[kind] == name


def _line(booked: Statistics, scope: Scope) -> Line:
    kind, name = scope
    if kind == "total":
        return booked.total
    lines = {"account": booked.accounts, "model": booked.models, "stage": booked.stages}[kind]
    return lines.get(name, Line())
