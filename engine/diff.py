"""What changed from one run to another: who and what was asked, the scores, coverage and cost.

Runs are compared where they meet: models and judges by name, questions by id, verdicts by trial. Means
are those of each run's own tables, so they are comparable only as far as `warnings` is empty; what
moved, and how surely, is taken on the questions that both runs scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from data.codec import replace
from data.schema import Answer, Struct
from engine.dossier import Dossier
from engine.figures import percent
from engine.identity import compare
from engine.reports.table import Entry, Sheet, sheets
from engine.reports.uncertainty import Interval, Intervals, intervals
from engine.stats.stratified import Estimate

TOLERANCE = 0.01
"""Difference of coverage that is nothing to remark on."""


class Questions(Struct, frozen=True, kw_only=True):
    """The two benchmarks, question by question."""

    common: int
    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    """Same id, other words (of the question, its reference or its category)."""


class Answers(Struct, frozen=True, kw_only=True):
    """Answers of common models to common questions."""

    common: int
    same: int
    """Of those, how many have the very same text."""


class Verdicts(Struct, frozen=True, kw_only=True):
    """One judge's scores of the same trials in both runs."""

    judge: str
    common: int
    same: int
    shift: float | None
    """Mean of the second run's score minus the first's."""


class Line(Struct, frozen=True, kw_only=True):
    """One model as one judge sees it in both runs. `total` is a number in each; differences are b - a."""

    judge: str
    model: str
    rank: tuple[str, str]
    total: tuple[float | None, float | None]
    difference: float | None
    bounds: tuple[Interval | None, Interval | None]
    columns: dict[str, float | None]
    """Group or category -> difference of means."""
    coverage: tuple[float, float]
    moved: Estimate | None = None
    """The change of the total on the questions that both runs scored, with its 95 % interval."""


class Cost(Struct, frozen=True, kw_only=True):
    """One currency, in nano-units; requests whose price is unknown are in neither."""

    currency: str
    before: int
    after: int


class Diff(Struct, frozen=True, kw_only=True):
    """Everything that changed from the first run to the second."""

    runs: tuple[str, str]
    run_ids: tuple[str, str]
    identical: bool
    """Same digest: all that decides results is the same."""
    warnings: tuple[str, ...]
    configuration: tuple[str, ...]
    models: tuple[tuple[str, ...], tuple[str, ...]]
    """Removed, added."""
    judges: tuple[tuple[str, ...], tuple[str, ...]]
    questions: Questions
    answers: Answers
    verdicts: tuple[Verdicts, ...]
    scores: tuple[Line, ...]
    requests: tuple[int, int]
    costs: tuple[Cost, ...]


def diff(a: Dossier, b: Dossier) -> Diff:
    """What changed from `a` to `b`."""
    change = compare(a.run.sweep, b.run.sweep)
    asked = _questions(a, b)
    return Diff(
        runs=(a.run.sweep.name, b.run.sweep.name),
        run_ids=(a.run.header.run_id, b.run.header.run_id),
        identical=a.run.header.digest == b.run.header.digest,
        warnings=tuple(_warnings(a, b, asked)),
        configuration=(*change.refused, *change.grown, *change.other),
        models=_moved([m.name for m in a.run.sweep.models], [m.name for m in b.run.sweep.models]),
        judges=_moved([j.name for j in a.run.sweep.judges], [j.name for j in b.run.sweep.judges]),
        questions=asked,
        answers=_answers(a, b),
        verdicts=tuple(_verdicts(a, b)),
        scores=tuple(_lines(a, b)),
        requests=(_requests(a), _requests(b)),
        costs=tuple(_costs(a, b)),
    )


# --- what was asked ----------------------------------------------------------------------------


def _warnings(a: Dossier, b: Dossier, asked: Questions) -> Iterator[str]:
    """Why the scores of the two may not be compared as they stand."""
    if a.scores.simulated != b.scores.simulated:
        yield "one of the two is simulated"
    if asked.removed or asked.added or asked.changed:
        yield "the questions differ"
    rubrics = [
        {j.name: d.run.sweep.rubric_sha256[j.rubric] for j in d.run.sweep.judges} for d in (a, b)
    ]
    for name in rubrics[0]:
        if rubrics[1].get(name, rubrics[0][name]) != rubrics[0][name]:
            yield f"judge {name} was asked with another rubric"
    shares = [_share(d) for d in (a, b)]
    if abs(shares[0] - shares[1]) > TOLERANCE:
        yield f"not the same share is scored ({percent(shares[0])} -> {percent(shares[1])})"
    policies = [{t.judge: t.policy for t in d.scores.tables} for d in (a, b)]
    for name, policy in policies[0].items():
        if policies[1].get(name, policy) != policy:
            yield f"judge {name} is read under another policy"


