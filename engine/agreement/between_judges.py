"""Two judges of one run, on the answers that both have scored.

Here the scales are (or should be) one, so agreement proper is told besides correlation: kappa,
alpha, the shift of the mean. `excess` is a model's shift beyond the mean shift of all: a judge that
favours a family shows there (a difference in differences; Panickssery et al. 2024, arXiv 2404.13076).
Length stands beside as a third judge that reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from data.schema import Struct
from engine.agreement.estimate import Estimate
from engine.agreement.levels import Correlations, TextLevel, item_level, system_level, text_level
from engine.agreement.pairs import PairAgreement, pair_agreement
from engine.agreement.reliability import krippendorff_alpha, quadratic_kappa
from engine.agreement.run_scores import Judged
from engine.agreement.sample import Pair, Sample, sample_of
from engine.agreement.shift import mean_shift, share_within


class Compared(Struct, frozen=True, kw_only=True):
    """Two columns of scores (judge against judge, or length against one) at all levels."""

    first: str
    second: str
    item: Correlations
    text: TextLevel
    system: Correlations
    pairs: PairAgreement


class Part(Struct, frozen=True, kw_only=True):
    """One category, or one model. Shifts are first - second."""

    name: str
    n: int
    item: Correlations
    kappa: Estimate
    first: float
    second: float
    """The two means."""
    shift: Estimate
    excess: float
    """The shift minus that over all."""


class BetweenJudges(Struct, frozen=True, kw_only=True):
    """All of one comparison."""

    first: str
    second: str
    n: int
    questions: int
    models: int
    one_only: int
    """Answers that only one of the two has scored."""
    compared: tuple[Compared, ...]
    """The judges; then length against each."""
    shift: Estimate
    same: Estimate
    """Share of answers with equal scores."""
    near: Estimate
    """Share within one point."""
    kappa: Estimate
    ordinal_alpha: Estimate
    interval_alpha: Estimate
    by_category: tuple[Part, ...]
    by_model: tuple[Part, ...]


def between_judges(answers: Iterable[Judged], first: str, second: str) -> BetweenJudges:
    """`first` and `second` are names of judges of the run whose answers these are."""
    seen = [a for a in answers if first in a.scores or second in a.scores]
    rows = [a for a in seen if first in a.scores and second in a.scores]
    sample = _sample(rows, first, second)
    ratings = np.stack([sample.x, sample.y])
    shift = mean_shift(sample)
    over_all = shift.value or 0.0
    return BetweenJudges(
        first=first,
        second=second,
        n=len(rows),
        questions=sample.questions,
        models=len(sample.models),
        one_only=len(seen) - len(rows),
        compared=(
            _compared(sample, first, second),
            *(_compared(_lengths(rows, judge), "length", judge) for judge in (first, second)),
        ),
        shift=shift,
        same=share_within(sample, 0.0),
        near=share_within(sample, 1.0),
        kappa=quadratic_kappa(sample),
        ordinal_alpha=krippendorff_alpha(ratings, "ordinal"),
        interval_alpha=krippendorff_alpha(ratings, "interval"),
        by_category=_parts(rows, first, second, lambda a: a.category, over_all),
        by_model=_parts(rows, first, second, lambda a: a.model, over_all),
    )


def _sample(rows: Iterable[Judged], first: str, second: str) -> Sample:
    pairs = (Pair(a.question, a.model, a.scores[first], a.scores[second]) for a in rows)
    return sample_of(pairs, (first, second))


def _lengths(rows: Iterable[Judged], judge: str) -> Sample:
    pairs = (Pair(a.question, a.model, float(a.length), a.scores[judge]) for a in rows)
    return sample_of(pairs, ("length", judge))


def _compared(sample: Sample, first: str, second: str) -> Compared:
    return Compared(
        first=first,
        second=second,
        item=item_level(sample),
        text=text_level(sample),
        system=system_level(sample),
        pairs=pair_agreement(sample),
    )


def _parts(
    rows: Sequence[Judged],
    first: str,
    second: str,
    name_of: Callable[[Judged], str],
    over_all: float,
) -> tuple[Part, ...]:
    parts: dict[str, list[Judged]] = {}
    for row in rows:
        parts.setdefault(name_of(row), []).append(row)
    return tuple(
        _part(name, _sample(own, first, second), over_all) for name, own in sorted(parts.items())
    )


def _part(name: str, sample: Sample, over_all: float) -> Part:
    shift = mean_shift(sample)
    return Part(
        name=name,
        n=len(sample),
        item=item_level(sample),
        kappa=quadratic_kappa(sample),
        first=float(sample.x.mean()),
        second=float(sample.y.mean()),
        shift=shift,
        excess=(shift.value or 0.0) - over_all,
    )
