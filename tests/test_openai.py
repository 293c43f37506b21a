"""The OpenAI chat dialect: the bytes that go out, and what every kind of reply means."""

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
    Fatal,
    OutOfQuota,
    Overloaded,
    RateLimited,
    Retryable,
    TransportError,
    Unauthorized,
    UnknownModel,
    WrongAddress,
)
from data.schema import Draw, Message, Request, Response, Usage
from data.text import printable
from providers.openai import OpenAIChat
from providers.reading import EXCERPT
from providers.registry import DIALECTS
from providers.wire import HttpReply

CODEC = OpenAIChat()


def encoded(**fields: Any) -> bytes:
    """The body of a request for model m with one user message."""
    fields = {"model": "m", "messages": (Message("user", "你好"),), **fields}
    return CODEC.encode(Request(**fields)).body


def reply(body: Any, status: int = 200, **headers: str) -> HttpReply:
    """A reply with that body: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else codec.encode(body)
    return HttpReply(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, 1.5)


def chat(message: Any, finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    """A whole reply around one message, in the shape of the API reference."""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "m-2026-10-01",
        "choices": [choice],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        "system_fingerprint": "fp_44709d6fcb",
        **more,
    }


def said(text: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def raised(got: HttpReply) -> CallError:
    """The error that this reply means."""
    with pytest.raises(CallError) as caught:
        CODEC.decode(got)
    return caught.value


def error(status: int = 400, **fields: Any) -> HttpReply:
    """An error envelope."""
    return reply(
        {"error": {"message": "no", "type": None, "param": None, "code": None, **fields}}, status
    )


# --- encoding ----------------------------------------------------------------------------------


def test_the_fields_stand_in_a_fixed_order_and_what_is_not_set_is_left_out() -> None:
    """The cache hashes these very bytes, so they are a promise."""
    assert encoded() == '{"model":"m","messages":[{"role":"user","content":"你好"}]}'.encode()
    full = encoded(seed=7, max_tokens=64, temperature=0.1)
    assert (
        full
        == (
            '{"model":"m","messages":[{"role":"user","content":"你好"}],'
            '"temperature":0.1,"max_tokens":64,"seed":7}'
        ).encode()
    )


def test_a_temperature_of_zero_is_sent() -> None:
    """Zero is a value; only None is left out."""
    assert codec.decode(encoded(temperature=0.0, seed=0)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "你好"}],
        "temperature": 0.0,
        "seed": 0,
    }


def test_parameters_of_the_sweep_file_come_last_and_win() -> None:
    """A model that wants another name or value for a field gets it."""
    parameters = {"top_p": 0.8, "max_tokens": 9, "thinking": {"type": "disabled"}}
    body = encoded(max_tokens=64, parameters=parameters)
    assert list(codec.decode(body)) == ["model", "messages", "max_tokens", "top_p", "thinking"]
    assert codec.decode(body)["max_tokens"] == 9


def test_the_draw_does_not_change_the_bytes() -> None:
    """Which sample it is belongs to the cache key, not to the wire."""
    assert encoded(draw=Draw(3, 2, 1)) == encoded()


def test_all_roles_keep_their_order() -> None:
    """A conversation is sent as it went."""
    roles = ("system", "user", "assistant", "user")
    body = encoded(messages=tuple(Message(r, str(i)) for i, r in enumerate(roles)))  # type: ignore[arg-type]
    assert [m["role"] for m in codec.decode(body)["messages"]] == list(roles)
    assert [m["content"] for m in codec.decode(body)["messages"]] == ["0", "1", "2", "3"]


@given(st.text(st.characters(), max_size=40))
def test_every_text_arrives_as_it_is(text: str) -> None:
    """Lone surrogates included: they go out as JSON escapes."""
    body = encoded(messages=(Message("user", text),))
    assert codec.decode(body)["messages"][0]["content"] == text
    assert body == encoded(messages=(Message("user", text),))


def test_a_lone_surrogate_goes_out_escaped() -> None:
    """What no UTF-8 can hold is still JSON."""
    assert rb'"\ud83d"' in encoded(messages=(Message("user", "\ud83d"),))


def test_the_key_travels_as_a_bearer_token_and_no_key_as_no_header() -> None:
    """A local server needs none."""
    assert CODEC.authorize("sk-1") == {"Authorization": "Bearer sk-1"}
    assert CODEC.authorize("") == {}


def test_the_registry_knows_the_dialect() -> None:
    """The name that sweep files use."""
    assert isinstance(DIALECTS["openai-chat"], OpenAIChat)


# --- answers -----------------------------------------------------------------------------------


def test_an_answer_is_read_with_all_that_is_known_about_it() -> None:
    """A reply as the API reference shows it."""
    got = CODEC.decode(reply(chat(said("你好！")), x_request_id="req-1"))
    assert got == Response(
        text="你好！",
        usage=Usage(19, 10),
        served_model="m-2026-10-01",
        fingerprint="fp_44709d6fcb",
        request_id="req-1",
        latency_s=1.5,
        raw_usage={"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
    )
    assert got.state == "answered"


def test_without_a_request_id_header_the_completion_id_is_kept() -> None:
    """Something to quote to the provider."""
    assert CODEC.decode(reply(chat(said("a")))).request_id.startswith("chatcmpl-")


@pytest.mark.parametrize(
    ("finish_reason", "stop", "state"),
    [
        ("stop", "stop", "answered"),
        (None, "stop", "answered"),
        ("length", "length", "truncated"),
        ("content_filter", "content_filter", "refused"),
        ("sensitive", "content_filter", "refused"),
        ("eos", "other", "answered"),
    ],
)
def test_the_finish_reason_decides_what_kind_of_answer_it_is(
    finish_reason: str | None, stop: str, state: str
) -> None:
    """Truncated and refused are outcomes, not errors."""
    got = CODEC.decode(reply(chat(said("半"), finish_reason)))
    assert (got.stop_reason, got.state, got.text) == (stop, state, "半")


def test_thinking_that_used_up_all_tokens_is_a_truncated_answer_without_text() -> None:
    """Nothing was said, and asking again would end the same way."""
    message = said("", reasoning_content="想……")
    got = CODEC.decode(reply(chat(message, "length")))
    assert (got.state, got.text, got.reasoning) == ("truncated", "", "想……")


@pytest.mark.parametrize(
    "message",
    [
        said("答案", reasoning_content="[[1]]"),
        said("答案", reasoning="[[1]]"),
        said("答案", reasoning="[[1]]", reasoning_content="[[1]]"),
        said(
            "答案", reasoning=None, reasoning_details=[{"type": "reasoning.text", "text": "[[1]]"}]
        ),
        said("答案", reasoning_details=[{"type": "reasoning.summary", "summary": "[[1]]"}]),
        said("<think>[[1]]</think>答案"),
        said("\n<think>\n[[1]]\n</think>\n\n答案"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "[[1]]"}]},
                {"type": "text", "text": "答"},
                {"type": "text", "text": "案"},
            ],
        },
    ],
)
def test_thinking_is_kept_apart_from_the_answer(message: dict[str, Any]) -> None:
    """Wherever the provider puts it; no score is ever read from it."""
    got = CODEC.decode(reply(chat(message)))
    assert (got.text, got.reasoning, got.state) == ("答案", "[[1]]", "answered")


def test_a_thought_without_an_end_leaves_no_answer() -> None:
    """The tokens were used up: truncated, not an answer that is all thinking."""
    for finish in ("length", "stop"):
        got = CODEC.decode(reply(chat(said("<think>想了又想，{'综合得分': 10}"), finish)))
        assert (got.state, got.text) == ("truncated", "")
        assert got.reasoning == "想了又想，{'综合得分': 10}"


def test_a_thought_that_is_all_there_is_is_no_answer() -> None:
    """The model stopped by itself and said nothing: worth another try."""
    assert isinstance(raised(reply(chat(said("<think>想</think>\n")))), BadReply)


def test_think_tags_within_an_answer_are_its_own_words() -> None:
    """Only a text that begins with one is thinking; a second end of thinking is flagged."""
    text = "标签<think>表示思考</think>。"
    assert CODEC.decode(reply(chat(said(text)))).text == text
    got = CODEC.decode(reply(chat(said("<think>a</think>b</think>c"))))
    assert (got.text, got.reasoning) == ("b</think>c", "a")
    assert got.flags == ("several </think>: read up to the first",)


def test_empty_think_tags_go_before_an_answer_without_thinking() -> None:
    """Some models write them always."""
    got = CODEC.decode(reply(chat(said("<think>\n\n</think>\n\n好"))))
    assert (got.text, got.reasoning) == ("好", "")


@pytest.mark.parametrize("content", [None, ""])
def test_a_filtered_answer_may_be_empty(content: str | None) -> None:
    """Azure sends no content at all."""
    got = CODEC.decode(reply(chat(said(content), "content_filter")))
    assert (got.state, got.refused_by) == ("refused", "provider")
    assert got.refusal_code == "content_filter"


def test_a_gateway_says_who_answered() -> None:
    """OpenRouter: the same model name may be served by several companies."""
    got = CODEC.decode(reply(chat(said("a"), provider="DeepInfra", id="gen-1")))
    assert (got.upstream, got.request_id) == ("DeepInfra", "gen-1")
    assert CODEC.decode(reply(chat(said("a")), x_generation_id="gen-2")).request_id == "gen-2"


def test_a_models_own_refusal_field_is_a_refusal() -> None:
    """`message.refusal` with null content: final, and not asked again."""
    got = CODEC.decode(reply(chat(said(None, refusal="I can't help with that."))))
    assert (got.state, got.text) == ("refused", "I can't help with that.")
    assert (got.refused_by, got.refusal_code) == ("model", "refusal")
    assert CODEC.decode(reply(chat(said("好", refusal=None)))).state == "answered"


def test_a_simulated_reply_says_so() -> None:
    """And only the literal true does."""
    assert CODEC.decode(reply(chat(said("a"), simulated=True))).simulated
    assert not CODEC.decode(reply(chat(said("a"), simulated="true"))).simulated


def test_blank_lines_and_a_byte_order_mark_before_the_json_do_no_harm() -> None:
    """Some providers keep the connection alive with blank lines before the body."""
    body = codec.encode(chat(said("a")))
    assert CODEC.decode(reply(b"\n\n\r\n" + body + b"\n")).text == "a"
    assert CODEC.decode(reply(b"\xef\xbb\xbf" + body)).text == "a"


def test_a_lone_surrogate_in_an_answer_is_kept() -> None:
    """It came as a JSON escape; it is stored as it came."""
    body = codec.encode(chat(said("MARK"))).replace(b"MARK", rb"a\ud83d\u0000b")
    assert CODEC.decode(reply(body)).text == "a\ud83d\x00b"


def test_the_first_of_several_choices_counts() -> None:
    """We never ask for more than one."""
    body = chat(said("erste"))
    body["choices"].append({"index": 1, "message": said("zweite"), "finish_reason": "stop"})
    assert CODEC.decode(reply(body)).text == "erste"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ("12", None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": 5, "completion_tokens": None}, None),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5.5, "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**12, "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(100, 50, 64, 40),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 900},
                "completion_tokens_details": {"reasoning_tokens": 900},
            },
            Usage(10, 5, 10, 5),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": None,
                "completion_tokens_details": ["x"],
            },
            Usage(10, 5),
        ),
    ],
)
def test_usage_is_believed_only_where_it_makes_sense(usage: Any, expected: Usage | None) -> None:
    """What was not said is None, never zero; no part is larger than its whole."""
    assert CODEC.decode(reply(chat(said("a"), usage=usage))).usage == expected


def test_other_fields_of_odd_types_do_no_harm() -> None:
    """They are foreign data."""
    got = CODEC.decode(reply(chat(said("a"), model=7, id=[], system_fingerprint={"a": 1})))
    assert (got.served_model, got.request_id, got.fingerprint) == ("", "", "")


# --- replies that are no answer ----------------------------------------------------------------

WHOLE = codec.encode(chat(said("好" * 50)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        WHOLE[: len(WHOLE) // 2],
        b"[1, 2]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"choices": NaN}',
        codec.encode({"choices": []}),
        codec.encode({"choices": None}),
        codec.encode({"choices": {"0": 1}}),
        codec.encode({"choices": [None]}),
        codec.encode({"choices": [{"message": None}]}),
        codec.encode({"choices": [{"text": "completion, not chat"}]}),
        codec.encode(chat(said(None))),
        codec.encode(chat(said(""))),
        codec.encode(chat({"role": "assistant", "content": 42})),
        codec.encode(chat({"role": "assistant", "tool_calls": [{"id": "a"}]}, "tool_calls")),
        codec.encode(chat(said(None), "stop")).decode().encode("utf-16"),
    ],
)
def test_a_200_that_holds_no_answer_is_a_bad_reply_and_is_tried_again(body: bytes) -> None:
    """It is never an empty answer that somebody would score."""
    told = raised(reply(body))
    assert isinstance(told, BadReply)
    assert isinstance(told, Retryable)
    assert told.message.isprintable()


@pytest.mark.parametrize(
    "reason", ["insufficient_system_resource", "network_error", "error", "abort"]
)
def test_an_answer_that_the_provider_broke_off_is_no_answer(reason: str) -> None:
    """It would be judged as if the model had meant it."""
    told = raised(reply(chat(said("半句"), reason)))
    assert isinstance(told, Overloaded)
    assert reason in told.message


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (402, OutOfQuota),
        (403, Unauthorized),
        (404, WrongAddress),
        (405, WrongAddress),
        (408, Overloaded),
        (409, Overloaded),
        (413, ContextTooLong),
        (418, BadRequest),
        (422, BadRequest),
        (429, RateLimited),
        (500, Overloaded),
        (502, Overloaded),
        (503, Overloaded),
        (504, Overloaded),
        (520, Overloaded),
        (529, Overloaded),
        (301, WrongAddress),
        (307, WrongAddress),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>nope</html>", b'{"error": {"message": "no"}}'])
def test_every_status_has_its_class_whatever_the_body(
    status: int, kind: type[CallError], body: bytes
) -> None:
    """An error page counts like an error object."""
    told = raised(reply(body, status))
    assert type(told) is kind
    assert told.status == status
    assert str(told).endswith(f"(HTTP {status})")


@pytest.mark.parametrize(
    ("status", "fields", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, ContextTooLong),
        (400, {"code": 400, "type": "exceed_context_size_error"}, ContextTooLong),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, OutOfQuota),
        (429, {"type": "exceeded_current_quota_error"}, OutOfQuota),
        (429, {"code": "credit_balance_exhausted"}, OutOfQuota),
        (429, {"code": "1113"}, OutOfQuota),
        (429, {"code": "1302"}, RateLimited),
        (429, {"type": "engine_overloaded_error"}, Overloaded),
        (400, {"code": "Arrearage"}, OutOfQuota),
        (404, {"code": "model_not_found"}, UnknownModel),
        (401, {"code": "invalid_api_key"}, Unauthorized),
        (401, {"type": "authentication_error"}, Unauthorized),
        (500, {"code": "rate_limit_exceeded"}, RateLimited),
        (404, {"type": "NotFoundError", "message": "The model `x` does not exist."}, UnknownModel),
        (404, {"message": "Invalid URL (POST /v1/chat)"}, WrongAddress),
    ],
)
def test_the_code_in_the_body_wins_over_the_status(
    status: int, fields: dict[str, Any], kind: type[CallError]
) -> None:
    """A 429 may mean slow down, or no money; only the code tells."""
    assert type(raised(error(status, **fields))) is kind


def test_no_money_stops_the_account_and_is_never_tried_again() -> None:
    """A 429 with insufficient_quota would otherwise be retried for ever."""
    told = raised(error(429, code="insufficient_quota", type="insufficient_quota"))
    assert isinstance(told, Fatal)
    assert told.scope == "account"


def test_an_error_without_its_envelope_is_read_too() -> None:
    """Some servers put code and message at the top."""
    top = {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"}
    assert isinstance(raised(reply({**top, "code": 404}, 404)), UnknownModel)
    told = raised(reply({"code": 20012, "message": "Model is busy", "data": None}, 503))
    assert isinstance(told, Overloaded)
    assert told.message == "Model is busy [20012]"
    assert isinstance(raised(reply({"detail": "Not Found"}, 404)), WrongAddress)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"code": "server_error"}, Overloaded),
        ({"code": 429}, RateLimited),
        ({"code": 401}, Unauthorized),
        ({"code": "insufficient_quota"}, OutOfQuota),
    ],
)
def test_an_error_inside_200_is_an_error(fields: dict[str, Any], kind: type[CallError]) -> None:
    """Gateways send 200 before they know that it fails."""
    body = {"error": {"message": "no", **fields}, "choices": []}
    assert type(raised(reply(body))) is kind
    assert isinstance(raised(reply({"error": "plain words"})), Overloaded)


def test_null_or_empty_errors_are_none() -> None:
    """Some servers send the member always."""
    nothings: tuple[Any, ...] = (None, {}, "")
    for nothing in nothings:
        assert CODEC.decode(reply({**chat(said("a")), "error": nothing})).text == "a"


@pytest.mark.parametrize(
    "got",
    [
        error(400, code="content_filter"),
        error(400, type="content_filter"),
        error(400, code="content_policy_violation"),
        error(400, code="data_inspection_failed"),
        error(400, code="DataInspectionFailed"),
        error(400, code="1301"),
        error(400, code="InputTextSensitiveContentDetected"),
        error(400, code="SensitiveContentDetected.SevereViolation"),
        error(200, code="content_filter"),
        reply(b"", 451),
    ],
)
def test_a_content_filter_is_an_outcome_whatever_status_it_comes_with(got: HttpReply) -> None:
    """Refused: final, counted apart, never retried and never scored."""
    response = CODEC.decode(got)
    assert (response.state, response.text, response.latency_s) == ("refused", "", 1.5)
    assert response.refused_by == "provider"
    assert response.refusal_code


def test_a_redirect_is_named_and_its_target_is_not_followed() -> None:
    """The body of a redirect says nothing."""
    told = raised(reply(b"<a href='http://elsewhere/'>", 307, location="http://elsewhere/"))
    assert "redirects" in told.message
    assert told.scope == "account"
    assert "elsewhere/" not in told.message


def test_the_told_wait_and_the_request_id_come_along() -> None:
    """The retry needs the one, a complaint the other."""
    got = reply({"error": {"message": "slow"}}, 429, retry_after="3", x_request_id="req-9")
    told = raised(got)
    assert (told.retry_after_s, told.request_id) == (3.0, "req-9")


def test_what_a_server_says_is_cut_and_escaped() -> None:
    """No control character of a server reaches a terminal, and no page fills it."""
    nasty = "\x1b]0;owned\x07\u202e\r\n\ud800" + "长" * 1000
    for got in (
        error(400, message=nasty),
        reply(b"\x1b[2J\xff\xfe<html>" + b"x" * 10_000, 500),
        reply(b"\x1b[2J" + b"x" * 10_000, 200),
    ):
        message = str(raised(got))
        assert message.isprintable()
        assert len(message) < EXCERPT + 60
    assert "owned" in raised(error(400, message=nasty)).message


@pytest.mark.parametrize("message", [{"a": 1}, ["x"], 7, None, "", True])
@pytest.mark.parametrize("code", [None, 7, "", {"a": 1}, ["x"], 1e400, 10**40])
def test_envelopes_of_odd_types_are_still_errors_of_ours(message: Any, code: Any) -> None:
    """Nothing a server sends becomes a traceback."""
    assert isinstance(raised(error(500, message=message, code=code, type=code)), CallError)


# --- streams -----------------------------------------------------------------------------------

STREAMED = OpenAIChat(stream=True)
HEAD = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion.chunk",
    "created": 1741569952,
    "model": "m-2026-10-01",
    "system_fingerprint": "fp_44709d6fcb",
}
USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
LAST: dict[str, Any] = {**HEAD, "choices": [], "usage": USAGE}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk in the shape of the API reference."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**HEAD, "choices": [choice], "usage": None}


def sse(*parts: Any, done: bool = True) -> bytes:
    """A stream: texts as they are (comments), anything else as the data of an event."""
    frames = [
        part.encode() if isinstance(part, str) else b"data: " + as_json(part) for part in parts
    ]
    return b"\n\n".join([*frames, *([b"data: [DONE]"] if done else []), b""])


def as_json(part: Any) -> bytes:
    return part if isinstance(part, bytes) else codec.encode(part)


def streamed(body: bytes, cuts: tuple[int, ...] = (), status: int = 200) -> HttpReply:
    """A streamed reply that arrived in pieces, one a second."""
    ends = sorted({*cuts, len(body)})
    marks = tuple((end, float(second)) for second, end in enumerate(ends, start=1))
    return HttpReply(status, {"content-type": "text/event-stream"}, body, 9.0, marks)


SAID = sse(
    ": OPENROUTER PROCESSING",
    chunk(role="assistant", content=""),
    chunk(reasoning_content="想"),
    chunk(reasoning_content="一想"),
    chunk(content="你"),
    chunk(content="好！"),
    chunk("stop"),
    LAST,
)


def test_a_request_for_a_stream_asks_for_its_usage_too() -> None:
    """Both are part of the body, so of the cache key; what the sweep file says still comes last."""
    body = STREAMED.encode(
        Request(model="m", messages=(Message("user", "你好"),), max_tokens=9)
    ).body
    assert codec.decode(body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "你好"}],
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    own = Request(model="m", messages=(), parameters={"stream_options": {"include_usage": False}})
    assert codec.decode(STREAMED.encode(own).body)["stream_options"] == {"include_usage": False}


def test_a_stream_is_read_like_the_whole_reply_with_the_times_of_its_tokens() -> None:
    """Neither a comment nor an empty role chunk is a token; thinking is one, but no answer's."""
    cuts = tuple(SAID.index(mark.encode()) for mark in ("role", "想", "一想", "你", "好", "[DONE]"))
    got = STREAMED.decode(streamed(SAID, cuts))
    assert got == Response(
        text="你好！",
        reasoning="想一想",
        usage=Usage(19, 10),
        served_model="m-2026-10-01",
        fingerprint="fp_44709d6fcb",
        request_id="chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        latency_s=9.0,
        ttft_s=3.0,
        ttfa_s=5.0,
        last_token_s=6.0,
        raw_usage=USAGE,
    )


