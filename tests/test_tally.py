"""The picture of a run, folded from what the engine tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import AnswerState, Usage
from engine.events import (
    AccountView,
    AnswerSaved,
    Event,
    JudgmentSaved,
    Noted,
    Planned,
    Progress,
    Retrying,
    Stopped,
    TrialFailed,
)
from engine.rates import Rate
from engine.tally import Tally

NOW = 1000.0
USAGE = Usage(input_tokens=10, output_tokens=3)


def picture(*events: Event, start: float = NOW, step: float = 0.0) -> Progress:
    """What is drawn after these events, `step` seconds apart."""
    tally, now = Tally("run", started=start), start
    for event in events:
        now += step
        tally.add(event, now)
    return tally.progress(now)


def answer(
    state: AnswerState = "answered", *, cached: bool = False, model: str = "m"
) -> AnswerSaved:
    """A durable answer."""
    return AnswerSaved(model, state, cached, USAGE)


def judgment(score: float | None, *, cached: bool = False, model: str = "m") -> JudgmentSaved:
    """A durable judgment."""
    return JudgmentSaved(model, "j", score, cached, USAGE)


def test_a_planned_model_has_a_row_from_the_beginning() -> None:
    """With what an earlier session has done, which counts as reused and in the mean."""
    before = Planned("m", 10, 20, 4, 8, "acc", refused=1, unscorable=2, score_sum=42.0)
    shown = picture(before, Planned("n", 1, 2))
    first, second = shown.models
    assert (first.mean_score, first.refused, first.unscorable) == (7.0, 1, 2)
    assert (first.name, first.answers, first.judgments, first.account) == ("m", 10, 20, "acc")
    assert (first.answers_done, first.judgments_done) == (4, 8)
    assert (first.answers_reused, first.judgments_reused) == (4, 8)
    assert (first.saved_ago_s, first.per_minute) == (None, 0.0)
    assert (second.name, second.mean_score) == ("n", None)
    assert (shown.planned, shown.done, shown.reused, shown.failed) == (33, 12, 12, 0)


def test_results_are_counted_where_they_belong() -> None:
    """Refused and unscorable ones are done, failed ones are not."""
    row = picture(
        Planned("m", 5, 5),
        answer(),
        answer("refused"),
        answer("truncated", cached=True),
        judgment(8.0),
        judgment(None),
        judgment(5.0, cached=True),
        TrialFailed("m", "answer", "Overloaded"),
        TrialFailed("m", "judgment", "Overloaded", "j"),
        Retrying("acc", "m", "RateLimited", 2.0),
    ).models[0]
    assert (row.answers_done, row.answers_reused, row.refused) == (3, 1, 1)
    assert (row.judgments_done, row.judgments_reused, row.unscorable) == (3, 1, 1)
    assert (row.failed, row.answers_failed, row.retries) == (2, 1, 1)
    assert row.mean_score == pytest.approx(6.5)


def test_an_unscorable_judgment_is_never_a_zero() -> None:
    """It takes no part in the mean."""
    assert picture(Planned("m", 1, 2), judgment(None)).models[0].mean_score is None
    assert picture(Planned("m", 1, 2), judgment(9.0), judgment(None)).models[0].mean_score == 9


def test_what_the_cache_gave_costs_no_tokens_and_is_no_speed() -> None:
    """But it is progress, and it is saved."""
    shown = picture(
        Planned("m", 3, 3), answer(cached=True), judgment(5.0, cached=True), answer(), step=1.0
    )
    assert (shown.tokens_in, shown.tokens_out) == (10, 3)
    assert (shown.done, shown.reused) == (3, 2)
    assert shown.per_minute == pytest.approx(60 / 4)
    assert shown.judges[0].per_minute == 0.0


def test_usage_that_nobody_told_is_not_guessed() -> None:
    """The count stays what was told."""
    shown = picture(Planned("m", 1, 0), AnswerSaved("m", "answered", False, None))
    assert (shown.tokens_in, shown.tokens_out, shown.done) == (0, 0, 1)


def test_judges_have_rows_of_their_own() -> None:
    """Over all models."""
    shown = picture(
        Planned("m", 1, 1), Planned("n", 1, 1), judgment(4.0), judgment(None, model="n"), step=1.0
    )
    (row,) = shown.judges
    assert (row.name, row.done, row.unscorable) == ("j", 2, 1)
    assert row.per_minute == pytest.approx(2 * 60 / 4)


def test_the_last_save_is_told_for_the_run_and_for_each_model() -> None:
    """A number on screen is a promise, so its age matters."""
    tally = Tally("run", started=NOW)
    for model in "mn":
        tally.add(Planned(model, 2, 0), NOW)
    tally.add(answer(model="m"), NOW + 5)
    tally.add(answer(model="n"), NOW + 8)
    shown = tally.progress(NOW + 10)
    assert [row.saved_ago_s for row in shown.models] == [5.0, 2.0]
    assert (shown.saved_ago_s, shown.elapsed_s, shown.now_s) == (2.0, 10.0, NOW + 10)


def test_a_stop_is_in_the_log_and_on_the_models_line() -> None:
    """An account's stop belongs to no model."""
    shown = picture(
        Planned("m", 1, 0),
        Stopped("account", "acc", "Unauthorized", "bad key"),
        Stopped("model", "m", "UnknownModel", "no such"),
    )
    assert shown.models[0].stopped == "UnknownModel"
    assert [line.text for line in shown.log] == [
        "m stopped: UnknownModel: no such",
        "acc stopped: Unauthorized: bad key",
    ]
    assert {line.level for line in shown.log} == {"error"}


