"""The way from a reply to a Response, as far as it is the same in every dialect. Pure.

A reply is opened (JSON, or a stream whose chunks are folded into the object that the same API gives
without streaming), an error in it is told from an answer, and what the dialect has read is completed:
thinking in `<think>` tags is set apart, times are looked up, and a 200 that holds no answer is refused.

Rules. An error object wins over everything else in a body, whatever the status and wherever in a stream
it stands. A stream is whole when its stop reason has come; whatever else it holds, without one it is
cut, and that is a failure, never an answer. What a server says is cut and escaped before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from data.codec import Undecodable, decode, encode, replace
from data.errors import BadReply, CallError, TransportError
from data.schema import Response, Struct
from data.text import printable
from providers.outcomes import Refused, Rulebook, outcome_of, refused, request_id_of
from providers.sse import DONE, Channel, Event, arrival_s, events, is_stream
from providers.usage import Counted
from providers.wire import HttpReply

EXCERPT = 200
"""Characters of a foreign body that an error message shows."""
OPENING, CLOSING = "<think>", "</think>"


class Whole(Struct, frozen=True):
    """A reply as one object. Of a stream also the channels: what was said, and what was thought."""

    body: Mapping[str, Any]
    said: Channel | None = None
    thought: Channel | None = None


Chunks: TypeAlias = Iterator[tuple[Mapping[str, Any], int]]
"""The objects of a stream, each with the offset at which it had arrived."""
Fold: TypeAlias = Callable[[Chunks], Whole]
Answer: TypeAlias = Callable[[Mapping[str, Any], HttpReply], Response]


class Dialect(Struct, frozen=True):
    """What is particular about one API's replies."""

    fold: Fold
    """One object of a stream, as the same API gives it without streaming."""
    answer: Answer
    """Reads such an object. Raises CallError."""
    count: Callable[[Mapping[str, Any]], Counted]
    """The tokens that such an object tells."""
    rules: Rulebook
    """What its errors mean, where the provider has no rules of its own."""


def read(reply: HttpReply, dialect: Dialect) -> Response:
    """The answer in a reply. Raises CallError, with the usage if a reply of no use tells one."""
    whole = _opened(reply, dialect.fold)
    error = error_in(whole.body)
    try:
        if error is not None or reply.status != 200:
            error = whole.body if error is None else error
            return _refusal_or_raise(reply, whole.body, error, dialect.rules)
        return _completed(dialect.answer(whole.body, reply), reply, whole)
    except CallError as found:
        found.usage = dialect.count(whole.body).usage
        raise


