"""Answers that a run of the sweep holds, for its judges to be measured with."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from data.schema import Answer, QuestionId
from engine.benching.prompts import Answers
from engine.rundir import records

JOURNAL = "journal.jsonl"


def stored_answers(folder: Path) -> Answers:
    """First-turn answers of a run, by question; none where there is no run. Raises JournalDamaged."""
    found: dict[QuestionId, list[tuple[str, str]]] = defaultdict(list)
    if not (folder / JOURNAL).exists():
        return found
    for record in records(folder, kinds=("answer",)):
        if isinstance(record, Answer) and not record.trial.turn and record.state != "refused":
            found[record.trial.question_id].append((record.trial.model, record.response.text))
    return found
