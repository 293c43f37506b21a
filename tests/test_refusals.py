"""Who refused what in a run."""

from __future__ import annotations

from typing import Any

from data.schema import Answer, JudgeSpec, Judgment, ModelSpec, Response, Sweep, Trial
from engine.refusals import RefusalCount, Refusals

SWEEP = Sweep(
    name="s",
    benchmark="b",
    benchmark_sha256="",
    rubric_sha256={},
    temperatures={},
    models=(ModelSpec(name="m", provider="zhipu", model="glm"),),
    judges=(JudgeSpec(name="j", provider="azure", model="gpt", rubric="r"),),
    providers=(),
)


def answer(question: int, **fields: Any) -> Answer:
    trial = Trial(kind="answer", question_id=question, candidates=(("m", 0),))
    return Answer(trial=trial, response=Response(**{"text": "", **fields}))


def refused(**fields: Any) -> dict[str, Any]:
    return {"stop_reason": "content_filter", **fields}


def counts(*records: Answer | Judgment) -> tuple[RefusalCount, ...]:
    found = Refusals(SWEEP)
    for record in records:
        found.add(record)
    return found.counts()


def test_refusals_are_counted_by_account_party_and_code() -> None:
    """The most frequent first."""
    filtered = refused(refused_by="provider", refusal_code="1301")
    found = counts(
        answer(1, **filtered),
        answer(2, text="好"),
        answer(3, **refused(refused_by="model", text="no")),
        answer(4, **filtered),
    )
    assert found == (
        RefusalCount("zhipu", "answers", "the filter", "1301", 2),
        RefusalCount("zhipu", "answers", "the model", "", 1),
    )


def test_every_refused_reply_of_a_judge_counts() -> None:
    """It was asked, and perhaps paid, each time."""
    trial = Trial(kind="judgment", question_id=1, candidates=(("m", 0),), judge="j", rubric="r")
    ask = Response(text="", stop_reason="content_filter", refused_by="provider", refusal_code="x")
    found = counts(Judgment(trial=trial, asks=(ask, Response(text="7"), ask)))
    assert found == (RefusalCount("azure", "judge replies", "the filter", "x", 2),)


def test_the_last_record_of_a_trial_counts() -> None:
    """A resumed run may have answered what was refused before."""
    assert counts(answer(1, **refused()), answer(1, text="好")) == ()


def test_records_from_before_there_was_a_name_count_as_the_filters() -> None:
    """Nothing else was recorded then."""
    assert counts(answer(1, **refused()))[0].by == "the filter"
