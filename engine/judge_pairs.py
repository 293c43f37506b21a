"""Two judges of a run on the same answers: how often they agree, and who is milder. Pure.

Over answers (question, turn, sample, model) that both have scored; repeats of a judge are averaged
first. `shift` is second minus first. Coefficients are Pearson's r, Spearman's rho (midranks) and
Kendall's tau-b, all over single answers; undefined is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from data.schema import Struct
from engine.dossier import Dossier

Pair = tuple[str, float, float]
"""(model, first judge's score, second's)."""


class ModelShift(Struct, frozen=True):
    """How much milder the second judge is with one model."""

    model: str
    n: int
    shift: float


class JudgePair(Struct, frozen=True, kw_only=True):
    """One pair of judges."""

    first: str
    second: str
    n: int
    same: float
    """Share of equal scores, of 1."""
    near: float
    """Share within one point."""
    shift: float
    pearson: float | None
    spearman: float | None
    kendall: float | None
    counts: tuple[tuple[float, float, int], ...]
    """(first's score, second's, answers); scores rounded to whole points."""
    models: tuple[ModelShift, ...]


def judge_pairs(dossier: Dossier) -> tuple[JudgePair, ...]:
    """Every pair of pointwise judges that have scored an answer both."""
    scored = _scored(dossier)
    names = [j.name for j in dossier.run.sweep.judges if not j.pairwise]
    found = []
    for first, second in combinations(names, 2):
        pairs = [
            (model, by[first], by[second]) for model, by in scored if first in by and second in by
        ]
        if pairs:
            found.append(_pair(first, second, pairs))
    return tuple(found)


def _scored(dossier: Dossier) -> list[tuple[str, dict[str, float]]]:
    """(model, judge -> mean score) of every answer."""
    plan, sweep = dossier.plan, dossier.run.sweep
    sums: dict[int, dict[str, list[float]]] = {}
    for number in range(plan.answers, len(plan)):
        judge = sweep.judges[plan.judge_index(number)]
        mark = dossier.mark(number)
        if mark is not None and not judge.pairwise:
            sums.setdefault(plan.answer_of(number), {}).setdefault(judge.name, []).append(mark)
    return [
        (sweep.models[plan.model_index(answer)].name, {j: _mean(v) for j, v in by.items()})
        for answer, by in sums.items()
    ]


def _pair(first: str, second: str, pairs: Sequence[Pair]) -> JudgePair:
    x, y = [p[1] for p in pairs], [p[2] for p in pairs]
    by_model: dict[str, list[float]] = {}
    for model, one, two in pairs:
        by_model.setdefault(model, []).append(two - one)
    counts = Counter((_whole(a), _whole(b)) for a, b in zip(x, y, strict=True))
    return JudgePair(
        first=first,
        second=second,
        n=len(pairs),
        same=_share(a == b for a, b in zip(x, y, strict=True)),
        near=_share(abs(a - b) <= 1 for a, b in zip(x, y, strict=True)),
        shift=_mean([b - a for a, b in zip(x, y, strict=True)]),
        pearson=pearson(x, y),
        spearman=pearson(midranks(x), midranks(y)),
        kendall=kendall(x, y),
        counts=tuple((a, b, n) for (a, b), n in sorted(counts.items())),
        models=tuple(ModelShift(m, len(d), _mean(d)) for m, d in by_model.items()),
    )


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Product-moment correlation; None where either does not vary."""
    mean_x, mean_y = _mean(x), _mean(y)
    xx = math.fsum((a - mean_x) ** 2 for a in x)
    yy = math.fsum((b - mean_y) ** 2 for b in y)
    if not xx or not yy:
        return None
    return math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / math.sqrt(
        xx * yy
    )


def midranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of their places."""
    rank_of: dict[float, float] = {}
    before = 0
    for value, n in sorted(Counter(values).items()):
        rank_of[value] = before + (n + 1) / 2
        before += n
    return [rank_of[value] for value in values]


def kendall(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Tau-b (Kendall 1945), from the table of distinct pairs: scores have few levels."""
    table = Counter(zip(x, y, strict=True))
    cells = sorted(table.items())
    concordant = discordant = 0
    for i, ((a, b), n) in enumerate(cells):
        for (c, d), m in cells[i + 1 :]:
            if c > a and d != b:
                if d > b:
                    concordant += n * m
                else:
                    discordant += n * m
    total = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = _tied(x), _tied(y)
    below = (total - tied_x) * (total - tied_y)
    return (concordant - discordant) / math.sqrt(below) if below else None


def _tied(values: Iterable[float]) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(values).values())


def _whole(value: float) -> float:
    return float(math.floor(value + 0.5))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found)
