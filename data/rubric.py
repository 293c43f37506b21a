"""A rubric is data; this is its interpreter. Question and answer in, messages out; judge's text in,
verdict out. Pure but for `load_rubric`, which reads one file.

A template is `str.format` text with the placeholders of PLACEHOLDERS and nothing else (`{{` is a
brace). Values are put in once, so braces in questions and answers are only text.

Two kinds: *fenced* rubrics put the candidate between delimiters that it cannot contain; *imported*
ones (AlignBench's own prompt) stay byte for byte what their authors send, fixed markers and all.

Dialogues: turn k is judged with all user turns up to k. The candidate's earlier answers stand
between them if they are handed in, fenced like the answer itself, for they are as foreign as it is.
Turn 0 is the bare question, so a single-turn benchmark never sees any of this.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Sequence
from pathlib import Path

from data import codec
from data.codec import Table
from data.compat import read_compat
from data.errors import ConfigError, DataError
from data.fence import fence
from data.schema import Choice, Message, ParsePolicy, Question, Rubric, Struct, Verdict
from data.text import printable
from data.verdict import Reading, read_robust
from data.verdict_words import bare_label

BUILT_IN = Path(__file__).parent / "rubrics"
FOLDER = "rubrics"
"""Below the user's data folder; imported rubrics are NAME.json there."""
PLACEHOLDERS = frozenset(
    {"category", "dimensions", "question", "reference", "answer"}
    | {"opening", "closing", "score_key", "example"}
)
PAIR_PLACEHOLDERS = frozenset(
    {"category", "dimensions", "question", "reference", "answer_1", "answer_2"}
    | {"opening", "closing"}
)
"""Of rubrics that compare two answers (`data/pairing.py`)."""
_HUGE = 10**15
"""No score: upstream's parser takes integers of any length, which no float can hold."""


class RubricFile(Table, frozen=True, kw_only=True):
    """A rubric as a TOML file says it. Fields and defaults as in `data.schema.Rubric`."""

    title: str = ""
    template: str
    fenced: bool = True
    dimension_line: str = "{number}. {name}: {definition}\n"
    definitions: dict[str, str] = {}
    types: dict[str, tuple[str, ...]] = {}
    subcategories: dict[str, str] | None = None
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


class Rendered(Struct, frozen=True):
    """A judge request's words, and what is needed to read the reply."""

    messages: tuple[Message, ...]
    dimensions: tuple[str, ...]
    quotation: tuple[str, str]
    """The delimiters that stand around the candidate's text."""


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
    _check_types(rubric, where)
    for label in rubric.labels:
        if not bare_label(label):
            raise ConfigError(f"an empty label {label!r}", where=f"{where}: labels")
    if not rubric.low < rubric.high:
        raise ConfigError(f"low {rubric.low:g} is not below high {rubric.high:g}", where=where)
    return codec.replace(rubric, sha256=identity(rubric))


def dimensions(rubric: Rubric, question: Question) -> tuple[str, ...]:
    """The dimensions this question is scored on, in prompt order: its subcategory decides the type.

    A rubric without types has none. Raises ConfigError when it knows neither the subcategory nor a
    default.
    """
    if not rubric.types:
        return ()
    kind = rubric.subcategories.get(question.subcategory) or rubric.default_type
    if kind:
        return rubric.types[kind]
    raise ConfigError(
        f"rubric {rubric.name} does not know subcategory {printable(question.subcategory, 60)!r} "
        f"(question {printable(str(question.id), 60)})",
        how="use a rubric with a default_type, such as alignsweep, or correct the question file",
    )


def render(
    rubric: Rubric,
    question: Question,
    answer: str | None,
    *,
    seed: int,
    turn: int = 0,
    earlier: Sequence[str | None] = (),
) -> Rendered:
    """What the judge is asked about this answer to turn `turn` (from 0).

    `answer` None is no answer: an empty text between fences, and in imported prompts the word None,
    as upstream has it. `earlier`: the candidate's answers to the turns before.
    """
    names = dimensions(rubric, question)
    quotation = fenced_by(rubric, question, (*earlier, answer), seed, turn)
    reference = question.references[turn] if turn < len(question.references) else ""
    text = rubric.template.format(
        category=question.category,
        dimensions=described(rubric, names),
        question=dialogue(question, turn, earlier, quotation),
        reference=reference or rubric.no_reference,
        answer=(answer or "") if rubric.fenced else answer,
        opening=quotation[0],
        closing=quotation[1],
        score_key=rubric.score_key,
        example=_example((*names, rubric.score_key)),
    )
    return Rendered((Message("user", text),), names, quotation)


