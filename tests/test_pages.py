"""The pages that people read say what the code has: every key, every file, both READMEs alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.catalog import AccountTable, ProviderTable
from data.prices import PriceTable
from engine.benchtable import BenchTable
from engine.budget import BudgetTable
from engine.sweepfile import JudgeTable, ModelTable, SweepTable, parse
from providers.simulator import SimOptions

ROOT = Path(__file__).resolve().parent.parent
TABLES = (
    BenchTable,
    *(SweepTable, BudgetTable, ProviderTable, AccountTable),
    *(ModelTable, JudgeTable, PriceTable, SimOptions),
)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_of_the_sweep_file_is_explained(table: type) -> None:
    """In backquotes, or as a table of its own; nobody should have to read the code for a key."""
    text = page("docs/sweep-file.md")
    spans = " ".join(re.findall(r"`[^`\n]+`", text))
    known = set(re.findall(r"[a-z_]+", spans))
    assert [key for key in table.__annotations__ if key not in known] == []


def test_every_key_that_the_page_lists_exists() -> None:
    """A key that is explained and refused would be worse than one that is missing."""
    first_cells = re.findall(r"^\| (`[^|]+`) \|", page("docs/sweep-file.md"), re.MULTILINE)
    listed = {key for cell in first_cells for key in re.findall(r"`([a-z_]+)`", cell)}
    assert listed
    assert listed - {key for table in TABLES for key in table.__annotations__} == set()


def test_every_file_of_the_tree_is_on_the_map() -> None:
    """And the map shows no file that is gone."""
    text = page("docs/architecture.md")
    folders = ("data", "providers", "cache", "engine")
    here = {
        path.name
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    rooms = text[text.index("data/          the words") : text.index("tests/         test_")]
    shown = set(re.findall(r"[a-z_0-9]+\.py", rooms))
    assert sorted(here - shown) == []
    assert sorted(shown - here) == []
    benches = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__"}
    assert [name for name in sorted(benches) if name not in text] == []


def test_the_sweep_behind_the_readme_is_sound() -> None:
    """Whoever copies it can run it."""
    path = ROOT / "docs" / "rehearsal.toml"
    face, _ = parse(path, path.read_bytes())
    assert (len(face.models), len(face.judges)) == (6, 2)


def test_both_readmes_show_the_same_commands_and_headings() -> None:
    """One is not the other's past."""

    def shape(text: str) -> tuple[list[int], list[list[str]]]:
        blocks = CODE.findall(text)
        plain = CODE.sub("", text)
        heads = [len(head) for head in re.findall(r"^(#+) ", plain, re.MULTILINE)]
        return heads, [_commands(block) for block in blocks]

    assert shape(page("README.md")) == shape(page("README.zh-CN.md"))


def _commands(block: str) -> list[str]:
    """A block's lines without remarks, which are in another language, and without left-out parts."""
    lines = (re.sub(r"\s*#.*", "", line).rstrip() for line in block.splitlines())
    return [line for line in lines if line and not line.lstrip().startswith("…")]
