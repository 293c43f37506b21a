"""What changed between two runs: asked, answered, scored, paid; and why not to compare, if so."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from data.codec import encode, replace
from engine.diff import Diff, diff
from engine.dossier import Dossier, read_dossier
from engine.reports.compared_runs import lines, signed
from tests.conftest import Program
from tests.hostile import NAMES
from tests.run_maker import Maker, default_mark, questions


def made(folder: Path, maker: Maker) -> Dossier:
    """A run on disk, read back."""
    return read_dossier(maker.write(folder))


def test_a_run_differs_in_nothing_from_itself(tmp_path: Path) -> None:
    """No change, no warning, all answers and verdicts the same."""
    one = made(tmp_path / "a", Maker(questions(12)))
    found = diff(one, one)
    assert found.identical
    assert (found.configuration, found.warnings) == ((), ())
    assert (found.models, found.judges) == (((), ()), ((), ()))
    assert (found.answers.common, found.answers.same) == (36, 36)
    assert [(v.common, v.same, v.shift) for v in found.verdicts] == [(36, 36, 0.0)] * 2
    assert {line.difference for line in found.scores} == {0.0}
    assert "the same questions" in "\n".join(lines(found))


def test_models_and_judges_that_came_and_went_are_named(tmp_path: Path) -> None:
    """Those of both runs are compared."""
    a = made(tmp_path / "a", Maker(questions(8), ("one", "two"), ("j", "old")))
    b = made(tmp_path / "b", Maker(questions(8), ("two", "three"), ("j", "new"), name="b"))
    found = diff(a, b)
    assert found.models == (("one",), ("three",))
    assert found.judges == (("old",), ("new",))
    assert [(line.judge, line.model) for line in found.scores] == [("j", "two")]
    assert not found.identical
    assert any("`one` was removed" in change for change in found.configuration)


def test_scores_move_as_far_as_the_tables_do(tmp_path: Path) -> None:
    """One point more for one model: its total, every column, and the mean of the verdicts."""
    before, after = Maker(questions(8), judges=("j",)), Maker(questions(8), judges=("j",))
    before.mark = lambda trial: min(9.0, default_mark(trial) or 0)
    after.mark = lambda trial: min(9.0, default_mark(trial) or 0) + (trial.model == "甲")
    after.answer = lambda trial: (
        "another answer" if trial.question_id == 1 else before.answer(trial)
    )
    after.cost = 3_000_000
    found = diff(made(tmp_path / "a", before), made(tmp_path / "b", after))
    moved = {line.model: line for line in found.scores}
    assert moved["甲"].difference == 1.0
    assert set(moved["甲"].columns.values()) == {1.0}
    assert moved["model-b"].difference == 0.0
    (verdicts,) = found.verdicts
    assert (verdicts.common, verdicts.same, verdicts.shift) == (24, 16, 8 / 24)
    assert (found.answers.common, found.answers.same) == (24, 21)
    (cost,) = found.costs
    assert (cost.currency, cost.before * 3) == ("USD", cost.after)
    text = "\n".join(lines(found))
    assert "+1.00" in text
    assert "USD 0.05 -> USD 0.14" in text


def test_what_stands_in_the_way_of_comparing_is_said(tmp_path: Path) -> None:
    """Other questions, another rubric, less coverage, simulated."""
    a, b = Maker(questions(8)), Maker(questions(7, lambda i: f"other {i}"))
    b.simulated = True
    b.sweep = replace(b.sweep, rubric_sha256={"r": "00" * 32, "p": "ef" * 32})
    b.mark = lambda trial: None if trial.question_id == 2 else default_mark(trial)
    found = diff(made(tmp_path / "a", a), made(tmp_path / "b", b))
    said = "\n".join(found.warnings)
    for part in ("simulated", "questions differ", "another rubric", "share is scored"):
        assert part in said
    assert (found.questions.removed, len(found.questions.changed)) == (("8",), 7)
    assert "compare the scores with care" in "\n".join(lines(found))


def test_hostile_names_are_only_text_and_no_line_is_too_long(tmp_path: Path) -> None:
    """No escape code; 80 cells are 80 cells."""
    maker = Maker(questions(4), models=NAMES[:20], judges=NAMES[:2], name=NAMES[13])
    other = Maker(questions(5), models=NAMES[5:], judges=NAMES[:3], name=NAMES[0])
    found = diff(made(tmp_path / "a", maker), made(tmp_path / "b", other))
    for line in lines(found, 80):
        assert cell_len(line) <= 80
        assert "\x1b" not in line
        assert "\u202e" not in line


@given(st.floats(-9, 9))
def test_a_difference_that_rounds_to_nothing_has_no_sign(value: float) -> None:
    """-0.00 is no news."""
    assert signed(value) not in {"+0.00", "-0.00"}


def test_the_command_says_it_for_people_and_for_machines(program: Program) -> None:
    """The same numbers; and a run that is not there is a user's error."""
    Maker(questions(6)).write(program.folder / "runs" / "a")
    Maker(questions(6), models=("甲", "model-b")).write(program.folder / "runs" / "b")
    shown = program.run("diff", "a", "b")
    assert (shown.code, shown.err) == (0, "")
    assert "models removed (1)" in shown.out
    read = json.loads(program.run("diff", "a", "b", "--json").out)
    assert read["models"] == [["丙 C"], []]
    assert {line["model"] for line in read["scores"]} == {"甲", "model-b"}
    assert program.run("diff", "a", "nowhere").code == 2


def test_the_json_has_everything(tmp_path: Path) -> None:
    """Every field of the record."""
    one = made(tmp_path / "a", Maker(questions(4)))
    assert set(json.loads(encode(diff(one, one)))) == set(Diff.__struct_fields__)


def test_a_change_is_taken_on_what_both_runs_scored_and_has_an_interval(tmp_path: Path) -> None:
    """Questions that one run lacks, or asks otherwise, are left out; the interval holds the truth."""
    before, after = Maker(questions(40), judges=("j",)), Maker(questions(40), judges=("j",))
    before.mark = lambda trial: min(8.0, default_mark(trial) or 0)
    after.mark = lambda trial: (
        None
        if trial.question_id == 9
        else min(8.0, default_mark(trial) or 0)
        + (trial.model == "甲") * (1 + (int(trial.question_id) % 3 == 0))
    )
    other = questions(40, lambda i: "asked otherwise" if i == 5 else f"第 {i} 题：为什么？")
    after.benchmark = replace(after.benchmark, questions=tuple(other))
    found = diff(made(tmp_path / "a", before), made(tmp_path / "b", after))
    moved = {line.model: line.moved for line in found.scores}
    mine, still = moved["甲"], moved["model-b"]
    assert mine is not None
    assert still is not None
    assert mine.n == still.n == 38
    assert mine.value is not None
    assert mine.low is not None
    assert mine.high is not None
    assert 1.0 <= mine.low < mine.value < mine.high <= 2.0
    assert (still.value, still.low) == (0.0, None)
    text = "\n".join(lines(found, 120))
    assert f"+{mine.low:.2f} to +{mine.high:.2f}" in text


def test_a_total_that_has_no_change_says_why(tmp_path: Path) -> None:
    """A category that one run never scored."""
    before, after = Maker(questions(8)), Maker(questions(8))
    after.mark = lambda trial: None if int(trial.question_id) % 4 == 1 else default_mark(trial)
    found = diff(made(tmp_path / "a", before), made(tmp_path / "b", after))
    assert {line.moved.value for line in found.scores if line.moved} == {None}
    assert "no change of a total: no score in" in "\n".join(lines(found))
