"""Amounts of money and their exchange, in integers only.

An amount is integer nano-units (10^-9) of a currency. Rates come from the sweep file and are never
fetched: `[exchange] CNY = "0.1389"` says that one CNY is 0.1389 of the budget's currency. A bound
is converted rounding up, so that it stays one; what is only shown is rounded half to even.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from data.errors import ConfigError
from data.prices import currency_code, exact
from data.schema import Struct

NANO = 10**9
"""Nano-units of a currency in one unit of it."""
_NANO_PER_CENT = NANO // 100


class Amount(Struct, frozen=True):
    """`nano` * 10^-9 of `currency`."""

    nano: int
    currency: str

    def __str__(self) -> str:
        return formatted(self)


class Exchange:
    """From any currency the sweep file has a rate for into the budget's own, `currency`."""

    def __init__(
        self,
        rates: Mapping[str, str | int | float] | None = None,
        *,
        currency: str = "USD",
        where: str = "[exchange]",
    ) -> None:
        """`rates` is the sweep file's table. Raises ConfigError for what is no rate."""
        self.currency = currency_code(currency, where=where)
        self._where = where
        self._rates = {currency: Fraction(1)}
        for code, value in (rates or {}).items():
            place = f"{where} {code}"
            rate = Fraction(exact(value, where=place))
            if not rate:
                raise ConfigError("an exchange rate of 0", where=place)
            if currency_code(code, where=place) == currency and rate != 1:
                raise ConfigError(f"one {code} is one {code}", where=place, how="leave it out")
            self._rates[code] = rate

    def require(self, currencies: Iterable[str]) -> None:
        """Raises ConfigError for the first of these currencies that has no rate."""
        for code in currencies:
            self._rate(code)

    def up(self, amount: Amount) -> int:
        """Nano-units of our currency, rounded up: for whatever counts against a ceiling."""
        worth = amount.nano * self._rate(amount.currency)
        return -(-worth.numerator // worth.denominator)

    def even(self, amount: Amount) -> int:
        """Nano-units of our currency, rounded half to even: for what is shown."""
        return round(amount.nano * self._rate(amount.currency))

    def knows(self, currency: str) -> bool:
        """Is there a rate for this currency?"""
        return currency in self._rates

    def _rate(self, code: str) -> Fraction:
        rate = self._rates.get(code)
        if rate is None:
            raise ConfigError(
                f"no exchange rate from {code} to {self.currency}",
                where=self._where,
                how=f'say what one {code} is worth:  [exchange] {code} = "…"  ({self.currency})',
            )
        return rate

    def __repr__(self) -> str:
        return f"<Exchange into {self.currency} from {', '.join(self._rates)}>"


def nano(value: str | int | float, *, where: str) -> int:
    """An amount as the sweep file writes it ("400", 12.5), in nano-units. Raises ConfigError."""
    exactly = exact(value, where=where) * NANO
    if exactly != int(exactly):
        raise ConfigError(f"{value} has more than nine decimals", where=where)
    return int(exactly)


def formatted(amount: Amount) -> str:
    """`USD 1,234.56`, rounded half to even. What is less than a cent is not shown as nothing."""
    sign, size = ("-" if amount.nano < 0 else ""), abs(amount.nano)
    cents = round(Fraction(size, _NANO_PER_CENT))
    if size and not cents:
        return f"{amount.currency} {sign}<0.01"
    return f"{amount.currency} {sign}{cents // 100:,}.{cents % 100:02d}"
