"""An answer becomes a judge's request, and a judge's words become a verdict. Pure.

A judge is just another model. What it is asked and how its verdict is read is the rubric's affair
(`data/rubric.py`); here stand only the judge's own settings and the question "ask again?".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from data import pairing
from data import rubric as rubrics
from data.compat import read_compat
from data.schema import (
    Draw,
    JudgeSpec,
    Judgment,
    Message,
    Question,
    Request,
    Response,
    Rubric,
    Struct,
    Sweep,
    Trial,
    Verdict,
)
from data.verdict_schema import figures, verdict_schema


class Case(Struct, frozen=True):
    """One answer before one judge: everything that decides what is asked and how it is read."""

    sweep: Sweep
    judge: JudgeSpec
    rubric: Rubric
    trial: Trial
    question: Question
    dialogues: tuple[tuple[str, ...], ...]
    """Of each candidate, its answers to all turns up to this one: the last is what is judged."""


def judge_request(case: Case, ask: int) -> tuple[Request, tuple[str, str]]:
    """What the judge is sent, and the marks around the candidate's text in it. `ask` counts from 0."""
    sweep, judge, trial = case.sweep, case.judge, case.trial
    rendered = _rendered(case)
    system = (Message("system", judge.system),) if judge.system else ()
    draw = Draw(trial.sample, trial.repeat, ask)
    request = Request(
        model=judge.model,
        messages=system + tuple(rendered.messages),
        temperature=None if judge.temperature == "default" else judge.temperature,
        max_tokens=judge.max_tokens,
        seed=derived_seed(sweep.seed, draw) if sweep.send_seed else None,
        parameters=judge.parameters,
        draw=draw,
        thinking=judge.thinking,
        schema=_schema(case),
    )
    return request, rendered.quotation


def _rendered(case: Case) -> rubrics.Rendered:
    seed, turn = case.sweep.seed, case.trial.turn
    if case.rubric.pairwise:
        first, second = case.dialogues if case.trial.position == 0 else case.dialogues[::-1]
        return pairing.render_pair(case.rubric, case.question, first, second, seed=seed, turn=turn)
    *earlier, answer = case.dialogues[0]
    return rubrics.render(case.rubric, case.question, answer, seed=seed, turn=turn, earlier=earlier)


def _schema(case: Case) -> dict[str, Any]:
    if case.judge.verdict == "text":
        return {}
    return verdict_schema(case.rubric, rubrics.dimensions(case.rubric, case.question))


def read_verdict(case: Case, reply: Response, quotation: tuple[str, str]) -> Verdict | None:
    """The verdict in a judge's reply; None if there is none to be read."""
    if reply.stop_reason == "content_filter":
        return None
    text = reply.text if case.judge.verdict == "text" else figures(reply.text)
    if case.rubric.pairwise:
        seen = pairing.read_choice(text, case.rubric.labels, quotation).verdict
        return pairing.turned(seen) if seen and case.trial.position else seen
    policy = case.judge.parse
    return rubrics.read(
        case.rubric, case.question, text, policy=policy, quotation=quotation
    ).verdict


def judgment(trial: Trial, asks: Sequence[Response], verdict: Verdict | None) -> Judgment:
    """The record. Upstream's own parser reads the first ask, whatever our policy is."""
    first = asks[0].text if asks else ""
    compat = read_compat(first)[1] if len(trial.candidates) == 1 else -1.0
    return Judgment(trial=trial, asks=tuple(asks), verdict=verdict, compat=compat)


def derived_seed(seed: int, draw: Draw) -> int:
    """A seed per draw, stable across runs: 31 bits of sha256."""
    text = f"{seed}.{draw.sample}.{draw.repeat}.{draw.ask}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
