"""The JSON schema of a rubric's verdict, and the reading of a reply that was held to it. Pure.

The judge writes one object: `explanation` first (reasons before numbers), then each dimension, then the
score; of two answers, one of the rubric's labels as `verdict`. Scores are listed (`enum`), since that
is what all providers enforce: not all of them know `minimum`. How a provider is told is its codec's
affair (`providers/`).

Reading. `figures` leaves the explanation out, so that nothing that is quoted in it can be taken for a
verdict, and the same parser reads the rest. A reply that is no such object (a provider that does not
enforce the schema) is read as ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from data import codec
from data.schema import Rubric

EXPLANATION, VERDICT = "explanation", "verdict"
LISTED = 100
"""Whole scores that are listed at most; a wider scale is given by its ends."""


def verdict_schema(rubric: Rubric, dimensions: Sequence[str]) -> dict[str, Any]:
    """An object with exactly these members, in this order."""
    members: dict[str, Any] = {EXPLANATION: {"type": "string"}}
    if rubric.pairwise:
        members[VERDICT] = {"type": "string", "enum": list(rubric.labels)}
    elif rubric.bracketed:
        marks = [f"[[{score}]]" for score in _whole(rubric)]
        members[rubric.score_key] = {"type": "string", "enum": marks}
    else:
        members |= {name: _score(rubric) for name in (*dimensions, rubric.score_key)}
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def figures(text: str) -> str:
    """The object in a reply without its explanation; the reply itself if it is no such object."""
    try:
        told = codec.decode(text.encode("utf-8", "replace"))
    except codec.Undecodable:
        return text
    if not isinstance(told, Mapping) or EXPLANATION not in told:
        return text
    rest = {name: value for name, value in told.items() if name != EXPLANATION}
    return codec.encode(rest).decode()


def _score(rubric: Rubric) -> dict[str, Any]:
    whole = _whole(rubric)
    if len(whole) > LISTED:
        return {"type": "integer", "minimum": whole[0], "maximum": whole[-1]}
    return {"type": "integer", "enum": list(whole)}


def _whole(rubric: Rubric) -> range:
    """The whole scores of the scale."""
    return range(math.ceil(rubric.low), math.floor(rubric.high) + 1)
