"""The reading of OpenCompass: its documented cases, and its own algorithm as an oracle."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.compat import SCORE_KEY
from data.opencompass import KEYS, TYPES, read_opencompass

WHOLE = "{'事实正确性': 8, '满足用户需求': 7, '清晰度': 9, '完备性': 6, '综合得分': 7}"
CUT = "事实正确性：8\n满足用户需求：7\n清晰度：9\n完备性：6\n"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (f"评语。{WHOLE}", 7.0),
        (f"{WHOLE}\n再想：{WHOLE.replace('7}', '4}')}", 4.0),  # the last one
        (WHOLE.replace("'", '"'), None),  # JSON: a brace pair without a pair in it
        (WHOLE.replace(", ", ",\n"), 7.0),  # several lines: read as prose
        (f"{CUT}最后，综合得分为5", 5.0),  # prose: the last number of the text
        (CUT, 6.0),  # cut off: the last dimension's number
        (f"{CUT}满分100", 0.0),  # 100 falls into 10 and 0
        (f"{CUT}第12条", None),  # beyond 10
        ("综合得分：7", None),  # no dimensions, no type
        ("{'综合得分': 11}", None),
        ("{'综合得分': 0}", 0.0),
        ("{'综合得分': 7.5}", 7.0),
        ("{'评分': 3, '综合得分': 7}", None),  # an unknown key drops it all
        ("{'事实正确性': 优, '满足用户需求': 7, '综合得分': 7}", None),
        (f"{WHOLE}\n注：\\frac{{1}}{{2}}", None),  # LaTeX behind it
        (f"\\frac{{1}}{{2}}\n{WHOLE}", 7.0),
        ("", None),
        ("事实正确性 清晰度 完备性\n8", None),  # a dimension without a number on its line
        (f"{{'综合得分': {'1' * 5000}}}", None),
    ],
)
def test_documented_cases(text: str, score: float | None) -> None:
    """What it keeps, with which score, and what it drops."""
    found = read_opencompass(text)
    assert (found[1] if found else None) == score


def oracle(text: str) -> float | None:
    """The same by regular expressions, as the algorithm is described; slow on hostile texts."""
    match = re.search(r"{(.*?)}(?![^{]*{)", text)
    rating: dict[str, int | None] = {}
    if match:
        rating |= {key: int(value) for key, value in re.findall(r"'(.*?)': (\d+)", match[1])}
    else:
        names = next((names for named, names in TYPES if all(n in text for n in named)), None)
        numbers = re.findall(r"\d{1,2}", text)
        if names is None or not numbers:
            return None
        for name in names:
            spans = [re.findall(r"\d{1,2}", s) for s in re.findall(rf"{name}.*?\n", text)]
            rating[name] = next((int(s[-1]) for s in reversed(spans) if s), None)
        rating[SCORE_KEY] = int(numbers[-1])
    fine = all(k in KEYS and v is not None and 0 <= v <= 10 for k, v in rating.items())
    score = rating.get(SCORE_KEY)
    return float(score) if fine and score is not None else None


PIECES = st.sampled_from(
    [
        *sorted(KEYS),
        "{",
        "}",
        "'",
        "': ",
        ", ",
        "\n",
        "：",
        "7",
        "10",
        "12",
        "100",
        "评",
        '"',
        "{'综合得分': ",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_it_reads_what_the_described_algorithm_reads(text: str) -> None:
    """On anything made of the words that it looks for."""
    found = read_opencompass(text)
    assert (found[1] if found else None) == oracle(text)


def test_a_hostile_text_takes_linear_time() -> None:
    """A dimension named a hundred thousand times, and never a line's end."""
    assert read_opencompass("清晰度完备性" * 100_000 + "7") is None
