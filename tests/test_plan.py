"""Every trial has one number, and every number one trial."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.codec import replace
from data.schema import (
    Answer,
    AnswerState,
    Benchmark,
    Failure,
    JudgeSpec,
    Judgment,
    ModelSpec,
    Question,
    QuestionId,
    Response,
    Settled,
    Sweep,
    Trial,
    Verdict,
)
from engine.plan import Ledger, Plan, State


def questions(turns: list[int]) -> Benchmark:
    """A benchmark whose questions have so many turns; ids are numbers and texts in turn."""
    made = []
    for i, count in enumerate(turns):
        name: QuestionId = i if i % 2 else str(i)
        made.append(Question(name, "c", "s", tuple(f"{i}.{t}" for t in range(count))))
    return Benchmark("b", "b", tuple(made), "0" * 64)


def judge(name: str) -> JudgeSpec:
    """By its name: `pairs` compares all with all, `base` with the first model in one position."""
    return JudgeSpec(
        name=name,
        provider="p",
        model=name,
        rubric="r",
        pairwise=name.startswith(("pairs", "base")),
        baseline="m0" if name.startswith("base") else "",
        positions="one" if name.startswith("base") else "both",
    )


def sweep(models: list[str], judges: list[str], samples: int = 1, repeats: int = 1) -> Sweep:
    """A sweep of models and judges by these names."""
    return Sweep(
        name="s",
        benchmark="b",
        benchmark_sha256="0" * 64,
        rubric_sha256={"r": "1"},
        temperatures={},
        models=tuple(ModelSpec(name=n, provider="p", model=n) for n in models),
        judges=tuple(map(judge, judges)),
        providers=(),
        samples=samples,
        repeats=repeats,
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans of all small shapes."""
    models = [f"m{i}" for i in range(draw(st.integers(1, 4)))]
    kinds = draw(st.lists(st.sampled_from(["j", "pairs", "base"]), max_size=3))
    judges = [f"{kind}{i}" for i, kind in enumerate(kinds)]
    shape = sweep(models, judges, draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return Plan(shape, questions(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))))


@given(plans())
def test_numbering_is_a_bijection(plan: Plan) -> None:
    """All numbers give different trials, and each trial gives its number back."""
    trials = [plan.trial(n) for n in range(len(plan))]
    assert len(set(trials)) == len(plan)
    assert [plan.number(trial) for trial in trials] == list(range(len(plan)))
    asked = sum(len(q.turns) for q in plan.benchmark.questions)
    assert plan.answers == asked * plan.sweep.samples * len(plan.sweep.models)
    assert [plan.is_answer(n) for n in range(len(plan))] == [t.kind == "answer" for t in trials]


@given(plans())
def test_the_parts_of_a_number_agree_with_its_trial(plan: Plan) -> None:
    """Model, judge, question, turn: arithmetic and the trial in full say the same."""
    for number in range(len(plan)):
        trial = plan.trial(number)
        question, turn = plan.item(number)
        assert (question.id, turn) == (trial.question_id, trial.turn)
        assert plan.items[plan.item_index(number)] == (question, turn)
        assert plan.sweep.models[plan.model_index(number)].name == trial.model
        if trial.kind == "judgment":
            judge = plan.sweep.judges[plan.judge_index(number)]
            assert (judge.name, judge.rubric) == (trial.judge, trial.rubric)


@given(plans())
def test_every_judgment_is_named_after_exactly_one_answer(plan: Plan) -> None:
    """The judgments of all answers are all judgments, once each; a comparison needs two answers."""
    found = [n for answer in range(plan.answers) for n in plan.named_after(answer)]
    assert sorted(found) == list(range(plan.answers, len(plan)))
    for answer in range(plan.answers):
        assert plan.answer_of(answer) == answer
        assert all(plan.answer_of(n) == answer for n in plan.named_after(answer))
        assert all(answer in plan.answers_of(n) for n in plan.judgments_of(answer))
    for number in range(plan.answers, len(plan)):
        needed = plan.answers_of(number)
        models = [plan.sweep.models[plan.model_index(a)].name for a in needed]
        assert models == [name for name, _ in plan.trial(number).candidates]
        assert {plan.item_index(a) for a in needed} == {plan.item_index(number)}
        assert all(number in plan.judgments_of(a) for a in needed)


@given(plans())
def test_each_pair_is_compared_in_both_positions_or_in_one(plan: Plan) -> None:
    """All with all, or everybody with the baseline; never a model with itself."""
    models = len(plan.sweep.models)
    groups = len(plan.items) * plan.sweep.samples * plan.sweep.repeats
    for spec in plan.sweep.judges:
        mine = [plan.trial(n) for n in range(plan.answers, len(plan))]
        mine = [trial for trial in mine if trial.judge == spec.name]
        if not spec.pairwise:
            assert len(mine) == groups * models
            continue
        pairs = models - 1 if spec.baseline else models * (models - 1) // 2
        assert len(mine) == groups * pairs * (2 if spec.positions == "both" else 1)
        assert all(len({name for name, _ in trial.candidates}) == 2 for trial in mine)
        assert {trial.position for trial in mine} <= {0, 1}
        assert not spec.baseline or all(t.candidates[1][0] == spec.baseline for t in mine)


@given(plans())
def test_turns_of_a_conversation_are_chained(plan: Plan) -> None:
    """Before and after are inverse, stay with the same question, model and sample, and end."""
    for answer in range(plan.answers):
        trial = plan.trial(answer)
        earlier = [plan.trial(n) for n in plan.turns_before(answer)]
        assert [t.turn for t in earlier] == list(range(trial.turn))
        assert all(replace(t, turn=trial.turn) == trial for t in earlier)
        following = plan.turn_after(answer)
        last = trial.turn == len(plan.item(answer)[0].turns) - 1
        assert (following is None) == last
        if following is not None:
            assert plan.turn_before(following) == answer


