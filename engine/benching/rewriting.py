"""Changes a few numbers in a sweep file and leaves every other byte alone: the only import of tomlkit.

What comes out is read again and compared with what went in: if anything but the named keys differs, or
the file would no longer be sound, nothing is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from difflib import unified_diff
from itertools import count
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from data.errors import DataError
from engine.benching.findings import Finding
from engine.reports.files import write_whole


def rewritten(text: str, findings: Sequence[Finding], note: str, *, path: str) -> str:
    """The file's text with each finding in its provider's table, and `note` beside it.

    Raises DataError for a file that cannot be changed so.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    try:
        document = tomlkit.parse(text)
        for finding in findings:
            _put(document, finding, note)
        changed = tomlkit.dumps(document)
        if newline == "\r\n":
            changed = changed.replace("\r\n", "\n").replace("\n", "\r\n")
        after = tomllib.loads(changed)
    except (TOMLKitError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"cannot be changed: {error}", path=path) from None
    if after != _expected(tomllib.loads(text), findings):
        raise DataError(
            "cannot be changed without touching more than it should",
            path=path,
            how="put the numbers in by hand",
        )
    return changed


def difference(before: str, after: str, name: str) -> Iterator[str]:
    """A unified diff, line by line, without newlines."""
    pair = before.splitlines(), after.splitlines()
    return unified_diff(*pair, name, f"{name} (changed)", lineterm="", n=2)


def put_back(path: Path, text: str) -> Path:
    """Write the changed file whole; where the old one is kept. Raises StorageError."""
    old = path.read_bytes()
    backup = _free(path)
    mode = path.stat().st_mode
    write_whole(backup, [old])
    write_whole(path, [text.encode("utf-8")])
    for written in (backup, path):
        written.chmod(mode)
    return backup


def _free(path: Path) -> Path:
    """sweep.toml.bak, or .bak2, .bak3, …: no earlier backup is lost."""
    for number in count(1):
        backup = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        if not backup.exists():
            return backup
    raise AssertionError


def _put(document: Any, finding: Finding, note: str) -> None:
    if "providers" not in document:
        document["providers"] = tomlkit.table(is_super_table=True)
    providers = document["providers"]
    begins = finding.provider not in providers
    if begins:
        providers[finding.provider] = tomlkit.table()
    table = providers[finding.provider]
    is_new = finding.key not in table
    table[finding.key] = finding.value
    if is_new and hasattr(table, "value") and not isinstance(table, tomlkit.items.InlineTable):
        table[finding.key].comment(note)
    if begins:
        table.add(tomlkit.nl())


def _expected(table: dict[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    wanted = deepcopy(table)
    for finding in findings:
        own = wanted.setdefault("providers", {}).setdefault(finding.provider, {})
        own[finding.key] = finding.value
    return wanted
