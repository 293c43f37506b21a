"""Reading a judge's verdict out of its words, robustly: a score, or the reason why there is none.

Rules. Only the judge's own words count: what it quotes of the candidate, between the markers that
fenced the candidate's text, is masked first. Nothing is guessed, clamped or defaulted: where there
is no verdict the judge is asked once more, where there is a wrong one nobody notices. Nothing here
evaluates text, and every step takes linear time.

A score is looked for at three levels, and the first level that has any decides:

1. complete: an object with the score key and all expected keys;
2. partial: an object with the score key or an alias of it; cut: the last object, never closed;
3. prose: a closing sentence such as 综合得分为7.

An object's text is what stands between its own braces and not between inner ones, so LaTeX and
wrappers do no harm. One with an ellipsis among its items is the prompt's example. The last verdict
of a level counts. A draft, one that its own sentence calls so, is passed over when another follows;
any other verdict of that level with another score makes the text ambiguous. An object begun after
all verdicts that ends before its score was to replace them: the text is cut off.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from types import MappingProxyType

from data.schema import Struct, Verdict, VerdictSource

NESTING = 64
"""Braces open at once that are remembered; of deeper towers the innermost."""
CLOSING_CHARS = 400
"""How far from the end, objects not counted, a sentence still is a closing one."""
CUE_CHARS = 40
"""How far before a verdict a word may stand that calls it a draft."""

_WRAP = " \t*_`'\"()[]<>\\"
_NUMERALS = dict(zip("零一二三四五六七八九十两", (*range(11), 2), strict=True))
_NUMBER = rf"(?>-?[0-9]+(?:\.[0-9]+)?|[{''.join(_NUMERALS)}])"
_ITEM = re.compile(r"(?:^|[,;\n])([^,;\n:]*):([^,;\n]*)")
_ELLIPSIS = re.compile(r"(?:^|[,;\n])[ \t'\"]*\.{2,}[ \t'\"]*(?=[,;:\n]|$)")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BRACES = re.compile(r"\{+|\}+")
_FENCE = " \n`"
_FENCE_TAG = re.compile(r"`(?:json|python|text)$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[。!?;\n{}]|(?<!e\.g)\.\s")
_CUE = re.compile(
    r"例如|比如|示例|样例|格式|草稿|初步|初评|暂定|(?<![a-z])(?:draft|example|e\.g\.)",
    re.IGNORECASE,
)


class Reading(Struct, frozen=True):
    """What a judge's text says: a verdict, or why there is none."""

    verdict: Verdict | None
    reason: str = ""
    """One of: empty, no verdict, only the example, cut off, ambiguous, out of range."""


def read_robust(
    text: str,
    *,
    expected: Sequence[str],
    score_key: str = "综合得分",
    aliases: Sequence[str] = (),
    low: float = 1,
    high: float = 10,
    quotation: tuple[str, str] | None = None,
) -> Reading:
    """The verdict in a judge's text. Never raises; takes linear time.

    `expected` names the dimensions, without the score key. `quotation` is the (opening, closing)
    marker around the candidate's text in the judge's prompt: what the judge repeats between them is
    not its own. A dimension's value outside low..high is dropped and flagged, a score outside is no
    score.
    """
    grammar = _grammar(tuple(expected), score_key, tuple(aliases), low, high)
    own = _own_words(text, quotation)
    if not own:
        return Reading(None, "empty")
    found = _find(own, grammar)
    if found.cut_off:
        return Reading(None, "cut off")
    candidates = _best_level(found.scored)
    if not candidates:
        return Reading(None, found.otherwise)
    last = candidates[-1]
    if len(last.scores) > 1 or _contradicted(last, candidates, found.scored, own):
        return Reading(None, "ambiguous")
    if not low <= last.scores[0] <= high:
        return Reading(None, "out of range")
    return Reading(_verdict(last, grammar))


# --- what a verdict is made of -----------------------------------------------------------------


Span = tuple[int, int]
"""A piece of the text: from, to."""


class _Grammar(Struct, frozen=True):
    """The words and numbers one rubric allows, compiled once."""

    names: dict[str, str]
    """Plain key -> dimension as the rubric writes it."""
    score: str
    aliases: dict[str, str]
    low: float
    high: float
    value: re.Pattern[str]
    prose: re.Pattern[str]


class _Scored(Struct, frozen=True):
    """One place in the text that gives a score."""

    start: int
    source: VerdictSource
    scores: tuple[float, ...]
    """All that it says; more than one only if it contradicts itself."""
    alias: str = ""
    values: Mapping[str, float] = MappingProxyType({})
    whole: bool = False
    """All expected keys are there, whatever their values."""


