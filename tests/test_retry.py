"""What is done about an error depends on its class and on nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import errors
from data.errors import (
    BadReply,
    CallError,
    Fatal,
    Outrun,
    Overloaded,
    RateLimited,
    Retryable,
    TransportError,
)
from engine.retry import (
    BASE_S,
    CAP_S,
    FLOOR_S,
    LONGEST_TOLD_S,
    TOLD_LIMIT,
    Again,
    Tries,
    decide,
)

ATTEMPTS = 5
POLICY = {
    "RateLimited": "free",
    "Overloaded": "counts",
    "TransportError": "counts",
    "BadReply": "counts",
    "Outrun": "counts",
    "BadRequest": "never",
    "ContextTooLong": "never",
    "UnknownModel": "never",
    "NoSchema": "never",
    "WrongAddress": "never",
    "Unauthorized": "never",
    "OutOfQuota": "never",
    "DailyQuota": "never",
    "ModelQuota": "never",
    "TooLarge": "never",
    "OverBudget": "never",
    "DeadlinePassed": "never",
}
"""Error class -> whether it is tried again, and whether that costs an attempt (docs/contracts.md)."""
SCOPES = {
    "UnknownModel": "model",
    "NoSchema": "model",
    "WrongAddress": "account",
    "Unauthorized": "account",
    "OutOfQuota": "account",
    "DailyQuota": "account",
    "ModelQuota": "model",
}


def leaves(of: type[CallError]) -> Iterator[type[CallError]]:
    """The classes that are really raised."""
    below = of.__subclasses__()
    for child in below:
        yield from leaves(child)
    if not below:
        yield of


LEAVES = {kind.__name__: kind for kind in leaves(CallError) if kind.__module__ == errors.__name__}
COUNTED = [BadReply, Outrun, Overloaded, TransportError]


def history(error: CallError, attempts: int = ATTEMPTS) -> list[float]:
    """The waits of a trial that meets the same error until it gives up."""
    tries, waits, dice = Tries(), [], random.Random(1)
    while (again := decide(error, tries, attempts, dice)) is not None:
        waits.append(again.wait_s)
        tries = again.tries
        assert len(waits) < 1000, "it must end"
    return waits


def test_the_table_names_every_error_class() -> None:
    """A new class cannot be forgotten."""
    assert set(LEAVES) == set(POLICY)
    assert {n for n, c in LEAVES.items() if c.scope != "trial"} == set(SCOPES)


@pytest.mark.parametrize("name", sorted(POLICY))
@pytest.mark.parametrize("told_s", [None, 0.0, 3.0])
def test_each_class_has_its_policy(name: str, told_s: float | None) -> None:
    """Attempts bound what is broken; patience alone bounds what is busy; the rest is final."""
    error = LEAVES[name]("m", status=500, retry_after_s=told_s)
    tries = {"counts": ATTEMPTS - 1, "free": TOLD_LIMIT - 1, "never": 0}[POLICY[name]]
    assert len(history(error)) == tries
    assert error.scope == SCOPES.get(name, "trial")
    assert isinstance(error, Fatal if POLICY[name] == "never" else Retryable)


@pytest.mark.parametrize("status", [0, 200, 400, 401, 404, 429, 500, 503, 529])
def test_no_status_code_is_looked_at(status: int) -> None:
    """The type decides."""
    assert decide(errors.BadRequest("m", status=status), Tries(), 5, random.Random(0)) is None
    assert decide(Overloaded("m", status=status), Tries(), 5, random.Random(0)) is not None


@given(st.sampled_from(COUNTED), st.integers(0, 98), st.integers(0, 2**32))
def test_an_untold_wait_is_full_jitter(kind: type[CallError], failed: int, seed: int) -> None:
    """Between the floor and the doubled base, never above the cap."""
    again = decide(kind("m"), Tries(failed=failed), 100, random.Random(seed))
    assert again is not None
    assert FLOOR_S <= again.wait_s <= max(FLOOR_S, min(CAP_S, BASE_S * 2.0 ** (failed + 1)))
    assert again.tries == Tries(failed=failed + 1)


def test_jitter_fills_its_range() -> None:
    """Uniform: its mean is the middle, and both ends are reached."""
    dice = random.Random(0)
    waits = [w.wait_s for _ in range(4000) if (w := decide(Overloaded("m"), Tries(2), 9, dice))]
    assert sum(waits) / len(waits) == pytest.approx(4.0, rel=0.05)
    assert min(waits) < 0.1
    assert max(waits) > 7.9


@given(
    st.sampled_from([RateLimited, *COUNTED]), st.floats(0, LONGEST_TOLD_S), st.integers(0, 2**32)
)
def test_a_told_wait_is_kept_and_hardly_exceeded(
    kind: type[CallError], told_s: float, seed: int
) -> None:
    """Never sooner than told; at most a tenth or a second later, so that a crowd spreads."""
    again = decide(kind("m", retry_after_s=told_s), Tries(), 5, random.Random(seed))
    assert again is not None
    least = max(told_s, FLOOR_S)
    assert least <= again.wait_s <= least + min(1.0, 0.1 * told_s)


@pytest.mark.parametrize("kind", [RateLimited, *COUNTED])
def test_a_told_wait_of_hours_is_not_sat_out(kind: type[CallError]) -> None:
    """The next run tries the trial again."""
    dice = random.Random(0)
    assert decide(kind("m", retry_after_s=LONGEST_TOLD_S + 1), Tries(), 5, dice) is None
    assert decide(kind("m", retry_after_s=LONGEST_TOLD_S), Tries(), 5, dice) is not None


def test_being_limited_costs_no_attempt() -> None:
    """Forty 429s leave a trial all its attempts for real trouble."""
    dice, tries = random.Random(0), Tries()
    for told_s in [None, 1.0] * 20:
        again = decide(RateLimited("m", retry_after_s=told_s), tries, ATTEMPTS, dice)
        assert isinstance(again, Again)
        tries = again.tries
    assert tries == Tries(failed=0, told=40)
    assert tries.exchanges == 40
    again = decide(Overloaded("m"), tries, ATTEMPTS, dice)
    assert again is not None
    assert again.tries == Tries(failed=1, told=40)


def test_one_attempt_means_no_retry() -> None:
    """`attempts` counts exchanges that may fail, the first one included."""
    assert history(TransportError("m"), attempts=1) == []
    assert len(history(TransportError("m"), attempts=2)) == 1


def test_the_same_dice_give_the_same_waits() -> None:
    """Chance is handed in."""
    assert history(Overloaded("m")) == history(Overloaded("m"))
