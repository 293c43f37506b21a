"""What higher limits would bring: each variation rehearsed, the best one first."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.catalog import accounts_of
from data.schema import ProviderSpec
from engine.config import Loaded, load, select
from engine.rehearsal import Rehearsal, rehearse
from engine.reports.rehearsal import saving_lines
from engine.standins import Assumed
from engine.whatif import Saving, limits_of, variations_of, varied, what_if

NOW_S = 1.8e9
SWEEP = """
name = "what"
benchmark = "mini"
[providers.openai]
{limits}
{more}
[[models]]
name = "m"
provider = "openai"
model = "gpt-4o"
[[models]]
name = "n"
provider = "openai"
model = "gpt-4o-mini"
[[judges]]
name = "j"
provider = "openai"
model = "gpt-4o"
"""
EMBEDDED = """api = "openai-chat"
base_url = "simulated:"
simulated = true
api_key_env = ""
[providers.openai.simulator]
latency_s = 2.0
rpm = 30
"""


def sweep(folder: Path, limits: str, more: str = "") -> Loaded:
    path = folder / "s.toml"
    path.write_text(SWEEP.format(limits=limits, more=more), encoding="utf-8")
    return load(path, home=folder / "home")


def base_of(loaded: Loaded) -> Rehearsal:
    return rehearse(loaded, select(loaded), Assumed(), now_s=NOW_S)


def savings_of(loaded: Loaded) -> tuple[Rehearsal, dict[str, Saving]]:
    base = base_of(loaded)
    found = what_if(loaded, select(loaded), Assumed(), base, now_s=NOW_S)
    assert [s.duration_s for s in found] == sorted(s.duration_s for s in found)
    return base, {saving.variation.name: saving for saving in found}


@pytest.mark.parametrize("more", ["", EMBEDDED], ids=["real", "embedded"])
def test_twice_the_requests_a_minute_halve_a_sweep_that_they_bind(
    tmp_path: Path, more: str
) -> None:
    """288 requests at 30 a minute and 64 in flight; a simulator's own limit is raised, too."""
    base, savings = savings_of(sweep(tmp_path, "rpm = 30\nconcurrency = 64", more))
    double, one = savings["rpm x2"], savings["rpm +1"]
    assert double.duration_s == pytest.approx(base.duration_s / 2, rel=0.04)
    assert double.saves_s == base.duration_s - double.duration_s
    assert double.limits == {"rpm": 60, "concurrency": 64}
    assert one.duration_s == pytest.approx(base.duration_s * 30 / 31, rel=0.01)
    assert savings["concurrency x2"].saves_s == pytest.approx(0, abs=0.01 * base.duration_s)


def test_one_more_key_halves_it_as_well_and_is_a_second_account(tmp_path: Path) -> None:
    """Two accounts with the limits of one share the work."""
    loaded = sweep(tmp_path, "tpm = 30_000\nconcurrency = 64")
    base, savings = savings_of(loaded)
    assert savings.keys() == {"tpm x2", "concurrency x2", "one more key"}
    key = savings["one more key"]
    assert key.duration_s == pytest.approx(base.duration_s / 2, rel=0.06)
    assert key.limits == {"tpm": 60_000, "concurrency": 128}
    assert key.then.name in ("openai#1", "openai#2")


def test_where_only_calls_in_flight_are_limited_a_key_is_the_same_as_twice_as_many(
    tmp_path: Path,
) -> None:
    """Then it is not rehearsed apart."""
    base, savings = savings_of(sweep(tmp_path, "concurrency = 3"))
    assert list(savings) == ["concurrency x2, or one more key", "concurrency +1"]
    double, one = savings.values()
    assert double.duration_s == pytest.approx(base.duration_s / 2, rel=0.05)
    assert one.duration_s == pytest.approx(base.duration_s * 3 / 4, rel=0.05)


def test_the_next_bottleneck_is_counted_in_and_named(tmp_path: Path) -> None:
    """Twice the rate is no use with eight calls in flight; both together are."""
    base, savings = savings_of(sweep(tmp_path, "rpm = 60\nconcurrency = 5"))
    assert 0 < savings["rpm x2"].saves_s < 0.35 * base.duration_s
    assert savings["rpm x2"].then.binding == "calls in flight 5"
    assert savings["one more key"].saves_s > savings["rpm x2"].saves_s
    text = "\n".join(saving_lines(list(savings.values()), base))
    assert "then openai: calls in flight 5" in text


def test_all_accounts_of_a_provider_are_raised_together(tmp_path: Path) -> None:
    """Each keeps its own proportion."""
    accounts = "[[providers.openai.accounts]]\nrpm = 30\n[[providers.openai.accounts]]\n"
    loaded = sweep(tmp_path, "rpm = 60\nconcurrency = 64", accounts)
    variations = {v.name: v for v in variations_of(loaded, base_of(loaded))}
    double = provider(varied(loaded, variations["rpm x2"]))
    assert [account.rpm for account in accounts_of(double)] == [60, 120]
    more = provider(varied(loaded, variations["one more key"]))
    assert [account.rpm for account in accounts_of(more)] == [30, 60, 60]
    assert limits_of(more) == {"rpm": 150, "concurrency": 192}


def test_processes_come_to_the_same_as_one(tmp_path: Path) -> None:
    """Whole rehearsals in processes of their own, nothing shared."""
    loaded = sweep(tmp_path, "rpm = 60\nconcurrency = 8")
    selection = select(loaded, limit=10)
    base = rehearse(loaded, selection, Assumed(), now_s=NOW_S)
    one, two = (what_if(loaded, selection, Assumed(), base, now_s=NOW_S, workers=n) for n in (1, 2))
    assert one == two
    assert len(one) == 4


def test_where_nothing_helps_that_is_said(tmp_path: Path) -> None:
    """One question: only the replies themselves take time."""
    loaded = sweep(tmp_path, "rpm = 6000\nconcurrency = 64")
    selection = select(loaded, limit=1)
    base = rehearse(loaded, selection, Assumed(), now_s=NOW_S)
    found = what_if(loaded, selection, Assumed(), base, now_s=NOW_S)
    assert list(saving_lines(found, base)) == ["no higher limit at openai would shorten it"]


def provider(loaded: Loaded) -> ProviderSpec:
    (found,) = loaded.sweep.providers
    return found