class _Found(Struct, frozen=True):
    """Everything in a text that gives a score, in order, and what to say if nothing does."""

    scored: list[_Scored]
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
def _grammar(
    expected: tuple[str, ...], score_key: str, aliases: tuple[str, ...], low: float, high: float
) -> _Grammar:
    gap, top = rf"[{re.escape(_WRAP)}]*", rf"{high:g}".replace(".", r"\.")
    words = sorted({_plain(w).strip() for w in (score_key, *aliases)} - {""}, key=len, reverse=True)
    score = _key(_plain(score_key))
    names = {_key(_plain(name)): name for name in expected}
    prose = (
        r"(?<!最高)(?<!最低)(?<!不超过)(?<!至少)(?<!至多)(?<!最多)"
        rf"(?P<key>{'|'.join(map(re.escape, words)) or '(?!)'}){gap}"
        rf"(?:应|最终)?(?:定为|评为|判为|给|为|是|得|is|:|=|\|)[{re.escape(_WRAP)}:]*"
        rf"(?P<number>{_NUMBER})(?:{gap}/{gap}{top}(?![0-9]))?(?:{gap}分)?"
        # Not the first half of a range, a bound, or another scale, and not the head of a word.
        rf"(?!{gap}(?:[-~〜–—→到至或、]|,(?=\s?[0-9]+\s*分)){gap}[0-9{''.join(_NUMERALS)}])"
        rf"(?!{gap}(?:以上|以下|以内|左右|之间|起))(?!{gap}[/%])(?:(?<=分)|(?!\w))"
    )
    return _Grammar(
        {key: name for key, name in names.items() if key not in {score, ""}},
        score,
        {key: alias for alias in aliases if (key := _key(_plain(alias)))},
        low,
        high,
        re.compile(
            rf"{gap}({_NUMBER})(?:\s*分)?(?:\s*/\s*{top}(?:\s*分)?)?(?:{gap}。)?{gap}(?:(?:#|//).*)?"
        ),
        re.compile(prose, re.IGNORECASE),
    )


# --- the judge's own words ---------------------------------------------------------------------


