"""The Gemini dialect: the bytes that go out, and what every kind of reply means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.errors import (
    BadReply,
    BadRequest,
    CallError,
    ContextTooLong,
    DailyQuota,
    ModelQuota,
    Overloaded,
    RateLimited,
    TransportError,
    Unauthorized,
    UnknownModel,
)
from data.schema import Message, Request, Response, Usage
from providers.gemini import Gemini
from providers.wire import HttpReply

CODEC, STREAMED = Gemini(), Gemini(stream=True)
HELLO = (Message("user", "你好"),)
COUNTS = {"promptTokenCount": 20, "candidatesTokenCount": 8, "totalTokenCount": 28}


def reply(body: Any, status: int = 200) -> HttpReply:
    raw = body if isinstance(body, bytes) else codec.encode(body)
    return HttpReply(status, {"content-type": "application/json; charset=UTF-8"}, raw, 1.5)


def part(text: str, *, thought: bool = False) -> dict[str, Any]:
    return {"text": text, "thought": True} if thought else {"text": text}


def response(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """A GenerateContentResponse in the shape of the API reference."""
    content = [part(p) if isinstance(p, str) else p for p in parts]
    candidate: dict[str, Any] = {"content": {"parts": content, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": COUNTS,
        "modelVersion": "gemini-m-001",
        "responseId": "kSUVaZ",
        **more,
    }


def stream(*responses: Any) -> bytes:
    return b"".join(b"data: " + codec.encode(r) + b"\r\n\r\n" for r in responses)


def streamed(body: bytes, *cuts: int) -> HttpReply:
    """A stream that arrived in pieces, one a second."""
    ends = [*sorted(cuts), len(body)]
    marks = tuple((end, float(second)) for second, end in enumerate(ends, start=1))
    return HttpReply(200, {"content-type": "text/event-stream"}, body, 9.0, marks)


def raised(got: HttpReply) -> CallError:
    with pytest.raises(CallError) as caught:
        CODEC.decode(got)
    return caught.value


# --- encoding ----------------------------------------------------------------------------------


def test_the_fields_stand_in_a_fixed_order_under_this_apis_names() -> None:
    """The cache hashes these very bytes, so they are a promise."""
    messages = (Message("system", "甲"), *HELLO, Message("assistant", "好"))
    request = Request(model="m", messages=messages, max_tokens=64, temperature=0.0, seed=7)
    assert (
        CODEC.encode(request).body
        == (
            '{"systemInstruction":{"parts":[{"text":"甲"}]},"contents":['
            '{"role":"user","parts":[{"text":"你好"}]},{"role":"model","parts":[{"text":"好"}]}],'
            '"generationConfig":{"temperature":0.0,"maxOutputTokens":64,"seed":7}}'
        ).encode()
    )
    bare = CODEC.encode(Request(model="m", messages=HELLO)).body
    assert bare == '{"contents":[{"role":"user","parts":[{"text":"你好"}]}]}'.encode()


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/mine-1", "/tunedModels/mine-1"),
        ("../../v1/x?key=1#f", "/models/..%2F..%2Fv1%2Fx%3Fkey%3D1%23f"),
        ("千问", "/models/%E5%8D%83%E9%97%AE"),
        ("..", "/models/.."),
    ],
)
def test_the_model_stands_in_the_path_and_cannot_leave_it(model: str, place: str) -> None:
    """Its name is data: no slash, query or fragment gets through."""
    request = Request(model=model, messages=HELLO)
    assert CODEC.encode(request).path == f"{place}:generateContent"
    assert STREAMED.encode(request).path == f"{place}:streamGenerateContent?alt=sse"
    assert STREAMED.encode(request).body == CODEC.encode(request).body


def test_a_configuration_among_the_parameters_adds_to_ours_and_wins() -> None:
    """A thinking budget must not cost the temperature; everything else comes last as it is."""
    own = {
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "temperature": 1.0},
        "safetySettings": [],
    }
    request = Request(model="m", messages=HELLO, max_tokens=9, temperature=0.1, parameters=own)
    body = codec.decode(CODEC.encode(request).body)
    assert body["generationConfig"] == {
        "temperature": 1.0,
        "maxOutputTokens": 9,
        "thinkingConfig": {"thinkingBudget": 0},
    }
    assert body["safetySettings"] == []


def test_the_key_travels_in_a_header_and_never_in_the_address() -> None:
    """Addresses end up in logs."""
    assert CODEC.authorize("k") == {"x-goog-api-key": "k"}
    assert CODEC.authorize("") == {}


# --- answers -----------------------------------------------------------------------------------


def test_an_answer_is_read_with_all_that_is_known_about_it() -> None:
    """Thoughts are parts marked so; their tokens are counted beside the answer's."""
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 64,
        "candidatesTokenCount": 8,
        "thoughtsTokenCount": 40,
        "totalTokenCount": 148,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
    }
    got = CODEC.decode(reply(response(part("想", thought=True), "你", "好", usageMetadata=usage)))
    assert got == Response(
        text="你好",
        reasoning="想",
        usage=Usage(100, 48, 64, 40),
        served_model="gemini-m-001",
        request_id="kSUVaZ",
        latency_s=1.5,
        raw_usage={k: v for k, v in usage.items() if k != "promptTokensDetails"},
    )


