"""Check H6: the same numbers in every format, each read back by something that did not write it.

The truth is `engine/scores.py` and the intervals of `engine/stats/`; every format is compared with
them, so none is the measure of another.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from data.schema import Choice
from engine.dossier import Dossier, read_dossier
from engine.reports.names import file_names
from engine.reports.table import sheets
from engine.reports.uncertainty import intervals
from tests.conftest import Program
from tests.run_maker import Maker, questions

SVG = "{http://www.w3.org/2000/svg}"


class Told(NamedTuple):
    """What a format says of one model by one judge, rounded to two decimals."""

    total: str
    columns: tuple[str, ...]
    scored: int


Table = dict[tuple[str, str], Told]


def two(value: float | str | None) -> str:
    """Two decimals; – for nothing."""
    return "–" if value in (None, "") else f"{float(value):.2f}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run: two pointwise judges, a pairwise one, gaps, a tie, a thin model."""
    place = tmp_path_factory.mktemp("formats")
    maker = Maker(
        questions(48), models=("甲", "model-b", "丙 C", "twin of b"), pairwise=("pair judge",)
    )
    maker.mark = lambda trial: (
        None
        if trial.model == "丙 C" and int(trial.question_id) % 7 == 0
        else 1.0
        + zlib.crc32(f"{trial.question_id} {trial.judge} {trial.model[-1]}".encode())
        % (9 if trial.model == "甲" else 7)
    )
    games: tuple[Choice | None, ...] = ("first", "second", "tie", None)
    maker.choice = lambda trial: games[int(trial.question_id) % 4]
    maker.write(place / "runs" / "r")
    return place


@pytest.fixture(scope="module")
def dossier(folder: Path) -> Dossier:
    """That run."""
    return read_dossier(folder / "runs" / "r")


def report(folder: Path, kind: str, out: str = "") -> str:
    """What the command prints in a format; what it writes where `out` says."""
    ended = Program(folder).run("report", "r", "--format", kind, *(["--out", out] if out else []))
    assert ended.code == 0, ended
    return ended.out


def truth(dossier: Dossier) -> Table:
    """From the scores themselves."""
    scores = dossier.scores
    found: Table = {}
    for table in scores.tables:
        for row in table.rows:
            both = {**row.robust.categories, **row.robust.groups}
            total = row.robust.total if row.complete else None
            columns = tuple(two(both.get(name)) for name in COLUMNS)
            found[table.judge, row.model] = Told(two(total), columns, row.coverage.scored)
    return found


COLUMNS = ("中文推理", "数学计算", "逻辑推理", "中文语言", "基本任务", "中文理解")


# --- each format, read back --------------------------------------------------------------------


class _Rows(HTMLParser):
    """Cells of every leaderboard of a page, as it stands there without any script."""

    def __init__(self) -> None:
        super().__init__()
        self.boards: list[list[list[tuple[str, str]]]] = []
        self._inside = self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("class") or ""
        if tag == "table":
            self._inside = kind == "board"
            if self._inside:
                self.boards.append([])
        elif self._inside and tag == "tr":
            self.boards[-1].append([])
        elif self._inside and tag in {"td", "th"}:
            self.boards[-1][-1].append((kind, ""))
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in {"td", "th"}
        self._inside = self._inside and tag != "table"

    def handle_data(self, data: str) -> None:
        if self._inside and self._cell:
            kind, text = self.boards[-1][-1][-1]
            self.boards[-1][-1][-1] = (kind, text + data)


def from_html(folder: Path, dossier: Dossier) -> Table:
    report(folder, "html")
    parser = _Rows()
    parser.feed((folder / "runs" / "r" / "report" / "report.html").read_text("utf-8"))
    found: Table = {}
    for table, rows in zip(dossier.scores.tables, parser.boards, strict=True):
        for cells in rows[2:]:

            def of(*classes: str, cells: list[tuple[str, str]] = cells) -> list[str]:
                return [text for kind, text in cells if set(classes) <= set(kind.split())]

            (name,), (total,) = of("name"), of("total")
            scored = int(of("far")[0].split()[-1])
            found[table.judge, name] = Told(total, tuple(of("heat")), scored)
    return found


def from_csv(folder: Path, _: Dossier) -> Table:
    rows = csv.DictReader(io.StringIO(report(folder, "csv").removeprefix("\ufeff"), newline=""))
    return {
        (r["judge"], r["model"]): Told(
            two(r["total"]), tuple(two(r[c]) for c in COLUMNS), int(r["scored"])
        )
        for r in rows
    }


