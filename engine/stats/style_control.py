"""Bradley-Terry ratings at equal style. Pure.

Style control of Chatbot Arena (lm-sys/FastChat, monitor/rating_systems.py, `fit_contextual_bt`):

    logit P(a beats b) = ln 10 (r_a - r_b) + z beta        z = (s_a - s_b) / (s_a + s_b + 1), scaled

for the features s of `style.py`, minimising the log loss (a tie is half a win) plus 0.25 (|r|² + |beta|²),
as there. Features are scaled by their root mean square and not centred, so that it does not matter which
model is called a. Ratings are 1000 + 400 r; their error is the sandwich's, with all battles over one
question as one cluster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Floats, Ints, summed
from engine.stats.battles import outcomes
from engine.stats.bradley_terry import Rating
from engine.stats.design import Layout
from engine.stats.grid import Grid
from engine.stats.style import FEATURES, Style, Styles

RIDGE = 0.5
_ALPHA = math.log(10)
_Z = NormalDist().inv_cdf(0.975)
_STEPS, _LONGEST, _CLOSE = 200, 1.0, 1e-9


class StyleControlled(Struct, frozen=True, kw_only=True):
    """Ratings at equal style, best first, and what each feature is worth (in logits per scaled unit)."""

    ratings: tuple[Rating, ...] = ()
    effects: dict[str, float] = {}
    reason: str = ""


class Contest(Struct, frozen=True, eq=False):
    """Battles one under the other: who fought (places), who won, the style's difference, the question."""

    first: Ints
    second: Ints
    results: Floats
    features: Floats
    """battles x features."""
    question: Ints


def style_controlled(grid: Grid, styles: Styles) -> StyleControlled:
    """Ratings of the ranked models from all battles for which both answers are known."""
    rows = [i for i, complete in enumerate(grid.complete) if complete]
    if len(rows) < 2:
        return StyleControlled(reason="fewer than two ranked models")

    def results(i: int, j: int) -> Floats:
        return outcomes(grid.values[rows[i]] - grid.values[rows[j]])

    names = [grid.models[row] for row in rows]
    return controlled(results, names, grid.layout, styles)


def controlled(
    results: Callable[[int, int], Floats], names: Sequence[str], layout: Layout, styles: Styles
) -> StyleControlled:
    """Of these models; `results` of two of them, by place: the first one's share of each question's
    points, NaN where they did not meet."""
    contest = _contest(results, names, layout, styles)
    if not contest.results.size:
        return StyleControlled(reason="no battle between answers that are known")
    point, covariance = fit_style(contest, len(names))
    errors = np.sqrt(np.diag(covariance))
    made = [
        Rating(
            model=model,
            value=1000 + 400 * r,
            low=1000 + 400 * (r - _Z * error),
            high=1000 + 400 * (r + _Z * error),
        )
        for model, r, error in zip(names, point.tolist(), errors.tolist(), strict=False)
    ]
    return StyleControlled(
        ratings=tuple(sorted(made, key=lambda one: (-one.value, one.model))),
        effects=dict(zip(FEATURES, point[len(names) :].tolist(), strict=True)),
    )


def fit_style(contest: Contest, models: int, ridge: float = RIDGE) -> tuple[Floats, Floats]:
    """(r of each model, beta of each feature), and their covariance."""
    point = np.zeros(models + contest.features.shape[1])
    for _ in range(_STEPS):
        gradient, hessian, _ = _slopes(contest, models, point, ridge)
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, _LONGEST / np.abs(step).max(initial=_LONGEST))
        point += step
        if np.abs(step).max() < _CLOSE:
            break
    _, hessian, errors = _slopes(contest, models, point, ridge)
    pulls = _pulls(contest, models, errors)
    inverse = np.linalg.inv(hessian)
    clusters = len(pulls)
    correction = clusters / max(clusters - 1, 1)
    return point, correction * inverse @ (pulls.T @ pulls) @ inverse


def _slopes(
    contest: Contest, models: int, point: Floats, ridge: float
) -> tuple[Floats, Floats, Floats]:
    """Gradient and negative Hessian of the penalised log likelihood, and each battle's error."""
    first, second, z = contest.first, contest.second, contest.features
    logits = _ALPHA * (point[first] - point[second]) + z @ point[models:]
    chance = 0.5 * (1 + np.tanh(logits / 2))
    errors = contest.results - chance
    weight = chance * (1 - chance)
    gradient = -ridge * point
    gradient[:models] += _ALPHA * _signed(contest, models, errors)
    gradient[models:] += z.T @ errors
    hessian = ridge * np.eye(point.size)
    one_way = summed(first * models + second, weight, models**2).reshape(models, models)
    met = one_way + one_way.T
    hessian[:models, :models] += _ALPHA**2 * (np.diag(met.sum(axis=1)) - met)
    cross = [_signed(contest, models, weight * column) for column in z.T]
    hessian[:models, models:] = _ALPHA * np.array(cross).reshape(-1, models).T
    hessian[models:, :models] = hessian[:models, models:].T
    hessian[models:, models:] += z.T @ (weight[:, None] * z)
    return gradient, hessian, errors


def _signed(contest: Contest, models: int, amounts: Floats) -> Floats:
    """Summed by model: what the first gains, the second loses."""
    return summed(contest.first, amounts, models) - summed(contest.second, amounts, models)


def _pulls(contest: Contest, models: int, errors: Floats) -> Floats:
    """questions x parameters: what each question's battles pull at."""
    questions = int(contest.question.max()) + 1
    pulls = np.zeros((questions, models + contest.features.shape[1]))
    np.add.at(pulls, (contest.question, contest.first), _ALPHA * errors)
    np.add.at(pulls, (contest.question, contest.second), -_ALPHA * errors)
    np.add.at(pulls[:, models:], contest.question, errors[:, None] * contest.features)
    return pulls


def _contest(
    results_of: Callable[[int, int], Floats],
    names: Sequence[str],
    layout: Layout,
    styles: Styles,
) -> Contest:
    known = _style_array(names, layout, styles)
    parts: list[tuple[Ints, Ints, Floats, Floats, Ints]] = []
    for i, j in combinations(range(len(names)), 2):
        results = results_of(i, j)
        there = np.flatnonzero(~np.isnan(results) & ~np.isnan(known[[i, j]]).any(axis=(0, 2)))
        a, b = known[i, there], known[j, there]
        places = np.full(there.size, i), np.full(there.size, j)
        parts.append((*places, results[there], (a - b) / (a + b + 1), there))
    first, second, results, features, question = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    scale = np.sqrt((features**2).sum(axis=0) / max(len(features), 1))
    return Contest(first, second, results, features / np.where(scale > 0, scale, 1.0), question)


def _style_array(names: Sequence[str], layout: Layout, styles: Styles) -> Floats:
    """models x questions x features; NaN where an answer is not known."""
    unknown = Style(*(math.nan,) * len(FEATURES))
    return np.array(
        [
            [
                [getattr(style, name) for name in FEATURES]
                for style in (
                    styles.of(model, question) or unknown for question in layout.questions
                )
            ]
            for model in names
        ]
    )
