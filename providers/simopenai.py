"""OpenAI's two APIs as their server speaks them, for the simulator. Pure.

Source: the API reference of POST /chat/completions and POST /responses, with their streaming events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from providers.simspeech import Completion, Events, Object, Trouble, request


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
