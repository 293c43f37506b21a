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
from collections.abc import Sequence

from data.schema import Struct, Verdict
from data.verdict_finding import Found, Grammar, Scored, find, grammar_of, sentences
from data.verdict_words import own_words

CUE_CHARS = 40
"""How far before a verdict a word may stand that calls it a draft."""
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
    grammar = grammar_of(tuple(expected), score_key, tuple(aliases), low, high)
    own = own_words(text, quotation)
    if not own:
        return Reading(None, "empty")
    found = find(own, grammar)
    if found.cut_off:
        return Reading(None, "cut off")
    candidates = _best_level(found.scored) or sentences(own, found.outside, grammar)
    if not candidates:
        return Reading(None, found.otherwise)
    last = candidates[-1]
    if len(last.scores) > 1 or _contradicted(candidates, found, own, grammar):
        return Reading(None, "ambiguous")
    if not low <= last.scores[0] <= high:
        return Reading(None, "out of range")
    return Reading(_verdict(last, grammar))


_BRACKETED = re.compile(r"\[\[\s*(-?\d{1,6}(?:\.\d{1,4})?)\s*(?:/\s*10\s*)?\]\]")


def read_bracketed(
    text: str, *, low: float = 1, high: float = 10, quotation: tuple[str, str] | None = None
) -> Reading:
    """The verdict of a judge that writes it in double brackets: `Rating: [[7]]`.

    The grammar of MT-Bench's single-answer grading (arXiv 2306.05685). All ratings that are no drafts
    must be the same. Never raises; takes linear time.
    """
    own = own_words(text, quotation)
    if not own:
        return Reading(None, "empty")
    found = [(match.start(), float(match[1])) for match in _BRACKETED.finditer(own)]
    final = {value for start, value in found if not is_draft(start, own)}
    if len(final) != 1:
        otherwise = "only the example" if found else "no verdict"
        return Reading(None, "ambiguous" if final else otherwise)
    score = final.pop()
    if not low <= score <= high:
        return Reading(None, "out of range")
    flags = () if score.is_integer() else ("not integer",)
    return Reading(Verdict(score, source="label", flags=flags))


# --- choosing ----------------------------------------------------------------------------------


def _best_level(scored: list[Scored]) -> list[Scored]:
    """The candidates of the first level that has any; prose is the one after these."""
    for level in ({"complete"}, {"partial", "cut"}):
        if candidates := [one for one in scored if one.source in level]:
            return candidates
    return []


def _contradicted(candidates: list[Scored], found: Found, text: str, grammar: Grammar) -> bool:
    """Whether another verdict gives another score than the last and cannot be passed over.

    There are three cases: an earlier one of the same level that is no draft; a later, whole one
    that lacks only its closing brace; any later, lesser one if the last of the level is a draft.
    """
    last = candidates[-1]

    def differs(other: Scored) -> bool:
        return other.start > last.start and other.scores != last.scores

    if any(c.scores != last.scores and not _is_draft(c, text) for c in candidates[:-1]):
        return True
    if any(differs(c) and c.source == "cut" and c.whole for c in found.scored):
        return True
    if not _is_draft(last, text):
        return False
    return any(map(differs, [*found.scored, *sentences(text, found.outside, grammar)]))


def _is_draft(one: Scored, text: str) -> bool:
    return is_draft(one.start, text)


def is_draft(start: int, text: str) -> bool:
    """Whether the words right before a verdict, in the same sentence, say that it is not final."""
    before = text[max(0, start - CUE_CHARS - 20) : start].rstrip(_FENCE)
    before = _FENCE_TAG.sub("", before).rstrip(_FENCE)
    return bool(_CUE.search(_SENTENCE_END.split(before)[-1][-CUE_CHARS:]))


def _verdict(last: Scored, grammar: Grammar) -> Verdict:
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