@pytest.mark.parametrize(
    ("finish", "reason", "state"),
    [
        ("STOP", "stop", "answered"),
        (None, "stop", "answered"),
        ("MAX_TOKENS", "length", "truncated"),
        ("SAFETY", "content_filter", "refused"),
        ("RECITATION", "content_filter", "refused"),
        ("LANGUAGE", "content_filter", "refused"),
        ("BLOCKLIST", "content_filter", "refused"),
        ("PROHIBITED_CONTENT", "content_filter", "refused"),
        ("SPII", "content_filter", "refused"),
        ("OTHER", "other", "answered"),
        ("SOMETHING_NEW", "other", "answered"),
    ],
)
def test_the_finish_reason_decides(finish: str | None, reason: str, state: str) -> None:
    """Truncated and refused are outcomes, not errors, whole or streamed."""
    got = [CODEC.decode(reply(response("半", finish=finish)))]
    if finish:
        got.append(CODEC.decode(streamed(stream(response("半", finish=finish)))))
    for one in got:
        assert (one.stop_reason, one.state, one.text) == (reason, state, "半")
        assert one.refused_by == ("provider" if state == "refused" else "")


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"])
def test_a_blocked_prompt_has_no_candidates_and_is_refused(reason: str) -> None:
    """Whole or streamed; with its usage, which is billed."""
    blocked = {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 9}}
    for got in (CODEC.decode(reply(blocked)), CODEC.decode(streamed(stream(blocked)))):
        assert (got.state, got.text, got.refused_by) == ("refused", "", "provider")
        assert got.refusal_code == reason
        assert got.usage == Usage(9, 0)


def test_a_filtered_answer_has_no_content() -> None:
    """A candidate with nothing but its reason."""
    bare = {"candidates": [{"finishReason": "SAFETY", "index": 0}], "usageMetadata": COUNTS}
    got = CODEC.decode(reply(bare))
    assert (got.state, got.refusal_code) == ("refused", "SAFETY")


def test_thinking_that_used_up_all_tokens_is_a_truncated_answer() -> None:
    """Often without any part at all."""
    for got in (
        response(finish="MAX_TOKENS"),
        {**response(), "candidates": [{"finishReason": "MAX_TOKENS"}]},
    ):
        assert CODEC.decode(reply(got)).state == "truncated"
        assert CODEC.decode(streamed(stream(got))).state == "truncated"


@pytest.mark.parametrize(
    ("reason", "kind"), [("MALFORMED_RESPONSE", Overloaded), ("PUP_LIMITED_DISABLED", Unauthorized)]
)
def test_some_finish_reasons_leave_no_answer(reason: str, kind: type[CallError]) -> None:
    """One is worth another try, the other stops the account."""
    assert type(raised(reply(response("半", finish=reason)))) is kind


# --- streams -----------------------------------------------------------------------------------

PARTIAL = {"promptTokenCount": 20, "totalTokenCount": 20}
WHOLE = stream(
    response(part("想", thought=True), finish=None, usageMetadata=PARTIAL),
    response("你", finish=None, usageMetadata=PARTIAL),
    response("好", finish=None, usageMetadata=PARTIAL),
    response("", usageMetadata={**COUNTS, "thoughtsTokenCount": 5, "totalTokenCount": 33}),
)


