"""Prices: found in the stated order, exact to the last digit, and unknown rather than nothing."""

from __future__ import annotations

import random
import sys
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import prices
from data.catalog import presets
from data.errors import ConfigError
from data.prices import (
    OVERHEAD_TOKENS,
    Price,
    PriceTable,
    Tier,
    batched,
    cost,
    exact,
    own_price,
    packaged_price,
    price_of,
    priced,
    read_overlay,
    worst_case,
)
from data.schema import ProviderSpec, Usage

TODAY = date(2026, 11, 23)
NANO = 10**9
DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"
PACKAGE_MISSING = "the extra `prices` (genai-prices) is not installed"

per_million = st.decimals(0, 10_000, places=6).map(lambda d: format(d, "f"))
tokens = st.integers(0, 10_000_000)


def at(base_url: str) -> ProviderSpec:
    """A provider whatever its name, at this address."""
    return ProviderSpec(name="anything", api="openai-chat", base_url=base_url)


def usages(most_input: int = 10_000_000, most_output: int = 10_000_000) -> st.SearchStrategy[Usage]:
    """Usage as every codec hands it over: cached is a part of input."""
    return st.integers(0, most_input).flatmap(
        lambda given_in: st.builds(
            Usage, st.just(given_in), st.integers(0, most_output), st.integers(0, given_in)
        )
    )


@st.composite
def tables(draw: st.DrawFn) -> PriceTable:
    """A sweep file's price."""
    cached = draw(st.none() | per_million)
    return PriceTable(
        currency="CNY", input=draw(per_million), output=draw(per_million), cached_input=cached
    )


@st.composite
def tiered(draw: st.DrawFn) -> Price:
    """A price with up to three tiers, which may be cheaper than what stands before them."""
    pico = st.integers(0, 10**9)
    starts = sorted(draw(st.sets(st.integers(1, 300_000), max_size=3)))
    tiers = tuple(Tier(s, draw(pico), draw(pico), draw(st.none() | pico)) for s in starts)
    return Price("CNY", draw(pico), draw(pico), draw(st.none() | pico), tiers=tiers)


# --- arithmetic --------------------------------------------------------------------------------


@given(table=tables(), usage=usages())
def test_a_call_costs_its_exact_price_rounded_up_to_the_next_nano_unit(
    table: PriceTable, usage: Usage
) -> None:
    """Compared with fractions; less than one nano-unit above, never below."""
    cached_rate = table.input if table.cached_input is None else table.cached_input
    exactly = (
        (usage.input_tokens - usage.cached_tokens) * Fraction(str(table.input))
        + usage.cached_tokens * Fraction(str(cached_rate))
        + usage.output_tokens * Fraction(str(table.output))
    ) / 10**6
    booked = Fraction(cost(own_price(table, where=""), usage), NANO)
    assert 0 <= booked - exactly < Fraction(1, NANO)


@given(data=st.data(), price=tiered(), body_bytes=st.integers(0, 2_000_000))
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    data: st.DataObject, price: Price, body_bytes: int
) -> None:
    """Whatever tier it falls into and however much of it was cached."""
    sent = data.draw(st.none() | st.integers(1, 100_000))
    cap = 4096 if sent is None else sent
    usage = data.draw(usages(body_bytes + OVERHEAD_TOKENS, cap))
    assert cost(price, usage) <= worst_case(price, body_bytes, sent, 4096)


def test_the_worst_case_is_bytes_and_overhead_in_and_the_cap_out() -> None:
    """To the unit, so that a ceiling is used as far as it goes."""
    price = own_price(PriceTable(input="2.40", output="9.60"), where="")
    assert worst_case(price, 1000, 2048, 1) == 2400 * (1000 + OVERHEAD_TOKENS) + 9600 * 2048
    assert worst_case(price, 1000, None, 7) == 2400 * (1000 + OVERHEAD_TOKENS) + 9600 * 7


def test_a_bound_holds_where_cached_input_is_dearer_than_other_input() -> None:
    """No provider does so, but a file may say it."""
    price = own_price(PriceTable(input=1, output=1, cached_input=9), where="")
    sent = 100 + OVERHEAD_TOKENS
    assert worst_case(price, 100, 0, 0) == cost(price, Usage(sent, 0, sent))


def test_a_price_finer_than_a_nano_unit_a_token_is_kept() -> None:
    """DeepSeek's cached input once cost 0.003625 dollars a million: 3.625 nano-dollars a token."""
    price = own_price(PriceTable(input="0.435", output="0.87", cached_input="0.003625"), where="")
    assert price.cached_input_pico == 3625
    assert cost(price, Usage(1_000_000, 0, 1_000_000)) == 3_625_000


