"""A rubric is data; this is its interpreter. Question and answer in, messages out; judge's text in,
verdict out. Pure. Rubrics come from `data/rubric_files.py`; comparisons are `data/pairing.py`.

A template is `str.format` text with the placeholders of PLACEHOLDERS and nothing else (`{{` is a
brace). Values are put in once, so braces in questions and answers are only text.

Two kinds: *fenced* rubrics put the candidate between delimiters that it cannot contain; *imported*
ones (AlignBench's own prompt) stay byte for byte what their authors send, fixed markers and all.

Dialogues: turn k is judged with all user turns up to k. The candidate's earlier answers stand
between them if they are handed in, fenced like the answer itself, for they are as foreign as it is.
Turn 0 is the bare question, so a single-turn benchmark never sees any of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from data.compat import SCORE_KEY, read_compat
from data.errors import ConfigError
from data.fence import fence
from data.opencompass import read_opencompass
from data.schema import Message, ParsePolicy, Question, Rubric, Struct, Verdict
from data.text import printable
from data.verdict import Reading, read_bracketed, read_robust

PLACEHOLDERS = frozenset(
    {"category", "type", "dimensions", "question", "reference", "evidence", "answer"}
    | {"opening", "closing", "score_key", "example"}
)
PAIR_PLACEHOLDERS = frozenset(
    {"category", "type", "dimensions", "question", "reference", "evidence"}
    | {"answer_1", "answer_2", "opening", "closing"}
)
"""Of rubrics that compare two answers (`data/pairing.py`)."""
_HUGE = 10**15
"""No score: upstream's parser takes integers of any length, which no float can hold."""


class Rendered(Struct, frozen=True):
    """A judge request's words, and what is needed to read the reply."""

    messages: tuple[Message, ...]
    dimensions: tuple[str, ...]
    quotation: tuple[str, str]
    """The delimiters that stand around the candidate's text."""


def dimensions(rubric: Rubric, question: Question) -> tuple[str, ...]:
    """The dimensions this question is scored on, in prompt order; a rubric without types has none.

    Raises ConfigError when the rubric does not know the question's type.
    """
    return rubric.types[type_of(rubric, question)] if rubric.types else ()


def type_of(rubric: Rubric, question: Question) -> str:
    """The question's type: by its subcategory, else by its category, else the rubric's default.

    Empty for a rubric without types. Raises ConfigError when there is no default either.
    """
    kind = (
        rubric.subcategories.get(question.subcategory)
        or rubric.categories.get(question.category)
        or rubric.default_type
    )
    if kind or not rubric.types:
        return kind
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
    text = rubric.template.format(
        **common(rubric, question, turn),
        question=dialogue(question, turn, earlier, quotation),
        answer=(answer or "") if rubric.fenced else answer,
        opening=quotation[0],
        closing=quotation[1],
        score_key=rubric.score_key,
        example=_example((*names, rubric.score_key)),
    )
    return Rendered(messages_of(rubric, text), names, quotation)


def read(
    rubric: Rubric,
    question: Question,
    text: str,
    *,
    policy: ParsePolicy,
    quotation: tuple[str, str],
) -> Reading:
    """The verdict in a judge's reply.

    `compat` reads just as AlignBench's scripts do: always a verdict, -1 where they find no score;
    `opencompass` as OpenCompass does.
    """
    if policy == "compat":
        rating, score = read_compat(text)
        sane = {name: v for name, v in rating.items() if name != rubric.score_key and v < _HUGE}
        scores = {name: float(v) for name, v in sane.items()}
        return Reading(Verdict(float(score), scores, source="compat"), "")
    if policy == "opencompass":
        return _opencompass(text)
    if rubric.bracketed:
        return read_bracketed(text, low=rubric.low, high=rubric.high, quotation=quotation)
    return read_robust(
        text,
        expected=dimensions(rubric, question),
        score_key=rubric.score_key,
        aliases=rubric.score_aliases,
        low=rubric.low,
        high=rubric.high,
        quotation=quotation,
    )


def _opencompass(text: str) -> Reading:
    found = read_opencompass(text)
    if found is None:
        return Reading(None, "dropped")
    rating, score = found
    scores = {name: float(value) for name, value in rating.items() if name != SCORE_KEY}
    return Reading(Verdict(score, scores, source="opencompass"))


# --- parts of a message ------------------------------------------------------------------------


def common(rubric: Rubric, question: Question, turn: int) -> dict[str, str]:
    """What every template may say about a question."""
    reference = question.references[turn] if turn < len(question.references) else ""
    return {
        "category": question.category,
        "type": type_of(rubric, question),
        "dimensions": described(rubric, dimensions(rubric, question)),
        "reference": reference or rubric.no_reference,
        "evidence": _evidence(question) or rubric.no_evidence,
    }


def messages_of(rubric: Rubric, text: str) -> tuple[Message, ...]:
    """The user message, after the rubric's own system message if it has one."""
    user = Message("user", text)
    return (Message("system", rubric.system), user) if rubric.system else (user,)


def _evidence(question: Question) -> str:
    """The passages that the reference rests on, one after the other."""
    found = (each for each in question.evidences or () if each.quote.strip())
    return "\n\n".join(f"{each.quote.strip()}\n({each.url.strip()})" for each in found)


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
    definitions = tuple(rubric.definitions.get(name, "") for name in names)
    return _lines(rubric.dimension_line, names, definitions)


@lru_cache(maxsize=256)
def _lines(line: str, names: tuple[str, ...], definitions: tuple[str, ...]) -> str:
    """They are the same for all questions of a type."""
    return "".join(
        line.format(number=number, name=name, definition=definition)
        for number, (name, definition) in enumerate(zip(names, definitions, strict=True), start=1)
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


@lru_cache(maxsize=256)
def _example(keys: tuple[str, ...]) -> str:
    """The shape of the verdict without a single digit, so that an echo of it is no verdict."""
    return "{" + ", ".join(f'"{key}": 整数' for key in keys) + "}"
