"""How long a run with a long journal takes to go on: `python -m bench.resume`.

A run is begun in earnest; then its journal is filled up to a million records, the lines a real session
would have written for all questions but the last. Counted is the time from starting the command to
the first request that reaches the server, beside the time that orjson takes to read the same file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench.canned import ANSWER, VERDICT
from bench.machinery import (
    MODELS,
    PER_QUESTION,
    Goal,
    Server,
    Workshop,
    canned_server,
    load,
    print_goals,
    workshop,
)
from cache.journal import GROUP, seal
from data.schema import (
    Answer,
    Intent,
    Judgment,
    Record,
    Response,
    Settled,
    Synced,
    Trial,
    Usage,
    Verdict,
)
from engine.plan import Plan
from engine.rundir import read_run

LINES = 3
"""Of each trial: intent, settled, result."""
USAGE = Usage(900, 420)


def main() -> None:
    """Parse the flags, measure, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--records", type=int, default=1_000_000)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    questions = given.records // (PER_QUESTION * LINES) + 2
    with canned_server() as server, workshop(server.url, questions, 64) as shop:
        run, _ = shop.run("--limit", "1")
        journal = run / "journal.jsonl"
        begun = journal.read_bytes()
        records = fill_up(run, given.records)
        size = journal.stat().st_size
        print(f"{records:,} records, {size / 1e6:,.0f} MB; {load()}", flush=True)
        ours, theirs, peaks = [], [], []
        for _ in range(given.rounds):
            first_s, peak_mb = resume(shop, server, run)
            ours.append(first_s)
            peaks.append(peak_mb)
            with journal.open("r+b") as file:  # as it was before
                file.truncate(size)
            theirs.append(read_with_orjson(journal))
            print(
                f"  first request after {ours[-1]:5.2f} s   peak {peak_mb:4.0f} MB"
                f"   orjson alone {theirs[-1]:5.2f} s",
                flush=True,
            )
        assert journal.read_bytes()[: len(begun)] == begun
    print_goals(
        Goal("seconds to the first request", min(ours), 5.0, least=False),
        Goal("the same ÷ reading it with orjson", min(ours) / min(theirs), 4.0, least=False),
        Goal("peak memory of it, MB", max(peaks), 500, least=False, form="{:.0f}"),
    )


def resume(shop: Workshop, server: Server, run: Path) -> tuple[float, float]:
    """Seconds from starting the command to its first request, and its peak memory in MB."""
    server.seen()
    started = time.monotonic()
    spent = shop.resume(run)
    seen = server.seen()
    assert seen.requests == PER_QUESTION, f"{seen.requests} requests: not one question's"
    return seen.first_s - started, spent.peak_mb


def read_with_orjson(journal: Path) -> float:
    """Seconds to decode every line."""
    started = time.perf_counter()
    with journal.open("rb", buffering=1 << 20) as file:
        for line in file:
            orjson.loads(line)
    return time.perf_counter() - started


def fill_up(run: Path, records: int) -> int:
    """Append lines to the run's journal as a session would have; all records in it."""
    stored = read_run(run)
    plan = Plan(stored.sweep, stored.benchmark)
    journal = run / "journal.jsonl"
    count = sum(1 for _ in journal.open("rb"))
    offset = journal.stat().st_size
    with journal.open("ab", buffering=1 << 20) as file:
        for number, trial in enumerate(_finished(plan), start=1):
            lines = [seal(record) for record in _lines(number, trial)]
            if not number % GROUP:
                lines.append(seal(Synced(offset)))
            offset += file.write(b"".join(lines))
            count += len(lines)
    assert count >= records, count
    return count


def _finished(plan: Plan) -> Iterator[Trial]:
    """The trials of all questions but the first and the last, judgments after their answer."""
    for answer in range(MODELS, plan.answers - MODELS):
        yield plan.trial(answer)
        for judgment in plan.judgments_of(answer):
            yield plan.trial(judgment)


def _lines(number: int, trial: Trial) -> Iterator[Record]:
    yield Intent(number, trial, "sim", 1.8e9 + number / 100)
    yield Settled(number, 0.75, USAGE)
    text = (ANSWER if trial.kind == "answer" else VERDICT.replace("\\n", "\n")) % number
    response = Response(
        text=text,
        usage=USAGE,
        served_model="canned",
        request_id=f"canned-{number:08d}",
        latency_s=0.75,
        simulated=True,
    )
    if trial.kind == "answer":
        yield Answer(trial=trial, response=response)
    else:
        scores = {"事实正确性": 7.0, "满足用户需求": 7.0, "清晰度": 7.0, "完备性": 7.0}
        yield Judgment(trial=trial, asks=(response,), verdict=Verdict(7.0, scores), compat=7.0)


if __name__ == "__main__":
    main()
