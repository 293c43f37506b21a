"""The Anthropic dialect: the bytes that go out, and what every kind of reply means."""

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
    ConfigError,
    ContextTooLong,
    OutOfQuota,
    Overloaded,
    RateLimited,
    TransportError,
    Unauthorized,
    UnknownModel,
    WrongAddress,
)
from data.schema import Message, Request, Response, Usage
from providers.anthropic import AnthropicMessages
from providers.wire import HttpReply

CODEC, STREAMED = AnthropicMessages(), AnthropicMessages(stream=True)
HELLO = (Message("user", "你好"),)


def reply(body: Any, status: int = 200, **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else codec.encode(body)
    return HttpReply(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, 1.5)


def message(*content: Any, stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    """A message in the shape of the API reference; texts become text blocks."""
    blocks = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
    return {
        "id": "msg_013Zva2CMHLNnjNjtJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": "claude-m-20261001",
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 15},
        **more,
    }


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": "EosnCkYICxIMMb3L"}


def stream(*parts: Any, stop: str | None = "end_turn", **end: Any) -> bytes:
    """A stream in the shape of "Streaming messages"; a part is a text, or a delta, or raw bytes."""
    begun = message(stop=None, usage={"input_tokens": 25, "output_tokens": 1})
    found: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": begun}), ("ping", {})]
    for index, part in enumerate(parts):
        delta = {"type": "text_delta", "text": part} if isinstance(part, str) else part
        kind = delta["type"].removesuffix("_delta")
        block = {"type": kind, kind: ""}
        found += [
            ("content_block_start", {"index": index, "content_block": block}),
            ("content_block_delta", {"index": index, "delta": delta}),
            ("content_block_stop", {"index": index}),
        ]
    if stop:
        last = {"delta": {"stop_reason": stop, "stop_sequence": None, **end}}
        found += [("message_delta", {**last, "usage": {"output_tokens": 15}}), ("message_stop", {})]
    return b"".join(event(name, data) for name, data in found)


def event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + codec.encode({"type": name, **data}) + b"\n\n"


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


def test_the_fields_stand_in_a_fixed_order_and_system_messages_stand_apart() -> None:
    """The cache hashes these very bytes, so they are a promise. No seed: this API has none."""
    messages = (
        Message("system", "甲"),
        *HELLO,
        Message("assistant", "好"),
        Message("system", "乙"),
    )
    request = Request(model="m", messages=messages, max_tokens=64, temperature=0.0, seed=7)
    assert (
        CODEC.encode(request).body
        == (
            '{"model":"m","max_tokens":64,"system":"甲\\n\\n乙","messages":['
            '{"role":"user","content":"你好"},{"role":"assistant","content":"好"}],"temperature":0.0}'
        ).encode()
    )
    assert CODEC.encode(request).path == "/messages"


def test_parameters_of_the_sweep_file_come_last_and_win() -> None:
    """And may name the limit, too: a sampling profile does."""
    own = {"max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    body = codec.decode(CODEC.encode(Request(model="m", messages=HELLO, parameters=own)).body)
    assert body == {"model": "m", "messages": [{"role": "user", "content": "你好"}], **own}


def test_a_stream_is_asked_for_in_the_body() -> None:
    """So it has a cache key of its own."""
    request = Request(model="m", messages=HELLO, max_tokens=1)
    assert codec.decode(STREAMED.encode(request).body)["stream"] is True
    assert STREAMED.encode(request).body != CODEC.encode(request).body


def test_without_a_limit_nothing_is_sent() -> None:
    """The API requires one; a default of ours would silently cut answers."""
    with pytest.raises(ConfigError, match="max_tokens"):
        CODEC.encode(Request(model="m", messages=HELLO))
    assert CODEC.needs == {"max_tokens"}


def test_the_key_and_the_version_travel_as_headers() -> None:
    """The version without a key, too: a local server may ask for it."""
    assert CODEC.authorize("k") == {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    assert CODEC.authorize("") == {"anthropic-version": "2023-06-01"}


# --- answers -----------------------------------------------------------------------------------


def test_an_answer_is_read_with_all_that_is_known_about_it() -> None:
    """A message as the API reference shows it."""
    usage = {
        "input_tokens": 21,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 188,
        "output_tokens": 393,
        "output_tokens_details": {"thinking_tokens": 300},
        "service_tier": "standard",
    }
    got = CODEC.decode(reply(message(thinking("想"), "你", "好", usage=usage), request_id="req_1"))
    assert got == Response(
        text="你好",
        reasoning="想",
        usage=Usage(309, 393, 188, 300),
        served_model="claude-m-20261001",
        request_id="req_1",
        latency_s=1.5,
        raw_usage={k: v for k, v in usage.items() if k != "service_tier"},
    )


@pytest.mark.parametrize(
    ("stop", "reason", "state"),
    [
        ("end_turn", "stop", "answered"),
        ("stop_sequence", "stop", "answered"),
        ("max_tokens", "length", "truncated"),
        ("model_context_window_exceeded", "length", "truncated"),
        ("refusal", "content_filter", "refused"),
        ("pause_turn", "other", "answered"),
        ("tool_use", "other", "answered"),
    ],
)
def test_the_stop_reason_decides_whole_or_streamed(stop: str, reason: str, state: str) -> None:
    """Truncated and refused are outcomes, not errors."""
    for got in (
        CODEC.decode(reply(message("半", stop=stop))),
        CODEC.decode(streamed(stream("半", stop=stop))),
    ):
        assert (got.stop_reason, got.state, got.text) == (reason, state, "半")
        assert got.refused_by == ("provider" if state == "refused" else "")


def test_a_refusal_before_the_first_word_keeps_its_explanation() -> None:
    """Told by classifiers beside the model."""
    why = {"type": "refusal", "category": "bio", "explanation": "declined"}
    whole = CODEC.decode(reply(message(stop="refusal", stop_details=why)))
    got = CODEC.decode(streamed(stream(stop="refusal", stop_details=why)))
    assert (whole.text, whole.state) == (got.text, got.state) == ("declined", "refused")
    assert whole.refusal_code == got.refusal_code == "bio"
    assert CODEC.decode(reply(message("a", stop="refusal"))).refusal_code == "refusal"


@pytest.mark.parametrize("block", [thinking("想"), thinking(""), {"type": "redacted_thinking"}])
def test_thinking_that_used_up_all_tokens_is_a_truncated_answer(block: dict[str, Any]) -> None:
    """The text of the thinking may be left out by the provider."""
    got = CODEC.decode(reply(message(block, stop="max_tokens")))
    assert (got.state, got.text, got.reasoning) == ("truncated", "", block.get("thinking", ""))


# --- streams -----------------------------------------------------------------------------------

THOUGHT = {"type": "thinking_delta", "thinking": "想"}
SIGNED = {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}


def test_a_stream_is_read_like_the_whole_message_with_the_times_of_its_tokens() -> None:
    """Neither the start, nor a ping, nor a signature is a token."""
    body = stream(THOUGHT, SIGNED, "你", "好")
    cuts = [body.index(mark.encode()) for mark in ("ping", "想", "signature_delta", "你", "好")]
    got = CODEC.decode(streamed(body, *cuts, body.index(b"message_delta")))
    assert got == Response(
        text="你好",
        reasoning="想",
        usage=Usage(25, 15),
        served_model="claude-m-20261001",
        request_id="msg_013Zva2CMHLNnjNjtJKqJ2EF",
        latency_s=9.0,
        ttft_s=3.0,
        ttfa_s=5.0,
        last_token_s=6.0,
        raw_usage={"input_tokens": 25, "output_tokens": 15},
    )


@given(st.sets(st.integers(1, 1500), max_size=9))
def test_where_the_network_splits_a_stream_changes_nothing_but_times(cuts: set[int]) -> None:
    """Within a character of UTF-8, too."""
    body = stream(THOUGHT, "你", "好")
    got = CODEC.decode(streamed(body, *(c for c in cuts if c < len(body))))
    assert (got.text, got.reasoning, got.usage) == ("你好", "想", Usage(25, 15))
    assert None not in (got.ttft_s, got.ttfa_s, got.last_token_s)


def test_counts_at_the_end_replace_those_of_the_start() -> None:
    """They are totals; null leaves the earlier one standing."""
    body = stream("好", stop=None)
    last = {"input_tokens": None, "cache_read_input_tokens": 7, "output_tokens": 5}
    body += event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": last})
    assert CODEC.decode(streamed(body)).usage == Usage(32, 5, 7)


@pytest.mark.parametrize("parts", [(), ("你",), (THOUGHT,)])
def test_a_stream_without_its_stop_reason_is_cut_and_no_answer(parts: tuple[Any, ...]) -> None:
    """Even if it says that the message has stopped."""
    body = stream(*parts, stop=None)
    for cut in (body, body + event("message_stop", {}), body + b'event: message_delta\ndata: {"ty'):
        assert isinstance(raised(streamed(cut)), TransportError)
    assert isinstance(raised(streamed(b"")), TransportError)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", Overloaded),
        ("api_error", Overloaded),
        ("timeout_error", Overloaded),
        ("rate_limit_error", RateLimited),
        ("authentication_error", Unauthorized),
        ("billing_error", OutOfQuota),
        ("invalid_request_error", BadRequest),
        ("something_new", Overloaded),
    ],
)
def test_an_error_event_is_that_error_although_the_status_was_200(
    kind: str, expected: type[CallError]
) -> None:
    """Whatever was said before it."""
    error = event("error", {"error": {"type": kind, "message": "no"}})
    assert type(raised(streamed(stream("半句", stop=None) + error))) is expected


# --- replies that are no answer ----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"type": "message"',
        message(),
        message(""),
        message(thinking("想")),
        message({"type": "tool_use", "id": "t", "name": "n", "input": {}}, stop="tool_use"),
        {**message("a"), "content": "text"},
        {**message("a"), "content": None},
        message({"type": "text", "text": 7}),
    ],
)
def test_a_200_that_holds_no_answer_is_a_bad_reply(body: Any) -> None:
    """It is never an empty answer that somebody would score."""
    assert isinstance(raised(reply(body)), BadReply)


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", BadRequest),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", ContextTooLong),
        (400, "invalid_request_error", "Your credit balance is too low to access", OutOfQuota),
        (401, "authentication_error", "invalid x-api-key", Unauthorized),
        (402, "billing_error", "no", OutOfQuota),
        (403, "permission_error", "no", Unauthorized),
        (404, "not_found_error", "model: claude-9", UnknownModel),
        (404, "not_found_error", "Not found", WrongAddress),
        (413, "request_too_large", "no", ContextTooLong),
        (429, "rate_limit_error", "no", RateLimited),
        (500, "api_error", "no", Overloaded),
        (504, "timeout_error", "no", Overloaded),
        (529, "overloaded_error", "Overloaded", Overloaded),
    ],
)
def test_errors_are_told_by_their_type_and_words(
    status: int, kind: str, message: str, expected: type[CallError]
) -> None:
    """The table of the page "Errors", and what comes as 400 with nothing but words."""
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_9"}
    told = raised(reply(error, status, retry_after="3"))
    assert type(told) is expected
    assert told.message.removesuffix(f" [{kind}]") == message
    assert (told.request_id, told.retry_after_s) == ("req_9", 3.0)
