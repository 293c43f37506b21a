"""A ceiling on money that cannot be overshot: reserve before a call, settle after it.

Everything is integer nano-units (10^-9) of one currency; `engine/money.py` converts before. Each
call reserves its worst case against every ceiling that binds it: the run's, its account's, its
model's and its stage's. At every instant, for every ceiling,

    booked + reserved <= limit        where booked = spent + estimated + possibly billed.

Checking and reserving are one step without `await`, so on one event loop nothing can come between.
A provider that bills more than the worst case is booked in full and counted as overshoot; the room
for the next reservations shrinks by it. Who is asked first when room becomes free is the caller's
business. Nothing here knows a clock, a price or a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import Literal

from data.codec import Table
from data.errors import ConfigError
from data.prices import currency_code
from data.schema import Struct
from data.text import printable
from engine.money import Amount, formatted, nano

Stage = Literal["generate", "judge"]
STAGES: tuple[Stage, ...] = ("generate", "judge")
Column = Literal["spent", "estimated", "possibly_billed"]
Scope = tuple[str, str]
"""("total", ""), ("account", name), ("model", name) or ("stage", name)."""
TOTAL: Scope = ("total", "")


# --- the sweep file's face ---------------------------------------------------------------------


class BudgetTable(Table, frozen=True, kw_only=True):
    """[budget]: amounts in `currency`, as strings or plain numbers; each is optional."""

    currency: str = "USD"
    total: str | int | float | None = None
    accounts: dict[str, str | int | float] = {}
    models: dict[str, str | int | float] = {}
    """By the sweep file's names of models and judges."""
    stages: dict[str, str | int | float] = {}
    """`generate` and `judge`."""
    allow_unpriced: bool = False
    """Calls of unknown price may be sent although there is a ceiling; they are only counted."""


class Ceiling(Struct, frozen=True, kw_only=True):
    """Limits in nano-units of `currency`. What has no limit is only counted."""

    currency: str = "USD"
    limits: dict[Scope, int] = {}
    allow_unpriced: bool = False


def ceiling(
    table: BudgetTable, *, accounts: Collection[str], models: Collection[str], where: str
) -> Ceiling:
    """The table as a ceiling. Raises ConfigError for a name that is not in the sweep."""
    code = currency_code(table.currency, where=where)
    limits = {} if table.total is None else {TOTAL: nano(table.total, where=f"{where} total")}
    parts = (
        ("account", "accounts", table.accounts, accounts),
        ("model", "models", table.models, models),
        ("stage", "stages", table.stages, STAGES),
    )
    for kind, key, amounts, known in parts:
        for name, value in amounts.items():
            if name not in known:
                raise _unknown(kind, name, known, f"{where} {key}")
            limits[kind, name] = nano(value, where=f"{where} {key}.{name}")
    return Ceiling(currency=code, limits=limits, allow_unpriced=table.allow_unpriced)


def _unknown(kind: str, name: str, known: Collection[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1)
    how = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(map(printable, known))}"
    return ConfigError(f"no {kind} `{printable(name, 80)}` in this sweep", where=where, how=how)


# --- what goes in and out ----------------------------------------------------------------------


class Charge(Struct, frozen=True):
    """What one attempt costs at worst, and who pays. `amount`: nano-units; None: unknown price."""

    account: str
    model: str
    stage: Stage
    amount: int | None
    currency: str = ""
    """Of `amount`; empty: the ledger's own."""

    def scopes(self) -> tuple[Scope, ...]:
        """Every ceiling that may bind it, the run's first."""
        return TOTAL, ("account", self.account), ("model", self.model), ("stage", self.stage)


class Ticket(Struct, frozen=True):
    """A reservation that holds until it is settled or released, once."""

    number: int
    charge: Charge


