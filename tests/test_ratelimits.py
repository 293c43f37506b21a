"""Limits as providers tell them: headers and bodies in every dialect, as documented or reported."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.ratelimits import LimitSeen, exhausted_s, limits_in

DATE = "Tue, 10 Dec 2024 17:58:34 GMT"


def seen(status: int, headers: dict[str, str], body: Any = None) -> list[tuple[Any, ...]]:
    """(name, limit, remaining, reset) of each."""
    lower = {name.lower(): text for name, text in headers.items()}
    return [(s.name, s.limit, s.remaining, s.reset_s) for s in limits_in(status, lower, body)]


OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
OPENAI_DAILY = {
    "x-ratelimit-limit-requests": "200",
    "x-ratelimit-remaining-requests": "199",
    "x-ratelimit-reset-requests": "7m12s",
}
GROQ = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
AZURE = {
    "x-ratelimit-remaining-requests": "79",
    "x-ratelimit-remaining-tokens": "61353",
    "x-ms-region": "North Central US",
}
AZURE_UNSET = {
    "x-ratelimit-limit-tokens": "-1",
    "x-ratelimit-remaining-tokens": "-1",
    "x-ratelimit-reset-tokens": "0",
}
ANTHROPIC = {
    "date": DATE,
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2024-12-10T17:58:35Z",
    "anthropic-ratelimit-tokens-limit": "480000",
    "anthropic-ratelimit-tokens-remaining": "480000",
    "anthropic-ratelimit-tokens-reset": "2024-12-10T17:58:34Z",
    "anthropic-ratelimit-input-tokens-limit": "400000",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2024-12-10T17:59:04Z",
    "anthropic-ratelimit-output-tokens-limit": "80000",
    "anthropic-ratelimit-output-tokens-remaining": "80000",
    "anthropic-ratelimit-output-tokens-reset": "2024-12-10T17:58:34Z",
    "anthropic-ratelimit-unified-status": "allowed",
}
MOONSHOT = {"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "499", "X-RateLimit-Reset": "30"}
QIANFAN = {
    "X-Ratelimit-Limit-Requests": "300",
    "X-Ratelimit-Remaining-Requests": "299",
    "X-Ratelimit-Limit-Tokens": "300000",
    "X-Ratelimit-Remaining-Tokens": "299990",
}
MISTRAL = {
    "x-ratelimit-limit-tokens-minute": "5000000",
    "x-ratelimit-remaining-tokens-minute": "4999911",
    "x-ratelimit-tokens-query-cost": "52",
    "x-ratelimit-limit-req-minute": "720",
    "x-ratelimit-remaining-req-minute": "717",
}
UNIX_DAY = {
    "date": DATE,
    "x-ratelimit-limit": "50",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": "1733875200000",
}


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (OPENAI, [("rpm", 60, 59, 1), ("tpm", 150_000, 149_984, 360)]),
        (OPENAI_DAILY, [("rpd", 200, 199, 432)]),
        (GROQ, [("rpd", 14_400, 14_370, 179.56), ("tpm", 18_000, 17_997, 7.66)]),
        (AZURE, [("rpm", None, 79, None), ("tpm", None, 61_353, None)]),
        (AZURE_UNSET, []),
        (
            ANTHROPIC,
            [
                ("rpm", 4000, 3999, 1),
                ("tpm", 480_000, 480_000, 0),
                ("input_tpm", 400_000, 0, 30),
                ("output_tpm", 80_000, 80_000, 0),
            ],
        ),
        (MOONSHOT, [("rpm", 500, 499, 30)]),
        (QIANFAN, [("rpm", 300, 299, None), ("tpm", 300_000, 299_990, None)]),
        (MISTRAL, [("tpm", 5_000_000, 4_999_911, None), ("rpm", 720, 717, None)]),
        (UNIX_DAY, [("rpd", 50, 0, 21_686)]),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-reset": "5"}, [("rpm", 100, None, 5)]),
        ({"ratelimit-limit": "9, 9;w=86400"}, [("rpd", 9, None, None)]),
        ({"ratelimit-limit": "10, 10;w=1"}, []),
        ({"x-ratelimit-limit-requests-day": "1000"}, [("rpd", 1000, None, None)]),
    ],
)
def test_rate_headers_of_every_dialect_are_read(
    headers: dict[str, str], limits: list[tuple[Any, ...]]
) -> None:
    """On any status. What refills in a day is not taken for a minute's, and unknown spans for none."""
    assert seen(200, headers) == limits
    assert seen(429, headers) == limits


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": DATE, "content-type": "application/json", "x-request-id": "r"},
        {"x-ratelimit-limit-requests": "many", "x-ratelimit-reset-requests": "soon"},
        {"x-ratelimit-limit-requests": "0"},
        {"x-ratelimit-limit-requests": "nan", "x-ratelimit-limit-tokens": "1e9"},
        {"x-ratelimit-limit-images": "5"},
        {"x-ratelimit-reset-requests": "20ms"},
        {"x-ratelimit-limit": "100", "x-ratelimit-reset": "900"},
    ],
)
def test_what_is_no_number_or_has_no_known_span_says_nothing(headers: dict[str, str]) -> None:
    """A limit of zero, a name of something else, a reset alone, a quarter of an hour."""
    assert seen(200, headers) == []


