"""Where a judge's plain words give a score: objects, cut objects and closing sentences. Pure.

Everything that is found is handed on, in order; which of it counts is decided in `data/verdict.py`.
Braces are paired in one pass, and an object's text is what stands between its own braces and not
between inner ones, so LaTeX and wrappers do no harm and the work is linear.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Set
from functools import lru_cache
from types import MappingProxyType

from data.schema import Struct, VerdictSource
from data.verdict_words import WRAP, plain, plain_key

NESTING = 64
"""Braces open at once that are remembered; of deeper towers the innermost."""
CLOSING_CHARS = 400
"""How far from the end, objects not counted, a sentence still is a closing one."""
_NUMERALS = dict(zip("零一二三四五六七八九十两", (*range(11), 2), strict=True))
_NUMBER = rf"(?>-?[0-9]+(?:\.[0-9]+)?|[{''.join(_NUMERALS)}])"
_ITEM = re.compile(r"(?:^|[,;\n])([^,;\n:]*):([^,;\n]*)")
_ELLIPSIS = re.compile(r"(?:^|[,;\n])[ \t'\"]*\.{2,}[ \t'\"]*(?=[,;:\n]|$)")
_BRACES = re.compile(r"\{\{*|\}\}*")
"""Written so that `re` sees the two characters a run begins with, and skips all others quickly."""


Span = tuple[int, int]
"""A piece of the text: from, to."""


class Grammar(Struct, frozen=True):
    """The words and numbers one rubric allows, compiled once."""

    names: dict[str, str]
    """Plain key -> dimension as the rubric writes it."""
    score: str
    aliases: dict[str, str]
    keys: frozenset[str]
    """All of these, plain."""
    low: float
    high: float
    value: re.Pattern[str]
    prose: re.Pattern[str]

    def key_of(self, words: str) -> str | None:
        """The known key that these words are; None: they are no key of this rubric."""
        key = words.strip(WRAP)
        if key not in self.keys:  # as most judges write it, it is
            key = plain_key(key)
        return key if key in self.keys else None


class Scored(Struct, frozen=True):
    """One place in the text that gives a score."""

    start: int
    source: VerdictSource
    scores: tuple[float, ...]
    """All that it says; more than one only if it contradicts itself."""
    alias: str = ""
    values: Mapping[str, float] = MappingProxyType({})
    whole: bool = False
    """All expected keys are there, whatever their values."""


class Found(Struct, frozen=True):
    """The objects in a text that give a score, in order, and what to say if nothing does."""

    scored: list[Scored]
    outside: list[Span]
    """Where the text is prose."""
    cut_off: bool
    """The last object began a newer verdict and ended before its score."""
    otherwise: str


class _Braces(Struct, frozen=True):
    """A text taken apart at its braces. Each character belongs to one object, or to none."""

    objects: list[tuple[int, str]]
    """Where each closed object opens and its own text, in the order of their closing."""
    outer: list[Span]
    """The closed objects that lie in no other one: all else is outside."""
    unclosed: int
    """Where the last brace opens that is never closed; -1: nowhere."""


class _Items(Struct, frozen=True):
    """The known keys of one object, with the numbers they have."""

    scores: tuple[float, ...]
    alias: str
    values: dict[str, float]
    keys: Set[str]
    """Dimensions named, and the score key or alias if there."""


@lru_cache(maxsize=64)
def grammar_of(
    expected: tuple[str, ...], score_key: str, aliases: tuple[str, ...], low: float, high: float
) -> Grammar:
    gap, top = rf"[{re.escape(WRAP)}]*", rf"{high:g}".replace(".", r"\.")
    words = sorted({plain(w).strip() for w in (score_key, *aliases)} - {""}, key=len, reverse=True)
    score = plain_key(plain(score_key))
    names = {plain_key(plain(name)): name for name in expected}
    names = {key: name for key, name in names.items() if key not in {score, ""}}
    other = {key: alias for alias in aliases if (key := plain_key(plain(alias)))}
    prose = (
        r"(?<!最高)(?<!最低)(?<!不超过)(?<!至少)(?<!至多)(?<!最多)"
        rf"(?P<key>{'|'.join(map(re.escape, words)) or '(?!)'}){gap}"
        rf"(?:应|最终)?(?:定为|评为|判为|给|为|是|得|is|:|=|\|)[{re.escape(WRAP)}:]*"
        rf"(?P<number>{_NUMBER})(?:{gap}/{gap}{top}(?![0-9]))?(?:{gap}分)?"
        # Not the first half of a range, a bound, or another scale, and not the head of a word.
        rf"(?!{gap}(?:[-~〜–—→到至或、]|,(?=\s?[0-9]+\s*分)){gap}[0-9{''.join(_NUMERALS)}])"
        rf"(?!{gap}(?:以上|以下|以内|左右|之间|起))(?!{gap}[/%])(?:(?<=分)|(?!\w))"
    )
    return Grammar(
        names,
        score,
        other,
        frozenset({score, *names, *other}),
        low,
        high,
        re.compile(
            rf"{gap}({_NUMBER})(?:\s*分)?(?:\s*/\s*{top}(?:\s*分)?)?(?:{gap}。)?{gap}(?:(?:#|//).*)?"
        ),
        re.compile(prose, re.IGNORECASE),
    )


# --- finding -----------------------------------------------------------------------------------


def find(text: str, grammar: Grammar) -> Found:
    braces = _objects(text)
    scored, examples = [], False
    for start, body in braces.objects:
        if ":" not in body:
            continue
        if _is_example(body):
            examples = True
        elif (items := _items(body, grammar, cut=False)).scores:
            scored.append(_object(start, items, grammar, cut=False))
    scored.sort(key=lambda one: one.start)
    newest, tail = scored[-1].start if scored else -1, braces.unclosed
    cut_off, otherwise = False, "only the example" if examples else "no verdict"
    before = [hole for hole in braces.outer if hole[0] < tail]
    body = _own_text(text, tail + 1, len(text), braces.outer[len(before) :]) if tail >= 0 else ""
    outside = _gaps(0, len(text), braces.outer)
    if tail >= 0 and _opens_an_object(body, grammar):
        outside = _gaps(0, tail, before)
        items = _items(body, grammar, cut=True)
        if _is_example(body):
            otherwise = "only the example"
        elif items.scores:
            scored.append(_object(tail, items, grammar, cut=True))
        else:
            otherwise, cut_off = "cut off", bool(items.keys) and tail > newest
    return Found(scored, outside, cut_off, otherwise)


def sentences(text: str, outside: list[Span], grammar: Grammar) -> list[Scored]:
    """Scores given in the closing prose; the score key itself before its aliases."""
    hits = [
        (plain_key(match["key"]), match.start(), _number(match["number"]))
        for begin, end in _closing(outside)
        for match in grammar.prose.finditer(text, begin, end)
    ]
    own = [hit for hit in hits if hit[0] == grammar.score]
    return [
        Scored(
            start, "prose", (score,), "" if key == grammar.score else grammar.aliases.get(key, key)
        )
        for key, start, score in own or hits
    ]


def _objects(text: str) -> _Braces:
    """Match the braces; one that is never closed opens no object, one never opened closes none."""
    opened: deque[int] = deque(maxlen=NESTING)
    objects: list[tuple[int, str]] = []
    outer: list[Span] = []
    for run in _BRACES.finditer(text, max(text.find("{"), 0)):
        first, end = run.span()
        if text[first] == "{":
            opened.extend(range(max(first, end - NESTING), end))
            continue
        for at in range(first, min(end, first + len(opened))):
            start, inner = opened.pop(), len(outer)
            while inner and outer[inner - 1][0] > start:
                inner -= 1
            objects.append((start, _own_text(text, start + 1, at, outer[inner:])))
            outer[inner:] = [(start, at + 1)]
    return _Braces(objects, outer, opened[-1] if opened else -1)


def _own_text(text: str, begin: int, end: int, holes: list[Span]) -> str:
    if not holes:
        return text[begin:end]
    return " ".join([text[b:e] for b, e in _gaps(begin, end, holes)])


def _gaps(begin: int, end: int, holes: list[Span]) -> list[Span]:
    """What is left of begin..end between the holes."""
    gaps = []
    for hole_begin, hole_end in holes:
        if begin < hole_begin:
            gaps.append((begin, hole_begin))
        begin = hole_end
    if begin < end:
        gaps.append((begin, end))
    return gaps


def _is_example(body: str) -> bool:
    return ".." in body and bool(_ELLIPSIS.search(body))


def _items(body: str, grammar: Grammar, *, cut: bool) -> _Items:
    """The items with a known key; a dimension that is given two values has none."""
    found: dict[str, list[float]] = {}
    for item in _ITEM.finditer(body):
        words, number = item.groups()
        key = grammar.key_of(words)
        if key is None:
            continue
        numbers = found.setdefault(key, [])
        value = _value(number, grammar)
        at_end = cut and item.end() == len(body)
        if value is not None and not (at_end and _may_go_on(number, value, grammar)):
            numbers.append(value)
    scores, values, alias = found.get(grammar.score, []), {}, ""
    for key, numbers in found.items():
        if key in grammar.names:
            if len(numbers) == 1 or len(set(numbers)) == 1:
                values[grammar.names[key]] = numbers[0]
        elif numbers and (not scores or alias):
            # An alias counts only without the key itself: beside it, it is a sum or a mean.
            scores, alias = scores + numbers, alias or grammar.aliases[key]
    return _Items(tuple(sorted(set(scores))), alias, values, found.keys())


def _value(words: str, grammar: Grammar) -> float | None:
    """The number that a value is: 7, 7.5, '7', 七, 7分, 7/10; a trailing comment is left out."""
    digits = words.strip()
    if digits.isascii() and digits.isdecimal():
        return float(digits)
    match = grammar.value.fullmatch(words)
    return _number(match[1]) if match else None


def _number(digits: str) -> float:
    return float(_NUMERALS.get(digits, digits))


def _may_go_on(words: str, value: float, grammar: Grammar) -> bool:
    """Whether the text may have ended inside this number: 1 may be the head of 10."""
    return words[-1:].isdecimal() and 0 < value * 10 <= grammar.high


def _object(start: int, items: _Items, grammar: Grammar, *, cut: bool) -> Scored:
    whole = items.keys >= grammar.names.keys()
    source: VerdictSource = "complete" if whole and not items.alias else "partial"
    source = "cut" if cut else source
    return Scored(start, source, items.scores, items.alias, items.values, whole)


def _opens_an_object(body: str, grammar: Grammar) -> bool:
    """Whether a brace that is never closed begins as an object does (and not as LaTeX)."""
    first = body.lstrip()
    if not first or first[0] in "'\"":
        return True
    return grammar.key_of(re.split(r"[,;\n:]", first, maxsplit=1)[0]) is not None


def _closing(spans: list[Span]) -> list[Span]:
    """Their last CLOSING_CHARS characters, in order."""
    closing: list[Span] = []
    room = CLOSING_CHARS
    for begin, end in reversed(spans):
        if room <= 0:
            break
        closing.append((max(begin, end - room), end))
        room -= end - begin
    return closing[::-1]
