"""What people said about answers: scores of single ones, or labels of pairs. From CSV or JSONL.

Four kinds of rows are recognised by their members; any further member is ignored.

    ours, scores    question_id, model, score     [annotator, sample, turn, category, response]
    ours, pairs     question_id, model_a, model_b, label
                                     [annotator, sample, turn, category, response_a, response_b]
                    label is `a`, `b` or `tie`
    CritiqueLLM's   question, response, model, human_score                       [id, category]
    CritiqueLLM's   question, response_1, response_2, label                      [id, category]
                    label is 0 (the first is better), 1 (the second) or 2 (as good)

CritiqueLLM's files (thu-coai/CritiqueLLM, data/evaluation) name no question: the question's exact
text stands for it. Their rows come out in the order of `id`, as upstream's scripts sort them.

A file holds one kind. It is JSONL if it begins with `{`, else CSV with a head line (a comma, a
semicolon or a tab between cells). Nothing is guessed or left out: the first bad row is a DataError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from data import codec
from data.csvrows import csv_rows
from data.errors import DataError
from data.schema import Struct
from data.text import printable

Label = Literal[0, 1, 2]
"""Which of two is better: the first, the second, neither."""
FIRST: Literal[0] = 0
SECOND: Literal[1] = 1
TIE: Literal[2] = 2
_OWN_LABELS: dict[str, Label] = {"a": 0, "b": 1, "tie": 2}
_CRITIQUE_LABELS: dict[str, Label] = {"0": 0, "1": 1, "2": 2}

_BOM = b"\xef\xbb\xbf"
_NUMBERS = frozenset({"score", "human_score"})
_WHOLE = frozenset({"sample", "turn", "id"})
"""Columns of a CSV file that are numbers, and whole ones."""
_LARGEST = 1e9
_HOW = (
    "columns: question_id, model, score, and annotator if there are several;\n"
    "  for pairs: question_id, model_a, model_b, label (a, b or tie), and annotator"
)


class HumanScore(Struct, frozen=True, kw_only=True):
    """One person's score of one answer. `line` counts from 1."""

    question_id: str
    """As text; empty: `question`, the exact text, stands for it."""
    question: str = ""
    model: str
    score: float
    annotator: str = ""
    sample: int = 0
    turn: int = 0
    category: str = ""
    response: str | None = None
    """The answer that was scored, where the file has it."""
    line: int


class HumanPair(Struct, frozen=True, kw_only=True):
    """One person's verdict on two answers to one question."""

    question_id: str
    question: str = ""
    models: tuple[str, str] = ("", "")
    """Empty where the file has the answers only."""
    label: Label
    annotator: str = ""
    sample: int = 0
    turn: int = 0
    category: str = ""
    responses: tuple[str, str] | None = None
    line: int


class HumanFile(Struct, frozen=True, kw_only=True):
    """A whole file: either scores or pairs, never both, never nothing."""

    path: str
    sha256: str
    scores: tuple[HumanScore, ...] = ()
    pairs: tuple[HumanPair, ...] = ()
    blocks: bool = False
    """CritiqueLLM's own: upstream's scripts take meaning from the rows' positions."""


Row = dict[str, Any]


class _Fault(Exception):
    """What is wrong with one row."""


class _Shape(Struct, frozen=True):
    """A kind of row: the members that tell it, and how it is read."""

    needs: tuple[str, ...]
    read: Callable[[Row, int], HumanScore | HumanPair]
    critique: bool = False


def read_human(path: Path) -> HumanFile:
    """All rows of the file. Raises DataError with file, line and reason."""
    data = codec.read_bytes(path)
    name = printable(str(path))
    rows = list(_rows(data, path, name))
    if not rows:
        raise DataError("no human scores in this file", path=name, how=_HOW)
    shape = _shape(rows[0][1], rows[0][0], name)
    found: list[HumanScore | HumanPair] = []
    seen: dict[tuple[Any, ...], int] = {}
    for line, row in rows:
        try:
            _need(shape, row)
            record = shape.read(row, line)
            first = seen.setdefault(_key(record), line)
            if first != line:
                raise _Fault(f"the same answer by the same annotator as on line {first}")
        except _Fault as fault:
            raise DataError(str(fault), path=name, line=line) from None
        found.append(record)
    if shape.critique:
        places = [row.get("id") for _, row in rows]
        if all(isinstance(place, int) for place in places):
            order = sorted(range(len(found)), key=lambda i: (places[i], i))
            found = [found[i] for i in order]
    return HumanFile(
        path=name,
        sha256=codec.sha256(data),
        scores=tuple(r for r in found if isinstance(r, HumanScore)),
        pairs=tuple(r for r in found if isinstance(r, HumanPair)),
        blocks=shape.critique,
    )


# --- rows --------------------------------------------------------------------------------------


def _rows(data: bytes, path: Path, name: str) -> Iterator[tuple[int, Row]]:
    start = data.removeprefix(_BOM).lstrip()
    if start.startswith(b"{"):
        yield from _json_rows(path, name)
    elif start.startswith(b"["):
        raise DataError("one JSON array; JSONL has one object a line", path=name, line=1)
    elif start:
        yield from csv_rows(data, path=name, numbers=_NUMBERS, whole=_WHOLE)