def test_the_log_is_newest_first_and_bounded() -> None:
    """A run of a day must not fill the memory."""
    shown = picture(*(Noted(str(n), "warning") for n in range(200)), step=1.0)
    assert len(shown.log) == Tally.LOG_LINES
    assert (shown.log[0].text, shown.log[0].t_s, shown.log[0].level) == (
        "199",
        NOW + 200,
        "warning",
    )


def test_a_picture_does_not_change_after_it_was_taken() -> None:
    """The console's thread may look at it at leisure."""
    tally = Tally("run", started=NOW, simulated=True)
    tally.add(Planned("m", 2, 0), NOW)
    before = tally.progress(NOW)
    tally.add(answer(), NOW)
    assert before.done == 0
    assert before.simulated
    with pytest.raises(AttributeError):
        before.models[0].name = "x"  # type: ignore[misc]


def test_accounts_and_state_are_handed_in() -> None:
    """The fold knows neither."""
    view = AccountView("acc", 1, 2, None)
    shown = Tally("run", started=NOW).progress(NOW, (view,), "stopping")
    assert (shown.accounts, shown.state, shown.models) == ((view,), "stopping", ())


def test_a_retry_of_a_model_that_is_not_shown_is_passed_over() -> None:
    """Answers from elsewhere have models without a row in some sessions."""
    assert picture(Retrying("acc", "gone", "Overloaded", 1.0)).models == ()


RESULTS = st.lists(
    st.one_of(
        st.builds(answer, st.sampled_from(["answered", "truncated", "refused"])),
        st.builds(judgment, st.none() | st.floats(1, 10)),
        st.just(TrialFailed("m", "answer", "Overloaded")),
        st.just(TrialFailed("m", "judgment", "Overloaded", "j")),
    ),
    max_size=40,
)


@given(RESULTS, st.floats(0, 9))
def test_totals_are_the_sums_of_what_was_told(events: list[Event], step: float) -> None:
    """Nothing is counted twice or lost, whatever the order."""
    shown = picture(Planned("m", 40, 40), *events, step=step)
    row = shown.models[0]
    saved = [e for e in events if isinstance(e, AnswerSaved | JudgmentSaved)]
    scores = [e.score for e in saved if isinstance(e, JudgmentSaved) and e.score is not None]
    assert shown.done == len(saved)
    assert shown.failed == len(events) - len(saved)
    assert shown.tokens_in == 10 * len(saved)
    assert row.mean_score == (pytest.approx(sum(scores) / len(scores)) if scores else None)


@given(st.lists(st.floats(0, 300), max_size=200).map(sorted), st.floats(0, 400))
def test_a_rate_counts_the_last_minute_in_constant_memory(times: list[float], wait: float) -> None:
    """Between 55 and 60 seconds back, by five-second buckets."""
    rate = Rate()
    for time in times:
        rate.add(time)
    now = (times[-1] if times else 0.0) + wait
    window = min(max(now, 1.0), 60.0)
    counted = rate.per_minute(now, 0.0) * window / 60
    surely = sum(t > now - 55 for t in times)
    perhaps = sum(t > now - 60 - Rate.BUCKET_S for t in times)
    assert surely - 1e-6 <= counted <= perhaps + 1e-6
    assert len(rate._buckets) <= Rate.BUCKETS


def test_a_young_runs_rate_is_not_diluted() -> None:
    """Ten results in five seconds are 120 a minute; in the first second nobody divides by nothing."""
    rate = Rate()
    for _ in range(10):
        rate.add(5.0)
    assert rate.per_minute(5.0, 0.0) == pytest.approx(120)
    assert rate.per_minute(5.0, 5.0) == pytest.approx(600)
    assert rate.per_minute(500.0, 0.0) == 0.0
