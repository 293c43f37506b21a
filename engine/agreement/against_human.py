"""A judge beside human scores, or only the baselines: everything that is told about it.

Baselines are part of every comparison. Where there is no judge (a human file alone), they are all
there is; then a CritiqueLLM file is also grouped as upstream's script groups it, in blocks of eight
rows, to show what that script prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data.codec import replace
from data.human import HumanFile
from data.schema import Struct
from engine.agreement.calibration import FITS, Calibration, calibration, out_of_fold
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.joined import Scored
from engine.agreement.levels import Correlations, TextLevel, item_level, system_level, text_level
from engine.agreement.pairs import PairAgreement, pair_agreement
from engine.agreement.ppi import Anchored, prediction_powered
from engine.agreement.rated import (
    BLOCK,
    Column,
    Rated,
    baseline_columns,
    by_category,
    judge_column,
    rated_by,
    rated_in,
    sampled,
    sampled_in_blocks,
    vote_key,
)
from engine.agreement.reliability import krippendorff_alpha, quadratic_kappa
from engine.agreement.run_scores import Judged
from engine.agreement.sample import Sample


class Predictor(Struct, frozen=True, kw_only=True):
    """A judge or a baseline against the humans, at all levels."""

    name: str
    item: Correlations
    text: TextLevel
    system: Correlations
    pairs: PairAgreement
    """Pairs of answers to one question, ordered by score."""


class CategoryRow(Struct, frozen=True, kw_only=True):
    """One category: the first predictor (the judge, if there is one), and length beside it."""

    category: str
    n: int
    item: Correlations
    text: TextLevel
    length: Correlations


class Blocks(Struct, frozen=True, kw_only=True):
    """Text level as upstream's script groups the rows of a file, for one predictor."""

    name: str
    text: TextLevel
    categories: tuple[tuple[str, TextLevel], ...]


class Annotators(Struct, frozen=True, kw_only=True):
    """Krippendorff's alpha among the people themselves: no judge can be expected to do better."""

    people: int
    ordinal: Estimate
    interval: Estimate


