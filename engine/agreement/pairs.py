"""Which of two answers is better: agreement on pairs, and whether a judge minds their order.

Three verdicts: the first, the second, a tie. `with_ties` is the share of pairs with the same
verdict; `without_ties` the same among pairs that neither side calls a tie (FastChat's
compute_agreement.py prints both). Scores of single answers give pairs for nothing: the higher one
wins, and scores no further apart than `tie_width` tie (FastChat uses 0.1 for its 1-10 scale).

Both orders (CritiqueLLM's eval_pairwise.py): *consistent* is a pair whose two verdicts mirror each
other, *agreeing* one that is consistent and says what people said. A verdict that could not be
read is neither. Agreement alone cannot rank judges: longer-wins is consistent always.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.human import FIRST, SECOND, TIE, Label
from data.schema import Struct
from engine.agreement.correlations import Array
from engine.agreement.estimate import Estimate, undefined
from engine.agreement.intervals import bootstrap, seed_of
from engine.agreement.sample import Sample

_MIRROR: dict[Label | None, Label | None] = {0: 1, 1: 0, 2: 2, None: None}
_COLUMNS = 4
"""Per cluster: pairs, same verdict, pairs without a tie, same verdict among those."""


class PairAgreement(Struct, frozen=True):
    """Shares of 1; `n` is how many pairs each is of."""

    with_ties: Estimate
    without_ties: Estimate


class SwapAgreement(Struct, frozen=True, kw_only=True):
    """What became of pairs that were judged in both orders. Shares are of `pairs`, unread included."""

    pairs: int
    consistency: float | None
    agreement: float | None
    true_ties: int
    """A tie in both orders."""
    first_slot: int
    """Won both times by whoever stood first, or once with a tie: position, not quality."""
    second_slot: int
    unread: int


def verdict(first: float, second: float, *, tie_width: float = 0.0) -> Label:
    """Of two scores."""
    if abs(first - second) <= tie_width:
        return TIE
    return FIRST if first > second else SECOND


def mirrored(label: Label | None) -> Label | None:
    """The same verdict when the two have changed places."""
    return _MIRROR[label]


def pair_agreement(sample: Sample, *, tie_width: float = 0.0) -> PairAgreement:
    """Over all pairs of answers to one question: does x order them as y does?"""
    counts = pair_counts(sample, tie_width=tie_width)
    return _agreement(counts, sample.seed, "no question has two answers to compare")


def pair_counts(sample: Sample, *, tie_width: float = 0.0) -> Array:
    """questions x (pairs, same verdict, pairs without a tie, same verdict among those)."""
    counts = np.zeros((sample.questions, _COLUMNS))
    for question in range(sample.questions):
        members = np.flatnonzero(sample.question == question)
        x, y = (_signs(column[members], tie_width) for column in (sample.x, sample.y))
        counts[question] = _counted(x, y)
    return counts


def label_agreement(
    verdicts: Sequence[Label], labels: Sequence[Label], clusters: Sequence[str]
) -> PairAgreement:
    """Over labelled pairs; `clusters` says which question each is about."""
    names = {name: i for i, name in enumerate(sorted(set(clusters)))}
    counts = np.zeros((len(names), _COLUMNS))
    signs = np.array([1.0, -1.0, 0.0])
    for given, label, cluster in zip(verdicts, labels, clusters, strict=True):
        row = _counted(signs[[given]], signs[[label]])
        counts[names[cluster]] += row
    seed = seed_of(sorted(zip(clusters, verdicts, labels, strict=True)))
    return _agreement(counts, seed, "no pairs to compare")


def swap_agreement(
    forward: Sequence[Label | None], backward: Sequence[Label | None], labels: Sequence[Label]
) -> SwapAgreement:
    """`backward` holds the verdicts on the same pairs with the answers' places changed, as given
    (0: whoever stands first THERE); `labels` are for the forward order. None: unreadable."""
    both = list(zip(forward, backward, strict=True))
    read = [(f, b) for f, b in both if f is not None and b is not None]
    consistent = [f is not None and mirrored(b) == f for f, b in both]
    agreeing = [c and f == y for c, (f, _), y in zip(consistent, both, labels, strict=True)]
    shifted = [(f, b) for f, b in read if mirrored(b) != f]
    return SwapAgreement(
        pairs=len(both),
        consistency=_share(sum(consistent), len(both)),
        agreement=_share(sum(agreeing), len(both)),
        true_ties=sum(f == TIE == b for f, b in read),
        first_slot=sum(FIRST in pair for pair in shifted),
        second_slot=sum(SECOND in pair for pair in shifted),
        unread=len(both) - len(read),
    )


# --- inside ------------------------------------------------------------------------------------


def _signs(values: Array, tie_width: float) -> Array:
    """1, -1 or 0 for each pair of these values."""
    first, second = np.triu_indices(len(values), k=1)
    difference = values[first] - values[second]
    return np.where(np.abs(difference) <= tie_width, 0.0, np.sign(difference))


def _counted(x: Array, y: Array) -> tuple[int, int, int, int]:
    same, decided = x == y, (x != 0) & (y != 0)
    return len(x), int(same.sum()), int(decided.sum()), int((same & decided).sum())


def _agreement(counts: Array, seed: int, nothing: str) -> PairAgreement:
    """Two ratios of sums over clusters, with intervals over those that have pairs."""
    kept = counts[counts[:, 0] > 0]
    pairs, same, decided, decided_same = (int(n) for n in kept.sum(axis=0))
    if not pairs:
        return PairAgreement(undefined(nothing), undefined(nothing))

    def shares(drawn: Array) -> Array:
        total = drawn @ kept
        gone = np.full((len(total), 2), np.nan)
        of, same = total[:, ::2], total[:, 1::2]
        return np.asarray(np.divide(same, of, out=gone, where=of > 0))

    all_pairs, without = bootstrap(shares, len(kept), seed=seed)
    return PairAgreement(
        with_ties=Estimate(value=same / pairs, n=pairs, low=all_pairs.low, high=all_pairs.high),
        without_ties=Estimate(
            value=decided_same / decided, n=decided, low=without.low, high=without.high
        )
        if decided
        else undefined("every pair is a tie to one side at least"),
    )


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None
