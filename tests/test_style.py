"""Style: counted as Chatbot Arena counts it."""

from __future__ import annotations

from data.schema import Answer, Failure, Response, Trial
from engine.stats.style import Style, Styles, style_of

TEXT = """# 一
## 二
#不是标题
1. 甲
- 乙
  * 丙
**粗** 和 __也粗__，** 不成对
```
# 代码
- 代码
```
"""


def test_headers_lists_and_bold_are_counted_outside_code() -> None:
    """A number sign without a space is no header."""
    assert style_of(TEXT) == Style(len(TEXT), 2, 3, 2)
    assert style_of("") == Style(0, 0, 0, 0)


def answer(model: str, text: str, sample: int = 0, turn: int = 0) -> Answer:
    trial = Trial(kind="answer", question_id=1, candidates=((model, sample),), turn=turn)
    return Answer(trial=trial, response=Response(text=text))


def test_a_question_has_the_mean_over_its_answers_and_the_last_record_counts() -> None:
    """Two samples; the first was answered anew."""
    styles = Styles(["m"])
    for record in (answer("m", "x" * 99), answer("m", "xx"), answer("m", "- x" * 2, sample=1)):
        styles.watch(record)
    styles.watch(answer("other", "xxxx"))
    styles.watch(Failure(trial=answer("m", "").trial, error="e", message="m"))
    assert styles.of("m", 1) == Style(4, 0, 0.5, 0)
    assert styles.of("m", 2) is None
    assert styles.of("other", 1) is None
