"""A benchmark's page: one file that opens without a network, runs nothing, and tells the same figures."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.codec import replace
from engine.benching.document import Document, document
from engine.benching.folder import Benched
from engine.benching.samples import Samples, samples
from engine.reports import benched as paper
from engine.reports.bench_web import scales
from engine.reports.bench_web.page import policy, render
from tests.benching_world import Server, bench, settings
from tests.browser import chromium, page_of
from tests.hostile import NAMES

SLO = "p95 latency < 600 ms, error rate < 1 %"
FOREIGN = "script,img,meta[http-equiv=refresh],iframe,form,a,object,embed,base,video,audio"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Benched:
    """A model and a judge at four rungs: a knee at eight, and 429s beyond twenty."""
    server = Server(slots=8, sigma=0.2)
    server.cap = 20
    wanted = settings(
        levels=(2, 4, 8, 32), min_requests=120, min_seconds=2, max_seconds=30, slo=SLO
    )
    return bench(tmp_path_factory.mktemp("bench"), server, wanted, leg="both")[1]


@pytest.fixture(scope="module")
def doc(measured: Benched) -> Document:
    return document(measured)


@pytest.fixture(scope="module")
def drawn(measured: Benched) -> Samples:
    return samples(measured)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def opened(browser: Any, folder: Path, page: bytes, **options: Any) -> Any:
    """The page from disk, in a browser without a network."""
    path = folder / "bench.html"
    path.write_bytes(page)
    found = page_of(browser, **options)
    found.page.goto(path.as_uri())
    assert found.requests == [path.as_uri()]
    assert found.messages == []
    return found


def test_the_policy_names_our_style_sheet_and_nothing_else(doc: Document, drawn: Samples) -> None:
    """By its hash; there is no script, no style attribute, and no address of another place."""
    text = render(doc, drawn).decode()
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy()
    assert "script-src" not in policy()
    assert "default-src 'none'" in text
    assert not re.search(r"<script|style=|url\(|@import|https?:", text)


def test_every_figure_of_the_terminal_is_on_the_page(doc: Document, drawn: Samples) -> None:
    """The rates, the advice, the goodput; and the same number of rungs."""
    text = re.sub(r"<small>.*?</small>|<[^>]*>", " ", render(doc, drawn).decode())
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    for report in doc.targets:
        assert paper.advice(report) in text.replace("&lt;", "<")
        for rung in report.rungs:
            assert paper.row(report, rung)[2] in text
        for service in report.service:
            assert service.goodput_per_min is not None
    assert text.count("judge:j") >= 4


def test_it_opens_from_disk_asks_for_nothing_and_fits(
    browser: Any, doc: Document, drawn: Samples, tmp_path: Path
) -> None:
    """On a desk and on a phone, light and dark: no sideways scrolling but inside tables."""
    for shape in ({}, {"viewport": {"width": 390, "height": 844}}, {"color_scheme": "dark"}):
        found = opened(browser, tmp_path, render(doc, drawn), **shape)
        assert found.see("document.documentElement.scrollWidth <= innerWidth")
        assert found.see("document.querySelectorAll('svg.plot').length") >= 7
        assert found.see("getComputedStyle(document.querySelector('svg .line')).fill") == "none"
        assert found.see("document.querySelectorAll('svg .knee').length") >= 2
        assert found.see("document.querySelectorAll('table.rungs').length") == 2


def test_marks_lie_inside_their_drawings(
    browser: Any, doc: Document, drawn: Samples, tmp_path: Path
) -> None:
    """Every dot and every text."""
    found = opened(browser, tmp_path, render(doc, drawn))
    outside = found.see(
        """[...document.querySelectorAll('svg.plot')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('circle,text,path')].filter(mark => {
                const own = mark.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1
                    || own.top < box.top - 1 || own.bottom > box.bottom + 1;
            }).map(mark => mark.outerHTML);
        })"""
    )
    assert outside == []


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_only_text(doc: Document, drawn: Samples, name: str) -> None:
    """Of sweeps, targets, limits and errors."""
    targets = tuple(
        replace(
            report,
            target=name,
            provider=name,
            rungs=tuple(replace(rung, errors={name: 1}) for rung in report.rungs),
        )
        for report in doc.targets
    )
    bad = replace(doc, sweep=name, benchmark=name, targets=targets, warnings=(name,))
    text = render(bad, drawn).decode()
    inside = text[text.index("</style>") :]
    assert not re.search(r"<(script|img|iframe|meta|form|a|svg onload)\b", inside)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", inside)


def test_hostile_names_do_nothing_in_a_browser(
    browser: Any, doc: Document, drawn: Samples, tmp_path: Path
) -> None:
    """All of them at once."""
    bad = replace(doc, sweep=NAMES[0], warnings=NAMES)
    found = opened(browser, tmp_path, render(bad, drawn))
    assert found.see(f"document.querySelectorAll('{FOREIGN}').length") == 0


def test_nothing_measured_is_a_page_too(doc: Document) -> None:
    """A benchmark that was interrupted at once."""
    empty = replace(doc, targets=(), together=(), limits=(), warnings=(), currency="")
    assert b"Nothing was measured." in render(empty, {})


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.3, 7.0), (0, 2, 4, 6, 8)),
        ((), (0, 1)),
        ((1138.0,), (0, 500, 1000, 1500)),
    ],
)
def test_axes_end_at_round_numbers(values: tuple[float, ...], ticks: tuple[float, ...]) -> None:
    """Above what they hold."""
    found = scales.linear(values, 0, 100)
    assert found.ticks == pytest.approx(ticks)
    assert found.place(found.high) == 100


@pytest.mark.parametrize("values", [(1.0, 64.0), (0.003, 0.004), (2.0,), (1.0, 100_000.0), ()])
def test_a_logarithmic_axis_has_a_few_ticks_inside_it(values: tuple[float, ...]) -> None:
    """And everything stands between its ends."""
    found = scales.logarithmic(values, 0, 100)
    assert 1 <= len(found.ticks) <= scales.MOST_TICKS + 1
    assert all(found.low <= tick <= found.high for tick in found.ticks)
    assert all(0 <= found.place(value) <= 100 for value in values)