DEEPSEEK = (
    "Your current concurrency is 40, which exceeds your concurrency limit of 39 "
    "based on your remaining balance. Please top up your balance to restore your concurrency."
)
OPENAI_TPM = (
    "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): "
    "Limit 10000, Used 9800, Requested 500. Please try again in 1.8s."
)
ANTHROPIC_INPUT = (
    "This request would exceed the rate limit for your organization "
    "(7f54fbff-3504-477a-b4a2-08359988239d) of 40,000 input tokens per minute."
)
KIMI = "Your account org-e6<ak-f3> request reached {}, please try again after 1 seconds"


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (DEEPSEEK, [("concurrency", 39, None)]),
        ("current concurrency 40 exceeds limit 39", [("concurrency", 39, None)]),
        (KIMI.format("max organization concurrency: 1"), [("concurrency", 1, None)]),
        (KIMI.format("organization max RPM: 3"), [("rpm", 3, None)]),
        ("Too many concurrent requests. Limit: 1 concurrent requests", [("concurrency", 1, None)]),
        ("RPM limit: 500", [("rpm", 500, None)]),
        ("RPM: current 501, limit 500", [("rpm", 500, None)]),
        (OPENAI_TPM, [("tpm", 10_000, 200)]),
        (
            "Rate limit reached for m on requests per day (RPD): Limit 200, Used 200, Requested 1.",
            [("rpd", 200, 0)],
        ),
        (
            "on tokens per min. Limit: 10000 / min. Please try again in 6ms.",
            [("tpm", 10_000, None)],
        ),
        (ANTHROPIC_INPUT, [("input_tpm", 40_000, None)]),
        ("your organization's rate limit of 50 requests per minute", [("rpm", 50, None)]),
        ("limited to 30k tokens per minute", [("tpm", 30_000, None)]),
        ("当前并发数 40 超过上限 39", [("concurrency", 39, None)]),
        ("并发数已达上限(3)，请稍后", [("concurrency", 3, None)]),
        ("您的账户并发数超过限制：5", [("concurrency", 5, None)]),
        ("最多支持 5 个并发", [("concurrency", 5, None)]),
        ("请求过于频繁，每分钟最多 60 次", [("rpm", 60, None)]),
        ("每分钟请求次数上限 100", [("rpm", 100, None)]),
        ("限流：120次/分钟", [("rpm", 120, None)]),
        ("TPM 限制为 3万", [("tpm", 30_000, None)]),
        ("每天最多 200 次", [("rpd", 200, None)]),
        ("当前并发数 40 已超限，每分钟最多 60 次", [("rpm", 60, None)]),
        ("concurrency exceeded; TPM limit 1000", [("tpm", 1000, None)]),
    ],
)
def test_numbers_in_a_429s_words_are_found(words: str, limits: list[tuple[Any, ...]]) -> None:
    """In the usual envelope, as decoded object and as plain text."""
    body = {"error": {"message": words, "type": "rate_limit_reached_error"}}
    for form in (json.dumps(body).encode(), json.dumps(body, ensure_ascii=False), body, words):
        assert [found[:3] for found in seen(429, {}, form)] == limits


