"""Answers that were made elsewhere, read to be judged here.

The format is AlignBench's own `model_answer/MODEL.jsonl` (get_answers.py of THUDM/AlignBench) as it
is: one object a line with `question_id`, `model_id` and `answer`; the question's own fields beside
them are ignored. A null answer is one that never came. Nothing is guessed: a bad line is an error
with its place, and so is a second answer of one model to one question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data import codec
from data.errors import DataError
from data.schema import QuestionId, Struct
from data.text import printable


class GivenAnswer(Struct, frozen=True):
    """One line of an answer file. `line` counts from 1."""

    model: str
    question_id: QuestionId
    text: str | None
    """None: the model gave none."""
    path: str
    line: int
    simulated: bool = False


def read_answers(paths: Iterable[Path]) -> Iterator[GivenAnswer]:
    """The answers of all files, in order; a folder stands for its `*.jsonl` files by name.

    Raises DataError at the first line that is no answer, or that answers a question of its model a
    second time (in whichever file).
    """
    first: dict[tuple[str, QuestionId], GivenAnswer] = {}
    for path in _files(paths):
        for number, line in codec.read_lines(path):
            answer = _answer(line, str(path), number)
            key = (answer.model, answer.question_id)
            if key in first:
                raise _twice(first[key], answer)
            # Only the place is kept: the texts of a large file need not fit in memory.
            first[key] = codec.replace(answer, text=None)
            yield answer


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(path.glob("*.jsonl"))
        if not found:
            raise DataError("no .jsonl file in this folder", path=str(path))
        yield from found


def _answer(line: bytes, path: str, number: int) -> GivenAnswer:
    try:
        row = codec.decode(line)
    except codec.Undecodable as error:
        raise DataError(f"not JSON: {printable(str(error), 120)}", path=path, line=number) from None
    if not isinstance(row, dict):
        raise DataError("not a JSON object", path=path, line=number)
    return GivenAnswer(
        model=_field(row, "model_id", (str,), "a text", path, number),
        question_id=_field(row, "question_id", (int, str), "a number or text", path, number),
        text=_field(row, "answer", (str, type(None)), "a text or null", path, number),
        path=path,
        line=number,
        simulated=row.get("simulated") is True,
    )


def _field(
    row: dict[str, Any], name: str, kinds: tuple[type, ...], what: str, path: str, line: int
) -> Any:
    if name not in row:
        raise DataError(
            f"`{name}` is missing",
            path=path,
            line=line,
            how="each line needs question_id, model_id and answer",
        )
    value = row[name]
    empty = value == "" and name != "answer"
    if not isinstance(value, kinds) or isinstance(value, bool) or empty:
        shown = printable(repr(value), 60)
        raise DataError(f"`{name}` must be {what}, not {shown}", path=path, line=line)
    return value


def _twice(before: GivenAnswer, again: GivenAnswer) -> DataError:
    return DataError(
        f"{printable(again.model, 80)} answers question {printable(str(again.question_id), 40)} "
        f"a second time; the first answer is {before.path}:{before.line}",
        path=again.path,
        line=again.line,
        how="keep one of the two lines",
    )
