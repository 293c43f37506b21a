"""Real processes, killed and interrupted in the middle of their work, against a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cache.journal import scan
from data.benchmark import load
from data.schema import Answer, Intent, Judgment, Record, Settled, Synced, Trial
from providers.persona import Cast
from providers.scorebook import published
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Program

CONCURRENCY = 8
QUESTIONS = 40
NEEDED = 2 * 2 * QUESTIONS
"""Requests of two models and one judge, if none is lost."""
RUN = ("run", "s.toml", "--limit", str(QUESTIONS), "--no-cache", "--progress", "none")


@contextmanager
def provider(folder: Path, latency_s: float = 0.03) -> Iterator[str]:
    """The simulated provider on a socket, and a sweep file beside it that uses it; its URL."""
    cast = Cast(0, [load("mini", home=folder)], [published()])
    with serve_in_thread(SimOptions(latency_s=latency_s, latency_spread=0.3), cast) as url:
        parties = [
            ("models", "gpt-4-1106-preview"),
            ("models", "chatglm3-6b"),
            ("judges", "gpt-4-0613"),
        ]
        tables = [f'[[{t}]]\nname = "{n}"\nprovider = "sim"\nmodel = "{n}"' for t, n in parties]
        head = (
            'name = "s"\nbenchmark = "mini"\n[providers.sim]\napi = "openai-chat"\n'
            f'base_url = "{url}"\nsimulated = true\nconcurrency = {CONCURRENCY}'
        )
        (folder / "s.toml").write_text("\n".join([head, *tables]), encoding="utf-8")
        yield url


def seen_by(url: str) -> dict[str, Any]:
    """The provider's own count."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def journal(program: Program) -> list[Record]:
    """The intact lines; only the last may be torn."""
    path = program.folder / "runs" / "s" / "journal.jsonl"
    lines = [record for _, record in scan(path)] if path.exists() else []
    assert None not in lines[:-1]
    return [record for record in lines if record is not None]


def results(records: list[Record]) -> dict[Trial, Answer | Judgment]:
    """The final record of each trial; no trial has two."""
    found: dict[Trial, Answer | Judgment] = {}
    for record in records:
        if isinstance(record, Answer | Judgment):
            assert record.trial not in found
            found[record.trial] = record
    return found


def lost(records: list[Record]) -> int:
    """Intents without an end: what was in flight when the process died."""
    intents = sum(isinstance(r, Intent) for r in records)
    return intents - sum(isinstance(r, Settled) for r in records)


def nothing_asked_after_its_answer(records: list[Record]) -> bool:
    """No intent stands behind its own trial's result."""
    done: set[Trial] = set()
    for record in records:
        if isinstance(record, Answer | Judgment):
            done.add(record.trial)
        elif isinstance(record, Intent) and record.trial in done:
            return False
    return True


def wait_for(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], deadline_s: float = 30.0
) -> None:
    """Until it is so, or the process has ended."""
    end = time.monotonic() + deadline_s
    while not ready() and process.poll() is None:
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def size(program: Program) -> int:
    path = program.folder / "runs" / "s" / "journal.jsonl"
    return path.stat().st_size if path.exists() else 0


def finish(process: subprocess.Popen[bytes], deadline_s: float = 30.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=deadline_s)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


# --- kill -9 -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_a_dozen_times_a_run_loses_nothing_and_pays_for_nothing_twice(
    program: Program,
) -> None:
    """At the start, while resuming and in full flight: what was journalled is never asked again."""
    moments = [0, 1, 6_000, 20_000, 1, 9_000, 0, 30_000, 14_000, 1, 25_000, 500]
    with provider(program.folder) as url:
        kept: dict[Trial, Answer | Judgment] = {}
        for growth in moments:
            before = size(program)
            process = program.start(*RUN)
            lock = program.folder / "runs" / "s" / "lock"
            wait_for(process, lambda n=before + growth, at=lock: at.exists() and size(program) >= n)  # type: ignore[misc]
            process.kill()
            process.communicate()
            found = results(journal(program))
            assert all(found[trial] == record for trial, record in kept.items())
            kept = found
        assert 20 < len(kept) < NEEDED, "the moments no longer fall into the middle of the work"
        code, _, _ = finish(program.start(*RUN))
        seen = seen_by(url)
    records = journal(program)
    assert code == 0
    assert len(results(records)) == NEEDED
    assert all(results(records)[trial] == record for trial, record in kept.items())
    assert nothing_asked_after_its_answer(records)
    in_flight = lost(records)
    assert 0 < in_flight <= CONCURRENCY * len(moments)
    assert NEEDED <= seen["requests"] <= NEEDED + in_flight
    assert seen["answered_again"] <= in_flight


