"""The texts of a report: one compressed block per question, made one at a time.

A block is base64(raw deflate(JSON)); base64 cannot close a tag, whatever a model wrote. Inside:

    t   the question, one text per turn        r   reference answers likewise
    e   evidences [[url, quote], …]
    a   answers      [model, sample, turn, state, text | null, facts]
    j   judgments    [judge, model, sample, turn, repeat, score | null, dimensions, [text, …], facts]
    d   comparisons  [judge, model A, model B, sample, turn, repeat, position, choice | null, [text, …]]

Models and judges are their places in the index. Facts are what a reader may ask about a call.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Any, Literal

from data import codec
from data.schema import Answer, Failure, Judgment, Question, Response
from engine.dossier import Dossier, Texts
from engine.plan import Plan, State

Which = Literal["all", "failures", "none"]
"""The texts that are taken along: all, only those of answers with something missing, or none."""
_BAD = frozenset({State.REFUSED, State.TRUNCATED, State.FAILED, State.UNSCORABLE})


def blocks(dossier: Dossier, texts: Texts, which: Which = "all") -> Iterator[bytes]:
    """One block per question, in benchmark order."""
    names = {m.name: i for i, m in enumerate(dossier.run.sweep.models)}
    judges = {j.name: i for i, j in enumerate(dossier.run.sweep.judges)}
    for place, question in enumerate(dossier.run.benchmark.questions):
        found = _question(question)
        for number in _chosen(dossier, place, which):
            record = texts.at(number)
            if record is None:
                continue
            if dossier.plan.is_answer(number):
                found["a"].append(_answer(record, names, dossier.state(number)))
            elif isinstance(record, Judgment) and len(record.trial.candidates) > 1:
                found["d"].append(_comparison(record, judges, names))
            else:
                found["j"].append(_judgment(record, judges, names, dossier.mark(number)))
        yield packed(found)


def packed(block: Any) -> bytes:
    """JSON, deflated without a header, as base64."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return base64.b64encode(deflate.compress(codec.encode(block)) + deflate.flush())


def _chosen(dossier: Dossier, place: int, which: Which) -> list[int]:
    numbers = list(dossier.numbers(place))
    if which == "all":
        return numbers
    if which == "none":
        return []
    plan = dossier.plan
    marked = {
        answer
        for number in numbers
        if dossier.state(number) in _BAD
        for answer in _answers_of(plan, number)
    }
    return [n for n in numbers if not marked.isdisjoint(_answers_of(plan, n))]


def _answers_of(plan: Plan, number: int) -> tuple[int, ...]:
    return (number,) if plan.is_answer(number) else plan.answers_of(number)


def _question(question: Question) -> dict[str, Any]:
    found: dict[str, Any] = {"t": question.turns, "r": question.references}
    if question.evidences:
        found["e"] = [[e.url, e.quote] for e in question.evidences]
    return found | {"a": [], "j": [], "d": []}


def _answer(record: Any, names: dict[str, int], state: State) -> list[Any]:
    trial = record.trial
    text, facts = None, {}
    if isinstance(record, Answer):
        text, facts = record.response.text, _facts(record.response)
        if record.origin:
            facts["origin"] = record.origin
    elif isinstance(record, Failure):
        facts = {"error": f"{record.error}: {record.message}", "attempts": record.attempts}
    return [names[trial.model], trial.sample, trial.turn, state.name.lower(), text, facts]


def _judgment(
    record: Any, judges: dict[str, int], names: dict[str, int], mark: float | None
) -> list[Any]:
    trial = record.trial
    dimensions: dict[str, float] = {}
    facts: dict[str, Any] = {}
    replies: list[str] = []
    if isinstance(record, Judgment):
        replies = [ask.text for ask in record.asks]
        facts = _facts(record.asks[-1]) if record.asks else {}
        if record.verdict is not None:
            dimensions = record.verdict.dimensions
            facts |= {"source": record.verdict.source, "flags": record.verdict.flags}
    elif isinstance(record, Failure):
        replies = [ask.text for ask in record.asks]
        facts = {"error": f"{record.error}: {record.message}", "attempts": record.attempts}
    who = [judges[trial.judge], names[trial.model], trial.sample, trial.turn, trial.repeat]
    return [*who, mark, dimensions, replies, facts]


def _comparison(record: Judgment, judges: dict[str, int], names: dict[str, int]) -> list[Any]:
    trial = record.trial
    (one, sample), (two, _) = trial.candidates
    choice = record.verdict.choice if record.verdict else None
    place = [names[one], names[two], sample, trial.turn, trial.repeat, trial.position]
    return [judges[trial.judge], *place, choice, [ask.text for ask in record.asks]]


def _facts(reply: Response) -> dict[str, Any]:
    """What there is to know about a reply; what is not known, or is as usual, is left out."""
    found: dict[str, Any] = {
        "served": reply.served_model,
        "latency": round(reply.latency_s, 3),
        "attempts": reply.attempts if reply.attempts > 1 else 0,
        "cached": reply.cached,
        "thinking": reply.reasoning,
        "stop": "" if reply.stop_reason == "stop" else reply.stop_reason,
    }
    if reply.usage is not None:
        found |= {"in": reply.usage.input_tokens, "out": reply.usage.output_tokens}
    return {key: value for key, value in found.items() if value}
