"""The pieces of the HTML report, without a browser: markup, axes, blocks, index, remarks, the file."""

from __future__ import annotations

import base64
import json
import math
import re
import statistics
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Question
from engine.dossier import read_dossier
from engine.judge_pairs import judge_pairs, kendall, midranks, pearson
from engine.plan import State
from engine.reports.files import write_whole
from engine.reports.table import sheets
from engine.reports.uncertainty import Interval
from engine.reports.web.axis import LEAST, TICKS, axis_for, heat, tick_text
from engine.reports.web.index import script_safe
from engine.reports.web.markup import tag, text
from engine.reports.web.notes import chinese, told_apart
from engine.reports.web.page import render
from tests.conftest import Program
from tests.hostile import HOSTILE
from tests.run_maker import Maker, default_mark, questions


def blocks_of(path: Path) -> list[Any]:
    """Every block of a page, unpacked with nothing of ours."""
    found = re.findall(
        rb'<script type="text/plain" id="b(\d+)">([^<]*)</script>', path.read_bytes()
    )
    assert [int(number) for number, _ in found] == list(range(len(found)))
    return [json.loads(zlib.decompress(base64.b64decode(data), -15)) for _, data in found]


def index_of(path: Path) -> Any:
    """The index of a page."""
    (found,) = re.findall(
        r'<script type="application/json" id="index">(.*?)</script>',
        path.read_text("utf-8"),
        re.DOTALL,
    )
    return json.loads(found)


def page_of(maker: Maker, folder: Path) -> Path:
    """The report of a run."""
    write_whole(folder / "report.html", render(read_dossier(maker.write(folder / "run"))))
    return folder / "report.html"


# --- markup ------------------------------------------------------------------------------------


@given(st.text())
def test_a_text_is_never_markup(foreign: str) -> None:
    """Whatever it is, as content and as an attribute."""
    whole = tag("p", foreign, title=foreign)
    assert whole.count("<") == whole.count(">") == 2
    assert whole.count('"') == 2
    assert "\n" not in whole
    whole.encode("utf-8")


