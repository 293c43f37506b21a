"""Bradley-Terry ratings: one number per model that predicts who wins a battle. Pure.

P(i beats j) = 1 / (1 + exp(b_j - b_i)), by maximum likelihood (Bradley and Terry 1952), Newton's method.
Ratings are 1000 + 400 / ln 10 * (b_i - mean b), the scale of lm-sys/FastChat, monitor/rating_systems.py
(`compute_bt`: alpha = ln 10, scale 400, init 1000, a tie as half a win and half a loss).

Ties are either that, or have a chance of their own: P(tie) is proportional to nu sqrt(pi_i pi_j) with
pi = exp(b), nu estimated too (Davidson 1970, JASA 65:317).

A maximum exists only if nobody can be split off who never lost, or never won, against the rest (Ford
1957, American Mathematical Monthly 64:28; ties count both ways). Without one, there are no ratings.

Intervals: the middle 95 % over resamples of the questions, so that the battles fought over one question
stay together. The questions decide the seed.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Flags, Floats
from engine.stats.battles import TIE, WIN, outcomes
from engine.stats.design import Layout
from engine.stats.grid import Grid
from engine.stats.resample import resamples

CENTRE, SCALE = 1000.0, 400.0 / math.log(10)
TieRule = Literal["half", "davidson"]
TIE_RULES: tuple[TieRule, ...] = ("half", "davidson")
_STEPS, _LONGEST, _CLOSE = 200, 1.0, 1e-10
_TAIL = 0.025


class Rating(Struct, frozen=True, kw_only=True):
    """One model's; `low` and `high` bound the 95 % interval, None where resamples often have no maximum."""

    model: str
    value: float
    low: float | None
    high: float | None


class Ratings(Struct, frozen=True, kw_only=True):
    """Best first; empty with a reason if there are none."""

    ratings: tuple[Rating, ...] = ()
    battles: int = 0
    ties: int = 0
    tie_strength: float | None = None
    """Davidson's nu: of two equal models, P(tie) = nu / (2 + nu). None where ties count half."""
    reason: str = ""


def ratings(grid: Grid, rule: TieRule = "half") -> Ratings:
    """Of the ranked models, from their battles on every question that two of them have a score for."""
    rows = [i for i, complete in enumerate(grid.complete) if complete]
    names = [grid.models[row] for row in rows]
    if len(rows) < 2:
        return Ratings(reason="fewer than two ranked models")
    won, tied = tournament(grid.values[rows])
    return rated(won, tied, names, grid.layout, rule)


def rated(
    won: Floats, tied: Floats, names: list[str], layout: Layout, rule: TieRule = "half"
) -> Ratings:
    """Of these models, from who `won` and `tied` on each question: questions x models x models, row
    against column, ties in both halves."""
    wins, ties = won.sum(axis=0), tied.sum(axis=0)
    drawn_battles = int(ties.sum() / 2)
    battles = int(wins.sum()) + drawn_battles
    found, nu = fit(wins[None], ties[None], rule)
    if np.isnan(found).any():
        reason = _why_not(wins + ties / 2, names)
        return Ratings(battles=battles, ties=drawn_battles, reason=reason)
    weights = resamples(layout)
    shape = (-1, len(names), len(names))
    flat_wins, flat_ties = (part.reshape(len(part), -1) for part in (won, tied))
    drawn, _ = fit((weights @ flat_wins).reshape(shape), (weights @ flat_ties).reshape(shape), rule)
    made = [
        _rating(name, value, column)
        for name, value, column in zip(names, found[0], drawn.T, strict=True)
    ]
    return Ratings(
        ratings=tuple(sorted(made, key=lambda one: (-one.value, one.model))),
        battles=battles,
        ties=drawn_battles,
        tie_strength=float(nu[0]) if rule == "davidson" else None,
    )


def tournament(values: Floats) -> tuple[Floats, Floats]:
    """models x questions to questions x models x models: 1 where row beat column, and where they tied."""
    by_question = values.T
    results = outcomes(by_question[:, :, None] - by_question[:, None, :])
    themselves = np.eye(values.shape[0], dtype=np.bool_)
    won = np.where(results == WIN, 1.0, 0.0)
    tied = np.where((results == TIE) & ~themselves, 1.0, 0.0)
    return won, tied


def fit(wins: Floats, ties: Floats, rule: TieRule = "half") -> tuple[Floats, Floats]:
    """Log strengths with mean 0 for a stack of tournaments, and nu; NaN where there is no maximum.

    `wins` and `ties` are stack x models x models: row against column, ties in both halves.
    """
    fits = _connected(wins + ties)
    strengths = np.full(wins.shape[:2], np.nan)
    nu = np.full(wins.shape[0], np.nan)
    own_chance = (ties.sum(axis=(1, 2)) > 0) if rule == "davidson" else np.zeros_like(fits)
    if rule == "davidson":
        fits &= wins.sum(axis=(1, 2)) > 0
    plain, with_ties = fits & ~own_chance, fits & own_chance
    if plain.any():
        strengths[plain] = _fit_half((wins + ties / 2)[plain])
        nu[plain] = 0.0
    if with_ties.any():
        strengths[with_ties], nu[with_ties] = _fit_davidson(wins[with_ties], ties[with_ties])
    return strengths, nu


