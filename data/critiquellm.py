"""Take over one of CritiqueLLM's files of human scores or labels, so that its answers can be judged.

What is written below the user's data folder, in `benchmarks/NAME/`: the questions as a benchmark,
the answers in AlignBench's answer format, and the file itself, which `alignsweep agree` reads.

Rules. A question of scored answers stands once, whatever number of answers it has; each pair is a
question of its own, answered by `response_1` and `response_2`, for the file does not say by whom.
Ids are hashes of the texts, so the same question has the same id in every file. The category
基本能力 is called 基本任务, as AlignBench calls it. No subcategory is published and rubrics choose
by it, so each category stands for one of the type of question that CritiqueLLM gives it
(category2type_alignbench.json).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data import benchmark, codec
from data.errors import ConfigError, DataError, StorageError
from data.human import HumanFile, read_human
from data.question_rows import parse
from data.schema import Struct
from data.text import printable
from data.wholefile import put_whole

ANSWERS, HUMAN = "answers.jsonl", "human.jsonl"
RENAMED = {"基本能力": "基本任务"}
"""CritiqueLLM's category -> AlignBench's."""
SUBCATEGORIES = {
    "基本任务": "常识知识",
    "中文理解": "文化理解",
    "专业能力": "其他",
    "综合问答": "寻求建议",
    "文本写作": "其他写作类",
    "角色扮演": "其他写作类",
    "多语言能力": "翻译",
    "逻辑推理": "推理",
    "数学计算": "应用数学",
    "代码": "推理",
}
"""Category -> a subcategory whose type of question is the one CritiqueLLM gives the category."""
SIDES = ("response_1", "response_2")
NOTE = "no subcategory is published: each category has one of its type of question"
_SOURCE = "https://github.com/thu-coai/CritiqueLLM data/evaluation"

_NAME = re.compile(r"\w[\w.-]*")

Row = dict[str, Any]


class Taken(Struct, frozen=True, kw_only=True):
    """A file that was taken over."""

    name: str
    """Of the benchmark."""
    questions: int
    answers: int
    models: int
    sha256: str
    """Of the questions."""
    answers_path: str
    human_path: str
    changed: bool
    """False: the same bytes were there already."""


def import_human(path: str | Path, *, home: Path, name: str = "") -> Taken:
    """Take the file over as benchmark `name` (default: told by what it holds).

    Raises DataError (no such file, or a row that is not as expected; nothing was written),
    ConfigError (that name is taken by other questions) or StorageError.
    """
    if name and not _free(name):
        raise ConfigError(
            f"`{printable(name, 80)}` is no name for a benchmark",
            where="--name",
            how="letters, digits, `_`, `-` and `.`, and not the name of a built-in one",
        )
    file = Path(path)
    human = read_human(file)
    if not human.blocks:
        raise DataError(
            "these rows hold no questions and answers, only scores",
            path=human.path,
            how="`alignsweep agree RUN --human FILE` reads such a file as it is",
        )
    rows = [codec.decode(line) for _, line in codec.read_lines(file)]
    entries = [_entry(row, human) for row in rows]
    questions = _lines(_once(entry.question for entry in entries))
    answers = list(_once(answer for entry in entries for answer in entry.answers))
    parse(questions, path=human.path)
    title = name or _name(human, rows)
    folder = home / benchmark.FOLDER / title
    _refuse_other(folder, questions, title)
    files = (
        (ANSWERS, _lines(answers)),
        (HUMAN, codec.read_bytes(file)),
        (benchmark.QUESTIONS, questions),
        (benchmark.METADATA, codec.encode(_metadata(title, questions)) + b"\n"),
    )
    return Taken(
        name=title,
        questions=questions.count(b"\n"),
        answers=len(answers),
        models=len({row["model_id"] for row in answers}),
        sha256=codec.sha256(questions),
        answers_path=str(folder / ANSWERS),
        human_path=str(folder / HUMAN),
        changed=_write(folder, files),
    )


# --- rows --------------------------------------------------------------------------------------


class _Entry(Struct, frozen=True):
    """What one row of the file becomes."""

    question: Row
    answers: tuple[Row, ...]


def _entry(row: Row, human: HumanFile) -> _Entry:
    texts = [row[side] for side in SIDES] if human.pairs else [row["response"]]
    models = SIDES if human.pairs else (row["model"],)
    said = [row["question"], row.get("reference") or "", *(texts if human.pairs else [])]
    number = codec.sha256(codec.canonical(said))[:12]
    category = str(row.get("category") or "").strip()
    category = RENAMED.get(category, category)
    question: Row = {"question_id": number}
    if category:
        question |= {"category": category, "subcategory": SUBCATEGORIES.get(category, "")}
    question["question"] = row["question"]
    if row.get("reference"):
        question["reference"] = row["reference"]
    answers = (
        {"question_id": number, "model_id": model, "answer": text}
        for model, text in zip(models, texts, strict=True)
    )
    return _Entry(question, tuple(answers))


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    """Each id (or id and model) once, in order."""
    seen = set()
    for row in rows:
        key = (row["question_id"], row.get("model_id"))
        if key not in seen:
            seen.add(key)
            yield row


def _lines(rows: Iterable[Row]) -> bytes:
    return b"".join(codec.encode(row) + b"\n" for row in rows)


def _name(human: HumanFile, rows: list[Row]) -> str:
    kind = "pairwise" if human.pairs else "pointwise"
    referenced = any(row.get("reference") for row in rows)
    return f"critiquellm-{kind}-{'referenced' if referenced else 'free'}"


def _free(name: str) -> bool:
    """Whether a benchmark of that name would be found again."""
    built_in = {path.stem for path in benchmark.BUILT_IN.glob("*.toml")}
    return (
        bool(_NAME.fullmatch(name))
        and name not in built_in
        and not name.endswith((".json", ".jsonl"))
    )


# --- writing -----------------------------------------------------------------------------------


def _refuse_other(folder: Path, questions: bytes, name: str) -> None:
    """A name stands for one set of questions."""
    there = folder / benchmark.QUESTIONS
    if there.exists() and codec.read_bytes(there) != questions:
        raise ConfigError(
            f"the benchmark {printable(name, 80)} is there already, with other questions",
            where=str(folder),
            how="choose another name: --name NAME",
        )


def _metadata(name: str, questions: bytes) -> benchmark.Metadata:
    categories = {question.category for question in parse(questions, path=name)}
    return benchmark.Metadata(
        title="answers that humans scored or compared (CritiqueLLM)",
        rubric=benchmark.RUBRIC,
        source=_SOURCE,
        temperatures={},
        groups=benchmark.groups_for(tuple(categories)),
        sha256=codec.sha256(questions),
        warning=NOTE,
    )


def _write(folder: Path, files: Iterable[tuple[str, bytes]]) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = [put_whole(folder / name, data) for name, data in files]
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{printable(str(folder))}: cannot be written: {reason}") from None
    return any(changed)
