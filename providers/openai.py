"""The OpenAI chat-completions dialect, spoken by most providers. Pure: bytes in, bytes out.

Source: the API reference of POST /chat/completions (request, response, chunk and error objects). What
others add to it: `reasoning_content` (DeepSeek, Zhipu, Qwen, Ark), `reasoning` and `reasoning_details`
(OpenRouter, vLLM), content as a list of parts with thinking among them (Mistral), `provider`
(OpenRouter), the usage of a stream within its last choice (Moonshot).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data.codec import encode
from data.errors import BadReply, Overloaded
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
from providers.usage import Counted, chat_usage
from providers.wire import HttpReply, HttpRequest

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}
BROKEN_OFF = frozenset({"insufficient_system_resource", "network_error", "error", "abort"})
"""Finish reasons of a reply that its provider could not complete: no answer, whatever it holds."""
KEPT = ("id", "model", "system_fingerprint", "provider", "usage", "simulated")
"""Members that a stream's chunks repeat or give once: the last one that says something counts."""


class OpenAIChat:
    """Codec of POST {base_url}/chat/completions."""

    path = "/chat/completions"
    needs: frozenset[str] = frozenset()

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream

    def encode(self, request: Request) -> HttpRequest:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        for name in ("temperature", "max_tokens", "seed"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": request.schema},
            }
        if self._stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        body.update(request.parameters)
        return HttpRequest(self.path, encode(body), streams=self._stream)

    def authorize(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def decode(self, reply: HttpReply) -> Response:
        return read(reply, _DIALECT)


def _folded(chunks: Chunks) -> Whole:
    """A stream as the completion that it is a stream of. Raises TransportError for a cut one."""
    said, thought, refused = Channel(), Channel(), Channel()
    whole: dict[str, Any] = {}
    finish = ""
    for chunk, end in chunks:
        whole |= {name: chunk[name] for name in KEPT if chunk.get(name)}
        choice = next(iter(objects_in(chunk.get("choices"))), None)
        if choice is None:
            continue
        delta = object_of(choice.get("delta"))
        said.add(_said(delta), end)
        thought.add(_thought(delta), end)
        refused.add(delta.get("refusal"), end)
        finish = text_of(choice.get("finish_reason")) or finish
        if choice.get("usage"):
            whole["usage"] = choice["usage"]
    if not finish:
        raise cut_off(said)
    message = {"content": said.text, "reasoning_content": thought.text, "refusal": refused.text}
    whole["choices"] = [{"message": message, "finish_reason": finish}]
    return Whole(whole, said if said.text else refused, thought)


def _answer(body: Mapping[str, Any], reply: HttpReply) -> Response:
    choices = body.get("choices")
    choice = object_of(choices[0]) if isinstance(choices, list) and choices else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadReply(f"no choice in the reply: {excerpt(reply)}", status=200)
    reason = str(choice.get("finish_reason") or "stop")
    if reason in BROKEN_OFF:
        raise Overloaded(f"the provider broke off its answer ({reason})", status=200)
    text, refusal = _said(message), text_of(message.get("refusal"))
    declined = bool(refusal and not text)
    stop = "content_filter" if declined else STOP_REASONS.get(reason, "other")
    counted = _counted(body)
    return Response(
        text=text or refusal,
        stop_reason=stop,
        refused_by="model" if declined else "provider" if stop == "content_filter" else "",
        refusal_code="refusal" if declined else reason if stop == "content_filter" else "",
        reasoning=_thought(message),
        usage=counted.usage,
        raw_usage=counted.raw,
        flags=counted.flags,
        served_model=text_of(body.get("model")),
        fingerprint=text_of(body.get("system_fingerprint")),
        upstream=text_of(body.get("provider")),
    )


def _said(message: Mapping[str, Any]) -> str:
    """The answer in a message or delta: a text, or the text parts of a list."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(text_of(p.get("text")) for p in objects_in(content))
    return text_of(content)


def _thought(message: Mapping[str, Any]) -> str:
    """The thinking in a message or delta, under whichever name it stands; no name adds to another."""
    text = text_of(message.get("reasoning_content")) or text_of(message.get("reasoning"))
    return text or "".join(_parts_of_thought(message))


def _parts_of_thought(message: Mapping[str, Any]) -> Iterator[str]:
    """Thinking in lists: OpenRouter's `reasoning_details`, Mistral's parts of type `thinking`."""
    if "reasoning_details" in message:
        for detail in objects_in(message["reasoning_details"]):
            yield text_of(detail.get("text")) or text_of(detail.get("summary"))
    for part in objects_in(message.get("content")):
        for thought in objects_in(part.get("thinking")):
            yield text_of(thought.get("text"))


def _counted(body: Mapping[str, Any]) -> Counted:
    return chat_usage(body.get("usage"))


_DIALECT = Dialect(_folded, _answer, _counted, rulebook("openai"))
