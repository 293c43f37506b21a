"""The simulator in four dialects: what each API's own server makes of the same answer. Pure.

Each dialect turns a request into a chat completion's (whose keys stand in one order, so that the same
question is the same bytes in every dialect), and a completion into its own reply, whole or as events. The
shapes are those that the API references show; each reply says `simulated: true` where a codec looks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote

from data.schema import Struct

Object: TypeAlias = Mapping[str, Any]
Events: TypeAlias = Iterator[tuple[str, Object]]
"""(event name, data); an unnamed event has the name ""."""


class Completion(Struct, frozen=True):
    """What the simulator answered."""

    id: str
    model: str
    text: str
    finish: str
    """stop, length or content_filter."""
    asked: int
    said: int
    """Tokens of the prompt and of the answer."""
    fingerprint: str

    @property
    def chat_usage(self) -> Object:
        return {
            "prompt_tokens": self.asked,
            "completion_tokens": self.said,
            "total_tokens": self.asked + self.said,
        }


class Trouble(Struct, frozen=True):
    """An error, as the simulator says it."""

    status: int
    message: str
    kind: str
    code: str
    retry_after: str = ""
    """Seconds; empty: it does not say."""


class Speech(Protocol):
    """One dialect, seen from the server."""

    @property
    def opening(self) -> int:
        """Events of a stream before the first piece of the text."""

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        """The request as that of a chat completion. Anything may be missing in it."""

    def whole(self, answer: Completion) -> Object:
        """The reply."""

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        """The reply as a stream; one event for each piece of the text, some before and after them."""

    def error(self, trouble: Trouble) -> Object:
        """The body of an error."""

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        """The same within a stream."""


def request(model: object, messages: object, fields: Object) -> dict[str, Any]:
    """A chat completion's request; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {"model": model, "messages": messages, **given}


# --- chat completions --------------------------------------------------------------------------


class ChatSpeech:
    """POST /chat/completions."""

    opening: Final = 1

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        return {k: v for k, v in body.items() if k not in ("stream", "stream_options")}

    def whole(self, answer: Completion) -> Object:
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish}
        return {**self._head(answer, ""), "choices": [choice], "usage": answer.chat_usage}

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        yield "", self._chunk(answer, {"role": "assistant", "content": ""})
        for piece in pieces:
            yield "", self._chunk(answer, {"content": piece})
        yield "", self._chunk(answer, {}, answer.finish)
        head = self._head(answer, ".chunk")
        yield "", {**head, "choices": [], "usage": answer.chat_usage}

    def error(self, trouble: Trouble) -> Object:
        said = {"message": trouble.message, "type": trouble.kind, "param": None}
        return {"error": {**said, "code": trouble.code}}

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        return "", self.error(trouble)

    def _chunk(self, answer: Completion, delta: Object, finish: str | None = None) -> Object:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._head(answer, ".chunk"), "choices": [choice], "usage": None}

    def _head(self, answer: Completion, kind: str) -> Object:
        return {
            "id": answer.id,
            "object": f"chat.completion{kind}",
            "created": 0,
            "model": answer.model,
            "system_fingerprint": answer.fingerprint,
            "simulated": True,
        }


# --- responses ---------------------------------------------------------------------------------


class ResponsesSpeech:
    """POST /responses."""

    opening: Final = 3

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        said = body.get("input")
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        if body.get("instructions") and isinstance(messages, list):
            messages = [{"role": "system", "content": body["instructions"]}, *messages]
        fields = {
            "temperature": body.get("temperature"),
            "max_tokens": body.get("max_output_tokens"),
        }
        return request(body.get("model"), messages, fields)

    def whole(self, answer: Completion) -> Object:
        reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
        reason = reasons.get(answer.finish)
        return {
            **self._begun(answer),
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": [self._message(answer, [self._part(answer.text)])],
            "usage": {
                "input_tokens": answer.asked,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": answer.said,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": answer.asked + answer.said,
            },
        }

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        for number, (name, data) in enumerate(self._events(answer, pieces)):
            yield name, {"type": name, "sequence_number": number, **data}

    def error(self, trouble: Trouble) -> Object:
        return ChatSpeech().error(trouble)

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        said = {"type": "error", "sequence_number": 0, "param": None}
        return "error", {**said, "code": trouble.code, "message": trouble.message}

    def _events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        place = {"item_id": f"msg-{answer.id}", "output_index": 0, "content_index": 0}
        item = {"output_index": 0}
        yield "response.created", {"response": self._begun(answer)}
        yield "response.output_item.added", {**item, "item": self._message(answer, [])}
        yield "response.content_part.added", {**place, "part": self._part("")}
        for piece in pieces:
            yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**place, "text": answer.text, "logprobs": []}
        yield "response.content_part.done", {**place, "part": self._part(answer.text)}
        whole = self.whole(answer)
        yield "response.output_item.done", {**item, "item": whole["output"][0]}
        yield f"response.{whole['status']}", {"response": whole}

    def _begun(self, answer: Completion) -> Object:
        return {
            "id": answer.id,
            "object": "response",
            "created_at": 0,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": answer.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "simulated": True,
        }

    def _message(self, answer: Completion, content: list[Object]) -> Object:
        status = "completed" if content and answer.finish == "stop" else "incomplete"
        said = {"id": f"msg-{answer.id}", "type": "message", "role": "assistant"}
        return {**said, "status": status if content else "in_progress", "content": content}

    def _part(self, text: str) -> Object:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


