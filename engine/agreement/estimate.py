"""A number with its interval, or the reason why there is none. The word all of agreement shares.

A measure that cannot be had is never 0 and never an exception: upstream's scripts divide by zero
where a judge gives one score to all, this says `undefined: all scores of the judge are equal`.
"""

from __future__ import annotations

from data.schema import Struct


class Estimate(Struct, frozen=True, kw_only=True):
    """`value` of `n` things, and the interval in which it would lie with other questions."""

    value: float | None = None
    n: int = 0
    why: str = ""
    """Why there is no value; empty where there is one."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval; None where there is none to be had."""


def undefined(why: str, n: int = 0) -> Estimate:
    """No number, and why."""
    return Estimate(n=n, why=why)
