"""The bytes of a question file as Questions, or everything that is wrong with them.

One JSON object a line; blank lines, a BOM and CRLF are accepted. Members (any others are ignored,
since published files carry odd ones):

    question_id or id      an integer or a text; all differ, also as text (1 and "1" are one name)
    category               a text; left out: 全部
    subcategory            a text; left out: empty
    question or turns      a text, or a list of texts: what the user says, turn by turn
    reference              a text, or a list with one text per turn ("" or null where there is none)
    evidences              a list of {url, quote}; null, [] or left out: none

Pure: bytes in, records out. Texts are kept to the last blank.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data import codec
from data.errors import DataError
from data.schema import Evidence, Question, QuestionId
from data.text import printable

CATEGORY = "全部"
"""For rows that name none."""
SHOWN = 10
"""Faults that are spelt out; the rest is counted."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CONVERT = "convert it first, for example: iconv -f GB18030 -t UTF-8"


class _Fault(Exception):
    """What is wrong with one line."""


def parse(data: bytes, *, path: str) -> tuple[Question, ...]:
    """All questions in file order. `path` is only for messages.

    Raises one DataError with every faulty line.
    """
    _refuse_foreign(data, path)
    questions: list[Question] = []
    faults: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for number, line in _lines(data):
        try:
            question = _question(_row(line))
            first = seen.setdefault(str(question.id), number)
            if first != number:
                raise _Fault(f"question_id {_told(question.id)} stands on line {first} already")
        except _Fault as fault:
            faults.append((number, str(fault)))
        else:
            questions.append(question)
    if faults:
        raise _all(faults, path)
    if not questions:
        raise DataError("this file holds no question", path=path)
    return tuple(questions)


def _refuse_foreign(data: bytes, path: str) -> None:
    """Files that are something else as a whole deserve one sentence, not one a line."""
    if data.startswith(_UTF16):
        raise DataError(
            "this is UTF-16, not UTF-8", path=path, how="convert it first: iconv -f UTF-16 -t UTF-8"
        )
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        raise DataError(
            "this is one JSON array; JSONL has one object a line",
            path=path,
            line=1,
            how="convert it, for example: jq -c '.[]' questions.json > questions.jsonl",
        )
    if start.split(b"\n", 1)[0].strip() == b"{":
        raise DataError(
            "a JSON object over several lines; JSONL has one object a line",
            path=path,
            line=1,
            how="convert it, for example: jq -c . questions.json > questions.jsonl",
        )


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines and their number from 1, cut at \\n only (U+2028 may stand inside a text)."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        text = line.strip(b" \t\r")
        if text:
            yield number, text


def _row(line: bytes) -> dict[str, Any]:
    if b"\x00" in line:
        raise _Fault("a NUL byte; this is no text file")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise _Fault("cut in the middle of a character; is the file whole?") from None
        raise _Fault(f"not UTF-8 at byte {error.start} of the line ({_CONVERT})") from None
    try:
        row = codec.decode(line)
    except codec.Undecodable as error:
        raise _Fault(f"not one JSON object ({printable(str(error), 120)})") from None
    if not isinstance(row, dict):
        raise _Fault(f"{_kind(row)}, not a JSON object")
    return row


def _question(row: dict[str, Any]) -> Question:
    turns = _turns(row)
    return Question(
        id=_id(row),
        category=_text(row, "category", CATEGORY),
        subcategory=_text(row, "subcategory", ""),
        turns=turns,
        references=_references(row, len(turns)),
        evidences=_evidences(row),
    )


def _id(row: dict[str, Any]) -> QuestionId:
    key = "question_id" if row.get("question_id") is not None else "id"
    value = row.get(key)
    if value is None:
        raise _Fault(f"no question_id (members here: {_members(row)})")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _Fault(f"{key} is {_kind(value)}, not an integer or a text")
    if isinstance(value, str) and not value.strip():
        raise _Fault(f"{key} is empty")
    return value


def _text(row: dict[str, Any], key: str, absent: str) -> str:
    value = row.get(key)
    if value is None:
        return absent
    if not isinstance(value, str):
        raise _Fault(f"{key} is {_kind(value)}, not a text")
    if absent and not value.strip():
        raise _Fault(f"{key} is empty; leave it out if there is none")
    return value


def _turns(row: dict[str, Any]) -> tuple[str, ...]:
    if row.get("question") is not None and row.get("turns") is not None:
        raise _Fault("both question and turns; keep one")
    key = "turns" if row.get("turns") is not None else "question"
    value = row.get(key)
    if value is None:
        raise _Fault(f"no question (members here: {_members(row)})")
    turns = [value] if isinstance(value, str) else value
    if not isinstance(turns, list):
        raise _Fault(f"{key} is {_kind(value)}, not a text or a list of texts")
    for turn in turns:
        if not isinstance(turn, str):
            raise _Fault(f"{key} holds {_kind(turn)}, not only texts")
    if not turns or not all(turn.strip() for turn in turns):
        raise _Fault(f"{key} is empty")
    return tuple(turns)


def _references(row: dict[str, Any], turns: int) -> tuple[str, ...]:
    value = row.get("reference")
    if value is None:
        return ()
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(r is None or isinstance(r, str) for r in given):
        raise _Fault("reference is not a text or a list of texts")
    references = tuple(reference or "" for reference in given)
    if not any(reference.strip() for reference in references):
        return ()
    if len(references) != turns:
        raise _Fault(
            f"turns: {turns}, references: {len(references)}; give one per turn, null for none"
        )
    return references


def _evidences(row: dict[str, Any]) -> tuple[Evidence, ...] | None:
    value = row.get("evidences")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Fault("evidences is not a list of {url, quote}")
    return tuple(Evidence(_text(item, "url", ""), _text(item, "quote", "")) for item in value)


def _all(faults: list[tuple[int, str]], path: str) -> DataError:
    line, reason = faults[0]
    if len(faults) == 1:
        return DataError(reason, path=path, line=line)
    told = [f"line {number}: {text}" for number, text in faults[:SHOWN]]
    if len(faults) > SHOWN:
        told.append(f"and {len(faults) - SHOWN} more")
    listed = "\n  ".join([f"{len(faults)} lines cannot be read", *told])
    return DataError(listed, path=path, line=line)


def _members(row: dict[str, Any]) -> str:
    return printable(", ".join(row), 80) or "none"


def _told(value: QuestionId) -> str:
    return printable(str(value), 60)


def _kind(value: object) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")