def test_the_cache_saves_what_the_journal_of_a_killed_run_lost(program: Program) -> None:
    """The run's folder is gone; what was written to the cache is not bought again."""
    words = [word for word in RUN if word != "--no-cache"]
    with provider(program.folder) as url:
        process = program.start(*words)
        wait_for(process, lambda: size(program) > 60_000)
        process.kill()
        process.communicate()
        (program.folder / "runs").rename(program.folder / "lost")
        sent = seen_by(url)["requests"]
        code, _, _ = finish(program.start(*words))
        again = seen_by(url)
    assert code == 0
    assert sent > 20
    assert again["requests"] <= NEEDED + again["answered_again"] + 2 * CONCURRENCY
    assert again["requests"] < NEEDED + sent


# --- Ctrl-C ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_drains_and_says_how_to_go_on(program: Program, number: int) -> None:
    """Nothing more is sent; what was in flight is waited for and kept."""
    with provider(program.folder, latency_s=0.1) as url:
        process = program.start(*RUN)
        wait_for(process, lambda: size(program) > 20_000)
        process.send_signal(number)
        code, out, _ = finish(process)
        seen = seen_by(url)
        assert code == 130
        assert out.startswith("interrupted")
        assert f"next      alignsweep {' '.join(RUN)}" in out
        records = journal(program)
        assert lost(records) == 0
        assert seen["requests"] == len(results(records)) < NEEDED
        code, _, _ = finish(program.start(*RUN))
        assert code == 0
        assert seen_by(url)["requests"] == NEEDED


def test_a_second_signal_does_not_wait(program: Program) -> None:
    """Slow calls are given up; the journal is whole and knows them as possibly billed."""
    with provider(program.folder, latency_s=60.0):
        process = program.start(*RUN)
        wait_for(process, lambda: lost(journal(program)) == CONCURRENCY)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGINT)
        code, out, _ = finish(process)
    assert code == 130
    assert time.monotonic() - began < 5
    assert out.startswith("interrupted")
    assert lost(journal(program)) == CONCURRENCY
    counts = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert (counts["possibly_billed"], counts["pending"]) == (CONCURRENCY, 2 * 2 * 72)


def test_the_grace_after_the_first_signal_has_an_end(program: Program) -> None:
    """`--grace 0.2`: a hanging provider holds nobody."""
    with provider(program.folder, latency_s=60.0):
        process = program.start(*RUN, "--grace", "0.2")
        wait_for(process, lambda: lost(journal(program)) == CONCURRENCY)
        process.send_signal(signal.SIGINT)
        code, out, _ = finish(process, 10.0)
    assert code == 130
    assert "--grace 0.2" in out


# --- one at a time -----------------------------------------------------------------------------


def test_a_second_process_on_the_same_run_is_refused_and_told_who_holds_it(
    program: Program,
) -> None:
    """Two writers would tear the journal."""
    with provider(program.folder, latency_s=60.0):
        first = program.start(*RUN)
        wait_for(first, lambda: lost(journal(program)) == CONCURRENCY)
        before = size(program)
        second = program.run(*RUN)
        assert second.code == 2
        assert f"process {first.pid} " in second.err
        assert size(program) == before
        status = program.run("status", "s")
        assert (status.code, "pending  288" in status.out) == (0, True)
        first.kill()
        first.communicate()


def test_a_disk_that_is_full_ends_the_run_with_its_journal_whole(program: Program) -> None:
    """Exit 3 and the reason; with room again the same command finishes it."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    with provider(program.folder) as url:
        code, _, err = finish(program.start(*RUN, before=limit))
        assert code == 3
        assert "cannot write" in err
        stopped = results(journal(program))
        assert 0 < len(stopped) < NEEDED
        code, _, _ = finish(program.start(*RUN))
        seen = seen_by(url)
    records = journal(program)
    assert code == 0
    assert len(results(records)) == NEEDED
    assert nothing_asked_after_its_answer(records)
    assert seen["requests"] <= NEEDED + CONCURRENCY
    assert sum(isinstance(r, Synced) for r in records) > 1
