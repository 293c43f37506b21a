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
    Unauthorized,
    UnknownModel,
    WrongAddress,
)
from data.schema import Draw, Message, Request, Response, Usage
from data.text import printable
from providers.openai import EXCERPT, OpenAIChat
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


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking_is_kept_apart_from_the_answer(name: str) -> None:
    """No score is ever read from it."""
    got = CODEC.decode(reply(chat(said("答案", **{name: "[[1]]"}))))
    assert (got.text, got.reasoning) == ("答案", "[[1]]")


@pytest.mark.parametrize("content", [None, ""])
def test_a_filtered_answer_may_be_empty(content: str | None) -> None:
    """Azure sends no content at all."""
    assert CODEC.decode(reply(chat(said(content), "content_filter"))).state == "refused"


def test_a_models_own_refusal_field_is_a_refusal() -> None:
    """`message.refusal` with null content: final, and not asked again."""
    got = CODEC.decode(reply(chat(said(None, refusal="I can't help with that."))))
    assert (got.state, got.text) == ("refused", "I can't help with that.")
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


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "network_error", "error"])
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
        (429, {"type": "engine_overloaded_error"}, RateLimited),
        (400, {"code": "Arrearage"}, OutOfQuota),
        (400, {"code": "1211"}, UnknownModel),
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
    assert told.message == "Model is busy"
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
    st.binary(max_size=60) | JSON.map(codec.encode),
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
