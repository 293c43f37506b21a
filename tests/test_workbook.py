"""The workbook: AlignBench's own table, every answer and judgment, and no formula in any of them."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.errors import ConfigError
from data.schema import Question
from engine.dossier import read_dossier
from engine.reports.cells_xlsx import MOST, clean
from tests.hostile import HOSTILE, NAMES
from tests.run_maker import DIMENSIONS, Maker, questions

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
pytest.importorskip("xlsxwriter", reason="xlsxwriter is not installed")


def book_of(maker: Maker, folder: Path) -> Any:
    """The run's workbook, written and opened again by a library that did not write it."""
    from engine.reports import workbook

    path = workbook.write(read_dossier(maker.write(folder / "run")), folder / "results.xlsx")
    return openpyxl.load_workbook(path)


def rows_of(sheet: Any) -> list[dict[str, Any]]:
    """Each row as head -> value."""
    head, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_first_sheets_are_upstreams_table_best_first(tmp_path: Path) -> None:
    """模型, the categories sorted, 中文推理, 中文语言, 总分, as show_result.py has them."""
    maker = Maker(questions(40))
    book = book_of(maker, tmp_path)
    assert book.sheetnames[:2] == ["judge one", "评委二"]
    head = [cell.value for cell in book["judge one"][1]]
    categories = sorted({q.category for q in maker.benchmark.questions})
    assert head[:8] == ["模型", *categories, "中文推理", "中文语言", "总分"]
    rows = rows_of(book["judge one"])
    assert book["judge one"].freeze_panes == "B2"
    (shaded,) = book["judge one"].conditional_formatting
    assert str(shaded.sqref) == "B2:G4", "categories and groups, not the total"
    totals = [row["总分"] for row in rows]
    assert totals == sorted(totals, reverse=True)
    scores = read_dossier(tmp_path / "run").scores
    exact = {row.model: row.robust for row in scores.tables[0].rows}
    for row in rows:
        means = exact[row["模型"]]
        assert row["总分"] == means.total
        assert [row[c] for c in categories] == [means.categories[c] for c in categories]


def test_every_answer_and_judgment_has_its_row(tmp_path: Path) -> None:
    """With its text, its score and its dimensions; comparisons with their choice."""
    maker = Maker(questions(10), pairwise=("pair judge",))
    maker.error = lambda trial: (
        "HTTP 529" if trial.kind == "answer" and trial.question_id == 7 else ""
    )
    book = book_of(maker, tmp_path)
    answers, judgments = rows_of(book["Answers"]), rows_of(book["Judgments"])
    assert len(answers) == 9 * 3
    assert len(judgments) == 9 * (3 * 2 + 3 * 2)
    (one,) = [r for r in answers if (r["question"], r["model"]) == (5, "甲")]
    assert (one["answer"], one["state"], one["tokens out"]) == ("甲 对 5 的回答", "answered", 30)
    (verdict,) = [
        r
        for r in judgments
        if (r["question"], r["model"], r["judge"]) == (5, "甲", "评委二") and not r["opponent"]
    ]
    assert verdict["score"] == verdict[DIMENSIONS[0]]
    assert verdict["judgment"].startswith("评委二 的评语")
    assert {r["choice"] for r in judgments if r["opponent"]} == {"first"}
    failures = rows_of(book["Failures"])
    assert [(f["error"], f["question"], f["message"]) for f in failures] == [
        ("Overloaded", 7, "HTTP 529")
    ] * 3
    assert {row["model"] for row in rows_of(book["Comparisons"])} == {"甲", "model-b", "丙 C"}


def test_hostile_texts_come_back_exactly_and_none_is_a_formula(tmp_path: Path) -> None:
    """Up to what the format cannot hold: lone surrogates, and more than 32,767 units."""
    asked = [
        Question(id=f"{i} {NAMES[i]}", category=NAMES[0], subcategory=NAMES[i], turns=(text,))
        for i, text in enumerate(HOSTILE)
    ]
    maker = Maker(asked, models=NAMES[:8], judges=NAMES[8:10], name=NAMES[2])
    place = {q.id: i for i, q in enumerate(asked)}
    maker.answer = lambda trial: HOSTILE[place[trial.question_id]]
    book = book_of(maker, tmp_path)
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in {"s", "n"}, (sheet.title, cell.coordinate)
                assert cell.hyperlink is None
    found = {(unescaped(r["question"]), r["model"]): r["answer"] for r in rows_of(book["Answers"])}
    for i, text in enumerate(HOSTILE):
        got = found[clean(str(asked[i].id)), clean(NAMES[1])]
        assert unescaped(got) == clean(text)
    quoted = [
        cell
        for row in book["Answers"].iter_rows(min_row=2)
        for cell in row
        if isinstance(cell.value, str) and cell.value[:1] in "=+-@"
    ]
    assert quoted
    assert all(cell.quotePrefix for cell in quoted)


def test_another_spreadsheet_opens_it_and_runs_nothing(tmp_path: Path) -> None:
    """F1: LibreOffice reads every row; what looks like a formula stays the text that it is."""
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        pytest.skip("there is no LibreOffice here (apt-get install libreoffice-calc)")
    texts = [text for text in HOSTILE if text.isprintable() and len(text) < 1000]
    maker = Maker(questions(len(texts)), models=("m",), judges=("j",))
    maker.answer = lambda trial: texts[int(trial.question_id) - 1]
    book_of(maker, tmp_path)
    every = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    home = f"-env:UserInstallation={(tmp_path / 'home').as_uri()}"
    command = [office, home, "--headless", "--convert-to", every, "--outdir", str(tmp_path)]
    ended = subprocess.run(
        [*command, str(tmp_path / "results.xlsx")], capture_output=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    with (tmp_path / "results-Answers.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["question"]: row["answer"] for row in csv.DictReader(file)}
    assert rows == {str(i): text for i, text in enumerate(texts, start=1)}
    assert {'=HYPERLINK("https://evil.invalid/","x")', "-1+1", "@SUM(1)"} <= set(rows.values())
    for sheet in ("j", "Dimensions", "Judgments", "Failures", "Run"):
        assert (tmp_path / f"results-{sheet}.csv").stat().st_size > 0


def unescaped(text: str) -> str:
    """What Excel shows of `_x0007_`."""
    from openpyxl.utils.escape import unescape

    shown: str = unescape(text)
    return shown


def test_what_a_cell_cannot_hold_is_cut_and_says_so() -> None:
    """Counted as Excel counts, in UTF-16; never through a character."""
    assert clean("a" * MOST) == "a" * MOST
    assert clean("a" * (MOST + 1)).endswith("… [32,701 characters]")
    assert clean("😀" * MOST).startswith("😀" * (MOST // 2) + "…")
    assert clean("a\ud800b") == "a\ufffdb"


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """So that a report can be compared."""
    from engine.reports import workbook

    dossier = read_dossier(Maker(questions(5)).write(tmp_path / "run"))
    one = workbook.write(dossier, tmp_path / "a.xlsx").read_bytes()
    assert workbook.write(dossier, tmp_path / "b.xlsx").read_bytes() == one


def test_without_xlsxwriter_there_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install; nothing is left behind."""
    from engine.reports import workbook

    dossier = read_dossier(Maker(questions(2)).write(tmp_path / "run"))
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(ConfigError, match="xlsxwriter") as caught:
        workbook.write(dossier, tmp_path / "out" / "a.xlsx")
    assert "alignsweep[xlsx]" in str(caught.value)
    assert not (tmp_path / "out").exists()
