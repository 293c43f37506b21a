"""What an account has done, and the shortest time it could have done it in."""

from __future__ import annotations

from typing import Any

import pytest

from data.codec import replace
from data.errors import BadRequest, RateLimited
from data.schema import ProviderSpec, Response, Usage
from engine.cli.ending import time_line
from engine.events import AccountView, Progress
from engine.forecast import Outlook
from engine.limits import Limits
from engine.meter import Meter
from engine.narration import status_line


def spec(concurrency: int = 100, **limits: Any) -> ProviderSpec:
    return ProviderSpec(
        name="acme", api="openai-chat", base_url="http://x/v1", concurrency=concurrency, **limits
    )


def limits_of(spec: ProviderSpec) -> Limits:
    amounts = {name: getattr(spec, name) for name in ("tpm", "input_tpm", "output_tpm", "rpd")}
    return Limits(rpm=spec.rpm, concurrency=spec.concurrency, **amounts)


def worked(spec: ProviderSpec, calls: int = 120, latency_s: float = 2.0, peak: int = 5) -> Meter:
    """So many calls of 1,000 tokens in and 500 out."""
    meter = Meter(spec)
    reply = Response(text="x", usage=Usage(input_tokens=1000, output_tokens=500))
    for _ in range(calls):
        meter.ended(reply, latency_s, peak)
    return meter


@pytest.mark.parametrize(
    ("limits", "seconds", "constraint"),
    [
        ({"rpm": 60.0}, 119.0, "requests/min 60"),
        ({"tpm": 90_000.0}, 119.0, "tokens/min 90000"),
        ({"output_tpm": 10_000.0}, 357.0, "output-tokens/min 10000"),
        ({"rpd": 50.0}, 172_800.0, "requests/day 50"),
        ({"concurrency": 2}, 120.0, "calls in flight 2"),
    ],
)
def test_the_bound_comes_from_real_figures(
    limits: dict[str, Any], seconds: float, constraint: str
) -> None:
    """Of the limits of the sweep file."""
    here = spec(**limits)
    bound = worked(here).bound(limits_of(here).statistics(0.0))
    assert bound is not None
    assert bound.seconds == pytest.approx(seconds)
    assert bound.constraint == constraint
    assert not bound.assumed


def test_a_429_is_no_work_and_a_failure_is_a_call_without_tokens() -> None:
    """A refusal costs a slot in no window; a call that failed held its place."""
    meter = worked(spec())
    before = (meter.calls, meter.input_tokens, meter.latency_s)
    meter.ended(RateLimited("slow down"), 1.0, 99)
    assert (meter.calls, meter.input_tokens, meter.latency_s) == before
    assert meter.peak == 5
    meter.ended(BadRequest("no"), 1.0, 7)
    assert (meter.calls, meter.input_tokens) == (121, before[1])
    assert (meter.latency_s, meter.peak) == (before[2] + 1.0, 7)


def test_nothing_done_has_no_bound() -> None:
    """Not 0."""
    assert Meter(spec(rpm=60.0)).bound(limits_of(spec(rpm=60.0)).statistics(0.0)) is None


def test_a_limit_that_the_provider_told_binds_like_one_of_the_file() -> None:
    """But for a minute's worth that may have gone before it was known."""
    limits, meter = limits_of(spec()), worked(spec())
    assert limits.told("rpm", 60, "headers", 1.0)
    meter.told("rpm")
    bound = meter.bound(limits.statistics(2.0))
    assert bound is not None
    assert (bound.seconds, bound.constraint) == (60.0, "requests/min 60")


def test_calls_in_flight_that_were_learned_are_the_most_that_there_were() -> None:
    """Neither what the file hoped for nor what the learning happens to end with."""
    limits, meter = limits_of(spec()), worked(spec())
    limits.set("concurrency", 3, "429 body", 1.0)
    bound = meter.bound(limits.statistics(2.0))
    assert bound is not None
    assert bound.constraint == "calls in flight 5"


def test_limits_that_changed_meanwhile_bound_nothing() -> None:
    """By hand, or told twice; a limit of the file that the provider contradicts stays what it is."""
    by_hand, meter = limits_of(spec(rpm=60.0)), worked(spec(rpm=60.0))
    assert not by_hand.told("rpm", 30, "headers", 1.0)
    assert not meter.changed(by_hand.statistics(1.0))
    by_hand.set("rpm", 30, "control", 1.0)
    assert meter.changed(by_hand.statistics(2.0))
    assert meter.bound(by_hand.statistics(2.0)) is None
    new, other = limits_of(spec()), worked(spec())
    new.set("tpm", 1000, "control", 1.0)
    assert other.changed(new.statistics(2.0))
    twice, third = limits_of(spec()), worked(spec())
    for limit in (600, 300):
        assert twice.told("rpm", limit, "headers", 1.0)
        third.told("rpm")
    assert third.changed(twice.statistics(2.0))


# --- as it is told -----------------------------------------------------------------------------


def picture(*accounts: AccountView, elapsed_s: float = 100.0) -> Progress:
    return Progress(
        name="s",
        elapsed_s=elapsed_s,
        simulated=False,
        state="running",
        models=(),
        judges=(),
        accounts=accounts,
        tokens_in=0,
        tokens_out=0,
        per_minute=0.0,
        saved_ago_s=0.0,
        log=(),
    )


SLOW = AccountView("slow", 0, 1, 60.0, calls=9, bound_s=97.0, bound_by="requests/min 60")
FAST = AccountView("fast", 0, 1, None, calls=9, bound_s=3.0, bound_by="calls in flight 1")


def test_the_ending_names_the_account_that_decided() -> None:
    """Beside the time it took."""
    assert time_line(picture(FAST, SLOW)) == (
        "1m40s, lower bound 1m37s by slow requests/min 60 (97 %)"
    )


def test_a_bound_is_never_more_than_the_time_it_took() -> None:
    """Timers may be a hair early."""
    assert time_line(picture(SLOW, elapsed_s=96.9)).endswith("(100 %)")


def test_the_ending_says_when_limits_changed_and_nothing_when_nothing_was_sent() -> None:
    """And just the time where no bound is known."""
    changed = replace(SLOW, limits_changed=True, bound_s=None, bound_by="")
    assert "limits changed meanwhile" in time_line(picture(FAST, changed))
    assert picture(FAST, changed).bound is None
    assert time_line(picture(AccountView("idle", 0, 1, None))) == ""


def test_a_plain_line_tells_the_bound_beside_the_clock() -> None:
    """As long as there is one."""
    assert "bound 1m37s (97 %)" in status_line(picture(FAST, SLOW), Outlook())
    assert "bound" not in status_line(picture(), Outlook())
