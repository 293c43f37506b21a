"""Amounts and their exchange: exact, up for bounds, half to even for what is shown."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from engine.money import NANO, Amount, Exchange, formatted, nano

rates = st.decimals("0.000001", 10_000, places=6).map(lambda d: format(d, "f"))
amounts = st.integers(0, 10**18)


@given(rate=rates, amount=amounts)
def test_a_bound_is_rounded_up_and_what_is_shown_half_to_even(rate: str, amount: int) -> None:
    """Compared with fractions, to the nano-unit."""
    exchange = Exchange({"CNY": rate}, currency="USD")
    exactly = amount * Fraction(rate)
    up, even = exchange.up(Amount(amount, "CNY")), exchange.even(Amount(amount, "CNY"))
    assert 0 <= up - exactly < 1
    assert abs(even - exactly) <= Fraction(1, 2)
    if abs(even - exactly) == Fraction(1, 2):
        assert even % 2 == 0


@given(rate=rates, one=amounts, other=amounts)
def test_exchange_keeps_the_order_of_amounts(rate: str, one: int, other: int) -> None:
    """A cost below its worst case stays below it in the budget's currency."""
    exchange = Exchange({"CNY": rate})
    low, high = sorted((one, other))
    assert exchange.up(Amount(low, "CNY")) <= exchange.up(Amount(high, "CNY"))
    assert exchange.even(Amount(low, "CNY")) <= exchange.up(Amount(high, "CNY"))


@given(amount=amounts)
def test_the_budgets_own_currency_is_not_touched(amount: int) -> None:
    """With and without its rate of 1 in the file."""
    for table in ({}, {"EUR": 1}):
        assert Exchange(table, currency="EUR").up(Amount(amount, "EUR")) == amount


def test_an_unquoted_rate_is_the_rate_that_was_written() -> None:
    """0.1389 is no binary fraction, but it is what is meant."""
    assert Exchange({"CNY": 0.1389}).up(Amount(10**4, "CNY")) == 1389


def test_a_missing_rate_is_named_with_the_line_that_would_mend_it() -> None:
    """Before anything is sent."""
    exchange = Exchange({"CNY": "0.14"}, where="sweep.toml [exchange]")
    exchange.require(["USD", "CNY"])
    with pytest.raises(ConfigError, match="from JPY to USD") as error:
        exchange.require(["CNY", "JPY"])
    assert error.value.where == "sweep.toml [exchange]"
    assert '[exchange] JPY = "…"' in error.value.how
    with pytest.raises(ConfigError):
        exchange.up(Amount(1, "JPY"))


@pytest.mark.parametrize(
    "table", [{"CNY": "0"}, {"CNY": -1}, {"CNY": "a"}, {"cny": "1"}, {"USD": "2"}, {"CNY": 1e-20}]
)
def test_what_is_no_rate_is_refused(table: dict[str, str | int | float]) -> None:
    """Zero would make money vanish."""
    with pytest.raises(ConfigError):
        Exchange(table)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "USD 0.00"),
        (1, "USD <0.01"),
        (5 * NANO // 1000, "USD <0.01"),
        (5 * NANO // 1000 + 1, "USD 0.01"),
        (15 * NANO // 1000, "USD 0.02"),
        (25 * NANO // 1000, "USD 0.02"),
        (12_340_000_000, "USD 12.34"),
        (1_234_567 * NANO, "USD 1,234,567.00"),
        (-12_340_000_000, "USD -12.34"),
    ],
)
def test_an_amount_is_shown_in_cents(amount: int, shown: str) -> None:
    """Half to even, and something is never shown as nothing."""
    assert formatted(Amount(amount, "USD")) == str(Amount(amount, "USD")) == shown


def test_an_amount_of_the_sweep_file_is_exact() -> None:
    """Nine decimals and no more."""
    assert nano("400", where="") == nano(400, where="") == nano(400.0, where="") == 400 * NANO
    assert nano("0.000000001", where="") == 1
    with pytest.raises(ConfigError, match="nine decimals"):
        nano("0.0000000001", where="")
