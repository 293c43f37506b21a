"""Judge prompts of other projects as rubrics of ours. Their files are read, never run.

Two layouts are known:

- AlignBench: a folder with `judge.py`, whose prompt is found as a string literal of its syntax tree
  (`data/checkout.py`), and `config/multi-dimension.json`, which names the files of dimensions;
- FastChat's MT-Bench: `judge_prompts.jsonl`, a prompt a line. Those of one turn are taken over; those of
  two turns lay out the whole dialogue in their own way, for which a rubric has no placeholders.

A rubric made here renders its authors' prompts byte for byte, system message included. Nothing of
theirs is part of this package.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from data import checkout, codec, rubric_files
from data.codec import replace
from data.errors import ConfigError, DataError
from data.schema import Choice, Rubric, Struct
from data.text import printable

CONFIG = "config/multi-dimension.json"
PROMPTS = "judge_prompts.jsonl"
PLACES = ("", "data", "llm_judge/data", "fastchat/llm_judge/data")
"""Where in a folder FastChat's file may lie."""
FIELDS = {
    "question": "question",
    "answer": "answer",
    "answer_a": "answer_1",
    "answer_b": "answer_2",
    "ref_answer_1": "reference",
}
"""FastChat's placeholders of one turn -> ours."""
LABELS: dict[str, Choice] = {"[[A]]": "first", "[[B]]": "second", "[[C]]": "tie"}
OPENING, CLOSING = "[The Start of Assistant's Answer]", "[The End of Assistant's Answer]"
_HOW = "a clone of THUDM/AlignBench, or FastChat's judge_prompts.jsonl"


class Found(Struct, frozen=True):
    """What a place holds: rubrics, and what was left out and why."""

    rubrics: tuple[Rubric, ...]
    left_out: tuple[str, ...] = ()


class _Prompt(Struct, frozen=True):
    """A line of judge_prompts.jsonl."""

    name: str
    prompt_template: str
    system_prompt: str = ""
    type: str = ""
    output_format: str = ""


def find_prompts(path: Path) -> Found:
    """Every rubric that can be made of what lies at `path`. Raises DataError or ConfigError."""
    if path.is_file() and path.suffix == ".jsonl":
        return _fastchat(path)
    if not path.is_dir():
        reason = "not a folder and not a .jsonl file" if path.exists() else "no such folder or file"
        raise DataError(reason, path=_told(path), how=_HOW)
    for place in PLACES:
        if (path / place / PROMPTS).is_file():
            return _fastchat(path / place / PROMPTS)
    if (path / checkout.JUDGE).is_file():
        return Found((_alignbench(path),))
    raise DataError(f"neither {checkout.JUDGE} nor {PROMPTS} is here", path=_told(path), how=_HOW)


# --- AlignBench --------------------------------------------------------------------------------


def _alignbench(root: Path) -> Rubric:
    """The prompt of judge.py, with the dimensions that its configuration names."""
    paths: dict[str, str] = {}
    if (root / CONFIG).is_file():
        told = _decoded(root / CONFIG)
        found = told.get("Paths") if isinstance(told, dict) else None
        paths = found if isinstance(found, dict) else {}
    sets, definitions, kinds = (
        _table(root, paths.get(key, usual), kind)
        for key, usual, kind in (
            ("dimension_set_filepath", checkout.SETS, dict[str, tuple[str, ...]]),
            ("dimension_def_filepath", checkout.DEFINITIONS, dict[str, str]),
            ("subcategory_mapping", checkout.SUBCATEGORIES, dict[str, str]),
        )
    )
    template, warning = checkout.judge_prompt(root / checkout.JUDGE)
    rubric = Rubric(
        name="alignbench",
        title="AlignBench: the authors' judge prompt",
        template=template,
        fenced=False,
        definitions=definitions,
        types=sets,
        subcategories=kinds,
        opening=checkout.OPENING,
        closing=checkout.CLOSING,
        source="; ".join(filter(None, ["https://github.com/THUDM/AlignBench judge.py", warning])),
    )
    return rubric_files.checked(rubric, where=_told(root))


def _table(root: Path, name: str, kind: Any) -> Any:
    """A file that the configuration names; it lies below the folder that is imported."""
    file = root / str(name)
    if not file.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"names a file elsewhere: {printable(str(name), 80)}", path=_told(root / CONFIG)
        )
    try:
        return codec.decode_as(codec.read_bytes(file), kind)
    except codec.Undecodable as error:
        raise DataError(printable(str(error), 200), path=_told(file)) from None


def _decoded(file: Path) -> Any:
    try:
        return codec.decode(codec.read_bytes(file))
    except codec.Undecodable as error:
        raise DataError(printable(str(error), 200), path=_told(file)) from None


# --- FastChat ----------------------------------------------------------------------------------


def _fastchat(file: Path) -> Found:
    made, left = [], []
    for number, line in codec.read_lines(file):
        try:
            prompt = codec.decode_as(line, _Prompt)
        except codec.Undecodable as error:
            raise DataError(printable(str(error), 200), path=_told(file), line=number) from None
        unknown = _fields(prompt, file, number) - set(FIELDS)
        if unknown:
            named = ", ".join(f"{{{printable(name, 40)}}}" for name in sorted(unknown))
            left.append(f"{printable(prompt.name, 80)}: no rubric has {named}")
        else:
            made.append(_of_prompt(prompt, f"{_told(file)}:{number}"))
    if not made:
        raise DataError("no prompt of one turn", path=_told(file), how=_HOW)
    return Found(tuple(made), tuple(left))


def _fields(prompt: _Prompt, file: Path, number: int) -> set[str]:
    try:
        parts = list(string.Formatter().parse(prompt.prompt_template))
    except ValueError as error:
        raise DataError(f"prompt_template: {error}", path=_told(file), line=number) from None
    return {name for _, name, _, _ in parts if name is not None}


def _of_prompt(prompt: _Prompt, where: str) -> Rubric:
    pairs = "answer_a" in prompt.prompt_template
    if not pairs and prompt.output_format != "[[rating]]":
        form = printable(prompt.output_format, 40)
        raise ConfigError(
            f"output_format {form!r} of a single answer", where=where, how="[[rating]]"
        )
    rubric = Rubric(
        name=prompt.name,
        title=f"{printable(prompt.name, 80)}: FastChat's judge prompt",
        template=_renamed(prompt.prompt_template),
        system=prompt.system_prompt,
        fenced=False,
        definitions={},
        types={},
        subcategories={},
        source="https://github.com/lm-sys/FastChat judge_prompts.jsonl",
    )
    if pairs:
        return rubric_files.checked(replace(rubric, labels=LABELS), where=where)
    marks = {"opening": OPENING, "closing": CLOSING} if OPENING in prompt.prompt_template else {}
    single = replace(rubric, bracketed=True, score_key="rating", **marks)
    return rubric_files.checked(single, where=where)


def _renamed(template: str) -> str:
    """The same text with our names of the placeholders; a literal brace stays written twice."""
    made = []
    for text, name, _, _ in string.Formatter().parse(template):
        made.append(text.replace("{", "{{").replace("}", "}}"))
        made.append("" if name is None else f"{{{FIELDS[name]}}}")
    return "".join(made)


def _told(path: Path) -> str:
    return printable(str(path))
