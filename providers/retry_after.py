"""How long a provider asks us to wait, in seconds from now. Pure.

Forms read, the first that says something wins:

    retry-after-ms: 1500        retry-after: 3    retry-after: 0.5    retry-after: 1m30.5s
    retry-after: <HTTP date, RFC 3339 time or Unix time>, taken against the reply's own `date` header
    body: {"retryDelay": "46s"} (google.rpc.RetryInfo), {"retry_after": 3}, {"retry_after_ms": 1500}
    prose: "try again in 41.724s", "Please retry in 10h17m5.7s", "请在 3 秒后重试"

A time is compared with the server's clock, so a wrong clock here does no harm. What makes no sense
(negative, NaN, infinite, unreadable, past) says nothing, and so does zero: whoever was just refused
and returns at once is refused again. How long a wait is sat out is not decided here, only that no
number is absurd: longer than 31 days is 31 days.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from providers.refusal import Body, Refusal, read_refusal

LONGEST_S: Final = 31 * 86_400.0
UNIX_TIME_FROM: Final = 1e9
"""A larger number is no wait but a time: seconds, or from 1e11 milliseconds, since 1970."""
FIELDS: Final[Mapping[str, float]] = {
    "retryDelay": 1.0,
    "retry_after": 1.0,
    "retryAfter": 1.0,
    "retry_after_seconds": 1.0,
    "retry_after_ms": 0.001,
}
"""Members of a body that hold a wait -> seconds per unit of a bare number."""
UNITS: Final[Mapping[str, float]] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6,
    "ms": 1e-3, "millisecond": 1e-3, "毫秒": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0, "秒": 1.0, "秒钟": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "分": 60.0, "分钟": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "小时": 3600.0,
    "d": 86_400.0, "day": 86_400.0, "天": 86_400.0,
}  # fmt: skip

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_ENGLISH = r"(?:(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|[muµμn]?s|[mhd])(?![a-z]))"
_CHINESE = r"(?:毫秒|秒钟|秒|分钟|分|小时|天)"
_PART = re.compile(rf"({_NUMBER})\s{{0,2}}({_ENGLISH}|{_CHINESE})", re.IGNORECASE)
_GO = re.compile(rf"(?:{_NUMBER}(?:ns|us|µs|μs|ms|h|m|s|d)){{1,6}}")
_PROSE = (
    re.compile(
        r"(?:try again|retry|retrying|wait|resets?|available again)[\s:]{1,3}(?:in |after |for )?"
        r"(?:about |approximately |at least )?"
        rf"((?:{_NUMBER}\s{{0,2}}{_ENGLISH}(?:,? and |,? ?)){{1,5}})",
        re.IGNORECASE,
    ),
    re.compile(rf"((?:{_NUMBER}\s{{0,2}}{_CHINESE}\s{{0,2}}){{1,5}})[之以]?后[^\d，。\n]{{0,8}}试"),
    re.compile(rf"等待?[^\d，。\n]{{0,3}}((?:{_NUMBER}\s{{0,2}}{_CHINESE}\s{{0,2}}){{1,5}})"),
)


def told_wait_s(headers: Mapping[str, str], body: Body = None) -> float | None:
    """Seconds to wait, above 0; None if the reply does not say. Header names are lower case."""
    milliseconds = _number(headers.get("retry-after-ms"))
    told = milliseconds / 1000 if milliseconds else None
    told = told or seconds_until(headers.get("retry-after"), headers.get("date"))
    if not told and body:
        told = max(_said(read_refusal(body)), default=None)
    return min(told, LONGEST_S) if told else None


def seconds_until(value: str | None, date: str | None) -> float | None:
    """One header value as seconds from now, 0 for what is past; `date` is the server's clock.

    Understands seconds, Go durations (`6m0s`, `120ms`), Unix times, RFC 3339 and HTTP dates.
    """
    if not value or len(value) > 64:
        return None
    number = _number(value)
    if number is not None and number < UNIX_TIME_FROM:
        return number
    if number is None and _GO.fullmatch(value.strip()):
        return _duration(value)
    then = _time(value) if number is None else number / (1000 if number >= 1e11 else 1)
    now = _time(date) if then is not None and date else None
    return None if then is None or now is None else max(then - now, 0.0)


def _said(refusal: Refusal) -> Iterator[float]:
    """Every wait that the body names; the longest is the one to keep."""
    for fields in refusal.objects:
        for name in FIELDS.keys() & fields.keys():
            value = fields[name]
            number = _number(str(value)) if isinstance(value, int | float | str) else None
            if number is not None:
                yield number * FIELDS[name]
            elif isinstance(value, str) and _GO.fullmatch(value.strip()):
                yield _duration(value)
    for pattern in _PROSE:
        for found in pattern.finditer(refusal.text):
            yield _duration(found[1])


def _duration(text: str) -> float:
    return sum(float(n) * UNITS[_singular(unit.lower())] for n, unit in _PART.findall(text))


def _singular(unit: str) -> str:
    return unit if unit in UNITS else unit.removesuffix("s")


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _time(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 or HTTP date; one without a zone says nothing."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text.strip())
            if moment.tzinfo is not None:
                return moment.timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
