"""Storms and floods from a real server: everything is done, politely, within bounds of time and memory."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from providers.hostile.ledger import by_body, most_in_flight
from providers.hostile.repertoire import SCENES
from providers.hostile.stage import Play, Stage
from tests.hostile_host import hosting, questions, sweep

if TYPE_CHECKING:
    from tests.conftest import Program

FLAWS = (
    *("429_ra_float", "429_ra_ms", "429_body_hint", "429_no_ra", "500", "502_html", "504", "529"),
    *("close_before", "reset_before", "reset_mid_headers", "close_mid_body", "reset_mid_body"),
    *("cl_too_long", "garbage", "gzip_cut", "200_html", "200_cut_json", "200_null_content"),
)
"""Passing faults of every kind."""
STORM, MOST = 0.6, 2
IN_FLIGHT, QUESTIONS = 8, 12


def storm(dice: random.Random) -> Play:
    """A fault in six of ten replies, at most two for one body."""

    async def play(stage: Stage) -> bool:
        if stage.exchange.nth <= MOST and dice.random() < STORM:
            return await SCENES[dice.choice(FLAWS)].play(stage)
        stage.exchange.hostile = False
        return await stage.send(stage.completion(stage.sound_text()))

    return play


def test_a_storm_passes_and_everything_is_done_for_little_more_than_it_took(
    program: Program,
) -> None:
    """Six replies of ten are faults; requests stay within 1.3 times what the faults made necessary."""
    with hosting({"target": storm(random.Random(7))}) as server:
        (program.folder / "q.jsonl").write_text(questions(QUESTIONS))
        top = 'attempts = 5\n[budget]\ntotal = "100"'
        price = 'max_tokens = 64\nprice = { currency = "USD", input = "1", output = "2" }'
        text = sweep(
            server.url("HOUSE"),
            {"target": "target"},
            judge="target",
            top=top,
            provider=f"concurrency = {IN_FLIGHT}\ntimeout_s = 20.0",
            party=price,
        )
        (program.folder / "s.toml").write_text(text)
        ended = program.run("run", "s.toml", "--progress", "none", timeout_s=280)
        heard = server.ledger.of("target")
    assert ended.code == 0, ended
    asked = [each for each in heard if each.model == "target"]
    faults = sum(each.hostile for each in asked)
    assert faults >= 8
    assert len(asked) <= 1.3 * (QUESTIONS + faults)
    assert most_in_flight(heard) <= IN_FLIGHT
    gaps = []
    for same in by_body(asked):
        assert len(same) <= 1 + MOST
        for before, after in pairwise(same):
            gap_s = after.came_s - (before.spoke_s or before.came_s)
            assert gap_s >= before.told_s - 0.02
            gaps.append(gap_s)
    assert min(gaps) >= 0.04


BOMBS = (
    *(
        "endless",
        "endless_chunked",
        "endless_stream",
        "endless_error",
        "huge_announced",
        "gzip_bomb",
    ),
    *("gzip_bomb_layers", "header_count", "header_long", "header_endless", "trailer_flood"),
    *(
        "1xx_flood",
        "200_deep",
        "200_deep_objects",
        "200_quotes",
        "hang",
        "slow_headers",
        "slow_body",
    ),
)
MEMORY = """
import atexit, re, sys
def peak():
    print("PEAK", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
atexit.register(peak)
"""
"""The kernel's own high-water mark, in KiB: ru_maxrss would begin with that of the tests' process."""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
TIMEOUT_S = 8.0


@needs_proc
def test_bombs_and_hangs_fill_no_memory_and_outlive_no_deadline(program: Program) -> None:
    """64 calls in flight, all of them floods: at most 300 MB, and every attempt ends in time."""
    count = 64

    def turns(stage: Stage) -> Play:
        return SCENES[BOMBS[len(server.ledger.of("target")) % len(BOMBS)]].play

    async def play(stage: Stage) -> bool:
        return await turns(stage)(stage)

    with hosting({"target": play}) as server:
        (program.folder / "q.jsonl").write_text(questions(count))
        provider = f"concurrency = {count}\ntimeout_s = {TIMEOUT_S}"
        text = sweep(
            server.url("HOUSE"), {"target": "target"}, top="attempts = 1", provider=provider
        )
        (program.folder / "s.toml").write_text(text)
        process = program.start(
            "generate", "s.toml", "--progress", "none", before=f"exec({MEMORY!r})"
        )
        began = time.monotonic()
        _, err = process.communicate(timeout=200)
        took_s = time.monotonic() - began
        heard = list(server.ledger.of("target"))
    assert process.returncode == 3, err
    assert len(heard) == count
    peak_mb = int(err.decode().rpartition("PEAK ")[2]) / 1024
    assert peak_mb <= 300
    journal = (program.folder / "runs" / "s" / "journal.jsonl").read_text().splitlines()
    settled = [line for line in journal if '"kind":"settled"' in line]
    assert len(settled) == count
    latencies = [float(line.partition('"latency_s":')[2].partition(",")[0]) for line in settled]
    assert max(latencies) <= TIMEOUT_S + 1 + stalled_s()
    assert took_s < 120


def stalled_s() -> float:
    """What a machine that has more to do than it can gives to nobody: 0 where there is room."""
    return max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1.5)


@needs_proc
@pytest.mark.parametrize("name", ["header_endless", "1xx_flood"])
def test_a_flood_before_the_headers_end_is_not_kept(
    tmp_path: Path, program: Program, name: str
) -> None:
    """Neither a header without an end, nor interim replies, of which aiohttp would keep every one."""
    with hosting({"target": SCENES[name].play}) as server:
        (program.folder / "q.jsonl").write_text(questions(1))
        text = sweep(
            server.url("HOUSE"),
            {"target": "target"},
            top="attempts = 1",
            provider="timeout_s = 2.0",
        )
        (program.folder / "s.toml").write_text(text)
        process = program.start(
            "generate", "s.toml", "--progress", "none", before=f"exec({MEMORY!r})"
        )
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert int(err.decode().rpartition("PEAK ")[2]) / 1024 <= 110
