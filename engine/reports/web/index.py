"""What the script needs to know without unpacking a text: models, judges, tables, every score.

Plain JSON in the page. All names are inert already; what could end a script element, or a line of one,
is written as an escape. Scores stand question by question, `models x judges` of them, null for none.

    states  one character per question and model, the first that applies:
            p answer pending  f answer failed  r refused  x judgment failed  u no score could be read
            w judgment pending  t answer truncated  . all well
"""

from __future__ import annotations

from typing import Any

from data import codec
from data.schema import Question
from engine.cells import inert
from engine.dossier import Dossier
from engine.plan import State
from engine.reports.table import Entry, Sheet
from engine.reports.web.blocks import Which
from engine.reports.web.board import Board

TITLE = 90
"""Characters of a question in the matrix."""
_ANSWER = {State.PENDING: "p", State.ACTIVE: "p", State.FAILED: "f", State.REFUSED: "r"}
_VERDICT = {State.FAILED: "x", State.UNSCORABLE: "u", State.PENDING: "w", State.ACTIVE: "w"}
_ORDER = "pfrxuwt."


def index(board: Board, which: Which) -> bytes:
    """The whole index, ready to stand in a script element."""
    dossier = board.dossier
    run, scores = dossier.run, dossier.scores
    low, high = _scale(dossier)
    found = {
        "simulated": scores.simulated,
        "texts": which,
        "models": [inert(m.name) for m in run.sweep.models],
        "judges": [_judge(dossier, i) for i in range(len(run.sweep.judges))],
        "categories": [inert(c) for c in scores.categories],
        "groups": {inert(g): [inert(m) for m in members] for g, members in scores.groups.items()},
        "low": low,
        "high": high,
        "sheets": [_sheet(board, sheet) for sheet in board.sheets],
        **_questions(dossier),
    }
    return script_safe(codec.encode(found))


def script_safe(json: bytes) -> bytes:
    """JSON that neither ends a script element nor opens a comment in one."""
    for raw, escaped in (
        (b"<", b"\\u003c"),
        (b">", b"\\u003e"),
        (b"&", b"\\u0026"),
        ("\u2028".encode(), b"\\u2028"),
        ("\u2029".encode(), b"\\u2029"),
    ):
        json = json.replace(raw, escaped)
    return json


def _judge(dossier: Dossier, number: int) -> dict[str, Any]:
    spec = dossier.run.sweep.judges[number]
    return {"name": inert(spec.name), "rubric": inert(spec.rubric), "pairwise": spec.pairwise}


def _scale(dossier: Dossier) -> tuple[float, float]:
    """The scores that the run's rubrics allow."""
    rubrics = dossier.run.rubrics
    used = [rubrics[j.rubric] for j in dossier.run.sweep.judges if not j.pairwise]
    return min((r.low for r in used), default=1), max((r.high for r in used), default=10)


# --- tables ------------------------------------------------------------------------------------


def _sheet(board: Board, sheet: Sheet) -> dict[str, Any]:
    names = [j.name for j in board.dossier.run.sweep.judges]
    return {
        "judge": names.index(sheet.judge),
        "heads": [inert(h.name) for h in sheet.heads],
        "dimensions": [inert(d) for d in sheet.dimensions],
        "entries": [_entry(board, sheet, entry) for entry in sheet.entries],
    }


def _entry(board: Board, sheet: Sheet, entry: Entry) -> dict[str, Any]:
    interval = board.interval(sheet, entry)
    dimensions = entry.row.dimensions
    found = {
        "m": board.models[entry.model],
        "rank": entry.rank,
        "total": entry.total,
        "values": entry.values,
        "dimensions": [
            [dimensions[d].mean, dimensions[d].n] if d in dimensions else None
            for d in sheet.dimensions
        ],
    }
    sure = {key: value for key, value in codec.plain(interval).items() if value is not None}
    return found | sure


# --- questions ---------------------------------------------------------------------------------


def _questions(dossier: Dossier) -> dict[str, Any]:
    categories = {c: i for i, c in enumerate(dossier.scores.categories)}
    questions = dossier.run.benchmark.questions
    return {
        "questions": [_question(q, categories) for q in questions],
        "scores": [_scores(dossier, place) for place in range(len(questions))],
        "states": [_states(dossier, place) for place in range(len(questions))],
    }


def _question(question: Question, categories: dict[str, int]) -> list[Any]:
    """[id, category, subcategory, title]"""
    flat = " ".join(question.text[: 4 * TITLE].split())
    title = inert(flat[:TITLE] + ("…" if len(flat) > TITLE else ""))
    return [
        inert(str(question.id)),
        categories[question.category],
        inert(question.subcategory),
        title,
    ]


def _scores(dossier: Dossier, place: int) -> list[float | int | None]:
    """Mean score by model and judge: model by model, its judges in order."""
    plan, sweep = dossier.plan, dossier.run.sweep
    judges = len(sweep.judges)
    found: list[list[float]] = [[] for _ in range(len(sweep.models) * judges)]
    for number in dossier.numbers(place):
        if plan.is_answer(number) or sweep.judges[plan.judge_index(number)].pairwise:
            continue
        mark = dossier.mark(number)
        if mark is not None:
            found[plan.model_index(number) * judges + plan.judge_index(number)].append(mark)
    return [_short(sum(v) / len(v)) if v else None for v in found]


def _states(dossier: Dossier, place: int) -> str:
    """One character per model: the worst that happened. A comparison says nothing about the score of
    either answer, so comparisons count only where there is nothing else."""
    plan, judges = dossier.plan, dossier.run.sweep.judges
    pointwise = any(not j.pairwise for j in judges)
    worst = [len(_ORDER) - 1] * len(dossier.run.sweep.models)
    for number in dossier.numbers(place):
        if pointwise and not plan.is_answer(number) and judges[plan.judge_index(number)].pairwise:
            continue
        state = dossier.state(number)
        if plan.is_answer(number):
            char = _ANSWER.get(state, "t" if state is State.TRUNCATED else ".")
        else:
            char = _VERDICT.get(state, ".")
        owners = (number,) if plan.is_answer(number) else plan.answers_of(number)
        for answer in owners:
            model = plan.model_index(answer)
            worst[model] = min(worst[model], _ORDER.index(char))
    return "".join(_ORDER[w] for w in worst)


def _short(value: float) -> float | int:
    """At most three decimals; a whole number without a point."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
