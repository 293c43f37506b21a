"""What a run would have cost at other prices: from the usage that its journal keeps, nothing sent.

Every exchange whose usage is known is charged anew, one by one, since the price of a call may depend on
its length; the sums stand beside what was booked. What was booked without a usage (worst cases of
replies that never came or could not be read) cannot be charged anew and is told apart. The journal is
only read. A price comes from the user's price file, else from the run's own sweep file, else from the
tables of today (`data/prices.py`). Money is integer nano-units; unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from data.codec import convert, read_bytes, replace
from data.errors import ConfigError
from data.prices import Price, PriceTable, cost, own_price, price_of
from data.schema import Intent, JudgeSpec, ModelSpec, Record, Settled, Struct, Sweep, Usage
from data.text import printable
from engine.budget import Stage
from engine.purse import OWN, Party, party_of
from engine.sweepfile import read_toml


class Repriced(Struct, frozen=True, kw_only=True):
    """One model or judge, as it was booked and as it would be charged."""

    stage: str
    """generate or judge."""
    name: str
    model: str
    """As the provider calls it."""
    calls: int
    """Exchanges whose usage is known."""
    usage: Usage
    booked: dict[str, int]
    """Currency -> nano-units that were booked for them."""
    unbooked: int
    """How many of them had no known price then."""
    now: int | None
    """Nano-units of the price's currency; None: no price is known."""
    price: Price | None
    apart: dict[str, int]
    """Currency -> nano-units of worst cases: estimated, and possibly billed."""
    apart_calls: int

    @property
    def currency(self) -> str:
        """Of `now`; empty where no price is known."""
        return self.price.currency if self.price else ""


def reprice(
    sweep: Sweep, records: Iterable[Record], own: Mapping[Party, Price], on: date
) -> tuple[Repriced, ...]:
    """Every model and judge, in the sweep's order; `own` as `own_prices` gives it."""
    providers = {provider.name: provider for provider in sweep.providers}
    accounts: dict[Party, _Account] = {}
    specs: dict[Party, ModelSpec | JudgeSpec] = {}
    for party, spec in parties_of(sweep):
        price = price_of(providers[spec.provider], spec.model, own=own.get(party), on=on)
        accounts[party], specs[party] = _Account(price), spec
    open_: dict[int, Intent] = {}
    for record in records:
        if isinstance(record, Intent):
            _give_up(accounts, open_.pop(record.id, None))
            open_[record.id] = record
        elif isinstance(record, Settled):
            settled = open_.pop(record.id, None)
            if settled is not None and (account := accounts.get(party_of(settled.trial))):
                account.settle(record)
    for intent in open_.values():
        _give_up(accounts, intent)
    return tuple(account.told(party, specs[party]) for party, account in accounts.items())


def parties_of(sweep: Sweep) -> Iterable[tuple[Party, ModelSpec | JudgeSpec]]:
    """Models, then judges."""
    for model in sweep.models:
        yield ("generate", model.name), model
    for judge in sweep.judges:
        yield ("judge", judge.name), judge


def own_prices(sweep: Sweep, folder: Path, file: Path | None) -> dict[Party, Price]:
    """What the run's sweep file and a price file say; the latter wins. Raises ConfigError.

    A price file has a table (or 0) under a name of the sweep file, or under the id of a model:
    `[qwen-max]`, `currency`, `input`, `output`, `cached_input`, per million tokens.
    """
    found = _of_sweep_file(folder / "sweep.toml")
    if file is None:
        return found
    written = _read(file)
    used: set[str] = set()
    for party, spec in parties_of(sweep):
        name = next((key for key in (spec.name, spec.model) if key in written), None)
        if name is not None:
            used.add(name)
            price = _price(written[name], f"{file}: [{printable(name, 80)}]")
            found[party] = replace(price, source=printable(str(file), 200))
    for name in written.keys() - used:
        known = ", ".join(dict.fromkeys(spec.name for _, spec in parties_of(sweep)))
        raise ConfigError(
            f"no model or judge of this run is called `{printable(name, 80)}`",
            where=str(file),
            how=f"there are: {printable(known, 400)}; a model's id will do as well",
        )
    return found


class _Account:
    """What is summed up about one party."""

    def __init__(self, price: Price | None) -> None:
        self._price = price
        self._usage, self._now = Usage(), 0
        self._calls = self._unbooked = self._apart_calls = 0
        self._booked: dict[str, int] = {}
        self._apart: dict[str, int] = {}

    def settle(self, record: Settled) -> None:
        if record.usage is None:
            if record.estimated:
                self.set_apart(record.cost, record.currency)
            return
        self._calls += 1
        self._usage += record.usage
        if self._price is not None:
            self._now += cost(self._price, record.usage)
        if record.cost is None:
            self._unbooked += 1
        elif record.cost:
            self._booked[record.currency] = self._booked.get(record.currency, 0) + record.cost

    def set_apart(self, nano: int | None, currency: str) -> None:
        self._apart_calls += 1
        if nano:
            self._apart[currency] = self._apart.get(currency, 0) + nano

    def told(self, party: Party, spec: ModelSpec | JudgeSpec) -> Repriced:
        named = {*self._booked, *self._apart} - {OWN}
        if OWN in self._apart:  # the budget's own currency, which an intent does not name
            own = named.pop() if len(named) == 1 else "budget's currency"
            self._apart[own] = self._apart.get(own, 0) + self._apart.pop(OWN)
        return Repriced(
            stage=party[0],
            name=spec.name,
            model=spec.model,
            calls=self._calls,
            usage=self._usage,
            booked=self._booked,
            unbooked=self._unbooked,
            now=None if self._price is None else self._now,
            price=self._price,
            apart=self._apart,
            apart_calls=self._apart_calls,
        )


def _give_up(accounts: Mapping[Party, _Account], intent: Intent | None) -> None:
    """An attempt without an end is possibly billed."""
    if intent is not None and (account := accounts.get(party_of(intent.trial))) is not None:
        account.set_apart(intent.reserve, OWN)


def _of_sweep_file(path: Path) -> dict[Party, Price]:
    """The prices in the sweep file that the run keeps; none where it keeps none."""
    if not path.is_file():
        return {}
    written, found = _read(path), dict[Party, Price]()
    stages: tuple[tuple[Stage, str], ...] = (("generate", "models"), ("judge", "judges"))
    for stage, key in stages:
        for table in written.get(key, ()):
            if isinstance(table, dict) and "price" in table and "name" in table:
                found[stage, table["name"]] = _price(table["price"], f"{path}: {table['name']}")
    return found


def _read(path: Path) -> dict[str, Any]:
    return read_toml(path, read_bytes(path).removeprefix(b"\xef\xbb\xbf"))


def _price(value: object, where: str) -> Price:
    if isinstance(value, int) and not isinstance(value, bool):
        return own_price(value, where=where)
    return own_price(convert(value, PriceTable, where=where), where=where)