class _PlainChars(dict[int, str]):
    """Each character's plain form, worked out when first met.

    NFKC is taken character by character: over a whole text it sorts runs of combining marks, which
    takes quadratic time on a hostile one.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        invisible = unicodedata.category(char) in {"Cc", "Cf"} or 0xFE00 <= code <= 0xFE0F
        form = "" if invisible else unicodedata.normalize("NFKC", char)
        if len(self) < 1 << 16:
            self[code] = form
        return form


_PLAIN = _PlainChars(
    {
        **dict.fromkeys(map(ord, "‘’‚‛′"), "'"),
        **dict.fromkeys(map(ord, "“”„‟″「」『』"), '"'),
        **dict.fromkeys(map(ord, "\n\r\u0085\u2028\u2029"), "\n"),
        **dict.fromkeys(map(ord, "\u2212\u2010\u2011"), "-"),
        ord("\t"): " ",
        ord("\u2236"): ":",
        ord("⋯"): "...",
        ord("\u20e3"): "",  # the keycap around a digit
    }
)


def _plain(text: str) -> str:
    """One way to write each thing: NFKC forms, straight quotes, no invisible characters."""
    if "\\u" in text:  # JSON's own escapes
        text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return text.translate(_PLAIN)


def _key(name: str) -> str:
    """A plain key as it is compared: no quotes, emphasis, brackets, spaces or case."""
    return "".join(name.strip(_WRAP).split()).casefold()


def _own_words(text: str, quotation: tuple[str, str] | None) -> str:
    """The plain text without quotations and blank lines."""
    text = _plain(text)
    if quotation:
        opening, closing = (_plain(marker).strip() for marker in quotation)
        text = _masked(text, opening, closing) if opening and closing else text
    return "\n".join(line for line in map(str.strip, text.split("\n")) if line)


def _masked(text: str, opening: str, closing: str) -> str:
    """The text without the spans opening..closing; one that is not closed reaches to the end."""
    kept, begin = [], 0
    while begin >= 0 and (start := text.find(opening, begin)) >= 0:
        kept.append(text[begin:start])
        end = text.find(closing, start + len(opening))
        begin = end + len(closing) if end >= 0 else -1
    if begin >= 0:
        kept.append(text[begin:])
    return "\n".join(kept)


# --- finding -----------------------------------------------------------------------------------


def _find(text: str, grammar: _Grammar) -> _Found:
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
    return _Found([*scored, *_sentences(text, outside, grammar)], cut_off, otherwise)


def _objects(text: str) -> _Braces:
    """Match the braces; one that is never closed opens no object, one never opened closes none."""
    opened: deque[int] = deque(maxlen=NESTING)
    objects: list[tuple[int, str]] = []
    outer: list[Span] = []
    for run in _BRACES.finditer(text):
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


def _items(body: str, grammar: _Grammar, *, cut: bool) -> _Items:
    """The items with a known key; a dimension that is given two values has none."""
    found: dict[str, list[float]] = {}
    for item in _ITEM.finditer(body):
        key = _key(item[1])
        if key != grammar.score and key not in grammar.names and key not in grammar.aliases:
            continue
        numbers = found.setdefault(key, [])
        value = _value(item[2], grammar)
        at_end = cut and item.end() == len(body)
        if value is not None and not (at_end and _may_go_on(item[2], value, grammar)):
            numbers.append(value)
    scores, values, alias = found.get(grammar.score, []), {}, ""
    for key, numbers in found.items():
        if key in grammar.names:
            if len(set(numbers)) == 1:
                values[grammar.names[key]] = numbers[0]
        elif numbers and (not scores or alias):
            # An alias counts only without the key itself: beside it, it is a sum or a mean.
            scores, alias = scores + numbers, alias or grammar.aliases[key]
    return _Items(tuple(sorted(set(scores))), alias, values, found.keys())


def _value(words: str, grammar: _Grammar) -> float | None:
    """The number that a value is: 7, 7.5, '7', 七, 7分, 7/10; a trailing comment is left out."""
    match = grammar.value.fullmatch(words)
    return _number(match[1]) if match else None


def _number(digits: str) -> float:
    return float(_NUMERALS.get(digits, digits))


def _may_go_on(words: str, value: float, grammar: _Grammar) -> bool:
    """Whether the text may have ended inside this number: 1 may be the head of 10."""
    return words[-1:].isdecimal() and 0 < value * 10 <= grammar.high


def _object(start: int, items: _Items, grammar: _Grammar, *, cut: bool) -> _Scored:
    whole = items.keys >= grammar.names.keys()
    source: VerdictSource = "complete" if whole and not items.alias else "partial"
    source = "cut" if cut else source
    return _Scored(start, source, items.scores, items.alias, items.values, whole)


def _opens_an_object(body: str, grammar: _Grammar) -> bool:
    """Whether a brace that is never closed begins as an object does (and not as LaTeX)."""
    first = body.lstrip()
    if not first or first[0] in "'\"":
        return True
    key = _key(re.split(r"[,;\n:]", first, maxsplit=1)[0])
    return key == grammar.score or key in grammar.names or key in grammar.aliases


def _sentences(text: str, outside: list[Span], grammar: _Grammar) -> list[_Scored]:
    """Scores given in the closing prose; the score key itself before its aliases."""
    hits = [
        (_key(match["key"]), match.start(), _number(match["number"]))
        for begin, end in _closing(outside)
        for match in grammar.prose.finditer(text, begin, end)
    ]
    own = [hit for hit in hits if hit[0] == grammar.score]
    return [
        _Scored(
            start, "prose", (score,), "" if key == grammar.score else grammar.aliases.get(key, key)
        )
        for key, start, score in own or hits
    ]


def _closing(spans: list[Span]) -> list[Span]:
    """Their last CLOSING_CHARS characters, in order."""
    closing: list[Span] = []
    room = CLOSING_CHARS
    while spans and room > 0:
        begin, end = spans.pop()
        closing.append((max(begin, end - room), end))
        room -= end - begin
    return closing[::-1]


# --- choosing ----------------------------------------------------------------------------------


def _best_level(scored: list[_Scored]) -> list[_Scored]:
    """The candidates of the first level that has any."""
    for level in ({"complete"}, {"partial", "cut"}, {"prose"}):
        if candidates := [one for one in scored if one.source in level]:
            return candidates
    return []


def _contradicted(
    last: _Scored, candidates: list[_Scored], scored: list[_Scored], text: str
) -> bool:
    """Whether another verdict gives another score and cannot be passed over.

    There are three cases: an earlier one of the same level that is no draft; a later, whole one
    that lacks only its closing brace; any later, lesser one if the last of the level is a draft.
    """
    if any(c.scores != last.scores and not _is_draft(c, text) for c in candidates[:-1]):
        return True
    later = [c for c in scored if c.start > last.start and c.scores != last.scores]
    return any(c.source == "cut" and c.whole for c in later) or (
        bool(later) and _is_draft(last, text)
    )


def _is_draft(one: _Scored, text: str) -> bool:
    """Whether the words right before it, in the same sentence, say that it is not final."""
    before = text[max(0, one.start - CUE_CHARS - 20) : one.start].rstrip(_FENCE)
    before = _FENCE_TAG.sub("", before).rstrip(_FENCE)
    return bool(_CUE.search(_SENTENCE_END.split(before)[-1][-CUE_CHARS:]))


def _verdict(last: _Scored, grammar: _Grammar) -> Verdict:
    flags = [] if last.scores[0].is_integer() else ["not integer"]
    if last.alias:
        flags.append(f"alias {last.alias}")
    dimensions = {}
    for name in grammar.names.values() if last.source != "prose" else ():
        value = last.values.get(name)
        if value is None:
            flags.append(f"missing {name}")
        elif not grammar.low <= value <= grammar.high:
            flags.append(f"out of range {name}")
        else:
            dimensions[name] = value
            flags.extend([] if value.is_integer() else [f"not integer {name}"])
    return Verdict(last.scores[0], dimensions, last.source, tuple(flags))
