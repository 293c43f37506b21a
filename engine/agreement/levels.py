"""Agreement at three levels, each with intervals over questions.

    item     all scored answers together (sample level)
    text     within each question over its models, then the mean over questions; in CritiqueLLM's
             eval_pointwise.py a question is a block of eight rows, here it is the question
    system   over models, of their mean scores; the models stay, the questions are resampled

At text level a question says nothing where a column is constant. Upstream leaves it out, which
flatters a judge that gives everybody the same; so what was left out is counted, and `tie_aware` is
Kendall's tau-b with a 0 wherever the judge is constant although the humans are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import (
    Array,
    Codes,
    Coefficients,
    Correlator,
    coefficients,
    rowwise,
    why_undefined,
)
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import estimates
from engine.agreement.sample import Sample

FEW_MODELS = 3
"""Over two models every correlation is 1 or -1, whatever the judge: it takes so many."""


class Correlations(Struct, frozen=True):
    """The three coefficients at one level."""

    pearson: Estimate
    spearman: Estimate
    kendall: Estimate


class TextLevel(Struct, frozen=True, kw_only=True):
    """Correlation within questions. `groups` are those with two answers at least."""

    mean: Correlations
    tie_aware: Estimate
    groups: int
    alone: int
    """Questions with one answer: nothing to compare within."""
    constant_x: int
    """Groups left out because the judge gave all the same (the humans did not)."""
    constant_y: int
    """Groups left out because the humans did."""


def item_level(sample: Sample) -> Correlations:
    """Over all answers together."""
    if why := why_undefined(sample.x, sample.y, sample.names):
        return _none(why, len(sample))
    correlate = Correlator(sample.x, sample.y)
    return Correlations(
        *estimates(
            lambda drawn: correlate(drawn[:, sample.question]),
            sample.questions,
            seed=sample.seed,
            rows=len(sample),
            n=len(sample),
        )
    )


def system_level(sample: Sample) -> Correlations:
    """Over the models' means. A resample without any answer of some model counts as undefined."""
    kinds = len(sample.models)
    x, y = (means[0] for means in model_means(sample, np.ones((1, sample.questions))))
    if why := why_undefined(x, y, sample.names):
        return _none(why.replace("score to all", "mean to all models"), kinds)
    if kinds < FEW_MODELS:
        return _none(
            f"{kinds} models: a correlation takes {FEW_MODELS} at least, better many more", kinds
        )

    return Correlations(
        *estimates(
            lambda drawn: rowwise(*model_means(sample, drawn)),
            sample.questions,
            seed=sample.seed,
            rows=max(len(sample), kinds**2),
            n=kinds,
        )
    )


def within_questions(sample: Sample) -> Array:
    """questions x (r, rho, tau-b) within each; NaN where a question has none."""
    found = np.full((sample.questions, 3), np.nan)
    for members in _members(sample.question):
        own = coefficients(sample.x[members], sample.y[members])
        found[sample.question[members[0]]] = _row(own)
    return found


def text_level(sample: Sample) -> TextLevel:
    """The mean of the correlations within questions."""
    found: list[Coefficients] = []
    zeros: list[float] = []
    alone = constant_x = constant_y = 0
    for members in _members(sample.question):
        x, y = sample.x[members], sample.y[members]
        own = coefficients(x, y)
        if len(members) < 2:
            alone += 1
        elif own.kendall is not None:
            found.append(own)
            zeros.append(own.kendall)
        elif (y == y[0]).all():
            constant_y += 1
        else:
            constant_x += 1
            zeros.append(0.0)
    why = _why_no_group(constant_x, constant_y, sample.names)
    return TextLevel(
        mean=_mean(found, sample.seed, why),
        tie_aware=_mean_of(zeros, sample.seed, why),
        groups=len(found) + constant_x + constant_y,
        alone=alone,
        constant_x=constant_x,
        constant_y=constant_y,
    )


# --- inside ------------------------------------------------------------------------------------


def _none(why: str, n: int) -> Correlations:
    gone = undefined(why, n)
    return Correlations(gone, gone, gone)


def _row(found: Coefficients) -> tuple[float, float, float]:
    values = (found.pearson, found.spearman, found.kendall)
    r, rho, tau = (np.nan if value is None else value for value in values)
    return r, rho, tau


def model_means(sample: Sample, drawn: Array) -> tuple[Array, Array]:
    """Each model's mean x and mean y, a row a resample; NaN where it was not drawn. Rounded, so that
    equal means are equal whatever the order of adding."""
    kinds = len(sample.models)
    member = np.zeros((len(sample), kinds))
    member[np.arange(len(sample)), sample.model] = 1.0
    weights = drawn[:, sample.question]
    counts = weights @ member
    gone = np.full_like(counts, np.nan)
    x, y = (
        np.divide((weights * column) @ member, counts, out=gone.copy(), where=counts > 0).round(9)
        for column in (sample.x, sample.y)
    )
    return x, y


def _members(codes: Codes) -> list[Codes]:
    """The row numbers of each question, questions in order."""
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return list(np.split(order, cuts)) if len(order) else []


def _why_no_group(constant_x: int, constant_y: int, names: tuple[str, str]) -> str:
    if not constant_x and not constant_y:
        return "no question has two answers to compare"
    if constant_x and constant_y:
        return f"in every question {names[0]} or {names[1]} gave the same score to all"
    return f"{names[0] if constant_x else names[1]} gave the same score to all, in every question"


def _mean(found: Sequence[Coefficients], seed: int, why: str) -> Correlations:
    columns = np.array([_row(own) for own in found]).reshape(-1, 3).T
    return Correlations(*(_mean_of(list(column), seed, why) for column in columns))


def _mean_of(values: Sequence[float], seed: int, why: str) -> Estimate:
    """The mean over groups, and its interval over groups."""
    if not values:
        return undefined(why)
    column, n = np.array(values, dtype=np.float64), len(values)
    (mean,) = estimates(lambda drawn: (drawn @ column / n)[:, None], n, seed=seed, rows=n, n=n)
    return mean
