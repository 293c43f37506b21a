"""What a sweep's calls cost: prices, the ceiling, and what earlier sessions spent.

Every attempt reserves its worst case before its first byte and is settled with what it really took, so
spent + reserved never exceeds a ceiling. What was refused (4xx, 429) or never left is free; a reply of no
use that tells its usage all the same is paid by that; what ended without either may have been billed, so
its worst case is booked apart, as estimated; an attempt that a crash cut off is possibly billed. An unknown
price is None and counted, never 0. Without a ceiling a currency that nobody gave a rate for has a ledger of
its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from datetime import date

from data.codec import replace
from data.errors import (
    CallError,
    ConfigError,
    DeadlinePassed,
    RateLimited,
    Retryable,
    TransportError,
)
from data.prices import Price, cost, price_of, worst_case
from data.schema import Intent, ProviderSpec, Record, Response, Settled, Struct, Trial
from engine.accounts import Job
from engine.budget import Budget, Ceiling, Charge, Column, Refusal, Stage, Statistics, Ticket
from engine.events import MoneyView
from engine.money import Amount, Exchange

OWN = "own"
"""Stands for the budget's own currency."""
Party = tuple[Stage, str]
"""A model that generates, or a judge that judges."""


class Terms(Struct, frozen=True):
    """What the sweep file says about money."""

    own: dict[Party, Price]
    exchange: Exchange
    ceiling: Ceiling


class Paid(Struct, frozen=True):
    """What one attempt cost, in nano-units; None: unknown. `estimated`: its worst case was booked."""

    nano: int | None
    currency: str = ""
    estimated: bool = False


class Purse:
    """Prices of all parties, and the budget they share. Used from the loop's thread only."""

    def __init__(self, terms: Terms, prices: Mapping[Party, Price | None]) -> None:
        self._exchange, self._prices = terms.exchange, prices
        self._changed = asyncio.Event()
        self._waiting = 0
        self._budget = Budget(terms.ceiling, on_change=self._changed.set)
        self._capped = bool(terms.ceiling.limits)
        self._foreign: dict[str, Budget] = {}
        """Without a ceiling: books in currencies that have no rate, side by side."""

    def reserve(self, account: str, job: Job) -> Ticket | Refusal:
        """Hold the worst case of a job's next attempt, or say why that is not possible now."""
        charge = self._charge(account, job)
        return self._book(charge.currency).reserve(charge)

    async def refund(self) -> None:
        """Wait until an attempt has been settled: who was blocked may ask again."""
        self._changed.clear()
        self._waiting += 1
        try:
            await self._changed.wait()
        finally:
            self._waiting -= 1

    def settle(self, ticket: Ticket, job: Job, end: Response | CallError) -> Paid:
        """Book how an attempt ended."""
        price = self._prices[party_of(job.trial)]
        charge = ticket.charge
        book = self._book(charge.currency)
        paid = _paid(price, end)
        if paid.nano is None:
            book.settle(ticket, None)
            if price is None or charge.amount is None:
                return paid
            return Paid(charge.amount, charge.currency or self._exchange.currency, estimated=True)
        worth = paid.nano
        if paid.nano and not charge.currency:
            worth = self._exchange.up(Amount(paid.nano, paid.currency))
        book.settle(ticket, worth)
        return paid

    def statistics(self) -> Statistics:
        """The budget's own ledger, and the others beside it."""
        others = tuple(book.statistics() for _, book in sorted(self._foreign.items()))
        return replace(self._budget.statistics(), others=others)

    def view(self) -> MoneyView:
        """What people see of it while the sweep runs: the own currency first, if it was paid in."""
        own = self.statistics()
        books = [own, *own.others]
        if own.others and not own.total.booked:
            books = [*own.others, own]
        seen = books[0]
        return MoneyView(
            currency=seen.currency,
            booked=seen.total.booked,
            limit=seen.total.limit,
            calls=sum(book.total.calls for book in books),
            unpriced=sum(book.total.unpriced for book in books),
            by_party={name: line.booked for name, line in seen.models.items()},
            reserved=seen.total.reserved,
            unpriced_parties=sum(line.unpriced > 0 for b in books for line in b.models.values()),
            waiting=self._waiting,
            others={b.currency: b.total.booked for b in books[1:] if b.total.booked},
        )

    def restore(self, spent: Spent, provider_of: Mapping[str, str] = {}) -> None:
        """Take in what earlier sessions of this run spent. Raises ConfigError for a missing rate.

        `provider_of`: the provider of each account that has another name; ceilings name providers.
        """
        for past, (nano, calls) in spent.sums.items():
            amount: int | None = nano if past.currency else None
            currency = past.currency if self._is_foreign(past.currency) else ""
            if past.currency not in ("", OWN) and not currency:
                amount = self._exchange.up(Amount(nano, past.currency))
            account = provider_of.get(past.account, past.account)
            charge = Charge(account, past.name, past.stage, amount, currency)
            self._book(currency).restore(charge, past.column, calls=calls)

    def _charge(self, account: str, job: Job) -> Charge:
        stage, name = party_of(job.trial)
        price = self._prices[stage, name]
        if price is None:
            return Charge(account, name, stage, None)
        most = worst_case(price, len(job.http.body), job.max_tokens, 0)
        if self._is_foreign(price.currency):
            return Charge(account, name, stage, most, price.currency)
        return Charge(account, name, stage, self._exchange.up(Amount(most, price.currency)))

    def _is_foreign(self, currency: str) -> bool:
        """Is it booked by itself? Where there is a ceiling everything must be converted."""
        known = currency in ("", OWN) or self._exchange.knows(currency)
        return not known and not self._capped

    def _book(self, currency: str) -> Budget:
        """The ledger of a charge in this currency."""
        if not currency:
            return self._budget
        if currency not in self._foreign:
            none = Ceiling(currency=currency)
            self._foreign[currency] = Budget(none, on_change=self._changed.set)
        return self._foreign[currency]


