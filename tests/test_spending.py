"""What the judging cost, repeat by repeat."""

from __future__ import annotations

from data.schema import Intent, Record, Settled, Trial
from engine.money import Amount
from engine.stats.spending import JudgingMoney


def attempt(number: int, repeat: int, *, judge: str = "j", kind: str = "judgment") -> Intent:
    trial = Trial(kind=kind, question_id=1, candidates=(("m", 0),), judge=judge, repeat=repeat)  # type: ignore[arg-type]
    return Intent(number, trial, "account", 0.0)


def paid(number: int, cost: int | None, error: str = "") -> Settled:
    return Settled(number, cost=cost, currency="USD" if cost is not None else "", error=error)


def money(*records: Record) -> JudgingMoney:
    found = JudgingMoney()
    for record in records:
        found.watch(record)
    return found


def test_repeats_are_summed_apart() -> None:
    """Answers and other judges are other money."""
    found = money(
        *(attempt(1, 0), attempt(2, 1), attempt(3, 2), attempt(4, 1, judge="k")),
        *(attempt(5, 0, kind="answer"), paid(5, 999), paid(1, 10), paid(2, 20), paid(3, 30)),
        paid(4, 500),
    )
    assert found.after("j", 1) == (Amount(50, "USD"),)
    assert found.after("j", 2) == (Amount(30, "USD"),)
    assert found.after("j", 3) == ()


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    """But a refused attempt is free, and what may have been billed is in the sum."""
    assert money(attempt(1, 1), paid(1, None), attempt(2, 1), paid(2, 5)).after("j", 1) == ()
    free = money(attempt(1, 1), paid(1, None, "rate_limited"), attempt(2, 1), paid(2, 5, "timeout"))
    assert free.after("j", 1) == (Amount(5, "USD"),)


def test_numbers_begin_anew_in_each_session() -> None:
    """The first session's attempt 1 never ended; the second's is an answer."""
    found = money(attempt(1, 1), attempt(1, 0, kind="answer"), paid(1, 7))
    assert found.after("j", 0) == ()
