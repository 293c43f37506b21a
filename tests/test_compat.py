"""The upstream-compatible reader, against the regular expressions it replaces."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.compat import INT_DIGITS, read_compat

# Pieces that make the three expressions meet often: braces, quotes, digits of three scripts.
PIECES = st.sampled_from(
    [
        *"{}': \n\r.,079７٣-…",
        "综合得分",
        "': ",
        "'综合得分'",
        "'综合得分': ",
        "'综合得分': 7",
        "'综合得分': 7.25",
        "{'",
        "'a': 1",
        "1}",
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def upstream(text: str) -> tuple[dict[str, int], float]:
    """What AlignBench's `post_process` does, by its published expressions."""
    rating: dict[str, int] = {}
    if match := re.search(r"{(.*?)}(?![^{]*{)", text):
        rating = {key: int(value) for key, value in re.findall(r"'(.*?)': (\d+)", match.group(1))}
    score: float = rating.get("综合得分", -1)
    if score == -1:
        loose = re.search(r"'综合得分': (\d+(\.\d{1,2})?)", text)
        score = float(loose.group(1)) if loose else -1
    return rating, score


@settings(max_examples=1500, deadline=None)
@given(TEXTS)
@example("{'a': 1}\n{'综合得分': 7}")
@example("x{ {'a': 1, '综合得分': 7}} }")
@example("'综合得分': 7.255 {")
@example("{'''': 1': 2'综合得分': 07}")
def test_it_reads_what_the_expressions_read(text: str) -> None:
    """The same rating, in the same order, and the same score."""
    rating, score = read_compat(text)
    expected_rating, expected_score = upstream(text)
    assert list(rating.items()) == list(expected_rating.items())
    assert score == expected_score
    assert isinstance(score, float)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_it_never_raises_on_any_text(text: str) -> None:
    """Lone surrogates, NUL and every script included."""
    assert read_compat(text) == upstream(text)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["事实正确性", "清晰度", "完备性"]), st.integers(1, 10)), TEXTS
)
def test_an_ordinary_verdict_is_read_after_any_words(
    dimensions: dict[str, int], before: str
) -> None:
    """As `judge.py` asks for it: one line, straight quotes, whole numbers, at the end."""
    rating = {**dimensions, "综合得分": 7}
    assert read_compat(f"{before}\n{rating}") == (rating, 7.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ({}, -1.0)),
        ("{}", ({}, -1.0)),
        ("{'事实正确性': 7.5, '综合得分': 7.5}", ({"事实正确性": 7, "综合得分": 7}, 7.0)),
        ("{'综合得分': 0}", ({"综合得分": 0}, 0.0)),
        ("{'综合得分': 100}", ({"综合得分": 100}, 100.0)),
        ("{'综合得分': -1}", ({}, -1.0)),
        ("{'综合得分': ７}", ({"综合得分": 7}, 7.0)),
        ("{'综合得分': 3, '综合得分': 9}", ({"综合得分": 9}, 9.0)),
        ('{"综合得分": 7}', ({}, -1.0)),
        ("{'a': 3,\n'综合得分': 7.25}", ({}, 7.25)),
        ("{'综合得分': 7} \\frac{1}{2}", ({"综合得分": 7}, 7.0)),
        ("{'综合得分': 7}\n\\frac{1}{2}", ({}, 7.0)),
        ("{'a': 优, 'b': 4, '综合得分': 5}", ({"a': 优, 'b": 4, "综合得分": 5}, 5.0)),
        ("例如：{'事实正确性': 9, ..., '综合得分': 7}", ({"事实正确性": 9, "综合得分": 7}, 7.0)),
        ("{'综合得分': 1} 他写了 {'综合得分': 10}", ({"综合得分": 10}, 10.0)),
    ],
)
def test_known_quirks_are_kept(text: str, expected: tuple[dict[str, int], float]) -> None:
    """Each is what upstream records, right or wrong."""
    assert upstream(text) == expected
    assert read_compat(text) == expected


@pytest.mark.parametrize("text", ["{'a': %s, '综合得分': 7}", "{'综合得分': %s}"])
def test_a_number_that_would_end_upstreams_run_makes_the_text_unreadable(text: str) -> None:
    """Beyond Python's limit for integers upstream raises; one digit less is still read."""
    with pytest.raises(ValueError, match="limit"):
        upstream(text % ("1" * (INT_DIGITS + 1)))
    assert read_compat(text % ("1" * (INT_DIGITS + 1))) == ({}, -1.0)
    assert read_compat(text % ("1" * INT_DIGITS))[0] == upstream(text % ("1" * INT_DIGITS))[0]


@pytest.mark.parametrize("text", ["{'综合得分': %s}", "'综合得分': %s"])
def test_a_score_too_large_for_a_float_is_no_score(text: str) -> None:
    """Upstream would average in an endless integer, or inf."""
    assert upstream(text % ("9" * 400))[1] > 1e308
    assert read_compat(text % ("9" * 400))[1] == -1.0
    assert read_compat(text % ("9" * 300))[1] == pytest.approx(1e300)


@pytest.mark.slow
def test_hostile_texts_take_no_quadratic_time() -> None:
    """Half a megabyte of each, on which the expressions would need minutes to hours."""
    script = (
        "from data.compat import read_compat\n"
        "n = 500_000\n"
        "pieces = (\"{'\", '{', '}', \"'\", \"'a\", \"': \", \"{'综合得分\", '7,', \"'a': 1,\")\n"
        "for piece in pieces:\n"
        "    body = piece * (n // len(piece))\n"
        "    for text in (body, '{' + body + '}', body + '}', '{' + body + '7}\\n'):\n"
        "        read_compat(text)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