class Past(Struct, frozen=True):
    """Attempts of earlier sessions that are booked together. `currency` "": the price was unknown."""

    account: str
    stage: Stage
    name: str
    column: Column
    currency: str


class Spent:
    """What the journal says earlier sessions spent, summed up. Memory does not grow with the journal."""

    def __init__(self) -> None:
        self.sums: dict[Past, tuple[int, int]] = {}
        """Nano-units of the currency, and attempts. Intents without an end are in the budget's own."""
        self._open: dict[int, Intent] = {}

    def enter(self, record: Record) -> None:
        """One line of the journal, in order. Intents are numbered anew in each session."""
        if isinstance(record, Intent):
            self._give_up(self._open.pop(record.id, None))
            self._open[record.id] = record
        elif isinstance(record, Settled):
            intent = self._open.pop(record.id, None)
            if intent is not None:
                column: Column = "estimated" if record.estimated else "spent"
                self._add(intent, column, record.cost, record.currency)

    def close(self) -> None:
        """The journal ends here: what is still open never got an end."""
        for intent in self._open.values():
            self._give_up(intent)
        self._open.clear()

    def _give_up(self, intent: Intent | None) -> None:
        if intent is not None:
            own = (intent.currency or OWN) if intent.reserve is not None else ""
            self._add(intent, "possibly_billed", intent.reserve, own)

    def _add(self, intent: Intent, column: Column, nano: int | None, currency: str) -> None:
        known = "" if nano is None else currency or OWN  # what was free has no currency of its own
        key = Past(intent.account, *party_of(intent.trial), column, known)
        amount, calls = self.sums.get(key, (0, 0))
        self.sums[key] = (amount + (nano or 0), calls + 1)


def sums(spent: Spent) -> tuple[tuple[tuple[str, str, int], ...], int]:
    """(column, currency, nano-units) of all that was booked, and how many attempts had no price."""
    totals: dict[tuple[str, str], int] = {}
    unpriced = 0
    named = {past.currency for past in spent.sums} - {"", OWN}
    own = named.pop() if len(named) == 1 else "budget's currency"
    for past, (nano, calls) in spent.sums.items():
        if past.currency == "":
            unpriced += calls
        elif nano:
            key = past.column, own if past.currency == OWN else past.currency
            totals[key] = totals.get(key, 0) + nano
    return tuple((column, code, nano) for (column, code), nano in sorted(totals.items())), unpriced


def purse_for(
    terms: Terms,
    parties: Mapping[Party, tuple[ProviderSpec, str, int | None]],
    on: date,
) -> Purse:
    """The purse of a session. `parties`: provider, model id and max_tokens of each.

    Raises ConfigError where a ceiling is given and a price, a bound or an exchange rate is missing.
    """
    prices = {
        party: price_of(provider, model, own=terms.own.get(party), on=on)
        for party, (provider, model, _) in parties.items()
    }
    capped = bool(terms.ceiling.limits)
    for party, (provider, model, max_tokens) in parties.items():
        price = prices[party]
        if capped and price is None and not terms.ceiling.allow_unpriced:
            raise ConfigError(
                f"the price of `{party[1]}` ({model} at {provider.name}) is unknown, and there is a budget",
                where="[budget]",
                how='give it one: price = { currency = "USD", input = "2.50", output = "10" } (per'
                " million tokens), or price = 0, or allow_unpriced = true; the extra"
                " `prices` knows many more: pip install '.[prices]' in alignsweep's folder",
            )
        if capped and price is not None and max_tokens is None and price.output_pico:
            raise ConfigError(
                f"`{party[1]}` has no max_tokens, so there is no bound to what a call may cost",
                where="[budget]",
                how="give it max_tokens",
            )
    if capped:
        terms.exchange.require({p.currency for p in prices.values() if p is not None})
    else:
        terms = _in_one_currency(terms, {p.currency for p in prices.values() if p is not None})
    return Purse(terms, prices)


def _in_one_currency(terms: Terms, found: Set[str]) -> Terms:
    """Where all prices are in one foreign currency and no ceiling speaks of another, books in that one."""
    only = next(iter(found)) if len(found) == 1 else terms.exchange.currency
    if terms.exchange.knows(only):
        return terms
    ceiling = replace(terms.ceiling, currency=only)
    return replace(terms, exchange=Exchange(currency=only), ceiling=ceiling)


def _paid(price: Price | None, end: Response | CallError) -> Paid:
    if isinstance(end, CallError) and end.usage is None:
        lost = isinstance(end, (Retryable, DeadlinePassed))
        unsent = isinstance(end, TransportError) and end.unsent
        free = isinstance(end, RateLimited) or unsent or not lost
        return Paid(0, price.currency if price else "") if free else Paid(None)
    if price is None or end.usage is None:
        return Paid(None)
    return Paid(cost(price, end.usage), price.currency)


def party_of(trial: Trial) -> Party:
    """Who is paid for this trial."""
    return ("judge", trial.judge) if trial.kind == "judgment" else ("generate", trial.model)