def _share(dossier: Dossier) -> float:
    """Of all planned judgments, how many have a score."""
    rows = [row.coverage for table in dossier.scores.tables for row in table.rows]
    planned = sum(c.planned for c in rows)
    return sum(c.scored for c in rows) / planned if planned else 1.0


def _questions(a: Dossier, b: Dossier) -> Questions:
    before = {q.id: q for q in a.run.benchmark.questions}
    after = {q.id: q for q in b.run.benchmark.questions}
    common = [i for i in before if i in after]
    return Questions(
        common=len(common),
        removed=tuple(str(i) for i in before if i not in after),
        added=tuple(str(i) for i in after if i not in before),
        changed=tuple(str(i) for i in common if before[i] != after[i]),
    )


def _moved(before: Sequence[str], after: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (
        tuple(name for name in before if name not in after),
        tuple(name for name in after if name not in before),
    )


# --- what came back ----------------------------------------------------------------------------


def _answers(a: Dossier, b: Dossier) -> Answers:
    common = same = 0
    with a.texts() as before, b.texts() as after:
        for number in range(a.plan.answers):
            other = b.plan.number(a.plan.trial(number))
            if other is None:
                continue
            one, two = before.at(number), after.at(other)
            if isinstance(one, Answer) and isinstance(two, Answer):
                common += 1
                same += one.response.text == two.response.text
    return Answers(common=common, same=same)


def _verdicts(a: Dossier, b: Dossier) -> Iterator[Verdicts]:
    pairs: dict[str, list[tuple[float, float]]] = {
        t.judge: [] for t in a.scores.tables if t.judge in {u.judge for u in b.scores.tables}
    }
    for number in range(a.plan.answers, len(a.plan)):
        before = a.mark(number)
        trial = a.plan.trial(number) if before is not None else None
        other = b.plan.number(trial) if trial is not None else None
        after = b.mark(other) if other is not None else None
        if before is not None and after is not None and trial is not None and trial.judge in pairs:
            pairs[trial.judge].append((before, after))
    for judge, found in pairs.items():
        shift = math.fsum(y - x for x, y in found) / len(found) if found else None
        same = sum(x == y for x, y in found)
        yield Verdicts(judge=judge, common=len(found), same=same, shift=shift)


def _lines(a: Dossier, b: Dossier) -> Iterator[Line]:
    """Judges and models of both runs, in the order of the second's table."""
    sure = [intervals(d.scores, d.run.benchmark) for d in (a, b)]
    shifts = _moved_totals(a, b)
    first = {sheet.judge: sheet for sheet in sheets(a.scores)}
    for sheet in sheets(b.scores):
        if sheet.judge not in first:
            continue
        before = {entry.model: entry for entry in first[sheet.judge].entries}
        for entry in sheet.entries:
            if entry.model in before:
                line = _line(first[sheet.judge], before[entry.model], sheet, entry, sure)
                yield replace(line, moved=shifts.get((sheet.judge, entry.model)))


def _moved_totals(a: Dossier, b: Dossier) -> dict[tuple[str, str], Estimate]:
    """By (judge, model), over the questions that are the same in both."""
    from engine.stats.grid import grids
    from engine.stats.moved import moved

    before = {q.id: q for q in a.run.benchmark.questions}
    common = {q.id for q in b.run.benchmark.questions if before.get(q.id) == q}
    old = {grid.judge: grid for grid in grids(a.scores, a.run.benchmark)}
    return {
        (grid.judge, model): moved(old[grid.judge], grid, model, common)
        for grid in grids(b.scores, b.run.benchmark)
        if grid.judge in old
        for model in grid.models
        if model in old[grid.judge].models
    }


def _line(sheet_a: Sheet, a: Entry, sheet_b: Sheet, b: Entry, sure: Sequence[Intervals]) -> Line:
    old = dict(zip((h.name for h in sheet_a.heads), a.values, strict=True))
    new = dict(zip((h.name for h in sheet_b.heads), b.values, strict=True))
    key = (sheet_b.judge, b.model)
    return Line(
        judge=sheet_b.judge,
        model=b.model,
        rank=(a.rank, b.rank),
        total=(a.total, b.total),
        difference=_minus(b.total, a.total),
        bounds=(sure[0].get(key), sure[1].get(key)),
        columns={name: _minus(new[name], old[name]) for name in new if name in old},
        coverage=(a.coverage.share, b.coverage.share),
    )


def _minus(b: float | None, a: float | None) -> float | None:
    return None if a is None or b is None else b - a


def _requests(dossier: Dossier) -> int:
    return sum(party.requests for party in dossier.parties)


def _costs(a: Dossier, b: Dossier) -> Iterator[Cost]:
    codes = sorted({code for d in (a, b) for party in d.parties for code in party.booked})
    for code in codes:
        before, after = (sum(p.booked.get(code, 0) for p in d.parties) for d in (a, b))
        yield Cost(currency=code, before=before, after=after)
