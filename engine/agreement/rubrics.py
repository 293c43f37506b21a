"""Several rubrics (or judges) against the same human scores: which one is nearest to people? Pure.

Only answers that every one of them scored are compared, so that none has the easier ones. All figures
come from the same resamples of the questions: a resample that is kind to one judge is kind to all, and
what they share cancels out of a difference (paired bootstrap: Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, ch. 10 and 15). The p value of a difference d is

    2 min(share of resamples with d* <= 0, with d* >= 0)        each as (1 + hits) / (1 + resamples)

corrected by Holm over all pairs of judges, measure by measure. The measures:

    item     Pearson's r over all answers together
    text     Spearman's rho within questions, the mean over those questions where it exists
    system   Pearson's r over the models' means
    pairs    share of pairs of answers ordered as people do, ties of either side left out
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import Array, Correlator, rowwise
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import MIN_CLUSTERS, MIN_DEFINED, interval_of, resampled
from engine.agreement.joined import Scored
from engine.agreement.levels import FEW_MODELS, model_means, within_questions
from engine.agreement.pairs import pair_counts
from engine.agreement.rated import HUMAN, Column, Rated, baseline_columns
from engine.agreement.sample import Pair, Sample, sample_of
from engine.stats.holm import holm

MEASURES = ("item", "text", "system", "pairs")
_PEARSON, _SPEARMAN = 0, 1


class RubricRow(Struct, frozen=True, kw_only=True):
    """One judge, or a baseline (whose `rubric` is empty). `measures` go by MEASURES."""

    name: str
    rubric: str
    measures: tuple[Estimate, ...]
    without_verdict: int = 0
    """Answers with a human score that this judge has not scored."""


class RubricDifference(Struct, frozen=True, kw_only=True):
    """By how much `first` is nearer to people than `second`, measure by measure; below 0: further."""

    first: str
    second: str
    measures: tuple[Estimate, ...]
    p: tuple[float | None, ...]
    p_holm: tuple[float | None, ...]


class RubricTable(Struct, frozen=True, kw_only=True):
    """All of one comparison; rows in the order given, baselines last."""

    n: int
    questions: int
    models: int
    human_range: tuple[float, float]
    left_out: int
    """Answers with a human score that not all of the judges scored."""
    rows: tuple[RubricRow, ...]
    differences: tuple[RubricDifference, ...]


def compare_rubrics(judges: Sequence[tuple[str, str]], scored: Sequence[Scored]) -> RubricTable:
    """`judges`: (name, rubric) of each; there are two or more."""
    names = [name for name, _ in judges]
    common = [row for row in scored if all(name in row.answer.scores for name in names)]
    samples = {name: _sample(common, name) for name in names}
    for name, column in baseline_columns().items():
        samples[name] = _baseline(common, column, name)
    columns = _Columns(samples)
    rubric_of = dict(judges)
    humans = [row.human for row in common]
    return RubricTable(
        n=len(common),
        questions=len({row.answer.question for row in common}),
        models=len({row.answer.model for row in common}),
        human_range=(min(humans, default=0.0), max(humans, default=0.0)),
        left_out=len(scored) - len(common),
        rows=tuple(
            RubricRow(
                name=name,
                rubric=rubric_of.get(name, ""),
                measures=tuple(columns.estimate(name, m) for m in range(len(MEASURES))),
                without_verdict=sum(name not in row.answer.scores for row in scored)
                if name in rubric_of
                else 0,
            )
            for name in samples
        ),
        differences=_differences(columns, names),
    )


class _Columns:
    """Every judge's every measure, for the data as they are and for each resample."""

    def __init__(self, samples: dict[str, Sample]) -> None:
        first = next(iter(samples.values()))
        self._n = len(first)
        self._why = _why_not(first)
        self._place = {name: i for i, name in enumerate(samples)}
        gone = np.full((1, len(samples), len(MEASURES)), np.nan)
        self._whole, self._drawn = gone[0], gone
        if self._n:
            parts = [_Measured(sample) for sample in samples.values()]

            def statistic(drawn: Array) -> Array:
                return np.concatenate([part(drawn) for part in parts], axis=1)

            shape = (-1, len(samples), len(MEASURES))
            self._whole = statistic(np.ones((1, first.questions))).reshape(shape)[0]
            if first.questions >= MIN_CLUSTERS:
                drawn = resampled(statistic, first.questions, seed=first.seed, rows=self._n)
                self._drawn = drawn.reshape(shape)

    def estimate(self, name: str, measure: int) -> Estimate:
        place = self._place[name]
        return self._told(
            self._whole[place, measure], self._drawn[:, place, measure], measure, name
        )

    def difference(self, first: str, second: str, measure: int) -> tuple[Estimate, float | None]:
        a, b = self._place[first], self._place[second]
        drawn = self._drawn[:, a, measure] - self._drawn[:, b, measure]
        value = self._whole[a, measure] - self._whole[b, measure]
        return self._told(value, drawn, measure, f"{first} and {second}"), _p(drawn)

    def _told(self, value: float, drawn: Array, measure: int, who: str) -> Estimate:
        if self._why[measure]:
            return undefined(self._why[measure], self._n)
        if not np.isfinite(value):
            return undefined(f"{who}: too little spread for a number", self._n)
        ends = interval_of(drawn)
        return Estimate(value=float(value), n=self._n, low=ends.low, high=ends.high)


