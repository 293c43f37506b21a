"""The picture: every line exactly as wide as the screen, every state readable without colour."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from data.schema import Usage
from engine import figures
from engine.cells import cut, fit, inert, width
from engine.events import (
    AccountView,
    AnswerSaved,
    JudgmentSaved,
    MoneyView,
    Noted,
    Planned,
    Progress,
    Stopped,
    TrialFailed,
)
from engine.forecast import Forecast, remaining
from engine.frame import frame
from engine.looks import look_of
from engine.spans import plain_text
from engine.tally import Tally

NASTY = [
    "通义千问-Plus",
    "讯飞星火（V5）",
    "a[/b]c",
    ":fire:",
    "\x1b[31mred",
    "\u202etxet",
    "⚠️1️⃣👍🏽",
    "e\u0301" * 9,
]


def tally(names: list[str], *, answers: int = 683) -> Tally:
    run = Tally("alignbench", started=0.0)
    for name in names:
        run.add(Planned(name, answers, 2 * answers, account=name), 0.0)
    return run


def work(run: Tally, name: str, answers: int, judgments: int, now: float) -> None:
    for _ in range(answers):
        run.add(AnswerSaved(name, "answered", False, Usage(10, 20)), now)
    for _ in range(judgments):
        run.add(JudgmentSaved(name, "judge", 7.0, False, Usage(10, 20)), now)


def account(name: str, **changes: object) -> AccountView:
    fields = {"name": name, "in_flight": 2, "concurrency": 8, "rpm": 60.0, **changes}
    return AccountView(**fields)  # type: ignore[arg-type]


def text(
    progress: Progress, columns: int = 80, lines: int = 24, ascii_only: bool = False
) -> list[str]:
    return [plain_text(line) for line in frame(progress, columns, lines, ascii_only=ascii_only)]


def line_of(progress: Progress, name: str, columns: int = 120) -> str:
    return next(line for line in text(progress, columns, 40) if f" {name} " in line[:30])


# --- width -------------------------------------------------------------------------------------


@given(st.text(max_size=40))
def test_an_inert_text_is_as_wide_here_as_where_it_is_painted(raw: str) -> None:
    """Two opinions about a width would break a line."""
    shown = inert(raw)
    assert width(shown) == cell_len(shown)


@given(st.text(max_size=40))
def test_an_inert_text_has_nothing_that_moves_a_cursor_or_hides(raw: str) -> None:
    """No control, format or surrogate character is left, and no line end."""
    assert not {unicodedata.category(c) for c in inert(raw)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(max_size=40), st.integers(0, 30), st.booleans())
def test_a_fitted_text_has_exactly_its_cells(raw: str, cells: int, right: bool) -> None:
    """Half a wide character is a space."""
    shown = inert(raw)
    assert width(fit(shown, cells, right=right)) == cells
    assert width(cut(shown, cells)) <= cells


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 220),
    st.integers(2, 60),
    st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=30)), unique=True, max_size=20),
    st.booleans(),
    st.text(max_size=60),
)
def test_every_line_is_exactly_as_wide_as_the_screen(
    columns: int, lines: int, names: list[str], ascii_only: bool, words: str
) -> None:
    """At any size, whatever models are called and servers say."""
    run = tally(names)
    run.add(Noted(words, "warning"), 1.0)
    views = tuple(account(name, waiting=words) for name in names)
    drawn = text(run.progress(90.0, views), columns, lines, ascii_only=ascii_only)
    assert len(drawn) == lines - 1
    assert {cell_len(line) for line in drawn} == {columns}


def test_seventeen_models_fit_an_80_by_24_terminal() -> None:
    """Two lines of header, a head, the models, a footer, two events, and one free line."""
    names = [f"model-{i:02}" for i in range(17)]
    run = tally(names)
    for i in range(3):
        run.add(Noted(f"event {i}"), float(i))
    drawn = text(run.progress(5.0))
    assert all(any(name in line for line in drawn) for name in names)
    assert "event 2" in drawn[-2]
    assert "event 1" in drawn[-1]


def test_where_there_is_no_room_the_models_that_need_attention_stay() -> None:
    """The others are one line, and rows keep the order of the sweep."""
    run = tally([f"m{i:02}" for i in range(30)])
    run.add(Stopped("model", "m25", "UnknownModel", "gone"), 1.0)
    for i in range(5):
        work(run, f"m{i:02}", 683, 1366, 2.0)
    drawn = text(run.progress(3.0), 60, 16)
    assert any("m25" in line for line in drawn)
    assert any("+ 5 done, 16 queued" in line for line in drawn)


def test_the_layout_does_not_move_as_numbers_grow() -> None:
    """The head stands on the same cells in the first second and in the last."""
    run = tally(["a", "b"])
    before = text(run.progress(1.0))
    work(run, "a", 683, 1366, 50.0)
    after = text(run.progress(60.0))
    assert before[2] == after[2]
    assert [len(line.rstrip()) for line in before[1:2]] == [len(line) for line in after[1:2]]


# --- states ------------------------------------------------------------------------------------


def test_each_state_has_a_glyph_of_its_own() -> None:
    """Done, stopped, waiting, stalled, running and queued differ without colour."""
    names = ["done", "stopped", "waits", "stalled", "runs", "queued"]
    run = tally(names)
    work(run, "done", 683, 1366, 10.0)
    run.add(Stopped("model", "stopped", "Unauthorized", "no"), 10.0)
    work(run, "waits", 5, 5, 10.0)
    work(run, "stalled", 5, 5, 10.0)
    work(run, "runs", 5, 5, 290.0)
    views = (
        account("waits", waiting="requests/min 60, 0.8 s"),
        *(account("stalled"), account("runs")),
        account("queued", in_flight=0),
    )
    flying = {("answer", name): 2 for name in ("stalled", "runs")}
    progress = run.progress(300.0, views, flying=flying)
    looks = {m.name: look_of(m, progress) for m in progress.models}
    assert [looks[n].glyph for n in names] == ["✓", "✗", "◷", "!", "▶", "·"]
    assert looks["waits"].words == "requests/min 60, 0.8 s"
    assert "4m50s" in looks["stalled"].words


def test_the_bar_is_full_only_when_everything_is_there() -> None:
    """One answer short is not full, and a failure is always visible."""
    run = tally(["m"])
    work(run, "m", 683, 1365, 1.0)
    assert "━" * 16 not in line_of(run.progress(2.0), "m")
    work(run, "m", 0, 1, 2.0)
    assert "━" * 16 in line_of(run.progress(3.0), "m")
    broken = tally(["m"])
    work(broken, "m", 682, 1364, 1.0)
    broken.add(TrialFailed("m", "answer", "BadRequest"), 1.0)
    assert "×" in line_of(broken.progress(2.0), "m")


def test_a_failed_answer_takes_its_judgments_with_it() -> None:
    """So that a run with failures reaches 100 %."""
    run = tally(["m"])
    work(run, "m", 682, 1364, 1.0)
    run.add(TrialFailed("m", "answer", "BadRequest"), 1.0)
    progress = run.progress(2.0)
    assert remaining(progress.models[0]) == 0
    assert "100.0 %" in text(progress)[1]


def test_when_nothing_moves_the_bar_gives_way_to_the_reason() -> None:
    """A person who looks wants to know why, not how much."""
    run = tally(["m"])
    work(run, "m", 1, 0, 10.0)
    progress = run.progress(58.0, (account("openai", waiting="429 retry-after 41 s"),))
    assert text(progress)[1].startswith(
        "nothing finished for 48s: openai waits for 429 retry-after 41 s"
    )


def test_ascii_replaces_every_sign_of_ours() -> None:
    """For terminals that draw ambiguous characters two cells wide."""
    run = tally(["m"])
    work(run, "m", 300, 400, 1.0)
    for line in text(run.progress(2.0), 120, 40, ascii_only=True):
        assert line.isascii()


def test_an_interim_mean_is_shown_from_160_columns_and_only_on_enough() -> None:
    """A mean over few verdicts tempts without telling."""
    run = tally(["m"])
    work(run, "m", 100, 199, 1.0)
    assert "7.00" not in line_of(run.progress(2.0), "m", 200)
    work(run, "m", 0, 1, 1.0)
    assert "7.00" in line_of(run.progress(2.0), "m", 200)
    assert "7.00" not in line_of(run.progress(2.0), "m", 120)


# --- forecast ----------------------------------------------------------------------------------


def test_no_end_is_forecast_before_there_is_enough_to_go_by() -> None:
    """Thirty results and a minute."""
    run, forecast = tally(["m"]), Forecast()
    work(run, "m", 29, 0, 59.0)
    assert forecast.add(run.progress(61.0)).total is None
    work(run, "m", 1, 0, 61.5)
    assert forecast.add(run.progress(62.0)).total is not None


def test_a_steady_run_is_forecast_right_and_a_dead_one_not_at_all() -> None:
    """Two results a second of 2049: the truth lies in the range; after two silent minutes, none."""
    run, forecast = tally(["m"]), Forecast()
    for second in range(300):
        work(run, "m", 1, 1, float(second))
        outlook = forecast.add(run.progress(float(second)))
    assert outlook.total is not None
    truth_s = (3 * 683 - 600) / 2
    assert outlook.total.low_s * 0.9 <= truth_s <= outlook.total.high_s * 1.1
    dead = forecast.add(run.progress(450.0))
    assert dead.total is None
    assert dead.left_out == 1


def test_the_last_model_decides_the_end() -> None:
    """Not the remaining work over the total rate."""
    run, forecast = tally(["fast", "slow"]), Forecast()
    for second in range(120):
        work(run, "fast", 2, 4, float(second))
        if second % 4 == 0:
            work(run, "slow", 1, 0, float(second))
        outlook = forecast.add(run.progress(float(second)))
    assert outlook.deciding == "slow"
    assert outlook.total is not None
    assert outlook.total.high_s == outlook.models["slow"].high_s


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.span(8.9), "8s"),
        (figures.tokens(999_949), "999.9k"),
        (figures.tokens(12_345_678), "12.35M"),
        (figures.tokens(10_003_959_000_000), "10003.96G"),
        (figures.many(1, "judge"), "1 judge"),
        (figures.many(1234, "question"), "1,234 questions"),
        (figures.span(252), "4m12s"),
        (figures.span(4080), "1h08"),
        (figures.span(None), "–"),
        (figures.between(4000, 6200), "1h05–1h45"),
        (figures.between(600, 650), "10m"),
        (figures.percent(0.9999), "99 %"),
        (figures.percent(1.0, 1), "100.0 %"),
        (figures.rate(0.2), "<1"),
        (figures.tokens(999_960), "1.00M"),
        (figures.some(0), "–"),
        (figures.run_clock(3661.9), "01:01:01"),
    ],
)
def test_numbers_are_written_one_way(written: str, expected: str) -> None:
    """Unknown is a dash, a share is never rounded up to all."""
    assert written == expected


# --- money -------------------------------------------------------------------------------------


def with_money(money: MoneyView | None, columns: int = 120) -> list[str]:
    """A picture of one model at work, with its money."""
    run = tally(["gpt"])
    work(run, "gpt", 3, 3, 60.0)
    return text(run.progress(90.0, (account("gpt"),), money=money), columns, 30)


def test_money_stands_beside_its_ceiling_and_by_model() -> None:
    """What is booked, what may be booked at most, and what each model's answers cost."""
    money = MoneyView(
        currency="USD",
        booked=168_630_000_000,
        limit=400_000_000_000,
        by_party={"gpt": 12_340_000_000},
    )
    shown = with_money(money)
    assert any("USD 168.63 spent, cap 400" in line for line in shown)
    assert any(line.split()[:2] == ["▶", "gpt"] and " 12.34 " in line for line in shown)
    assert any("USD 168.63 spent, cap 400" in line for line in with_money(money, 80))


def test_a_model_that_is_also_a_judge_is_not_charged_for_its_judging() -> None:
    """Both are booked under one name; the model's own part is not known here."""
    run = tally(["judge"])
    work(run, "judge", 3, 3, 60.0)
    money = MoneyView(currency="USD", booked=9_000_000_000, by_party={"judge": 9_000_000_000})
    shown = text(run.progress(90.0, (account("judge"),), money=money), 120, 30)
    assert any("USD 9.00 spent" in line for line in shown)
    assert not any(line.startswith("▶ judge") and " 9.00 " in line for line in shown)


def test_what_has_no_price_is_never_shown_as_nothing_spent() -> None:
    """A sum that lacks calls is a least; without any price there is no sum at all."""
    partly = with_money(MoneyView(currency="USD", booked=1_000_000_000, calls=6, unpriced=2))
    assert any("USD ≥ 1.00 spent" in line for line in partly)
    unknown = with_money(MoneyView(currency="USD", booked=0, calls=6, unpriced=6))
    assert not any("USD" in line for line in unknown)
    assert not any("USD" in line for line in with_money(None))
