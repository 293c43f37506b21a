"""The Anthropic Messages dialect. Pure: bytes in, bytes out.

Source: the API reference of POST /v1/messages, "Streaming messages", "Handling stop reasons" and
"Errors". System messages stand outside the conversation; `max_tokens` is required; `seed` is not sent:
this API has none. A refusal is told by classifiers beside the model, so it counts as the provider's, and
the words before it are no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.codec import encode
from data.errors import BadReply, ConfigError
from data.schema import Request, Response, StopReason
from providers.outcomes import rulebook
from providers.reading import (
    Chunks,
    Dialect,
    Whole,
    cut_off,
    excerpt,
    object_of,
    objects_in,
    read,
    text_of,
)
from providers.sse import Channel
from providers.usage import Counted, anthropic_usage
from providers.wire import HttpReply, HttpRequest

VERSION = "2023-06-01"
STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "content_filter": "content_filter",
}
"""`tool_use`, `pause_turn` and what is new are `other`. The last is no word of Anthropic's own: others
speak this dialect, too."""


class AnthropicMessages:
    """Codec of POST {base_url}/messages; the base URL ends in /v1."""

    path = "/messages"
    needs = frozenset({"max_tokens"})

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream

    def encode(self, request: Request) -> HttpRequest:
        """Raises ConfigError without max_tokens, which this API requires."""
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        body: dict[str, Any] = {"model": request.model}
        if request.max_tokens is not None:
            body["max_tokens"] = request.max_tokens
        if system:
            body["system"] = system
        body["messages"] = [
            {"role": m.role, "content": m.content} for m in request.messages if m.role != "system"
        ]
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.schema:  # "Structured outputs"
            body["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
        if self._stream:
            body["stream"] = True
        body.update(request.parameters)
        if "max_tokens" not in body:
            raise ConfigError(
                f"`{request.model}` has no max_tokens, which Anthropic's API requires",
                how="give the model or judge in the sweep file a max_tokens",
            )
        return HttpRequest(self.path, encode(body), streams=self._stream)

    def authorize(self, key: str) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        return {**version, "x-api-key": key} if key else version

    def decode(self, reply: HttpReply) -> Response:
        return read(reply, _DIALECT)


def _folded(chunks: Chunks) -> Whole:
    """A stream as the message that it is a stream of. Raises TransportError for a cut one.

    Counts in `message_delta` are totals: they replace those of `message_start`, unless they are null.
    """
    said, thought = Channel(), Channel()
    message: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    for chunk, end in chunks:
        kind = chunk.get("type")
        if kind == "message_start":
            message = dict(object_of(chunk.get("message")))
            usage |= _given(message.get("usage"))
        elif kind in ("content_block_start", "content_block_delta"):
            piece = object_of(chunk.get("content_block") or chunk.get("delta"))
            said.add(piece.get("text"), end)
            thought.add(piece.get("thinking"), end)
        elif kind == "message_delta":
            message |= _given(chunk.get("delta"))
            usage |= _given(chunk.get("usage"))
    if not message.get("stop_reason"):
        raise cut_off(said)
    message["content"] = [
        {"type": "thinking", "thinking": thought.text},
        {"type": "text", "text": said.text},
    ]
    return Whole({**message, "usage": usage}, said, thought)


def _given(value: object) -> dict[str, Any]:
    """The members of an object that are not null."""
    return {name: member for name, member in object_of(value).items() if member is not None}


def _answer(body: Mapping[str, Any], reply: HttpReply) -> Response:
    if not isinstance(body.get("content"), list):
        raise BadReply(f"no content in the reply: {excerpt(reply)}", status=200)
    blocks = objects_in(body.get("content"))
    reason = text_of(body.get("stop_reason")) or "end_turn"
    stop = STOP_REASONS.get(reason, "other")
    text = "".join(text_of(b.get("text")) for b in blocks)
    refused, why = stop == "content_filter", object_of(body.get("stop_details"))
    if refused and not text:
        text = text_of(why.get("explanation"))
    counted = _counted(body)
    return Response(
        text=text,
        stop_reason=stop,
        refused_by="provider" if refused else "",
        refusal_code=(text_of(why.get("category")) or reason) if refused else "",
        reasoning="\n".join(filter(None, (text_of(b.get("thinking")) for b in blocks))),
        usage=counted.usage,
        raw_usage=counted.raw,
        flags=counted.flags,
        served_model=text_of(body.get("model")),
        upstream=text_of(body.get("provider")),
    )


def _counted(body: Mapping[str, Any]) -> Counted:
    return anthropic_usage(body.get("usage"))


_DIALECT = Dialect(_folded, _answer, _counted, rulebook("anthropic"))
