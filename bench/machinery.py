"""What the benchmarks share: servers and clients in processes and on cores of their own, a sweep file,
the operating system's accounting of a finished child, and goals beside what was measured.

Where there are two cores, the client has one to itself and everything else shares the other.
"""

from __future__ import annotations

import os
import pty
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import orjson

from bench.canned import Seen
from data import codec
from data.schema import Answer, Struct
from engine.answering import answer_request
from engine.judging import Case, judge_request
from engine.plan import Plan
from engine.results import results
from engine.rundir import read_run
from providers.registry import DIALECTS

MODELS, JUDGES = 17, 2
PER_QUESTION = MODELS * (1 + JUDGES)
"""Trials of one question: an answer of each model, and each judge's verdict on it."""
OFFICIAL = 683
"""Questions of AlignBench."""
SERVER_CORE, CLIENT_CORE = 0, 1
ROOT = Path(__file__).parents[1]


# --- processes ---------------------------------------------------------------------------------


class Sample(Struct, frozen=True):
    """A process at one moment: its CPU time since it began, and its memory."""

    at_s: float
    cpu_s: float
    rss_mb: float


class Spent(Struct, frozen=True):
    """What a process used: wall and CPU seconds, peak memory in MB, and how it came to that."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    samples: tuple[Sample, ...] = ()
    """Twenty a second where the system tells (Linux), else none."""

    def between(self, since_s: float, until_s: float) -> Spent:
        """What it used between two moments: without starting up and summing up. All where none tells."""
        inside = [s for s in self.samples if since_s <= s.at_s <= until_s]
        if len(inside) < 2:
            return self
        first, last = inside[0], inside[-1]
        share = (until_s - since_s) / (last.at_s - first.at_s)
        cpu_s, peak_mb = share * (last.cpu_s - first.cpu_s), max(s.rss_mb for s in inside)
        return Spent(until_s - since_s, cpu_s, peak_mb)


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the system can and has two."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(pid, {core})


@contextmanager
def canned_server(latency_s: float = 0.0) -> Iterator[Server]:
    """The quick server of `bench/canned.py`, in a process and on a core of its own."""
    command = _python("canned", f"{1000 * latency_s:g}")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pin(process.pid, SERVER_CORE)
    assert process.stdout is not None
    try:
        yield Server(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait()


class Server(Struct, frozen=True):
    """A canned server that listens."""

    url: str

    def seen(self) -> Seen:
        """What it was asked since the last look."""
        with urlopen(self.url.removesuffix("/v1") + "/seen") as reply:
            seen: Seen = codec.decode_as(reply.read(), Seen)
        return seen


def timed(command: Sequence[str], *, cwd: Path, env: dict[str, str], core: bool = True) -> Spent:
    """Run a command whose stderr is a terminal of 120 x 40 that somebody reads. It must succeed."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "120", "rows", "40"], stdin=follower, check=False)
    said: list[bytes] = []
    threading.Thread(target=_drain, args=(leader, said), daemon=True).start()
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    if core:
        pin(child.pid, CLIENT_CORE)
    os.close(follower)
    samples: list[Sample] = []
    threading.Thread(target=_sample, args=(child.pid, samples), daemon=True).start()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} failed:\n{b''.join(said[-20:]).decode(errors='replace')}")
    return Spent(wall, used.ru_utime + used.ru_stime, _megabytes(used), tuple(samples))


def bare(url: str, bodies: Path, workers: int, module: str = "bare") -> Spent:
    """The bare loop of `bench/bare.py` (or `least`), on the client's core."""
    command = _python(module, url, str(bodies), str(workers))
    return timed(command, cwd=ROOT, env=dict(os.environ))


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"from bench.{module} import main; main()", *arguments]


def _sample(pid: int, samples: list[Sample]) -> None:
    """Until the process is gone. Fields of /proc/PID/stat as proc(5) counts them."""
    try:
        while True:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
            cpu_s, rss_mb = ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize() / 1e6
            samples.append(Sample(time.monotonic(), cpu_s, rss_mb))
            time.sleep(0.05)
    except (OSError, ValueError, IndexError):
        return


def _drain(fd: int, said: list[bytes]) -> None:
    try:
        while data := os.read(fd, 65536):
            said[:-20] = []
            said.append(data)
    except OSError:
        return


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss * (1024 if sys.platform != "darwin" else 1) / 1e6


# --- a sweep -----------------------------------------------------------------------------------


