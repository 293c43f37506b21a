"""The lower bound: the largest of what each constraint demands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import ProviderSpec
from engine.bound import Bound, Load, bound_of, slowest

LOAD = Load(requests=600, input_tokens=300_000, output_tokens=60_000, latency_s=2.0, chain_s=4.0)


def spec(concurrency: int = 1000, **limits: Any) -> ProviderSpec:
    return ProviderSpec(
        name="p", api="openai-chat", base_url="simulated:", concurrency=concurrency, **limits
    )


@pytest.mark.parametrize(
    ("limits", "seconds", "constraint"),
    [
        ({"rpm": 60.0}, 600.0, "requests/min 60"),
        ({"tpm": 36_000.0}, 600.0, "tokens/min 36000"),
        ({"input_tpm": 60_000.0}, 300.0, "input-tokens/min 60000"),
        ({"output_tpm": 6_000.0}, 600.0, "output-tokens/min 6000"),
        ({"rpd": 300.0}, 86_400.0, "requests/day 300"),
        ({"rpd": 600.0}, 4.0, "one answer, then its judgment"),
        ({}, 4.0, "one answer, then its judgment"),
    ],
)
def test_the_binding_constraint_is_named(
    limits: dict[str, Any], seconds: float, constraint: str
) -> None:
    """With the seconds it alone would take."""
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


def test_the_slowest_account_decides_and_no_account_means_no_bound() -> None:
    """Accounts work side by side."""
    assert slowest([]) is None
    assert slowest([Bound("a", 1.0, "x"), Bound("b", 2.0, "y")]) == Bound("b", 2.0, "y")
