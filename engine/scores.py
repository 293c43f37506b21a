"""Judgments in, leaderboard out: one table per judge, under two policies.

Pure arithmetic over records; nothing here is rounded or printed. The rules:

- A category's mean is over its questions; a group's over its categories; the total over the groups
  (AlignBench: (中文推理 + 中文语言) / 2, THUDM/AlignBench show_result.py), without groups over all
  categories. So one question weighs more in a small category, as its authors have it.
- **robust**: unreadable verdicts are left out and counted. Several samples or repeats of a question
  are averaged first, so a lost one does not shift the question's weight.
- **compat**: what upstream's own script prints for the same replies: every record counts once, -1
  for an unreadable one is averaged in. Sums are taken as upstream takes them, left to right.
- A mean of nothing is None, and so is everything above it: a missing category is never a zero.
- Refused and failed answers have no verdict and are not scored. Truncated ones are judged.
- Real and simulated results never meet in one `Scores`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from data.codec import replace
from data.errors import DataError
from data.schema import (
    Answer,
    Benchmark,
    EscalateRule,
    JudgeSpec,
    Judgment,
    ParsePolicy,
    QuestionId,
    Result,
    Struct,
    Trial,
    Verdict,
)
from engine.duels import DuelTable, duels
from engine.escalated import Bill, Escalated, stand_in
from engine.served import Changed, Served

MIN_COVERAGE = 0.95
"""Share of planned judgments with a score, below which a row has no rank (and shows no total)."""

# --- what comes out ----------------------------------------------------------------------------


class Means(Struct, frozen=True):
    """Unrounded means under one policy; None where any part of it has no score."""

    categories: dict[str, float | None]
    groups: dict[str, float | None]
    total: float | None


class Coverage(Struct, frozen=True):
    """Of `planned` judgments, what became of each. The parts add up to `planned`."""

    planned: int
    scored: int = 0
    unscorable: int = 0
    refused: int = 0
    """The model's answer was refused by a content filter: not judged."""
    failed: int = 0
    """The answer or the judgment ended in an error."""

    @property
    def pending(self) -> int:
        """Not there yet."""
        return self.planned - self.scored - self.unscorable - self.refused - self.failed

    @property
    def share(self) -> float:
        """Scored, of 1. Nothing planned is nothing missing."""
        return self.scored / self.planned if self.planned else 1.0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.planned + other.planned,
            self.scored + other.scored,
            self.unscorable + other.unscorable,
            self.refused + other.refused,
            self.failed + other.failed,
        )


class Dimension(Struct, frozen=True):
    """One dimension over all verdicts that carry it."""

    mean: float
    n: int


class Row(Struct, frozen=True, kw_only=True):
    """One model as one judge sees it."""

    model: str
    robust: Means
    compat: Means
    coverage: Coverage
    by_category: dict[str, Coverage]
    truncated: int
    """Judgments of answers that were cut off; they are among the scored, unscorable or pending."""
    dimensions: dict[str, Dimension]
    complete: bool
    """Covered well enough to be ranked."""
    marks: tuple[float | None, ...] = ()
    """The single scores behind the headline, None where there is none: question by question in the
    benchmark's order, in a question by turn, sample and repeat. `engine/stats/` works on these."""


class Table(Struct, frozen=True, kw_only=True):
    """One judge's leaderboard, rows in the order in which the models were given."""

    judge: str
    rubric: str
    policy: ParsePolicy
    """Which of the two means is this judge's headline."""
    rows: tuple[Row, ...]
    escalated: Escalated | None = None
    """Of a judge that was asked only where others left a doubt (`engine/escalated.py`)."""

    def headline(self, row: Row) -> Means:
        """The means under this judge's own policy."""
        return row.compat if self.policy == "compat" else row.robust


