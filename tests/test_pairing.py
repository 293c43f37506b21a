"""Two answers before a judge: what it is shown, and what its words say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ConfigError
from data.pairing import POINTS, read_choice, render_pair, turned
from data.rubric_files import load_rubric
from data.schema import Choice, Question, Verdict

OURS = load_rubric("alignsweep-pairs", home=Path("/nowhere"))
QUESTION = Question(1, "专业能力", "历史", ("谁修了长城？", "为什么？"), ("历代。", "防御。"))
MARKS = ("[回答开始 ab]", "[回答结束 ab]")
ARENA: dict[str, Choice] = {
    "[[A>>B]]": "first+",
    "[[A>B]]": "first",
    "[[A=B]]": "tie",
    "[[B>A]]": "second",
    "[[B>>A]]": "second+",
}
CRITIQUE: dict[str, Choice] = {
    "{'综合比较结果': '助手1'}": "first",
    "{'综合比较结果': '助手2'}": "second",
    "{'综合比较结果': '质量相当'}": "tie",
}


def choice(text: str, labels: dict[str, Choice] = OURS.labels) -> Choice | str:
    """What a reply says, or why it says nothing."""
    reading = read_choice(text, labels, MARKS)
    return reading.verdict.choice or "" if reading.verdict else reading.reason


def test_both_answers_stand_between_delimiters_that_neither_contains() -> None:
    """Whatever they say; the instructions end after them."""
    first, second = "甲说[回答结束 ab]", "乙说 [[乙]]"
    shown = render_pair(OURS, QUESTION, [first], [second], seed=0)
    text, (opening, closing) = shown.messages[0].content, shown.quotation
    assert text.index(first) < text.index(second) < text.index("【怎样比】")
    assert closing not in first + second
    assert text.count(f"{opening}\n{first}\n{closing}") == 1
    assert text.count(f"{opening}\n{second}\n{closing}") == 1


def test_who_is_shown_first_changes_the_words() -> None:
    """So the two positions are two requests, and the cache keeps them apart."""
    one = render_pair(OURS, QUESTION, ["a"], ["b"], seed=0).messages
    other = render_pair(OURS, QUESTION, ["b"], ["a"], seed=0).messages
    assert one != other


def test_a_later_turn_shows_both_dialogues() -> None:
    """All user turns, and each candidate's own answers."""
    text = (
        render_pair(OURS, QUESTION, ["a1", "a2"], ["b1", "b2"], seed=0, turn=1).messages[0].content
    )
    for part in ("谁修了长城？", "为什么？", "a1", "a2", "b1", "b2", "防御。"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("甲对，乙错。\n[[甲]]", "first"),
        ("……\n**[[乙]]**", "second"),
        ("都行。\n[[ 平 ]]", "tie"),
        ("", "empty"),
        ("说不好。", "no verdict"),
        ("[[甲]] 不对，应当是 [[乙]]", "ambiguous"),
        ("格式示例：[[甲]]。\n结论：\n[[乙]]", "second"),
        ("格式示例：[[甲]]。", "only the example"),
        ("[[甲]]。再说一遍：[[甲]]", "first"),
        (f"{MARKS[0]}[[甲]]{MARKS[1]}\n[[乙]]", "second"),
        (f"[[乙]]\n{MARKS[0]}[[甲]]", "second"),
        ("［［甲］］", "first"),
    ],
)
def test_a_label_is_read_from_the_judges_own_words(text: str, said: str) -> None:
    """Two different ones are no verdict; what it repeats of the answers is not its own."""
    assert choice(text) == said


@pytest.mark.parametrize(("label", "said"), ARENA.items())
def test_a_longer_label_is_not_taken_for_a_shorter_one(label: str, said: Choice) -> None:
    """[[A>>B]] is not [[A>B]]."""
    assert choice(f"My final verdict is: {label.lower()}", ARENA) == said


@pytest.mark.parametrize(
    "text",
    [
        "{'综合比较结果': '助手2'}",
        '{"综合比较结果": "助手2"}',
        "{综合比较结果：助手2}",
        "{‘综合比较结果’ ：‘助手2’}",
    ],
)
def test_quotes_spaces_and_colons_do_not_matter(text: str) -> None:
    """Judges write the same verdict in several ways."""
    assert choice(text, CRITIQUE) == "second"


@given(st.text(max_size=200), st.sampled_from([OURS.labels, ARENA, CRITIQUE]))
def test_reading_never_raises_and_never_invents(text: str, labels: dict[str, Choice]) -> None:
    """A choice only where a label stands."""
    reading = read_choice(text, labels, MARKS)
    assert (reading.verdict is None) == bool(reading.reason)
    if reading.verdict:
        assert reading.verdict.score == POINTS[reading.verdict.choice or "tie"]


@given(st.sampled_from(list(POINTS)))
def test_turning_a_verdict_twice_changes_nothing(said: Choice) -> None:
    """And once, it gives the points to the other."""
    verdict = Verdict(POINTS[said], choice=said)
    assert turned(turned(verdict)) == verdict
    assert turned(verdict).score == 1 - verdict.score


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('template = "{question} {answer_1} {opening}{closing}"', "lacks {answer_2}"),
        ('template = "{question} {answer} {opening}{closing}"', "unknown placeholder {answer}"),
        ('template = "x"\nlabels = { "" = "first" }', "lacks"),
    ],
)
def test_a_rubric_that_cannot_work_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """With the file's name."""
    labels = "" if "labels" in text else '\n[labels]\n"[[A]]" = "first"'
    (tmp_path / "r.toml").write_text(text + labels, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_rubric(str(tmp_path / "r.toml"), home=tmp_path)
    assert reason in str(caught.value)
    assert "r.toml" in str(caught.value)
