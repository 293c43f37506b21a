"""What others published or measured about agreement, reproduced to the digit.

Sources: the two leaderboards of 17 models in AlignBench's README; CritiqueLLM's samples of human
scores and what its own scripts print on them; table 5 of AlignBench's paper.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from data.human import read_human
from engine.agreement.against_human import AgainstHuman, baselines_against_human
from engine.agreement.against_labels import baselines_against_labels
from engine.agreement.leaderboards import compare_boards, load_board
from engine.agreement.levels import Correlations
from engine.agreement.pairs import mirrored, swap_agreement
from engine.agreement.study import outcome, sign_test

SHARED = Path(__file__).parents[2] / "shared" / "critiquellm"
real_scores = pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/critiquellm")

BOARDS = {
    "总分": (0.9851, 0.9945, 0.9668, -0.175, 0.70),
    "推理": (0.9870, 0.9798, 0.9078, -0.250, 1.06),
    "数学计算": (0.9839, 0.9461, 0.8382, -0.235, 1.07),
    "逻辑推理": (0.9710, 0.9657, 0.8971, -0.265, 1.04),
    "语言": (0.9806, 0.9626, 0.8782, -0.100, 0.36),
    "基本任务": (0.9263, 0.8908, 0.7408, -0.159, 0.91),
    "中文理解": (0.9637, 0.9515, 0.8444, -0.109, 0.68),
    "综合问答": (0.9697, 0.8557, 0.7361, -0.178, 0.92),
    "文本写作": (0.9597, 0.9209, 0.7897, 0.075, 0.62),
    "角色扮演": (0.9804, 0.9847, 0.9373, -0.090, 0.49),
    "专业能力": (0.9716, 0.9583, 0.8529, -0.133, 0.58),
}
"""Pearson, Spearman, Kendall-b, mean of CritiqueLLM - GPT-4, largest difference."""


def three(found: Correlations) -> tuple[float | None, ...]:
    """Rounded to three digits."""
    values = (found.pearson.value, found.spearman.value, found.kendall.value)
    return tuple(None if v is None else round(v, 3) + 0.0 for v in values)


def pointwise(based: str) -> AgainstHuman:
    """The baselines on one sample of scores."""
    path = SHARED / "pointwise" / f"alignbench_reference_{based}_sample.jsonl"
    return baselines_against_human(read_human(path))


def test_the_two_published_leaderboards_agree_as_measured_elsewhere() -> None:
    """Eleven columns to four digits."""
    found = compare_boards(load_board("alignbench"))
    assert (found.first, found.second, found.models) == ("gpt-4-0613", "CritiqueLLM", 17)
    columns = {}
    for column in found.columns:
        own = column.correlations
        values = (own.pearson.value, own.spearman.value, own.kendall.value)
        assert column.difference.value is not None
        columns[column.name] = (
            *(round(v, 4) for v in values if v is not None),
            round(column.difference.value, 3),
            round(column.largest, 2),
        )
    assert columns == BOARDS


def test_ranks_change_where_they_were_seen_to() -> None:
    """Two swaps, and a shared rank that is split; chatglm-turbo goes against the trend."""
    found = compare_boards(load_board("alignbench"))
    assert [(c.model, c.first, c.second) for c in found.rank_changes] == [
        ("gpt-3.5-turbo-0613", (5, 5), (6, 6)),
        ("chatglm-pro（智谱清言）", (6, 6), (5, 5)),
        ("chatglm3-6b", (10, 11), (11, 11)),
        ("baichuan2-7b-chat", (10, 11), (10, 10)),
        ("internlm-chat-7b", (15, 15), (16, 16)),
        ("Chinese-llama-2-7b-chat", (16, 16), (15, 15)),
    ]
    top8 = list(found.differences.items())[:8]
    assert [m for m, d in top8 if d > 0] == ["chatglm-turbo（智谱清言）"]
    assert found.differences["chatglm-turbo（智谱清言）"] == pytest.approx(0.12)


@pytest.mark.shared
@real_scores
@pytest.mark.parametrize(
    ("based", "item", "system", "blocks"),
    [
        ("based", (0.344, 0.318, 0.267), (-0.032, 0.048, 0.0), (0.389, 0.367, 0.333)),
        ("free", (-0.063, -0.058, -0.047), (0.275, 0.024, 0.071), (-0.062, -0.052, -0.048)),
    ],
)
def test_length_agrees_with_humans_as_measured_elsewhere(
    based: str, item: tuple[float, ...], system: tuple[float, ...], blocks: tuple[float, ...]
) -> None:
    """A point per 80 characters, through upstream's own script, on a hundred scored answers."""
    found = pointwise(based)
    own = {p.name: p for p in found.predictors}["length, 1 to 10"]
    assert (found.n, found.models) == (100, 8)
    assert three(own.item) == item
    assert three(own.system) == system
    assert three({b.name: b for b in found.upstream}["length, 1 to 10"].text.mean) == blocks