class AgainstHuman(Struct, frozen=True, kw_only=True):
    """All of one comparison. What needs a judge is empty where there is none."""

    name: str
    """The judge; empty: baselines alone."""
    n: int
    questions: int
    models: int
    human_range: tuple[float, float]
    predictors: tuple[Predictor, ...]
    categories: tuple[CategoryRow, ...]
    annotators: Annotators | None
    """None where one person scored everything."""
    without_verdict: int = 0
    upstream: tuple[Blocks, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    kappa: Estimate | None = None
    """Quadratic, of the better map's out-of-fold predictions, each rounded to a score people gave."""
    anchored: dict[str, Anchored] = {}
    """By model: the humans' mean of all its answers, estimated."""


def judge_against_human(
    judge: str, scored: Sequence[Scored], file: HumanFile, answers: Iterable[Judged]
) -> AgainstHuman:
    """A judge of a run; `answers` are all of the run's, for those without a human score."""
    rows = rated_by(judge, scored)
    sample = sampled(rows, judge_column, judge)
    maps = tuple(calibration(sample, kind) for kind in FITS) if rows else ()
    return replace(
        _comparison(rows, {judge: judge_column, **baseline_columns()}, judge, file),
        without_verdict=len(scored) - len(rows),
        calibrations=maps,
        kappa=_kappa(sample, maps),
        anchored=_anchored(judge, scored, answers),
    )


def baselines_against_human(file: HumanFile) -> AgainstHuman:
    """The baselines on a human file alone. Raises ConfigError if it holds no answers' texts."""
    rows, columns = rated_in(file), baseline_columns()
    found = _comparison(rows, columns, "", file)
    if not file.blocks:
        return found
    return replace(found, upstream=tuple(_upstream(rows, c, name) for name, c in columns.items()))


# --- what is told ------------------------------------------------------------------------------


def _comparison(
    rows: list[Rated], columns: Mapping[str, Column], judge: str, file: HumanFile
) -> AgainstHuman:
    first, length = next(iter(columns)), columns["length"]
    humans = [row.human for row in rows]
    return AgainstHuman(
        name=judge,
        n=len(rows),
        questions=len({row.question for row in rows}),
        models=len({row.model for row in rows}),
        human_range=(min(humans, default=0.0), max(humans, default=0.0)),
        predictors=tuple(_predictor(sampled(rows, c, name), name) for name, c in columns.items()),
        categories=tuple(
            CategoryRow(
                category=category,
                n=len(own),
                item=item_level(sampled(own, columns[first], first)),
                text=text_level(sampled(own, columns[first], first)),
                length=item_level(sampled(own, length, "length")),
            )
            for category, own in by_category(rows).items()
        ),
        annotators=_annotators(file),
    )


def _predictor(sample: Sample, name: str) -> Predictor:
    return Predictor(
        name=name,
        item=item_level(sample),
        text=text_level(sample),
        system=system_level(sample),
        pairs=pair_agreement(sample),
    )


def _upstream(rows: Sequence[Rated], column: Column, name: str) -> Blocks:
    return Blocks(
        name=name,
        text=_in_blocks(rows, column, name),
        categories=tuple(
            (category, _in_blocks(own, column, name)) for category, own in by_category(rows).items()
        ),
    )


def _in_blocks(rows: Sequence[Rated], column: Column, name: str) -> TextLevel:
    found = text_level(sampled_in_blocks(rows, column, name))
    if len(rows) >= BLOCK:
        return found
    gone = undefined(f"{len(rows)} rows make no block of {BLOCK}", len(rows))
    return replace(found, mean=Correlations(gone, gone, gone), tie_aware=gone)


def _annotators(file: HumanFile) -> Annotators | None:
    people = {name: i for i, name in enumerate(sorted({row.annotator for row in file.scores}))}
    if len(people) < 2:
        return None
    things = {key: i for i, key in enumerate(dict.fromkeys(map(vote_key, file.scores)))}
    ratings = np.full((len(people), len(things)), np.nan)
    for row in file.scores:
        ratings[people[row.annotator], things[vote_key(row)]] = row.score
    return Annotators(
        people=len(people),
        ordinal=krippendorff_alpha(ratings, "ordinal"),
        interval=krippendorff_alpha(ratings, "interval"),
    )


def _kappa(sample: Sample, maps: Sequence[Calibration]) -> Estimate:
    """After calibration, because judge and people seldom share a scale."""
    errors = {c.kind: c.rmse.value for c in maps if c.kind != "the mean"}
    usable = {kind: error for kind, error in errors.items() if error is not None}
    predicted = out_of_fold(sample, FITS[min(usable, key=usable.__getitem__)]) if usable else None
    if predicted is None:
        return undefined("no cross-validated map to the humans' scale", len(sample))
    given = np.unique(sample.y)
    nearest = given[np.abs(predicted[:, None] - given[None, :]).argmin(axis=1)]
    return quadratic_kappa(sample.with_x(nearest, "the calibrated judge"))


def _anchored(
    judge: str, scored: Sequence[Scored], answers: Iterable[Judged]
) -> dict[str, Anchored]:
    """Per model; several samples or turns of a question are one observation, their mean."""
    labelled: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in scored:
        if judge in row.answer.scores:
            own = labelled.setdefault(row.answer.model, {})
            own.setdefault(row.answer.question, []).append((row.human, row.answer.scores[judge]))
    rest: dict[str, dict[str, list[float]]] = {model: {} for model in labelled}
    for answer in answers:
        known = labelled.get(answer.model)
        if known is not None and answer.question not in known and judge in answer.scores:
            rest[answer.model].setdefault(answer.question, []).append(answer.scores[judge])
    found = {}
    for model in sorted(labelled):
        both = np.array([np.mean(votes, axis=0) for votes in labelled[model].values()])
        others = np.array([np.mean(scores) for scores in rest[model].values()], dtype=np.float64)
        found[model] = prediction_powered(both[:, 0], both[:, 1], others)
    return found
