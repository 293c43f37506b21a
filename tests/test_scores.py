"""Scores: AlignBench's aggregation, both policies, and what is never averaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.schema import (
    Answer,
    Benchmark,
    Failure,
    JudgeSpec,
    Judgment,
    Question,
    Response,
    Result,
    Trial,
    Verdict,
)
from engine.scores import Coverage, Row, means_of, score

SHARED = Path(__file__).parents[2] / "shared"
GROUPS = {
    "中文推理": ("数学计算", "逻辑推理"),
    "中文语言": ("基本任务", "中文理解", "综合问答", "文本写作", "角色扮演", "专业能力"),
}
SIZES = {
    "专业能力": 124,
    "角色扮演": 116,
    "数学计算": 112,
    "逻辑推理": 92,
    "文本写作": 75,
    "基本任务": 68,
    "中文理解": 58,
    "综合问答": 38,
}
JUDGE = JudgeSpec(name="judge", provider="p", model="j", rubric="r")


def benchmark(sizes: dict[str, int], groups: dict[str, tuple[str, ...]]) -> Benchmark:
    names = [category for category, n in sizes.items() for _ in range(n)]
    questions = tuple(
        Question(id=i, category=name, subcategory=name, turns=("问",))
        for i, name in enumerate(names, start=1)
    )
    return Benchmark(name="b", title="b", questions=questions, sha256="0", groups=groups)


SMALL = benchmark({"甲": 2, "乙": 1}, {})


def trial(question: int, model: str = "m", *, sample: int = 0, repeat: int = 0) -> Trial:
    return Trial(
        kind="judgment",
        question_id=question,
        candidates=((model, sample),),
        judge="judge",
        rubric="r",
        repeat=repeat,
    )


def judged(question: int, value: float | None, **where: int) -> Judgment:
    verdict = None if value is None else Verdict(value, {"清晰度": value})
    compat = -1.0 if value is None else value
    return Judgment(
        trial=trial(question, **where),  # type: ignore[arg-type]
        asks=(Response(text="x"),),
        verdict=verdict,
        compat=compat,
    )


def answered(question: int, state: str = "answered", *, simulated: bool = False) -> Answer:
    place = Trial(kind="answer", question_id=question, candidates=(("m", 0),))
    reply = Response(text="答", simulated=simulated)
    return Answer(trial=place, response=reply, state=state)  # type: ignore[arg-type]


def only_row(records: list[Result], b: Benchmark = SMALL, **options: float) -> Row:
    scores = score(b, [JUDGE], records, models=["m"], **options)  # type: ignore[arg-type]
    return scores.tables[0].rows[0]


def spread(total: int, n: int) -> list[int]:
    """n whole numbers from 1 to 10 with that sum."""
    low, more = divmod(total, n)
    return [low + 1] * more + [low] * (n - more)


def test_the_official_check_row_comes_out_to_the_last_digit() -> None:
    """683 whole scores with the sums that the CritiqueLLM service's published means imply."""
    sums = {
        "专业能力": 852,
        "中文理解": 353,
        "基本任务": 453,
        "数学计算": 549,
        "文本写作": 496,
        "综合问答": 281,
        "角色扮演": 746,
        "逻辑推理": 412,
    }
    values = [v for category, n in SIZES.items() for v in spread(sums[category], n)]
    records: list[Result] = [judged(i, float(v)) for i, v in enumerate(values, start=1)]
    row = only_row(records, benchmark(SIZES, GROUPS))
    assert row.robust == row.compat
    assert row.robust.categories["专业能力"] == 6.870967741935484
    assert row.robust.categories["逻辑推理"] == 4.478260869565218
    assert row.robust.groups == {"中文推理": 4.690023291925466, "中文语言": 6.676340667094462}
    assert row.robust.total == 5.683181979509964


@pytest.mark.shared
def test_every_published_total_follows_from_its_categories() -> None:
    """57 rows of three leaderboards, whose cells have two decimals."""
    path = SHARED / "alignbench" / "leaderboards.json"
    if not path.exists():
        pytest.skip("the published leaderboards are not here")
    boards = json.loads(path.read_text("utf-8"))
    groups = {"推理": ("数学", "逻辑"), "语言": ("基本", "中文", "综合", "写作", "角色", "专业")}
    rows = [row for board in boards.values() if isinstance(board, list) for row in board]
    assert len(rows) == 57
    for row in rows:
        cells = {c: row[c] for members in groups.values() for c in members}
        total = means_of(cells, groups).total
        assert total == pytest.approx(row["总分"], abs=0.0101)


def show_result(scores: dict[str, list[float]]) -> dict[str, float]:
    """Upstream's show_result.py without numpy, written from its text alone."""
    means = {name: sum(values) / len(values) for name, values in scores.items()}
    reasoning = sum(means[c] for c in GROUPS["中文推理"]) / 2
    language = sum(means[c] for c in GROUPS["中文语言"]) / 6
    return {
        **means,
        "中文推理": reasoning,
        "中文语言": language,
        "总分": (reasoning + language) / 2,
    }


@given(
    st.fixed_dictionaries(
        {
            name: st.lists(
                st.one_of(st.none(), st.integers(0, 100), st.sampled_from([7.25, 0.1, 9.99])),
                min_size=1,
                max_size=6,
            )
            for name in SIZES
        }
    )
)
def test_compat_is_what_upstreams_script_computes(drawn: dict[str, list[float | None]]) -> None:
    """-1 is averaged in, the category comes from the question, nothing is rounded."""
    b = benchmark({name: len(values) for name, values in drawn.items()}, GROUPS)
    flat = [v for values in drawn.values() for v in values]
    row = only_row([judged(i, v) for i, v in enumerate(flat, start=1)], b)
    theirs = show_result({n: [-1 if v is None else v for v in vs] for n, vs in drawn.items()})
    ours = {**row.compat.categories, **row.compat.groups, "总分": row.compat.total}
    assert ours == pytest.approx(theirs, abs=1e-9)


