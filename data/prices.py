"""What a token costs: the sweep file's own price, `prices.toml`, genai-prices, or unknown.

Rules. (1) Unknown is None and never 0. (2) No float: figures are decimal strings per million tokens
and become integer pico-units of the currency per token (10^-12: "0.028" a million is 28,000 pico;
nano-units would lose the cached prices of cheap models). What a call costs is integer nano-units
(10^-9), rounded up, so the sum of calls is never below the bill. (3) A price belongs to an address,
not to a name: the same provider's international address charges otherwise. (4) Where a price
depends on what is not known beforehand (the hour of the day), it is the dearest, so that a bound is
a bound.

This is the only import of genai-prices (https://github.com/pydantic/genai-prices), an extra: its
bundled table, in US dollars; its updater is never started.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any, TypeVar
from urllib.parse import urlsplit

from data.codec import Table, convert, replace
from data.errors import ConfigError
from data.schema import ProviderSpec, Struct, Usage
from data.text import printable

PICO_PER_NANO = 1000
PER_MILLION = 10**6
"""From units per million tokens to pico-units per token, both ways: 10^12 / 10^6."""
OVERHEAD_TOKENS = 512
"""What a chat template and a provider's own preamble may add to the words that are sent."""
FLOAT_DIGITS = 15
"""Decimal digits that every float carries faithfully."""
_PLAIN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Tier(Struct, frozen=True):
    """Prices of a whole request of more than `above` input tokens; pico-units per token."""

    above: int
    input_pico: int
    output_pico: int
    cached_input_pico: int | None = None


class Price(Struct, frozen=True):
    """Prices of one model in pico-units (10^-12) of `currency` per token."""

    currency: str
    input_pico: int
    output_pico: int
    cached_input_pico: int | None = None
    """None: cached tokens cost what other input tokens cost."""
    source: str = ""
    """Where to look it up again: a URL, or "the sweep file"."""
    date: str = ""
    """When it was last compared with the source (ISO 8601), if that is known."""
    tiers: tuple[Tier, ...] = ()
    """By rising `above`."""
    batch: str = ""
    """What a batch interface multiplies all of it by; empty: there is none, or it is unknown."""
    certain: bool = True
    """False: read in another public list, not on the provider's own page."""
    note: str = ""


Rates = TypeVar("Rates", Price, Tier)

# --- as they are written -----------------------------------------------------------------------


class TierTable(Table, frozen=True, kw_only=True):
    """[[price.tiers]]"""

    above: int
    input: str
    output: str
    cached_input: str | None = None


class PriceTable(Table, frozen=True, kw_only=True):
    """A model's `price = { … }` in a sweep file, per million tokens.

    `price = 0` is the short form for a model that costs nothing.
    """

    currency: str = "USD"
    input: str | int | float
    output: str | int | float
    cached_input: str | int | float | None = None


class _Provider(Table, frozen=True, kw_only=True):
    hosts: list[str]
    currency: str
    source: str


class _Entry(Table, frozen=True, kw_only=True):
    provider: str
    models: list[str]
    effective_from: date
    checked: date
    input: str
    output: str
    cached_input: str | None = None
    tiers: list[TierTable] = []
    batch: str = ""
    source: str = ""
    certain: bool = True
    note: str = ""


class _Overlay(Table, frozen=True, kw_only=True):
    providers: dict[str, _Provider]
    price: list[_Entry]


class Listed(Struct, frozen=True):
    """One line of the overlay: these models at this host cost this, from that day on."""

    provider: str
    host: str
    glob: str
    effective_from: date
    price: Price


# --- finding a price ---------------------------------------------------------------------------


def price_of(provider: ProviderSpec, model: str, *, own: Price | None, on: date) -> Price | None:
    """The price of `model` (the provider's id of it) at this address on that day; None: unknown.

    `own`, what the sweep file says, wins; then the overlay; then genai-prices if it is installed.
    """
    if own is not None:
        return own
    return listed_price(provider.base_url, model, on) or packaged_price(
        provider.base_url, model, on
    )


def own_price(value: PriceTable | int, *, where: str) -> Price:
    """A sweep file's price as a record. Raises ConfigError."""
    if isinstance(value, int):
        if value:
            raise ConfigError(
                "a price is 0 or a table",
                where=where,
                how='price = { currency = "USD", input = "2.50", output = "10" }  (per million)',
            )
        value = PriceTable(input=0, output=0)
    cached = value.cached_input
    return Price(
        currency=currency_code(value.currency, where=where),
        input_pico=_pico(value.input, where),
        output_pico=_pico(value.output, where),
        cached_input_pico=None if cached is None else _pico(cached, where),
        source="the sweep file",
    )


