"""Checks of the HTML report that look at the whole file or page at once (docs/reports.md lists them)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from data.codec import replace
from engine.dossier import read_dossier
from engine.reports.files import write_whole
from engine.reports.web.page import render
from tests.browser import chromium, page_of
from tests.hostile import HOSTILE, NAMES
from tests.run_maker import Maker, questions

OURS = frozenset(
    {
        *(
            "html",
            "head",
            "meta",
            "link",
            "title",
            "style",
            "body",
            "header",
            "nav",
            "main",
            "section",
        ),
        *("div", "h1", "h2", "h3", "h4", "p", "b", "span", "br", "noscript", "dialog", "script"),
        *("table", "thead", "tbody", "tr", "th", "td", "ul", "li", "dl", "dt", "dd", "pre"),
        *("figure", "figcaption", "details", "summary", "svg", "text", "line", "rect", "circle"),
    }
)
"""Every element that the file may hold."""


def saved(maker: Maker, folder: Path) -> Path:
    """The report of a run, as a file."""
    path = folder / "report.html"
    write_whole(path, render(read_dossier(maker.write(folder / "run"))))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the whole file."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two judges and one that compares, some of whose comparisons nobody can read."""
    maker = Maker(questions(24), models=("甲", "b", "丙", "d"), pairwise=("pairs",))
    maker.choice = lambda trial: None if trial.question_id == 5 else "first"
    maker.mark = lambda trial: (
        None
        if trial.question_id == 6
        else float(2 + (int(trial.question_id) + len(trial.judge)) % 8)
    )
    return saved(maker, tmp_path_factory.mktemp("checks"))


# --- H3, H5: the file as it is -----------------------------------------------------------------


class _Elements(HTMLParser):
    """Every element of a file with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_no_hostile_text_becomes_an_element_or_an_address(tmp_path: Path) -> None:
    """H3, H5: as another parser reads it: only our elements, no handler, no style, no address."""
    asked = [
        replace(q, category=NAMES[i % 3], turns=(HOSTILE[i],))
        for i, q in enumerate(questions(len(HOSTILE) - 1))
    ]
    maker = Maker(asked, models=NAMES[:20], judges=NAMES[:2], pairwise=NAMES[2:3], name=NAMES[5])
    maker.answer = lambda trial: HOSTILE[int(trial.question_id) - 1]
    maker.error = lambda trial: HOSTILE[0] if trial.question_id == 3 else ""
    parser = _Elements()
    parser.feed(saved(maker, tmp_path).read_text("utf-8"))
    assert {tag for tag, _ in parser.found} <= OURS
    for tag, attributes in parser.found:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in {"style", "src", "srcset", "action", "formaction", "srcdoc", "ping"}
            assert name != "href" or (tag, value) == ("link", "data:,")
            if name != "title":
                assert "://" not in (value or "") or NAMES[5] in (value or "")


# --- H8: for everybody -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_every_level_of_the_scale(
    browser: Any, report: Path, scheme: str
) -> None:
    """H8: all ten, in tables and in the matrix, also under the pointer: 4.5:1."""
    page = page_of(browser, color_scheme=scheme).open(report)
    page.see(
        """() => {
            const row = el("tr", {}, [...Array(10).keys()].flatMap((k) =>
                [el("td", { class: `heat h${k}` }, k), el("td", { class: `cell h${k}` }, k)]));
            byId("v-lead").replaceChildren(el("table", {}, el("tbody", {}, row)));
        }"""
    )
    assert page.see("document.querySelectorAll('#v-lead td').length") == 20
    script = (Path(__file__).parent / "samples" / "contrast.js").read_text("utf-8")
    assert page.see(script) == []
    page.page.hover("#v-lead td")
    assert page.see(script) == []


def test_the_focus_stays_in_an_open_question(browser: Any, report: Path) -> None:
    """H8: Tab goes round among its buttons and never to what lies below."""
    page = page_of(browser).open(report, "#q/5/0").until("document.getElementById('drawer').open")
    seen = set()
    for _ in range(20):
        page.page.keyboard.press("Tab")
        where = page.see(
            """document.activeElement === document.body ? 'none'
                : byId('drawer').contains(document.activeElement) ? 'inside' : 'below'"""
        )
        seen.add(where)
    assert "inside" in seen
    assert "below" not in seen


@pytest.mark.parametrize(
    "state", ["#lead", "#questions", "#cmp", "#dim", "#judges", "#run", "#q/5/1"]
)
def test_at_200_per_cent_nothing_runs_off_the_page(browser: Any, report: Path, state: str) -> None:
    """H8: 1280 pixels enlarged twice are 640; tables scroll in themselves (WCAG 1.4.10)."""
    page = page_of(browser, viewport={"width": 640, "height": 400}, device_scale_factor=2)
    page.open(report, state).page.wait_for_timeout(60)
    assert page.see("document.documentElement.scrollWidth") <= 640


# --- H10: paper --------------------------------------------------------------------------------


def test_the_printed_page_has_the_leaderboard_as_text(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    """H10: names and totals can be searched in the PDF, whatever tab was open."""
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("there is no pdftotext here (apt-get install poppler-utils)")
    page = page_of(browser).open(report, "#questions")
    path = tmp_path / "report.pdf"
    path.write_bytes(page.page.pdf(prefer_css_page_size=True))
    text = subprocess.run(
        [reader, "-layout", str(path), "-"], capture_output=True, check=True, timeout=60
    ).stdout.decode()
    scores = read_dossier(report.parent / "run").scores
    for table in scores.tables:
        for row in table.rows:
            assert row.robust.total is not None
            assert f"{row.robust.total:.2f}" in text
            assert row.model in text
    for heading in ("Leaderboard", "Dimensions", "Judges", "Comparisons", "What was run"):
        assert heading in text
    assert "file order" not in text, "the matrix is not for paper"


# --- what a reader must know -------------------------------------------------------------------


def test_what_is_missing_and_tied_stands_above_the_table(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    """In both languages, and not at all where nothing is."""
    english = page_of(browser).open(report).see("document.querySelector('.heed').innerText")
    assert "4 of 96 judgments have no score; 1–4 is a tie." in english
    chinese = page_of(browser, locale="zh-CN").open(report)
    assert "96 条评判中 4 条没有分数；1–4 名并列" in chinese.see(
        "document.querySelector('.heed').innerText"
    )
    maker = Maker(questions(8), models=("a", "bb"))
    assert page_of(browser).open(saved(maker, tmp_path)).see("!document.querySelector('.heed')")


def test_a_comparison_leaves_no_mark_on_a_score(browser: Any, report: Path) -> None:
    """Unreadable comparisons are the pairwise judge's; the matrix shows scores."""
    page = page_of(browser).open(report, "#questions?show=missing")
    assert page.see("questions.rows.map((p) => index.questions[p][0])") == ["6"]