@given(plans(), st.data())
def test_answer_numbers_are_those_of_the_chosen_part(plan: Plan, data: st.DataObject) -> None:
    """Question by question; within a question the models take turns."""
    models = data.draw(st.sets(st.integers(0, len(plan.sweep.models) - 1)).map(sorted))
    items = data.draw(st.sets(st.integers(0, len(plan.items) - 1)).map(sorted))
    numbers = list(plan.answer_numbers(models, items))
    wanted = [
        n
        for n in range(plan.answers)
        if plan.model_index(n) in models and plan.item_index(n) in items
    ]
    assert numbers == wanted


@given(plans(), st.data())
def test_a_sweep_that_grew_finds_all_written_trials(plan: Plan, data: st.DataObject) -> None:
    """New models and judges may stand anywhere among the old ones; numbers move, trials do not."""
    old = plan.sweep
    models = data.draw(st.permutations([*(m.name for m in old.models), "new-1", "new-2"]))
    judges = data.draw(st.permutations([*(j.name for j in old.judges), "new-3"]))
    grown = Plan(sweep(models, judges, old.samples, old.repeats), plan.benchmark)
    for number in range(len(plan)):
        trial = plan.trial(number)
        found = grown.number(trial)
        assert found is not None
        assert grown.trial(found) == trial


@pytest.mark.parametrize(
    "changes",
    [
        {"question_id": "0", "turn": 1},
        {"question_id": 0},
        {"question_id": "no such"},
        {"candidates": (("stranger", 0),)},
        {"candidates": (("a", 2),)},
        {"judge": "stranger"},
        {"repeat": 3},
    ],
)
def test_a_trial_that_is_not_asked_for_has_no_number(changes: dict[str, object]) -> None:
    """Nor has an id of another type: the text "0" is not the number 0."""
    plan = Plan(sweep(["a", "b"], ["j"], samples=2, repeats=3), questions([1, 1]))
    trial = plan.trial(plan.answers)
    assert plan.number(trial) == plan.answers
    assert plan.number(replace(trial, **changes)) is None


# --- the ledger --------------------------------------------------------------------------------

PLAN = Plan(sweep(["a", "b"], ["j"]), questions([1]))
ANSWER, JUDGMENT = PLAN.trial(0), PLAN.trial(PLAN.answers)


def answered(state: AnswerState) -> Answer:
    """A line of the journal."""
    return Answer(trial=ANSWER, response=Response(text="x"), state=state)


def judged(score: float | None) -> Judgment:
    """A line of the journal."""
    return Judgment(
        trial=JUDGMENT, asks=(), verdict=None if score is None else Verdict(score=score)
    )


def failed(trial: Trial) -> Failure:
    """A line of the journal."""
    return Failure(trial=trial, error="Overloaded", message="m")


@pytest.mark.parametrize(
    ("state", "final"),
    [
        ("answered", State.ANSWERED),
        ("truncated", State.TRUNCATED),
        ("refused", State.REFUSED),
    ],
)
def test_an_answers_state_is_the_lines_own(state: AnswerState, final: State) -> None:
    """Final states are no longer owed."""
    ledger = Ledger(PLAN)
    assert ledger.owed(0)
    ledger.enter(answered(state), 10, 20)
    assert ledger.state(0) is final
    assert not ledger.owed(0)
    assert (ledger.offsets[0], ledger.lengths[0]) == (10, 20)
    assert (ledger.offsets[1], ledger.count(final), ledger.count(State.PENDING)) == (-1, 1, 3)


def test_the_last_line_of_a_trial_decides() -> None:
    """A failure is superseded by an answer, and the place is that of the newest line."""
    ledger = Ledger(PLAN)
    ledger.enter(failed(ANSWER), 1, 2)
    assert ledger.state(0) is State.FAILED
    assert ledger.owed(0)
    ledger.enter(answered("answered"), 3, 4)
    assert ledger.state(0) is State.ANSWERED
    ledger.enter(answered("truncated"), 5, 6)
    assert ledger.state(0) is State.TRUNCATED
    assert (ledger.offsets[0], ledger.lengths[0]) == (5, 6)


def test_a_judgment_without_a_verdict_is_unscorable_and_final() -> None:
    """It is never a zero: it adds nothing to the sum."""
    ledger = Ledger(PLAN)
    first = PLAN.answers
    ledger.enter(judged(None), 0, 1)
    assert ledger.state(first) is State.UNSCORABLE
    assert not ledger.owed(first)
    assert math.isnan(ledger.scores[0])
    ledger.enter(judged(7.5), 1, 1)
    assert ledger.state(first) is State.JUDGED
    assert ledger.score_sum(range(first, len(PLAN))) == 7.5


def test_foreign_trials_are_counted_and_other_lines_passed_over() -> None:
    """A model that is not in the sweep any more does no harm."""
    ledger = Ledger(PLAN)
    ledger.enter(failed(replace(ANSWER, candidates=(("gone", 0),))), 0, 1)
    ledger.enter(Settled(1), 1, 1)
    assert ledger.foreign == 1
    assert ledger.count(State.PENDING) == len(PLAN)


def test_a_trial_under_way_is_not_owed() -> None:
    """It would be bought twice."""
    ledger = Ledger(PLAN)
    ledger.mark(1, State.ACTIVE)
    assert not ledger.owed(1)
    ledger.mark(1, State.PENDING)
    assert ledger.owed(1)