@cache
def listed_price(base_url: str, model: str, on: date) -> Price | None:
    """What `prices.toml` says: of the entries in force then the newest, then the longest glob."""
    host, name = _host(base_url), model.lower()
    fitting = [
        line
        for line in overlay()
        if line.host == host and line.effective_from <= on and fnmatchcase(name, line.glob)
    ]
    best = max(fitting, key=lambda line: (line.effective_from, len(line.glob)), default=None)
    return best.price if best else None


@cache
def packaged_price(base_url: str, model: str, on: date) -> Price | None:
    """What genai-prices says, in US dollars: the dearest of the day where it changes by the hour.

    None: it is not installed, or does not know the address or the model.
    """
    try:
        package: Any = importlib.import_module("genai_prices")
    except ImportError:
        return None
    hours = [datetime.combine(on, time(hour), UTC) for hour in range(24)]
    found = [price for hour in hours if (price := _packaged(package, base_url, model, hour))]
    return max(found, key=lambda p: (p.output_pico, p.input_pico)) if found else None


def priced(base_url: str, on: date) -> int:
    """For how many of this address's models a price is known; a family that our table names is one."""
    host = _host(base_url)
    globs = {line.glob for line in overlay() if line.host == host and line.effective_from <= on}
    others = (name for name in _packaged_models(base_url) if not _fits(name, globs))
    return len(globs) + len(set(others))