class _Measured:
    """One judge's four measures under any weights of the questions."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        flat = (sample.x == sample.x[0]).all() or (sample.y == sample.y[0]).all()
        self._correlate = None if flat else Correlator(sample.x, sample.y)
        within = within_questions(sample)[:, _SPEARMAN]
        self._there = np.isfinite(within).astype(np.float64)
        self._within = np.nan_to_num(within)
        self._pairs = pair_counts(sample)

    def __call__(self, drawn: Array) -> Array:
        """A row (item, text, system, pairs) for each row of weights."""
        item = np.full(len(drawn), np.nan)
        if self._correlate is not None:
            item = self._correlate(drawn[:, self._sample.question])[:, _PEARSON]
        text = _divided(drawn @ self._within, drawn @ self._there)
        system = rowwise(*model_means(self._sample, drawn))[:, _PEARSON]
        counts = drawn @ self._pairs
        return np.stack([item, text, system, _divided(counts[:, 3], counts[:, 2])], axis=1)


# --- inside ------------------------------------------------------------------------------------


def _sample(rows: Sequence[Scored], judge: str) -> Sample:
    pairs = (
        Pair(row.answer.question, row.answer.model, row.answer.scores[judge], row.human)
        for row in rows
    )
    return sample_of(pairs, (judge, HUMAN))


def _baseline(rows: Sequence[Scored], column: Column, name: str) -> Sample:
    rated = [
        Rated(
            question=row.answer.question,
            model=row.answer.model,
            category=row.answer.category,
            human=row.human,
            length=row.answer.length,
        )
        for row in rows
    ]
    pairs = (Pair(r.question, r.model, column(r) or 0.0, r.human) for r in rated)
    return sample_of(pairs, (name, HUMAN))


def _why_not(sample: Sample) -> tuple[str, ...]:
    """By measure, why no judge at all can have it; empty where they can."""
    if not len(sample):
        return ("no answer was scored by all of them",) * len(MEASURES)
    few = (
        f"{len(sample.models)} models: a correlation takes {FEW_MODELS} at least, better many more"
    )
    alone = "" if pair_counts(sample)[:, 0].any() else "no question has two answers to compare"
    return ("", alone, few if len(sample.models) < FEW_MODELS else "", alone)


def _differences(columns: _Columns, names: Sequence[str]) -> tuple[RubricDifference, ...]:
    pairs = list(combinations(names, 2))
    found = [[columns.difference(a, b, m) for m in range(len(MEASURES))] for a, b in pairs]
    corrected = [holm([row[m][1] for row in found]) for m in range(len(MEASURES))]
    return tuple(
        RubricDifference(
            first=a,
            second=b,
            measures=tuple(guess for guess, _ in row),
            p=tuple(p for _, p in row),
            p_holm=tuple(column[i] for column in corrected),
        )
        for i, ((a, b), row) in enumerate(zip(pairs, found, strict=True))
    )


def _p(drawn: Array) -> float | None:
    """Two-sided; None where the difference often does not exist."""
    kept = drawn[np.isfinite(drawn)]
    if not len(kept) or len(kept) < MIN_DEFINED * len(drawn):
        return None
    tails = [(1 + int(hits.sum())) / (1 + len(kept)) for hits in (kept <= 0, kept >= 0)]
    return float(min(1.0, 2 * min(tails)))


def _divided(part: Array, whole: Array) -> Array:
    gone = np.full(part.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=gone, where=whole > 0))
