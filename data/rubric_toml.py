"""A rubric written as the TOML file that `data/rubric_files.py` reads. Pure.

What is read back is the same rubric, to the byte of its prompts. Keys that have their default value are
left out; name and sha256 are the file's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data import codec
from data.rubric_files import RubricFile
from data.schema import Rubric

LONG = 100
"""Characters from which a text with line ends stands in several lines."""


def rubric_toml(rubric: Rubric, *, heading: str) -> str:
    """The whole file; `heading` becomes its comment."""
    told = codec.plain(rubric)
    usual = codec.plain(RubricFile(template=""))
    kept = {
        name: told[name]
        for name in RubricFile.__struct_fields__
        if name in told and told[name] and told[name] != usual[name]
    }
    kept |= {name: False for name in ("fenced",) if not rubric.fenced}
    tables = {name: value for name, value in kept.items() if isinstance(value, Mapping)}
    plain = {name: value for name, value in kept.items() if name not in tables}
    lines = [f"# {line}" for line in heading.splitlines()]
    lines += [f"{name} = {_value(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{_basic(key)} = {_value(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _several(value) if "\n" in value and len(value) > LONG else _basic(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _basic(text: str) -> str:
    return '"' + "".join(_escaped(text.replace("\\", "\\\\").replace('"', '\\"'))) + '"'


def _several(text: str) -> str:
    """A multi-line text; the line end after the opening quotes is no part of it."""
    inner = text.replace("\\", "\\\\").replace('"""', '""\\"')
    inner = inner[:-1] + '\\"' if inner.endswith('"') else inner
    return '"""\n' + "".join(_escaped(inner, keep="\n")) + '"""'


def _escaped(text: str, keep: str = "") -> Iterator[str]:
    """Control characters as TOML wants them."""
    for char in text:
        control = char < " " or char == "\x7f"
        yield f"\\u{ord(char):04x}" if control and char not in keep else char
