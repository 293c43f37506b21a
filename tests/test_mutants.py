"""The table of planted bugs fits the tree: `make mutants` hunts them, this only keeps it ready."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.conftest import ROOT
from tests.mutants import mutants, stale


def test_every_planted_bug_still_has_its_place() -> None:
    """Its text stands there exactly once, what comes of it is Python, and its suites exist."""
    assert stale(mutants()) == []


def test_a_bug_whose_place_is_gone_is_named() -> None:
    """Nothing is planted by guessing."""
    one = mutants()[0]
    moved = replace(one, text="nobody ever wrote this")
    twice = replace(one, text="self")
    broken = replace(one, text="async def aclose(self) -> None:", instead="async def (")
    lost = replace(one, file="cache/nowhere.py")
    unseen = replace(one, suites=("tests/test_nowhere.py",))
    said = stale([moved, twice, broken, lost, unseen])
    assert len(said) == 5
    assert all(line.startswith(one.name) for line in said)


def test_every_invariant_that_code_can_break_has_a_bug() -> None:
    """At least one each; names differ, so that the list can be read."""
    table = mutants()
    assert len({mutant.name for mutant in table}) == len(table) >= 20
    invariants = {f"I{n}" for n in range(1, 15)} - {"I13"}
    assert {mutant.breaks for mutant in table} == invariants
    assert all(re.fullmatch(r"I\d+", mutant.breaks) for mutant in table)


@pytest.mark.torture
def test_a_bug_is_caught_and_a_change_that_harms_nobody_survives() -> None:
    """The hunt itself can tell the two apart."""
    script = (
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "import tempfile\n"
        "from tests.mutants import Copy, mutants\n"
        "bug = next(m for m in mutants() if m.suites == ('tests/test_key.py',))\n"
        "with tempfile.TemporaryDirectory() as scratch:\n"
        "    tree = Copy(Path(scratch, 'tree'))\n"
        "    harmless = replace(bug, instead=bug.text + '  # the same')\n"
        "    print(tree.verdict(harmless), tree.verdict(bug), tree.verdict(harmless))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "SURVIVED caught SURVIVED\n", done.stderr