def _fits(name: str, globs: set[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _packaged_models(base_url: str) -> list[str]:
    """The models that genai-prices knows at this address, in small letters."""
    try:
        package: Any = importlib.import_module("genai_prices.data_snapshot")
    except ImportError:
        return []
    try:
        provider = package.get_snapshot().find_provider(None, None, base_url)
    except LookupError:
        return []
    return [model.id.lower() for model in provider.models]


def _packaged(package: Any, base_url: str, model: str, moment: datetime) -> Price | None:
    usage = package.Usage(input_tokens=1, output_tokens=1)
    try:
        found = package.calc_price(
            usage, model, provider_api_url=base_url, genai_request_timestamp=moment
        ).model_price
    except LookupError:
        return None
    columns = [found.input_mtok, found.output_mtok, found.cache_read_mtok]
    if columns[0] is None or columns[1] is None or found.requests_kcount is not None:
        return None  # charged by something else than tokens
    starts = sorted({tier.start for column in columns for tier in getattr(column, "tiers", ())})
    base, *tiers = [_at(columns, above) for above in (0, *starts)]
    return Price(
        "USD",
        *base,
        source="genai-prices",
        tiers=tuple(Tier(above, *prices) for above, prices in zip(starts, tiers, strict=True)),
    )


def _at(columns: list[Any], above: int) -> tuple[int, int, int | None]:
    """Input, output and cached input in pico-units for requests of more than `above` tokens."""

    def read(column: Any) -> int:
        per_million = getattr(column, "base", column)
        for tier in getattr(column, "tiers", ()):
            if tier.start <= above:
                per_million = tier.price
        return _ceil(Decimal(per_million) * PER_MILLION)

    plain, output, cached = columns
    return read(plain), read(output), None if cached is None else read(cached)


# --- what a call costs -------------------------------------------------------------------------


def cost(price: Price, usage: Usage) -> int:
    """Nano-units of the price's currency, rounded up.

    Cached tokens are part of the input and reasoning tokens of the output, as `Usage` has it.
    """
    rates = _rates(price, usage.input_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    pico = (
        (usage.input_tokens - cached) * rates.input_pico
        + cached * _cached(rates)
        + usage.output_tokens * rates.output_pico
    )
    return -(-pico // PICO_PER_NANO)


def worst_case(
    price: Price, body_bytes: int, max_tokens: int | None, default_output_tokens: int
) -> int:
    """Nano-units that a request cannot exceed, rounded up.

    A token stands for at least one UTF-8 byte of the body, so the body's bytes bound the input; the
    output is bounded by `max_tokens`, or by `default_output_tokens` where none is sent.
    """
    most_input = body_bytes + OVERHEAD_TOKENS
    most_output = default_output_tokens if max_tokens is None else max_tokens
    reachable: list[Price | Tier] = [price]
    reachable += [tier for tier in price.tiers if tier.above < most_input]
    pico = max(
        most_input * max(rates.input_pico, _cached(rates)) + most_output * rates.output_pico
        for rates in reachable
    )
    return -(-pico // PICO_PER_NANO)


def batched(price: Price) -> Price | None:
    """The price of the same call by way of the batch interface, rounded up; None: no such price."""
    if not price.batch:
        return None
    factor = Decimal(price.batch)
    tiers = tuple(_scaled(tier, factor) for tier in price.tiers)
    return replace(_scaled(price, factor), tiers=tiers, batch="")


def _scaled(rates: Rates, factor: Decimal) -> Rates:
    cached = rates.cached_input_pico
    return replace(
        rates,
        input_pico=_ceil(rates.input_pico * factor),
        output_pico=_ceil(rates.output_pico * factor),
        cached_input_pico=None if cached is None else _ceil(cached * factor),
    )


def _rates(price: Price, input_tokens: int) -> Price | Tier:
    rates: Price | Tier = price
    for tier in price.tiers:
        if tier.above < input_tokens:
            rates = tier
    return rates


def _cached(rates: Price | Tier) -> int:
    return rates.input_pico if rates.cached_input_pico is None else rates.cached_input_pico


# --- the overlay -------------------------------------------------------------------------------


@cache
def overlay() -> tuple[Listed, ...]:
    """`prices.toml`, read once."""
    text = resources.files("data").joinpath("prices.toml").read_text(encoding="utf-8")
    return tuple(read_overlay(text, where="prices.toml"))


def read_overlay(text: str, *, where: str) -> Iterator[Listed]:
    """Every glob of every entry at every host. Raises ConfigError for an unsound price list."""
    table = convert(tomllib.loads(text), _Overlay, where=where)
    seen: set[tuple[str, str, date]] = set()
    for number, entry in enumerate(table.price, start=1):
        place = f"{where}: [[price]] {number} ({entry.provider} {', '.join(entry.models)})"
        provider = table.providers.get(entry.provider)
        if provider is None:
            raise ConfigError(f"no [providers.{entry.provider}]", where=place)
        if entry.checked < entry.effective_from:
            raise ConfigError("`checked` lies before `effective_from`", where=place)
        price = _entry_price(entry, provider, place)
        for host in provider.hosts:
            for glob in map(str.lower, entry.models):
                key = (host, glob, entry.effective_from)
                if key in seen:
                    raise ConfigError(f"a second price of `{glob}` from that day on", where=place)
                seen.add(key)
                yield Listed(entry.provider, host, glob, entry.effective_from, price)


def _entry_price(entry: _Entry, provider: _Provider, place: str) -> Price:
    above = [tier.above for tier in entry.tiers]
    if above != sorted(set(above)) or (above and above[0] < 1):
        raise ConfigError("`tiers` must have rising `above`", where=place)
    if entry.batch and not 0 < exact(entry.batch, where=place) <= 1:
        raise ConfigError("`batch` must be above 0 and at most 1", where=place)
    return Price(
        currency_code(provider.currency, where=place),
        *_columns(entry, place),
        source=entry.source or provider.source,
        date=entry.checked.isoformat(),
        tiers=tuple(Tier(tier.above, *_columns(tier, place)) for tier in entry.tiers),
        batch=entry.batch,
        certain=entry.certain,
        note=entry.note,
    )


def _columns(row: _Entry | TierTable, place: str) -> tuple[int, int, int | None]:
    cached = None if row.cached_input is None else _pico(row.cached_input, place)
    return _pico(row.input, place), _pico(row.output, place), cached


# --- figures -----------------------------------------------------------------------------------


def exact(value: str | int | float, *, where: str) -> Decimal:
    """The decimal number as it is written. Raises ConfigError.

    TOML hands an unquoted 0.1389 over as a float; its shortest decimal form is what was written, as
    long as that has at most 15 digits (IEEE 754 double precision).
    """
    text = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
    if isinstance(value, float) and len(text.strip("0.").replace(".", "")) > FLOAT_DIGITS:
        raise ConfigError(f"{value!r} has too many digits", where=where, how="put it in quotes")
    if not _PLAIN.fullmatch(text):
        raise ConfigError(
            f"{printable(str(value), 40)!r} is no amount",
            where=where,
            how='digits with a point, such as "2.50": not negative, at most 12 decimals',
        )
    return Decimal(text)


def currency_code(text: str, *, where: str) -> str:
    """Three capital letters (ISO 4217). Raises ConfigError."""
    if not _CURRENCY.fullmatch(text):
        raise ConfigError(
            f"{printable(text, 20)!r} is no currency",
            where=where,
            how='three capital letters, such as "USD" or "CNY"',
        )
    return text


def _pico(per_million: str | int | float, where: str) -> int:
    """Pico-units per token. Raises ConfigError for more than six decimals, which would be lost."""
    pico = exact(per_million, where=where) * PER_MILLION
    if pico != int(pico):
        raise ConfigError(f"{per_million} has more than six decimals", where=where)
    return int(pico)


def _ceil(number: Decimal) -> int:
    whole = int(number)
    return whole + (number > whole)


def _host(base_url: str) -> str:
    try:
        return (urlsplit(base_url).hostname or "").lower()
    except ValueError:
        return ""
