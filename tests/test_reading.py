"""What all dialects promise about any reply: an answer with text, another outcome, or an error of ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data import codec
from data.errors import BadReply, CallError, TransportError
from data.schema import Response
from data.text import printable
from providers.reading import EXCERPT, error_in
from providers.registry import DIALECTS
from providers.simanthropic import AnthropicSpeech
from providers.simgemini import GeminiSpeech
from providers.simopenai import ChatSpeech, ResponsesSpeech
from providers.simspeech import Completion, Speech
from providers.wire import HttpReply

SPEECHES: dict[str, Speech] = {
    "openai-chat": ChatSpeech(),
    "openai-responses": ResponsesSpeech(),
    "anthropic": AnthropicSpeech(),
    "gemini": GeminiSpeech(),
}
APIS = sorted(DIALECTS)
PIECES = ("先想", "再答：", "{'综合得分': 7}", "\n\n", "完。")
ANSWER = Completion("id-1", "m", "".join(PIECES), "stop", 9, 12, "fp")


def streamed(body: bytes, status: int = 200) -> HttpReply:
    marks = tuple((end, end / 100) for end in range(1, len(body) + 1, 7))
    kind = {"content-type": "text/event-stream"}
    return HttpReply(status, kind, body, 99.0, (*marks, (len(body), 98.0)))


def frames(api: str) -> list[bytes]:
    """The events of a whole stream."""
    found = []
    for name, data in SPEECHES[api].events(ANSWER, PIECES):
        head = f"event: {name}\n".encode() if name else b""
        found.append(head + b"data: " + codec.encode(data) + b"\n\n")
    return found


@pytest.mark.parametrize("api", APIS)
def test_a_stream_cut_at_any_byte_is_the_whole_answer_or_none(api: str) -> None:
    """Never a part of it that would be judged as if the model had meant it."""
    body = b"".join(frames(api))
    whole = DIALECTS[api].decode(streamed(body))
    assert whole.text == ANSWER.text
    answered = 0
    for size in range(len(body)):
        try:
            got = DIALECTS[api].decode(streamed(body[:size]))
        except (TransportError, BadReply):
            continue
        assert (got.text, got.stop_reason) == (whole.text, "stop"), body[:size][-80:]
        answered += 1
    assert answered < len(body) / 3  # only what follows the stop reason may be missing


@pytest.mark.parametrize("api", APIS)
def test_a_stream_that_lost_any_event_never_gains_words(api: str) -> None:
    """What is left is a part of the answer in its order, or no answer."""
    every = frames(api)
    for gone in range(len(every)):
        try:
            got = DIALECTS[api].decode(streamed(b"".join(every[:gone] + every[gone + 1 :])))
        except CallError:
            continue
        assert got.text in {"".join(PIECES[:n] + PIECES[n + 1 :]) for n in range(len(PIECES))} | {
            ANSWER.text
        }


WORDS = [
    *("error", "message", "code", "type", "status", "detail", "base_resp", "status_code"),
    *("choices", "delta", "content", "refusal", "finish_reason", "usage", "reasoning_details"),
    *("output", "response", "incomplete_details", "reason", "summary", "phase", "item"),
    *("content_block", "stop_reason", "stop_details", "thinking", "text", "model", "id"),
    *("candidates", "parts", "thought", "finishReason", "promptFeedback", "blockReason"),
    *("usageMetadata", "promptTokenCount", "totalTokenCount", "thoughtsTokenCount"),
]
VALUES = [
    *("stop", "length", "content_filter", "end_turn", "refusal", "STOP", "SAFETY", "completed"),
    *("incomplete", "failed", "message_start", "message_delta", "content_block_delta", "message"),
    *("response.completed", "response.output_text.delta", "output_text", "reasoning", "error"),
    *("<think>", "<think>a</think>", "</think>", "好"),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
JSON = st.recursive(
    LEAVES | st.text(max_size=6) | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=16,
)
BODIES = (
    st.binary(max_size=60)
    | JSON.map(codec.encode)
    | st.lists(JSON, max_size=5).map(
        lambda parts: b"".join(b"data: " + codec.encode(part) + b"\n\n" for part in parts)
    )
)


@given(BODIES, st.sampled_from(APIS), st.sampled_from([200, 204, 302, 400, 404, 429, 503]))
@example(b'{"error": ' + b"[" * 190 + b"]" * 190 + b"}", "gemini", 200)
@example(b'data: {"type": []}', "openai-responses", 200)
@example(b'{"usage": {"prompt_tokens": 1e400}, "choices": []}', "openai-chat", 200)
def test_any_bytes_are_an_answer_with_text_another_outcome_or_an_error_of_ours(
    body: bytes, api: str, status: int
) -> None:
    """There is no fourth thing, and what is shown of it is one safe line."""
    for kind in ("text/event-stream", "application/json"):
        try:
            got = DIALECTS[api].decode(HttpReply(status, {"content-type": kind}, body, 1.0))
        except CallError as error:
            told = str(error)
        else:
            told = ""
            check(got, status)
        assert printable(told) == told
        assert len(told) < EXCERPT + 60


def check(got: Response, status: int) -> None:
    """An answer has words; a refusal has an author and a name; an error page is neither."""
    assert got.text or got.state in ("truncated", "refused")
    assert (got.state == "refused") == bool(got.refused_by) == bool(got.refusal_code)
    assert status == 200 or got.state == "refused"


@given(st.sampled_from(APIS), st.data())
def test_a_stream_with_damaged_bytes_is_still_an_outcome_or_an_error(
    api: str, data: st.DataObject
) -> None:
    """Gateways and disks do that."""
    body = bytearray(b"".join(frames(api)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        got: Any = DIALECTS[api].decode(streamed(bytes(body)))
    except CallError:
        return
    assert got.text or got.state != "answered"
    assert got.ttft_s is None or got.ttft_s <= got.last_token_s


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choices": []}, None),
        ({"error": None}, None),
        ({"error": {}}, None),
        ({"error": ""}, None),
        ({"error": {"code": "x"}}, {"code": "x"}),
        ({"error": "words"}, {"message": "words"}),
        ({"error": ["odd"]}, {"message": ["odd"]}),
        ({"base_resp": {"status_code": 0, "status_msg": ""}}, None),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            {"code": 1008, "message": "insufficient balance"},
        ),
        (
            {"error_code": 336501, "error_msg": "rpm limit"},
            {"code": 336501, "message": "rpm limit"},
        ),
    ],
)
def test_errors_within_200_stand_in_several_places(body: Any, error: Any) -> None:
    """MiniMax and Baidu have members of their own for them."""
    assert error_in(body) == error