class Scores(Struct, frozen=True, kw_only=True):
    """All tables of a run."""

    benchmark: str
    benchmark_sha256: str
    categories: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    min_coverage: float
    simulated: bool
    tables: tuple[Table, ...]
    ignored: int
    """Records of questions, models or judges that are not part of what was asked for."""
    duels: tuple[DuelTable, ...] = ()
    """Of judges that compare two answers."""
    repeats: int = 1
    """Judgments per judge and answer: how `Row.marks` divides."""
    served: tuple[Changed, ...] = ()
    """Models and judges that were served in several versions."""


# --- what it is made of ------------------------------------------------------------------------

Slot = tuple[QuestionId, int, int, int]
"""(question, turn, sample, repeat): one judgment of one model by one judge."""
AnswerSlot = tuple[QuestionId, int, int]
H = TypeVar("H", bound=Hashable)


class _Verdicts:
    """What is known about one model under one judge."""

    def __init__(self) -> None:
        self.judged: dict[Slot, tuple[Verdict | None, float]] = {}
        self.failed: set[Slot] = set()


class _Answers:
    """What is known about one model's answers."""

    def __init__(self) -> None:
        self.states: dict[AnswerSlot, Literal["answered", "truncated", "refused", "failed"]] = {}


class _Intake:
    """Sorts records into models and judges; the last record of a trial counts."""

    def __init__(self, questions: Iterable[QuestionId], judges: Iterable[JudgeSpec]) -> None:
        self.questions = frozenset(questions)
        self.judges = {judge.name: 2 if judge.pairwise else 1 for judge in judges}
        """How many candidates each of them judges at once."""
        self.comparisons: list[Result] = []
        self.answers: dict[str, _Answers] = {}
        self.verdicts: dict[tuple[str, str], _Verdicts] = {}
        self.kinds: set[bool] = set()
        self.ignored = 0
        self._same: dict[Hashable, Any] = {}
        """One object for all that is equal: most models share their slots, and many verdicts are alike."""

    def add(self, record: Result) -> None:
        trial = record.trial
        together = 1 if trial.kind == "answer" else self.judges.get(trial.judge)
        if trial.question_id not in self.questions or len(trial.candidates) != together:
            self.ignored += 1
        elif together == 2:
            self.comparisons.append(record)
            if isinstance(record, Judgment):
                self.kinds.update(ask.simulated for ask in record.asks)
        elif trial.kind == "answer":
            self._add_answer(record)
        else:
            self._add_judgment(record)

    def _add_answer(self, record: Result) -> None:
        trial = record.trial
        states = self.answers.setdefault(trial.model, _Answers()).states
        slot = self._one((trial.question_id, trial.turn, trial.sample))
        if not isinstance(record, Answer):
            states[slot] = "failed"
            return
        states[slot] = record.state
        imported = bool(record.origin)
        if record.response.simulated or not imported:
            self.kinds.add(record.response.simulated)

    def _add_judgment(self, record: Result) -> None:
        trial = record.trial
        known = self.verdicts.setdefault((trial.judge, trial.model), _Verdicts())
        slot = self._one(_slot(trial))
        if not isinstance(record, Judgment):
            known.failed.add(slot)
            known.judged.pop(slot, None)
            return
        known.failed.discard(slot)
        known.judged[slot] = self._mark(record.verdict, record.compat)
        self.kinds.update(ask.simulated for ask in record.asks)

    def _mark(self, verdict: Verdict | None, compat: float) -> tuple[Verdict | None, float]:
        """What a table is made of, as far as it is looked at: scores, and those of dimensions."""
        if verdict is None:
            return None, compat
        seen = (verdict.score, tuple(verdict.dimensions.items()), compat)
        mark: tuple[Verdict, float] = self._same.setdefault(seen, (verdict, compat))
        return mark

    def _one(self, value: H) -> H:
        same: H = self._same.setdefault(value, value)
        return same


# --- public ------------------------------------------------------------------------------------