def error_in(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error object of a body, whatever its status says; None: there is none.

    Besides `error` (an object, or plain words) that is MiniMax's `base_resp` and Baidu's `error_code`.
    """
    error = body.get("error")
    if error:
        return error if isinstance(error, dict) else {"message": error}
    base = body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return {"code": base["status_code"], "message": base.get("status_msg")}
    if body.get("error_code"):
        return {"code": body["error_code"], "message": body.get("error_msg")}
    return None


def cut_off(said: Channel) -> TransportError:
    """What a fold raises for a stream without its end."""
    return TransportError(
        f"the stream ended before its end, {len(said.text)} characters into the answer", status=200
    )


def text_of(value: object) -> str:
    """The text, or an empty one for what is none."""
    return value if isinstance(value, str) else ""


def object_of(value: object) -> Mapping[str, Any]:
    """The object, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def objects_in(value: object) -> list[Mapping[str, Any]]:
    """The objects of an array, or none for what is none."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def excerpt(reply: HttpReply) -> str:
    """The beginning of a body, as one safe line."""
    if 300 <= reply.status < 400:
        return "the address redirects elsewhere, which is never followed; check base_url"
    text = reply.body[: 4 * EXCERPT].decode("utf-8", errors="replace")
    return printable(text, limit=EXCERPT) or "an empty body"


# --- opening -----------------------------------------------------------------------------------


class _ErrorInStream(Exception):
    """Carries the object in which an error stood."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body


def _opened(reply: HttpReply, fold: Fold) -> Whole:
    """The reply as one object; an error page is an empty one. A 200 that is no object is a BadReply."""
    if is_stream(reply):
        try:
            return fold(_chunks(reply.body))
        except _ErrorInStream as found:
            return Whole(found.body)
        except (BadReply, TransportError):
            if reply.status == 200:
                raise
            return Whole({})
    try:
        body = decode(reply.body.strip())
    except Undecodable:
        body = None
    if isinstance(body, list) and len(body) == 1:
        body = body[0]  # Google sends errors so
    if isinstance(body, dict):
        return Whole(body)
    if reply.status == 200:
        raise BadReply(f"not a JSON object: {excerpt(reply)}", status=200)
    return Whole({})


def _chunks(body: bytes) -> Chunks:
    for event in events(body):
        if event.data.strip() == DONE:
            continue
        chunk = _chunk(event, len(body))
        if chunk is None:
            return
        if error_in(chunk) is not None:
            raise _ErrorInStream(chunk)
        if event.name == "error" or chunk.get("type") == "error":
            raise _ErrorInStream({"error": chunk or "an error event that says nothing"})
        yield chunk, event.end


def _chunk(event: Event, size: int) -> Mapping[str, Any] | None:
    """The event's object; None: the body was cut within it."""
    try:
        return object_of(decode(event.data))
    except Undecodable:
        if event.end == size:
            return None
        shown = printable(event.data[: 4 * EXCERPT].decode("utf-8", "replace"), limit=EXCERPT)
        raise BadReply(f"a chunk that is no JSON: {shown}", status=200) from None


# --- errors ------------------------------------------------------------------------------------


def _refusal_or_raise(
    reply: HttpReply, body: Mapping[str, Any], error: Mapping[str, Any], rules: Rulebook
) -> Response:
    """A content filter's refusal is an outcome; everything else is an error of its class."""
    inner = reply if error is body else replace(reply, body=encode(error))
    found, request_id = outcome_of(inner, rules), request_id_of(reply, body)
    if isinstance(found, Refused):
        return replace(refused(found, reply), request_id=request_id)
    found.request_id = request_id
    raise found


# --- completing --------------------------------------------------------------------------------


def _completed(found: Response, reply: HttpReply, whole: Whole) -> Response:
    """With thinking set apart and all that is known of the exchange. Raises BadReply for no answer."""
    text, reasoning, stop, flags = found.text, found.reasoning, found.stop_reason, found.flags
    start = 0
    if OPENING in text[:256] and text.lstrip().startswith(OPENING):
        thinking, text, start = _set_apart(text)
        reasoning = "\n".join(filter(None, (reasoning, thinking)))
        if start < 0 and stop != "content_filter":
            stop = "length"
        if CLOSING in text:
            flags = (*flags, f"several {CLOSING}: read up to the first")
    if not text and stop not in ("length", "content_filter"):
        raise BadReply(f"an empty answer: {excerpt(reply)}", status=200)
    return replace(
        found,
        text=text,
        reasoning=reasoning,
        stop_reason=stop,
        flags=flags,
        request_id=found.request_id or request_id_of(reply, whole.body),
        latency_s=reply.latency_s,
        simulated=whole.body.get("simulated") is True,
        **_times(reply, whole, start),
    )


def _set_apart(text: str) -> tuple[str, str, int]:
    """(thinking, answer, where the answer begins) of a text that begins with `<think>`.

    A thought that never ends leaves no answer, which begins at -1.
    """
    begin = text.index(OPENING) + len(OPENING)
    end = text.find(CLOSING, begin)
    if end < 0:
        return text[begin:].strip(), "", -1
    answer = text[end + len(CLOSING) :].lstrip()
    return text[begin:end].strip(), answer, len(text) - len(answer)


def _times(reply: HttpReply, whole: Whole, start: int) -> dict[str, float | None]:
    """When the first token came, the answer's first, and the last; `start` is the answer's beginning."""
    said, thought = whole.said, whole.thought
    if said is None or thought is None or not reply.marks:
        return {}
    firsts = [end for end in (said.first, thought.first) if end is not None]
    lasts = [end for end in (said.last, thought.last) if end is not None]
    return {
        "ttft_s": arrival_s(reply, min(firsts, default=None)),
        "ttfa_s": arrival_s(reply, said.end_of(start) if start >= 0 else None),
        "last_token_s": arrival_s(reply, max(lasts, default=None)),
    }
