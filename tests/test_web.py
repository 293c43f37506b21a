"""The HTML report in a real browser: it opens from disk, shows what was said, and runs nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.schema import Evidence, Question
from engine.dossier import read_dossier
from engine.reports import csvfile, markdown
from engine.reports.files import write_whole
from engine.reports.terminal import print_scores
from engine.reports.uncertainty import Interval
from engine.reports.web.assets import SCRIPTS, asset
from engine.reports.web.blocks import Which
from engine.reports.web.page import policy, render
from tests.browser import Opened, chromium, page_of
from tests.hostile import HOSTILE, NAMES
from tests.run_maker import CATEGORIES, Maker, questions

STATES = (
    *("#lead/0", "#lead/1", "#questions", "#questions?c=1&sort=mean", "#questions?m=1&j=0"),
    *(
        "#questions?show=apart&k=2",
        "#questions?text=3",
        "#q/5/1",
        "#q/5/0/2",
        "#cmp/0/2",
        "#cmp/1/2/1",
    ),
    *("#dim/1?m=0,2", "#judges", "#duels", "#run"),
)
TABS = ("lead", "questions", "cmp", "dim", "judges", "duels", "run")
FOREIGN = "img,script,style,meta,iframe,form,a,object,embed,link,base,video,audio"


def saved(maker: Maker, folder: Path, which: Which = "all", **intervals: Any) -> Path:
    """The report of a run, as a file."""
    dossier = read_dossier(maker.write(folder / "run"))
    path = folder / "report.html"
    write_whole(path, render(dossier, which=which, **intervals))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the whole file."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with two pointwise judges, a pairwise one, and something of everything."""
    maker = Maker(questions(60), pairwise=("pair judge",))
    maker.state = lambda trial: (
        "refused"
        if trial.question_id == 3
        else "truncated"
        if trial.question_id == 4
        else "answered"
    )
    maker.error = lambda trial: (
        "HTTP 529: overloaded" if trial.kind == "answer" and trial.question_id == 7 else ""
    )
    maker.mark = lambda trial, mark=maker.mark: None if trial.question_id == 9 else mark(trial)  # type: ignore[misc]
    return saved(maker, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Opened:
    """That report, open."""
    return page_of(browser).open(report)


# --- H1, H5: one file and nothing else ---------------------------------------------------------


def test_it_opens_from_disk_and_asks_for_nothing(browser: Any, report: Path) -> None:
    """One request, the file; not a word on the console; quick."""
    page = page_of(browser)
    start = time.monotonic()
    page.open(report)
    assert time.monotonic() - start < 4
    for tab in TABS:
        page.go(f"#{tab}").until(f"!document.getElementById('v-{tab}').hidden")
    page.go("#q/5/1").until("document.getElementById('drawer').open")
    assert page.requests == [report.as_uri()]
    assert page.messages == []


def test_the_script_can_neither_fetch_nor_make_markup_of_a_string() -> None:
    """Not one of the ways, in any of our files; and no address of another place."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|import\("
    for name in SCRIPTS:
        source = re.sub(r"//.*", "", asset(name).replace("http://www.w3.org/2000/svg", ""))
        assert not re.search(ways, source), name
        assert not re.search(r"https?:", source), name
    assert "url(" not in asset("report.css")
    assert "@import" not in asset("report.css")


# --- H4: the policy ----------------------------------------------------------------------------


def test_the_policy_names_exactly_our_own_scripts_and_style(report: Path) -> None:
    """By hash; the page has no other element that could run."""
    text = report.read_text("utf-8")
    (said,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    own = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.DOTALL)
    assert len(own) == len(SCRIPTS) + 1
    for element in own:
        digest = base64.b64encode(hashlib.sha256(element.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in said
    assert said == policy()
    assert "unsafe" not in said
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert text.index('charset="utf-8"') < 1024


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "{ const s = document.createElement('script'); s.text = '1'; document.body.append(s); }",
        "document.body.setAttribute('onclick', 'alert(1)')",
    ],
)
def test_a_string_cannot_become_markup_or_code(browser: Any, report: Path, attempt: str) -> None:
    """Trusted Types, or the policy, stand in the way."""
    page = page_of(browser).open(report)
    refused = page.see(
        f"""() => {{
            const before = document.querySelectorAll('b').length;
            try {{ {attempt} }} catch (error) {{ return String(error); }}
            document.body.click();
            return document.querySelectorAll('b').length > before ? '' : 'nothing came of it';
        }}"""
    )
    assert refused
    assert not [m for m in page.messages if m.startswith("dialog")]


def test_nothing_can_be_loaded_sent_or_styled_from_outside(browser: Any, report: Path) -> None:
    """An image, a fetch, a form, a style attribute, code in a string: all refused."""
    page = page_of(browser).open(report)
    found = page.see(
        """async () => {
            const told = [];
            document.addEventListener('securitypolicyviolation', (e) => told.push(e.effectiveDirective));
            const image = new Image(); image.src = 'https://evil.invalid/x.png';
            document.body.append(image);
            await fetch('https://evil.invalid/').catch(() => told.push('fetch failed'));
            const form = document.createElement('form'); form.action = 'https://evil.invalid/';
            document.body.append(form); form.submit();
            const node = document.createElement('p'); node.setAttribute('style', 'color: red');
            document.body.append(node);
            try { setTimeout('told.push("ran")', 0); } catch (error) { told.push('no string code'); }
            await new Promise((done) => setTimeout(done, 200));
            return [told, getComputedStyle(node).color];
        }"""
    )
    assert {"img-src", "connect-src", "fetch failed", "style-src-attr", "form-action"} <= set(
        found[0]
    )
    assert "no string code" in found[0]
    assert "ran" not in found[0]
    assert found[1] != "rgb(255, 0, 0)"


# --- H3: hostile content -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Maker, Path]:
    """Every text of the run is one of the hostile ones, each in every place."""
    asked = [
        Question(
            id=f"{i} {NAMES[i]}",
            category=NAMES[i % 4],
            subcategory=NAMES[i],
            turns=(text,),
            references=(text,),
            evidences=(Evidence("javascript:alert(1)", text),),
        )
        for i, text in enumerate(HOSTILE)
    ]
    maker = Maker(asked, models=NAMES[:20], judges=NAMES[:2], pairwise=NAMES[2:3], name=NAMES[0])
    place = {q.id: i for i, q in enumerate(asked)}
    maker.answer = lambda trial: HOSTILE[place[trial.question_id]]
    maker.verdict = lambda trial: HOSTILE[(place[trial.question_id] + 1) % len(HOSTILE)][:5000]
    maker.mark = lambda trial: float(1 + place[trial.question_id] % 10)
    maker.error = lambda trial: (
        HOSTILE[5] if trial.kind == "answer" and trial.model == NAMES[6] else ""
    )
    return maker, saved(maker, tmp_path_factory.mktemp("hostile"))


def test_hostile_texts_are_only_text_in_every_view(
    browser: Any, hostile: tuple[Maker, Path]
) -> None:
    """No element, no request, no dialog, no change of the title; no word on the console."""
    _, path = hostile
    page = page_of(browser).open(path)
    title = page.page.title()
    for tab in TABS:
        page.go(f"#{tab}").until(f"!document.getElementById('v-{tab}').hidden")
        assert page.see(f"document.querySelectorAll('main :is({FOREIGN})').length") == 0, tab
    assert page.page.title() == title
    assert page.requests == [path.as_uri()]
    assert page.messages == []


def test_every_hostile_answer_is_shown_exactly_as_it_was(
    browser: Any, hostile: tuple[Maker, Path]
) -> None:
    """Lone surrogates, NUL and a megabyte included; with a remark where it holds what cannot be seen."""
    maker, path = hostile
    page = page_of(browser).open(path)
    for place, question in enumerate(maker.benchmark.questions):
        page.see("place => { location.hash = href('q', [index.questions[place][0], 1]) }", place)
        page.until(f"drawer.shown && drawer.shown.place === {place}")
        page.until("document.querySelectorAll('#drawer .prose').length >= 4")
        page.see("() => document.querySelectorAll('#drawer .more').forEach((b) => b.click())")
        shown = page.see(
            """() => [...document.querySelectorAll('#drawer .prose')]
                .map((p) => JSON.stringify(p.textContent))"""
        )
        texts = [json.loads(text) for text in shown]
        assert texts[0] == question.text
        assert texts[1] == question.reference
        assert texts[2] == question.text, "the evidence quotes it"
        assert texts[3] == question.text, "the answer says it too"
        verdict = HOSTILE[(place + 1) % len(HOSTILE)][:5000]
        assert texts[4] == verdict
        assert page.see(f"document.querySelectorAll('#drawer :is({FOREIGN})').length") == 0
    marked = page.see("() => document.querySelectorAll('#drawer .marks').length")
    assert marked == 0, "the last question holds nothing unseen"
    assert page.messages == []


def test_what_cannot_be_seen_is_counted(browser: Any, hostile: tuple[Maker, Path]) -> None:
    """A text that turns its direction says so below it."""
    _, path = hostile
    page = page_of(browser).open(path)
    place = next(i for i, text in enumerate(HOSTILE) if text.startswith("bidi"))
    page.see("place => { location.hash = href('q', [index.questions[place][0], 1]) }", place)
    page.until("document.querySelectorAll('#drawer .marks').length > 0")
    assert "3 invisible" in page.see("document.querySelector('#drawer .marks').textContent")


# --- H6: numbers -------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_other_formats(opened: Opened, report: Path) -> None:
    """Rank, total and every column: the page, CSV and Markdown."""
    scores = read_dossier(report.parent / "run").scores
    rows = list(csv.DictReader(io.StringIO(csvfile.render(scores).decode("utf-8-sig"))))
    assert len(rows) == 6
    columns = ["中文推理", "数学计算", "逻辑推理", "中文语言", "基本任务", "中文理解"]
    document = markdown.render(scores)
    printed = io.StringIO()
    print_scores(scores, file=printed, columns=160, colour=False)
    seen = opened.see(
        """() => [...document.querySelectorAll('table.board')].map((table) =>
            [...table.tBodies[0].rows].map((row) => ({
                rank: row.querySelector('.rank').textContent, model: row.querySelector('th').textContent,
                total: row.querySelector('.total').textContent,
                values: [...row.querySelectorAll('.heat')].map((cell) => cell.textContent) })))"""
    )
    shown = [row for table in seen for row in table]
    for row, mine in zip(rows, shown, strict=True):
        assert mine["model"] == row["model"]
        assert mine["rank"].replace("–", "..") == (row["rank"] or "..")
        assert mine["total"] == (f"{float(row['total']):.2f}" if row["total"] else "–")
        values = [f"{float(row[c]):.2f}" if row[c] else "–" for c in columns]
        assert mine["values"] == values
        line = re.sub(r"\s+", "", "|".join([mine["model"], mine["total"]]))
        assert line in re.sub(r"\s+", "", document)
        assert re.search(rf"{mine['model']} +{mine['total']}", printed.getvalue())


def test_intervals_and_rank_ranges_are_drawn_where_there_are_any(
    browser: Any, tmp_path: Path
) -> None:
    """And left out, column and all, where there are none."""
    maker = Maker(questions(8), judges=("评委",))
    bare = page_of(browser).open(saved(maker, tmp_path / "bare", sure={}))
    assert bare.see("document.querySelectorAll('.board .ci, [data-t=interval]').length") == 0
    sure = {("评委", "甲"): Interval(low=4.0, high=6.5, rank_low=1, rank_high=2)}
    page = page_of(browser).open(saved(maker, tmp_path / "sure", sure=sure))
    assert page.see("document.querySelectorAll('.board svg .ci').length") == 1
    text = page.see(
        "[...document.querySelectorAll('.board tbody tr')].map((r) => r.innerText).join('|')"
    )
    assert "±" in text
    assert "1–2" in text


# --- H7: links ---------------------------------------------------------------------------------

LOOK = """() => [document.querySelector('#tabs [aria-current]').textContent,
    ...[...document.querySelectorAll('main > section')].filter((s) => !s.hidden).map((s) => s.innerText),
    document.getElementById('drawer').open ? document.getElementById('drawer').innerText : '']"""


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_the_page_can_be_linked_to(
    browser: Any, opened: Opened, report: Path, state: str
) -> None:
    """Going there and opening the link anew show the same."""
    fresh = page_of(browser).open(report, state)
    if state.startswith("#q/"):
        fresh.until("document.getElementById('drawer').open")
        opened.go("#questions" if state.count("/") == 2 else "#cmp/0/2")
        opened.go(state).until("document.getElementById('drawer').open")
    else:
        opened.go(state)
    here, there = opened.see(LOOK), fresh.see(LOOK)
    assert here == there
    assert len("".join(here)) > 100
    assert fresh.messages == []


def test_back_and_forward_walk_through_what_was_seen(browser: Any, report: Path) -> None:
    """Closing a question leads back to where it was opened."""
    page = page_of(browser).open(report, "#lead")
    page.go("#questions?c=1").go("#q/5/1").until("document.getElementById('drawer').open")
    page.page.keyboard.press("Escape")
    page.until("!document.getElementById('drawer').open")
    assert page.see("location.hash") == "#questions?c=1"
    page.page.go_back()
    page.until("document.getElementById('drawer').open")
    page.page.go_back()
    page.page.go_back()
    page.until("!document.getElementById('v-lead').hidden")
    page.page.go_forward()
    page.until("!document.getElementById('v-questions').hidden")


def test_an_address_that_means_nothing_leads_somewhere_sensible(browser: Any, report: Path) -> None:
    """Links outlive the runs they were made for."""
    page = page_of(browser)
    lost = (
        "#nowhere",
        "#q/999/1",
        "#q/5",
        "#cmp/77/x",
        "#dim/9",
        "#questions?c=99&pair=x",
        "#q/5/44",
    )
    for hash_ in lost:
        page.page.goto("about:blank")
        page.open(report, hash_).until(
            "[...document.querySelectorAll('main > section')].filter((s) => !s.hidden).length === 1"
        )
        assert page.messages == [], hash_


# --- the matrix and the drawer -----------------------------------------------------------------


def test_a_cell_opens_its_question_with_what_every_judge_said(opened: Opened) -> None:
    """Question, reference, answer, both judges, their dimensions, and the comparisons."""
    opened.go("#lead").go("#q/5/0").until("document.getElementById('drawer').open")
    text = opened.see("document.getElementById('drawer').innerText")
    for said in (
        "第 5 题：为什么？",
        "参考 5",
        "甲 对 5 的回答",
        "judge one 的评语",
        "评委二 的评语",
        "Clarity",
    ):
        assert said in text
    assert "pair judge" in text
    opened.page.keyboard.press("j")
    opened.until("document.getElementById('drawer').innerText.includes('第 6 题')")
    opened.page.keyboard.press("ArrowRight")
    opened.until("drawer.shown.models[0] === ranked[ranked.indexOf(0) + 1]")
    neighbour = opened.see("index.models[drawer.shown.models[0]]")
    opened.until(f"document.getElementById('drawer').innerText.includes('{neighbour} 对 6')")
    opened.go("#lead")


def test_filters_choose_the_questions_they_name(opened: Opened) -> None:
    """By category, text, state, distance of the judges; and the count says how many."""

    def rows(hash_: str) -> list[str]:
        opened.go("#lead").go(hash_)
        found: list[str] = opened.see(
            "() => questions.rows.map((place) => index.questions[place][0])"
        )
        said = opened.see("document.getElementById('count').textContent")
        assert said == f"{len(found)} of 60"
        return found

    assert rows("#questions?c=0") == [str(i) for i in range(1, 61) if i % 4 == 1]
    assert rows("#questions?show=refused") == ["3"]
    assert rows("#questions?show=truncated") == ["4"]
    assert rows("#questions?show=failed") == ["7"]
    assert rows("#questions?show=missing") == ["3", "7", "9"]
    assert rows("#questions?text=第 11 题") == ["11"]
    assert rows("#questions?text=12") == ["12"]
    far = rows("#questions?show=apart&k=2")
    assert 0 < len(far) < 57
    assert len(rows("#questions?show=apart&k=3")) <= len(far)
    hardest = rows("#questions?sort=mean&m=0&j=0")
    assert sorted(hardest, key=int) == rows("#questions")


def test_all_texts_can_be_searched(opened: Opened) -> None:
    """Answers and verdicts too, block by block."""
    opened.go("#lead").go("#questions?deep=丙 C 对 42 的")
    opened.until("questions.hits !== null")
    assert opened.see("() => questions.rows.map((p) => index.questions[p][0])") == ["42"]


def test_a_count_of_two_judges_leads_to_its_questions(opened: Opened) -> None:
    """As many answers as the cell says."""
    opened.go("#judges")
    n = int(opened.see("document.querySelector('td[data-pair] button').textContent"))
    opened.see("document.querySelector('td[data-pair] button').click()")
    opened.until("location.hash.startsWith('#questions?pair=')")
    hits = opened.see(
        """() => questions.rows.flatMap((place) => [...index.models.keys()].filter((m) =>
            questions.filter.pair.every(([j, v]) => Math.floor(scoreAt(place, m, j) + 0.5) === v)))
            .length"""
    )
    assert hits == n


def test_a_column_sorts_both_ways(opened: Opened) -> None:
    """By its unrounded values."""
    opened.go("#lead/0")
    order = """[...document.querySelectorAll('.board')[0].tBodies[0].rows]
        .map((r) => Number(r.querySelector('.total').dataset.v))"""
    button = "document.querySelectorAll('.board')[0].tHead.querySelector('.total button')"
    opened.see(f"{button}.click()")
    down = opened.see(order)
    opened.see(f"{button}.click()")
    assert opened.see(order) == sorted(down) == down[::-1]
    opened.see(f"{button}.click()")


def test_texts_can_be_left_out_and_the_page_says_so(browser: Any, tmp_path: Path) -> None:
    """All scores stay."""
    maker = Maker(questions(6))
    maker.state = lambda trial: "truncated" if trial.question_id == 4 else "answered"
    page = page_of(browser).open(saved(maker, tmp_path / "some", "failures"), "#q/4/0")
    page.until("document.getElementById('drawer').innerText.includes('甲 对 4 的回答')")
    page.go("#lead").go("#q/5/0").until("document.getElementById('drawer').open")
    assert "甲 对 5" not in page.see("document.body.innerText")
    assert "only those of answers" in page.see("document.getElementById('top').innerText")
    bare = page_of(browser).open(saved(maker, tmp_path / "none", "none"), "#q/4/0")
    bare.until("document.getElementById('drawer').open")
    assert "not in this file" in bare.see("document.getElementById('drawer').innerText")


@pytest.mark.parametrize("odd", ["no judges", "unjudged", "unanswered", "one of each", "pairs"])
def test_a_run_of_any_shape_has_a_page_that_works(browser: Any, tmp_path: Path, odd: str) -> None:
    """Something to see in every view, no word on the console, and a question opens."""
    shapes = {
        "no judges": Maker(questions(5), judges=()),
        "one of each": Maker(questions(1), models=("m",), judges=("j",)),
        "pairs": Maker(questions(5), judges=(), pairwise=("p",)),
    }
    maker = shapes.get(odd, Maker(questions(5)))
    maker.error = lambda trial: (
        "boom" if odd == "unanswered" or (odd, trial.kind) == ("unjudged", "judgment") else ""
    )
    page = page_of(browser).open(saved(maker, tmp_path))
    for tab in ("", *TABS):
        page.go(f"#{tab}")
        heights = page.see(
            """() => [...document.querySelectorAll('main > section')].filter((s) => !s.hidden)
                .map((s) => s.offsetHeight)"""
        )
        assert len(heights) == 1
        assert heights[0] > 15, tab
    page.go("#q/1/0").until("document.getElementById('drawer').open")
    assert page.messages == []


# --- H8: for everybody -------------------------------------------------------------------------


def test_everything_that_can_be_used_has_a_name_and_tables_have_heads(opened: Opened) -> None:
    """Buttons, inputs and selects are named; every table has a head with a scope."""
    for tab in (*TABS, "q/5/1"):
        opened.go("#lead").go(f"#{tab}")
        opened.page.wait_for_timeout(80)
        nameless = opened.see(
            """() => [...document.querySelectorAll('button, input, select')].filter((n) => n.offsetParent
                && !(n.innerText || n.getAttribute('aria-label') || n.title || '').trim())
                .map((n) => n.outerHTML)"""
        )
        assert nameless == [], tab
        headless = opened.see(
            """() => [...document.querySelectorAll('table')].filter((n) => n.offsetParent
                && !n.querySelector('th[scope]')).length"""
        )
        assert headless == 0, tab
    opened.go("#lead")


def test_the_focus_goes_into_a_question_and_comes_back(opened: Opened) -> None:
    """By keyboard alone: into the matrix, two down, one right, open, close."""
    opened.go("#lead").go("#questions")
    opened.see("document.querySelector('#rows td.cell[tabindex=\"0\"]').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        opened.page.keyboard.press(key)
    opened.until("document.getElementById('drawer').open")
    assert opened.see("document.getElementById('drawer').contains(document.activeElement)")
    opened.page.keyboard.press("Escape")
    opened.until("!document.getElementById('drawer').open")
    opened.until("document.activeElement.matches('#rows td.cell')")
    assert opened.see(
        "[document.activeElement.dataset.at, document.activeElement.dataset.column]"
    ) == [*("2", "1")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_every_level(browser: Any, report: Path, scheme: str) -> None:
    """Contrast of 4.5:1 (WCAG 1.4.3) for all text, heat cells included, in both schemes."""
    page = page_of(browser, color_scheme=scheme).open(report)
    script = asset_of("contrast.js")
    for tab in (*TABS, "q/5/0/2"):
        page.go("#lead").go(f"#{tab}")
        page.page.wait_for_timeout(80)
        assert page.see(script) == [], (scheme, tab)


def asset_of(name: str) -> str:
    """A script of the tests' own."""
    return (Path(__file__).parent / "samples" / name).read_text("utf-8")


# --- H9: old browsers --------------------------------------------------------------------------


def test_without_scripts_the_tables_are_all_there(browser: Any, report: Path) -> None:
    """Leaderboards, dimensions, judges, comparisons and the run, with a word on what is missing."""
    page = page_of(browser, java_script_enabled=False)
    page.page.goto(report.as_uri())
    text = page.page.inner_text("body")
    for said in (
        "Scripts are off",
        "model-b",
        "Leaderboard",
        "Dimensions",
        "Kendall",
        "sweep digest",
        "pair judge",
    ):
        assert said in text
    assert page.page.locator("table.board").count() == 2
    assert page.page.locator("table.board").first.is_visible()


def test_an_old_browser_gets_a_notice_instead_of_an_error(browser: Any, report: Path) -> None:
    """Only the texts need DecompressionStream."""
    page = page_of(browser)
    page.page.add_init_script("delete globalThis.DecompressionStream")
    page.open(report, "#q/5/1").until("document.getElementById('drawer').open")
    assert "DecompressionStream" in page.see("document.getElementById('notice').textContent")
    assert "第 5 题" in page.see("document.getElementById('drawer').innerText")
    assert page.messages == []


# --- H10: languages, narrow, print -------------------------------------------------------------


def test_the_page_speaks_both_languages(browser: Any, report: Path) -> None:
    """From the browser's own, switched by one button, remembered; no word is left in the other."""
    page = page_of(browser, locale="zh-CN").open(report)
    assert page.see("document.documentElement.lang") == "zh-CN"
    for tab in TABS:
        page.go(f"#{tab}")
        texts = page.see(
            """() => [...document.querySelectorAll('main > section:not([hidden]) [data-t], #tabs button')]
                .filter((n) => n.offsetParent).map((n) => n.textContent)"""
        )
        plain = [
            s for s in texts if s.isascii() and s not in {"Pearson r", "sha256", "robust", "95%"}
        ]
        assert plain == [], tab
    page.page.click("#language")
    assert page.see("document.documentElement.lang") == "en"
    assert "Leaderboard" in page.see("document.getElementById('tabs').innerText")


def test_every_label_has_both_languages() -> None:
    """And every key that a script or the page asks for exists."""
    words = json.loads(asset("words.json"))
    pairs = {key: pair for key, pair in words.items() if key != "glosses"}
    assert all(len(pair) == 2 and all(pair) for pair in pairs.values())
    used = set()
    for name in SCRIPTS:
        used |= set(re.findall(r'\bt\("(\w+)"\)', asset(name)))
    used |= set(re.findall(r'data-t="(\w+)"', asset("report.html")))
    assert used <= set(pairs)
    assert len(used) > 50


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_a_telephone_never_scrolls_sideways(browser: Any, report: Path, language: str) -> None:
    """Tables scroll in themselves."""
    page = page_of(browser, viewport={"width": 390, "height": 800}, locale=language).open(report)
    for tab in (*TABS, "q/5/1", "q/5/0/2"):
        page.go("#lead").go(f"#{tab}")
        page.page.wait_for_timeout(60)
        assert page.see("document.documentElement.scrollWidth") <= 390, tab


def test_print_has_every_table_and_not_the_matrix(browser: Any, report: Path) -> None:
    """Whatever tab is open."""
    page = page_of(browser).open(report, "#questions")
    page.page.emulate_media(media="print")
    shown = page.see(
        """() => [...document.querySelectorAll('main > section')]
            .filter((s) => s.offsetHeight > 40).map((s) => s.id)"""
    )
    assert shown == ["v-lead", "v-dim", "v-judges", "v-duels", "v-run"]
    assert page.see("[...document.querySelectorAll('.board')].every((t) => t.offsetHeight > 60)")
    assert page.see("document.documentElement.scrollWidth <= innerWidth")
    assert len(page.page.pdf(prefer_css_page_size=True)) > 20_000


def test_categories_stand_in_the_page_under_their_own_names(opened: Opened) -> None:
    """With an English gloss beside them, which the Chinese page leaves out."""
    text = opened.see("document.getElementById('v-lead').textContent")
    assert all(category[:2] in text for category in CATEGORIES)
    assert "Math" in text