def score(
    benchmark: Benchmark,
    judges: Sequence[JudgeSpec],
    records: Iterable[Result],
    *,
    models: Sequence[str] | None = None,
    samples: int = 1,
    repeats: int = 1,
    min_coverage: float = MIN_COVERAGE,
    where: str = "results",
) -> Scores:
    """The leaderboard of `records` (answers, judgments and failures, in the order written).

    `models` fixes the rows and their order (default: as the records first name them). `where` names
    the records in an error. Raises DataError when real and simulated results are mixed.
    """
    intake = _Intake((q.id for q in benchmark.questions), judges)
    served = Served()
    for record in records:
        intake.add(record)
        served.enter(record)
    if len(intake.kinds) > 1:
        raise DataError(
            "real and simulated results are mixed; one table never holds both",
            path=where,
            how="run the simulated models and judges as a sweep of their own",
        )
    names = _models(intake) if models is None else tuple(models)
    builder = _Builder(benchmark, samples, repeats, min_coverage)
    tables = tuple(_table(judge, names, intake, builder) for judge in judges if not judge.pairwise)
    return Scores(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark.sha256,
        categories=benchmark.categories,
        groups=benchmark.groups,
        min_coverage=min_coverage,
        simulated=intake.kinds == {True},
        tables=tables,
        ignored=intake.ignored,
        duels=duels(
            judges,
            intake.comparisons,
            names,
            samples * repeats * sum(len(q.turns) for q in benchmark.questions),
        ),
        repeats=repeats,
        served=served.changes(),
    )


def means_of(categories: dict[str, float | None], groups: dict[str, tuple[str, ...]]) -> Means:
    """Category means carried up to groups and total (the check row of any published table)."""
    if not groups:
        return Means(categories, {}, _mean(list(categories.values())))
    grouped = {
        name: _mean([categories.get(category) for category in members])
        for name, members in groups.items()
    }
    return Means(categories, grouped, _mean(list(grouped.values())))


def priced(scores: Scores, bill: Bill) -> Scores:
    """With what escalation saved in money."""
    tables = [
        replace(table, escalated=bill.priced(table.escalated, table.judge))
        if table.escalated
        else table
        for table in scores.tables
    ]
    return replace(scores, tables=tuple(tables))


def _table(judge: JudgeSpec, names: Sequence[str], intake: _Intake, builder: _Builder) -> Table:
    told: Escalated | None = None
    rows = []
    for name in names:
        verdicts = intake.verdicts.get((judge.name, name), _Verdicts())
        if judge.escalate is not None:
            verdicts, mine = _escalated(verdicts, name, judge.escalate, intake)
            told = told + mine if told else mine
        answers = intake.answers.get(name, _Answers())
        rows.append(builder.row(name, answers, verdicts, judge.parse))
    return Table(
        judge=judge.name,
        rubric=judge.rubric,
        policy=judge.parse,
        rows=tuple(rows),
        escalated=told,
    )


def _escalated(
    own: _Verdicts, model: str, rule: EscalateRule, intake: _Intake
) -> tuple[_Verdicts, Escalated]:
    """What counts for a judge that others stand in for."""
    below = [intake.verdicts.get((name, model), _Verdicts()) for name in rule.judges]
    found = _Verdicts()
    found.judged, told = stand_in(own.judged, [one.judged for one in below], rule)
    found.failed = own.failed.union(*(one.failed for one in below)) - found.judged.keys()
    return found, told


# --- one row -----------------------------------------------------------------------------------


