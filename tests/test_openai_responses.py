"""The OpenAI Responses dialect: the bytes that go out, and what every kind of reply means."""

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
    Overloaded,
    RateLimited,
    TransportError,
    Unauthorized,
)
from data.schema import Message, Request, Response, Usage
from providers.responses import OpenAIResponses
from providers.wire import HttpReply

CODEC, STREAMED = OpenAIResponses(), OpenAIResponses(stream=True)
HELLO = (Message("user", "你好"),)
COUNTS: dict[str, Any] = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 30},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}


def reply(body: Any, status: int = 200, **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else codec.encode(body)
    return HttpReply(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, 1.5)


def said(*texts: str, **more: Any) -> dict[str, Any]:
    """A message item."""
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"id": "msg_67", "type": "message", "role": "assistant", "content": content, **more}


def reasoning(*summaries: str, **more: Any) -> dict[str, Any]:
    """A reasoning item."""
    parts = [{"type": "summary_text", "text": text} for text in summaries]
    return {"id": "rs_67", "type": "reasoning", "summary": parts, **more}


def response(*items: Any, status: str | None = "completed", **more: Any) -> dict[str, Any]:
    """A response object in the shape of the API reference."""
    return {
        "id": "resp_67ccd3a9",
        "object": "response",
        "created_at": 1741476777,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "m-2026-10-01",
        "output": list(items),
        "usage": COUNTS,
        **more,
    }


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + codec.encode({"type": kind, **data}) + b"\n\n"


def stream(final: dict[str, Any] | None, *deltas: tuple[str, str]) -> bytes:
    """A stream in the shape of "Streaming events"; deltas are (kind, text)."""
    body = event("response.created", response=response(status="in_progress"))
    body += event("response.output_item.added", output_index=0, item=said())
    for kind, text in deltas:
        body += event(f"response.{kind}.delta", item_id="msg_67", output_index=0, delta=text)
    for item in final["output"] if final else ():
        body += event("response.output_item.done", output_index=0, item=item)
    return body + (event(f"response.{final['status']}", response=final) if final else b"")


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
    """The cache hashes these very bytes. No seed: this API has none. Nothing is stored there."""
    messages = (Message("system", "甲"), *HELLO)
    request = Request(model="m", messages=messages, max_tokens=64, temperature=0.0, seed=7)
    assert (
        CODEC.encode(request).body
        == (
            '{"model":"m","input":[{"role":"system","content":"甲"},{"role":"user","content":"你好"}],'
            '"temperature":0.0,"max_output_tokens":64,"store":false}'
        ).encode()
    )
    assert CODEC.encode(request).path == "/responses"
    assert codec.decode(STREAMED.encode(request).body)["stream"] is True


def test_parameters_of_the_sweep_file_come_last_and_win() -> None:
    """Such as the effort of reasoning."""
    own = {"reasoning": {"effort": "low"}, "store": True}
    body = codec.decode(CODEC.encode(Request(model="m", messages=HELLO, parameters=own)).body)
    assert (body["reasoning"], body["store"]) == ({"effort": "low"}, True)


def test_the_key_travels_as_a_bearer_token() -> None:
    """As in chat completions."""
    assert CODEC.authorize("sk-1") == {"Authorization": "Bearer sk-1"}
    assert CODEC.authorize("") == {}


# --- answers -----------------------------------------------------------------------------------


def test_an_answer_is_read_with_all_that_is_known_about_it() -> None:
    """A response object as the API reference shows it."""
    got = CODEC.decode(reply(response(reasoning("想", "再想"), said("你", "好")), x_request_id="r"))
    assert got == Response(
        text="你好",
        reasoning="想\n再想",
        usage=Usage(36, 87, 30, 64),
        served_model="m-2026-10-01",
        request_id="r",
        latency_s=1.5,
        raw_usage=COUNTS,
    )


@pytest.mark.parametrize(
    ("status", "details", "reason", "state"),
    [
        ("completed", None, "stop", "answered"),
        (None, None, "stop", "answered"),
        ("incomplete", {"reason": "max_output_tokens"}, "length", "truncated"),
        ("incomplete", {"reason": "something new"}, "length", "truncated"),
        ("incomplete", None, "length", "truncated"),
        ("incomplete", {"reason": "content_filter"}, "content_filter", "refused"),
    ],
)
def test_the_status_decides(status: str | None, details: Any, reason: str, state: str) -> None:
    """What is incomplete is truncated, unless a filter stopped it."""
    body = response(said("半"), status=status, incomplete_details=details)
    got = [CODEC.decode(reply(body))]
    if status:
        got.append(CODEC.decode(streamed(stream(body))))
    for one in got:
        assert (one.stop_reason, one.state, one.text) == (reason, state, "半")
        assert one.refused_by == ("provider" if state == "refused" else "")


def test_a_refusal_is_the_models_own_words() -> None:
    """A content part of its own kind: final, and not asked again."""
    item = {**said(), "content": [{"type": "refusal", "refusal": "I can't help with that."}]}
    for got in (
        CODEC.decode(reply(response(item))),
        CODEC.decode(streamed(stream(response(item)))),
    ):
        assert (got.state, got.refused_by) == ("refused", "model")
        assert got.text == "I can't help with that."


