"""What an error reply means: a failure of some class of the error tree, or a provider's refusal. Pure.

    outcome_of(reply, rules)   -> CallError | Refused          for a reply that is no answer
    hidden_in(reply, rules)    -> CallError | Refused | None   for a 200 that may hold an error
    refused(refusal, reply)    -> Response                     the record of a refusal

`rules` is the provider's dialect, `rulebook("zhipu")`; left out, it is what all dialects have in common.
A codec that meets an error inside its own envelope says

    found = outcome_of(reply, rules)
    if isinstance(found, Refused): return refused(found, reply)
    raise found

Rules. The body is looked at first and the status second, since "no money", "too fast" and "too busy"
share a status, and some send errors inside HTTP 200. What each provider's codes and words mean is data
(`data/outcomes.toml`); nothing about a single provider stands here. A content filter's refusal is an
outcome: it is recorded, never retried and never scored.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from data.codec import replace
from data.errors import BadRequest, CallError, Overloaded, WrongAddress
from data.outcomes import CLASSES, REFUSED, rules_of
from data.schema import ErrorRule, Response, Struct
from data.text import printable
from providers.refusal import Refusal, read_refusal
from providers.retry_after import told_wait_s
from providers.wire import HttpReply

LAST_EVENTS = 3
EXCERPT = 200
"""Characters of a foreign body that an error message shows."""
CODES = frozenset(
    {"code", "type", "status", "error_code", "errorcode", "status_code", "statuscode", "error_type"}
    | {"errortype", "reason", "quotaid", "err_code", "limit_source", "blockreason"}
)
"""Members whose value names a kind of error, in small letters."""
FLAGS = frozenset({"input_sensitive", "output_sensitive", "need_clear_history", "flagged_input"})
"""Members that name one by being true, or by holding anything: `member=true`."""
NOTHING_LEFT = "quotavalue"
"""A limit, which names an error where it is 0; any other number of it is no code."""
_ID_HEADERS = ("x-request-id", "request-id", "x-generation-id")
_ID_MEMBERS = ("request_id", "id", "responseId")
_TELLING = ("code=", "error_code=", "status_code=", "statuscode=")
"""Members whose value is worth looking up, where no rule knows it."""
_NUMBERED = re.compile(r"[(\[](\d{4,6})[)\]]")
"""A code that stands in the words: "login fail (1004)", "[1302][Rate limit reached]"."""


class Refused(Struct, frozen=True):
    """A provider's filter stopped this request; `code` is its own name for that."""

    code: str
    message: str = ""


class Rulebook:
    """The rules of one dialect, ready to be applied."""

    def __init__(self, rules: tuple[ErrorRule, ...]) -> None:
        self._rules = [
            (rule, _globs(rule.code), re.compile(rule.says, re.IGNORECASE)) for rule in rules
        ]

    def first(self, codes: Mapping[str, str], words: str, status: int) -> tuple[str, str]:
        """(what it means, the code that said so); empty if no rule fits."""
        for rule, globs, says in self._rules:
            hit = next((code for key, code in codes.items() if globs and globs.match(key)), "")
            if globs and not hit:
                continue
            if (not rule.status or status in rule.status) and says.search(words):
                return rule.means, hit
        return "", ""


@cache
def rulebook(errors: str = "", own: tuple[ErrorRule, ...] = ()) -> Rulebook:
    """A dialect of `data/outcomes.toml` by its name, behind somebody's own rules."""
    return Rulebook((*own, *rules_of(errors)))


def outcome_of(reply: HttpReply, rules: Rulebook | None = None) -> CallError | Refused:
    """What a reply without an answer means; its status decides where no rule knows it."""
    found = _known(reply, rules or rulebook())
    return _by_status(reply) if found is None else found


def hidden_in(reply: HttpReply, rules: Rulebook | None = None) -> CallError | Refused | None:
    """The error inside a 2xx, as far as it is known for one; None: it holds none.

    In a stream it is looked for in the last events: what a model has said is never read as an error.
    """
    body = reply.body.strip()
    if not body.startswith((b"{", b"[")):
        events = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
        ends = [event for event in events[-LAST_EVENTS:] if event.startswith(b"{")]
        body = b"[" + b",".join(ends) + b"]"
    shown = replace(reply, body=body)
    found = _known(shown, rules or rulebook())
    if found is None and _status(shown, _codes(read_refusal(body))) != 200:
        return _by_status(shown)
    return found


