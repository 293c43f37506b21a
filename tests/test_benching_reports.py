"""A benchmark's report: the same figures in every form, and nothing in it but data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from data import codec
from data.codec import replace
from engine.benching.discovered import LimitFound
from engine.benching.document import Document, document, schema
from engine.benching.folder import Benched
from engine.cells import width
from engine.money import NANO
from engine.reports import benched as paper
from engine.reports import benched_files as files
from tests.benching_world import Server, bench, settings

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Benched:
    """A model and a judge at three rungs, one of them beyond a cap on calls in flight."""
    server = Server(slots=8, sigma=0.2)
    server.cap = 20
    wanted = settings(levels=(2, 8, 32), min_requests=200, min_seconds=2, max_seconds=30)
    folder = tmp_path_factory.mktemp("bench")
    return bench(folder, server, wanted, leg="both")[1]


@pytest.fixture(scope="module")
def doc(measured: Benched) -> Document:
    return document(measured)


def test_the_schema_file_is_that_of_the_document() -> None:
    """docs/bench.schema.json is made from the records; it is made anew when they change."""
    written = json.loads((ROOT / "docs" / "bench.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(schema()))


def test_the_json_is_the_document(doc: Document) -> None:
    """It reads back as the same record, strictly; nothing in it is infinite or not a number."""
    text = files.as_json(doc)
    assert b"Infinity" not in text
    assert b"NaN" not in text
    assert codec.convert(json.loads(text), Document, where="the report") == doc


def test_every_form_tells_the_same_figures(doc: Document) -> None:
    """Rounded in the terminal and in Markdown, exact in CSV and JSON."""
    table = list(csv.DictReader(io.StringIO(files.as_csv(doc).decode("utf-8-sig"))))
    rungs = [rung for report in doc.targets for rung in report.rungs]
    assert len(table) == len(rungs) == 6
    text, markdown = "\n".join(paper.lines(doc, 200)), files.as_markdown(doc)
    for line, rung in zip(table, rungs, strict=True):
        assert rung.useful_per_min is not None
        assert rung.latency.p50 is not None
        assert rung.money.per_useful is not None
        assert float(line["useful_per_min"]) == rung.useful_per_min.est
        assert float(line["latency_p50_s"]) == rung.latency.p50.est
        assert float(line["cost_per_useful"]) == pytest.approx(rung.money.per_useful.est / NANO)
        for shown in (f"{rung.useful_per_min.est:.0f}", f"{rung.latency.p50.est:.2f}"):
            assert shown in text
            assert shown in markdown


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(doc: Document, columns: int) -> None:
    """Wider terminals show more columns; the money stays at 80."""
    lines = list(paper.lines(doc, columns))
    assert max(map(width, lines)) <= columns
    head = next(line for line in lines if line.startswith("target"))
    assert "cost/1k" in head
    assert ("wall p95" in head) == (columns >= 140)


def test_what_is_recommended_is_marked_and_said(doc: Document) -> None:
    """The knee of eight places; the judge alike."""
    text = "\n".join(paper.lines(doc, 80))
    for report in doc.targets:
        assert report.advice.level == 8
        assert report.advice.concurrency == 8
    assert text.count("▸8") == 2
    assert "use 8 in flight" in text
    assert "calls in flight" in "\n".join(paper.limit_lines(doc.limits, doc.started_s, 80))


def test_a_judged_answer_costs_its_answer_and_its_verdict(doc: Document) -> None:
    """And the slower of the two decides how many there are a minute."""
    [pair] = doc.together
    rungs = {report.target: report.rungs[1] for report in doc.targets}
    speeds = [r.useful_per_min.est for r in rungs.values() if r.useful_per_min]
    costs = [r.money.per_useful.est for r in rungs.values() if r.money.per_useful]
    assert pair.judged_per_min == min(speeds)
    assert pair.cost == pytest.approx(sum(costs))


def test_names_are_data(doc: Document) -> None:
    """No formula, no escape code, no markup, whatever a model is called."""
    hostile = "=cmd()\x1b[31m|<b>`"
    report = replace(doc.targets[0], target=hostile, model=hostile)
    bad = replace(doc, targets=(report,), warnings=(hostile,))
    assert "\x1b" not in "\n".join(paper.lines(bad, 80))
    assert "\x1b" not in files.as_csv(bad).decode()
    assert '"=cmd' not in files.as_csv(bad).decode()
    assert "<b>" not in files.as_markdown(bad)


def test_figures_that_are_not_there_are_dashes(doc: Document) -> None:
    """Never zero."""
    rung = replace(doc.targets[0].rungs[0], useful_per_min=None, money=replace(
        doc.targets[0].rungs[0].money, per_useful=None))  # fmt: skip
    cells = paper.row(doc.targets[0], rung)
    assert (cells[2], cells[3], cells[8]) == ("–", "–", "–")


def test_limits_are_told_with_their_source_and_age() -> None:
    """What the sweep file says has no age."""
    found = [
        LimitFound(account="a", name="rpm", value=60, source="sweep file"),
        LimitFound(account="a", name="tpm", value=9e4, source="headers", found_s=100.0, where="r"),
    ]
    lines = paper.limit_lines(found, 100.0 + 3 * 3600, 80)
    assert [line.split() for line in lines[1:]] == [
        ["a", "requests/min", "60", "sweep", "file", "–"],
        ["a", "tokens/min", "90,000", "headers", "3", "h", "r"],
    ]
    assert paper.limit_lines([], 0.0, 80) == ["no limit is known"]


def test_a_document_says_what_it_measured(doc: Document, measured: Benched) -> None:
    """Which sweep, which questions, how much was spent."""
    assert (doc.sweep, doc.simulated) == ("s", False)
    assert doc.digest == measured.header.digest
    assert doc.spent == sum(t.cost or 0 for t in measured.timings())
    assert doc.settings.levels == (2, 8, 32)