def test_a_reply_that_came_whole_has_no_time_of_a_first_token() -> None:
    """Null, never zero."""
    got = CODEC.decode(reply(chat(said("好"))))
    assert (got.ttft_s, got.ttfa_s, got.last_token_s) == (None, None, None)


@given(st.sets(st.integers(1, len(SAID) - 1), max_size=12))
def test_where_the_network_splits_a_stream_changes_nothing_but_times(cuts: set[int]) -> None:
    """Within a character of UTF-8, too. Each time is that of the piece that completed the token."""
    got = STREAMED.decode(streamed(SAID, tuple(cuts)))
    assert (got.text, got.reasoning, got.usage) == ("你好！", "想一想", Usage(19, 10))
    ends = [*sorted(cuts), len(SAID)]

    def second(part: str) -> float:
        line_end = SAID.index(b"\n", SAID.index(part.encode()))
        return next(float(n) for n, end in enumerate(ends, start=1) if end >= line_end)

    assert (got.ttft_s, got.ttfa_s, got.last_token_s) == (second("想"), second("你"), second("好"))


def test_think_tags_in_a_stream_end_before_the_first_token_of_the_answer() -> None:
    """The chunk that holds the answer's first character counts, not the one with the tag."""
    body = sse(
        chunk(content="<think>想"),
        chunk(content="</think>"),
        chunk(content="\n\n好"),
        chunk("stop"),
    )
    cuts = tuple(body.index(mark) for mark in (b"</think>", b"\\n"))
    got = STREAMED.decode(streamed(body, cuts))
    assert (got.text, got.reasoning) == ("好", "想")
    assert (got.ttft_s, got.ttfa_s, got.last_token_s) == (1.0, 3.0, 3.0)


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "sensitive", "eos"])
@pytest.mark.parametrize(
    "message",
    [
        said("答案"),
        said("答案", reasoning_content="想"),
        said("答案", reasoning="想"),
        said("答案", reasoning_details=[{"type": "reasoning.text", "text": "想"}]),
        said("<think>想</think>答案"),
        said("<think>想"),
        said(None, refusal="I can't help with that."),
        said(""),
        said(None, reasoning_content="想"),
        {"content": [{"type": "text", "text": "答案"}]},
    ],
)
def test_a_stream_means_what_the_same_reply_means_whole(
    finish: str, message: dict[str, Any]
) -> None:
    """Answers, refusals, truncation, and what is no answer at all."""
    stream = streamed(sse(chunk(**message), chunk(finish), LAST))
    try:
        whole = CODEC.decode(reply(chat(message, finish)))
    except BadReply:
        with pytest.raises(BadReply):
            STREAMED.decode(stream)
        return
    got = STREAMED.decode(stream)
    for name in ("text", "reasoning", "stop_reason", "refused_by", "usage", "raw_usage", "state"):
        assert getattr(got, name) == getattr(whole, name), name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        sse(": keep-alive", done=False),
        sse(done=True),
        sse(chunk(content="你"), done=False),
        sse(chunk(content="你"), done=True),
        sse(chunk(content="你"), LAST),
        sse(chunk(content="你"), done=False) + b'data: {"choices": [{"delta": {"con',
    ],
)
def test_a_stream_without_its_stop_reason_is_cut_and_no_answer(body: bytes) -> None:
    """[DONE] alone proves nothing: gateways add it to whatever they got."""
    told = raised(streamed(body))
    assert isinstance(told, TransportError)
    assert isinstance(told, Retryable)


