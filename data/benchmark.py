"""Load a benchmark: a built-in one, an imported one, or any JSONL file of the user's.

Three shelves, looked at in this order: the package's own `data/benchmarks/NAME.{toml,jsonl}`, what
was imported to `HOME/benchmarks/NAME/{benchmark.json,questions.jsonl}`, and a path. A path is
anything with a slash or the ending `.jsonl`, so a bare name never depends on the working directory.

Questions are kept exactly: file order, inner whitespace, bare carriage returns, U+00A0. One row is
one JSON object; `data/question_rows.py` says what may stand in it. A file with faults is refused
with all of them at once, so that it can be mended in one go.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

from data import codec
from data.codec import Table
from data.errors import AlignsweepError, ConfigError, DataError
from data.question_rows import parse
from data.schema import Benchmark, Struct
from data.text import printable

BUILT_IN = Path(__file__).parent / "benchmarks"
FOLDER = "benchmarks"
"""Below the user's data folder."""
METADATA = "benchmark.json"
QUESTIONS = "questions.jsonl"
RUBRIC = "alignsweep"
"""What a user's own file is judged with unless the sweep file says otherwise."""

GROUPS: dict[str, tuple[str, ...]] = {
    "中文推理": ("数学计算", "逻辑推理"),
    "中文语言": ("基本任务", "中文理解", "综合问答", "文本写作", "角色扮演", "专业能力"),
}
"""AlignBench's two columns; its total is their mean (README of THUDM/AlignBench)."""

_NAME = re.compile(r"[\w][\w.-]*")


class Metadata(Table, frozen=True, kw_only=True):
    """What stands beside a question file: TOML for built-in benchmarks, JSON for imported ones."""

    title: str
    rubric: str
    source: str = ""
    temperatures: dict[str, float]
    """By category; the key "" is for those not named."""
    groups: dict[str, tuple[str, ...]]
    sha256: str = ""
    """Of the question file; empty: not checked (built-in files travel with the code)."""
    warning: str = ""


class Listed(Struct, frozen=True):
    """One benchmark that a name leads to. `problem`: why its metadata cannot be read."""

    name: str
    title: str
    origin: Literal["built-in", "imported"]
    warning: str = ""
    problem: str = ""


def load(name_or_path: str, *, home: Path) -> Benchmark:
    """The benchmark of that name or file; `home` is the user's data folder.

    Raises DataError (a file is not what it should be: all its faults at once) or ConfigError (no
    such benchmark).
    """
    if _is_path(name_or_path):
        return _load_file(Path(name_or_path))
    if (BUILT_IN / f"{name_or_path}.toml").is_file():
        meta = _built_in(name_or_path)
        return _shelved(name_or_path, meta, BUILT_IN / f"{name_or_path}.jsonl")
    folder = home / FOLDER / name_or_path
    if _NAME.fullmatch(name_or_path) and (folder / METADATA).exists():
        return _shelved(name_or_path, _imported(folder), folder / QUESTIONS)
    known = ", ".join(listed.name for listed in names(home))
    raise ConfigError(
        f"no benchmark is named {printable(name_or_path, 80)!r}",
        how=f"known here: {known}; or give the path of a .jsonl file, such as ./questions.jsonl",
    )


def names(home: Path) -> list[Listed]:
    """Everything a name leads to, built-in ones first, in the order of their names."""
    built_in = [
        Listed(path.stem, _built_in(path.stem).title, "built-in")
        for path in sorted(BUILT_IN.glob("*.toml"))
    ]
    taken = {listed.name for listed in built_in}
    folders = sorted((home / FOLDER).glob(f"*/{METADATA}"))
    imported = [_listed(path.parent) for path in folders if _NAME.fullmatch(path.parent.name)]
    return built_in + [listed for listed in imported if listed.name not in taken]


def groups_for(categories: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """AlignBench's column groups if these are exactly its eight categories, else none."""
    eight = {category for members in GROUPS.values() for category in members}
    return dict(GROUPS) if set(categories) == eight else {}


def _is_path(text: str) -> bool:
    return text in {"", ".", ".."} or "/" in text or text.endswith((".jsonl", ".json"))


def _load_file(path: Path) -> Benchmark:
    if path.is_dir():
        raise DataError(
            "this is a folder, not a file",
            path=printable(str(path)),
            how="to take over a clone of the AlignBench repository: alignsweep data import PATH",
        )
    data = codec.read_bytes(path)
    questions = parse(data, path=printable(str(path)))
    categories = tuple(dict.fromkeys(question.category for question in questions))
    return Benchmark(
        name=path.stem,
        title=path.stem,
        questions=questions,
        sha256=codec.sha256(data),
        groups=groups_for(categories),
        rubric=RUBRIC,
        source=str(path),
    )


def _shelved(name: str, meta: Metadata, path: Path) -> Benchmark:
    data = codec.read_bytes(path)
    digest = codec.sha256(data)
    if meta.sha256 and meta.sha256 != digest:
        raise DataError(
            f"changed after it was imported (sha256 {digest[:12]}…, not {meta.sha256[:12]}…)",
            path=printable(str(path)),
            how="import or fetch the benchmark again",
        )
    return Benchmark(
        name=name,
        title=meta.title,
        questions=parse(data, path=printable(str(path))),
        sha256=digest,
        temperatures=meta.temperatures,
        groups=meta.groups,
        rubric=meta.rubric,
        source=meta.source,
    )


def _built_in(name: str) -> Metadata:
    path = BUILT_IN / f"{name}.toml"
    return codec.convert(tomllib.loads(path.read_text("utf-8")), Metadata, where=path.name)


def _imported(folder: Path) -> Metadata:
    path = folder / METADATA
    try:
        value = codec.decode(codec.read_bytes(path))
    except codec.Undecodable:
        raise DataError("no JSON", path=printable(str(path)), how="import it again") from None
    return codec.convert(value, Metadata, where=printable(str(path)))


def _listed(folder: Path) -> Listed:
    try:
        meta = _imported(folder)
    except AlignsweepError as error:
        return Listed(folder.name, "", "imported", problem=str(error))
    return Listed(folder.name, meta.title, "imported", warning=meta.warning)