class Refusal(Struct, frozen=True):
    """Why a call may not be sent.

    `blocked`: it fits if calls in flight come out cheaper than their worst case, so wait for them.
    `exhausted`: it never fits. `unpriced`: its price is unknown, which the ceiling forbids.
    """

    kind: Literal["blocked", "exhausted", "unpriced"]
    scope: Scope
    needed: int = 0
    limit: int = 0
    booked: int = 0
    reserved: int = 0
    currency: str = ""

    @property
    def ceiling(self) -> str:
        """`the run`, `account openai`, …"""
        kind, name = self.scope
        return f"{kind} {printable(name, 80)}" if name else "the run"

    def __str__(self) -> str:
        if self.kind == "unpriced":
            return f"{self.ceiling}: the price is unknown, and there is a budget"
        limit, booked, reserved, needed = (
            formatted(Amount(n, self.currency))
            for n in (self.limit, self.booked, self.reserved, self.needed)
        )
        return (
            f"budget of {self.ceiling} {limit}: {booked} spent, {reserved} in flight, "
            f"the next call may cost {needed}"
        )


class Line(Struct, frozen=True):
    """The account of one scope; amounts in nano-units."""

    limit: int | None = None
    """None: no ceiling."""
    spent: int = 0
    """By the usage that providers reported."""
    estimated: int = 0
    """Worst cases of attempts whose usage never came (a lost reply, a reply without usage)."""
    possibly_billed: int = 0
    """Worst cases of attempts that an earlier session sent and never saw the end of."""
    reserved: int = 0
    overshoot: int = 0
    """By how much single calls cost more than their worst case, in all; it is part of `spent`."""
    calls: int = 0
    """Attempts that were sent, those in flight not counted."""
    unpriced: int = 0
    """Those of them whose price is unknown: no amount above has them."""

    @property
    def booked(self) -> int:
        """What is gone, or must be taken for gone."""
        return self.spent + self.estimated + self.possibly_billed


class Statistics(Struct, frozen=True):
    """The whole ledger at one instant."""

    currency: str
    total: Line
    accounts: dict[str, Line]
    models: dict[str, Line]
    stages: dict[str, Line]
    in_flight: int
    others: tuple[Statistics, ...] = ()
    """What was paid in currencies that nobody can convert, without a ceiling: each by itself."""


# --- the ledger --------------------------------------------------------------------------------


