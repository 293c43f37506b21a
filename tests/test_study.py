"""The study of explanations: blind, balanced, countable, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from engine.agreement.study import (
    ASPECTS,
    OVERALL,
    Case,
    Choice,
    Explained,
    Key,
    KeyRow,
    left_share,
    outcomes,
    sheet,
)
from engine.reports.sheets import CELL_LIMIT, cell, read_sheets, render_sheet

if TYPE_CHECKING:
    from tests.conftest import Program


def case(number: int, text: str = "评语") -> Case:
    """Some case; ids are what orders them."""
    return Case(
        id=f"{number:04}",
        question_id=str(number),
        model="m",
        question="问",
        reference="",
        answer="答",
        first=Explained(f"一{text}", 3),
        second=Explained(f"二{text}", 7),
    )


def key(cases: int, annotators: int) -> Key:
    """The key of a study of so many."""
    rows: dict[str, KeyRow] = {}
    for annotator in range(annotators):
        rows |= {row.id: own for row, own in sheet([case(i) for i in range(cases)], annotator)}
    return Key(
        run="r",
        run_id="x",
        first="A",
        second="B",
        simulated=False,
        cases=cases,
        annotators=annotators,
        rows=rows,
    )


def cells(data: bytes) -> list[list[str]]:
    """A sheet as a spreadsheet reads it."""
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


# --- sheets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [1, 2, 9, 40])
def test_each_side_is_on_the_left_equally_often(cases: int) -> None:
    """Within a sheet (but for one odd case), and for each case between two annotators."""
    for annotator in (0, 1):
        keys = [own for _, own in sheet([case(i) for i in range(cases)], annotator)]
        sides = Counter(own.first_is for own in keys)
        assert abs(sides["left"] - sides["right"]) <= cases % 2
    by_case: dict[str, set[str]] = {}
    for own in key(cases, 2).rows.values():
        by_case.setdefault(own.case, set()).add(own.first_is)
    assert all(sides == {"left", "right"} for sides in by_case.values())


def test_the_key_tells_the_truth_and_the_sheet_tells_nothing() -> None:
    """The left text is the first judge's exactly where the key says so; no id gives it away."""
    rows = sheet([case(i) for i in range(20)], 0)
    for row, own in rows:
        assert (row.left.text == "一评语") == (own.first_is == "left")
        assert own.case not in row.id
    assert [row.id for row, _ in rows] == sorted(row.id for row, _ in rows)
    assert sheet([case(i) for i in range(20)], 0) == rows


@pytest.mark.parametrize("bad", ["=1+1", "+cmd|' /C calc'!A0", "-1", "@SUM(1)", "\t=1", "＝1"])
def test_no_cell_is_a_formula(bad: str) -> None:
    """Wherever foreign text stands."""
    hostile = case(0)
    hostile = Case(
        id="0000",
        question_id="0",
        model="m",
        question=bad,
        reference=bad,
        answer=bad,
        first=Explained(bad, 1),
        second=Explained(f"好\n{bad}\x1b[2J", 2),
    )
    for line in cells(render_sheet(row for row, _ in sheet([hostile], 0)))[1:]:
        for text in line:
            assert not text.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
            assert "\x1b" not in text


def test_an_explanation_keeps_its_lines_and_ends_where_a_cell_does() -> None:
    """Readability is judged, so lines stay lines; Excel's limit is kept, visibly."""
    assert cell("一\r\n二\n三") == "一\n二\n三"
    assert cell("a\u202eb") == "a\\u202eb"
    long = cell("长" * (CELL_LIMIT + 5))
    assert len(long) < 32_767
    assert long.endswith("（此处截断）")


# --- filled sheets -----------------------------------------------------------------------------


