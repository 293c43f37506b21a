"""What the benchmarks share: a simulated provider in a process of its own, a sweep file, and the
operating system's own accounting of a finished child."""

from __future__ import annotations

import os
import pty
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from data.schema import Answer, Struct
from engine.answering import answer_request
from engine.judging import Case, judge_request
from engine.plan import Plan
from engine.results import results
from engine.rundir import read_run
from providers.registry import DIALECTS

MAIN = "from engine.cli.main import main; main()"
MODELS = 17
JUDGES = ("gpt-4-0613", "CritiqueLLM")


class Spent(Struct, frozen=True):
    """What a process used: wall and CPU seconds, peak memory in MB, and its exit code."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int


def timed(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> Spent:
    """Run a command whose stderr is a terminal of 120 x 40 that somebody reads."""
    leader, follower = pty.openpty()
    os.set_blocking(leader, True)
    subprocess.run(["stty", "cols", "120", "rows", "40"], stdin=follower, check=False)
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=follower,
        stdin=subprocess.DEVNULL,
    )
    os.close(follower)
    threading.Thread(target=_drain, args=(leader,), daemon=True).start()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    return Spent(wall, used.ru_utime + used.ru_stime, _megabytes(used), child.returncode)


@contextmanager
def simulated_provider(benchmark: Path, *, latency_ms: float = 0.0) -> Iterator[str]:
    """The base URL of `alignsweep simulate` in a process of its own."""
    command = [sys.executable, "-c", MAIN, "simulate", "--port", "0"]
    command += ["--latency-ms", str(latency_ms), "--benchmark", str(benchmark)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def write_benchmark(path: Path, questions: int) -> None:
    """The built-in questions again and again, each time with a number of its own."""
    from data import benchmark

    rows = benchmark.load("mini", home=path.parent).questions
    with path.open("wb") as file:
        for i in range(questions):
            row = rows[i % len(rows)]
            question = {
                "question_id": i + 1,
                "category": row.category,
                "subcategory": row.subcategory,
                "question": f"{row.text}（第{i + 1}题）",
                "reference": row.reference,
            }
            file.write(orjson.dumps(question) + b"\n")


def write_sweep(path: Path, url: str, benchmark: Path, *, concurrency: int) -> None:
    """17 models, two judges, one simulated provider."""
    lines = [
        'name = "bench"',
        f'benchmark = "{benchmark}"',
        "[providers.sim]",
        'api = "openai-chat"',
        f'base_url = "{url}"',
        "simulated = true",
        f"concurrency = {concurrency}",
        "rpm = 100000000",
    ]
    for i in range(MODELS):
        lines += ["[[models]]", f'name = "model-{i}"', 'provider = "sim"', f'model = "model-{i}"']
    for judge in JUDGES:
        lines += ["[[judges]]", f'name = "{judge}"', 'provider = "sim"', f'model = "{judge}"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def bodies_of(run: Path) -> Iterator[bytes]:
    """The request bodies of a finished run, rendered again in the order of its trials."""
    stored = read_run(run)
    plan = Plan(stored.sweep, stored.benchmark)
    codec = DIALECTS["openai-chat"]
    texts = {
        plan.number(record.trial): record.response.text
        for record in results(run)
        if isinstance(record, Answer)
    }
    for number in range(plan.answers):
        yield codec.encode(answer_request(plan, number, texts.__getitem__)).body
    for number in range(plan.answers, len(plan)):
        judge = stored.sweep.judges[plan.judge_index(number)]
        question, rubric = plan.item(number)[0], stored.rubrics[judge.rubric]
        answer = texts[plan.answer_of(number)]
        case = Case(stored.sweep, judge, rubric, plan.trial(number), question, ((answer,),))
        yield codec.encode(judge_request(case, 0)[0]).body


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        return


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
