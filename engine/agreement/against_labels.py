"""A judge of single answers, or only the baselines, beside human labels of pairs.

A judge that scores single answers orders pairs by its scores, so order cannot mislead it; a
baseline is also shown each pair with the places changed, as a judge of pairs would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.errors import ConfigError
from data.human import HumanFile, Label
from data.schema import Struct
from engine.agreement.baselines import PAIRWISE
from engine.agreement.joined import Labelled
from engine.agreement.pairs import (
    PairAgreement,
    SwapAgreement,
    label_agreement,
    swap_agreement,
    verdict,
)


class Voted(Struct, frozen=True, kw_only=True):
    """One label, the lengths of the two answers, and their scores if a judge gave some."""

    question: str
    category: str
    label: Label
    lengths: tuple[int, int]
    scores: tuple[float, float] | None = None


class LabelPredictor(Struct, frozen=True, kw_only=True):
    """A judge or a baseline on all pairs. `swap`: None for a judge of single answers."""

    name: str
    pairs: PairAgreement
    swap: SwapAgreement | None = None
    upstream: SwapAgreement | None = None
    """What upstream's script makes of the file as it is, rows 2k and 2k+1 taken for twins."""


class LabelCategory(Struct, frozen=True, kw_only=True):
    """One category: the first predictor, and longer-wins beside it."""

    category: str
    pairs: PairAgreement
    longer: PairAgreement


class AgainstLabels(Struct, frozen=True, kw_only=True):
    """All of one comparison."""

    name: str
    n: int
    questions: int
    labels: tuple[int, int, int]
    """How often the first, the second, neither."""
    without_verdict: int
    predictors: tuple[LabelPredictor, ...]
    categories: tuple[LabelCategory, ...]


Rule = Callable[[Voted], Label]


def judge_against_labels(judge: str, labelled: Sequence[Labelled]) -> AgainstLabels:
    """A judge of a run; pairs of which it has not scored both answers are counted."""
    rows = [
        Voted(
            question=row.question,
            category=row.first.category,
            label=row.label,
            lengths=(row.first.length, row.second.length),
            scores=(row.first.scores[judge], row.second.scores[judge]),
        )
        for row in labelled
        if judge in row.first.scores and judge in row.second.scores
    ]
    own = _predictor(judge, rows, _by_scores)
    return _comparison(judge, rows, _by_scores, [own], len(labelled) - len(rows), blocks=False)


def baselines_against_labels(file: HumanFile) -> AgainstLabels:
    """The baselines on a human file that holds the answers' texts. Raises ConfigError if not."""
    rows = [
        Voted(
            question=row.question_id or row.question,
            category=row.category,
            label=row.label,
            lengths=(len(row.responses[0]), len(row.responses[1])),
        )
        for row in file.pairs
        if row.responses is not None
    ]
    if not rows:
        raise ConfigError(
            "no answers in this file, so they have no length",
            where=file.path,
            how="give a run (alignsweep agree RUN --human FILE), or columns response_a, response_b",
        )
    return _comparison("", rows, _rule("longer wins"), [], 0, blocks=file.blocks)


# --- inside ------------------------------------------------------------------------------------


def _by_scores(row: Voted) -> Label:
    assert row.scores is not None
    return verdict(*row.scores)


def _rule(name: str) -> Rule:
    return lambda row: PAIRWISE[name](*row.lengths)


def _comparison(
    name: str,
    rows: list[Voted],
    first: Rule,
    judged: list[LabelPredictor],
    without_verdict: int,
    *,
    blocks: bool,
) -> AgainstLabels:
    parts: dict[str, list[Voted]] = {}
    for row in rows:
        parts.setdefault(row.category, []).append(row)
    return AgainstLabels(
        name=name,
        n=len(rows),
        questions=len({row.question for row in rows}),
        labels=tuple(sum(row.label == label for row in rows) for label in (0, 1, 2)),  # type: ignore[arg-type]
        without_verdict=without_verdict,
        predictors=(*judged, *(_baseline(baseline, rows, blocks) for baseline in PAIRWISE)),
        categories=tuple(
            LabelCategory(
                category=category,
                pairs=_agreement(own, first),
                longer=_agreement(own, _rule("longer wins")),
            )
            for category, own in parts.items()
        ),
    )


def _predictor(name: str, rows: list[Voted], rule: Rule) -> LabelPredictor:
    return LabelPredictor(name=name, pairs=_agreement(rows, rule))


def _baseline(name: str, rows: list[Voted], blocks: bool) -> LabelPredictor:
    forward = [PAIRWISE[name](*row.lengths) for row in rows]
    backward = [PAIRWISE[name](*row.lengths[::-1]) for row in rows]
    labels = [row.label for row in rows]
    whole = len(rows) // 2 * 2
    return LabelPredictor(
        name=name,
        pairs=_agreement(rows, _rule(name)),
        swap=swap_agreement(forward, backward, labels),
        upstream=swap_agreement(forward[0:whole:2], forward[1:whole:2], labels[0:whole:2])
        if blocks
        else None,
    )


def _agreement(rows: list[Voted], rule: Rule) -> PairAgreement:
    return label_agreement(
        [rule(row) for row in rows], [row.label for row in rows], [row.question for row in rows]
    )
