"""Whole benchmarks on virtual time, against servers whose truth is known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cache.journal import scan
from cache.responses import ResponseStore
from data.errors import ConfigError
from data.schema import Intent, Settled, Timing
from engine.benching.document import document
from engine.benching.folder import Benched
from engine.benching.work import BlockEnded, Told
from tests.benching_world import Server, bench, settings

LADDER = (1, 2, 4, 8, 16, 32, 64)
QUICK = {"min_seconds": 2, "max_seconds": 60}


def per_min(benched: Benched, level: float) -> float:
    [rung] = [r for r in benched.rungs() if r.level == level]
    assert rung.useful_per_min is not None
    return rung.useful_per_min.est


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_throughput_latency_and_the_knee_are_those_of_the_server(
    tmp_path: Path, sigma: float
) -> None:
    """Eight places, 0.25 s: 32 calls a second from eight in flight on, and a knee at eight."""
    server = Server(slots=8, sigma=sigma)
    _, benched = bench(
        tmp_path, server, settings(levels=LADDER, min_requests=150, ci=0.03, **QUICK)
    )
    assert per_min(benched, 1) == pytest.approx(240, rel=0.08 if sigma else 0.001)
    assert per_min(benched, 16) == pytest.approx(1920, rel=0.05 if sigma else 0.02)
    [report] = document(benched).targets
    assert report.advice.knee.status == "passed"
    assert report.advice.knee.in_flight == pytest.approx(8, rel=0.15)
    assert report.advice.concurrency in (8, 16)


def test_intervals_hold_the_truth_about_as_often_as_they_say(tmp_path: Path) -> None:
    """Four in flight on eight places, lognormal: 960 a minute, in at least 35 of 40 benchmarks."""
    held = 0
    for seed in range(40):
        server = Server(slots=8, sigma=0.5, seed=seed)
        _, benched = bench(tmp_path / str(seed), server, settings(levels=(4,), **QUICK))
        rate = benched.rungs()[0].useful_per_min
        assert rate is not None
        assert rate.low is not None
        assert rate.high is not None
        held += rate.low <= 960 <= rate.high
    assert held >= 35


def test_a_ladder_ends_when_more_brings_nothing(tmp_path: Path) -> None:
    """Four places: 8 and 16 in flight bring nothing, so 32 and 64 are not sent."""
    finished, benched = bench(tmp_path, Server(slots=4), settings(levels=LADDER, **QUICK))
    assert [r.level for r in benched.rungs()] == [1, 2, 4, 8, 16]
    assert "less than 5 % more" in finished.ended["model:m"]


def test_a_server_without_limits_is_climbed_to_the_top(tmp_path: Path) -> None:
    """No knee is made up; the advice says that more may be had."""
    _, benched = bench(tmp_path, Server(), settings(levels=LADDER, **QUICK))
    [report] = document(benched).targets
    assert report.advice.knee.status == "not_reached"
    assert report.advice.concurrency == 64
    assert "a longer ladder" in report.advice.why


def test_so_many_are_in_flight_and_no_more(tmp_path: Path) -> None:
    """A closed load is one."""
    server = Server()
    _, benched = bench(tmp_path, server, settings(levels=(5,), **QUICK))
    assert server.most_busy == 5
    assert benched.rungs()[0].in_flight == pytest.approx(5, rel=0.01)


def test_a_cap_on_calls_in_flight_is_found_exactly(tmp_path: Path) -> None:
    """Ten: at sixteen some are turned away, and the limit is told."""
    server = Server(sigma=0.3)
    server.cap = 10
    _, benched = bench(tmp_path, server, settings(levels=(4, 8, 16), **QUICK))
    doc = document(benched)
    assert [(limit.name, limit.value) for limit in doc.limits] == [("concurrency", 10)]
    assert doc.targets[0].advice.concurrency == 10
    assert [r.turned_away > 0 for r in benched.rungs()] == [False, False, True]


@pytest.mark.parametrize("told", [True, False])
def test_a_rate_limit_is_not_mistaken_for_speed(tmp_path: Path, told: bool) -> None:
    """240 a minute: what comes out is never above that, whatever the first burst was like."""
    server = Server(latency_s=0.5)
    server.rpm = 240
    wanted = settings(levels=(16,), min_seconds=180, max_seconds=240, max_requests=5000, ci=0.001)
    _, benched = bench(tmp_path, server, wanted, provider="rpm = 240" if told else "")
    found = per_min(benched, 16)
    assert found <= 240 * 1.03
    assert found >= 240 * (0.97 if told else 0.85)
    assert told == (benched.rungs()[0].limited.k == 0)


def test_an_open_load_keeps_its_rate_and_shows_its_queue(tmp_path: Path) -> None:
    """One place and 0.5 s a call: 60 a minute fit in, 180 a minute queue without end."""
    wanted = {"load": "constant", "min_seconds": 40, "max_seconds": 40, "ci": 0.001}
    _, fits = bench(
        tmp_path / "a", Server(slots=1, latency_s=0.5), settings(levels=(60,), **wanted)
    )
    [rung] = fits.rungs()
    assert per_min(fits, 60) == pytest.approx(60, rel=0.03)
    assert rung.latency.mean is not None
    assert rung.latency.mean.est == pytest.approx(0.5, rel=0.01)
    _, queues = bench(
        tmp_path / "b", Server(slots=1, latency_s=0.5), settings(levels=(180,), **wanted)
    )
    [late] = queues.rungs()
    assert per_min(queues, 180) == pytest.approx(120, rel=0.03)
    assert late.wall.mean is not None
    assert late.wall.mean.est > 5


def test_poisson_arrivals_have_their_rate(tmp_path: Path) -> None:
    """On average; and they are not evenly spaced."""
    wanted = settings(
        levels=(600,), load="poisson", min_seconds=60, max_seconds=60, ci=0.001, max_requests=5000
    )
    _, benched = bench(tmp_path, Server(), wanted)
    assert per_min(benched, 600) == pytest.approx(600, rel=0.12)


def test_money_is_what_the_calls_cost_and_never_above_the_budget(tmp_path: Path) -> None:
    """1,000 tokens in at 1 USD a million, 50 out at 10: 1.5 thousandths each."""
    server = Server()
    finished, benched = bench(
        tmp_path, server, settings(levels=(1, 8), **QUICK), max_nano=100_000_000
    )
    money = benched.rungs()[0].money
    assert money.per_useful is not None
    assert money.per_useful.est == 1_500_000
    assert finished.state == "money"
    assert finished.spent.total.booked <= 100_000_000
    assert len(server.bodies) * 1_500_000 == finished.spent.total.booked


def test_cached_prompts_are_priced_three_ways(tmp_path: Path) -> None:
    """Half of each prompt cached: as billed 1.05, cold 1.5, and warm like billed."""
    server = Server()
    server.cached_share = 0.5
    _, benched = bench(tmp_path, server, settings(levels=(2,), **QUICK))
    money = benched.rungs()[0].money
    assert money.per_useful is not None
    assert money.per_useful.est == 1_050_000
    assert money.per_useful_cold == 1_500_000
    assert money.per_useful_warm == pytest.approx(1_050_000)


def test_unreadable_verdicts_are_asked_again_and_paid_for(tmp_path: Path) -> None:
    """Half cannot be read: as many asks as the sweep allows, all billed, parse rate about half."""
    server = Server()
    server.verdicts = 0.5
    wanted = settings(levels=(4,), min_requests=300, ci=0.01, max_seconds=60, min_seconds=60)
    _, benched = bench(tmp_path, server, wanted, leg="judge")
    [rung] = benched.rungs()
    assert rung.parsed.low <= 0.5 <= rung.parsed.high
    assert rung.useful / rung.calls == pytest.approx(1 - 0.5**3, abs=0.05)
    assert rung.money.per_useful is not None
    assert rung.money.per_useful.est == pytest.approx(1_500_000 * 1.75 / 0.875, rel=0.05)


def test_failures_are_retried_counted_and_part_of_the_wall(tmp_path: Path) -> None:
    """A fifth fails: the calls come through, and take longer than a reply does."""
    server = Server(latency_s=1.0)
    server.failing = 0.2
    wanted = settings(levels=(4,), min_requests=200, ci=0.01, max_seconds=90, min_seconds=90)
    _, benched = bench(tmp_path, server, wanted)
    [rung] = benched.rungs()
    assert rung.failed.low <= 0.2 <= rung.failed.high
    assert set(rung.errors) == {"Overloaded", "TransportError"}
    assert rung.useful / rung.calls > 0.95
    assert rung.latency.mean is not None
    assert rung.wall.mean is not None
    assert rung.latency.mean.est == pytest.approx(1.0)
    assert rung.wall.mean.est > 1.2


def test_no_prompt_is_sent_twice_to_one_target(tmp_path: Path) -> None:
    """When all questions were asked they come again with salt, so that no prompt cache knows them."""
    server = Server()
    _, benched = bench(tmp_path, server, settings(levels=(4, 8), **QUICK))
    sent = Counter(json.dumps(body["messages"]) for body in server.bodies)
    assert len(server.bodies) > 60
    assert max(sent.values()) == 1
    assert any("asked more than once" in note for note in document(benched).warnings)


def test_cold_prompts_begin_with_salt(tmp_path: Path) -> None:
    """All of them, each with its own."""
    server = Server()
    bench(tmp_path, server, settings(levels=(1,), cache="cold", **QUICK))
    begins = [body["messages"][0]["content"].partition("\n")[0] for body in server.bodies]
    assert all(begin.startswith("[") and len(begin) == 14 for begin in begins)
    assert len(set(begins)) == len(begins)


def test_answers_go_into_the_cache_once_and_replace_nothing(tmp_path: Path) -> None:
    """So a sweep need not buy them again; salted ones and verdicts on references do not."""
    path = tmp_path / "cache.sqlite"
    _, benched = bench(tmp_path / "a", Server(), settings(levels=(4,), **QUICK), cache_path=path)
    plain = [t for t in benched.timings() if not t.salted]
    kept = ResponseStore(path).info()
    assert sum(row.entries for row in kept) == len(plain) > 0
    bench(tmp_path / "b", Server(), settings(levels=(4,), **QUICK), cache_path=path)
    bench(tmp_path / "c", Server(), settings(levels=(4,), **QUICK), leg="judge", cache_path=path)
    assert ResponseStore(path).info() == kept


def test_each_attempt_has_its_intent_its_end_and_its_times(tmp_path: Path) -> None:
    """Three lines that name each other, in the sweep's journal format."""
    server = Server()
    server.failing = 0.1
    bench(tmp_path, server, settings(levels=(4,), **QUICK))
    records = [record for _, record in scan(tmp_path / "b" / "journal.jsonl")]
    assert None not in records
    for kind in (Intent, Settled, Timing):
        assert [r.id for r in records if isinstance(r, kind)] != []
    ids = [{r.id for r in records if isinstance(r, kind)} for kind in (Intent, Settled, Timing)]
    assert ids[0] == ids[1] == ids[2]
    costs = {r.id: r.cost for r in records if isinstance(r, Settled)}
    assert all(costs[r.id] == r.cost for r in records if isinstance(r, Timing) and not r.estimated)


