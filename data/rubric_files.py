"""Rubric files: built in, imported, or the user's own; read, checked, and named by what they say.

A rubric that `extends` a built-in one has all of its keys but those that it gives itself. What
contradicts itself is refused here, so that nothing can go wrong when a prompt is rendered.
"""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any

from data import codec
from data.codec import Table
from data.errors import ConfigError, DataError
from data.rubric import PAIR_PLACEHOLDERS, PLACEHOLDERS
from data.schema import Choice, Rubric
from data.text import printable
from data.verdict_words import bare_label

BUILT_IN = Path(__file__).parent / "rubrics"
FOLDER = "rubrics"
"""Below the user's data folder; imported rubrics are NAME.json there."""


class RubricFile(Table, frozen=True, kw_only=True):
    """A rubric as a TOML file says it. Fields and defaults as in `data.schema.Rubric`."""

    extends: str = ""
    """A built-in rubric whose keys hold where this file has none."""
    title: str = ""
    template: str
    fenced: bool = True
    dimension_line: str = "{number}. {name}: {definition}\n"
    definitions: dict[str, str] = {}
    types: dict[str, tuple[str, ...]] = {}
    subcategories: dict[str, str] | None = None
    categories: dict[str, str] = {}
    default_type: str = ""
    score_key: str = "综合得分"
    score_aliases: tuple[str, ...] = ()
    low: float = 1
    high: float = 10
    opening: str = ""
    closing: str = ""
    no_reference: str = ""
    source: str = ""
    labels: dict[str, Choice] = {}
    bracketed: bool = False
    no_evidence: str = ""
    system: str = ""


def load_rubric(name_or_path: str, *, home: Path) -> Rubric:
    """A built-in rubric, one imported to `home`, or a TOML file. Its sha256 is that of its content.

    Raises ConfigError (unknown name, misspelt key, contradiction) or DataError (unreadable file).
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return _from_toml(Path(name_or_path))
    if name_or_path in _stems(BUILT_IN, "toml"):
        return _from_toml(BUILT_IN / f"{name_or_path}.toml")
    if name_or_path in _stems(home / FOLDER, "json"):
        return _from_json(home / FOLDER / f"{name_or_path}.json")
    raise ConfigError(
        f"no rubric is named {printable(name_or_path, 80)!r}",
        how=f"known here: {', '.join(rubric_names(home))}; or give the path of a .toml file",
    )


def file_name(name: str) -> str:
    """The file of a rubric of this name. Raises ConfigError for what is no plain file name."""
    if (
        not name
        or name != name.strip()
        or not name.isprintable()
        or set(name) & set("/\\")
        or name[0] in ".-"
    ):
        raise ConfigError(
            f"no name for a rubric: {printable(name, 80)!r}", how="a word, such as --as mine"
        )
    return f"{name}.toml"


def rubric_names(home: Path) -> list[str]:
    """Every name `load_rubric` knows, built-in ones first."""
    return list(dict.fromkeys(_stems(BUILT_IN, "toml") + _stems(home / FOLDER, "json")))


def identity(rubric: Rubric) -> str:
    """sha256 of all that decides a verdict: not of name, title, source, or the layout of a file.

    Empty values are left out, so a field added later with an empty default changes no digest.
    """
    told = codec.plain(rubric) | {"low": float(rubric.low), "high": float(rubric.high)}
    kept = {k: v for k, v in told.items() if v and k not in {"name", "title", "source", "sha256"}}
    return codec.sha256(codec.canonical(kept))


def checked(rubric: Rubric, *, where: str) -> Rubric:
    """The rubric with its sha256 filled in. Raises ConfigError for what contradicts itself."""
    known = PAIR_PLACEHOLDERS if rubric.pairwise else PLACEHOLDERS
    _check_template(rubric.template, known, f"{where}: template")
    _check_template(
        rubric.dimension_line, {"number", "name", "definition"}, f"{where}: dimension_line"
    )
    judged = {"answer_1", "answer_2"} if rubric.pairwise else {"answer"}
    needed = {"question", *judged} | ({"opening", "closing"} if rubric.fenced else set())
    missing = needed - _fields(rubric.template)
    if missing:
        named = ", ".join(f"{{{name}}}" for name in sorted(missing))
        raise ConfigError(f"the template lacks {named}", where=where)
    _check_types(rubric, where, described="dimensions" in _fields(rubric.template))
    for label in rubric.labels:
        if not bare_label(label):
            raise ConfigError(f"an empty label {label!r}", where=f"{where}: labels")
    if not rubric.low < rubric.high:
        raise ConfigError(f"low {rubric.low:g} is not below high {rubric.high:g}", where=where)
    return codec.replace(rubric, sha256=identity(rubric))


def _stems(folder: Path, ending: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*.{ending}"))


def _from_toml(path: Path) -> Rubric:
    where = printable(str(path))
    value = _table(path)
    told = codec.plain(codec.convert(value, RubricFile, where=where))
    told |= {"name": path.stem, "subcategories": told["subcategories"] or {}}
    del told["extends"]
    return checked(codec.convert(told, Rubric, where=where), where=where)


def _table(path: Path) -> dict[str, Any]:
    """The file's keys over those of the built-in rubric that it extends."""
    where = printable(str(path))
    try:
        table = tomllib.loads(codec.read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise DataError("not UTF-8", path=where) from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"not TOML: {printable(str(error))}", path=where) from None
    base = table.get("extends")
    if base is None:
        return table
    built_in = [name for name in _stems(BUILT_IN, "toml") if BUILT_IN / f"{name}.toml" != path]
    if base not in built_in:
        raise ConfigError(
            f"no built-in rubric is named {printable(str(base), 80)!r}",
            where=f"{where}: extends",
            how=f"there are: {', '.join(built_in)}",
        )
    return _table(BUILT_IN / f"{base}.toml") | table


def _from_json(path: Path) -> Rubric:
    where = printable(str(path))
    try:
        rubric: Rubric = codec.decode_as(codec.read_bytes(path), Rubric)
    except codec.Undecodable as error:
        raise DataError(printable(str(error)), path=where, how="import it again") from None
    if checked(rubric, where=where).sha256 != rubric.sha256:
        raise DataError("changed after it was imported", path=where, how="import it again")
    return rubric


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def _check_template(template: str, known: set[str] | frozenset[str], where: str) -> None:
    """Bare known names only: `{answer.__class__}` or `{answer!r}` would reach into objects."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError(str(error), where=where, how="a literal brace is written twice") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            raise ConfigError(
                f"unknown placeholder {{{printable(name, 40)}}}",
                where=where,
                how=f"known: {', '.join(sorted(known))}; a literal brace is written twice",
            )


def _check_types(rubric: Rubric, where: str, *, described: bool) -> None:
    for kind, names in rubric.types.items():
        unknown = [name for name in names if described and name not in rubric.definitions]
        if unknown or not names or rubric.score_key in names:
            told = (
                f"undefined: {', '.join(unknown)}" if unknown else "none, or the score key itself"
            )
            raise ConfigError(f"dimensions of {kind}: {told}", where=f"{where}: types")
    named = {*rubric.subcategories.values(), *rubric.categories.values()}
    named.update(filter(None, [rubric.default_type]))
    lost = sorted(named - set(rubric.types))
    if lost:
        raise ConfigError(f"no such type: {', '.join(lost)}", where=f"{where}: subcategories")
