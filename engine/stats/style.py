"""What a judge may like about an answer besides its content: its length and its markdown. Pure.

Counted as in Chatbot Arena's style control (lm-sys/FastChat, monitor/add_markdown_info.py): code blocks
removed, then headers, list items and bold passages. Length is in characters, since there is no
tokenizer that all models share.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from data.schema import Answer, QuestionId, Record, Struct

FEATURES = ("length", "headers", "lists", "bold")
_CODE = re.compile(r"```[^`]*```")
_HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LIST = re.compile(r"^\s*(?:\d+\.|[-*+])\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


class Style(Struct, frozen=True):
    """Of one answer; or means over the answers to one question."""

    length: float
    """Characters."""
    headers: float
    lists: float
    bold: float


def style_of(text: str) -> Style:
    """Count."""
    plain = _CODE.sub("", text)
    return Style(len(text), *(len(found.findall(plain)) for found in (_HEADER, _LIST, _BOLD)))


class Styles:
    """The style of these models' answers that go by; the last record of a trial counts."""

    def __init__(self, models: Collection[str]) -> None:
        self._models = frozenset(models)
        self._seen: dict[tuple[str, QuestionId], dict[tuple[int, int], Style]] = {}

    def watch(self, record: Record) -> None:
        """Take note of an answer; anything else is let pass."""
        if isinstance(record, Answer) and record.trial.model in self._models:
            trial = record.trial
            answers = self._seen.setdefault((trial.model, trial.question_id), {})
            answers[trial.turn, trial.sample] = style_of(record.response.text)

    def of(self, model: str, question: QuestionId) -> Style | None:
        """The mean over turns and samples; None without an answer."""
        found = list(self._seen.get((model, question), {}).values())
        if not found:
            return None
        return Style(
            *(sum(getattr(style, name) for style in found) / len(found) for name in FEATURES)
        )