def refused(refusal: Refused, reply: HttpReply) -> Response:
    """The record of a refusal: final, without a text. The usage is unknown, not zero."""
    return Response(
        text="",
        stop_reason="content_filter",
        refused_by="provider",
        refusal_code=printable(refusal.code, 80),
        request_id=request_id_of(reply, _top(read_refusal(reply.body))),
        latency_s=reply.latency_s,
    )


def request_id_of(reply: HttpReply, body: Mapping[str, Any]) -> str:
    """What a provider's support asks for: from a header, else from the body."""
    for name in _ID_HEADERS:
        if found := reply.headers.get(name):
            return found
    named = (body.get(name) for name in _ID_MEMBERS)
    return next((value for value in named if value and isinstance(value, str)), "")


# --- reading -----------------------------------------------------------------------------------


def _known(reply: HttpReply, rules: Rulebook) -> CallError | Refused | None:
    said = read_refusal(reply.body)
    codes = _codes(said)
    status = _status(reply, codes)
    words = said.text if said.objects or reply.status != 200 else ""
    means, code = rules.first(codes, words, status)
    if not means:
        return None
    if means == REFUSED:
        return Refused(code or f"HTTP {status}", _message(reply, said, code))
    return _error(CLASSES[means], reply, said, code)


def _by_status(reply: HttpReply) -> CallError:
    said = read_refusal(reply.body)
    codes = _codes(said)
    status = _status(reply, codes)
    kind: type[CallError] = Overloaded
    if 300 <= status < 400:
        kind = WrongAddress
    elif 400 <= status < 500:
        kind = BadRequest
    named = (value for key, value in codes.items() if key.startswith(_TELLING))
    return _error(kind, reply, said, next((v for v in named if v != str(status)), ""))


def _error(kind: type[CallError], reply: HttpReply, said: Refusal, code: str) -> CallError:
    return kind(
        _message(reply, said, code),
        status=reply.status,
        retry_after_s=told_wait_s(reply.headers, reply.body),
        request_id=request_id_of(reply, _top(said)),
    )


def _top(said: Refusal) -> Mapping[str, Any]:
    """The body itself, if it is an object."""
    return said.objects[0] if said.objects else {}


def _message(reply: HttpReply, said: Refusal, code: str) -> str:
    """The provider's words, with the code to look up if they do not name it themselves."""
    if 300 <= reply.status < 400:
        return "the address redirects elsewhere, which is never followed; check base_url"
    words = said.text if said.objects else reply.body[: 4 * EXCERPT].decode("utf-8", "replace")
    text = printable(words.strip().partition("\n")[0] or words.strip(), limit=EXCERPT)
    if code and code.lower() not in text.lower():
        return f"{text} [{printable(code, 60)}]" if text else f"error {printable(code, 60)}"
    return text or (
        printable(str(dict(said.objects[0])), EXCERPT) if said.objects else "an empty body"
    )


def _status(reply: HttpReply, codes: Mapping[str, str]) -> int:
    """An error inside 200 may carry the status it should have had."""
    if reply.status != 200:
        return reply.status
    named = (
        int(c) for k, c in codes.items() if k.startswith("code=") and re.fullmatch("[45]..", c)
    )
    return next(named, 200)


def _codes(said: Refusal) -> dict[str, str]:
    """Every code of the body: `code` and `member=code` in small letters -> the code as it is written."""
    found: dict[str, str] = {}
    for member, value in _named(said):
        found.setdefault(f"{member}={value}".lower(), value)
        found.setdefault(value.lower(), value)
    for number in _NUMBERED.findall(said.text):
        found.setdefault(number, number)
    return found


def _named(said: Refusal) -> Iterator[tuple[str, str]]:
    for fields in said.objects:
        for name, value in fields.items():
            member = str(name).lower()
            if member in CODES and _is_code(value):
                yield member, str(value)
            elif member in FLAGS and value:
                yield member, "true"
            elif member == NOTHING_LEFT and value in ("0", 0):
                yield member, "0"


def _is_code(value: Any) -> bool:
    """A short string, or a number that is not the "all well" of so many envelopes."""
    if isinstance(value, str):
        return 0 < len(value) <= 120
    return isinstance(value, int) and not isinstance(value, bool) and value != 0


def _globs(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))
