"""Foreign text becomes one harmless line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.text import printable


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_nothing_that_moves_a_cursor_or_reorders_a_line_survives(text: str) -> None:
    """Controls, format characters, surrogates and line ends are always spelt out."""
    shown = printable(text)
    categories = {unicodedata.category(char) for char in shown}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode("utf-8")


@given(st.text(), st.integers(1, 40))
def test_a_limit_is_kept_whatever_the_text(text: str, limit: int) -> None:
    """Escapes count too: the line is never longer than asked."""
    assert len(printable(text, limit)) <= limit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("中文推理 7.5 🙂 \u00a0", "中文推理 7.5 🙂 \u00a0"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_can_be_seen_stays_and_the_rest_is_escaped(text: str, shown: str) -> None:
    """Chinese and emoji are left alone; escapes use the shortest form."""
    assert printable(text) == shown
