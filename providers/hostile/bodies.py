"""Scenes of a sound HTTP 200 whose body is not what it should be, or not quite.

What cannot be read is never half an answer and never a zero; what can be read is booked.
"""

from __future__ import annotations

from typing import Any

from data.schema import Usage
from providers.hostile.refusing import HTML, PAGE
from providers.hostile.scene import Scene, page
from providers.hostile.stage import Play, Stage

_AGAIN = "no answer in it: tried again, nothing cached"
_BOOKED = "no answer in it: tried again; its tokens are booked"


def _with(text: str | None = "", **changes: Any) -> Play:
    """A completion with these members; its usage can be read."""

    async def play(stage: Stage) -> bool:
        body = stage.completion(text, **changes)
        stage.exchange.said = None
        return await stage.send(body)

    return play


def _message(message: Any, **changes: Any) -> Play:
    return _with(None, message=message, **changes)


def _spoilt(old: bytes, new: bytes, *, tells: bool = False) -> Play:
    """A sound reply in which these bytes stand for those."""

    async def play(stage: Stage) -> bool:
        body = stage.completion("SAID", tells=tells)
        stage.exchange.said = None
        return await stage.send(body.replace(old, new, 1))

    return play


async def _bad_utf8(stage: Stage) -> bool:
    body = stage.completion("S\ufffd\ufffdD")
    return await stage.send(body.replace("\ufffd".encode(), b"\xff", 2))


async def _cut(stage: Stage) -> bool:
    body = stage.completion(stage.sound_text(), tells=False)
    return await stage.send(body[: len(body) // 2])


async def _utf16(stage: Stage) -> bool:
    text = stage.completion(stage.sound_text(), tells=False).decode()
    return await stage.send(text.encode("utf-16"))


async def _bom(stage: Stage) -> bool:
    return await stage.send(b"\xef\xbb\xbf" + stage.completion(stage.sound_text()))


async def _twice(stage: Stage) -> bool:
    """Duplicate keys: what stands last counts, as for every JSON reader here."""
    body = stage.completion(stage.sound_text())
    return await stage.send(b'{"choices": [], "model": "other", ' + body[1:])


async def _dup_headers(stage: Stage) -> bool:
    """Headers that come twice, and cookies that must never come back."""
    pairs = [("X-Request-Id", "a"), ("X-Request-Id", "b")]
    pairs += [("Set-Cookie", f"session{n}=secret; Path=/") for n in range(20)]
    return await stage.send(stage.completion(stage.sound_text()), 200, pairs)


async def _other_model(stage: Stage) -> bool:
    return await stage.send(stage.completion(stage.sound_text(), model="somebody-else"))


def _counting(usage: Any, told: Usage | None = None) -> Play:
    """A sound answer with this usage (`...`: none), of which `told` can be believed."""

    async def play(stage: Stage) -> bool:
        body = stage.completion(stage.sound_text(), usage=usage)
        stage.exchange.usage = told
        return await stage.send(body)

    return play


async def _truncated(stage: Stage) -> bool:
    return await stage.send(stage.completion(stage.sound_text(), finish_reason="length"))


_TOOLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
SCENES = (
    Scene("200_html", page(200, PAGE, HTML), "BadReply", _AGAIN),
    Scene("200_empty", page(200, b""), "BadReply", _AGAIN),
    Scene("200_null", page(200, b"null"), "BadReply", _AGAIN),
    Scene("200_invalid_json", page(200, b"{'choices': ..."), "BadReply", _AGAIN),
    Scene("200_cut_json", _cut, "BadReply", _AGAIN),
    Scene("200_utf16", _utf16, "BadReply", _AGAIN),
    Scene("200_nan", _spoilt(b'"index":0', b'"index":NaN'), "BadReply", _AGAIN),
    Scene("200_infinity", _spoilt(b'"index":0', b'"index":1e999'), "BadReply", _AGAIN),
    Scene("200_empty_choices", _with(choices=[]), "BadReply", _BOOKED),
    Scene("200_no_choices", _with(choices=...), "BadReply", _BOOKED),
    Scene("200_null_content", _with(None), "BadReply", _BOOKED),
    Scene("200_empty_content", _with(""), "BadReply", _BOOKED),
    Scene("200_number_content", _message({"role": "assistant", "content": 7}), "BadReply", _BOOKED),
    Scene("200_tool_calls", _message(_TOOLS, finish_reason="tool_calls"), "BadReply", _BOOKED),
    Scene("200_list_message", _message([1, 2]), "BadReply", _BOOKED),
    Scene(
        "200_broken_off",
        _with("half a sent", finish_reason="network_error"),
        "Overloaded",
        "the provider says that it broke off: tried again; its tokens are booked",
    ),
    Scene("200_bad_utf8", _bad_utf8, "answered", "what is no UTF-8 becomes U+FFFD, the rest is kept"),
    Scene("200_bom", _bom, "answered", "a byte order mark hides nothing"),
    Scene("200_dup_keys", _twice, "answered", "what stands last counts"),
    Scene("200_bigint", _counting({"prompt_tokens": 10**40, "completion_tokens": 1}), "answered",
          "a number beyond belief is no number: the cost is an estimate"),
    Scene("ok_no_usage", _counting(...), "answered", "the cost is an estimate, and marked so"),
    Scene("ok_usage_null", _counting(None), "answered", "likewise"),
    Scene("ok_usage_negative", _counting({"prompt_tokens": -5, "completion_tokens": 3}), "answered",
          "a negative count is none"),
    Scene("ok_usage_absurd", _counting({"prompt_tokens": 10**9, "completion_tokens": 3}), "answered",
          "nor is one of a thousand million"),
    Scene("ok_usage_words", _counting({"prompt_tokens": "9", "completion_tokens": True}), "answered",
          "words are no counts"),
    Scene("ok_wrong_model", _other_model, "answered", "kept, with the name that really served"),
    Scene("ok_dup_header", _dup_headers, "answered", "cookies are never sent back"),
    Scene("ok_length", _truncated, "truncated", "an answer, marked as cut"),
    Scene(
        "200_content_filter",
        _with("", finish_reason="content_filter"),
        "refused",
        "a refusal is an outcome: final, not asked again; its tokens are booked",
    ),
    Scene(
        "200_refusal",
        _message({"role": "assistant", "content": None, "refusal": "I cannot help with that."}),
        "refused",
        "likewise, in the model's own words",
    ),
)  # fmt: skip
