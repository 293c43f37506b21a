"""The OpenAI chat-completions dialect, spoken by most providers. Pure: bytes in, bytes out.

Source: the API reference of POST /chat/completions (request, response and error objects).
A reply is classified by its body first and its status second, since several providers send errors
inside HTTP 200 and say "no money" with status 429.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.codec import Undecodable, decode, encode
from data.errors import (
    BadReply,
    BadRequest,
    CallError,
    ContextTooLong,
    OutOfQuota,
    Overloaded,
    RateLimited,
    Unauthorized,
    UnknownModel,
    WrongAddress,
)
from data.schema import Request, Response, StopReason, Usage
from data.text import printable
from providers.retry_after import told_wait_s
from providers.wire import HttpReply, HttpRequest

STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}
BROKEN_OFF = frozenset({"insufficient_system_resource", "network_error", "error"})
"""Finish reasons of a reply that its provider could not complete: no answer, whatever it holds."""
CODES: Mapping[str, type[CallError]] = {
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "insufficient_quota": OutOfQuota,
    "credit_balance_exhausted": OutOfQuota,
    "exceeded_current_quota_error": OutOfQuota,
    "arrearage": OutOfQuota,
    "accountoverdueerror": OutOfQuota,
    "quotaexceeded": OutOfQuota,
    "invalid_api_key": Unauthorized,
    "authentication_error": Unauthorized,
    "model_not_found": UnknownModel,
    "rate_limit_exceeded": RateLimited,
    # Zhipu's numbers, several of which come with status 429
    "1112": Unauthorized,
    "1121": Unauthorized,
    "1113": OutOfQuota,
    "1304": OutOfQuota,
    "1308": OutOfQuota,
    "1310": OutOfQuota,
    "1211": UnknownModel,
    "1261": ContextTooLong,
}
"""`error.code` or `error.type` of a body in small letters; they win over the status."""
STATUSES: Mapping[int, type[CallError]] = {
    401: Unauthorized,
    402: OutOfQuota,
    403: Unauthorized,
    408: Overloaded,
    409: Overloaded,
    413: ContextTooLong,
    429: RateLimited,
}
REFUSALS = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "data_inspection_failed",
        "datainspectionfailed",
        "1301",
    }
)
SENSITIVE = "sensitivecontentdetected"
"""Part of all such codes of one provider (Ark): Input…, Output…, ….SevereViolation."""
EXCERPT = 200
"""Characters of a foreign body that an error message shows."""


class OpenAIChat:
    """Codec of POST {base_url}/chat/completions without streaming."""

    path = "/chat/completions"

    def encode(self, request: Request) -> HttpRequest:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        for name in ("temperature", "max_tokens", "seed"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        body.update(request.parameters)
        return HttpRequest(self.path, encode(body))

    def authorize(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def decode(self, reply: HttpReply) -> Response:
        body = _json_object(reply)
        error = body.get("error") if body else None
        if error or reply.status != 200:
            return _refusal_or_raise(reply, error or body)  # some leave the envelope out
        return _answer(body or {}, reply)


def _json_object(reply: HttpReply) -> dict[str, Any] | None:
    """The body as an object; None for an error page. A 200 that is no object is a BadReply."""
    try:
        body = decode(reply.body.strip())
    except Undecodable:
        body = None
    if isinstance(body, dict):
        return body
    if reply.status == 200:
        raise BadReply(f"not a JSON object: {_excerpt(reply)}", status=200)
    return None


def _answer(body: Mapping[str, Any], reply: HttpReply) -> Response:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise BadReply(f"no choice in the reply: {_excerpt(reply)}", status=200)
    reason = str(choice.get("finish_reason") or "stop")
    if reason in BROKEN_OFF:
        raise Overloaded(f"the provider broke off its answer ({reason})", status=200)
    stop = STOP_REASONS.get(reason, "other")
    text = _text(message.get("content"))
    refusal = _text(message.get("refusal"))
    if refusal and not text:
        text, stop = refusal, "content_filter"
    if not text and stop not in ("length", "content_filter"):
        raise BadReply(f"an empty answer: {_excerpt(reply)}", status=200)
    return Response(
        text=text,
        stop_reason=stop,
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        usage=_usage(body.get("usage")),
        served_model=_text(body.get("model")),
        fingerprint=_text(body.get("system_fingerprint")),
        request_id=_request_id(reply, body),
        latency_s=reply.latency_s,
        ttft_s=reply.ttft_s,
        simulated=body.get("simulated") is True,
    )


def _usage(raw: object) -> Usage | None:
    """prompt_tokens includes cached ones and completion_tokens reasoning ones, as in our own meaning."""
    if not isinstance(raw, dict):
        return None
    given = _count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens"))
    if None in given:
        return None
    prompt, completion = given[0] or 0, given[1] or 0
    cached = _count(_nested(raw, "prompt_tokens_details", "cached_tokens")) or 0
    reasoning = _count(_nested(raw, "completion_tokens_details", "reasoning_tokens")) or 0
    return Usage(prompt, completion, min(cached, prompt), min(reasoning, completion))


def _count(value: object) -> int | None:
    """A believable token count."""
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000_000
    return value if sane else None  # type: ignore[return-value]


def _nested(raw: Mapping[str, Any], outer: str, inner: str) -> object:
    details = raw.get(outer)
    return details.get(inner) if isinstance(details, dict) else None


def _refusal_or_raise(reply: HttpReply, error: object) -> Response:
    """A content filter's refusal is an outcome; everything else is an error of its class."""
    fields = error if isinstance(error, dict) else {}
    code, kind = (str(fields.get(name) or "").lower() for name in ("code", "type"))
    request_id = _request_id(reply, {})
    if not REFUSALS.isdisjoint({code, kind}) or SENSITIVE in code or reply.status == 451:
        return Response(
            text="",
            stop_reason="content_filter",
            request_id=request_id,
            latency_s=reply.latency_s,
        )
    message = fields.get("message") or (error if isinstance(error, str) else None)
    raise _error_class(reply.status, code, kind, str(message))(
        printable(str(message), limit=EXCERPT) if message else _excerpt(reply),
        status=reply.status,
        retry_after_s=told_wait_s(reply.headers, str(message or "")[:1000]),
        request_id=request_id,
    )


def _error_class(status: int, code: str, kind: str, message: str) -> type[CallError]:
    if status == 200 and code.isdecimal() and len(code) == 3:
        status = int(code)  # an error inside 200 may carry the status it should have had
    known = CODES.get(code) or CODES.get(kind) or STATUSES.get(status)
    if known:
        return known
    if status == 404 and "model" in f"{kind} {code} {message}".lower():
        return UnknownModel
    if status in (404, 405) or 300 <= status < 400:
        return WrongAddress
    if 400 <= status < 500:
        return BadRequest
    return Overloaded


def _request_id(reply: HttpReply, body: Mapping[str, Any]) -> str:
    return reply.headers.get("x-request-id") or _text(body.get("id"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _excerpt(reply: HttpReply) -> str:
    if 300 <= reply.status < 400:
        return "the address redirects elsewhere, which is never followed; check base_url"
    text = reply.body[: 4 * EXCERPT].decode("utf-8", errors="replace")
    return printable(text, limit=EXCERPT) or "an empty body"
