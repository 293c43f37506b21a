"""A run's journal read once more, by nobody's code but this: plain JSON, plain sums.

The engine's own readers are what is on trial here, so they are not asked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from engine.selftest.theatre import QUESTIONS, Performance

Key: TypeAlias = tuple[str, str, int]
"""(judge, or "" for an answer; model; question)."""
Line: TypeAlias = Mapping[str, Any]
RESULTS = ("answer", "judgment", "failure")


def key_of(line: Line) -> Key:
    """The trial that a line speaks of."""
    trial = line["trial"]
    return trial.get("judge", ""), trial["candidates"][0][0], trial["question_id"]


def results(shown: Performance) -> dict[Key, list[Line]]:
    """The lines that end a trial, by trial."""
    found: dict[Key, list[Line]] = {}
    for line in shown.lines:
        if line["kind"] in RESULTS:
            found.setdefault(key_of(line), []).append(line)
    return found


def ending(line: Line) -> str:
    """The state that a result line leaves its trial in."""
    if line["kind"] == "failure":
        return "failed"
    if line["kind"] == "answer":
        return str(line.get("state", "answered"))
    return "judged" if line.get("verdict") else "unscorable"


def endings(shown: Performance) -> dict[Key, str]:
    """The state of every trial of the plan, by the last line that speaks of it."""
    last = {key: ending(lines[-1]) for key, lines in results(shown).items()}
    return {key: last.get(key, "pending") for key in plan(shown)}


def plan(shown: Performance) -> Iterator[Key]:
    """Every trial that there is."""
    for model in shown.models:
        for question in QUESTIONS:
            yield "", model, question
            yield "judge", model, question


def attempts(shown: Performance) -> Iterator[tuple[Line, Line | None]]:
    """Each intent with the line that settled it, if any did."""
    settled = {line["id"]: line for line in shown.lines if line["kind"] == "settled"}
    for line in shown.lines:
        if line["kind"] == "intent":
            yield line, settled.get(line["id"])


def played_to(shown: Performance, line: Line) -> bool:
    """Is this line about whom the scene is played to?"""
    judge, model, _ = key_of(line)
    return (judge or model) == shown.scene.model


def broken_lines(path: Path) -> Iterator[int]:
    """Numbers of the journal's lines whose checksum is wrong, or that have no end."""
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        body, _, tail = line.rpartition(b',"crc":"')
        if tail != b'%08x"}' % zlib.crc32(body):
            yield number
    if not path.read_bytes().endswith(b"\n"):
        yield -1