def read(
    rubric: Rubric,
    question: Question,
    text: str,
    *,
    policy: ParsePolicy,
    quotation: tuple[str, str],
) -> Reading:
    """The verdict in a judge's reply.

    `compat` reads just as AlignBench's scripts do: always a verdict, -1 where they find no score.
    """
    if policy == "compat":
        rating, score = read_compat(text)
        sane = {name: v for name, v in rating.items() if name != rubric.score_key and v < _HUGE}
        scores = {name: float(v) for name, v in sane.items()}
        return Reading(Verdict(float(score), scores, source="compat"), "")
    return read_robust(
        text,
        expected=dimensions(rubric, question),
        score_key=rubric.score_key,
        aliases=rubric.score_aliases,
        low=rubric.low,
        high=rubric.high,
        quotation=quotation,
    )


# --- parts of a message ------------------------------------------------------------------------


def fenced_by(
    rubric: Rubric, question: Question, answers: Sequence[str | None], seed: int, turn: int
) -> tuple[str, str]:
    """The delimiters around what is judged: derived, or the fixed ones of an imported prompt."""
    if not rubric.fenced:
        return rubric.opening, rubric.closing
    texts = (*question.turns[: turn + 1], *(answer or "" for answer in answers))
    return fence(seed, texts)


def described(rubric: Rubric, names: tuple[str, ...]) -> str:
    """The dimensions as the judge reads them."""
    line = rubric.dimension_line
    return "".join(
        line.format(number=number, name=name, definition=rubric.definitions[name])
        for number, name in enumerate(names, start=1)
    )


def dialogue(
    question: Question,
    turn: int,
    earlier: Sequence[str | None] = (),
    quotation: tuple[str, str] = ("", ""),
) -> str:
    """The question, or the dialogue that led to it."""
    if turn == 0:
        return question.turns[0]
    opening, closing = quotation
    parts: list[str] = []
    for number, asked in enumerate(question.turns[:turn], start=1):
        parts.append(f"（第 {number} 轮，用户）\n{asked}")
        if number <= len(earlier):
            said = earlier[number - 1] or ""
            parts.append(f"（第 {number} 轮，助手）\n{opening}\n{said}\n{closing}")
    parts.append(f"（第 {turn + 1} 轮，用户；只评助手对这一轮的回答）\n{question.turns[turn]}")
    return "\n\n".join(parts)


def _example(keys: tuple[str, ...]) -> str:
    """The shape of the verdict without a single digit, so that an echo of it is no verdict."""
    return "{" + ", ".join(f'"{key}": 整数' for key in keys) + "}"


# --- files -------------------------------------------------------------------------------------


def _stems(folder: Path, ending: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*.{ending}"))


def _from_toml(path: Path) -> Rubric:
    where = printable(str(path))
    try:
        value = tomllib.loads(codec.read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise DataError("not UTF-8", path=where) from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"not TOML: {printable(str(error))}", path=where) from None
    told = codec.plain(codec.convert(value, RubricFile, where=where))
    told |= {"name": path.stem, "subcategories": told["subcategories"] or {}}
    return checked(codec.convert(told, Rubric, where=where), where=where)


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


def _check_types(rubric: Rubric, where: str) -> None:
    for kind, names in rubric.types.items():
        unknown = [name for name in names if name not in rubric.definitions]
        if unknown or not names or rubric.score_key in names:
            told = (
                f"undefined: {', '.join(unknown)}" if unknown else "none, or the score key itself"
            )
            raise ConfigError(f"dimensions of {kind}: {told}", where=f"{where}: types")
    named = {*rubric.subcategories.values(), *filter(None, [rubric.default_type])}
    lost = sorted(named - set(rubric.types))
    if lost:
        raise ConfigError(f"no such type: {', '.join(lost)}", where=f"{where}: subcategories")
