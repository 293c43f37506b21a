"""A disk that fails: full, broken, over its quota, read-only, out of descriptors.

Every operation of a sweep of 50 questions with its reports and exports fails once, in the ways in which it
can: the program says one clear thing, ends with the right code, loses nothing that was told, and goes on
where it was when the disk is well again. Real limits of the operating system are met as well.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import pytest

from tests.conftest import Program
from tests.lives import (
    COMMANDS,
    CONCURRENCY,
    NEEDED,
    RUN,
    SWEEP,
    crew,
    nothing_lost,
    place,
    undisturbed,
    whole_in_the_end,
)
from tests.strikes import Kind, Strike
from tests.test_crash import provider, seen_by

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are named by /proc")
EVERY = 97
SHORT = ("run", "s.toml", "--limit", "5", "--progress", "none")
ERRORS: dict[Kind, tuple[int, ...]] = {
    "write": (errno.ENOSPC, errno.EDQUOT, errno.EIO),
    "sync": (errno.EIO, errno.ENOSPC),
    "sync folder": (errno.EIO,),
    "create": (errno.EMFILE, errno.ENOSPC, errno.EROFS),
    "truncate": (errno.EIO,),
    "rename": (errno.ENOSPC, errno.EROFS),
    "link": (errno.EIO,),
    "mkdir": (errno.ENOSPC, errno.EROFS),
}


def faults(kinds: Sequence[Kind]) -> list[Strike]:
    """Every failure of every operation. A full disk and a full quota stay full."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return [
        Strike(at, "error", error, lasts=error in full)
        for at, kind in enumerate(kinds, start=1)
        for error in ERRORS.get(kind, ())
    ]


def kinds_of_a_run() -> tuple[Kind, ...]:
    return undisturbed()[1]


def after_one_fault(strike: Strike) -> str:
    """Fails once, is resumed to the end. Empty, or which promise was broken."""
    try:
        with place() as own:
            life = own.live(strike)
            assert life.operations >= strike.at, f"{strike} was never reached: {life}"
            assert life.code in (0, 2, 3), life
            errors = [line for line in life.said.splitlines() if line.startswith("error: ")]
            most = len(COMMANDS) if strike.lasts else 1  # one a command
            assert 1 <= len(errors) <= most, f"{len(errors)} errors: {life}"
            assert all("runs/s" in error or "runs:" in error for error in errors), (
                f"where? {errors}"
            )
            assert life.resynced == 0, "a sync was tried again"
            results = nothing_lost(own, life.told)
            lost = life.sent - results
            assert 0 <= lost <= CONCURRENCY, f"{lost} requests lost"
            last = own.live()
            assert (last.code, last.commands) == (0, 3), last
            whole_in_the_end(own, life.sent + last.sent, lost)
    except Exception as error:  # whatever it is, it is a finding
        return f"{strike}: {type(error).__name__}: {error}"
    return ""


def survived(struck: Sequence[Strike], of: int) -> None:
    broken = [said for said in crew().map(after_one_fault, struck, chunksize=2) if said]
    print(f"\n{len(struck)} of {of} failures of the disk, {len(broken)} broken")
    assert not broken, "\n".join(["", *broken])


@pytest.mark.slow
def test_every_so_many_failures_of_the_disk_are_said_once_and_made_up_for() -> None:
    """Every 97th of them, and each kind at least once."""
    kinds = crew().submit(kinds_of_a_run).result()
    every = faults(kinds)
    firsts = {(kinds[strike.at - 1], strike.error): strike for strike in reversed(every)}
    syncs = [s for s in every if kinds[s.at - 1] == "sync" and s.error == errno.EIO]
    groups = syncs[4:6]  # after those of the folder's files: the journal's own
    survived([*firsts.values(), *groups, *every[EVERY // 2 :: EVERY]], len(every))


@pytest.mark.torture
def test_every_failure_of_the_disk_is_said_once_and_made_up_for() -> None:
    """100 %."""
    every = faults(crew().submit(kinds_of_a_run).result())
    survived(every, len(every))


# --- real limits of the system -----------------------------------------------------------------

NO_OVERRIDE = (
    "import ctypes; ctypes.CDLL(None).capset(b'\\x22\\x05\\x08\\x20' + bytes(4), bytes(24))"
)
"""Whoever is root obeys permissions from here on."""


def limited(name: str, soft: int, hard: int = 0) -> str:
    """A Python statement that sets a limit of its process."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_{name}, ({soft}, {hard or soft}))"


def ends(program: Program, before: str, words: Sequence[str] = RUN) -> tuple[int, str]:
    """The exit code and what was said on stderr."""
    _, err = (process := program.start(*words, before=before)).communicate(timeout=60)
    said = err.decode()
    assert "Traceback" not in said, said
    return process.returncode, said


def sweep(program: Program) -> None:
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")


def finished(program: Program) -> None:
    """The same command again does the rest, and each trial has one result."""
    done = program.run(*RUN)
    assert done.code == 0, done
    assert f"{NEEDED // 2} of {NEEDED // 2} judgments" in done.out


@pytest.mark.parametrize("size", [0, 3_000, 40_000, 90_000, 130_000])
def test_files_may_only_grow_so_far(program: Program, size: int) -> None:
    """A real limit (EFBIG): in the first file, in the middle of the journal and in the last report."""
    sweep(program)
    code, said = ends(program, limited("FSIZE", size))
    assert code == (2 if size < 80_000 else 3), said
    assert said.count("error: ") == 1
    assert "File too large" in said or "no space" in said
    finished(program)


@pytest.mark.parametrize("where", [".", "runs", "runs/s"])
def test_a_folder_that_may_not_be_written_is_one_clear_error(program: Program, where: str) -> None:
    """Nothing is begun there, and nothing there is harmed."""
    sweep(program)
    (program.folder / "home").mkdir()
    folder = program.folder / where
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o500)
    code, said = ends(program, NO_OVERRIDE)
    folder.chmod(0o700)
    assert code == 2, said
    assert said.startswith("error: ")
    assert "Permission denied" in said
    finished(program)


def test_too_few_open_files_are_asked_for_or_said_before_anything_is_sent(program: Program) -> None:
    """A soft limit is raised; a hard one is the user's to raise, and not a network that is down."""
    with provider(program.folder) as url:
        code, said = ends(program, limited("NOFILE", 20), SHORT)
        assert code == 2, said
        assert said.startswith(
            "error: this sweep may have 8 calls in flight and needs 56 open files"
        )
        assert seen_by(url)["requests"] == 0
        assert not (program.folder / "runs").exists()
        code, said = ends(program, limited("NOFILE", 24, 4096), SHORT)
        assert code == 0, said


def test_a_disk_that_is_full_for_the_cache_alone_does_not_stop_the_run(program: Program) -> None:
    """It says so at the end. SQLite's own limit on the size of its file plays the full disk."""
    full = (
        "import sqlite3 as s; c = s.connect; "
        "s.connect = lambda *a, **k: (d := c(*a, **k), d.execute('PRAGMA max_page_count=9'))[0]"
    )
    sweep(program)
    code, said = ends(program, full)
    assert code == 0, said
    assert "cache: " in said
    assert "full" in said
    finished(program)
