"""Journal lines without what models said: all that resuming and scoring need, at half the cost.

Most of a line is text. These are the records of `data/schema.py`, told apart by the same words; only
the decoder passes over texts and a provider's own figures, which keep their defaults. So an outline is
read and counted, and never shown, sent or written.
"""

from __future__ import annotations

from typing import Any

from data import codec
from data.schema import (
    Amended,
    Answer,
    Failure,
    Header,
    Intent,
    Judgment,
    Limit,
    Record,
    Response,
    Settled,
    Synced,
)


def _passed_over(name: str) -> str:
    """A name that no line has, so that the field keeps its default."""
    return f"({name})"


class Silent(Response, frozen=True, kw_only=True, omit_defaults=True, rename=_passed_over):
    """A response without its texts; the fields named here are not read."""

    text: str = ""
    reasoning: str = ""
    raw_usage: dict[str, Any] = {}


class AnswerOutline(Answer, frozen=True, kw_only=True, tag="answer", tag_field="kind"):
    response: Silent


class JudgmentOutline(Judgment, frozen=True, kw_only=True, tag="judgment", tag_field="kind"):
    asks: tuple[Silent, ...]


class FailureOutline(Failure, frozen=True, kw_only=True, tag="failure", tag_field="kind"):
    asks: tuple[Silent, ...] = ()


Outline = (
    Header
    | Intent
    | Settled
    | AnswerOutline
    | JudgmentOutline
    | FailureOutline
    | Amended
    | Synced
    | Limit
)
_outlines = codec.decoder(Outline)


def decode_outline(line: bytes) -> Record:
    """A journal line as its outline. Raises Undecodable."""
    record: Record = codec.decode_as(line, Outline, _outlines)
    return record