def test_reasoning_text_is_preferred_to_its_summary() -> None:
    """Open models show it, OpenAI's show summaries."""
    item = reasoning("kurz", content=[{"type": "reasoning_text", "text": "lang"}])
    assert CODEC.decode(reply(response(item, said("a")))).reasoning == "lang"


def test_comments_on_the_way_are_no_part_of_the_answer() -> None:
    """Some models write them before it; alone they are all there is."""
    aside = said("先看看", phase="commentary")
    assert CODEC.decode(reply(response(aside, said("好", phase="final_answer")))).text == "好"
    assert CODEC.decode(reply(response(aside))).text == "先看看"


# --- streams -----------------------------------------------------------------------------------

WHOLE = stream(
    response(reasoning("想"), said("你好")),
    ("reasoning_summary_text", "想"),
    ("output_text", "你"),
    ("output_text", "好"),
)


def test_a_stream_is_read_like_the_whole_reply_with_the_times_of_its_tokens() -> None:
    """Only deltas are tokens."""
    marks = ("summary_text.delta", "output_text.delta", "output_item.done", "response.completed")
    got = CODEC.decode(streamed(WHOLE, *(WHOLE.index(mark.encode()) for mark in marks)))
    whole = CODEC.decode(reply(response(reasoning("想"), said("你好"))))
    assert got.ttft_s == 2.0
    assert (got.ttfa_s, got.last_token_s, got.latency_s) == (3.0, 3.0, 9.0)
    for name in ("text", "reasoning", "usage", "raw_usage", "request_id", "served_model"):
        assert getattr(got, name) == getattr(whole, name)


@given(st.sets(st.integers(1, len(WHOLE) - 1), max_size=9))
def test_where_the_network_splits_a_stream_changes_nothing_but_times(cuts: set[int]) -> None:
    """Within a character of UTF-8, too."""
    got = CODEC.decode(streamed(WHOLE, *cuts))
    assert (got.text, got.reasoning, got.usage) == ("你好", "想", Usage(36, 87, 30, 64))
    assert None not in (got.ttft_s, got.ttfa_s, got.last_token_s)


def test_a_last_event_without_output_is_filled_from_the_items_before_it() -> None:
    """Some servers do not repeat them."""
    body = stream(response(said("好")))
    body = body.replace(codec.encode(response(said("好"))), codec.encode(response()))
    assert CODEC.decode(streamed(body)).text == "好"


@pytest.mark.parametrize("body", [b"", stream(None), stream(None, ("output_text", "你"))])
def test_a_stream_without_its_last_event_is_cut_and_no_answer(body: bytes) -> None:
    """It would hold everything."""
    for cut in (
        body,
        body + b"data: [DONE]\n\n",
        body + b'event: x\ndata: {"type": "response.comp',
    ):
        assert isinstance(raised(streamed(cut)), TransportError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error", "message": "no"}, Overloaded),
        ({"code": "rate_limit_exceeded", "message": "no"}, RateLimited),
        ({"code": "invalid_prompt", "message": "no"}, BadRequest),
    ],
)
def test_a_failed_response_is_its_error(error: dict[str, str], kind: type[CallError]) -> None:
    """Whole with status 200, as the last event, or as an error event."""
    failed = response(status="failed", error=error)
    for got in (
        reply(failed),
        streamed(stream(failed, ("output_text", "半"))),
        streamed(stream(None) + event("error", param=None, **error)),
        streamed(stream(None) + event("error", error=error)),
    ):
        assert type(raised(got)) is kind


@pytest.mark.parametrize(
    "error",
    [
        {"code": "invalid_prompt", "message": "flagged as violating our usage policy"},
        {"code": "bio_policy", "message": "no"},
        {"code": "content_filter", "message": "no"},
    ],
)
def test_a_policy_is_an_outcome(error: dict[str, str]) -> None:
    """Refused by the provider: never retried."""
    got = CODEC.decode(reply(response(status="failed", error=error)))
    assert (got.state, got.refused_by, got.request_id) == ("refused", "provider", "resp_67ccd3a9")
    assert got.refusal_code == error["code"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        response(),
        response(said("")),
        response(reasoning("想")),
        response({"type": "function_call", "name": "f", "arguments": "{}"}),
        {**response(), "output": None},
        {**response(), "output": {"0": said("a")}},
        response(said("半"), status="in_progress"),
        response(said("半"), status="cancelled"),
        response(said("半"), status="failed"),
    ],
)
def test_a_200_that_holds_no_answer_is_a_bad_reply(body: Any) -> None:
    """It is never an empty answer that somebody would score."""
    assert isinstance(raised(reply(body)), BadReply)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "context_length_exceeded", ContextTooLong),
        (400, "unsupported_parameter", BadRequest),
        (401, "invalid_api_key", Unauthorized),
        (429, "rate_limit_exceeded", RateLimited),
        (503, "server_is_overloaded", Overloaded),
    ],
)
def test_errors_have_the_envelope_of_chat_completions(
    status: int, code: str, kind: type[CallError]
) -> None:
    """One table for both."""
    error = {"message": "no", "type": "invalid_request_error", "param": None, "code": code}
    assert type(raised(reply({"error": error}, status))) is kind