@pytest.mark.shared
@real_scores
def test_where_upstreams_script_crashes_ours_says_why() -> None:
    """A constant judge, and a category of six rows, which fills no block of eight."""
    found = pointwise("free")
    constant = {p.name: p for p in found.predictors}["constant"]
    assert constant.item.pearson.why == "constant gave the same score to all"
    assert constant.item.pearson.value is None
    categories = dict(found.upstream[0].categories)
    assert categories["中文理解"].mean.spearman.why == "6 rows make no block of 8"
    assert found.upstream[2].text.mean.pearson.value is None


@pytest.mark.shared
@real_scores
@pytest.mark.parametrize(
    ("based", "accuracy", "shipped"), [("based", 0.51, (0.24, 0.54)), ("free", 0.53, (0.26, 0.46))]
)
def test_the_longer_answer_wins_as_often_as_measured_elsewhere(
    based: str, accuracy: float, shipped: tuple[float, float]
) -> None:
    """Accuracy; agreement and consistency with swapped twins, and on the rows as they are."""
    path = SHARED / "pairwise" / f"alignbench_reference_{based}_sample.jsonl"
    found = baselines_against_labels(read_human(path))
    longer, first, tie = found.predictors
    assert longer.pairs.with_ties.value == pytest.approx(accuracy)
    assert longer.swap is not None
    assert longer.swap.agreement == pytest.approx(accuracy)
    assert longer.swap.consistency == 1.0
    assert longer.upstream is not None
    assert (longer.upstream.agreement, longer.upstream.consistency) == shipped
    assert first.swap is not None
    assert (first.swap.agreement, first.swap.consistency) == (0.0, 0.0)
    assert first.pairs.with_ties.value == (0.5 if based == "based" else 0.6)
    assert tie.pairs.without_ties.why == "every pair is a tie to one side at least"


@pytest.mark.shared
@real_scores
@pytest.mark.parametrize(("based", "shipped"), [("based", 0.48), ("free", 0.40)])
def test_even_an_oracle_fails_on_rows_that_are_no_twins(based: str, shipped: float) -> None:
    """Which is why positions in a file mean nothing here; with twins it is perfect."""
    pairs = read_human(SHARED / "pairwise" / f"alignbench_reference_{based}_sample.jsonl").pairs
    labels = [pair.label for pair in pairs]
    found = swap_agreement(labels[::2], labels[1::2], labels[::2])
    assert (found.agreement, found.consistency) == (shipped, shipped)
    twins = swap_agreement(labels, [mirrored(label) for label in labels], labels)
    assert (twins.agreement, twins.consistency) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "of_planned", "of_given", "rate", "p", "missing"),
    [
        (217, 94, 155, 12.4, 13.30, 58.3, 0.0015, 34),
        (241, 102, 139, 20.4, 21.16, 63.4, 1.9e-7, 18),
        (186, 167, 147, 7.8, 7.8, 55.9, 0.037, 0),
    ],
)
def test_the_published_study_of_explanations_is_counted_with_both_denominators(
    wins: int,
    ties: int,
    losses: int,
    of_planned: float,
    of_given: float,
    rate: float,
    p: float,
    missing: int,
) -> None:
    """The margins that the paper prints are of 500, although 34 and 18 comparisons are missing."""
    found = outcome(wins, ties, losses, planned=500)
    assert found.margin_of_planned is not None
    assert found.margin_of_given is not None
    assert found.win_rate is not None
    assert found.p is not None
    assert round(100 * found.margin_of_planned, 1) == of_planned
    assert round(100 * found.margin_of_given, 2) == pytest.approx(of_given, abs=0.005)
    assert round(100 * found.win_rate, 1) == rate
    assert found.p == pytest.approx(p, rel=0.04)
    assert found.missing == missing


def test_the_sign_test_is_exact_and_bounded() -> None:
    """By hand for small numbers; without an overflow for large ones."""
    assert sign_test(0, 0) is None
    assert sign_test(3, 3) == 1.0
    assert sign_test(0, 5) == 2 / 32
    assert sign_test(1, 7) == sign_test(7, 1) == 2 * 9 / 256
    large = sign_test(60_00, 50_00)
    assert large is not None
    assert 0 < large < 1e-20
    assert not math.isnan(large)
