"""The engine as a library: the documented example runs, and keeps the promises of the commands."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ConfigError, DataError
from engine.events import Progress
from engine.session import Session
from engine.sweep import load, options, outcome_folder, plan, run, run_blocking, scores

ROOT = Path(__file__).resolve().parent.parent
SWEEP = """
name = "s"
benchmark = "mini"
[providers.simulated]
simulator = { latency_s = 0.2 }
[[models]]
name = "m"
provider = "simulated"
model = "gpt-4-0613"
[[judges]]
name = "j"
provider = "simulated"
model = "gpt-4-0613"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sweep file, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "s.toml").write_text(SWEEP, encoding="utf-8")
    return tmp_path


def test_the_documented_program_runs(folder: Path) -> None:
    """Word for word, in a process of its own."""
    [program] = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "to send: 80"
    assert "complete 0 pending" in lines
    assert lines[-2:] == ["gpt-4-0613 20 judgments", "chatglm3-6b 20 judgments"]


def test_the_same_call_again_goes_on_where_it_was(folder: Path) -> None:
    """Ten questions, then all; what was there is not asked again."""
    loaded = load("s.toml")
    first = run_blocking(loaded, options(loaded, limit=10))
    assert (first.state, first.progress.done) == ("complete", 20)
    assert sum(share.to_send for share in plan(loaded).workload.shares) == 124
    whole = run_blocking(loaded)
    assert (whole.state, whole.progress.done, whole.progress.reused) == ("complete", 144, 20)
    assert scores(outcome_folder(loaded)).tables[0].rows[0].coverage.share == 1.0


def test_a_session_can_be_watched_and_stopped(folder: Path) -> None:
    """In good order: what was in flight comes in, and is on disk."""

    async def main() -> str:
        held: list[Session] = []
        enough = asyncio.Event()

        def watch(progress: Progress) -> None:
            if progress.done >= 10:
                enough.set()

        task = asyncio.create_task(run(load("s.toml"), watch=watch, started=held.append))
        await enough.wait()
        await held[0].stop(5.0)
        return (await task).state

    assert asyncio.run(main()) == "interrupted"
    assert scores(Path("runs/s")).tables[0].rows[0].coverage.scored + 10 >= 10
    assert run_blocking(load("s.toml")).state == "complete"


def test_a_cancelled_call_leaves_a_whole_journal(folder: Path) -> None:
    """And the next call finishes the sweep."""

    async def main() -> None:
        task = asyncio.create_task(run(load("s.toml")))
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert run_blocking(load("s.toml")).state == "complete"


def test_what_can_be_mended_is_said_before_anything_is_made(folder: Path) -> None:
    """As by the commands."""
    with pytest.raises(DataError):
        load("missing.toml")
    (folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    with pytest.raises(ConfigError):
        options(load("s.toml"), models=["nobody"])
    assert not (folder / "runs").exists()