def test_two_or_three_models_are_outlined_and_more_are_not(browser: Any, tmp_path: Path) -> None:
    """Over the dimensions that all of them have; of two dimensions there is nothing to outline."""
    maker = Maker(questions(8), models=("a", "bb", "ccc", "dddd"))
    assert (
        page_of(browser)
        .open(saved(maker, tmp_path / "two"), "#dim?m=0,1")
        .see("!document.querySelector('.radar')")
    )
    from tests import run_maker

    names = run_maker.DIMENSIONS
    try:
        run_maker.DIMENSIONS = (*names, "完备性", "创造性")  # type: ignore[assignment]
        path = saved(maker, tmp_path / "four")
    finally:
        run_maker.DIMENSIONS = names
    page = page_of(browser).open(path, "#dim?m=0,1,3")
    assert page.see("document.querySelectorAll('.radar .outline').length") == 3
    assert page.see("document.querySelectorAll('.radar .strip-name').length") == 4
    assert "dddd" in page.see("document.querySelector('.radar').innerText")
    page.go("#dim/0?m=0,1,2,3")
    assert page.see("!document.querySelector('.radar')")
    assert page.messages == []


def test_a_model_whose_answers_were_given_needs_no_provider(browser: Any, tmp_path: Path) -> None:
    """Nobody was asked, nothing was paid: the page shows both as unknown, and every tab works."""
    maker = Maker(questions(8), models=("given", "asked one"))
    given, asked = maker.sweep.models
    maker.sweep = replace(maker.sweep, models=(replace(given, provider="", model=""), asked))
    page = page_of(browser).open(saved(maker, tmp_path))
    for tab in ("lead", "questions", "cmp", "dim", "judges", "run", "q/5/0"):
        page.go("#lead").go(f"#{tab}")
    assert page.messages == []
    page.go("#run")
    rows = page.see(
        """[...document.querySelectorAll('.parties tbody tr')]
            .map((r) => [...r.cells].map((c) => c.innerText))"""
    )
    (mine,) = [row for row in rows if row[0] == "given"]
    assert mine[1:3] == ["–", "–"]


def test_every_check_of_the_page_on_reports_names_tests_that_exist() -> None:
    """docs/reports.md: from H1 to F4."""
    here = Path(__file__).parent
    rows = [
        line.split("|")
        for line in (here.parent / "docs" / "reports.md").read_text("utf-8").splitlines()
        if re.match(r"\| [HF]\d", line)
    ]
    checks = [*(f"H{i}" for i in range(1, 11)), *(f"F{i}" for i in range(1, 5))]
    assert [row[1].strip() for row in rows] == checks
    for row in rows:
        file = ""
        for named in re.findall(r"`((?:\w+\.py)?(?:::\w+)?)`", row[3]):
            file, _, test = (named if named[0] != ":" else file + named).partition("::")
            text = (here / file).read_text("utf-8")
            assert f"def {test}(" in text if test else "def test_" in text, named
