"""The lower bound: the largest of what each constraint demands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import AccountSpec, ProviderSpec
from engine.bound import Bound, Load, bound_of, bounds_of, limited, slowest, together
from engine.workload import Range, Share, Workload

LOAD = Load(requests=600, input_tokens=300_000, output_tokens=60_000, latency_s=2.0, chain_s=4.0)


def spec(concurrency: int = 1000, **limits: Any) -> ProviderSpec:
    return ProviderSpec(
        name="p", api="openai-chat", base_url="simulated:", concurrency=concurrency, **limits
    )


@pytest.mark.parametrize(
    ("limits", "seconds", "constraint"),
    [
        ({"rpm": 60.0}, 599.0, "requests/min 60"),
        ({"rpm": 6.0}, 5990.0, "requests/min 6"),
        ({"tpm": 36_000.0}, 599.0, "tokens/min 36000"),
        ({"input_tpm": 60_000.0}, 299.0, "input-tokens/min 60000"),
        ({"output_tpm": 6_000.0}, 599.0, "output-tokens/min 6000"),
        ({"rpd": 300.0}, 86_400.0, "requests/day 300"),
        ({"rpd": 599.0}, 86_400.0, "requests/day 599"),
        ({"rpd": 600.0}, 4.0, "one answer, then its judgment"),
        ({}, 4.0, "one answer, then its judgment"),
    ],
)
def test_the_binding_constraint_is_named(
    limits: dict[str, Any], seconds: float, constraint: str
) -> None:
    """With the seconds it alone would take: one call or a second's worth goes at once."""
    bound = bound_of(spec(**limits), LOAD)
    assert bound.seconds == pytest.approx(seconds)
    assert (bound.account, bound.constraint) == ("p", constraint)


def test_calls_in_flight_bind_when_they_are_few() -> None:
    """Little's law."""
    assert bound_of(spec(8), LOAD) == Bound("p", 150.0, "calls in flight 8")


@given(rpm=st.floats(1, 10_000), tpm=st.floats(1, 1e7), more=st.floats(1, 10))
def test_a_higher_limit_never_takes_longer(rpm: float, tpm: float, more: float) -> None:
    """And a further limit never makes it shorter."""
    both = bound_of(spec(rpm=rpm, tpm=tpm), LOAD).seconds
    assert bound_of(spec(rpm=rpm * more, tpm=tpm), LOAD).seconds <= both
    assert bound_of(spec(rpm=rpm), LOAD).seconds <= both


def test_accounts_of_one_provider_add_up() -> None:
    """What each allows is free for all: a bound by one of them alone would be none."""
    own = (AccountSpec(rpm=60.0), AccountSpec(rpm=30.0, concurrency=8))
    both = together(spec(100, tpm=1000.0, accounts=own))
    assert (both.rpm, both.tpm, both.concurrency) == (90.0, 2000.0, 108)
    assert bound_of(both, LOAD).constraint == "tokens/min 2000"
    assert bound_of(together(spec(8, accounts=own)), LOAD).seconds == pytest.approx(
        60.0 * (600 - 2) / 90.0
    )


def test_an_account_without_a_limit_makes_the_provider_one_without() -> None:
    """Everything could go through that one."""
    both = together(spec(accounts=(AccountSpec(rpm=60.0), AccountSpec())))
    assert both.rpm is None
    assert not limited(both)


def test_a_large_limit_is_written_in_digits() -> None:
    """Not as 3e+06."""
    busy = Load(requests=600, input_tokens=3e9, output_tokens=0, latency_s=0.1, chain_s=1.0)
    assert bound_of(spec(tpm=3_000_000.0), busy).constraint == "tokens/min 3000000"


def test_the_slowest_account_decides_and_no_account_means_no_bound() -> None:
    """Accounts work side by side."""
    assert slowest([]) is None
    assert slowest([Bound("a", 1.0, "x"), Bound("b", 2.0, "y")]) == Bound("b", 2.0, "y")


def test_of_a_limit_that_was_found_on_the_way_a_minutes_worth_is_free() -> None:
    """A whole minute's budget may have gone before anybody knew."""
    assert bound_of(spec(rpm=60.0), LOAD, found={"rpm"}).seconds == 540.0
    assert bound_of(spec(rpm=60.0), LOAD, found={"tpm"}).seconds == 599.0
    assert bound_of(spec(rpm=1000.0), LOAD, found={"rpm"}).constraint.startswith("one answer")


def test_nothing_to_do_takes_no_time() -> None:
    """Whatever the limits."""
    nothing = Load(requests=0, input_tokens=0, output_tokens=0, latency_s=0, chain_s=0)
    assert bound_of(spec(rpm=1.0, tpm=1.0, rpd=1.0), nothing).seconds == 0


# --- of a workload -----------------------------------------------------------------------------


def share(stage: Any, party: str = "x", provider: str = "p", **more: Any) -> Share:
    """600 calls of 2 s that were measured, of 1000 to 2000 tokens each way."""
    fields: dict[str, Any] = {
        "to_send": 600,
        "input": Range(600_000, 1_200_000, None),
        "output": Range(600_000, 1_200_000, None),
        "latency_s": Range(2.0, 2.0, None),
        "latency_seen": True,
    }
    return Share(provider, party, stage, done=0, cached=0, **(fields | more))


def test_a_workload_has_a_bound_for_each_provider_with_something_to_send() -> None:
    """In the order of the providers; models and judges of one account add up."""
    idle = ProviderSpec(name="idle", api="openai-chat", base_url="simulated:")
    work = Workload((share("answers"), share("judgments", "j")))
    (bound,) = bounds_of(work, [idle, spec(rpm=60.0)])
    assert bound == Bound("p", 1199.0, "requests/min 60")


def test_low_figures_make_the_bound_and_likely_ones_the_guess() -> None:
    """Tokens are only estimates, so a bound takes as few as there may be."""
    work = Workload((share("answers"),))
    (low,) = bounds_of(work, [spec(tpm=120_000.0)])
    (likely,) = bounds_of(work, [spec(tpm=120_000.0)], figure="likely")
    assert (low.seconds, likely.seconds) == (599.0, 1198.0)


def test_a_judgment_follows_its_answer_and_a_turn_the_turn_before() -> None:
    """The longest chain, with the slowest judge; wherever that judge is."""
    slow = share("judgments", "j", "other", latency_s=Range(30.0, 40.0, None))
    work = Workload((share("answers", turns=3), slow))
    (bound,) = bounds_of(work, [spec(concurrency=10_000)])
    assert bound == Bound("p", 3 * 2.0 + 30.0, "one answer, then its judgment")


def test_an_assumed_latency_makes_a_guess_not_a_bound() -> None:
    """It says so; a limit on requests does not rest on it."""
    work = Workload((share("answers", latency_seen=False),))
    assert bounds_of(work, [spec(1)])[0].assumed
    assert not bounds_of(work, [spec(1000, rpm=1.0)])[0].assumed


def test_an_account_is_limited_by_more_than_calls_in_flight() -> None:
    """Only then does a bound say more than how many may go side by side."""
    assert not limited(spec())
    for limits in ({"rpm": 5.0}, {"tpm": 5.0}, {"output_tpm": 5.0}, {"rpd": 5.0}):
        assert limited(spec(1, **limits))
