"""The sheets of a study of explanations: CSV out to annotators, and back in.

One row a comparison, one column an aspect to fill in. Texts keep their lines (whether they read well
is one of the questions) but hold no control character, start no formula, and end where a
spreadsheet's cell does. What comes back is recognised by its row ids, whatever its file is called;
spreadsheets in China save GB18030, so that is read as well as UTF-8.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from data import codec
from data.csvrows import csv_rows
from data.errors import DataError
from data.text import printable
from engine.agreement.study import ASPECTS, Choice, Key, SheetRow
from engine.cells import inert
from engine.reports.csvfile import text as guarded

LEFT, RIGHT, TIE = "甲", "乙", "平"
CELL_LIMIT = 32_000
"""Characters; Excel holds 32,767 in a cell."""
_CHOICES: dict[str, Choice] = {
    **dict.fromkeys((LEFT, "a", "left", "1"), "left"),
    **dict.fromkeys((RIGHT, "b", "right", "2"), "right"),
    **dict.fromkeys((TIE, "平局", "tie", "0", "="), "tie"),
}
_HEAD = ("编号", "问题", "参考答案", "回答", "甲的评语", "甲的分数", "乙的评语", "乙的分数")
_ID = _HEAD[0]
_CUT = "…（此处截断）"

INSTRUCTIONS = f"""\
每一行是一个问题、一份参考答案、一个回答，以及两位评委（甲、乙）对这个回答的评语和分数。
请比较两份评语，在最后三列各填一个字：

  {ASPECTS[0]}  谁的判断更正确、更公允
  {ASPECTS[1]}  谁的评语更有条理、更清楚、更具体
  {ASPECTS[2]}  谁的评语与自己给出的分数更相符

填 {LEFT}、{RIGHT} 或 {TIE}（不相上下）。实在无法判断就留空。不要改动编号，不要与他人商量。
存成 CSV 文件交回即可，文件名不限。
"""


def render_sheet(rows: Iterable[SheetRow]) -> bytes:
    """One annotator's sheet: UTF-8 with a BOM and CRLF, so that spreadsheets show Chinese."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*_HEAD, *ASPECTS])
    for row in rows:
        case = row.case
        texts = (case.question, case.reference, case.answer)
        writer.writerow(
            [
                row.id,
                *map(cell, texts),
                *(cell(row.left.text), f"{row.left.score:g}"),
                *(cell(row.right.text), f"{row.right.score:g}"),
                *("" for _ in ASPECTS),
            ]
        )
    return out.getvalue().encode("utf-8-sig")


def cell(foreign: str) -> str:
    """Foreign text of several lines for one cell."""
    kept = foreign if len(foreign) <= CELL_LIMIT else foreign[:CELL_LIMIT] + _CUT
    first, *rest = kept.replace("\r\n", "\n").split("\n")
    return "\n".join([guarded(first), *map(inert, rest)])


def read_sheets(paths: Iterable[Path], key: Key) -> dict[str, dict[str, Choice]]:
    """Row id -> aspect -> choice, of all sheets together; empty cells are left out.

    Raises DataError for a sheet or a row that is not of this study, a cell that is none of the
    choices, and a row that comes twice.
    """
    found: dict[str, dict[str, Choice]] = {}
    places: dict[str, str] = {}
    for path in paths:
        name = printable(str(path))
        for line, row in csv_rows(_utf8(codec.read_bytes(path)), path=name):
            missing = [column for column in (_ID, *ASPECTS) if column not in row]
            if missing:
                raise DataError(f"no column `{missing[0]}`: no sheet of a study", path=name, line=1)
            number = row[_ID].strip()
            if number not in key.rows:
                raise DataError(
                    f"`{printable(number, 40)}` is no row of this study", path=name, line=line
                )
            here = f"{name}:{line}"
            if places.setdefault(number, here) != here:
                raise DataError(
                    f"row {number} stands in {places[number]} already", path=name, line=line
                )
            own = {aspect: _choice(row[aspect], aspect, name, line) for aspect in ASPECTS}
            found[number] = {aspect: c for aspect, c in own.items() if c is not None}
    return found


def _choice(text: str, aspect: str, path: str, line: int) -> Choice | None:
    short = text.strip().lower()
    if not short:
        return None
    if short not in _CHOICES:
        raise DataError(
            f"{aspect} is {printable(repr(text), 40)}; it must be {LEFT}, {RIGHT}, {TIE} or empty",
            path=path,
            line=line,
        )
    return _CHOICES[short]


def _utf8(data: bytes) -> bytes:
    """A sheet in GB18030 as UTF-8. Only ids and choices are read of it, so a wrong guess is seen."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return data.decode("gb18030").encode()
        except UnicodeDecodeError:
            return data
    return data