def test_a_stream_needs_no_done_and_no_usage() -> None:
    """Some gateways leave the one out, others the other; what was not said stays unsaid."""
    got = STREAMED.decode(streamed(sse(chunk(content="好"), chunk("stop"), done=False)))
    assert (got.text, got.usage, got.raw_usage) == ("好", None, {})


def test_usage_may_stand_in_the_last_choice() -> None:
    """Moonshot's place for it."""
    last = chunk("stop")
    last["choices"][0]["usage"] = {**USAGE, "cached_tokens": 12}
    got = STREAMED.decode(streamed(sse(chunk(content="好"), last)))
    assert got.usage == Usage(19, 10, 12)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"error": {"message": "no", "code": "server_error"}}, Overloaded),
        ({"error": {"message": "no", "code": 502}, **chunk("error")}, Overloaded),
        ({"error": {"message": "slow down", "code": 429}}, RateLimited),
        ({"error": {"message": "no", "type": "insufficient_quota"}}, OutOfQuota),
        ('event: error\ndata: {"code": "Arrearage", "message": "no"}', OutOfQuota),
        ("event: error\ndata: {}", Overloaded),
        ("event: error\ndata: gone", BadReply),
        ('data: {"choices"', BadReply),
    ],
)
def test_an_error_within_a_stream_is_that_error(part: Any, kind: type[CallError]) -> None:
    """Whatever was said before it, and although the status was 200."""
    body = sse(chunk(content="半句"), part, chunk("stop"))
    assert type(raised(streamed(body))) is kind


