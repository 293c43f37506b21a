"""Journal lines without their texts."""

from __future__ import annotations

from typing import Any

import pytest

from cache.journal import seal
from data.codec import Undecodable, plain
from data.outline import decode_outline
from data.schema import (
    Answer,
    Failure,
    Intent,
    Judgment,
    Record,
    Response,
    Synced,
    Trial,
    Usage,
    Verdict,
)

ANSWER = Trial(kind="answer", question_id=1, candidates=(("m", 0),))
JUDGMENT = Trial(kind="judgment", question_id=1, candidates=(("m", 0),), judge="j", rubric="r")
SAID = Response(
    text="很长" * 100,
    reasoning="想" * 100,
    usage=Usage(3, 4),
    raw_usage={"prompt_tokens": 3},
    simulated=True,
    stop_reason="length",
)
RECORDS: list[Record] = [
    Answer(trial=ANSWER, response=SAID, state="truncated", origin="a file"),
    Judgment(trial=JUDGMENT, asks=(SAID, SAID), verdict=Verdict(7.0, {"x": 7.0}), compat=7.0),
    Failure(trial=JUDGMENT, error="Overloaded", message="busy", asks=(SAID,)),
    Intent(1, ANSWER, "a", 2.0, reserve=5),
    Synced(7),
]


def silent(value: Any) -> Any:
    """Plain data without what an outline leaves out."""
    if isinstance(value, dict):
        left_out = {"text", "reasoning", "raw_usage"}
        return {key: silent(each) for key, each in value.items() if key not in left_out}
    return [silent(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_an_outline_is_the_record_without_its_texts(record: Record) -> None:
    """All else that the line says is there, and it is of the record's own type."""
    outline = decode_outline(seal(record))
    assert isinstance(outline, type(record))
    assert silent(plain(outline)) == silent(plain(record))
    assert "很长" not in str(outline)


def test_an_outline_has_the_defaults_of_what_it_leaves_out() -> None:
    """Who looks at a text all the same sees none, and not an error."""
    outline = decode_outline(seal(RECORDS[0]))
    assert isinstance(outline, Answer)
    assert (outline.response.text, outline.response.state) == ("", "truncated")


def test_what_is_no_record_is_no_outline_either() -> None:
    """A kind that nobody knows."""
    with pytest.raises(Undecodable):
        decode_outline(b'{"kind":"poem","lines":14}')