def test_markup_is_not_escaped_twice() -> None:
    """Built elements go in as they are."""
    assert tag("b", tag("i", "<"), class_="x", data_v=None) == '<b class="x"><i>&lt;</i></b>'
    assert text("a & b") == "a &amp; b"


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=8)
)
def test_json_in_a_page_neither_ends_its_element_nor_changes(value: Any) -> None:
    """No angle bracket is left, no line separator, and the value is the same."""
    safe = script_safe(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    assert not set("<>&\u2028\u2029") & set(safe.decode())
    plain = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    assert json.loads(safe) == json.loads(plain)


# --- axes --------------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_an_axis_holds_its_values_and_has_few_ticks(values: list[float]) -> None:
    """Every value lies between the margins, in order."""
    axis = axis_for(values, 200)
    assert 2 <= len(axis.ticks) <= TICKS + 1
    assert axis.high - axis.low >= LEAST - 1e-9
    places = [axis.place(v) for v in sorted(values)]
    assert places == sorted(places)
    assert axis.margin - 0.1 <= places[0] <= places[-1] <= axis.width - axis.margin + 0.1
    assert len({tick_text(axis, tick) for tick in axis.ticks}) == len(axis.ticks)


def test_heat_levels_cover_the_scale() -> None:
    """From the first to the last, and one for nothing."""
    assert [heat(v, 1, 10) for v in (1, 5.5, 10, None)] == ["h0", "h5", "h9", "hx"]
    assert [heat(v, 1, 10) for v in (0, 11)] == ["h0", "h9"]
    assert heat(3, 3, 3) == "h5"


# --- blocks and index --------------------------------------------------------------------------


def test_blocks_hold_every_text_exactly(tmp_path: Path) -> None:
    """Surrogates, NUL and a megabyte; answers, judgments and comparisons."""
    asked = [
        Question(id=i, category="c", subcategory="s", turns=(t,)) for i, t in enumerate(HOSTILE)
    ]
    maker = Maker(asked, models=("m", "n"), judges=("j",), pairwise=("p",))
    maker.answer = lambda trial: HOSTILE[int(trial.question_id)]
    maker.verdict = lambda trial: HOSTILE[-1 - int(trial.question_id)]
    found = blocks_of(page_of(maker, tmp_path))
    assert len(found) == len(HOSTILE)
    for i, block in enumerate(found):
        assert block["t"] == [HOSTILE[i]]
        assert [answer[4] for answer in block["a"]] == [HOSTILE[i]] * 2
        assert [judgment[7] for judgment in block["j"]] == [[HOSTILE[-1 - i]]] * 2
        assert [duel[8] for duel in block["d"]] == [[HOSTILE[-1 - i]]] * 2


def test_the_index_has_every_score_and_what_became_of_every_answer(tmp_path: Path) -> None:
    """Question by question, model by model, judge by judge; null for none."""
    maker = Maker(questions(6), pairwise=("p",))
    maker.state = lambda trial: "refused" if trial.question_id == 2 else "answered"
    maker.error = lambda trial: (
        "boom" if trial.kind == "judgment" and trial.question_id == 3 else ""
    )
    maker.mark = lambda trial: None if trial.question_id == 4 else default_mark(trial)
    index = index_of(page_of(maker, tmp_path))
    assert index["states"] == ["...", "rrr", "xxx", "uuu", "...", "..."]
    assert index["scores"][1] == index["scores"][2] == index["scores"][3] == [None] * 9
    plan = read_dossier(tmp_path / "run").plan
    for number in range(plan.answers, len(plan)):
        trial = plan.trial(number)
        if trial.question_id == 5 and len(trial.candidates) == 1:
            place = plan.model_index(number) * 3 + plan.judge_index(number)
            assert index["scores"][4][place] == default_mark(trial)
    assert [j["pairwise"] for j in index["judges"]] == [False, False, True]


def test_a_run_of_several_turns_samples_and_repeats_is_all_there(tmp_path: Path) -> None:
    """Each answer and judgment with its numbers."""
    from data.codec import replace

    two = replace(questions(1)[0], turns=("first", "second"), references=("r1", "r2"))
    maker = Maker([two], models=("m",), judges=("j",))
    maker.sweep = replace(maker.sweep, samples=2, repeats=3)
    (block,) = blocks_of(page_of(maker, tmp_path))
    assert block["t"] == ["first", "second"]
    assert {(a[1], a[2]) for a in block["a"]} == {(s, t) for s in range(2) for t in range(2)}
    assert len(block["j"]) == 2 * 2 * 3


def test_a_run_that_was_cut_short_still_has_its_report(tmp_path: Path) -> None:
    """Without a single judgment, and without a single answer."""
    maker = Maker(questions(3))
    maker.error = lambda trial: "no" if trial.kind == "judgment" else ""
    page = page_of(maker, tmp_path / "unjudged").read_text("utf-8")
    assert "Coverage below" in page
    maker.error = lambda trial: "no"
    path = page_of(maker, tmp_path / "nothing")
    assert index_of(path)["states"] == ["fff"] * 3
    bare = Maker(questions(3), judges=())
    assert index_of(page_of(bare, tmp_path / "no judges"))["sheets"] == []


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    """Byte for byte: no clock is read."""
    dossier = read_dossier(Maker(questions(4)).write(tmp_path / "run"))
    assert b"".join(render(dossier)) == b"".join(render(dossier))


# --- remarks -----------------------------------------------------------------------------------


def test_every_remark_of_the_tables_has_its_chinese(tmp_path: Path) -> None:
    """A run with all that can be remarked on."""
    from engine.reports.table import duel_sheets

    maker = Maker(questions(40), pairwise=("p",))
    maker.simulated = True
    maker.state = lambda trial: (
        "refused"
        if trial.question_id == 2
        else "truncated"
        if trial.question_id == 3
        else "answered"
    )
    maker.mark = lambda trial: (
        None if int(trial.question_id) % 4 == 1 and trial.model != "甲" else default_mark(trial)
    )
    scores = read_dossier(maker.write(tmp_path / "run")).scores
    notes = [note for sheet in sheets(scores) for note in sheet.notes]
    notes += [note for sheet in duel_sheets(scores) for note in sheet.notes]
    notes += [note for sheet in sheets(scores, partial=True) for note in sheet.notes]
    assert len(set(notes)) >= 8
    for note in notes:
        assert chinese(note) != note, note
        assert not re.search(r"[a-z]{6,} [a-z]{4,}", chinese(note)), chinese(note)


def test_a_baseline_is_explained_in_chinese() -> None:
    """The one remark that only a sweep with a baseline has."""
    said = chinese("gpt-4 is the baseline: 50 by definition; its games are all of them.")
    assert said.startswith("gpt-4 为基准")


@pytest.mark.parametrize(
    ("told", "english", "other"),
    [
        ([True, False, None], "(5 %, Holm): 1 from 2; no others.", "：1 与 2；其余分不开。"),
        ([True, True, None], "(5 %, Holm): 1 from 2, 2 from 3.", "：1 与 2、2 与 3。"),
        ([False, False, None], "(5 %, Holm): none.", "：无。"),
    ],
)
def test_the_page_says_which_neighbours_are_told_apart(
    told: list[bool | None], english: str, other: str
) -> None:
    """Intervals of scores cannot say it: they may overlap and the models still differ."""
    shown = str(told_apart([Interval(told_from_next=one) for one in told]))
    assert english in shown
    assert other in shown
    assert told_apart([Interval()]) is None


# --- two judges --------------------------------------------------------------------------------

SCORES = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=2, max_size=40)