def _json_rows(path: Path, name: str) -> Iterator[tuple[int, Row]]:
    for number, line in codec.read_lines(path):
        try:
            row = codec.decode(line)
        except codec.Undecodable as error:
            reason = f"not one JSON object: {printable(str(error), 120)}"
            raise DataError(reason, path=name, line=number) from None
        if not isinstance(row, dict):
            raise DataError("not a JSON object", path=name, line=number)
        yield number, row


# --- shapes ------------------------------------------------------------------------------------


_QUESTIONS = (
    'these are questions: no import is needed, a sweep file names them: benchmark = "FILE.jsonl"\n'
    "of AlignBench import the whole clone, which brings its judge prompt along"
)


def _shape(row: Row, line: int, name: str) -> _Shape:
    for shape in _SHAPES:
        if all(member in row for member in shape.needs):
            return shape
    members = printable(", ".join(map(str, row)), 120)
    reason = f"these are no human scores; members here: {members or 'none'}"
    questions = "question" in row and "category" in row
    raise DataError(reason, path=name, line=line, how=_QUESTIONS if questions else _HOW)


def _need(shape: _Shape, row: Row) -> None:
    missing = [member for member in shape.needs if member not in row]
    if missing:
        raise _Fault(f"`{missing[0]}` is missing")


def _own_score(row: Row, line: int) -> HumanScore:
    return HumanScore(
        question_id=_id(row),
        model=_word(row, "model"),
        score=_number(row, "score"),
        annotator=_optional(row, "annotator"),
        sample=_index(row, "sample"),
        turn=_index(row, "turn"),
        category=_optional(row, "category"),
        response=row["response"] if isinstance(row.get("response"), str) else None,
        line=line,
    )


def _own_pair(row: Row, line: int) -> HumanPair:
    label = row["label"].strip().lower() if isinstance(row["label"], str) else row["label"]
    if not isinstance(label, str) or label not in _OWN_LABELS:
        raise _Fault(f"`label` is {_told(row['label'])}; it must be a, b or tie")
    models = (_word(row, "model_a"), _word(row, "model_b"))
    if models[0] == models[1]:
        raise _Fault("`model_a` and `model_b` are the same")
    texts = (row.get("response_a"), row.get("response_b"))
    return HumanPair(
        question_id=_id(row),
        models=models,
        label=_OWN_LABELS[label],
        annotator=_optional(row, "annotator"),
        sample=_index(row, "sample"),
        turn=_index(row, "turn"),
        category=_optional(row, "category"),
        responses=_both(*texts),
        line=line,
    )


def _critique_score(row: Row, line: int) -> HumanScore:
    return HumanScore(
        question_id="",
        question=_word(row, "question"),
        model=_word(row, "model"),
        score=_number(row, "human_score"),
        annotator=_optional(row, "annotator"),
        category=_optional(row, "category"),
        response=_prose(row, "response"),
        line=line,
    )


def _critique_pair(row: Row, line: int) -> HumanPair:
    label = _CRITIQUE_LABELS.get(str(row["label"]).strip())
    if label is None or isinstance(row["label"], bool):
        raise _Fault(f"`label` is {_told(row['label'])}; it must be 0, 1 or 2")
    return HumanPair(
        question_id="",
        question=_word(row, "question"),
        label=label,
        annotator=_optional(row, "annotator"),
        category=_optional(row, "category"),
        responses=(_prose(row, "response_1"), _prose(row, "response_2")),
        line=line,
    )


_SHAPES = (
    _Shape(("question_id", "model", "score"), _own_score),
    _Shape(("question_id", "model_a", "model_b", "label"), _own_pair),
    _Shape(("question", "response", "model", "human_score"), _critique_score, critique=True),
    _Shape(("question", "response_1", "response_2", "label"), _critique_pair, critique=True),
)


def _key(record: HumanScore | HumanPair) -> tuple[Any, ...]:
    """What one annotator says once."""
    who = (record.question_id, record.question, record.annotator, record.sample, record.turn)
    if isinstance(record, HumanScore):
        return (*who, record.model)
    return (*who, record.models, None if record.question_id else record.responses)


# --- members -----------------------------------------------------------------------------------


def _id(row: Row) -> str:
    value = row["question_id"]
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise _Fault(f"`question_id` is {_told(value)}; it must be a number or a text")
    return str(value).strip()


def _word(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise _Fault(f"`{name}` is {_told(value)}; it must be a text")
    return value


def _prose(row: Row, name: str) -> str:
    if not isinstance(row[name], str):
        raise _Fault(f"`{name}` is {_told(row[name])}; it must be a text")
    text: str = row[name]
    return text


def _optional(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _Fault(f"`{name}` is {_told(value)}; it must be a text")
    return str(value).strip()


def _number(row: Row, name: str) -> float:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        empty = value is None or value == ""
        how = "; leave the row out if there is none" if empty else ""
        raise _Fault(f"`{name}` is {_told(value)}, not a number{how}")
    if not abs(value) <= _LARGEST:  # nor is NaN
        raise _Fault(f"`{name}` is {_told(value)}, which is no score")
    return float(value)


def _index(row: Row, name: str) -> int:
    value = row.get(name)
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _Fault(f"`{name}` is {_told(value)}; it must be a whole number from 0")
    return value


def _both(first: Any, second: Any) -> tuple[str, str] | None:
    return (first, second) if isinstance(first, str) and isinstance(second, str) else None


def _told(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    return printable(repr(value), 60)
