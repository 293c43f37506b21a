"""Remarks of a leaderboard in Chinese: the sentences of engine/reports/table.py, put into other words.

A sentence that is not known here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine import figures
from engine.reports.table import Sheet
from engine.reports.uncertainty import Interval, neighbours
from engine.reports.web.markup import Markup, tag

_SENTENCES = (
    (
        r"Everything here is simulated: .*",
        "这里的一切都是模拟数据：没有调用任何模型，也没有评委读过这些回答。",
    ),
    (
        r"Coverage below (.+?): no rank and no total \((.*)\)\.",
        r"覆盖率低于 \1，不排名、不给总分：\2。",
    ),
    (r"Coverage below (.+?): no rank \((.*)\)\.", r"覆盖率低于 \1，不排名：\2。"),
    (r"(.+?): the served model changed: (.*)\.", r"\1：实际提供的模型中途有变：\2。"),
    (r"(.+?): the fingerprint changed: (.*)\.", r"\1：系统指纹中途有变：\2。"),
    (r"(.+?): the upstream provider changed: (.*)\.", r"\1：网关背后的供应商中途有变：\2。"),
    (r"Thin categories: (.*)\.", r"覆盖不足的类别：\1。"),
    (r"Without a score: (.*)\.", r"没有分数：\1。"),
    (r"Truncated answers, judged as they are: (.*)\.", r"被截断、按原样评分的回答：\1。"),
    (
        r"robust leaves unreadable .*",
        "稳健方式剔除无法读分的评判；兼容方式用上游解析器读取首次回复，读不出的按 −1 计入均值。",
    ),
    (
        r"Records of other questions, models or judges: (.*)\.",
        r"属于其他题目、模型或评委的记录：\1。",
    ),
    (r"Games with a result below (.+?): no rank \((.*)\)\.", r"有结果的比较不足 \1，不排名：\2。"),
    (
        r"(.+?) is the baseline: 50 by definition; its games are all of them\.",
        r"\1 为基准：按定义为 50；所列为它的全部比较。",
    ),
    (r"win %: .*", "胜率：平局，以及交换位置后结果相反的比较，各计半胜。"),
    (r"Same winner in both positions: (.*)\.", r"两种出示顺序下胜者相同：\1。"),
    (
        r"Shown first and found better: (.*?) of decided verdicts .*",
        r"先出示者被判更好：占有胜负裁决的 \1（无偏向时为 50 %）。",
    ),
)
_PARTS = (
    ("unreadable verdicts", "条评判无法读分"),
    ("of refused answers", "条对应被拒答的回答"),
    ("failed", "条失败"),
    ("pending", "条待完成"),
)


def chinese(sentence: str) -> str:
    """The remark in Chinese, or as it is."""
    for pattern, words in _SENTENCES:
        found = re.fullmatch(pattern, sentence, re.DOTALL)
        if found:
            said = found.expand(words)
            if said.startswith("没有分数"):
                for english, other in _PARTS:
                    said = said.replace(english, other)
            return said
    return sentence


def heed(sheet: Sheet) -> Markup | None:
    """What a reader must know before reading a rank: above the table, and only where it is true."""
    said = list(_heed(sheet))
    if not said:
        return None
    english, other = "; ".join(s for s, _ in said), "；".join(s for _, s in said)
    return tag("p", f"{english}.", class_="heed", data_en=f"{english}.", data_zh=f"{other}。")


def _heed(sheet: Sheet) -> Iterator[tuple[str, str]]:
    planned = sum(entry.coverage.planned for entry in sheet.entries)
    missing = planned - sum(entry.coverage.scored for entry in sheet.entries)
    if missing:
        whole, part = figures.count(planned), figures.count(missing)
        yield f"{part} of {whole} judgments have no score", f"{whole} 条评判中 {part} 条没有分数"
    ties = list(dict.fromkeys(e.rank.replace("-", "–") for e in sheet.entries if "-" in e.rank))
    if ties:
        shown = ", ".join(ties)
        verb = "is a tie" if len(ties) == 1 else "are ties"
        yield f"{shown} {verb}", f"{shown} 名并列"


def told_apart(found: Sequence[Interval]) -> Markup | None:
    """The line on neighbours, above the table."""
    said = neighbours(found)
    if said is None:
        return None
    return tag("p", said[0], class_="dim told", data_en=said[0], data_zh=said[1])


def note(sentence: str) -> Markup:
    """A remark as a list item that the script can put into either language."""
    return tag("li", sentence, data_en=sentence, data_zh=chinese(sentence))
