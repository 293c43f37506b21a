"""What a refusing reply says in its body, laid flat for those who look for a number in it. Pure.

A provider's own words stand under a few names (`message`, `msg`, `detail`, ...); nothing else of the
body is read as prose, since some servers echo the prompt. A gateway often wraps the upstream's JSON
into such a string, so a string that is an object is opened too. All of it is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from data.codec import Undecodable, decode
from data.schema import Struct

Body: TypeAlias = bytes | str | Mapping[str, Any] | list[Any] | None

LONGEST_BODY: Final = 65_536
"""Bytes. A longer body is no error message; only its beginning is looked at, as text."""
LONGEST_TEXT: Final = 4_000
DEEPEST: Final = 8
MOST_VALUES: Final = 500
SPOKEN: Final = frozenset(
    {"message", "msg", "error", "error_msg", "errmsg", "detail", "description", "raw", "status_msg"}
)
"""Members whose strings are the provider's own words."""


class Refusal(Struct, frozen=True):
    """`text`: the words, one a line. `objects`: every JSON object in the body, outermost first."""

    text: str
    objects: tuple[Mapping[str, Any], ...] = ()


def read_refusal(body: Body) -> Refusal:
    """Lay a body flat: bytes or text as received, or a value that was decoded already."""
    words: list[str] = []
    objects: list[Mapping[str, Any]] = []
    left = MOST_VALUES
    for key, value, _ in _values("message", _decoded(body), DEEPEST):
        left -= 1
        if left < 0:
            break
        if isinstance(value, Mapping):
            objects.append(value)
        elif isinstance(value, str) and key.lower() in SPOKEN:
            words.append(value[:LONGEST_TEXT])
    return Refusal("\n".join(words)[:LONGEST_TEXT], tuple(objects))


def _decoded(body: Body) -> Any:
    """A JSON value if these bytes are one, else their beginning as text."""
    if not isinstance(body, bytes | str):
        return body
    if len(body) <= LONGEST_BODY:
        try:
            return decode(body if isinstance(body, bytes) else body.encode("utf-8", "replace"))
        except Undecodable:
            pass
    start = body[: 4 * LONGEST_TEXT]
    return start.decode("utf-8", "replace") if isinstance(start, bytes) else start


def _values(key: str, value: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
    """Every value with the name it stands under; members of a list stand under the list's name."""
    if isinstance(value, str) and key.lower() in SPOKEN and value.lstrip()[:1] in ("{", "["):
        opened = _decoded(value)
        if not isinstance(opened, str):
            value = opened
    yield key, value, depth
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values(str(name), inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(key, inner, depth - 1)
