"""Does the net hold? Each bug of `mutants.toml` is planted in a copy of the tree, and must be caught.

    python -m tests.mutants            all of them, two at a time: `make mutants`
    python -m tests.mutants money      those whose name has this word in it
    python -m tests.mutants --list     their names

First the suites run on the tree as it is: a suite that fails anyway catches nothing. Then, for each
mutant, only the suites named beside it, up to their first failure. Exit code 1 if one survives, if the
suites fail by themselves, or if the table is stale.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("mutants.toml")
WORKERS = 2
PATIENCE_S = 90.0
"""A suite that does not end by then has been stopped by the mutant: that is caught, too."""
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "runs", "build", "dist", "node_modules")
CAUGHT, FAILED = "caught", 1


@dataclass(frozen=True)
class Mutant:
    """One bug: where it goes, what it replaces, and who must notice."""

    name: str
    breaks: str
    """The invariant, as docs/reliability.md numbers it."""
    file: str
    text: str
    instead: str
    suites: tuple[str, ...]

    def planted(self, source: str) -> str:
        """The file with the bug in it. Raises ValueError if its place is not there exactly once."""
        found = source.count(self.text)
        if found != 1:
            raise ValueError(
                f"`{self.name}`: its text stands in {self.file} {found} times, not once"
            )
        return source.replace(self.text, self.instead)


def mutants() -> tuple[Mutant, ...]:
    """The table. A text that begins a line of its own keeps its indentation."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
    return tuple(Mutant(**{**row, "suites": tuple(row["suites"])}) for row in rows)


def stale(table: Iterable[Mutant], root: Path = ROOT) -> list[str]:
    """Every row that no longer fits the tree, in words."""
    wrong = []
    for mutant in table:
        try:
            source = (root / mutant.file).read_text(encoding="utf-8")
            compile(mutant.planted(source), mutant.file, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError) as error:
            wrong.append(f"{mutant.name}: {error}")
        missing = [s for s in mutant.suites if not (root / s.partition("::")[0]).is_file()]
        wrong += [f"{mutant.name}: there is no {suite}" for suite in missing]
    return wrong


class Copy:
    """The tree in a folder of its own, with one bug at a time in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        # Python knows a stale .pyc by seconds and size; so each version gets a second of its own.
        self._seconds = count(int(time.time()) + 60)

    def verdict(self, mutant: Mutant) -> str:
        """What becomes of a mutant: CAUGHT, or why it was not."""
        path = self.folder / mutant.file
        before = path.read_text(encoding="utf-8")
        self._write(path, mutant.planted(before))
        try:
            code, said = self.run(mutant.suites, PATIENCE_S)
        finally:
            self._write(path, before)
        if code == FAILED:
            return CAUGHT
        return "SURVIVED" if code == 0 else f"BROKEN: pytest ended with {code}\n{said}"

    def run(self, suites: Iterable[str], patience_s: float | None = None) -> tuple[int, str]:
        """pytest up to the first failure: its exit code and its last words."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
        ]
        env = {**os.environ, "PYTHONPATH": str(self.folder)}
        process = subprocess.Popen(
            [*command, *suites],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return FAILED, "it hangs"
        return process.returncode, said.decode(errors="replace")[-2000:]

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        second = next(self._seconds)
        os.utime(path, (second, second))


def main() -> None:
    """Plant and report."""
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    flags.add_argument("word", nargs="?", default="", help="only names with this in them")
    flags.add_argument("--list", action="store_true", help="names, and nothing more")
    given = flags.parse_args()
    table = [mutant for mutant in mutants() if given.word in mutant.name]
    if given.list:
        print(*(f"{m.breaks:<4} {m.name}" for m in table), sep="\n")
        return
    wrong = stale(table)
    if wrong or not table:
        sys.exit("\n".join(["the table is stale:", *wrong]) if table else "no such mutant")
    with tempfile.TemporaryDirectory(prefix="alignsweep-mutants-") as scratch:
        copies = [Copy(Path(scratch, f"tree{n}")) for n in range(WORKERS)]
        _check_suites(copies, table)
        left = list(_hunted(copies, table))
    print(f"{len(table) - len(left)} of {len(table)} caught")
    sys.exit(bool(left))


def _check_suites(copies: list[Copy], table: Iterable[Mutant]) -> None:
    """Without a mutant every suite passes; else nothing could be concluded."""
    suites = list(dict.fromkeys(suite for mutant in table for suite in mutant.suites))
    shares = [suites[n :: len(copies)] for n in range(len(copies))]
    began = time.monotonic()
    with ThreadPoolExecutor(len(copies)) as pool:
        pairs = [(copy, share) for copy, share in zip(copies, shares, strict=True) if share]
        for code, said in pool.map(lambda pair: pair[0].run(pair[1]), pairs):
            if code:
                sys.exit(f"the suites fail without any mutant:\n{said}")
    print(
        f"{len(suites)} suites pass without a mutant ({time.monotonic() - began:.0f} s)", flush=True
    )


def _hunted(copies: list[Copy], table: list[Mutant]) -> Iterator[Mutant]:
    """Those that were not caught; each is told as soon as it is decided."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def hunt(mutant: Mutant) -> tuple[str, float]:
        copy, began = free.get(), time.monotonic()
        try:
            return copy.verdict(mutant), time.monotonic() - began
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for mutant, (verdict, took_s) in zip(table, pool.map(hunt, table), strict=True):
            print(f"{mutant.breaks:<4} {mutant.name:<56} {took_s:4.0f} s  {verdict}", flush=True)
            if verdict != CAUGHT:
                yield mutant


if __name__ == "__main__":
    main()
