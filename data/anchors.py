"""Answers of known quality, made from a benchmark: how a sound judge scores them is known in advance. Pure.

    reference    the reference itself: the grading rules set it at 8
    empty        no word at all
    off-topic    the reference of another question, of another category where there is one
    doubled      the reference twice: longer, and no better

Rows are in AlignBench's `model_answer` format, so `alignsweep judge --answers` takes them as they are.
Only single-turn questions with a reference are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from data.schema import Benchmark, Question

PREFIX = "anchor:"


def anchors(benchmark: Benchmark) -> dict[str, list[dict[str, Any]]]:
    """Anchor's name -> its rows, in the benchmark's order."""
    usable = [q for q in benchmark.questions if len(q.turns) == 1 and q.reference]
    others = dict(zip((q.id for q in usable), _strangers(usable), strict=True))
    texts: dict[str, Callable[[Question], str]] = {
        "reference": lambda q: q.reference,
        "empty": lambda q: "",
        "off-topic": lambda q: others[q.id].reference,
        "doubled": lambda q: f"{q.reference}\n\n{q.reference}",
    }
    return {
        name: [
            {"question_id": q.id, "model_id": f"{PREFIX}{name}", "answer": text(q)} for q in usable
        ]
        for name, text in texts.items()
    }


def _strangers(questions: list[Question]) -> Iterator[Question]:
    """For each question another one: the next of another category, else simply the next."""
    n = len(questions)
    for i, question in enumerate(questions):
        after = (questions[(i + step) % n] for step in range(1, n))
        other = next((q for q in after if q.category != question.category), None)
        yield other or questions[(i + 1) % n]
