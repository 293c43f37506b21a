"""Whole days in bad weather: the real engine on virtual time, with every fault that a seed can draw.

What a day is stands in `tests/day.py`, what must hold after each of its sessions in `tests/promises.py`.
A hundred seeds are played here, a thousand by `make torture`; seeds that once found a mistake come first.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.day import TRIALS, drawn, failing, play
from tests.disk import Disk
from tests.storms import LONGEST_S, longest_gaps, stormy_day

WORKERS = 2
SEEDS = range(100)
TORTURE = range(1000, 2000)
KEPT = tomllib.loads((Path(__file__).parent / "kept_seeds.toml").read_text(encoding="utf-8"))


def all_keep_their_promises(seeds: Iterable[int]) -> None:
    """Played on two cores. Fails with every seed that broke a promise, and how to see it again."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=spawn) as pool:
        broken = [said for said in pool.map(failing, seeds, chunksize=5) if said]
    assert not broken, "\n".join(["", *broken])


@pytest.mark.parametrize("kept", KEPT["seed"], ids=lambda kept: str(kept["seed"]))
def test_a_seed_that_once_found_a_mistake_keeps_its_promises(kept: dict[str, str]) -> None:
    """For ever."""
    assert not failing(int(kept["seed"])), kept["found"]


@pytest.mark.slow
def test_a_hundred_days_keep_their_promises() -> None:
    """Each of 24 hours and 504 trials, less what a filter refuses to be judged."""
    all_keep_their_promises(SEEDS)


@pytest.mark.torture
def test_a_thousand_days_keep_their_promises() -> None:
    """The same, other seeds."""
    all_keep_their_promises(TORTURE)


def test_a_day_is_a_day_of_every_trial() -> None:
    """No seed gets away with less."""
    story = play(drawn(4))
    assert story.hours >= 24.0
    assert story.trials >= TRIALS - 63
    assert story.sessions >= 6
    assert len(story.fates) >= 8


def test_the_same_seed_leaves_the_same_trace_in_another_process() -> None:
    """Every exchange and event with its time, whatever Python's hashes are."""
    here = play(drawn(11)).trace
    command = [sys.executable, "-c", "from tests.day import *; print(play(drawn(11)).trace)"]
    for hashes in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
        there = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=True)
        assert there.stdout.decode().strip() == here
    assert play(drawn(12)).trace != here


def test_a_broken_promise_names_its_seed_and_the_command_that_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that nobody has to guess."""

    def lie(disk: Disk, fd: int) -> None:
        """An fdatasync that does nothing."""

    monkeypatch.setattr(Disk, "fdatasync", lie)
    said = failing(5)
    assert said.startswith("seed 5: tests.day.Broken: I1 acknowledged before it was durable")
    assert said.endswith("python -m tests.day 5 --trace")


# --- pacing over a whole day of storms ---------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_storms_ends_with_few_more_requests_than_it_needs(seed: int) -> None:
    """Two faults a request at most: all is done, in the same way each time, and nobody starves."""
    story = stormy_day(seed)
    assert story.outcome.state == "complete"
    assert story.outcome.failed == story.outcome.pending == 0
    assert story.hours >= 24
    assert story.faults >= 30
    assert story.requests <= 1.3 * story.needed
    assert max(longest_gaps(story).values()) <= 2 * LONGEST_S
    assert stormy_day(seed).trace == story.trace