def from_markdown(folder: Path, _: Dossier) -> Table:
    found: Table = {}
    judge, heads = "", list[str]()
    for line in report(folder, "md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("#"):
            judge, heads = line.lstrip("# "), []
        elif line.startswith("|") and not heads:
            heads = cells
        elif line.startswith("|") and "总分" in heads and not cells[0].startswith("-"):
            row = dict(zip(heads, cells, strict=True))
            columns = tuple(row[c] for c in COLUMNS)
            found[judge, row["model"]] = Told(row["总分"], columns, int(row["n"]))
    return found


def from_json(folder: Path, _: Dossier) -> Table:
    found: Table = {}
    for judge in json.loads(report(folder, "json"))["judges"]:
        for model in judge["models"]:
            means = model["robust"]
            both = {**means["categories"], **means["groups"]}
            total = means["total"] if model["complete"] else None
            told = Told(
                two(total), tuple(two(both[c]) for c in COLUMNS), model["coverage"]["scored"]
            )
            found[judge["judge"], model["model"]] = told
    return found


def from_workbook(folder: Path, dossier: Dossier) -> Table:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    pytest.importorskip("xlsxwriter", reason="xlsxwriter is not installed")
    report(folder, "xlsx")
    book = openpyxl.load_workbook(folder / "runs" / "r" / "report" / "results.xlsx")
    found: Table = {}
    for table in dossier.scores.tables:
        head, *rows = book[table.judge].iter_rows(values_only=True)
        for values in rows:
            row = dict(zip(head, values, strict=True))
            columns = tuple(two(row[c]) for c in COLUMNS)
            found[table.judge, row["模型"]] = Told(two(row["总分"]), columns, row["scored"])
    return found


def from_terminal(folder: Path, dossier: Dossier) -> Table:
    """The share that is scored stands there, not the number."""
    found: Table = {}
    report(folder, "terminal", "t.txt")
    printed = (folder / "t.txt").read_text("utf-8")
    for table in dossier.scores.tables:
        part = printed.split(f"by {table.judge}\n", 1)[1]
        for row in table.rows:
            numbers = re.search(rf" {re.escape(row.model)} +(\d.*|–.*)", part)
            assert numbers
            told, share = numbers[1].rsplit(" %", 1)[0].rsplit(maxsplit=1)
            values = told.split()
            scored = row.coverage.scored if share == f"{int(100 * row.coverage.share)}" else -1
            found[table.judge, row.model] = Told(values[0], tuple(values[-len(COLUMNS) :]), scored)
    return found


FORMATS = (from_html, from_csv, from_markdown, from_json, from_workbook, from_terminal)


@pytest.mark.parametrize("read", FORMATS, ids=lambda f: f.__name__.removeprefix("from_"))
def test_every_format_tells_the_numbers_of_the_scores(
    folder: Path, dossier: Dossier, read: type
) -> None:
    """H6: totals, every column and how many verdicts, of every model by every judge."""
    assert read(folder, dossier) == truth(dossier)


def test_the_plots_tell_the_numbers_of_the_scores(folder: Path, dossier: Dossier) -> None:
    """H6: totals beside the dots, every column in the heat map, in the order of the table."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    report(folder, "svg", "plots")
    expected = truth(dossier)
    for sheet in sheets(dossier.scores):
        name = file_names(judge.name for judge in dossier.run.sweep.judges)[sheet.judge]
        texts = {
            kind: [
                node.text
                for node in ET.parse(folder / "plots" / f"{kind}-{name}.svg").iter(f"{SVG}text")
            ]
            for kind in ("leaderboard", "categories")
        }
        order = [e for e in sheet.entries if e.total is not None]
        totals = [expected[sheet.judge, e.model].total for e in order]
        names = [e.model for e in order]
        assert [t for t in texts["leaderboard"] if t in names] == names
        beside = " ".join(t or "" for t in texts["leaderboard"])
        assert f" {' '.join(totals)} " in f" {beside} ", "the axis has figures too"
        cells = [c for e in sheet.entries for c in expected[sheet.judge, e.model].columns]
        assert [t for t in texts["categories"] if re.fullmatch(r"\d\.\d\d", t or "")] == cells


def test_intervals_are_the_same_wherever_they_stand(folder: Path, dossier: Dossier) -> None:
    """Bounds and rank ranges: the page's index, CSV, the workbook and Markdown."""
    pointwise = {table.judge for table in dossier.scores.tables}
    every = intervals(dossier.scores, dossier.run.benchmark)
    sure = {key: found for key, found in every.items() if key[0] in pointwise}
    assert len(sure) == 6, "the thin model has none"
    report(folder, "html")
    page = (folder / "runs" / "r" / "report" / "report.html").read_text("utf-8")
    (found,) = re.findall(r'id="index">(.*?)</script>', page, re.DOTALL)
    told = json.loads(found)
    names, judges = told["models"], [j["name"] for j in told["judges"]]
    in_page = {
        (judges[s["judge"]], names[e["m"]]): (e["low"], e["high"], e["rank_low"], e["rank_high"])
        for s in told["sheets"]
        for e in s["entries"]
        if "low" in e
    }
    expected = {key: (i.low, i.high, i.rank_low, i.rank_high) for key, i in sure.items()}
    assert in_page == expected
    rows = csv.DictReader(io.StringIO(report(folder, "csv").removeprefix("\ufeff"), newline=""))
    bounds = ("total_low", "total_high", "rank_low", "rank_high")
    in_csv = {
        (r["judge"], r["model"]): tuple(float(r[b]) for b in bounds) for r in rows if r[bounds[0]]
    }
    assert in_csv == expected
    document = report(folder, "md")
    for (_, model), interval in sure.items():
        shown = f"{two(interval.low)}-{two(interval.high)}"
        assert re.search(rf"\| {re.escape(model)} .*\| +{re.escape(shown)} \|", document)


def test_wins_are_the_same_wherever_they_stand(folder: Path, dossier: Dossier) -> None:
    """Games of the pairwise judge: CSV beside the leaderboard, JSON, the page and Markdown."""
    (table,) = dossier.scores.duels
    expected = {r.model: (r.wins, r.ties, r.losses, r.inconsistent, r.missing) for r in table.rows}
    assert any(wins for wins, *_ in expected.values())
    kinds = ("wins", "ties", "losses", "inconsistent", "missing")
    report(folder, "csv", "l.csv")
    text = (folder / "l-comparisons.csv").read_text("utf-8-sig")
    in_csv = {
        r["model"]: tuple(int(r[k]) for k in kinds)
        for r in csv.DictReader(io.StringIO(text, newline=""))
    }
    (told,) = json.loads(report(folder, "json"))["duels"]
    in_json = {r["model"]: tuple(r[k] for k in kinds) for r in told["rows"]}
    assert in_csv == in_json == expected
    wins = intervals(dossier.scores, dossier.run.benchmark)
    shown = {model: wins["pair judge", model] for model in expected}
    report(folder, "html")
    page = (folder / "runs" / "r" / "report" / "report.html").read_text("utf-8")
    for interval in shown.values():
        assert f">{interval.low:.1f}–{interval.high:.1f}</td>" in page
    document = report(folder, "md").split("## pair judge")[1]
    for model, counts in expected.items():
        assert re.search(rf"\| {model} .*" + r" \| +".join(map(str, counts)), document), model


def test_a_run_leaves_its_table_in_three_formats_by_itself(program: Program) -> None:
    """Page, Markdown and CSV; with intervals, and what was run."""
    (program.folder / "s.toml").write_text(
        'name = "s"\nbenchmark = "mini"\n[[models]]\nname = "m"\nprovider = "simulated"\nmodel = "m"\n'
        '[[judges]]\nname = "j"\nprovider = "simulated"\nmodel = "j"\n',
        encoding="utf-8",
    )
    ended = program.run("run", "s.toml", "--progress", "none")
    assert ended.code == 0, ended
    left = program.folder / "runs" / "s" / "report"
    tables = {"report.html", "leaderboard.md", "leaderboard.csv"}
    assert {p.name for p in left.iterdir()} == tables | {"manifest.json"}
    document = (left / "leaderboard.md").read_text("utf-8")
    for said in ("95 % CI", "## Run", "sweep digest: ", "(simulated)"):
        assert said in document
    (row,) = csv.DictReader(io.StringIO((left / "leaderboard.csv").read_text("utf-8-sig")))
    assert float(row["total_low"]) < float(row["total"]) < float(row["total_high"])
