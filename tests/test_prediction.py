"""What a workload costs, whether there is room for it, and how both are written down."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.prices import Price, Tier, worst_case
from data.schema import ProviderSpec, Sweep
from engine.budget import TOTAL, Ceiling, Line, Scope, Statistics
from engine.cells import width
from engine.money import NANO, Exchange
from engine.prediction import Prediction, Sum, predict, sum_of
from engine.purse import Party, Terms
from engine.reports import prediction as paper
from engine.workload import Range, Share, Workload, WorkStage

TEN, THIRTY = 10 * 10**6, 30 * 10**6
"""Pico-units a token: 10 and 30 a million."""
USD = Price("USD", TEN, THIRTY)
CNY = Price("CNY", TEN, THIRTY)


def share(party: str = "m", stage: WorkStage = "answers", **more: Any) -> Share:
    """10 calls of 1,000 tokens in (700 to 2,000) and 500 out (300 to 1,500)."""
    fields: dict[str, Any] = {
        "to_send": 10,
        "model": party,
        "input": Range(7_000, 10_000, 20_000),
        "output": Range(3_000, 5_000, 15_000),
        "largest_input": 2_500,
    }
    return Share("acme", party, stage, done=0, cached=0, **(fields | more))


def sweep(**limits: Any) -> Sweep:
    provider = ProviderSpec(name="acme", api="openai-chat", base_url="http://x/v1", **limits)
    return Sweep(
        name="s",
        benchmark="b",
        benchmark_sha256="",
        rubric_sha256={},
        temperatures={},
        models=(),
        judges=(),
        providers=(provider,),
    )


def predicted(
    *shares: Share,
    own: dict[Party, Price] | None = None,
    limits: dict[Scope, int] | None = None,
    rates: dict[str, str] | None = None,
    spent: int = 0,
    **provider: Any,
) -> Prediction:
    """At these prices, under these ceilings; `spent` nano-units are booked already."""
    terms = Terms(own or {}, Exchange(rates), Ceiling(limits=limits or {}))
    line = Line(spent=spent)
    booked = Statistics("USD", line, {"acme": line}, {"m": line}, {"judge": line}, 0)
    return predict(Workload(shares), sweep(**provider), terms, on=date(2026, 1, 1), booked=booked)


# --- money -------------------------------------------------------------------------------------


def test_money_is_tokens_times_price() -> None:
    """0.10 + 0.15 likely; the worst call is the largest prompt with the longest answer."""
    total = sum_of(share(), USD)
    assert total.likely == (10_000 * 10 + 5_000 * 30) * 1000
    assert total.low == (7_000 * 10 + 3_000 * 30) * 1000
    assert total.worst == (20_000 * 10 + 15_000 * 30) * 1000 + 10
    assert total.call == (2_500 * 10 + 1_500 * 30) * 1000


@given(
    bodies=st.lists(st.integers(1, 60_000), min_size=1, max_size=20),
    cap=st.integers(0, 10_000),
    cached=st.integers(0, 2 * TEN),
)
def test_the_worst_is_never_below_what_the_budget_reserves(
    bodies: list[int], cap: int, cached: int
) -> None:
    """Call by call, with tiers and with cached input that is dearer than other input."""
    tiers = (Tier(8_000, 2 * TEN, THIRTY), Tier(32_000, TEN // 2, 5 * THIRTY))
    price = Price("USD", TEN, THIRTY, cached, tiers=tiers)
    reserved = [worst_case(price, body, cap, 0) for body in bodies]
    worst = Range(0, 0, sum(bodies) + 512 * len(bodies))
    total = sum_of(
        share(
            to_send=len(bodies),
            input=worst,
            output=Range(0, 0, cap * len(bodies)),
            largest_input=max(bodies) + 512,
        ),
        price,
    )
    assert total.worst is not None
    assert total.worst >= sum(reserved)
    assert total.call == max(worst_case(price, max(bodies), cap, 0), total.call or 0)


def test_a_tier_is_that_of_the_mean_prompt() -> None:
    """Not that of all prompts together."""
    price = Price("USD", TEN, 0, tiers=(Tier(5_000, 9 * TEN, 0),))
    assert sum_of(share(), price).likely == 10_000 * 10 * 1000


def test_what_nothing_bounds_has_no_bound() -> None:
    """Unless its output costs nothing."""
    endless = share(output=Range(3_000, 5_000, None))
    assert sum_of(endless, USD).worst is None
    assert sum_of(endless, Price("USD", TEN, 0)).worst == 20_000 * 10 * 1000 + 10
    assert (Sum("USD", 1, 2, 3) + Sum("USD", 1, 2, None)).worst is None


def test_what_is_free_costs_nothing_at_all() -> None:
    """No cent of rounding."""
    assert sum_of(share(), Price("USD", 0, 0)) == Sum("USD", 0, 0, 0, 0)


def test_amounts_are_converted_where_there_is_a_rate() -> None:
    """Else each currency has a sum of its own, the budget's first."""
    own: dict[Party, Price] = {("generate", "m"): CNY, ("judge", "j"): USD}
    both = (share(), share("j", "judgments"))
    apart = predicted(*both, own=own).totals
    assert [(total.currency, total.likely) for total in apart] == [
        ("USD", 250_000_000),
        ("CNY", 250_000_000),
    ]
    (together,) = predicted(*both, own=own, rates={"CNY": "0.1"}).totals
    assert together.likely == 275_000_000


def test_an_unknown_price_is_a_number_of_calls() -> None:
    """In no amount, and no 0 either."""
    seen = predicted(share(), share("j", "judgments"), own={("judge", "j"): USD})
    assert seen.unpriced == 10
    assert seen.costs[0].sum is None
    assert [total.likely for total in seen.totals] == [250_000_000]


