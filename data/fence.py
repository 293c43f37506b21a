"""Delimiters around a candidate's text that the text cannot contain.

They derive from what is judged, so equal requests have equal bytes (and hit the cache), and no
answer can be written that holds its own delimiter: the hash would have to be known before the
answer is. Should the tag occur all the same, a longer one is derived until it does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import count

from data import codec

DIGITS = 12
"""Hex digits of a tag to begin with: 48 bits."""
OPENING = "[回答开始 {tag}]"
CLOSING = "[回答结束 {tag}]"


def fence(seed: int, texts: Iterable[str], *, digits: int = DIGITS) -> tuple[str, str]:
    """(opening, closing) whose tag occurs in none of `texts`; equal input gives equal output."""
    return _fence(seed, tuple(texts), digits)


@lru_cache(maxsize=8)  # several judges of one answer come one after the other
def _fence(seed: int, texts: tuple[str, ...], digits: int) -> tuple[str, str]:
    material = list(texts)
    for attempt in count():
        tag = _tag([seed, material, attempt], digits + attempt)
        if not any(tag in text for text in material):
            break
    return OPENING.format(tag=tag), CLOSING.format(tag=tag)


def _tag(value: list[object], digits: int) -> str:
    """The first hex digits of an endless hash: sha256 of the value and 0, the value and 1, …"""
    blocks = (codec.sha256(codec.canonical([value, n])) for n in range(digits // 64 + 1))
    return "".join(blocks)[:digits]
