"""docs/reliability.md promises nothing that is not there: every file, every test, every command."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.mutants import mutants

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (I\d+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_all_fourteen_invariants_stand_there_once() -> None:
    """In their order."""
    assert [row[0] for row in ROWS] == [f"I{n}" for n in range(1, 15)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_invariant_has_its_place_and_tests_that_exist(row: tuple[str, str, str, str]) -> None:
    """A test that is named is a function of that file."""
    _, _, places, tests = row
    assert spans(places)
    assert spans(tests)
    for place in spans(places):
        assert (ROOT / place).is_file(), place
    for test in spans(tests):
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(
            rf"^(async )?def {name}\(" if name else r"^def test_", source, re.MULTILINE
        ), test


def test_every_other_file_and_command_that_is_named_exists() -> None:
    """Paths in backquotes; verbs of make; modules."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:tests|cache|engine|data|providers|bench)/[\w/.]+)`", PAGE):
        assert (ROOT / path).is_file(), path
    verbs = set(re.findall(r"\bmake ([a-z]+)", PAGE))
    assert {"mutants", "coverage", "torture", "soak"} <= verbs
    for verb in verbs:
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb
    for module in re.findall(r"python -m tests\.(\w+)", PAGE):
        assert (ROOT / "tests" / f"{module}.py").is_file()


def test_every_planted_bug_breaks_a_promise_of_the_page() -> None:
    """And every promise has one, but determinism, which whole days compare."""
    broken = {mutant.breaks for mutant in mutants()}
    assert broken <= {row[0] for row in ROWS}
    assert {row[0] for row in ROWS} - broken == {"I13"}
