"""How long a provider asks us to wait, in seconds from now. Pure.

Forms read: `retry-after-ms: 1500`, `retry-after: 3`, `retry-after: 0.5`, and `retry-after:` with an HTTP
date, which is taken against the reply's own `date` header, so a wrong clock here does no harm.
What makes no sense (negative, NaN, unreadable) says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def told_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, or None if the reply does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    return seconds if seconds is not None else _until(value, headers.get("date"))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str | None, now: str | None) -> float | None:
    if not date or not now:
        return None
    try:
        wait = (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(wait, 0.0)