def test_a_filter_within_a_stream_is_an_outcome() -> None:
    """DashScope inspects the answer while it is written."""
    error = {"error": {"code": "data_inspection_failed", "message": "no"}, "request_id": "r-1"}
    got = STREAMED.decode(streamed(sse(chunk(content="半句"), error, done=False)))
    assert (got.state, got.text, got.request_id) == ("refused", "", "r-1")


@pytest.mark.parametrize("status", [400, 429, 500, 502])
def test_an_error_page_with_the_type_of_a_stream_is_told_by_its_status(status: int) -> None:
    """The type says what was asked for; the body is whatever the gateway had."""
    for body in (b"<html>", b"", sse({"error": {"message": "no"}}, done=False), b'{"error": {}}'):
        got = raised(streamed(body, status=status))
        assert type(got) is type(raised(reply(b"", status)))


def test_a_request_for_a_stream_may_be_answered_whole() -> None:
    """And the other way round; what came is read."""
    whole = reply(chat(said("好")))
    assert STREAMED.decode(whole) == CODEC.decode(whole)
    assert CODEC.decode(streamed(SAID)).text == "你好！"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "choices", "message", "content", "usage", "code", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=60)
    | JSON.map(codec.encode)
    | st.lists(JSON, max_size=3).map(lambda parts: sse(*map(codec.encode, parts))),
    st.sampled_from([200, 204, 302, 400, 404, 429, 503]),
)
def test_any_bytes_are_an_answer_with_text_a_refusal_or_a_call_error(
    body: bytes, status: int
) -> None:
    """There is no fourth thing."""
    try:
        outcome = CODEC.decode(reply(body, status))
    except CallError as told:
        shown = str(told)
    else:
        shown = outcome.text or outcome.state
        assert shown != "answered"
        return
    assert printable(shown) == shown
