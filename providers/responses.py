"""The OpenAI Responses dialect. Pure: bytes in, bytes out.

Source: the API reference of POST /responses (request, response object, streaming events). Its stream ends
in an event that holds the whole response object, so streamed and unstreamed replies are read alike.
`seed` is not sent: this API has none. Nothing is stored at the provider's unless the sweep file says
`parameters = { store = true }`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data.codec import encode
from data.errors import BadReply
from data.schema import RefusedBy, Request, Response, StopReason
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
from providers.usage import Counted, responses_usage
from providers.wire import HttpReply, HttpRequest

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Events that end a stream; each holds the response object."""
SAID = frozenset({"response.output_text.delta", "response.refusal.delta"})
THOUGHT = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})


class OpenAIResponses:
    """Codec of POST {base_url}/responses."""

    path = "/responses"
    needs: frozenset[str] = frozenset()

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream

    def encode(self, request: Request) -> HttpRequest:
        body: dict[str, Any] = {
            "model": request.model,
            "input": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body["max_output_tokens"] = request.max_tokens
        body["store"] = False
        if request.schema:
            schema = {"name": "verdict", "strict": True, "schema": request.schema}
            body["text"] = {"format": {"type": "json_schema", **schema}}
        if self._stream:
            body["stream"] = True
        body.update(request.parameters)
        return HttpRequest(self.path, encode(body), streams=self._stream)

    def authorize(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def decode(self, reply: HttpReply) -> Response:
        return read(reply, _DIALECT)


def _folded(chunks: Chunks) -> Whole:
    """The response object of the last event. Raises TransportError for a stream without one.

    Some servers leave its output empty; then the items count that the stream has finished before.
    """
    said, thought = Channel(), Channel()
    items: list[Mapping[str, Any]] = []
    final: Mapping[str, Any] | None = None
    for chunk, end in chunks:
        kind = text_of(chunk.get("type"))
        if kind in SAID:
            said.add(chunk.get("delta"), end)
        elif kind in THOUGHT:
            thought.add(chunk.get("delta"), end)
        elif kind == "response.output_item.done":
            items.append(object_of(chunk.get("item")))
        elif kind in ENDS:
            final = object_of(chunk.get("response"))
    if final is None:
        raise cut_off(said)
    return Whole({**final, "output": final.get("output") or items}, said, thought)


def _answer(body: Mapping[str, Any], reply: HttpReply) -> Response:
    if not isinstance(body.get("output"), list):
        raise BadReply(f"no output in the reply: {excerpt(reply)}", status=200)
    text, refusal = _words(body, "output_text", "text"), _words(body, "refusal", "refusal")
    stop, refused_by = _stop(body, reply)
    if refusal and not text:
        stop, refused_by = "content_filter", "model"
    counted = _counted(body)
    return Response(
        text=text or refusal,
        stop_reason=stop,
        refused_by=refused_by,
        refusal_code={"": "", "model": "refusal", "provider": "content_filter"}[refused_by],
        reasoning=_thought(body),
        usage=counted.usage,
        raw_usage=counted.raw,
        flags=counted.flags,
        served_model=text_of(body.get("model")),
        fingerprint=text_of(body.get("system_fingerprint")),
        upstream=text_of(body.get("provider")),
    )


def _stop(body: Mapping[str, Any], reply: HttpReply) -> tuple[StopReason, RefusedBy]:
    """Why it stopped, and who refused. Raises BadReply for a response that is still being made."""
    status = body.get("status")
    if status == "incomplete":
        if object_of(body.get("incomplete_details")).get("reason") == "content_filter":
            return "content_filter", "provider"
        return "length", ""  # max_output_tokens, or another reason that left it unfinished
    if status not in ("completed", None):
        raise BadReply(f"a response without its end: {excerpt(reply)}", status=200)
    return "stop", ""


def _words(body: Mapping[str, Any], kind: str, member: str) -> str:
    """All text of one kind in the messages. Comments on the way count only where no answer follows."""
    messages = [o for o in objects_in(body.get("output")) if o.get("type") == "message"]
    final = [m for m in messages if m.get("phase") != "commentary"]
    parts = (p for m in final or messages for p in objects_in(m.get("content")))
    return "".join(text_of(p.get(member)) for p in parts if p.get("type") == kind)


def _thought(body: Mapping[str, Any]) -> str:
    """The reasoning items: their text where the provider shows it, else their summaries."""
    return "\n".join(filter(None, map(_reasoning_item, objects_in(body.get("output")))))


def _reasoning_item(item: Mapping[str, Any]) -> str:
    if item.get("type") != "reasoning":
        return ""
    return "".join(_texts(item.get("content"))) or "\n".join(_texts(item.get("summary")))


def _texts(parts: object) -> Iterator[str]:
    for part in objects_in(parts):
        yield text_of(part.get("text"))


def _counted(body: Mapping[str, Any]) -> Counted:
    return responses_usage(body.get("usage"))


_DIALECT = Dialect(_folded, _answer, _counted, rulebook("openai"))