def _fit_half(wins: Floats) -> Floats:
    games = wins + wins.transpose(0, 2, 1)
    strengths = np.zeros(wins.shape[:2])
    for _ in range(_STEPS):
        chance = _logistic(strengths[:, :, None] - strengths[:, None, :])
        gradient = (wins - games * chance).sum(axis=2)
        step = _newton_step(games * chance * (1 - chance), gradient)
        strengths += step
        if np.abs(step).max() < _CLOSE:
            break
    return strengths


def _fit_davidson(wins: Floats, ties: Floats) -> tuple[Floats, Floats]:
    """An exponential family: (wins - losses) / 2 speak for a strength, ties for log nu."""
    games = wins + wins.transpose(0, 2, 1) + ties
    margin = (wins - wins.transpose(0, 2, 1)) / 2
    models = wins.shape[1]
    point = np.zeros((wins.shape[0], models + 1))
    for _ in range(_STEPS):
        gap = (point[:, :models, None] - point[:, None, :models]) / 2
        nu = np.exp(point[:, models])[:, None, None]
        whole = np.exp(gap) + np.exp(-gap) + nu
        lead, tie = 2 * np.sinh(gap) / whole, nu / whole
        gradient = np.empty_like(point)
        gradient[:, :models] = (margin - games * lead / 2).sum(axis=2)
        gradient[:, models] = (ties - games * tie).sum(axis=(1, 2)) / 2
        cross = -(games * lead * tie).sum(axis=2) / 2
        corner = (games * tie * (1 - tie)).sum(axis=(1, 2)) / 2
        step = _newton_step(games * (1 - tie - lead**2) / 4, gradient, cross, corner)
        point += step
        if np.abs(step).max() < _CLOSE:
            break
    point[np.abs(step).max(axis=1) >= _CLOSE] = np.nan  # such as ties alone between two groups
    return point[:, :models], np.exp(point[:, models])


def _newton_step(
    curvature: Floats, gradient: Floats, cross: Floats | None = None, corner: Floats | None = None
) -> Floats:
    """Solve for the step; no coordinate moves by more than 1, strengths keep their mean of 0."""
    stack, models = curvature.shape[:2]
    size = gradient.shape[1]
    hessian = np.zeros((stack, size, size))
    hessian[:, :models, :models] = 1 / models - curvature
    diagonal = np.arange(models)
    off_diagonal = curvature.sum(axis=2) - curvature[:, diagonal, diagonal]
    hessian[:, diagonal, diagonal] = 1 / models + off_diagonal
    if cross is not None and corner is not None:
        hessian[:, :models, models] = hessian[:, models, :models] = cross
        hessian[:, models, models] = corner
    step: Floats = _solved(hessian, gradient[..., None])[..., 0]
    longest = np.abs(step).max(axis=1, keepdims=True)
    shortened: Floats = step * np.minimum(1.0, _LONGEST / np.maximum(longest, _LONGEST))
    return shortened


def _solved(hessian: Floats, gradient: Floats) -> Floats:
    """Where a tournament has no maximum its curvature vanishes on the way: then the shortest step."""
    try:
        return np.asarray(np.linalg.solve(hessian, gradient))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(hessian, hermitian=True) @ gradient)


def _connected(beats: Floats) -> Flags:
    """Can everybody be reached from everybody along wins?"""
    models = beats.shape[1]
    reach: Flags = np.logical_or(beats > 0, np.eye(models, dtype=np.bool_))
    for _ in range(max(models - 1, 1).bit_length()):
        steps: Floats = reach.astype(np.float64)
        reach = np.less(0.0, steps @ steps, dtype=np.bool_)
    found: Flags = np.all(reach, axis=(1, 2))
    return found


def _logistic(x: Floats) -> Floats:
    found: Floats = 0.5 * (1 + np.tanh(x / 2))
    return found


def _rating(model: str, value: float, drawn: Floats) -> Rating:
    """An end of the interval is known only if fewer resamples than its tail have no maximum."""
    known = drawn[~np.isnan(drawn)]
    low = high = None
    if known.size >= (1 - _TAIL) * drawn.size:
        low, high = (CENTRE + SCALE * np.quantile(known, [_TAIL, 1 - _TAIL])).tolist()
    return Rating(model=model, value=CENTRE + SCALE * float(value), low=low, high=high)


def _why_not(points: Floats, names: list[str]) -> str:
    always = [n for n, lost in zip(names, points.sum(axis=0), strict=True) if not lost]
    never = [n for n, won in zip(names, points.sum(axis=1), strict=True) if not won]
    if always or never:
        who, what = (always[0], "never lost") if always else (never[0], "never won")
        return f"{who} {what} a battle: its rating would be infinite"
    return "some models never lost to any of the others: the ratings would be infinite"