def test_a_stream_is_read_like_the_whole_reply_with_the_times_of_its_tokens() -> None:
    """The last chunk has the reason and the final counts, and no token."""
    cuts = [WHOLE.index(mark.encode()) for mark in ("想", "你", "好", "STOP")]
    got = CODEC.decode(streamed(WHOLE, *cuts))
    assert (got.text, got.reasoning, got.usage) == ("你好", "想", Usage(20, 13, 0, 5))
    assert (got.ttft_s, got.ttfa_s, got.last_token_s, got.latency_s) == (2.0, 3.0, 4.0, 9.0)
    assert (got.served_model, got.request_id) == ("gemini-m-001", "kSUVaZ")


@given(st.sets(st.integers(1, len(WHOLE) - 1), max_size=9))
def test_where_the_network_splits_a_stream_changes_nothing_but_times(cuts: set[int]) -> None:
    """Within a character of UTF-8 or between CR and LF, too."""
    got = CODEC.decode(streamed(WHOLE, *cuts))
    assert (got.text, got.reasoning, got.usage) == ("你好", "想", Usage(20, 13, 0, 5))
    assert None not in (got.ttft_s, got.ttfa_s, got.last_token_s)


@pytest.mark.parametrize("body", [b"", stream(response("你", finish=None)), WHOLE[:-200]])
def test_a_stream_without_its_finish_reason_is_cut_and_no_answer(body: bytes) -> None:
    """This API sends no other end."""
    assert isinstance(raised(streamed(body)), TransportError)


def test_an_error_within_a_stream_is_that_error() -> None:
    """Whatever was said before it, and although the status was 200."""
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    body = stream(response("半", finish=None), error)
    assert isinstance(raised(streamed(body)), Overloaded)


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>",
        {"candidates": []},
        {"candidates": None},
        response(),
        response(""),
    ],
)
def test_a_200_that_holds_no_answer_is_a_bad_reply(body: Any) -> None:
    """It is never an empty answer that somebody would score."""
    assert isinstance(raised(reply(body)), BadReply)


def quota(quota_id: str, value: str = "20") -> list[dict[str, Any]]:
    """The details of a 429."""
    return [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": quota_id, "quotaValue": value}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"},
    ]


@pytest.mark.parametrize(
    ("status", "name", "message", "details", "kind"),
    [
        (400, "INVALID_ARGUMENT", "Unknown name", [], BadRequest),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid one.", [], Unauthorized),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count exceeds the maximum number of tokens allowed 1048576.",
            [],
            ContextTooLong,
        ),
        (400, "FAILED_PRECONDITION", "User location is not supported", [], Unauthorized),
        (401, "UNAUTHENTICATED", "no", [], Unauthorized),
        (403, "PERMISSION_DENIED", "no", [], Unauthorized),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", [], UnknownModel),
        (429, "RESOURCE_EXHAUSTED", "no", [], RateLimited),
        (429, "RESOURCE_EXHAUSTED", "no", quota("GenerateRequestsPerMinute"), RateLimited),
        (429, "RESOURCE_EXHAUSTED", "no", quota("RequestsPerDayPerProject-FreeTier"), DailyQuota),
        (429, "RESOURCE_EXHAUSTED", "no", quota("RequestsPerMinute", "0"), ModelQuota),
        (429, "RESOURCE_EXHAUSTED", "metric: x, limit: 0, model: y", [], ModelQuota),
        (500, "INTERNAL", "no", [], Overloaded),
        (503, "UNAVAILABLE", "The model is overloaded.", [], Overloaded),
        (504, "DEADLINE_EXCEEDED", "no", [], Overloaded),
    ],
)
def test_errors_are_told_by_status_words_and_details(
    status: int, name: str, message: str, details: list[Any], kind: type[CallError]
) -> None:
    """A quota for the day is no pause, whatever retryDelay says. Also as a list of one."""
    error = {"error": {"code": status, "message": message, "status": name, "details": details}}
    for body in (error, [error]):
        told = raised(reply(body, status))
        assert type(told) is kind
        assert told.retry_after_s == (37.0 if details else None)
