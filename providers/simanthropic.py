"""Anthropic's Messages as their server speaks them, for the simulator. Pure.

Source: the API reference of POST /v1/messages, "Streaming messages" and "Errors".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from providers.simspeech import Completion, Events, Object, Trouble, request


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
        kind, message = self.kinds.get(trouble.status, "api_error"), trouble.message
        if trouble.unpaid:
            kind, message = "invalid_request_error", "Your credit balance is too low (simulated)"
        return {"type": "error", "error": {"type": kind, "message": message}}

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
