"""The benchmark's own purse: the sweep's, which also says what each attempt came to, in one currency."""

from __future__ import annotations

from collections.abc import Mapping

from data.codec import replace
from data.errors import CallError
from data.prices import Price, cost
from data.schema import Response, Struct, Usage
from engine.accounts import Job
from engine.budget import Ticket
from engine.money import Amount
from engine.purse import Paid, Party, Purse, Terms


class Bill(Struct, frozen=True):
    """One attempt, in nano-units of the budget's currency; None: unknown."""

    cost: int | None = None
    estimated: bool = False
    cold: int | None = None
    """Had nothing come from the provider's prompt cache."""
    hot: int | None = None
    """Had all of the prompt."""


class Till(Purse):
    """Settles like the sweep's purse, and keeps each bill until it is taken."""

    def __init__(self, terms: Terms, prices: Mapping[Party, Price | None]) -> None:
        knows = terms.exchange.knows
        known = {
            p: price if price and knows(price.currency) else None for p, price in prices.items()
        }
        super().__init__(terms, known)
        self._known, self._rates = known, terms.exchange
        self.currency = terms.exchange.currency
        self._bills: dict[int, Bill] = {}

    def settle(self, ticket: Ticket, job: Job, end: Response | CallError) -> Paid:
        paid = super().settle(ticket, job, end)
        bill = Bill(self._worth(paid), paid.estimated)
        price = self._known[_party(job)]
        if price is not None and isinstance(end, Response) and end.usage is not None:
            bill = replace(
                bill,
                cold=self._priced(price, replace(end.usage, cached_tokens=0)),
                hot=self._priced(price, replace(end.usage, cached_tokens=end.usage.input_tokens)),
            )
        self._bills[ticket.number] = bill
        return paid

    def take(self, ticket: Ticket) -> Bill:
        """The bill of a settled ticket, once."""
        return self._bills.pop(ticket.number, Bill())

    def _worth(self, paid: Paid) -> int | None:
        if paid.nano is None:
            return None
        return self._rates.up(Amount(paid.nano, paid.currency)) if paid.nano else 0

    def _priced(self, price: Price, usage: Usage) -> int:
        return self._rates.up(Amount(cost(price, usage), price.currency))


def _party(job: Job) -> Party:
    return ("judge", job.trial.judge) if job.trial.judge else ("generate", job.trial.model)
