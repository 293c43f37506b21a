"""How long replies are expected to be: from references, and from those that came."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import (
    Answer,
    Benchmark,
    JudgeSpec,
    Judgment,
    ModelSpec,
    Question,
    Response,
    Sweep,
    Usage,
)
from engine.estimate import MIDDLE, Size, Vocabulary
from engine.expectation import ENOUGH, VERDICT, Expectation, Replies, Seen, Shapes, expectation
from engine.plan import Plan
from engine.workload import Range, WorkStage

WORDS = Vocabulary(MIDDLE, MIDDLE)
LENGTHS = (10, 100, 300, 1000)
"""Characters of the references, question by question."""


def plan(lengths: tuple[int, ...] = LENGTHS) -> Plan:
    """One model, one judge, a question for each reference."""
    questions = tuple(
        Question(i, "c", "s", ("问",), ("字" * length,) if length else ())
        for i, length in enumerate(lengths)
    )
    sweep = Sweep(
        name="s",
        benchmark="b",
        benchmark_sha256="",
        rubric_sha256={},
        temperatures={},
        models=(ModelSpec(name="m", provider="p", model="m"),),
        judges=(JudgeSpec(name="j", provider="p", model="j", rubric="r"),),
        providers=(),
    )
    return Plan(sweep, Benchmark("b", "b", questions, ""))


def reply(tokens: int, characters: int = 10, latency_s: float = 0.0) -> Response:
    usage = Usage(input_tokens=5, output_tokens=tokens)
    return Response(text="字" * characters, usage=usage, latency_s=latency_s)


def expected(
    replies: Replies, shapes: Shapes, stage: WorkStage = "answers", cap: int | None = None
) -> Expectation:
    return expectation(replies, shapes.of, WORDS, stage=stage, basis=shapes.basis, cap=cap)


def learned(plan: Plan, tokens: list[int], characters: list[int] | None = None) -> Replies:
    """Replies to the questions in turn."""
    replies = Replies()
    texts = characters or [10] * len(tokens)
    for number, count, length in zip(cycle(range(plan.answers)), tokens, texts, strict=False):
        replies.add(number, reply(count, length))
    return replies


def test_before_any_came_an_answer_is_as_long_as_its_reference_suggests() -> None:
    """Half as many tokens at the least; max_tokens at the worst, or nothing known."""
    shapes = Shapes(plan())
    fresh = expected(Replies(), shapes)
    lengths = [fresh.output(shapes.of(number)).likely for number in range(4)]
    assert lengths == pytest.approx([0.802 * (65 + 0.67 * n) for n in LENGTHS])
    assert fresh.output(shapes.of(0)).low == lengths[0] / 2
    assert fresh.output(shapes.of(0)).worst is None
    assert (fresh.basis, fresh.seen, fresh.measured_s) == ("references", 0, None)


def test_without_references_all_answers_are_alike() -> None:
    """And it is said that this is no more than a default."""
    shapes = Shapes(plan((0, 0)))
    assert shapes.basis == "default"
    assert shapes.of(0) == shapes.of(1)


def test_a_verdict_takes_the_same_whatever_it_is_about() -> None:
    """About 400 tokens."""
    here = plan()
    shapes = Shapes(here)
    assert {shapes.of(number) for number in range(4, 8)} == {VERDICT}
    fresh = expected(Replies(), shapes, "judgments")
    assert fresh.output(VERDICT).likely == pytest.approx(400, abs=1)
    assert fresh.output(VERDICT).low == pytest.approx(100, abs=1)


def test_no_reply_is_longer_than_max_tokens() -> None:
    """Neither likely nor at the least."""
    shapes = Shapes(plan())
    assert expected(Replies(), shapes, cap=20).output(shapes.of(3)) == Range(20, 20, 20)


def test_a_few_replies_are_not_believed() -> None:
    """One short of enough changes nothing; enough changes everything."""
    here = plan()
    shapes = Shapes(here)
    before = expected(Replies(), shapes)
    assert expected(learned(here, [7] * (ENOUGH - 1)), shapes) == before
    after = expected(learned(here, [7] * ENOUGH), shapes)
    assert (after.basis, after.seen) == ("seen", ENOUGH)
    assert after.output(shapes.of(1)).likely < 20


def test_lengths_that_follow_the_references_go_on_following_them() -> None:
    """Learned from short ones, a long one is still expected to be long."""
    here = plan()
    shapes = Shapes(here)
    sizes = [WORDS.tokens(shapes.of(number)) for number in range(4)]
    tokens = [round(2 * size) for size in sizes[:3]] * 10
    replies = Replies()
    for number, count in zip(cycle(range(3)), tokens, strict=False):
        replies.add(number, reply(count))
    assert expected(replies, shapes).output(shapes.of(3)).likely == pytest.approx(
        2 * sizes[3], rel=0.05
    )


def test_lengths_that_follow_nothing_come_to_their_mean() -> None:
    """With many of them: the slope is nearly gone."""
    here = plan()
    shapes = Shapes(here)
    many = expected(learned(here, [200] * 2000), shapes)
    assert many.output(shapes.of(0)).likely == pytest.approx(200, rel=0.05)
    assert many.output(shapes.of(3)).likely == pytest.approx(200, rel=0.05)


@given(st.lists(st.integers(0, 5000), min_size=ENOUGH, max_size=60), st.sampled_from([None, 800]))
def test_the_three_figures_stand_in_order(tokens: list[int], cap: int | None) -> None:
    """And none is below nothing, whatever came."""
    here = plan()
    shapes = Shapes(here)
    after = expected(learned(here, tokens, tokens), shapes, cap=cap)
    for number in range(4):
        said = after.output(shapes.of(number))
        assert 0 <= said.low <= said.likely
        assert said.worst == cap
        low, likely = after.text_size(shapes.of(number))
        assert 0 <= low.characters <= likely.characters


def test_reasoning_is_billed_but_not_judged() -> None:
    """Ten thousand tokens for a text of twenty characters."""
    here = plan((100,))
    shapes = Shapes(here)
    thinker = expected(learned(here, [10_000] * 8, [20] * 8), shapes)
    assert thinker.output(shapes.of(0)).likely == pytest.approx(10_000)
    assert thinker.text_size(shapes.of(0))[1].characters == pytest.approx(20)


def test_latency_is_measured_or_assumed() -> None:
    """Half a second, and a hundred tokens a second, until somebody knows better."""
    here = plan()
    fresh = expected(Replies(), Shapes(here))
    assert fresh.latency_s(Range(1000, 2000, None), 10) == Range(1.5, 2.5, None)
    replies = Replies()
    for number in range(ENOUGH):
        replies.add(0, reply(10, latency_s=float(number)))  # 0 s: nobody looked at the clock
    after = expected(replies, Shapes(here))
    assert after.latency_s(Range(1000, 2000, None), 10) == Range(2.5, 2.5, None)


def test_the_journal_teaches_by_party() -> None:
    """Answers and all asks of judgments; what is no part of the sweep, or has no usage, teaches nothing."""
    here = plan()
    seen = Seen(here)
    seen.enter(Answer(trial=here.trial(0), response=reply(7)))
    seen.enter(Answer(trial=here.trial(1), response=Response(text="imported")))
    seen.enter(Judgment(trial=here.trial(4), asks=(reply(1), reply(2))))
    stranger = Plan(here.sweep, Benchmark("b", "b", (Question(99, "c", "s", ("?",)),), ""))
    seen.enter(Answer(trial=stranger.trial(0), response=reply(1)))
    assert list(seen.of("answers", "m").output_tokens) == [7]
    assert list(seen.of("judgments", "j").output_tokens) == [1, 2]
    assert not len(seen.of("answers", "j"))


def test_sizes_add_up() -> None:
    """And a shape is stretched as a whole."""
    assert (Size(1, 2) + Size(3, 4)) * 2 == Size(8, 12)