class Budget:
    """Reservations and bookings of one run.

    `on_change` is called after each reservation that ended: what was blocked may fit now, or may
    now be exhausted.
    """

    def __init__(self, ceiling: Ceiling, *, on_change: Callable[[], None] | None = None) -> None:
        self.ceiling = ceiling
        self._on_change = on_change
        self._lines: dict[Scope, _Line] = {
            scope: _Line(limit) for scope, limit in ceiling.limits.items()
        }
        self._lines.setdefault(TOTAL, _Line(None))
        self._lines_of: dict[tuple[str, str, str], tuple[_Line, ...]] = {}
        self._open: dict[int, Charge] = {}
        self._number = 0

    def reserve(self, charge: Charge) -> Ticket | Refusal:
        """Hold the worst case of a call that is about to be sent, or say why not. Never waits."""
        if refusal := self.refusal(charge):
            return refusal
        for line in self._of(charge):
            line.reserved += charge.amount or 0
        self._number += 1
        self._open[self._number] = charge
        return Ticket(self._number, charge)

    def refusal(self, charge: Charge) -> Refusal | None:
        """Why `reserve` would refuse; None: it would not. What can never fit is told first."""
        if charge.amount is None:
            if self.ceiling.limits and not self.ceiling.allow_unpriced:
                return Refusal("unpriced", ("model", charge.model))
            return None
        if charge.amount < 0:
            raise ValueError("a charge is never negative")
        blocked = None
        for scope in charge.scopes() if charge.amount else ():
            line = self._lines.get(scope)
            if line is None or line.limit is None:
                continue
            if line.booked + charge.amount > line.limit:
                return self._refused("exhausted", scope, line, charge.amount)
            if line.booked + line.reserved + charge.amount > line.limit:
                blocked = blocked or self._refused("blocked", scope, line, charge.amount)
        return blocked

    def settle(self, ticket: Ticket, actual: int | None) -> None:
        """Book what the call cost, in nano-units. Raises ValueError the second time.

        None: nobody said, so its worst case is booked as estimated; a call of unknown price is only
        counted.
        """
        if actual is not None and actual < 0:
            raise ValueError("a cost is never negative")
        charge = self._close(ticket)
        held = charge.amount or 0
        for line in self._of(charge):
            line.reserved -= held
            line.calls += 1
            if actual is not None:
                line.spent += actual
                line.overshoot += max(0, actual - held)
            elif charge.amount is None:
                line.unpriced += 1
            else:
                line.estimated += held
        self._tell()

    def release(self, ticket: Ticket) -> None:
        """Give the reservation back: nothing was sent. Raises ValueError the second time."""
        charge = self._close(ticket)
        for line in self._of(charge):
            line.reserved -= charge.amount or 0
        self._tell()

    def restore(self, charge: Charge, column: Column = "spent", *, calls: int = 1) -> None:
        """Book what an earlier session of this run spent.

        `spent` or `estimated` for what it settled, `possibly_billed` with the worst case of each
        attempt that it never settled. All is booked, also beyond a ceiling that was lowered since.
        `amount` may be the sum of `calls` attempts; None: their price is unknown.
        """
        if (charge.amount or 0) < 0:
            raise ValueError("what was spent is never negative")
        for line in self._of(charge):
            line.calls += calls
            if charge.amount is None:
                line.unpriced += calls
            else:
                line.add(column, charge.amount)

    def statistics(self) -> Statistics:
        """A frozen copy. Scopes with a limit are in it before anything was spent."""
        parts: dict[str, dict[str, Line]] = {"account": {}, "model": {}, "stage": {}}
        for (kind, name), line in self._lines.items():
            if kind in parts:
                parts[kind][name] = line.frozen()
        return Statistics(
            currency=self.ceiling.currency,
            total=self._lines[TOTAL].frozen(),
            accounts=parts["account"],
            models=parts["model"],
            stages=parts["stage"],
            in_flight=len(self._open),
        )

    def __repr__(self) -> str:
        total = self._lines[TOTAL]
        amounts = {"booked": total.booked, "reserved": total.reserved, "limit": total.limit}
        shown = (
            f"{key} {formatted(Amount(value, self.ceiling.currency))}"
            for key, value in amounts.items()
            if value is not None
        )
        return f"<Budget {', '.join(shown)}, {len(self._open)} in flight>"

    def _of(self, charge: Charge) -> tuple[_Line, ...]:
        """The lines that a charge is booked in, the run's first."""
        payer = charge.account, charge.model, charge.stage
        lines = self._lines_of.get(payer)
        if lines is None:
            lines = tuple(self._lines.setdefault(s, _Line(None)) for s in charge.scopes())
            self._lines_of[payer] = lines
        return lines

    def _close(self, ticket: Ticket) -> Charge:
        charge = self._open.pop(ticket.number, None)
        if charge is None:
            raise ValueError(f"ticket {ticket.number} was settled or released before")
        return charge

    def _refused(
        self, kind: Literal["blocked", "exhausted"], scope: Scope, line: _Line, needed: int
    ) -> Refusal:
        return Refusal(
            kind,
            scope,
            needed=needed,
            limit=line.limit or 0,
            booked=line.booked,
            reserved=line.reserved,
            currency=self.ceiling.currency,
        )

    def _tell(self) -> None:
        if self._on_change:
            self._on_change()


class _Line:
    """A Line while it grows."""

    __slots__ = (
        "calls",
        "estimated",
        "limit",
        "overshoot",
        "possibly_billed",
        "reserved",
        "spent",
        "unpriced",
    )

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.spent = self.estimated = self.possibly_billed = 0
        self.reserved = self.overshoot = self.calls = self.unpriced = 0

    @property
    def booked(self) -> int:
        return self.spent + self.estimated + self.possibly_billed

    def add(self, column: Column, amount: int) -> None:
        setattr(self, column, getattr(self, column) + amount)

    def frozen(self) -> Line:
        return Line(
            limit=self.limit,
            spent=self.spent,
            estimated=self.estimated,
            possibly_billed=self.possibly_billed,
            reserved=self.reserved,
            overshoot=self.overshoot,
            calls=self.calls,
            unpriced=self.unpriced,
        )
