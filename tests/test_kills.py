"""kill -9 at random moments, again and again, against a real server that counts what it is asked.

The program is the real one, on real time, with real sockets and threads. Most of its processes are forked
from one that has imported everything, so that fifty kills take seconds; every tenth is started as a user
starts it. After each kill nothing that was in the journal is gone or changed, and no trial has two results;
in the end the server has been asked for no more than what was in flight at the kills, and its own count of
tokens is ours.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from data.schema import Answer, Intent, Judgment, Record, Settled, Trial
from tests.conftest import Program
from tests.lives import KILLED, crew, ended, leave_for
from tests.test_crash import (
    CONCURRENCY,
    journal,
    nothing_asked_after_its_answer,
    provider,
    results,
    seen_by,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")
QUESTIONS = 72
NEEDED = 2 * 2 * QUESTIONS
WORDS = ("run", "s.toml", "--no-cache", "--progress", "none")
EXECUTED = 10
"""Every so many processes are started from nothing."""


def forked(folder: Path, words: Sequence[str], delay_s: float | None) -> int:
    """The exit code of a process of the program that is killed after `delay_s`. Run by the crew."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            leave_for(folder)
            code = ended(words)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    if delay_s is not None:
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert "Traceback" not in (folder / "said.txt").read_text(encoding="utf-8", errors="replace")
    return os.waitstatus_to_exitcode(status)


def executed(program: Program, delay_s: float) -> int:
    """The same, started as a user starts it; Python itself takes a third of a second."""
    process = program.start(*WORDS)
    time.sleep(delay_s + 0.3)
    process.kill()
    process.communicate()
    return process.returncode


def unfinished(records: Sequence[Record]) -> list[Trial]:
    """The trials of intents without an end."""
    open_: dict[int, Trial] = {}
    gone: list[Trial] = []
    for record in records:
        if isinstance(record, Intent):
            if record.id in open_:  # ids count from 1 in each session
                gone.append(open_.pop(record.id))
            if record.id == 1:
                gone += open_.values()
                open_.clear()
            open_[record.id] = record.trial
        elif isinstance(record, Settled):
            open_.pop(record.id, None)
    return [*gone, *open_.values()]


def kill_until_done(program: Program, dice: random.Random, kills: int, done: int) -> int:
    """One run, killed until it ends by itself or `kills` are reached, then finished. Kills so far."""
    kept: dict[Trial, Answer | Judgment] = {}
    before = 0
    with provider(program.folder, latency_s=0.05) as url:
        while done < kills:
            delay_s = dice.uniform(0.0, 0.5)
            done += 1
            if done % EXECUTED == 0:
                code = executed(program, delay_s)
            else:
                code = crew().submit(forked, program.folder, WORDS, delay_s).result()
            assert code in (0, KILLED), code
            records = journal(program)
            found = results(records)
            assert all(found.get(t) == record for t, record in kept.items()), "I1 lost or changed"
            kept = found
            fresh = len(unfinished(records)) - before
            assert fresh <= CONCURRENCY, f"{fresh} requests in flight"
            before += fresh
            if code == 0:
                done -= 1
                break
        else:
            assert crew().submit(forked, program.folder, WORDS, None).result() == 0
        seen = seen_by(url)
    check_end(program, kept, seen)
    return done


def check_end(program: Program, kept: dict[Trial, Answer | Judgment], seen: dict[str, int]) -> None:
    """All is there, once, and was paid for once."""
    records = journal(program)
    found = results(records)
    assert len(found) == NEEDED
    assert all(found[trial] == record for trial, record in kept.items())
    assert nothing_asked_after_its_answer(records)
    lost = unfinished(records)
    assert NEEDED <= seen["requests"] <= NEEDED + len(lost)
    cost: dict[Trial, tuple[int, int]] = {}
    ours = [0, 0]
    trials = {(i, r.id): r.trial for i, r in _by_session(records) if isinstance(r, Intent)}
    for i, record in _by_session(records):
        if isinstance(record, Settled) and record.usage is not None:
            used = (record.usage.input_tokens, record.usage.output_tokens)
            cost[trials[i, record.id]] = used
            ours = [a + b for a, b in zip(ours, used, strict=True)]
    for at, name in enumerate(("input_tokens", "output_tokens")):
        most = ours[at] + sum(cost[trial][at] for trial in lost)
        assert ours[at] <= seen[name] <= most, f"I5 {name}: {ours[at]}, {seen[name]}, {most}"
        if seen["requests"] == NEEDED + len(lost):
            assert seen[name] == most, "I5 tokens to the unit"


def _by_session(records: Sequence[Record]) -> list[tuple[int, Record]]:
    """Each record with the number of its session: ids begin again with 1."""
    session, found = 0, []
    for record in records:
        session += isinstance(record, Intent) and record.id == 1
        found.append((session, record))
    return found


def killed(tmp_path: Path, kills: int, seed: int) -> None:
    dice, done, runs = random.Random(seed), 0, 0
    began = time.monotonic()
    while done < kills:
        folder = tmp_path / f"run{runs}"
        folder.mkdir()
        done = kill_until_done(Program(folder), dice, kills, done)
        runs += 1
    print(f"\n{done} kills, {runs} runs, {time.monotonic() - began:.0f} s: nothing lost")


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    """Some runs live through many of them."""
    killed(tmp_path, 50, 1)


@pytest.mark.torture
def test_a_thousand_kills_lose_nothing_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    """The same, other moments."""
    killed(tmp_path, 1000, 2)