@given(SCORES)
def test_coefficients_are_what_their_definitions_say(pairs: list[tuple[int, int]]) -> None:
    """Pearson by the standard library; midranks and tau-b (Kendall 1945) by counting pairs."""
    x, y = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert midranks(x) == [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert pearson(x, y) is None
        assert kendall(x, y) is None
        return
    assert pearson(x, y) == pytest.approx(statistics.correlation(x, y), abs=1e-9)
    order = [(a > c) - (a < c) for a, c in combinations(x, 2)]
    other = [(b > d) - (b < d) for b, d in combinations(y, 2)]
    untied = math.sqrt(sum(map(abs, order)) * sum(map(abs, other)))
    agreed = sum(a * b for a, b in zip(order, other, strict=True))
    assert kendall(x, y) == pytest.approx(agreed / untied, abs=1e-9)


def test_two_judges_are_counted_over_the_answers_that_both_scored(tmp_path: Path) -> None:
    """Same, near, shift; by model too."""
    maker = Maker(questions(10), models=("a", "b"), judges=("one", "two"))
    maker.mark = lambda trial: (
        None
        if trial.judge == "two" and trial.question_id == 1
        else 5.0 + (trial.judge == "two") * (1 if trial.model == "a" else 2)
    )
    (pair,) = judge_pairs(read_dossier(maker.write(tmp_path / "run")))
    assert (pair.n, pair.same, pair.near, pair.shift) == (18, 0.0, 0.5, 1.5)
    assert {m.model: (m.n, m.shift) for m in pair.models} == {"a": (9, 1.0), "b": (9, 2.0)}
    assert pair.counts == ((5.0, 6.0, 9), (5.0, 7.0, 9))
    assert pair.pearson is None


# --- from the command line ---------------------------------------------------------------------


def test_hostile_answers_of_any_origin_are_judged_and_shown_as_they_are(program: Program) -> None:
    """`judge --answers`, a simulated judge, and the page that the session leaves behind."""
    rows = [
        {"question_id": i, "model_id": "</script><b>", "answer": text}
        for i, text in enumerate(HOSTILE, start=1)
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (program.folder / "a.jsonl").write_text(lines, encoding="utf-8")
    (program.folder / "s.toml").write_text(
        'name = "s"\nbenchmark = "mini"\n[[judges]]\nname = "j"\nprovider = "simulated"\nmodel = "j"\n',
        encoding="utf-8",
    )
    ended = program.run("judge", "s.toml", "--answers", "a.jsonl", "--progress", "none")
    assert "report/report.html" in ended.out, ended
    path = program.folder / "runs" / "s" / "report" / "report.html"
    kept = [answer[4] for block in blocks_of(path) for answer in block["a"]]
    assert kept == list(HOSTILE)
    assert "</script><b>" not in path.read_text("utf-8")


def test_the_dossier_reads_back_what_the_plan_knows(tmp_path: Path) -> None:
    """Trials by question, their states, and single records by number."""
    maker = Maker(questions(5), pairwise=("p",))
    dossier = read_dossier(maker.write(tmp_path / "run"))
    numbers = [n for place in range(5) for n in dossier.numbers(place)]
    assert sorted(numbers) == list(range(len(dossier.plan)))
    with dossier.texts() as texts:
        for number in numbers:
            record = texts.at(number)
            assert record is not None
            assert record.trial == dossier.plan.trial(number)
    assert {dossier.state(n) for n in numbers} == {State.ANSWERED, State.JUDGED}
    assert not list(dossier.failed())
    by_name = {party.name: party for party in dossier.parties}
    assert by_name["甲"].booked == {"USD": 5 * maker.cost}
    assert by_name["p"].requests == 5 * 6
    assert by_name["甲"].latency_p50_s == 1.25


def test_a_configuration_is_shown_whole_whatever_stands_in_it() -> None:
    """Indented JSON of any text, lone surrogates included; it reads back as what it was."""
    from data.codec import indented

    plain = {"names": list(HOSTILE[:-1]), "n": 1}
    assert json.loads(indented(plain)) == plain
    assert '\n  "n": 1' in indented(plain)
