"""Take over AlignBench from a clone of its authors' repository (THUDM/AlignBench).

Their files are read, never run: the judge prompt is found in `judge.py` as a string literal of its
syntax tree. What is written is two things per version, below the user's data folder (folders 0700,
files 0600): the questions byte for byte with their metadata, and a rubric that renders the official
judge prompt byte for byte. All is checked before anything is written; each file appears whole or
not at all, the metadata last; a second import of the same files changes nothing.

Nothing of theirs is part of this package: only digests, by which a file is recognised.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from data import benchmark, codec, rubric_files
from data.errors import DataError, StorageError
from data.question_rows import parse
from data.schema import Question, Rubric, Struct
from data.text import printable
from data.wholefile import put_whole

KNOWN: dict[str, tuple[str, str]] = {
    "6ad5cdb2d552d2557aca18d0dcabaf19ff59fd18bef98eef880296c0478bbd11": ("v1.1", ""),
    "14a008e7851b536e64211f32dacffc90f45dcc176585a0e249ee0ebc94e9109c": ("v1.0", ""),
    "76d51ba90fa5a224a5c577f813f88855157fe4121812cd7e12d4a508ef2c494e": (
        "v1.1",
        "the first v1.1 file: references of questions 315 and 336 were corrected two days later",
    ),
    "25c9ead62811c71c821073eacef71775e7adf848584115bc537af008c535e821": (
        "v1.0",
        "the first v1.0 file: the reference of question 39 was corrected later",
    ),
}
"""sha256 of a question file -> version, and what a user of it should know."""
JUDGE_SHA256 = "0f5ef4d0e5009cb991b1fb625384f7c163d64f7910da175da8909e9da4e25c96"
"""judge.py at every commit so far: how it fills the prompt was checked against this one."""

QUESTION_FILES = ("data_v1.1_release.jsonl", "data_release.jsonl", "data_v1.0_release.jsonl")
JUDGE = "judge.py"
SETS = "config/dimension_set.json"
DEFINITIONS = "config/dimension_definition.json"
SUBCATEGORIES = "config/subcategory_question_mapping.json"
TEMPERATURES = "config/temperature.json"
DEFAULT_TEMPERATURE = 0.7
"""For categories the file does not name, as upstream's script has it."""

OPENING, CLOSING = "[助手的答案开始]", "[助手的答案结束]"
_HOW = "clone https://github.com/THUDM/AlignBench and give the path of the clone"
_JUDGE_LIMIT = 1 << 20


class Imported(Struct, frozen=True, kw_only=True):
    """One version that was taken over."""

    name: str
    """Of the benchmark and of its rubric."""
    questions: int
    sha256: str
    """Of the question file."""
    folder: str
    changed: bool
    """False: the same bytes were there already."""
    warning: str = ""


class _Version(Struct, frozen=True, kw_only=True):
    """All that will be written for one version."""

    name: str
    data: bytes
    questions: tuple[Question, ...]
    sha256: str
    warning: str


def import_checkout(path: str | Path, *, home: Path) -> list[Imported]:
    """Every version found in the clone at `path`, oldest first; `home` is the user's data folder.

    Raises DataError (something is missing or not as expected; nothing was written) or StorageError.
    """
    root = Path(path)
    if not root.is_dir():
        reason = "this is a file, not a folder" if root.is_file() else "no such folder"
        if root.exists() and not root.is_file():
            reason = "neither a folder nor a regular file"
        raise DataError(reason, path=_told(root), how=_HOW)
    versions = _versions(root)
    template, judge_warning = judge_prompt(root / JUDGE)
    temperatures = _config(root / TEMPERATURES, dict[str, float])
    prepared = []
    for version in versions:
        rules = _rubric(version.name, template, root)
        _check_coverage(version, rules, root)
        warning = "; ".join(text for text in (version.warning, judge_warning) if text)
        prepared.append((version, _metadata(version, temperatures, warning), rules))
    return [_write(version, meta, rules, home) for version, meta, rules in prepared]


# --- reading -----------------------------------------------------------------------------------


def _versions(root: Path) -> list[_Version]:
    found: dict[str, tuple[_Version, Path]] = {}
    for file in (folder / name for folder in (root / "data", root) for name in QUESTION_FILES):
        if not file.exists():
            continue
        version = _version(file)
        other = found.setdefault(version.name, (version, file))
        if other[0].sha256 != version.sha256:
            raise DataError(
                f"this and {_told(other[1])} are different files of one version ({version.name})",
                path=_told(file),
                how="remove the one that is not wanted",
            )
    if not found:
        raise DataError(
            f"no question file here (looked for {', '.join(QUESTION_FILES)}, also in data/)",
            path=_told(root),
            how=_HOW,
        )
    return [found[name][0] for name in sorted(found)]


