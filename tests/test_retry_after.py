"""How long a provider asks us to wait, in all the ways it is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.refusal import Body
from providers.retry_after import LONGEST_S, told_wait_s

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "1m30.5s"}, 90.5),
        ({"retry-after": "120ms"}, 0.12),
        ({"retry-after": "1h2m3s"}, 3723.0),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT", "date": NOW}, 60.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:50:37 GMT", "date": NOW}, 60.0),
    ],
)
def test_every_documented_form_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    """Seconds, milliseconds, durations, dates."""
    assert told_wait_s(headers) == (None if wait_s is None else pytest.approx(wait_s))


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0s",
        "0.0",
        "-1",
        "-0.5",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "",
        "soon",
        "3 s",
        "1m 2s",
        "１２m",
    ],
)
def test_what_is_no_time_to_come_back_at_says_nothing(value: str) -> None:
    """Our own growing wait does then; a zero is no invitation to hammer."""
    assert told_wait_s({"retry-after": value, "retry-after-ms": value, "date": NOW}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "Sun, 06 Nov 1994 08:49:36 GMT", "date": NOW},
        {"retry-after": NOW, "date": NOW},
        {"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT"},
        {"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT", "date": "yesterday"},
        {"retry-after": "Sun, 06 Nov 1994 08:50:37", "date": NOW},
        {"retry-after": "Sun, 99 Nov 1994 08:50:37 GMT", "date": NOW},
        {"retry-after": "Sun, 06 Nov 99999 08:50:37 GMT", "date": NOW},
    ],
)
def test_a_date_in_the_past_or_without_the_servers_own_clock_says_nothing(
    headers: dict[str, str],
) -> None:
    """Our clock may be wrong, so it is not asked."""
    assert told_wait_s(headers) is None


@pytest.mark.parametrize(
    ("message", "wait_s"),
    [
        ("Rate limit reached for m: Limit 3, Used 3. Please try again in 41.724s. Visit …", 41.724),
        ("Please try again in 6m0s.", 360.0),
        ("Please retry in 10h17m5.7s.", 37025.7),
        ("please retry after 20ms", 0.02),
        ("try again in 20 elephants", None),
        ("try again in 0s", None),
        ("come back tomorrow", None),
    ],
)
def test_an_errors_own_words_count_where_no_header_says_it(
    message: str, wait_s: float | None
) -> None:
    """Prose is the last resort; a header wins over it."""
    assert told_wait_s({}, message) == (None if wait_s is None else pytest.approx(wait_s))
    assert told_wait_s({"retry-after": "9"}, message) == 9.0


@pytest.mark.parametrize(
    ("value", "date", "wait_s"),
    [
        ("1994-11-06T08:50:37Z", NOW, 60.0),
        ("1994-11-06T16:50:37+08:00", NOW, 60.0),
        ("1994-11-06T08:50:37", NOW, None),
        ("1733875200", "Tue, 10 Dec 2024 17:58:34 GMT", 21_686.0),
        ("1733875200000", "Tue, 10 Dec 2024 17:58:34 GMT", 21_686.0),
        ("1733875200", "", None),
        ("99999999", NOW, LONGEST_S),
        ("Sun, 06 Nov 2094 08:49:37 GMT", NOW, LONGEST_S),
    ],
)
def test_times_are_read_against_the_servers_clock_and_nothing_is_longer_than_31_days(
    value: str, date: str, wait_s: float | None
) -> None:
    """RFC 3339, Unix time in seconds and milliseconds, and absurd numbers."""
    assert told_wait_s({"retry-after": value, "date": date}) == wait_s


@pytest.mark.parametrize(
    ("body", "wait_s"),
    [
        ({"error": {"details": [{"retryDelay": "46s"}]}}, 46.0),
        ({"error": {"details": [{"retryDelay": "-5s"}]}}, None),
        ({"error": {"metadata": {"retry_after_seconds": 12}}}, 12.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"retry_after": "nan"}, None),
        ({"retry_after": True}, None),
        (b'{"error":{"message":"Please wait 1 minute and 5 seconds","type":"t"}}', 65.0),
        ("请在 10 秒后重试", 10.0),
        ("请于1分30秒后再试", 90.0),
        ("请等待 2 分钟", 120.0),
        ("请 500 毫秒之后重新尝试", 0.5),
        ("请稍后重试", None),
        ("每 10 秒最多 5 次", None),
        ("try again in 3s, or in the worst case retry after 5 seconds", 5.0),
    ],
)
def test_bodies_tell_it_in_fields_and_in_words_of_two_languages(
    body: Body, wait_s: float | None
) -> None:
    """The longest of several counts."""
    assert told_wait_s({}, body) == (None if wait_s is None else pytest.approx(wait_s))


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)
    ),
    st.text(max_size=60),
)
def test_any_headers_give_a_finite_wait_or_none(headers: dict[str, str], message: str) -> None:
    """Never zero, never negative, never an exception."""
    wait_s = told_wait_s(headers, f"try again in {message}")
    assert wait_s is None or (wait_s > 0 and math.isfinite(wait_s))


@given(st.floats(min_value=0.001, max_value=1e6))
def test_seconds_and_milliseconds_agree(wait_s: float) -> None:
    """The two headers mean the same."""
    told = told_wait_s({"retry-after-ms": repr(wait_s * 1000)})
    assert told == pytest.approx(told_wait_s({"retry-after": repr(wait_s)}))
