"""A second terminal: what it sees of a running sweep, and what it may change."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.benchmark import load
from data.schema import Limit
from engine.rundir import records
from providers.persona import Cast
from providers.scorebook import published
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """
name = "s"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "{url}"
simulated = true
concurrency = 3
rpm = 240
[[models]]
name = "m"
provider = "sim"
model = "m"
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
"""


@contextmanager
def at_work(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep of 144 calls that takes half a minute, unless somebody does something about it."""
    cast = Cast(0, [load("mini", home=program.folder)], [published()])
    with serve_in_thread(SimOptions(latency_s=0.2), cast) as url:
        (program.folder / "s.toml").write_text(SWEEP.format(url=url), encoding="utf-8")
        process = program.start("run", "s.toml", "--no-cache", "--progress", "none")
        try:
            until(lambda: socket_of(program).exists())
            yield process
        finally:
            process.kill()
            process.communicate()


def socket_of(program: Program) -> Path:
    return program.folder / "runs" / "s" / "ctl.sock"


def until(ready: Callable[[], bool]) -> None:
    """Wait for something that other processes bring about."""
    end = time.monotonic() + 30.0
    while not ready():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def ctl(program: Program, *words: str) -> Any:
    """One command, its reply as data."""
    done = program.run("ctl", *words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def done_in(status: Any) -> int:
    return sum(m["answers_done"] + m["judgments_done"] for m in status["progress"]["models"])


def test_the_counts_of_what_waits_add_up_to_what_is_unfinished(program: Program) -> None:
    """Every trial is in one place, with a reason."""
    with at_work(program):
        until(lambda: done_in(ctl(program, "status", "s")) >= 3)
        status = ctl(program, "status", "s")
        assert sum(group["count"] for group in status["waiting"]) == 144 - done_in(status)
        assert all(group["why"] for group in status["waiting"])
        assert {group["where"] for group in status["waiting"]} <= {"sim", ""}
        shown = program.run("ctl", "status", "s").out
        assert "what the unfinished trials wait for" in shown


def test_a_paused_sweep_sends_nothing_until_it_is_resumed(program: Program) -> None:
    """What is in flight comes in; the reason is named."""
    with at_work(program):
        ctl(program, "pause", "s")
        until(lambda: ctl(program, "status", "s")["limits"]["sim"]["in_flight"] == 0)
        time.sleep(0.5)  # until what came in is durable
        before = done_in(ctl(program, "status", "s"))
        time.sleep(1.0)  # four calls would have gone out
        status = ctl(program, "status", "s")
        assert done_in(status) == before
        assert "paused by hand" in [group["why"] for group in status["waiting"]]
        ctl(program, "resume", "s")
        until(lambda: done_in(ctl(program, "status", "s")) > before)


def test_a_raised_limit_ends_the_sweep_sooner_and_is_in_its_journal(program: Program) -> None:
    """240 a minute would take 36 s in all; the record says who changed it."""
    with at_work(program) as process:
        began = time.monotonic()
        ctl(program, "limit", "s", "sim", "rpm", "100000")
        assert ctl(program, "status", "s")["limits"]["sim"]["limits"][1]["source"] == "control"
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - began < 30
        changed = [r for r in records(program.folder / "runs" / "s") if isinstance(r, Limit)]
        assert [(r.account, r.name, r.value, r.source) for r in changed] == [
            ("sim", "rpm", 100000.0, "control")
        ]
    assert not socket_of(program).exists()


def test_fewer_places_are_told_as_ours(program: Program) -> None:
    """A status that named the sweep file would send people to the wrong place."""
    with at_work(program):
        ctl(program, "limit", "s", "sim", "concurrency", "2")
        view = ctl(program, "status", "s")["limits"]["sim"]["limits"][0]
        assert (view["name"], view["value"], view["source"]) == ("concurrency", 2, "control")


def test_the_socket_is_its_owners_alone(program: Program) -> None:
    """Nobody else may read progress or slow a sweep down."""
    with at_work(program):
        assert stat.S_IMODE(socket_of(program).stat().st_mode) == 0o600


def test_what_cannot_be_done_is_one_clear_error(program: Program) -> None:
    """Exit 2, and the sweep goes on."""
    with at_work(program) as process:
        for words, reason in (
            (("pause", "s", "nobody"), "no account `nobody`"),
            (("limit", "s", "sim", "rps", "3"), "no such limit"),
            (("limit", "s", "sim", "rpm", "0"), "a limit is a number above 0"),
            (("limit", "s", "sim", "concurrency", "4"), "cannot grow beyond 3"),
            (("status", "other"), "no run `other`"),
        ):
            said = program.run("ctl", *words)
            assert said.code == 2
            assert reason in said.err
        assert process.poll() is None


def test_a_run_can_be_watched_from_another_terminal_to_its_end(program: Program) -> None:
    """The same lines as its own; when it has ended, where it stands."""
    with at_work(program) as process:
        ctl(program, "limit", "s", "sim", "rpm", "100000")
        seen = program.run("watch", "s", "--progress", "plain", timeout_s=60)
        assert process.wait(timeout=30) == 0
    assert seen.code == 0
    assert "judged" in seen.err
    assert "judgments  72 final" in seen.out


def test_watching_what_nobody_works_on_says_where_it_stands(program: Program) -> None:
    """And a run that is none is an error."""
    with at_work(program) as process:
        process.kill()
        process.wait()
    seen = program.run("watch", "s")
    assert (seen.code, "no process is at work" in seen.err) == (0, True)
    assert "answers" in seen.out
    assert program.run("watch", "nobody").code == 2


def test_a_run_that_nobody_works_on_says_so(program: Program) -> None:
    """Also if a socket was left behind by a process that died."""
    with at_work(program) as process:
        process.kill()
        process.wait()
        assert socket_of(program).exists()
        said = program.run("ctl", "status", "s")
    assert said.code == 2
    assert "no run is at work" in said.err
    assert "Error" not in said.err  # Python's own name for it helps nobody