def _version(file: Path) -> _Version:
    data = codec.read_bytes(file)
    digest = codec.sha256(data)
    questions = parse(data, path=_told(file))
    if digest in KNOWN:
        number, warning = KNOWN[digest]
    else:
        has_evidences = any(question.evidences is not None for question in questions)
        number = "v1.1" if has_evidences else "v1.0"
        warning = f"not a published file (sha256 {digest[:12]}…): scores do not compare"
    return _Version(
        name=f"alignbench-{number}", data=data, questions=questions, sha256=digest, warning=warning
    )


def judge_prompt(file: Path) -> tuple[str, str]:
    """The judge prompt's template out of judge.py, and a warning if the file is an unknown one."""
    data = _read(file)
    if len(data) > _JUDGE_LIMIT:
        raise DataError(f"{len(data)} bytes; this is not the judge script", path=_told(file))
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(
            f"not readable as Python: {printable(str(error), 120)}", path=_told(file)
        ) from None
    value = _assigned(tree, "prompt_construct", "base_prompt")
    if value is None:
        raise DataError(
            "no judge prompt: prompt_construct should assign base_prompt exactly once",
            path=_told(file),
            how=_HOW,
        )
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise DataError(
            "the judge prompt is computed, not a plain string; code of others is never run",
            path=_told(file),
            line=value.lineno,
        )
    if codec.sha256(data) == JUDGE_SHA256:
        return value.value, ""
    return value.value, "judge.py is not the published one: prompts may differ from the authors'"


def _assigned(tree: ast.Module, function: str, name: str) -> ast.expr | None:
    """The one value bound to `name` in the top-level `function`; None for none or several."""
    values: list[ast.expr | None] = []
    for body in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(body) if body.name == function else ():
            if isinstance(node, ast.Assign) and any(_is(target, name) for target in node.targets):
                values.append(node.value)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
                values += [node.value] if _is(node.target, name) else []
    return values[0] if len(values) == 1 else None


def _is(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _config(file: Path, kind: Any) -> Any:
    try:
        return codec.decode_as(_read(file), kind)
    except codec.Undecodable as error:
        raise DataError(printable(str(error), 200), path=_told(file)) from None


def _rubric(name: str, template: str, root: Path) -> Rubric:
    rules = Rubric(
        name=name,
        title=f"AlignBench {name.removeprefix('alignbench-')}: the authors' judge prompt",
        template=template,
        fenced=False,
        definitions=_config(root / DEFINITIONS, dict[str, str]),
        types=_config(root / SETS, dict[str, tuple[str, ...]]),
        subcategories=_config(root / SUBCATEGORIES, dict[str, str]),
        opening=OPENING,
        closing=CLOSING,
        source="https://github.com/THUDM/AlignBench judge.py",
    )
    return rubric_files.checked(rules, where=_told(root))


def _read(file: Path) -> bytes:
    try:
        return codec.read_bytes(file)
    except DataError as error:
        raise DataError(error.reason, path=_told(file), how=_HOW) from None


def _check_coverage(version: _Version, rules: Rubric, root: Path) -> None:
    """A question nobody knows how to judge is found now, not in the middle of a sweep."""
    missing = sorted({q.subcategory for q in version.questions} - set(rules.subcategories))
    if missing:
        raise DataError(
            f"subcategories of {version.name} without a type of question: "
            + printable(", ".join(missing), 200),
            path=_told(root / SUBCATEGORIES),
        )


# --- writing -----------------------------------------------------------------------------------


def _metadata(
    version: _Version, temperatures: dict[str, float], warning: str
) -> benchmark.Metadata:
    categories = tuple(dict.fromkeys(question.category for question in version.questions))
    return benchmark.Metadata(
        title=f"AlignBench {version.name.removeprefix('alignbench-')}",
        rubric=version.name,
        source="https://github.com/THUDM/AlignBench",
        temperatures={**temperatures, "": DEFAULT_TEMPERATURE},
        groups=benchmark.groups_for(categories),
        sha256=version.sha256,
        warning=warning,
    )


def _write(version: _Version, meta: benchmark.Metadata, rules: Rubric, home: Path) -> Imported:
    folder = home / benchmark.FOLDER / version.name
    rubrics = home / rubric_files.FOLDER
    files = (
        (rubrics / f"{version.name}.json", codec.encode(rules) + b"\n"),
        (folder / benchmark.QUESTIONS, version.data),
        (folder / benchmark.METADATA, codec.encode(meta) + b"\n"),
    )
    try:
        for made in (home, home / benchmark.FOLDER, folder, rubrics):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = [put_whole(path, data) for path, data in files]
    except OSError as error:
        place = _told(Path(error.filename)) if error.filename else _told(home)
        raise StorageError(f"{place}: cannot be written: {error.strerror or error}") from None
    return Imported(
        name=version.name,
        questions=len(version.questions),
        sha256=version.sha256,
        folder=str(folder),
        changed=any(changed),
        warning=meta.warning,
    )


def _told(path: Path) -> str:
    return printable(str(path))
