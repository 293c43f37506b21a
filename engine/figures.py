"""How numbers are written, in one place: what the console and every report have in common.

A number that is not known is `–`, never 0. Scores have two decimals as the published tables do; the
exact values are in the JSON report. Pure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.money import NANO, Amount, formatted

NONE = "–"
MINUTE_S = 60.0
HOUR_S = 3600.0


def count(n: int) -> str:
    """12,345"""
    return f"{n:,}"


def many(n: int, noun: str) -> str:
    """1 judge, 2 judges, 683 questions"""
    return f"{count(n)} {noun}" if n == 1 else f"{count(n)} {noun}s"


def some(n: int) -> str:
    """A count of things one hopes not to see: `–` for none."""
    return count(n) if n else NONE


def score(value: float | None, digits: int = 2) -> str:
    """5.68"""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(part: float, digits: int = 0) -> str:
    """A share of 1, such as `62 %`, rounded down, so that 100 % means all of it."""
    scale = 10**digits
    floor = math.floor(part * 100 * scale + 1e-9) / scale
    return f"{floor:.{digits}f} %"


def tokens(n: int) -> str:
    """950, 12.3k, 4.56M, 7.89G"""
    if n < 1000:
        return str(n)
    if n < 999_950:
        return f"{n / 1000:.1f}k"
    return f"{n / 10**6:.2f}M" if n < 999_995_000 else f"{n / 10**9:.2f}G"


def rate(per_minute: float) -> str:
    """Completions per minute, whole; `–` for none at all, `<1` for almost none."""
    if per_minute <= 0:
        return NONE
    return "<1" if per_minute < 0.5 else f"{per_minute:.0f}"


def money(nano: int, currency: str = "") -> str:
    """`USD 1,234.56`; without a currency, `1,234.56`. What is less than a cent is not shown as nothing."""
    return formatted(Amount(nano, currency)).strip()


def amounts(*nano: int) -> tuple[str, ...]:
    """Amounts that stand together: `320`, `405`; with cents if the first is less than a hundred."""
    whole = nano[0] >= 100 * NANO
    return tuple(f"{round(n / NANO):,}" if whole else money(n) for n in nano)


def limit(value: float | None) -> str:
    """60, 0.5, or `–` where there is none."""
    return NONE if value is None else f"{value:,g}"


def span(seconds: float | None) -> str:
    """8s, 4m12s, 1h08; `–` where unknown."""
    if seconds is None:
        return NONE
    whole = int(max(seconds, 0.0))
    if whole < MINUTE_S:
        return f"{whole}s"
    if whole < HOUR_S:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}"


def duration(seconds: float) -> str:
    """A wait, as sentences have it: 0.8 s, 41 s, 4m12s."""
    if seconds >= MINUTE_S:
        return span(seconds)
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def coarse_span(seconds: float) -> str:
    """A forecast, no finer than it deserves: steps of 1 min below 10 min, 5 below 2 h, then 15."""
    step = 1 if seconds < 600 else 5 if seconds < 2 * HOUR_S else 15
    minutes = max(1, round(seconds / MINUTE_S / step) * step)
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}"


def between(low_s: float, high_s: float, dash: str = "–") -> str:
    """`1h05–1h45`, or one figure where the two ends differ by less than 15 %."""
    low, high = coarse_span(low_s), coarse_span(high_s)
    return high if high_s <= low_s * 1.15 or low == high else f"{low}{dash}{high}"


def wall_clock(epoch_s: float) -> Callable[[float], str]:
    """A writer of HH:MM:SS, local time, for seconds of a clock whose zero is `epoch_s`."""
    return lambda t_s: time.strftime("%H:%M:%S", time.localtime(epoch_s + t_s))


def run_clock(t_s: float) -> str:
    """HH:MM:SS of a clock that starts at zero: for runs on virtual time."""
    whole = int(max(t_s, 0.0))
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"