def filled(path: Path, rows: dict[str, tuple[str, ...]], encoding: str = "utf-8-sig") -> Path:
    """A sheet with only what is read of it."""
    lines = [",".join(["编号", *ASPECTS]), *(",".join([i, *given_]) for i, given_ in rows.items())]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def test_filled_sheets_are_read_however_they_were_saved(tmp_path: Path) -> None:
    """UTF-8 or GB18030, in words or signs, under any name; an empty cell is no choice."""
    own = key(2, 1)
    first, second = own.rows
    paths = [
        filled(tmp_path / "张三.csv", {first: ("甲", " 乙 ", "平")}),
        filled(tmp_path / "b.csv", {second: ("", "A", "0")}, "gb18030"),
    ]
    assert read_sheets(paths, own) == {
        first: dict(zip(ASPECTS, ("left", "right", "tie"), strict=True)),
        second: {ASPECTS[1]: "left", ASPECTS[2]: "tie"},
    }


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ({"stranger": ("甲", "", "")}, 2, "`stranger` is no row of this study"),
        ({"": ("甲", "", "")}, 2, "`` is no row of this study"),
        ({"ROW": ("丙", "", "")}, 2, "合理性 is '丙'; it must be 甲, 乙, 平 or empty"),
        ({"ROW": ("甲", "")}, 2, "3 cells under 4 columns"),
    ],
)
def test_a_spoilt_sheet_is_refused_with_its_line(
    tmp_path: Path, rows: dict[str, tuple[str, ...]], line: int, says: str
) -> None:
    """Nothing is counted of it."""
    own = key(2, 1)
    named = {next(iter(own.rows)) if i == "ROW" else i: v for i, v in rows.items()}
    with pytest.raises(DataError) as caught:
        read_sheets([filled(tmp_path / "s.csv", named)], own)
    assert says in caught.value.reason
    assert caught.value.line == line


def test_a_row_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """A sheet and its copy would count double."""
    own = key(2, 1)
    number = next(iter(own.rows))
    paths = [filled(tmp_path / f"{n}.csv", {number: ("甲", "", "")}) for n in "ab"]
    with pytest.raises(DataError, match=r"stands in .*a\.csv:2 already"):
        read_sheets(paths, own)
    other = tmp_path / "c.csv"
    other.write_text("编号,x\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column `合理性`"):
        read_sheets([other], own)


# --- counting ----------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["first", "second", "tie", ""]), min_size=1, max_size=30))
@settings(max_examples=50)
def test_counts_see_through_the_sides(votes: list[str]) -> None:
    """Whoever was on the left: wins are the first judge's, and the parts add up to what was planned."""
    own = key(len(votes), 1)
    choices: dict[str, dict[str, Choice]] = {}
    for vote, (number, row) in zip(votes, own.rows.items(), strict=True):
        other: Choice = "right" if row.first_is == "left" else "left"
        sides: dict[str, Choice] = {"first": row.first_is, "second": other, "tie": "tie"}
        if vote:
            choices[number] = dict.fromkeys(ASPECTS, sides[vote])
    for found in outcomes(own, choices).values():
        assert (found.wins, found.ties, found.losses) == tuple(
            votes.count(name) for name in ("first", "tie", "second")
        )
        assert found.missing == votes.count("")
        assert found.given + found.missing == found.planned == len(votes)


def test_overall_is_the_majority_of_what_was_filled_in() -> None:
    """Two to one wins; one to one is a tie; one alone decides."""
    own = key(3, 1)
    numbers = list(own.rows)
    left = {n: own.rows[n].first_is == "left" for n in numbers}

    def choose(number: str, *firsts: bool) -> dict[str, Choice]:
        own_choices: list[Choice] = ["left" if f == left[number] else "right" for f in firsts]
        return dict(zip(ASPECTS, own_choices, strict=False))

    choices = {
        numbers[0]: choose(numbers[0], True, True, False),
        numbers[1]: choose(numbers[1], True, False),
        numbers[2]: choose(numbers[2], False),
    }
    found = outcomes(own, choices)[OVERALL]
    assert (found.wins, found.ties, found.losses, found.missing) == (1, 1, 1, 0)


