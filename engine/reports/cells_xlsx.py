"""Cells of a workbook: whatever a model wrote stays a text, exactly, and never becomes a formula.

- A lone surrogate (no XML can hold one) becomes U+FFFD. Control characters are written as Excel writes
  them, `_x0007_`, and read back by Excel.
- What a cell cannot hold (32,767 UTF-16 units) is cut before, and the cut is said at its end.
- A text that begins like a formula also carries Excel's quote prefix, so that editing its cell does
  not turn it into one.
- Links are not made of texts that look like one; digits stay text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from data.errors import ConfigError

MOST = 32_700
"""UTF-16 units of a cell."""
ROWS = 1_048_576
_EXACT = 2**53
"""Whole numbers beyond this lose digits in a spreadsheet."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
Value = str | int | float | None


def library() -> Any:
    """xlsxwriter. Raises ConfigError where it is not installed."""
    try:
        import xlsxwriter
    except ImportError:
        raise ConfigError(
            "workbooks are written with the package xlsxwriter, which is not installed",
            how="pip install 'alignsweep[xlsx]' (or: pip install xlsxwriter)",
        ) from None
    return xlsxwriter


def clean(text: str) -> str:
    """`text` as a cell can hold it: no lone surrogate, not too long."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    units = len(whole) + sum(ord(char) > 0xFFFF for char in whole)
    if units <= MOST:
        return whole
    kept = whole.encode("utf-16-le")[: 2 * MOST].decode("utf-16-le", "ignore")
    return f"{kept}… [{len(whole):,} characters]"


def is_formula(text: str) -> bool:
    """Would a spreadsheet take this for a formula if it were typed in?"""
    return text.startswith(_FORMULA)


class Page:
    """One sheet, written row after row."""

    def __init__(self, sheet: Any, formats: dict[str, Any]) -> None:
        self.sheet, self._formats = sheet, formats
        self.rows = 0
        self.left_out = 0
        """Rows for which a sheet has no room."""

    def head(
        self, names: Iterable[str], widths: Iterable[float] = (), *, scores: bool = False
    ) -> None:
        """The first row, which stays in sight; of `scores`, all but the first head stand to the right."""
        for column, width in enumerate(widths):
            self.sheet.set_column(column, column, width)
        for column, name in enumerate(names):
            shown = self._formats["head over figures" if scores and column else "head"]
            self.sheet.write_string(0, column, clean(name), shown)
        self.rows = 1
        self.sheet.freeze_panes(1, 0)

    def row(self, values: Iterable[Value], *, scores: bool = False) -> None:
        """The next row: numbers are numbers (with two decimals shown, for `scores`), texts are texts, None
        is empty."""
        if self.rows >= ROWS:
            self.left_out += 1
            return
        for column, value in enumerate(values):
            self._cell(column, value, scores)
        self.rows += 1

    def finish(self, columns: int) -> None:
        """A filter on every column."""
        if self.rows > 1:
            self.sheet.autofilter(0, 0, self.rows - 1, columns - 1)

    def _cell(self, column: int, value: Value, scores: bool) -> None:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return
        if isinstance(value, int) and abs(value) > _EXACT:
            value = str(value)
        if isinstance(value, str):
            text = clean(value)
            shown = self._formats["beside figures"] if scores and column else None
            shown = self._formats["quoted"] if is_formula(text) else shown
            self.sheet.write_string(self.rows, column, text, shown)
        else:
            shown = self._formats["score"] if scores and isinstance(value, float) else None
            self.sheet.write_number(self.rows, column, value, shown)