@pytest.mark.parametrize(
    "words",
    [
        "Number of concurrent connections has exceeded your rate limit. Please try again later",
        "usage exceeds frequency limit",
        "Rate limit exceeded: free-models-per-day. Add 10 credits",
        "您的账户已达到速率限制，请您控制请求频率",
        "Please retry after 86400 seconds",
        "RPM limit: 0",
        "",
    ],
)
def test_words_without_a_limit_say_nothing(words: str) -> None:
    """A wait or a price is no limit."""
    assert seen(429, {}, {"error": {"message": words}}) == []


def test_geminis_quota_failure_names_its_quotas() -> None:
    """Per minute and per day, of requests and of tokens; the lowest of two of a kind."""
    quotas = {
        "GenerateContentInputTokensPerModelPerMinute-FreeTier": "250000",
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier": "10",
        "GenerateRequestsPerMinutePerProject": "5",
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier": "250",
    }
    violations = [{"quotaId": name, "quotaValue": value} for name, value in quotas.items()]
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota", "details": details}
    limits = [("input_tpm", 250_000), ("rpm", 5), ("rpd", 250)]
    assert [found[:2] for found in seen(429, {}, {"error": error})] == limits
    wrapped = {"error": {"message": json.dumps({"error": error})}}
    assert [found[:2] for found in seen(429, {}, wrapped)] == limits


def test_headers_that_a_gateway_quotes_in_its_body_are_read() -> None:
    """OpenRouter: error.metadata.headers, with a Unix time in milliseconds."""
    quoted = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0"}
    quoted["X-RateLimit-Reset"] = "1733875200000"
    body = {"error": {"message": "Rate limit exceeded", "metadata": {"headers": quoted}}}
    told = limits_in(429, {"date": DATE}, body)
    assert told == (LimitSeen("rpd", 50.0, 0.0, 21_686.0, "body"),)


def test_the_body_counts_only_in_a_429_and_comes_after_the_headers() -> None:
    """An answer may well talk about limits."""
    body = {"error": {"message": OPENAI_TPM}}
    assert seen(200, {}, body) == []
    assert seen(503, {}, body) == []
    told = limits_in(429, OPENAI, body)
    assert [(s.name, s.source) for s in told] == [
        ("rpm", "headers"),
        ("tpm", "headers"),
        ("tpm", "body"),
    ]


def test_what_is_used_up_tells_when_to_come_back() -> None:
    """For providers that send a reset and no Retry-After."""
    assert exhausted_s(limits_in(429, ANTHROPIC)) == 30
    assert exhausted_s(limits_in(429, OPENAI)) is None


NAMES = st.sampled_from([*OPENAI, *ANTHROPIC, *(n.lower() for n in MOONSHOT)])


@given(st.dictionaries(NAMES, st.text(max_size=30)), st.text(max_size=200))
def test_any_headers_and_words_give_sane_numbers(headers: dict[str, str], words: str) -> None:
    """Limits of at least one, nothing negative, nothing infinite, never an exception."""
    for one in limits_in(429, headers, f"limit {words} RPM limit: {words} 并发上限 {words}"):
        assert one.limit is None or 1 <= one.limit < math.inf
        assert one.remaining is None or 0 <= one.remaining < math.inf
        assert one.reset_s is None or 0 <= one.reset_s < math.inf
