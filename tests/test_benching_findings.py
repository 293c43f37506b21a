"""What a benchmark puts into a sweep file, and what it tells of two benchmarks."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.codec import replace
from data.errors import DataError
from engine.benching.compared import Change, changes, ratio
from engine.benching.document import document
from engine.benching.findings import Finding, findings
from engine.benching.folder import Benched
from engine.benching.quantiles import Range
from engine.benching.rewriting import difference, put_back, rewritten
from engine.reports.bench_diff import lines
from tests.benching_world import Server, bench, loaded_sweep, settings

WANTED = {"levels": (2, 8, 32), "min_requests": 60, "min_seconds": 2, "max_seconds": 30}
FILE = """\
# my sweep \t
name = "s"   # keep me
[providers.p]            # a provider
base_url = "http://x"
concurrency = 4          # by guess

[[models]]
name = "m"  # 长
"""
FOUND = (
    Finding("p", "concurrency", 16, 4, ""),
    Finding("p", "rpm", 240, None, ""),
    Finding("openai", "concurrency", 8, 16, ""),
)


def measured(folder: Path, server: Server, seed: int = 0) -> Benched:
    return bench(folder, server, settings(seed=seed, **WANTED))[1]


def test_a_found_cap_and_knee_go_into_the_provider(tmp_path: Path) -> None:
    """Eight places: eight in flight instead of the sixteen of the preset."""
    doc = document(measured(tmp_path, Server(slots=8)))
    [found] = findings(doc, loaded_sweep(tmp_path).sweep.providers)
    assert (found.provider, found.key, found.value, found.before) == ("p", "concurrency", 8, 16)
    assert "model:m: knee at" in found.evidence


def test_limits_that_somebody_wrote_stay(tmp_path: Path) -> None:
    """A rate that was learned is told only where the file says none."""
    server = Server()
    server.rpm = 300
    _, benched = bench(
        tmp_path, server, settings(levels=(8,), max_requests=900, max_seconds=150, ci=0.001)
    )
    doc = document(benched)
    assert "pace" in {limit.name for limit in doc.limits}
    [own] = loaded_sweep(tmp_path).sweep.providers
    learned = {f.key: f.value for f in findings(doc, [own])}
    assert learned["rpm"] == pytest.approx(300, rel=0.15)
    assert "rpm" not in {f.key for f in findings(doc, [replace(own, rpm=100.0)])}


def test_a_timeout_only_grows(tmp_path: Path) -> None:
    """Replies of 45 s under a timeout of 60 s: 180 s it becomes; replies of 1 s change nothing."""
    slow = document(
        bench(tmp_path / "a", Server(latency_s=45), settings(levels=(8,), max_seconds=600))[1]
    )
    [own] = loaded_sweep(tmp_path / "a").sweep.providers
    assert {f.key: f.value for f in findings(slow, [own])}["timeout_s"] == 180
    quick = document(measured(tmp_path / "b", Server(latency_s=1)))
    assert "timeout_s" not in {f.key for f in findings(quick, [own])}


def test_only_the_named_numbers_change_and_comments_stay() -> None:
    """Line by line: three lines are other ones, all the rest is byte for byte the same."""
    after = rewritten(FILE, FOUND, "measured", path="s.toml")
    shown = [line for line in difference(FILE, after, "s") if line[0] in "+-"][2:]
    assert shown == [
        "-concurrency = 4          # by guess",
        "+concurrency = 16          # by guess",
        "+rpm = 240 # measured",
        "+",
        "+[providers.openai]",
        "+concurrency = 8 # measured",
    ]
    assert tomllib.loads(after)["providers"]["p"] == {
        "base_url": "http://x", "concurrency": 16, "rpm": 240,
    }  # fmt: skip


@pytest.mark.parametrize(
    "written",
    [
        'name = "s"\nproviders.p = { rpm = 3 }\n',
        'name = "s"\nproviders.p.rpm = 3 # hm\n',
        'name = "s"\r\n[providers.p]\r\nrpm = 3\r\n[[models]]\r\nname = "m"\r\n',
        'name = "s"\n[[models]]\nname = "m"\n[providers.p.simulator]\nseed = 1\n',
        'name = "s"',
    ],
    ids=["inline", "dotted", "crlf", "subtable only", "no table"],
)
def test_every_way_of_writing_a_table_is_understood(written: str) -> None:
    """What comes out has the numbers and nothing else; line ends stay what they were."""
    after = rewritten(written, FOUND[:2], "measured", path="s.toml")
    expected = tomllib.loads(written)
    own = expected.setdefault("providers", {}).setdefault("p", {})
    own.update({"concurrency": 16, "rpm": 240})
    assert tomllib.loads(after) == expected
    assert ("\r\n" in written) == ("\r\n" in after)
    assert after.count("\n") == after.count("\r\n") or "\r\n" not in after


def test_a_file_that_cannot_be_changed_so_is_left_alone() -> None:
    """A provider that is no table."""
    with pytest.raises(DataError, match="cannot be changed"):
        rewritten("providers = 3\n", FOUND, "measured", path="s.toml")


def test_the_old_file_is_kept_under_a_free_name(tmp_path: Path) -> None:
    """A second time beside the first backup."""
    path = tmp_path / "s.toml"
    path.write_text("a = 1\n")
    path.chmod(0o640)
    assert put_back(path, "a = 2\n").name == "s.toml.bak"
    assert put_back(path, "a = 3\n").name == "s.toml.bak2"
    assert (tmp_path / "s.toml.bak").read_text() == "a = 1\n"
    assert (tmp_path / "s.toml.bak2").read_text() == "a = 2\n"
    assert path.read_text() == "a = 3\n"
    assert path.stat().st_mode & 0o777 == 0o640


def by_metric(found: list[Change], level: float) -> dict[str, Change]:
    return {change.metric: change for change in found if change.level == level}


def test_a_slower_server_is_told_and_the_same_one_is_not(tmp_path: Path) -> None:
    """Half as fast again: the ratio is 1.5; the same server with other luck shows no difference."""
    old = measured(tmp_path / "a", Server(sigma=0.3))
    same = measured(tmp_path / "b", Server(sigma=0.3), seed=1)
    slower = measured(tmp_path / "c", Server(sigma=0.3, latency_s=0.375))
    told = by_metric(changes(old, slower), 8)
    assert told["latency"].shown
    assert told["latency"].ratio.est == pytest.approx(1.5, rel=0.1)
    assert told["useful/min"].ratio.est == pytest.approx(1 / 1.5, rel=0.1)
    assert not told["cost"].shown
    assert not by_metric(changes(old, same), 8)["cost"].shown
    text = "\n".join(lines(old, slower, changes(old, slower), 80))
    assert "differ beyond noise" in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_difference_is_shown_where_there_is_none_19_times_of_20() -> None:
    """Two estimates of the same thing, each with its own 95 % interval."""
    dice, wrong = random.Random(2), 0
    for _ in range(2000):
        a, b = (dice.gauss(100, 5) for _ in range(2))
        found = ratio(Range(a, a - 9.8, a + 9.8), Range(b, b - 9.8, b + 9.8))
        assert found.low is not None
        assert found.high is not None
        wrong += not found.low <= 1 <= found.high
    assert 60 <= wrong <= 140


@given(st.floats(0.1, 1e6), st.floats(0.1, 1e6))
def test_without_intervals_there_is_a_ratio_and_no_verdict(a: float, b: float) -> None:
    """Few calls say nothing about noise."""
    found = ratio(Range(a), Range(b))
    assert found.est == pytest.approx(b / a)
    assert found.low is None
