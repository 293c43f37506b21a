"""The bytes of a CSV file as one dict a row, with the line each row begins on.

UTF-8 (with a BOM or without), a head line, cells between commas, semicolons or tabs (whichever the
head has most of); blank lines are passed over. Cells stay text unless a column is said to hold
numbers. Pure: bytes in, rows out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterator
from typing import Any

from data.errors import DataError
from data.text import printable

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def csv_rows(
    data: bytes, *, path: str, numbers: Container[str] = (), whole: Container[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line from 1, row) of each row under the head. `path` is only for messages.

    A cell of a column in `numbers` (or in `whole`, for integers) that can be read as one comes out
    as one. Raises DataError at the first row that does not fit its head, or cannot be read at all.
    """
    reader = csv.reader(
        io.StringIO(_text(data, path), newline=""), delimiter=_delimiter(data), strict=True
    )
    head: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if head is None:
                head = _head(cells, path)
                continue
            if len(cells) != len(head):
                raise DataError(
                    f"{len(cells)} cells under {len(head)} columns",
                    path=path,
                    line=start,
                    how='a text with a comma stands in double quotes: "a, b"',
                )
            row = dict(zip(head, cells, strict=True))
            yield start, {k: _value(v, k in numbers, k in whole) for k, v in row.items()}
    except csv.Error as error:
        reason = f"not CSV: {printable(str(error), 120)}"
        raise DataError(reason, path=path, line=line) from None


def _delimiter(data: bytes) -> str:
    head = data.removeprefix(_BOM).lstrip().split(b"\n", 1)[0]
    return max(",;\t", key=lambda mark: head.count(mark.encode()))


def _text(data: bytes, path: str) -> str:
    if data.startswith(_UTF16):
        raise DataError("UTF-16, not UTF-8", path=path, how="save it as CSV UTF-8")
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        how = "save it as CSV UTF-8, or: iconv -f GB18030 -t UTF-8"
        raise DataError("not UTF-8", path=path, line=line, how=how) from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise DataError("a NUL byte; this is no text file", path=path, line=line)
    return text


def _head(cells: list[str], path: str) -> list[str]:
    head = [cell.strip() for cell in cells]
    twice = next((cell for cell in head if head.count(cell) > 1), None)
    if twice is not None:
        named = f"two columns `{printable(twice, 40)}`" if twice else "two columns without a name"
        raise DataError(named, path=path, line=1)
    return head


def _value(text: str, number: bool, whole: bool) -> str | float | int:
    short = text.strip()
    if not (number or whole) or "_" in short:
        return text
    try:
        value = float(short)
    except ValueError:
        return text
    return int(value) if whole and value.is_integer() else value