class Workshop:
    """A scratch folder with a benchmark and a sweep file in it: 17 models, two judges, one provider.

    Everything is on: journal, response cache, limits, and the live console where a run is `timed`.
    """

    def __init__(
        self, folder: Path, url: str, questions: int, in_flight: int, given: Path | None = None
    ) -> None:
        """`given`: a question file, used whole, instead of made-up questions."""
        self.folder = folder
        self._runs = 0
        path = given.resolve() if given else folder / "questions.jsonl"
        if given is None:
            write_benchmark(path, questions)
        (folder / "sweep.toml").write_text(sweep_text(url, path, in_flight), encoding="utf-8")

    def run(self, *flags: str, cache: str = "", core: bool = True) -> tuple[Path, Spent]:
        """`alignsweep run` in a new run folder, with the cache of that name or a new one."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        return folder, self._go(folder, flags, cache or folder.name, core)

    def resume(self, run: Path) -> Spent:
        """The same command again: it goes on with that run, with a new cache."""
        self._runs += 1
        return self._go(run, (), f"again-{self._runs}", core=False)

    def _go(self, run: Path, flags: Sequence[str], cache: str, core: bool) -> Spent:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        env["XDG_CACHE_HOME"] = str(self.folder / "caches" / cache)
        env.pop("CI", None)
        command = [sys.executable, "-c", "from engine.cli.main import main; main()", "run"]
        command += ["sweep.toml", "--progress", "full", "--run-dir", str(run), *flags]
        return timed(command, cwd=self.folder, env=env, core=core)


@contextmanager
def workshop(
    url: str, questions: int, in_flight: int, given: Path | None = None
) -> Iterator[Workshop]:
    """A Workshop in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="alignsweep-bench-") as scratch:
        yield Workshop(Path(scratch), url, questions, in_flight, given)


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


def sweep_text(url: str, benchmark: Path, in_flight: int) -> str:
    """The sweep file. Its limits are too high to wait for, but they are asked at every call."""
    lines = [
        f'name = "bench"\nbenchmark = "{benchmark}"',
        f'[providers.sim]\napi = "openai-chat"\nbase_url = "{url}"\nsimulated = true',
        f"concurrency = {in_flight}\nrpm = 1_000_000",
    ]
    for kind, count in (("model", MODELS), ("judge", JUDGES)):
        for name in (f"{kind}-{i}" for i in range(count)):
            lines += [f'[[{kind}s]]\nname = "{name}"\nprovider = "sim"\nmodel = "{name}"']
    return "\n".join(lines) + "\n"


def write_bodies(run: Path, path: Path) -> int:
    """The request bodies of a finished run, a line each, and how many they are."""
    count = 0
    with path.open("wb") as file:
        for body in _bodies_of(run):
            file.write(body + b"\n")
            count += 1
    return count


def _bodies_of(run: Path) -> Iterator[bytes]:
    """Rendered again, in the order of the trials."""
    stored = read_run(run)
    plan = Plan(stored.sweep, stored.benchmark)
    encode = DIALECTS["openai-chat"].encode
    texts = {
        plan.number(record.trial): record.response.text
        for record in results(run)
        if isinstance(record, Answer)
    }
    for number in range(plan.answers):
        yield encode(answer_request(plan, number, texts.__getitem__)).body
    for number in range(plan.answers, len(plan)):
        judge = stored.sweep.judges[plan.judge_index(number)]
        question, rubric = plan.item(number)[0], stored.rubrics[judge.rubric]
        answer = texts[plan.answer_of(number)]
        case = Case(stored.sweep, judge, rubric, plan.trial(number), question, ((answer,),))
        yield encode(judge_request(case, 0)[0]).body


# --- goals -------------------------------------------------------------------------------------


class Goal(Struct, frozen=True):
    """A figure, what it should be, and what others reach."""

    what: str
    measured: float
    goal: float
    least: bool = True
    """The goal is a lower bound; else an upper one."""
    form: str = "{:.2f}"
    peers: str = ""

    @property
    def reached(self) -> bool:
        return self.measured >= self.goal if self.least else self.measured <= self.goal

    def __str__(self) -> str:
        bound = "at least" if self.least else "at most"
        measured, goal = self.form.format(self.measured), self.form.format(self.goal)
        line = f"{self.what:<44}{measured:>12}   {bound} {goal:<10}"
        line += "reached" if self.reached else "MISSED"
        return f"{line}\n{'':<6}peers: {self.peers}" if self.peers else line


def print_goals(*goals: Goal) -> None:
    """A line each."""
    for goal in goals:
        print(goal, flush=True)


def load() -> str:
    """How busy the machine is: figures of a busy one say little."""
    return f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"