@given(st.permutations([judged(1, 3.0), judged(2, 7.1), judged(3, None)]))
def test_the_order_of_records_does_not_matter(records: list[Result]) -> None:
    """A sweep finishes in any order."""
    assert only_row(records) == only_row([judged(1, 3.0), judged(2, 7.1), judged(3, None)])


def test_an_unreadable_verdict_is_left_out_in_robust_and_minus_one_in_compat() -> None:
    """The two policies differ by exactly that."""
    row = only_row([judged(1, 8.0), judged(2, None), judged(3, 6.0)])
    assert row.robust.categories == {"甲": 8.0, "乙": 6.0}
    assert row.compat.categories == {"甲": 3.5, "乙": 6.0}
    assert (row.robust.total, row.compat.total) == (7.0, 4.75)
    assert row.coverage == Coverage(3, scored=2, unscorable=1)


def test_a_category_without_a_score_leaves_the_total_undefined() -> None:
    """A missing category is never a zero, under neither policy."""
    row = only_row([judged(1, 8.0), judged(2, 8.0)])
    assert row.robust.total is None
    assert row.compat.total is None
    assert row.robust.categories["乙"] is None


def test_a_group_of_a_category_that_is_not_there_has_no_mean() -> None:
    """As in a run over some categories only."""
    means = means_of({"数学计算": 5.0}, GROUPS)
    assert means.groups == {"中文推理": None, "中文语言": None}
    assert means.total is None


def test_every_planned_judgment_is_counted_in_exactly_one_column() -> None:
    """Scored, unscorable, refused, failed, pending."""
    b = benchmark({"甲": 6}, {})
    lost = Failure(trial=trial(4), error="BadReply", message="x")
    failed_answer = Failure(
        trial=Trial(kind="answer", question_id=5, candidates=(("m", 0),)), error="E", message="x"
    )
    records: list[Result] = [
        *(answered(1), judged(1, 5.0), answered(2, "truncated"), judged(2, None)),
        *(answered(3, "refused"), answered(4), lost, failed_answer),
    ]
    row = only_row(records, b)
    assert row.coverage == Coverage(6, scored=1, unscorable=1, refused=1, failed=2)
    assert row.coverage.pending == 1
    assert row.truncated == 1


def test_a_later_record_of_the_same_trial_supersedes_the_earlier() -> None:
    """A failed judgment that worked the next day is a judgment."""
    lost = Failure(trial=trial(1), error="Overloaded", message="x")
    rest: list[Result] = [judged(2, 5.0), judged(3, 5.0)]
    assert only_row([lost, judged(1, 5.0), *rest]).coverage.scored == 3
    assert only_row([judged(1, 4.0), judged(1, 9.0), *rest]).robust.categories["甲"] == 7.0


def test_coverage_below_the_threshold_takes_the_rank_but_not_the_number() -> None:
    """Two of three is 66 %; a reader who asks for it may still see the total."""
    row = only_row([judged(1, 8.0), judged(3, 6.0)])
    assert not row.complete
    assert row.robust.total == 7.0
    assert only_row([judged(1, 8.0), judged(3, 6.0)], min_coverage=0.6).complete


def test_samples_and_repeats_of_a_question_are_averaged_before_its_category() -> None:
    """A lost sample does not shift the weight from its question to another."""
    records: list[Result] = [
        *(judged(1, 2.0, sample=0), judged(1, 4.0, sample=1)),
        *(judged(2, 9.0, sample=0), judged(2, None, sample=1)),
        *(judged(3, 5.0, sample=0), judged(3, 5.0, sample=1)),
    ]
    row = only_row(records, samples=2)
    assert row.robust.categories == {"甲": 6.0, "乙": 5.0}
    assert row.compat.categories["甲"] == (2 + 4 + 9 - 1) / 4
    assert row.coverage.planned == 6


def test_dimension_means_count_only_verdicts_that_carry_the_dimension() -> None:
    """Dimension sets differ by type of question."""
    bare = Judgment(trial=trial(2), asks=(Response(text="7分"),), verdict=Verdict(7.0), compat=-1.0)
    row = only_row([judged(1, 4.0), bare, judged(3, 8.0)])
    assert (row.dimensions["清晰度"].mean, row.dimensions["清晰度"].n) == (6.0, 2)


def test_real_and_simulated_results_are_never_mixed() -> None:
    """Not even a simulated judge over real answers."""
    real, fake = answered(1), answered(2, simulated=True)
    with pytest.raises(DataError, match="simulated results are mixed"):
        score(SMALL, [JUDGE], [real, fake])
    with pytest.raises(DataError, match="simulated"):
        score(SMALL, [JUDGE], [fake, judged(2, 5.0)])
    assert score(SMALL, [JUDGE], [fake]).simulated
    assert not score(SMALL, [JUDGE], [real, judged(1, 5.0)]).simulated


def test_records_of_other_questions_judges_and_pairs_are_counted_and_left_out() -> None:
    """They belong to what was once asked, not to this table."""
    other = Judgment(
        trial=Trial(kind="judgment", question_id=1, candidates=(("m", 0),), judge="old"),
        asks=(),
        compat=9.0,
    )
    pair = Judgment(
        trial=Trial(kind="judgment", question_id=1, candidates=(("m", 0), ("n", 0)), judge="judge"),
        asks=(),
    )
    scores = score(SMALL, [JUDGE], [judged(1, 5.0), judged(99, 1.0), other, pair], models=["m"])
    assert scores.ignored == 3
    assert scores.tables[0].rows[0].coverage.scored == 1
