"""Judges side by side: who is dominated, and who judges otherwise under load."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from data.codec import replace
from data.human import read_human
from data.schema import Block, Timing
from engine.agreement.estimate import Estimate
from engine.benching.agreeing import agreements
from engine.benching.document import Document, document
from engine.benching.frontier import frontier, under_load
from engine.benching.quantiles import Range
from engine.cells import width
from engine.money import NANO
from engine.reports.frontier import lines
from tests.benching_world import Server, bench, settings
from tests.predicted_world import loaded_from, performed, sweep_text
from tests.test_benching_rungs import block, timing


def rungs(
    low: dict[int, float | None], high: dict[int, float | None]
) -> list[tuple[Block, list[Timing]]]:
    """Scores by question at one and at eight in flight; None: it could not be read."""
    return [
        (
            block(target="judge:j", level=level, number=n),
            [
                timing(q, float(q), 1.0, score=s, end="unreadable" if s is None else "useful")
                for q, s in scores.items()
            ],
        )
        for n, (level, scores) in enumerate(((1.0, low), (8.0, high)))
    ]


def test_a_judge_that_grows_milder_under_load_is_told() -> None:
    """Half a point on the same thirty questions, with noise that hides it in two samples."""
    dice = random.Random(1)
    low: dict[int, float | None] = {q: dice.uniform(1, 9) for q in range(30)}
    high: dict[int, float | None] = {
        q: (s or 0) + 0.5 + dice.uniform(-0.3, 0.3) for q, s in low.items()
    }
    found = under_load(rungs(low, high))
    assert found is not None
    assert found.score is not None
    assert found.score.est == pytest.approx(0.5, abs=0.1)
    assert found.shifted
    assert found.questions == 30
    elsewhere = under_load(rungs(low, {q + 100: s for q, s in high.items()}))
    assert elsewhere is not None
    assert not elsewhere.shifted
    assert elsewhere.questions == 0


def test_a_judge_that_cannot_be_read_under_load_is_told() -> None:
    """A third less; and the same share at both loads shows nothing."""
    fine: dict[int, float | None] = dict.fromkeys(range(60), 7.0)
    worse = {q: None if q % 3 == 0 else s for q, s in fine.items()}
    found, same = under_load(rungs(fine, worse)), under_load(rungs(worse, worse))
    assert found is not None
    assert found.parsed is not None
    assert found.parsed.est == pytest.approx(-1 / 3)
    assert found.shifted
    assert same is not None
    assert not same.shifted
    assert under_load(rungs(fine, fine)[:1]) is None


def test_scores_of_a_benchmark_are_in_its_journal(tmp_path: Path) -> None:
    """Read by the sweep's own parser; the simulated server gives seven to all."""
    wanted = settings(levels=(1, 4), min_seconds=2, max_seconds=10)
    _, benched = bench(tmp_path, Server(), wanted, leg="judge")
    assert {t.score for t in benched.timings()} == {7.0}
    found = under_load(benched.blocks)
    assert found is not None
    assert found.score == Range(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def doc(tmp_path_factory: pytest.TempPathFactory) -> Document:
    wanted = settings(levels=(1, 4), min_seconds=2, max_seconds=10)
    return document(bench(tmp_path_factory.mktemp("f"), Server(), wanted, leg="judge")[1])


def with_judges(doc: Document, costs: dict[str, float]) -> Document:
    """The one judge again under other names, at other prices."""
    targets = []
    for name, nano in costs.items():
        [report] = doc.targets
        own = [
            replace(r, target=f"judge:{name}", money=replace(r.money, per_useful=Range(nano)))
            for r in report.rungs
        ]
        targets.append(replace(report, target=f"judge:{name}", rungs=tuple(own)))
    return replace(doc, targets=tuple(targets))


def test_dearer_and_no_better_is_dominated(doc: Document) -> None:
    """Dearer and better is not; a judge that nobody is beside is neither."""
    three = with_judges(
        doc, {"cheap": 1.0 * NANO, "dear": 2.0 * NANO, "best": 3.0 * NANO, "new": NANO}
    )
    known = {
        name: Estimate(value=v) for name, v in {"cheap": 0.6, "dear": 0.6, "best": 0.8}.items()
    }
    points = frontier(three, [], known, "humans")
    assert {p.judge: p.dominated_by for p in points} == {
        "cheap": "", "dear": "cheap", "best": "", "new": "",
    }  # fmt: skip
    told = list(lines(points, "USD", 80))
    assert max(map(width, told)) <= 80
    text = "\n".join(told)
    assert "dominated by cheap" in text
    assert text.count("on the frontier") == 2
    assert "beside humans" in text


def test_agreement_is_with_people_else_with_the_other_judges(tmp_path: Path) -> None:
    """Without a run, or with one judge and nobody else, there is none."""
    assert agreements(tmp_path / "none", None) == ({}, "")
    text = sweep_text(models=2, judges=2)
    loaded = loaded_from(tmp_path, text.replace("./many.jsonl", "mini"))
    performed(tmp_path, loaded)
    others, beside = agreements(tmp_path / "run", None)
    assert (set(others), beside) == ({"j0", "j1"}, "other judges")
    path = tmp_path / "human.csv"
    rows = [f"{q.id},m{m},{int(q.id) % 7 + m}" for q in loaded.benchmark.questions for m in (0, 1)]
    path.write_text("question_id,model,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    people, beside = agreements(tmp_path / "run", read_human(path))
    assert beside == "humans"
    assert people["j0"].n == 144
    assert people["j0"].value != others["j0"].value
