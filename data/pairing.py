"""Comparing two answers: what a judge is asked, and which of the two it found better. Pure.

A pairwise rubric is a rubric with `labels`: what the judge writes at the end, and what that means. Both
answers stand between the same delimiters, which neither contains. "first" is the answer shown first;
who that was is the caller's affair (`turned`).

Reading. Only the judge's own words count: what it repeats of the answers is masked. Every label must
say the same, drafts and examples apart; two different ones are no verdict, and the judge is asked again.
Labels are compared without spaces, quotes and case, and the longest at a place is meant, so that
[[A>>B]] is not an [[A>B]].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from data.codec import replace
from data.rubric import Rendered, common, dialogue, dimensions, fenced_by, messages_of
from data.schema import Choice, Question, Rubric, Verdict
from data.verdict import Reading, is_draft
from data.verdict_words import LOOSE, bare_label, own_words

POINTS: Mapping[Choice, float] = {"first+": 1, "first": 1, "tie": 0.5, "second": 0, "second+": 0}
"""What the first candidate wins."""
_TURNED: Mapping[Choice, Choice] = {
    "first+": "second+",
    "first": "second",
    "tie": "tie",
    "second": "first",
    "second+": "first+",
}


def render_pair(
    rubric: Rubric,
    question: Question,
    first: Sequence[str],
    second: Sequence[str],
    *,
    seed: int,
    turn: int = 0,
) -> Rendered:
    """What the judge is asked about two answers to turn `turn` (from 0).

    `first`, `second`: each candidate's answers to all turns up to this one, as they are shown.
    """
    names = dimensions(rubric, question)
    marks = fenced_by(rubric, question, (*first, *second), seed, turn)
    text = rubric.template.format(
        **common(rubric, question, turn),
        question=dialogue(question, turn),
        answer_1=_said(first, marks),
        answer_2=_said(second, marks),
        opening=marks[0],
        closing=marks[1],
    )
    return Rendered(messages_of(rubric, text), names, marks)


def read_choice(text: str, labels: Mapping[str, Choice], marks: tuple[str, str]) -> Reading:
    """The verdict in a judge's words, in the order in which the answers were shown. Never raises."""
    own = own_words(text, marks).casefold()
    if not own:
        return Reading(None, "empty")
    found = list(_pattern(labels).finditer(own))
    said = [(match.start(), _meaning(match[0], labels)) for match in found]
    final = [choice for start, choice in said if not is_draft(start, own)]
    if not final:
        return Reading(None, "only the example" if said else "no verdict")
    if len(set(final)) > 1:
        return Reading(None, "ambiguous")
    return Reading(Verdict(POINTS[final[0]], source="label", choice=final[0]))


def turned(verdict: Verdict) -> Verdict:
    """The verdict of somebody who saw the two answers the other way round."""
    choice = None if verdict.choice is None else _TURNED[verdict.choice]
    return replace(verdict, score=1 - verdict.score, choice=choice)


def _said(answers: Sequence[str], marks: tuple[str, str]) -> str:
    """A candidate's answers between the marks, turn by turn where there are several."""
    opening, closing = marks
    framed = [f"{opening}\n{answer}\n{closing}" if opening else answer for answer in answers]
    if len(answers) == 1:
        return framed[0]
    parts = (f"（第 {number} 轮）\n{text}" for number, text in enumerate(framed, start=1))
    return "\n\n".join(parts)


def _pattern(labels: Mapping[str, Choice]) -> re.Pattern[str]:
    longest_first = sorted(map(bare_label, labels), key=len, reverse=True)
    return re.compile("|".join(LOOSE.join(map(re.escape, label)) for label in longest_first))


def _meaning(written: str, labels: Mapping[str, Choice]) -> Choice:
    bare = bare_label(written)
    return next(choice for label, choice in labels.items() if bare_label(label) == bare)