def test_cached_tokens_have_their_own_price_and_are_part_of_the_input() -> None:
    """64 of 100 input tokens came from the cache, as DeepSeek counts them."""
    price = own_price(PriceTable(currency="CNY", input=2, output=8, cached_input=0.5), where="")
    assert cost(price, Usage(100, 10, 64)) == 36 * 2000 + 64 * 500 + 10 * 8000


def test_cached_tokens_without_a_price_of_their_own_cost_what_input_costs() -> None:
    """Nothing is free because nobody said what it costs."""
    price = own_price(PriceTable(input=2, output=8), where="")
    assert cost(price, Usage(100, 0, 64)) == cost(price, Usage(100, 0, 0)) == 200_000


def test_reasoning_tokens_are_not_paid_twice() -> None:
    """They are part of the output already."""
    price = own_price(PriceTable(input=2, output=8), where="")
    assert cost(price, Usage(0, 10, 0, 9)) == cost(price, Usage(0, 10, 0, 0)) == 80_000


@pytest.mark.parametrize(("sent", "rate"), [(100, 1), (101, 2), (200, 2), (201, 5)])
def test_a_tier_prices_the_whole_request_from_its_first_token_above_on(
    sent: int, rate: int
) -> None:
    """32,000 tokens are still `<= 32K`."""
    price = Price("CNY", 1000, 1000, tiers=(Tier(100, 2000, 2000), Tier(200, 5000, 5000)))
    assert cost(price, Usage(sent, 7, 3)) == (sent + 7) * rate


@given(price=tiered(), usage=usages())
def test_a_batch_costs_its_share_and_never_less(price: Price, usage: Usage) -> None:
    """Each price is rounded up, so it is off by less than a pico-unit a token."""
    assert batched(price) is None
    half = batched(Price("CNY", price.input_pico, price.output_pico, batch="0.5"))
    assert half is not None
    whole = Price("CNY", price.input_pico, price.output_pico)
    slack = (usage.input_tokens + usage.output_tokens) // prices.PICO_PER_NANO + 2
    assert 0 <= 2 * cost(half, usage) - cost(whole, usage) <= slack


# --- figures -----------------------------------------------------------------------------------


@given(st.decimals(0, 999_999_999, places=12))
def test_a_string_is_read_to_its_last_digit(number: Decimal) -> None:
    """Twelve decimals."""
    assert exact(format(number, "f"), where="") == number


@given(whole=st.integers(0, 99_999_999), decimals=st.integers(0, 999_999))
def test_an_unquoted_number_is_read_as_it_was_written(whole: int, decimals: int) -> None:
    """TOML makes a float of it; what the user wrote is meant."""
    text = f"{whole}.{decimals:06d}"
    parsed = tomllib.loads(f"price = {text}")["price"]
    assert exact(parsed, where="") == Decimal(text)


@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "+1", "1e3", "1,5", "1_000", " 1", "1.", ".5", "NaN", "inf", "1/3", "１"),
        *("9" * 40, "0." + "1" * 13),
        *(-1, -0.5, float("nan"), float("inf"), 1e30, 0.12345678901234567),
    ],
)
def test_what_is_no_plain_amount_is_refused(value: str | float) -> None:
    """One clear error with its place."""
    with pytest.raises(ConfigError, match=r"^sweep\.toml:7: "):
        exact(value, where="sweep.toml:7")


def test_a_price_of_more_than_six_decimals_is_refused_rather_than_cut() -> None:
    """It would be lost."""
    with pytest.raises(ConfigError, match="more than six decimals"):
        own_price(PriceTable(input="0.0000001", output="1"), where="")


def test_a_price_is_a_table_or_nothing_at_all() -> None:
    """`price = 0` says that it is free, `price = 3` says nothing."""
    free = own_price(0, where="")
    assert cost(free, Usage(1000, 1000)) == worst_case(free, 10**6, 10**6, 0) == 0
    with pytest.raises(ConfigError, match="0 or a table"):
        own_price(3, where="")


@pytest.mark.parametrize("code", ["usd", "US", "DOLLARS", "", "U$D"])
def test_a_currency_is_three_capital_letters(code: str) -> None:
    """A misspelt one would never be exchanged."""
    with pytest.raises(ConfigError, match="is no currency"):
        own_price(PriceTable(currency=code, input=1, output=1), where="")


# --- the order of sources ----------------------------------------------------------------------


