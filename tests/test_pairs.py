"""Agreement on pairs, with ties told from position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.human import Label
from engine.agreement.pairs import (
    label_agreement,
    mirrored,
    pair_agreement,
    swap_agreement,
    verdict,
)
from engine.agreement.sample import Pair
from tests.score_columns import sample


def test_pairs_by_score_count_ties_apart() -> None:
    """Three answers, three pairs: one right, one tied by the judge alone, one wrong."""
    found = pair_agreement(
        sample([Pair("q", m, x, y) for m, x, y in (("a", 5, 1), ("b", 5, 2), ("c", 4, 3))])
    )
    assert (found.with_ties.value, found.with_ties.n) == (0.0, 3)
    right = pair_agreement(
        sample([Pair("q", m, x, y) for m, x, y in (("a", 1, 1), ("b", 2, 2), ("c", 2, 3))])
    )
    assert right.with_ties.value == pytest.approx(2 / 3)
    assert (right.without_ties.value, right.without_ties.n) == (1.0, 2)


def test_scores_tie_within_the_width_given() -> None:
    """As FastChat does for its ten points."""
    assert [verdict(5, 5.1, tie_width=0.2), verdict(5, 5.1), verdict(6, 5)] == [2, 1, 0]


LABELS = st.sampled_from([0, 1, 2])


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30))
def test_label_agreement_is_symmetric_and_one_with_itself(votes: list[tuple[Label, Label]]) -> None:
    """Who is called judge and who human changes nothing about the share."""
    given_, labels = ([v[i] for v in votes] for i in (0, 1))
    clusters = [str(i) for i in range(len(votes))]
    one, other = (
        label_agreement(given_, labels, clusters),
        label_agreement(labels, given_, clusters),
    )
    assert one.with_ties.value == other.with_ties.value
    assert one.without_ties.value == other.without_ties.value
    assert label_agreement(labels, labels, clusters).with_ties.value == 1.0


@given(st.lists(st.tuples(LABELS, LABELS), max_size=30))
def test_agreeing_in_both_orders_is_never_more_than_consistent(
    votes: list[tuple[Label, Label]],
) -> None:
    """And a judge whose verdicts mirror each other is consistent always."""
    forward, labels = ([v[i] for v in votes] for i in (0, 1))
    backward = [mirrored(v) for v in forward]
    found = swap_agreement(forward, backward, labels)
    if not votes:
        assert found.consistency is None
        return
    assert found.consistency == 1.0
    assert found.agreement == pytest.approx(np.mean([f == y for f, y in votes]))
    assert found.first_slot == found.second_slot == 0


def test_position_bias_is_told_from_true_ties_and_from_what_could_not_be_read() -> None:
    """Five pairs: first slot twice, a tie twice, second slot twice, unread once, and both times."""
    found = swap_agreement([0, 2, 1, None, None], [0, 2, 1, 1, None], [0, 2, 1, 0, 0])
    assert (found.first_slot, found.second_slot, found.true_ties, found.unread) == (1, 1, 1, 2)
    assert (found.consistency, found.agreement) == (0.2, 0.2)
