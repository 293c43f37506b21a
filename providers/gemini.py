"""The Gemini dialect. Pure: bytes in, bytes out.

Source: the API reference of models.generateContent and models.streamGenerateContent (v1beta):
GenerateContentRequest, GenerateContentResponse, Candidate.FinishReason, PromptFeedback.BlockReason and
UsageMetadata; the error object is google.rpc.Status. The model stands in the path, escaped; the key goes
in a header, never in the URL. A stream is a series of responses, each with the next parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from data.codec import encode
from data.errors import BadReply, CallError, Overloaded, Unauthorized
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
from providers.usage import Counted, gemini_usage
from providers.wire import HttpReply, HttpRequest

STOP_REASONS: Mapping[str, StopReason] = {
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
FAILURES: Mapping[str, type[CallError]] = {
    "MALFORMED_RESPONSE": Overloaded,
    "PUP_LIMITED_DISABLED": Unauthorized,
}
"""Finish reasons that leave no answer, whatever the reply holds: it came out broken, or the account has
been limited for what it asked before."""
COLLECTIONS = ("models/", "tunedModels/")
KEPT = ("modelVersion", "responseId", "promptFeedback", "simulated")


class Gemini:
    """Codec of POST {base_url}/models/MODEL:generateContent; the base URL ends in /v1beta."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream
        self._method = "streamGenerateContent?alt=sse" if stream else "generateContent"

    def encode(self, request: Request) -> HttpRequest:
        """A `generationConfig` among the parameters adds to ours and wins; the others come last."""
        system = [{"text": m.content} for m in request.messages if m.role == "system"]
        body: dict[str, Any] = {"systemInstruction": {"parts": system}} if system else {}
        body["contents"] = [
            {"role": "model" if m.role == "assistant" else "user", "parts": [{"text": m.content}]}
            for m in request.messages
            if m.role != "system"
        ]
        given = {
            "temperature": request.temperature,
            "maxOutputTokens": request.max_tokens,
            "seed": request.seed,
        }
        config: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        if request.schema:
            config |= {
                "responseMimeType": "application/json",
                "responseSchema": _schema(request.schema),
            }
        config |= object_of(request.parameters.get("generationConfig"))
        body |= request.parameters
        if config:
            body["generationConfig"] = config
        path = f"/{_place(request.model)}:{self._method}"
        return HttpRequest(path, encode(body), streams=self._stream)

    def authorize(self, key: str) -> Mapping[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def decode(self, reply: HttpReply) -> Response:
        return read(reply, _DIALECT)


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema as this API's own `Schema`: kinds in capitals, the order of members said, only
    texts listed (numbers have their ends instead)."""
    made: dict[str, Any] = {"type": str(schema["type"]).upper()}
    made |= {name: schema[name] for name in ("minimum", "maximum", "required") if name in schema}
    values = schema.get("enum")
    if values and schema["type"] == "string":
        made["enum"] = values
    elif values:
        made |= {"minimum": min(values), "maximum": max(values)}
    members = schema.get("properties")
    if members:
        made["properties"] = {name: _schema(member) for name, member in members.items()}
        made["propertyOrdering"] = list(members)
    return made


def _place(model: str) -> str:
    """The model's resource name, escaped; `models/` may be left out."""
    collection = next((c for c in COLLECTIONS if model.startswith(c)), "")
    return (collection or COLLECTIONS[0]) + quote(model.removeprefix(collection), safe="")


def _folded(chunks: Chunks) -> Whole:
    """A stream as one response. Raises TransportError for one that neither finishes nor is blocked."""
    said, thought = Channel(), Channel()
    whole: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    finish = ""
    for chunk, end in chunks:
        whole |= {name: chunk[name] for name in KEPT if chunk.get(name)}
        usage |= object_of(chunk.get("usageMetadata"))
        candidate = next(iter(objects_in(chunk.get("candidates"))), {})
        for part in _parts(candidate):
            (thought if part.get("thought") is True else said).add(part.get("text"), end)
        finish = text_of(candidate.get("finishReason")) or finish
    if not finish and not _blocked(whole):
        raise cut_off(said)
    parts = [{"text": thought.text, "thought": True}, {"text": said.text}]
    candidate = {"content": {"parts": parts}, "finishReason": finish}
    whole |= {"candidates": [candidate] if finish else [], "usageMetadata": usage}
    return Whole(whole, said, thought)


def _answer(body: Mapping[str, Any], reply: HttpReply) -> Response:
    candidate = next(iter(objects_in(body.get("candidates"))), None)
    if candidate is None and not _blocked(body):
        raise BadReply(f"no candidate in the reply: {excerpt(reply)}", status=200)
    parts = _parts(candidate or {})
    reason = text_of(object_of(candidate).get("finishReason")) or "STOP"
    if reason in FAILURES:
        raise FAILURES[reason](f"the provider broke off its answer ({reason})", status=200)
    stop = STOP_REASONS.get(reason, "other") if candidate is not None else "content_filter"
    counted = _counted(body)
    return Response(
        text=_text(parts, thoughts=False),
        stop_reason=stop,
        refused_by="provider" if stop == "content_filter" else "",
        refusal_code=(_blocked(body) or reason) if stop == "content_filter" else "",
        reasoning=_text(parts, thoughts=True),
        usage=counted.usage,
        raw_usage=counted.raw,
        flags=counted.flags,
        served_model=text_of(body.get("modelVersion")),
    )


def _blocked(body: Mapping[str, Any]) -> str:
    """Why the prompt was refused, if it was."""
    return text_of(object_of(body.get("promptFeedback")).get("blockReason"))


def _parts(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return objects_in(object_of(candidate.get("content")).get("parts"))


def _text(parts: list[Mapping[str, Any]], *, thoughts: bool) -> str:
    return "".join(text_of(p.get("text")) for p in parts if (p.get("thought") is True) is thoughts)


def _counted(body: Mapping[str, Any]) -> Counted:
    return gemini_usage(body.get("usageMetadata"))


_DIALECT = Dialect(_folded, _answer, _counted, rulebook("gemini"))