def test_the_sweep_file_goes_before_the_overlay() -> None:
    """Whoever has a discount says so there."""
    own = own_price(PriceTable(input=1, output=1), where="")
    assert price_of(at(DASHSCOPE), "qwen-max", own=own, on=TODAY) is own
    listed = price_of(at(DASHSCOPE), "qwen-max", own=None, on=TODAY)
    assert listed is not None
    assert listed.currency == "CNY"


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen-max"),
        ("http://127.0.0.1:8000/v1", "qwen-max"),
        ("https://dashscope.aliyuncs.com.example.org/v1", "qwen-max"),
        ("simulated:", "qwen-max"),
        ("http://[", "qwen-max"),
        (DASHSCOPE, "qwen-max-of-tomorrow"),
        (DASHSCOPE, ""),
    ],
)
def test_an_unknown_address_or_model_has_no_price(base_url: str, model: str) -> None:
    """None, not 0: the same model elsewhere is billed otherwise."""
    assert price_of(at(base_url), model, own=None, on=TODAY) is None


def test_a_price_counts_from_its_day_on() -> None:
    """Before the first known one it is unknown; a newer one takes over on its day."""
    entry = OVERLAY[OVERLAY.index("[[price]]") :]
    newer = entry.replace("2026-01-01", "2026-06-01").replace('input = "2"', 'input = "3"')
    lines = list(read_overlay(OVERLAY + newer, where="x"))
    assert [(line.effective_from, line.price.input_pico) for line in lines] == [
        (date(2026, 1, 1), 2_000_000),
        (date(2026, 6, 1), 3_000_000),
    ]
    first = min(line.effective_from for line in prices.overlay() if line.glob == "qwen-max")
    assert prices.listed_price(DASHSCOPE, "qwen-max", first) is not None
    assert prices.listed_price(DASHSCOPE, "qwen-max", first - timedelta(days=1)) is None


def test_the_newest_entry_wins_and_then_the_longest_glob(monkeypatch: pytest.MonkeyPatch) -> None:
    """A special case may stand beside its family."""
    day, later = date(2026, 1, 1), date(2026, 6, 1)
    lines = tuple(
        prices.Listed("p", "h", glob, since, Price("CNY", pico, 0))
        for glob, since, pico in [("m*", day, 1), ("m-pro*", day, 2), ("m*", later, 3)]
    )
    monkeypatch.setattr(prices, "overlay", lambda: lines)
    find = prices.listed_price.__wrapped__
    assert [find("https://h/", "M-Pro-1", on) for on in (day, later)] == [
        lines[1].price,
        lines[2].price,
    ]


# --- genai-prices ------------------------------------------------------------------------------


def test_what_the_overlay_lacks_comes_from_genai_prices_in_dollars() -> None:
    """Found by address, with its tiers."""
    pytest.importorskip("genai_prices", reason=PACKAGE_MISSING)
    gpt = price_of(at("https://api.openai.com/v1"), "gpt-4-0613", own=None, on=TODAY)
    assert gpt is not None
    assert (gpt.currency, gpt.input_pico, gpt.output_pico) == ("USD", 30_000_000, 60_000_000)
    google = "https://generativelanguage.googleapis.com/v1beta/openai"
    gemini = price_of(at(google), "gemini-2.5-pro", own=None, on=TODAY)
    assert gemini is not None
    assert gemini.tiers
    assert all(tier.input_pico > gemini.input_pico for tier in gemini.tiers)


def test_it_is_known_for_how_many_models_of_an_address_there_is_a_price() -> None:
    """Those of our table and those of genai-prices, each once; nobody's models cost nothing known."""
    assert priced(DASHSCOPE, TODAY) > 3
    assert priced(DASHSCOPE, date(2000, 1, 1)) <= priced(DASHSCOPE, TODAY)
    assert priced("http://127.0.0.1:8000/v1", TODAY) == 0
    assert priced("no address", TODAY) == 0
    pytest.importorskip("genai_prices", reason=PACKAGE_MISSING)
    assert priced("https://api.openai.com/v1", TODAY) > 50


def test_our_cost_agrees_with_what_genai_prices_calculates() -> None:
    """Cached tokens included, to the nano-dollar."""
    package = pytest.importorskip("genai_prices", reason=PACKAGE_MISSING)
    price, rng = packaged_price("https://api.openai.com/v1", "gpt-4o", TODAY), random.Random(0)
    assert price is not None
    for _ in range(50):
        sent, answered = rng.randrange(150_000), rng.randrange(150_000)
        usage = Usage(sent, answered, rng.randint(0, sent))
        theirs = package.calc_price(
            package.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cached_tokens,
            ),
            "gpt-4o",
            provider_id="openai",
            genai_request_timestamp=datetime.combine(TODAY, time(), UTC),
        ).total_price
        assert 0 <= cost(price, usage) - theirs * NANO < 1