class _Builder:
    """Makes rows; holds what all rows of a table share."""

    def __init__(
        self, benchmark: Benchmark, samples: int, repeats: int, min_coverage: float
    ) -> None:
        self._benchmark, self._min_coverage = benchmark, min_coverage
        draws = [(s, r) for s in range(samples) for r in range(repeats)]
        self._slots: dict[QuestionId, list[Slot]] = {
            q.id: [(q.id, t, s, r) for t in range(len(q.turns)) for s, r in draws]
            for q in benchmark.questions
        }

    def row(
        self, model: str, answers: _Answers, verdicts: _Verdicts, policy: ParsePolicy = "robust"
    ) -> Row:
        by_category = {c: Coverage(0) for c in self._benchmark.categories}
        for question in self._benchmark.questions:
            for slot in self._slots[question.id]:
                by_category[question.category] += _fate(slot, answers, verdicts)
        coverage = sum(by_category.values(), Coverage(0))
        return Row(
            model=model,
            robust=self._means(verdicts, self._robust, _exact_mean),
            compat=self._means(verdicts, self._compat, _mean),
            coverage=coverage,
            by_category=by_category,
            truncated=self._truncated(answers),
            dimensions=self._dimensions(verdicts),
            complete=coverage.share >= self._min_coverage,
            marks=self._marks(verdicts, policy),
        )

    def _means(self, verdicts: _Verdicts, policy: _Policy, mean: _Mean) -> Means:
        values: dict[str, list[float]] = {c: [] for c in self._benchmark.categories}
        for question in self._benchmark.questions:
            values[question.category] += policy(verdicts, self._slots[question.id])
        return means_of({c: mean(v) for c, v in values.items()}, self._benchmark.groups)

    @staticmethod
    def _robust(verdicts: _Verdicts, slots: list[Slot]) -> list[float]:
        """The mean of a question's readable scores, if it has any."""
        found = [verdicts.judged[slot][0] for slot in slots if slot in verdicts.judged]
        scores = [verdict.score for verdict in found if verdict is not None]
        return [math.fsum(scores) / len(scores)] if scores else []

    @staticmethod
    def _compat(verdicts: _Verdicts, slots: list[Slot]) -> list[float]:
        """Every record's score as upstream reads it, -1 included."""
        return [verdicts.judged[slot][1] for slot in slots if slot in verdicts.judged]

    def _marks(self, verdicts: _Verdicts, policy: ParsePolicy) -> tuple[float | None, ...]:
        """Every slot's score under one policy: what cannot be read is None, or upstream's -1."""
        marks: list[float | None] = []
        for question in self._benchmark.questions:
            for slot in self._slots[question.id]:
                verdict, compat = verdicts.judged.get(slot, (None, None))
                robust = verdict.score if verdict else None
                marks.append(compat if policy == "compat" else robust)
        return tuple(marks)

    def _truncated(self, answers: _Answers) -> int:
        return sum(
            answers.states.get(slot[:3]) == "truncated"
            for question in self._benchmark.questions
            for slot in self._slots[question.id]
        )

    def _dimensions(self, verdicts: _Verdicts) -> dict[str, Dimension]:
        values: dict[str, list[float]] = {}
        for question in self._benchmark.questions:
            for slot in self._slots[question.id]:
                verdict = verdicts.judged.get(slot, (None, 0.0))[0]
                for name, value in (verdict.dimensions if verdict else {}).items():
                    values.setdefault(name, []).append(value)
        return {name: Dimension(math.fsum(v) / len(v), len(v)) for name, v in values.items()}


class _Policy(Protocol):
    """How one question's verdicts become values of its category."""

    def __call__(self, verdicts: _Verdicts, slots: list[Slot], /) -> list[float]: ...


class _Mean(Protocol):
    """How they become one number."""

    def __call__(self, values: Sequence[float], /) -> float | None: ...


def _fate(slot: Slot, answers: _Answers, verdicts: _Verdicts) -> Coverage:
    """One planned judgment, counted in exactly one column."""
    if slot in verdicts.judged:
        readable = verdicts.judged[slot][0] is not None
        return Coverage(1, scored=1) if readable else Coverage(1, unscorable=1)
    state = answers.states.get(slot[:3])
    if state == "refused":
        return Coverage(1, refused=1)
    if state == "failed" or slot in verdicts.failed:
        return Coverage(1, failed=1)
    return Coverage(1)


def _slot(trial: Trial) -> Slot:
    return (trial.question_id, trial.turn, trial.sample, trial.repeat)


def _models(intake: _Intake) -> tuple[str, ...]:
    judged = (model for _, model in intake.verdicts)
    return tuple(dict.fromkeys([*intake.answers, *judged]))


def _exact_mean(values: Sequence[float]) -> float | None:
    """The mean, its sum rounded once; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Plain mean, summed left to right as upstream does; None if empty or if any part is None."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total / len(values) if values else None
