"""A map from a judge's scale to the humans', with the error it makes on questions it has not seen.

Two maps: the least-squares line, and the best rising staircase (isotonic regression by pooling
adjacent violators; between its knots straight, beyond them flat). A map that rises changes no
ranking; it makes two judges' scores, or a judge's and a person's, comparable. The error is that of
cross-validation: questions are dealt into folds, and each is predicted from the others. It stands
beside the error of predicting the mean for all, which is what a useless judge allows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.schema import Struct
from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import estimates
from engine.agreement.sample import Sample

FOLDS = 10


class Map(Struct, frozen=True):
    """Straight between its knots; flat beyond them unless it is a line, which goes on."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    line: bool = False


class Calibration(Struct, frozen=True, kw_only=True):
    """One map, what it says for each score the judge gave, and its cross-validated errors."""

    kind: str
    table: tuple[tuple[float, float], ...]
    rmse: Estimate
    mae: Estimate


Fit = Callable[[Array, Array], Map]


def constant(_x: Array, y: Array) -> Map:
    """The mean, whatever the judge says."""
    return Map((0.0,), (float(y.mean()),))


def linear(x: Array, y: Array) -> Map:
    """Least squares; flat where x is constant."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if not spread:
        return constant(x, y)
    slope = float(centred @ y) / spread
    ends = (float(x.min()), float(x.max()))
    middle = float(y.mean()), float(x.mean())
    return Map(ends, tuple(middle[0] + slope * (end - middle[1]) for end in ends), line=True)


def isotonic(x: Array, y: Array) -> Map:
    """The rising step values nearest to y in squares (Barlow et al. 1972), one knot a value of x."""
    xs, codes = np.unique(x, return_inverse=True)
    counts = np.bincount(codes)
    pools: list[tuple[float, int, int]] = []  # (mean, rows, values of x)
    for total, count in zip(np.bincount(codes, y), counts, strict=True):
        mean, rows, width = float(total) / int(count), int(count), 1
        while pools and pools[-1][0] >= mean:
            left, left_rows, left_width = pools.pop()
            mean = (left * left_rows + mean * rows) / (left_rows + rows)
            rows, width = rows + left_rows, width + left_width
        pools.append((mean, rows, width))
    ys = [mean for mean, _, width in pools for _ in range(width)]
    return Map(tuple(map(float, xs)), tuple(ys))


FITS: dict[str, Fit] = {"the mean": constant, "line": linear, "isotonic": isotonic}


def apply(fitted: Map, x: Array) -> Array:
    """The human score that each judge score stands for."""
    if fitted.line:
        (x0, x1), (y0, y1) = fitted.x, fitted.y
        return np.asarray(y0 + (x - x0) * ((y1 - y0) / (x1 - x0)))
    return np.asarray(np.interp(x, fitted.x, fitted.y))


def out_of_fold(sample: Sample, fit: Fit) -> Array | None:
    """Each row predicted from the questions of the other folds; None where there are too few."""
    folds = min(FOLDS, sample.questions)
    if folds < 2:
        return None
    fold = sample.question % folds
    predicted = np.empty(len(sample))
    for number in range(folds):
        held = fold == number
        predicted[held] = apply(fit(sample.x[~held], sample.y[~held]), sample.x[held])
    return predicted


def calibration(sample: Sample, kind: str) -> Calibration:
    """Fit one of FITS on all rows, and say how far it is off on questions it has not seen."""
    fit = FITS[kind]
    seen = np.unique(sample.x)
    table = apply(fit(sample.x, sample.y), seen) if len(seen) else seen
    predicted = out_of_fold(sample, fit)
    if predicted is None:
        gone = undefined("it takes answers to two questions", len(sample))
        rmse = mae = gone
    else:
        rmse, mae = _errors(sample, predicted - sample.y)
    return Calibration(
        kind=kind,
        table=tuple((float(x), float(y)) for x, y in zip(seen, table, strict=True)),
        rmse=rmse,
        mae=mae,
    )


def _errors(sample: Sample, errors: Array) -> tuple[Estimate, Estimate]:
    def both(drawn: Array) -> Array:
        w = drawn[:, sample.question]
        total = w.sum(axis=1)
        return np.stack([np.sqrt(w @ errors**2 / total), w @ np.abs(errors) / total], axis=1)

    n = len(sample)
    rmse, mae = estimates(both, sample.questions, seed=sample.seed, rows=n, n=n)
    return rmse, mae