def test_annotators_who_agree_do_not_count_as_independent() -> None:
    """Ten of them who copy each other: a hundred votes, ten cases, and the p of ten cases."""
    own = key(10, 10)
    choices: dict[str, dict[str, Choice]] = {
        number: {ASPECTS[0]: row.first_is} for number, row in own.rows.items()
    }
    found = outcomes(own, choices)[ASPECTS[0]]
    assert (found.wins, found.planned) == (100, 100)
    assert found.p == 2 / 2**10
    assert found.alpha is not None
    assert found.alpha.why == "all ratings are equal"
    assert left_share(choices) == (50, 100)


# --- the command -------------------------------------------------------------------------------

SWEEP = """\
name = "s"
benchmark = "mini"
[providers.simulated]
[[models]]
name = "chatglm3-6b"
provider = "simulated"
model = "chatglm3-6b"
[[judges]]
name = "judge-one"
provider = "simulated"
model = "gpt-4-0613"
[[judges]]
name = "judge-two"
provider = "simulated"
model = "CritiqueLLM"
"""
PAIR = ("--judge", "judge-one", "--judge", "judge-two")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, program_in: type[Program]) -> Program:
    """A run with two judges."""
    program = program_in(tmp_path_factory.mktemp("study"))
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    assert program.run("run", "s.toml", "--limit", "12", "--progress", "none").code in {0, 3}
    return program


def test_a_study_goes_out_and_comes_back(judged: Program) -> None:
    """Sheets for two, blind to both judges' names; one prefers the first judge, one the left side."""
    made = judged.run("explain-study", "write", "s", *PAIR, "--out", "st", "--annotators", "2")
    assert made.code == 0, made
    blank = judged.run("explain-study", "read", "st")
    assert blank.code == 0, blank
    assert blank.out.startswith("nothing to count yet: no verdict in 2 sheets")
    folder = judged.folder / "st"
    assert {p.name for p in folder.iterdir()} == {
        *("key.json", "instructions.txt", "sheet-1.csv", "sheet-2.csv")
    }
    own = json.loads((folder / "key.json").read_bytes())
    for number in (1, 2):
        path = folder / f"sheet-{number}.csv"
        rows = cells(path.read_bytes())
        text = path.read_text("utf-8-sig")
        for name in ("judge-one", "judge-two", "gpt-4-0613", "CritiqueLLM"):
            assert name not in text
        assert "〔评委〕" in text
        for row in rows[1:]:
            first_left = own["rows"][row[0]]["first_is"] == "left"
            row[8] = "甲" if number == 2 or first_left else "乙"
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(rows)
    shown = judged.run("explain-study", "read", "st")
    assert shown.code == 0, shown
    assert "explanations of judge-one (A) against judge-two (B) (simulated)" in shown.out
    found = json.loads(judged.run("explain-study", "read", "st", "--json").out)
    aspect = found["aspects"]["合理性"]
    assert (aspect["wins"], aspect["losses"], aspect["planned"]) == (18, 6, 24)
    assert found["aspects"]["可读性"]["missing"] == 24
    assert found["aspects"]["可读性"]["win_rate"] is None
    one = judged.run("explain-study", "read", "st", "st/sheet-1.csv", "--json")
    assert json.loads(one.out)["aspects"]["合理性"]["missing"] == 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("write", "s", "--judge", "judge-one", "--out", "x"), "it takes two judges"),
        (("write", "s", "--judge", "judge-one", "--judge", "z", "--out", "x"), "no judge `z`"),
        (("write", "none", *PAIR, "--out", "x"), "no run `none`"),
        (("write", "s", *PAIR, "--out", "."), "is there already"),
        (("read", "nowhere"), "no such file"),
        (("read", "runs"), "no such file"),
    ],
)
def test_what_makes_no_study_is_refused(judged: Program, words: tuple[str, ...], says: str) -> None:
    """Exit code 2 and one message."""
    ended = judged.run("explain-study", *words)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert not (judged.folder / "x").exists()


def test_a_broken_key_is_refused(judged: Program) -> None:
    """As is a folder without sheets."""
    folder = judged.folder / "broken"
    folder.mkdir()
    (folder / "key.json").write_text("{}", encoding="utf-8")
    ended = judged.run("explain-study", "read", "broken")
    assert ended.code == 2
    assert "no key of a study" in ended.err