def test_a_price_that_changes_by_the_hour_counts_at_its_dearest() -> None:
    """A bound must not depend on when a call goes out."""
    package = pytest.importorskip("genai_prices", reason=PACKAGE_MISSING)
    price = packaged_price("https://api.deepseek.com", "deepseek-reasoner", TODAY)
    assert price is not None
    usage = package.Usage(input_tokens=0, output_tokens=1_000_000)
    for hour in range(24):
        moment = datetime.combine(TODAY, time(hour), UTC)
        now = package.calc_price(
            usage,
            "deepseek-reasoner",
            provider_id="deepseek",
            genai_request_timestamp=moment,
        )
        assert now.total_price * NANO <= cost(price, Usage(0, 1_000_000))


def test_what_genai_prices_does_not_know_stays_unknown() -> None:
    """Its LookupError is no crash."""
    pytest.importorskip("genai_prices", reason=PACKAGE_MISSING)
    assert packaged_price("https://api.openai.com/v1", "no-such-model", TODAY) is None
    assert packaged_price("https://nobody.example/v1", "gpt-4o", TODAY) is None


def test_without_the_package_its_models_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that is absent costs nothing but its prices."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert packaged_price.__wrapped__("https://api.openai.com/v1", "gpt-4o", TODAY) is None


# --- the overlay -------------------------------------------------------------------------------

OVERLAY = """
[providers.p]
hosts = ["h"]
currency = "CNY"
source = "https://h/price"
[[price]]
provider = "p"
models = ["m"]
effective_from = 2026-01-01
checked = 2026-07-01
input = "2"
output = "8"
"""


def test_the_overlay_is_sound_and_each_of_its_models_is_found() -> None:
    """Every glob, with a star or without, leads to a price with a source and a date."""
    lines = prices.overlay()
    assert len(lines) > 50
    for line in lines:
        model = line.glob.replace("*", "0101")
        found = price_of(at(f"https://{line.host}/v1"), model, own=None, on=TODAY)
        assert found is not None, line.glob
        assert found.source.startswith("https://")
        assert date.fromisoformat(found.date) <= TODAY
        assert found.input_pico > 0, "a price of zero is the user's to state"
        assert found.output_pico > 0
        assert found.cached_input_pico is None or found.cached_input_pico < found.input_pico


def test_no_two_globs_of_a_host_claim_the_same_model() -> None:
    """What a model costs does not hang on which glob is longer."""
    lines = prices.overlay()
    for one in lines:
        claimed = {
            other.glob
            for other in lines
            if other.host == one.host and fnmatchcase(one.glob.replace("*", "0101"), other.glob)
        }
        assert claimed == {one.glob}


def test_the_overlay_speaks_of_the_addresses_that_the_presets_have() -> None:
    """Else its prices would never be found."""
    known = presets()
    for line in prices.overlay():
        assert urlsplit(known[line.provider].base_url or "").hostname == line.host


def test_every_figure_of_the_overlay_is_a_string() -> None:
    """A float would already have lost what it lost."""
    path = Path(prices.__file__).with_name("prices.toml")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for entry in table["price"]:
        for row in (entry, *entry.get("tiers", ())):
            figures = {"input", "output", "cached_input", "batch"} & row.keys()
            assert all(isinstance(row[key], str) for key in figures)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('input = "2"', "input = 2.0"),
        ('input = "2"', 'input = "-2"'),
        ('input = "2"', 'input = "2,5"'),
        ('input = "2"', 'input = "0.0000001"'),
        ('input = "2"', ""),
        ('input = "2"', 'inputs = "2"'),
        ('"CNY"', '"yuan"'),
        ("2026-01-01", '"last week"'),
        ("2026-01-01", "2026-08-01"),
        ('provider = "p"', 'provider = "q"'),
        ('models = ["m"]', 'models = ["m", "M"]'),
        ('models = ["m"]', 'models = "m"'),
        ('output = "8"', 'output = "8"\nbatch = "1.5"'),
        ('output = "8"', 'output = "8"\nbatch = "0"'),
        ('output = "8"', 'output = "8"\ntiers = [{above = 0, input = "1", output = "1"}]'),
        (
            'output = "8"',
            'output = "8"\n'
            'tiers = [{above = 9, input = "1", output = "1"},'
            '         {above = 9, input = "1", output = "1"}]',
        ),
    ],
)
def test_an_unsound_overlay_is_refused(old: str, new: str) -> None:
    """Each with one error, and never read in part."""
    assert old in OVERLAY
    assert list(read_overlay(OVERLAY, where="x"))
    with pytest.raises(ConfigError):
        list(read_overlay(OVERLAY.replace(old, new, 1), where="x"))