def test_targets_take_turns_and_the_seed_decides(tmp_path: Path) -> None:
    """Nobody is measured wholly before another; the same seed gives the same order."""

    def order(name: str, seed: int) -> list[str]:
        told: list[Told] = []
        wanted = settings(levels=LADDER[:5], seed=seed, repeats=2, **QUICK)
        bench(tmp_path / name, Server(), wanted, leg="both", told=told)
        return [f"{t.block.target} {t.block.level}" for t in told if isinstance(t, BlockEnded)]

    first = order("a", 1)
    for turn in range(5):
        pair = first[2 * turn : 2 * turn + 2]
        assert {entry.partition(" ")[0] for entry in pair} == {"model:m", "judge:j"}
    assert len(first) == 20
    assert order("b", 1) == first
    assert any(order(f"c{seed}", seed) != first for seed in (2, 3))


def test_a_benchmark_that_was_cut_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Finished blocks stay, nothing is asked twice, and the money of both sessions is one sum."""
    wanted = settings(levels=(1, 2, 4), **QUICK)
    _, whole = bench(tmp_path / "whole", Server(), wanted)
    server = Server()
    bench(tmp_path / "cut", server, wanted)
    path = tmp_path / "cut" / "b" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    blocks = [i for i, line in enumerate(lines) if b'"kind":"block"' in line]
    path.write_bytes(b"".join(lines[: blocks[1] + 40]))  # the preflight, one block, some more
    finished, gone_on = bench(tmp_path / "cut", server, wanted)
    assert finished.state == "complete"
    assert [r.level for r in gone_on.rungs()] == [1, 2, 4]
    assert len(gone_on.lost) > 0
    assert len({b.number for b, _ in gone_on.blocks}) == 3
    assert finished.spent.total.booked >= sum(t.cost or 0 for t in gone_on.timings())
    assert per_min(gone_on, 4) == pytest.approx(per_min(whole, 4), rel=0.01)
    asked = [t.question_id for t in gone_on.timings()]
    assert max(Counter(asked[:30]).values()) == 1


def test_other_settings_do_not_go_on_with_a_benchmark(tmp_path: Path) -> None:
    """Its figures would be of two kinds."""
    bench(tmp_path, Server(), settings(levels=(1,), **QUICK))
    with pytest.raises(ConfigError, match="its settings differ \\(levels\\)"):
        bench(tmp_path, Server(), settings(levels=(1, 2), **QUICK))


def test_a_target_that_cannot_be_asked_is_given_up_at_once(tmp_path: Path) -> None:
    """Every reply fails: the first call says so, and nothing else is sent."""
    server = Server()
    server.failing = 1.0
    finished, benched = bench(tmp_path, server, settings(levels=LADDER, **QUICK))
    assert finished.state == "broken"
    assert "its first call failed" in finished.ended["model:m"]
    assert benched.rungs() == []
    assert len(server.bodies) == 3


def test_a_rung_never_steady_has_no_figures(tmp_path: Path) -> None:
    """Calls of 40 s in a block of 5 s: the window never opens in time."""
    wanted = settings(levels=(4,), min_seconds=2, max_seconds=5)
    _, benched = bench(tmp_path, Server(latency_s=40), wanted)
    [rung] = benched.rungs()
    assert rung.useful_per_min is None
    assert any("never was steady" in note for note in document(benched).warnings)
