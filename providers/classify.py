"""What an error object means: which class of our own, or a content filter's refusal. Pure.

Every dialect lays its error object bare and asks here: `{"code", "type", "message"}` (OpenAI and those
who speak like it), `{"type", "message"}` (Anthropic), `{"code", "status", "message", "details"}` (Gemini).
The body decides first and the status second, since several providers send errors inside HTTP 200 and say
"no money" with status 429 or 400.

Sources: the error pages of OpenAI, Anthropic (api/errors), Gemini (google.rpc.Code and the details
QuotaFailure and ErrorInfo) and OpenRouter (api/errors); Zhipu's code list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data.errors import (
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
from providers.refusal import read_refusal

CODES: Mapping[str, type[CallError]] = {
    # OpenAI and its kin
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
    "server_error": Overloaded,
    "server_is_overloaded": Overloaded,
    # Anthropic
    "billing_error": OutOfQuota,
    "permission_error": Unauthorized,
    "rate_limit_error": RateLimited,
    "overloaded_error": Overloaded,
    "api_error": Overloaded,
    "timeout_error": Overloaded,
    "request_too_large": ContextTooLong,
    # Gemini
    "unauthenticated": Unauthorized,
    "permission_denied": Unauthorized,
    "failed_precondition": Unauthorized,  # no billing, or not from this country
    "resource_exhausted": RateLimited,
    "unavailable": Overloaded,
    "internal": Overloaded,
    "deadline_exceeded": Overloaded,
    "aborted": Overloaded,
    "cancelled": Overloaded,
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
"""`code`, `type` or `status` of an error object in small letters; they win over the HTTP status."""
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
        "bio_policy",
        "misalignment_policy_violation",
        "1301",
    }
)
SENSITIVE = "sensitivecontentdetected"
"""Part of all such codes of one provider (Ark): Input…, Output…, ….SevereViolation."""
WORDS: tuple[tuple[re.Pattern[str], type[CallError]], ...] = (
    (re.compile(r"credit balance is too low"), OutOfQuota),
    (
        re.compile(
            r"prompt is too long|maximum context length|exceeds? the maximum number of tokens"
            r"|exceeds? the available context|input is too long"
        ),
        ContextTooLong,
    ),
    (re.compile(r"api key not valid|api_key_invalid|api key expired"), Unauthorized),
)
"""Where only the words tell, in a reply with status 400: no money (Anthropic), too long (Anthropic,
Gemini, vLLM), a wrong key (Gemini)."""
MODERATED = frozenset({"flagged_input", "reasons"})
"""Members of OpenRouter's `metadata` when a moderator stopped the request."""
IN_FLIGHT = "openrouter_in_flight_budget"


def classify(status: int, error: Mapping[str, Any]) -> type[CallError] | None:
    """The class of an error object that came with this status; None: a content filter refused."""
    names = [str(error.get(name) or "").lower() for name in ("code", "type", "status")]
    words = str(error.get("message") or "").lower()[:4000]
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if _filtered(status, names, words, metadata):
        return None
    if metadata.get("limit_source") == IN_FLIGHT:
        return RateLimited  # not the account's money: what is on its way must come back first
    if status == 200 and names[0].isdecimal() and len(names[0]) == 3:
        status = int(names[0])  # an error inside 200 may carry the status it should have had
    known = next((CODES[name] for name in names if name in CODES), None)
    if known is RateLimited and "resource_exhausted" in names and _for_today(error):
        return OutOfQuota
    if known is None and status in (200, 400, 413):
        known = next((kind for pattern, kind in WORDS if pattern.search(words)), None)
    return known or STATUSES.get(status) or _by_status(status, " ".join(names), words)


def _filtered(status: int, names: list[str], words: str, metadata: Mapping[str, Any]) -> bool:
    """Did a content filter stop it?"""
    return (
        not REFUSALS.isdisjoint(names)
        or SENSITIVE in names[0]
        or status == 451
        or (names[0] == "invalid_prompt" and "usage policy" in words)
        or (status in (200, 403) and not MODERATED.isdisjoint(metadata))
    )


def _by_status(status: int, names: str, words: str) -> type[CallError]:
    if (status == 404 or "not_found" in names) and "model" in f"{names} {words}":
        return UnknownModel
    if status in (404, 405) or 300 <= status < 400:
        return WrongAddress
    if 400 <= status < 500 or (status == 200 and "invalid" in names):
        return BadRequest
    return Overloaded


def _for_today(error: Mapping[str, Any]) -> bool:
    """Is a quota of Gemini used up for the day (whatever `retryDelay` says), or was there never any?"""
    said = read_refusal(error)
    return "limit: 0," in said.text or any(
        "perday" in str(part.get("quotaId", "")).lower() or part.get("quotaValue") in ("0", 0)
        for part in said.objects
    )
