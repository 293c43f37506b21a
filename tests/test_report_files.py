"""CSV and Markdown as other programs read them, with names that would like to be more than names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.dossier import read_dossier
from engine.reports import csvfile, markdown
from engine.scores import Scores
from tests.conftest import Program
from tests.hostile import NAMES
from tests.run_maker import Maker, questions

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Models, judges and a pairwise judge with hostile names."""
    maker = Maker(questions(8), models=NAMES[:20], judges=NAMES[:3], pairwise=NAMES[3:5])
    return read_dossier(maker.write(tmp_path_factory.mktemp("hostile") / "run")).scores


def rows_of(data: bytes) -> list[list[str]]:
    """A CSV read back."""
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("render", [csvfile.render, csvfile.render_duels])
def test_no_cell_of_a_csv_is_a_formula_or_breaks_its_row(
    hostile: Scores, render: Callable[[Scores], bytes]
) -> None:
    """Every row has the columns of the head; texts that begin like a formula carry an apostrophe."""
    head, *rows = rows_of(render(hostile))
    assert len(rows) == 20 * (3 if render is csvfile.render else 2)
    for row in rows:
        assert len(row) == len(head)
        for cell in row:
            number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)
            assert number or not cell.startswith(FORMULA)
            assert "\x1b" not in cell
            assert "\u202e" not in cell


def test_comparisons_have_a_csv_of_their_own_beside_the_leaderboards(program: Program) -> None:
    """Where a run has judges of both kinds; alone where it has only pairwise ones."""
    Maker(questions(6), pairwise=("pairs",)).write(program.folder / "runs" / "both")
    ended = program.run("report", "both", "--format", "csv", "--out", "b.csv")
    assert ended.code == 0
    head, *rows = rows_of((program.folder / "b-comparisons.csv").read_bytes())
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["model"] for row in found] == ["model-b", "丙 C", "甲"]
    assert {int(row["wins"]) + int(row["losses"]) for row in found} == {12}
    assert [float(row["win_rate_adjusted"]) for row in found] == [1.0, 0.5, 0.0]
    Maker(questions(6), judges=(), pairwise=("pairs",)).write(program.folder / "runs" / "pairs")
    alone = program.run("report", "pairs", "--format", "csv")
    assert alone.raw == (program.folder / "b-comparisons.csv").read_bytes()


def test_markdown_is_read_as_tables_without_a_single_tag(hostile: Scores) -> None:
    """By a parser that nobody here wrote: as many cells in each row as in its head."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"linkify": False})
    tokens = parser.parse(markdown.render(hostile))
    rows: list[int] = []
    tables: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            rows = [0]
        elif token.type in {"td_open", "th_open"}:
            rows[0] += 1
        elif token.type == "tr_close":
            tables[-1].append(rows[0])
        assert token.type != "html_block"
        for child in token.children or ():
            assert child.type not in {"html_inline", "link_open", "image"}, child.content
    assert len(tables) >= 5
    assert all(len(set(table)) == 1 and len(table) == 21 for table in tables)


def test_large_reports_go_where_they_are_told_or_into_the_runs_folder(program: Program) -> None:
    """And say where; a run that is not there is a user's error."""
    folder = program.folder / "runs" / "r"
    Maker(questions(4)).write(folder)
    ended = program.run("report", "r", "--format", "html")
    assert (ended.code, ended.out) == (0, "")
    assert "wrote runs/r/report/report.html" in ended.err
    assert program.run("report", "r", "--format", "html", "--out", "x/y.html").code == 0
    one, two = Path(folder / "report/report.html"), program.folder / "x/y.html"
    assert one.read_bytes() == two.read_bytes()
    assert program.run("report", "nowhere", "--format", "html").code == 2
    assert program.run("report", "r", "--format", "html", "--texts", "some").code == 2
