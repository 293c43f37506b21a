"""Gemini's generateContent as its server speaks it, for the simulator. Pure.

Source: the API reference of models.generateContent and models.streamGenerateContent; google.rpc.Status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from providers.simspeech import Completion, Events, Object, Trouble, request


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
            "message": "Your prepayment credits are depleted (simulated)."
            if trouble.unpaid
            else trouble.message,
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
