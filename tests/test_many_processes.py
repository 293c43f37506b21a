"""Several processes at once: on one run only one works; one response cache serves them all."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from cache.key import cache_key
from cache.responses import Entry, ResponseStore
from data.schema import Draw, Response
from tests.conftest import Program
from tests.lives import KILLED, crew, ended, leave_for
from tests.test_crash import journal, provider, results, seen_by

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")
WORDS = ("run", "s.toml", "--limit", "10", "--no-cache", "--progress", "none")
NEEDED = 2 * 2 * 10
TOGETHER = 8


def at_once(folders: list[Path]) -> list[tuple[int, str]]:
    """Exit code and words of so many processes of the program that begin in the same instant."""
    read, write = os.pipe()
    pids = []
    for number, folder in enumerate(folders):
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(write)
                leave_for(folder, said=f"said-{number}.txt")
                os.read(read, 1)  # until the other end is closed
                code = ended(WORDS)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    os.close(read)
    os.close(write)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    said = [(f / f"said-{n}.txt").read_text(encoding="utf-8") for n, f in enumerate(folders)]
    return list(zip(codes, said, strict=True))


def test_of_eight_processes_on_one_run_one_works_and_seven_are_told_who(program: Program) -> None:
    """Exit code 2, one line, nothing sent by them and nothing harmed."""
    with provider(program.folder, latency_s=0.2) as url:
        found = crew().submit(at_once, [program.folder] * TOGETHER).result()
        seen = seen_by(url)
    codes = sorted(code for code, _ in found)
    assert codes == [0] + [2] * (TOGETHER - 1), found
    for code, said in found:
        assert "Traceback" not in said
        if code == 2:
            assert said.startswith("error: runs/s is in use by process ")
            assert said.count("\n") == 1
    assert len(results(journal(program))) == NEEDED
    assert seen["requests"] == NEEDED


# --- one cache ---------------------------------------------------------------------------------


def entry(number: int) -> Entry:
    """Every process knows the right answer to every question."""
    key = cache_key("i", "/p", b"%d" % number, Draw())
    return Entry(key, "i", "m", Response(text=f"answer {number} " * (1 + number % 50)))


def scribble(path: Path, seed: int) -> None:
    """Write and read for ever; a wrong answer is the end."""
    dice = random.Random(seed)
    store = ResponseStore(path)
    while True:
        numbers = [dice.randrange(2_000) for _ in range(20)]
        store.put_many([entry(n) for n in numbers[:10]], 1.0)
        check(store, numbers)


def check(store: ResponseStore, numbers: list[int]) -> int:
    """Whatever is found is right; how many were."""
    wanted = {entry(n).key: entry(n).response for n in numbers}
    found = store.get_many(list(wanted))
    assert all(wanted[key] == response for key, response in found.items())
    return len(found)


def writers_that_die(path: Path, rounds: int) -> int:
    """Eight processes on one cache; in each round half of them are killed and replaced. Kills."""
    dice = random.Random(rounds)
    pids: list[int] = []
    kills = 0
    for number in range(rounds):
        while len(pids) < TOGETHER:
            pid = os.fork()
            if pid == 0:
                try:
                    scribble(path, kills * TOGETHER + len(pids))
                finally:
                    os._exit(1)
            pids.append(pid)
        time.sleep(dice.uniform(0.05, 0.15))
        for _ in range(TOGETHER // 2 if number < rounds - 1 else TOGETHER):
            pid = pids.pop(dice.randrange(len(pids)))
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == KILLED, "a process met trouble by itself"
            kills += 1
        store = ResponseStore(path)
        check(store, list(range(2_000)))
        store.close()
    return kills


def shared_cache(path: Path, rounds: int) -> None:
    kills = crew().submit(writers_that_die, path, rounds).result()
    store = ResponseStore(path)
    there = check(store, list(range(2_000)))
    store.close()
    print(f"\n{kills} kills of writers of one cache, {there} entries, all right")
    assert there > 100
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@pytest.mark.slow
def test_a_cache_stays_whole_when_half_of_its_writers_are_killed(tmp_path: Path) -> None:
    """Four rounds; what is found is right, and new writers find it as it is."""
    shared_cache(tmp_path / "responses.sqlite", 4)


@pytest.mark.torture
def test_a_cache_stays_whole_when_hundreds_of_its_writers_are_killed(tmp_path: Path) -> None:
    """The same, longer."""
    shared_cache(tmp_path / "responses.sqlite", 250)
