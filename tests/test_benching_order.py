"""In what order a benchmark asks and measures, and when it has seen enough."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.benchmark import load
from data.codec import replace
from data.schema import Question
from engine.benching.advice import advise
from engine.benching.arrivals import arrivals
from engine.benching.costs import Money
from engine.benching.enough import Enough
from engine.benching.quantiles import Range, share
from engine.benching.rungs import Client, Rung, Spread, Tokens
from engine.benching.sampling import Deck, stratified
from engine.benching.schedule import Load, Schedule
from tests.benching_world import settings

OFFICIAL = Path(__file__).parents[2] / "shared" / "alignbench" / "data_v1.1_release.jsonl"

# --- questions ---------------------------------------------------------------------------------

questions = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 50)), min_size=1, max_size=80
).map(
    lambda rows: [
        Question(i, category, category, ("x" * length,))
        for i, (category, length) in enumerate(rows)
    ]
)


@given(questions, st.integers(0, 5), st.data())
def test_every_stretch_holds_each_category_by_its_share(
    asked: list[Question], seed: int, data: Any
) -> None:
    """Within one question for each third of length; and the order has each question once."""
    order = stratified(asked, random.Random(seed))
    assert sorted(order) == list(range(len(asked)))
    start = data.draw(st.integers(0, len(order) - 1))
    stretch = order[start : start + data.draw(st.integers(1, len(order)))]
    of_all = Counter(question.category for question in asked)
    strata = sum(min(3, n) for n in of_all.values())
    for category, n in of_all.items():
        here = sum(asked[i].category == category for i in stretch)
        by_share = len(stretch) * n / len(asked)
        assert abs(here - by_share) <= 3 + strata * n / len(asked)


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official questions are not here")
def test_forty_of_the_official_questions_are_of_all_categories_and_lengths() -> None:
    """The first forty of the file are of one category."""
    asked = load(str(OFFICIAL), home=OFFICIAL.parent).questions
    order = stratified(asked, random.Random(0))
    for start in (0, 300, 600):
        some = [asked[i] for i in order[start : start + 40]]
        assert {question.category for question in some} == {q.category for q in asked}
    mean = sum(len(q.text) for q in asked) / len(asked)
    first = [len(asked[i].text) for i in order[:200]]
    assert sum(first) / 200 == pytest.approx(mean, rel=0.25)
    assert len({question.category for question in asked[:40]}) < 8


@given(st.integers(1, 30), st.integers(1, 8), st.lists(st.integers(0, 7), max_size=70))
def test_a_deck_deals_each_question_once_before_any_twice(
    size: int, rungs: int, asked: list[int]
) -> None:
    """Whatever rungs ask in whatever order; and what was dealt earlier is not dealt again."""
    deck = Deck(list(range(size)), rungs)
    dealt = [deck.deal(rung) for rung in asked]
    for start in range(0, len(dealt), size):
        part = dealt[start : start + size]
        assert len(set(part)) == len(part)
    assert deck.round == len(asked) // size
    going_on = Deck(list(range(size)), rungs, dealt)
    assert going_on.round == deck.round
    if len(dealt) % size:
        assert going_on.deal(0) not in dealt[len(dealt) // size * size :]


def test_the_same_rung_asks_the_same_questions_of_all_targets() -> None:
    """So that they can be compared question by question."""
    one, other = Deck(range(100), 4), Deck(range(100), 4)
    [one.deal(0) for _ in range(17)]
    first = [one.deal(2) for _ in range(20)]
    assert first == [other.deal(2) for _ in range(20)]


# --- arrivals ----------------------------------------------------------------------------------


def test_constant_arrivals_are_multiples_of_the_gap() -> None:
    """Worked out from the start: no error adds up over ten thousand of them."""
    due = list(islice(arrivals("constant", 90.0, random.Random(1)), 10_001))
    assert due[:3] == [0.0, pytest.approx(2 / 3), pytest.approx(4 / 3)]
    assert due[-1] == 10_000 * (60.0 / 90.0)


def test_poisson_arrivals_have_mean_and_spread_of_one_gap() -> None:
    """Exponential gaps: as wide as they are long."""
    due = list(islice(arrivals("poisson", 600.0, random.Random(1)), 20_000))
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.1, rel=0.03)
    assert spread == pytest.approx(0.1, rel=0.05)


# --- enough ------------------------------------------------------------------------------------


def filled(places: int, **given: Any) -> Enough:
    """A closed block of which every place has come back once, a second after it began."""
    enough = Enough(settings(**given), "closed", places, 1.0)
    for _ in range(places):
        enough.began()
    for _ in range(places):
        assert enough.steady_s is None
        enough.ended(0.0, 1.0)
    return enough


def test_a_block_is_steady_when_every_place_came_back_once() -> None:
    """Not before: the first round is a burst on an idle server."""
    assert filled(5).steady_s == 1.0
    slow = Enough(settings(), "closed", 3, 1.0)
    slow.began()
    for _ in range(10):
        slow.ended(0.0, 1.0)
    assert slow.steady_s is None, "two places were never filled"


def test_precise_count_and_time_end_a_block() -> None:
    """Each by its own bound."""
    even = filled(2, min_requests=40, min_seconds=5)
    for i in range(40):
        assert even.why(20.0) == ""
        even.ended(i, i + 1.0)
    assert even.why(4.9) == ""
    assert even.why(20.0) == "precise"
    many = filled(2, min_requests=10, max_requests=20, ci=0.001, min_seconds=5)
    for i in range(20):
        many.ended(i, i + 1.0 + i % 3)
    assert many.why(2.0) == "count"
    assert filled(1, max_seconds=50).why(49.0) == ""
    long = filled(1, max_seconds=50)
    for i in range(5):
        long.ended(i, i + 1.0)
    assert long.why(50.0) == "time"


def test_a_block_waits_for_three_rounds_up_to_twice_its_time() -> None:
    """With fewer its queue is not yet what it will be."""
    enough = filled(10, max_seconds=50)
    assert enough.why(60.0) == ""
    assert enough.why(100.0) == "time"
    for i in range(30):
        enough.ended(i, i + 1.0 + i % 2)
    assert enough.why(60.0) == "time"


def test_a_hopeless_block_is_ended() -> None:
    """More than half of at least forty failed; 429s are no failures."""
    enough = filled(1)
    for _ in range(19):
        enough.attempted(failed=True)
    assert enough.why(3.0) == ""
    enough.attempted(failed=True)
    assert enough.why(3.0) == "errors"
    for _ in range(25):
        enough.attempted(failed=False)
    assert enough.why(3.0) == ""


# --- blocks ------------------------------------------------------------------------------------


def rung(level: float, per_min: float, *, limited: int = 0, bound: tuple[str, ...] = ()) -> Rung:
    nothing = Spread(n=0)
    return Rung(
        target="t", load="closed", level=level, blocks=1, window_s=60, requests=100, calls=100,
        useful=100, errors={}, limited=share(limited, 100), failed=share(0, 100),
        parsed=share(100, 100), truncated=0, in_flight=level, calls_per_min=Range(per_min),
        useful_per_min=Range(per_min), completions_per_min=per_min, latency=nothing, wall=nothing,
        wait=nothing, ttfb=nothing, ttft=nothing, ttfa=nothing, tpot=nothing, arrival=nothing,
        tokens=Tokens(), money=Money(), client=Client(bound=bound),
    )  # fmt: skip


def climb(rungs: dict[float, Rung]) -> tuple[list[float], str]:
    """How far one target climbs, and why no further."""
    levels = tuple(rungs)
    schedule = Schedule(settings(levels=levels), ["t"])
    climbed = []
    while (load := schedule.next()) is not None:
        climbed.append(levels[load.rung])
        schedule.done(load, rungs[levels[load.rung]])
    return climbed, schedule.ended.get("t", "")


def test_a_climb_ends_for_one_of_four_reasons() -> None:
    """Flat twice; turned away; or a busy client twice. Else it goes to the top."""
    rates = {1.0: 60.0, 2.0: 120.0, 4.0: 240.0, 8.0: 245.0, 16.0: 246.0, 32.0: 247.0}
    flat = {level: rung(level, rate) for level, rate in rates.items()}
    assert climb(flat)[0] == [1, 2, 4, 8, 16]
    rising = {level: rung(level, 60 * level) for level in rates}
    assert climb(rising) == (list(rates), "")
    away = rising | {4.0: rung(4, 240, limited=6)}
    assert climb(away) == ([1, 2, 4], "6% of requests were turned away (429)")
    once = rising | {4.0: rung(4, 240, bound=("late",))}
    assert climb(once)[0] == list(rates)
    twice = once | {8.0: rung(8, 480, bound=("late",))}
    assert climb(twice) == ([1, 2, 4, 8], "this machine could not keep up (late)")


def test_repeats_go_over_what_was_climbed() -> None:
    """Every rung once more, in one random order; a target that broke is left out."""
    schedule = Schedule(settings(levels=(1, 2, 4), repeats=3), ["a", "b"])
    seen: list[Load] = []
    while (load := schedule.next()) is not None:
        seen.append(load)
        broken = load.target == "b" and load.rung == 1
        schedule.done(load, None if broken else rung(1 + load.rung, 60 * 2.0**load.rung))
    first = [load for load in seen if not load.repeat]
    again = [load for load in seen if load.repeat]
    assert Counter(load.target for load in first) == {"a": 3, "b": 2}
    assert {(load.target, load.rung, load.repeat) for load in again} == {
        *(("a", rung_number, repeat) for rung_number in range(3) for repeat in (1, 2)),
        *(("b", 0, repeat) for repeat in (1, 2)),
    }
    assert [load.rung for load in again] != sorted(load.rung for load in again)


# --- advice ------------------------------------------------------------------------------------


def test_a_rung_that_is_hardly_known_is_not_recommended() -> None:
    """A block that money cut short may look fast; the one below is known within 5 %."""
    known = replace(rung(8, 480), useful_per_min=Range(480, 460, 505))
    vague = replace(rung(16, 1900), useful_per_min=Range(1900, 800, 3000))
    assert advise([known, vague], 60.0).concurrency == 8
    assert advise([vague], 60.0).concurrency == 16


def test_what_was_not_measured_is_not_advised() -> None:
    """Each with its reason."""
    assert advise([replace(rung(60, 60), load="poisson")], 60.0).why == "no ladder was measured"
    assert "could not keep up" in advise([rung(1, 60, bound=("late",))], 60.0).why
    assert "turned away" in advise([rung(1, 60, limited=5)], 60.0).why
    slow = Spread(n=400, p99=Range(40.0, 39.0, 41.0))
    assert "the timeout is 60 s" in advise([replace(rung(1, 60), latency=slow)], 60.0).why