# --- messages ----------------------------------------------------------------------------------


class AnthropicSpeech:
    """POST /messages."""

    opening: Final = 3
    stops: Final = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    kinds: Final = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
    }

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        messages, system = body.get("messages"), body.get("system")
        if system and isinstance(messages, list):
            messages = [{"role": "system", "content": system}, *messages]
        fields = {"temperature": body.get("temperature"), "max_tokens": body.get("max_tokens", 0)}
        return request(body.get("model"), messages, fields)

    def whole(self, answer: Completion) -> Object:
        usage = {"input_tokens": answer.asked, "output_tokens": answer.said}
        return {
            **self._begun(answer),
            "content": [{"type": "text", "text": answer.text}],
            "stop_reason": self.stops[answer.finish],
            "usage": usage,
        }

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        for name, data in self._events(answer, pieces):
            yield name, {"type": name, **data}

    def error(self, trouble: Trouble) -> Object:
        kind = self.kinds.get(trouble.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": trouble.message}}

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        return "error", self.error(trouble)

    def _events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        yield "message_start", {"message": self._begun(answer)}
        yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        yield "ping", {}
        for piece in pieces:
            delta = {"type": "text_delta", "text": piece}
            yield "content_block_delta", {"index": 0, "delta": delta}
        yield "content_block_stop", {"index": 0}
        stop = {"stop_reason": self.stops[answer.finish], "stop_sequence": None}
        yield "message_delta", {"delta": stop, "usage": {"output_tokens": answer.said}}
        yield "message_stop", {}

    def _begun(self, answer: Completion) -> Object:
        return {
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": answer.asked, "output_tokens": 1},
            "simulated": True,
        }


# --- generateContent ---------------------------------------------------------------------------


class GeminiSpeech:
    """POST /models/MODEL:generateContent and :streamGenerateContent."""

    opening: Final = 0
    stops: Final = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
    names: Final = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        model = unquote(path.rpartition("/")[2].rpartition(":")[0])
        system, contents = body.get("systemInstruction"), body.get("contents")
        messages: list[Object] = [self._message("system", system)] if system else []
        for content in contents if isinstance(contents, list) else []:
            spoken = isinstance(content, Mapping) and content.get("role") == "model"
            messages.append(self._message("assistant" if spoken else "user", content))
        config = body.get("generationConfig")
        config = config if isinstance(config, Mapping) else {}
        fields = {
            "temperature": config.get("temperature"),
            "max_tokens": config.get("maxOutputTokens"),
            "seed": config.get("seed"),
        }
        return request(model, messages, fields)

    def whole(self, answer: Completion) -> Object:
        return self._part(answer, answer.text, self.stops[answer.finish])

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        last = len(pieces) - 1
        for number, piece in enumerate(pieces):
            finish = self.stops[answer.finish] if number == last else None
            yield "", self._part(answer, piece, finish)

    def error(self, trouble: Trouble) -> Object:
        name = self.names.get(trouble.status, "INTERNAL")
        error: dict[str, Any] = {
            "code": trouble.status,
            "message": trouble.message,
            "status": name,
        }
        if trouble.retry_after:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{trouble.retry_after}s"}]
        return {"error": error}

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        return "", self.error(trouble)

    def _part(self, answer: Completion, text: str, finish: str | None) -> Object:
        candidate: dict[str, Any] = {
            "content": {"parts": [{"text": text}], "role": "model"},
            "index": 0,
        }
        usage = {"promptTokenCount": answer.asked}
        if finish:
            candidate["finishReason"] = finish
            usage |= {
                "candidatesTokenCount": answer.said,
                "totalTokenCount": answer.asked + answer.said,
            }
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": answer.model,
            "responseId": answer.id,
            "simulated": True,
        }

    def _message(self, role: str, content: object) -> Object:
        parts = content.get("parts") if isinstance(content, Mapping) else None
        texts = [p.get("text") for p in parts or () if isinstance(p, Mapping)]
        return {"role": role, "content": "\n".join(str(t) for t in texts if t)}