# --- ceilings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "likely", "worst"),
    [
        (250_000_000, False, False),
        (320_000_000, True, False),  # the last call has room at its worst
        (319_999_999, False, False),
        (650_000_010, True, True),
    ],
)
def test_a_ceiling_fits_or_it_does_not(limit: int, likely: bool, worst: bool) -> None:
    """0.25 is likely to come, 0.07 is the most that a call may cost, 0.65 the worst of all."""
    seen = predicted(share(), own={("generate", "m"): USD}, limits={TOTAL: limit})
    (fit,) = seen.fits
    assert (fit.likely_fits, fit.worst_fits) == (likely, worst)


def test_what_is_spent_already_leaves_less_room() -> None:
    """Of the same ceiling."""
    own: dict[Party, Price] = {("generate", "m"): USD}
    assert predicted(share(), own=own, limits={TOTAL: NANO}).fits[0].worst_fits
    after = predicted(share(), own=own, limits={TOTAL: NANO}, spent=NANO - 1)
    assert not after.fits[0].likely_fits


def test_each_ceiling_holds_for_its_own() -> None:
    """The run's, an account's, a model's, a stage's; the run's is told first."""
    own: dict[Party, Price] = {("generate", "m"): USD, ("judge", "j"): USD}
    scopes: list[Scope] = [("stage", "judge"), ("model", "m"), ("account", "acme"), TOTAL]
    seen = predicted(share(), share("j", "judgments"), own=own, limits=dict.fromkeys(scopes, NANO))
    amounts = {fit.scope: fit.sum.likely for fit in seen.fits}
    one, two = 250_000_000, 500_000_000
    assert amounts == {
        TOTAL: two,
        ("stage", "judge"): one,
        ("model", "m"): one,
        ("account", "acme"): two,
    }
    assert seen.fits[0].scope == TOTAL


# --- on paper ----------------------------------------------------------------------------------


def lines(seen: Prediction, **provider: Any) -> list[str]:
    """All that a person reads."""
    return [
        *paper.token_lines(seen),
        *paper.money_lines(seen),
        *paper.time_lines(seen, sweep(**provider)),
        *paper.left_lines(seen),
    ]


def test_no_line_is_wider_than_a_terminal() -> None:
    """Long foreign names and large amounts included."""
    name = "一个名字非常非常长的模型" * 3
    own: dict[Party, Price] = {("generate", name): USD}
    big = share(name, to_send=10**6, input=Range(10**9, 10**9, 10**10))
    seen = predicted(big, share("j", "judgments"), own=own, limits={TOTAL: 10**15}, rpm=1.0)
    assert [line for line in lines(seen, rpm=1.0) if width(line) > 80] == []


def test_what_a_name_says_is_only_text() -> None:
    """No escape code reaches the terminal."""
    seen = predicted(share("m\x1b[31m"), own={})
    assert "\x1b" not in "".join(lines(seen))


def test_what_is_unknown_is_said_in_words() -> None:
    """A price, a bound, a limit, a latency."""
    endless = share(output=Range(3_000, 5_000, None))
    text = "\n".join(lines(predicted(endless, share("j", "judgments"), own={("judge", "j"): USD})))
    assert "10 calls of unknown price" in text
    assert "no bound: without max_tokens nothing limits a reply" in text
    assert "no limit is known but calls in flight: acme" in text
    assert "no call was timed yet" in text
    alone = "\n".join(lines(predicted(endless)))
    assert "money: 10 calls of unknown price" in alone
    assert "0.00" not in alone


def test_the_constraint_that_binds_is_named() -> None:
    """Of the account, and of the sweep if there is more than one."""
    text = "\n".join(lines(predicted(share(), rpm=1.0), rpm=1.0))
    assert "9m00s     9m00s   requests/min 1" in text
    assert "no limit is known" not in text


def test_nothing_to_send_says_nothing() -> None:
    """No table of zeros."""
    done = share(to_send=0, input=Range(), output=Range())
    seen = predicted(done)
    assert not list(paper.token_lines(seen))
    assert not list(paper.money_lines(seen))
    assert not list(paper.time_lines(seen, sweep()))


def test_what_is_left_says_which_ceiling_to_raise() -> None:
    """By the key of the sweep file, up to whole cents; what fits in any case is not named."""
    own: dict[Party, Price] = {("generate", "m"): USD}
    limits: dict[Scope, int] = {TOTAL: NANO // 100, ("model", "m"): 10 * NANO}
    text = list(paper.left_lines(predicted(share(), own=own, limits=limits)))
    assert text[0] == "left      10 requests: likely USD 0.25, at most USD 0.65"
    assert text[1] == "budget    total: USD 0.32 would likely do, USD 0.66 in any case"
    assert len(text) == 3


def test_the_document_carries_the_same_figures() -> None:
    """For programs: nano-units, seconds, and null for what is unknown."""
    endless = share("j", "judgments", output=Range(3_000, 5_000, None))
    own: dict[Party, Price] = {("generate", "m"): USD}
    seen = predicted(share(), endless, own=own, limits={TOTAL: NANO}, rpm=2.0)
    told = codec.decode(paper.document(seen, sweep(rpm=2.0), run_folder="runs/s"))
    assert told["schema"] == "alignsweep.plan/1"
    assert told["to_send"] == 20
    assert told["output_tokens"] == {"low": 6_000, "likely": 10_000, "worst": None}
    assert told["shares"][0]["money"]["likely_nano"] == 250_000_000
    assert told["shares"][1]["money"] is None
    assert told["unpriced_calls"] == 10
    assert told["budget"][0]["scope"] == ["total", ""]
    assert told["budget"][0]["likely_fits"] is True
    assert told["sweep"]["at_least"]["constraint"] == "requests/min 2"
