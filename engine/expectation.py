"""How long the next replies will be, and how long they will take: from those that came. Pure.

Before any came, an answer is expected to be as long as the reference lets one think,

    answer ≈ 65 characters + 0.67 · reference        (a verdict: 400 tokens)

by least squares over the 300 answers of eight models of 2023 that CritiqueLLM's authors published for
AlignBench (github.com/thu-coai/CritiqueLLM; total 0.90 of the references, single models 0.47 to 1.26).
As soon as a few replies of a model or judge are known, a straight line through them takes over:
length by shape, through both means, its slope by least squares and pulled towards the ratio of the
means. A benchmark comes category by category, so a plain mean of the first says little of the rest:
learned from 20 of those 300 in one category, the total of the others was missed by 69 % with the mean
and by 16 % with the line (root mean square of the logarithm; 10 replies: 72 and 25 %).
Text and tokens are learned apart: reasoning is billed, but no judge reads it.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property

from data.codec import replace
from data.schema import Answer, Judgment, Question, Record, Response, Struct
from engine.estimate import Size, Vocabulary, size_of
from engine.plan import Plan
from engine.workload import Basis, Range, WorkStage

ANSWER_BASE, ANSWER_SLOPE = Size(65.0, 0.0), 0.67
ANSWER_UNKNOWN = Size(250.0, 80.0)
"""Of a question without a reference: the mean of the 300 answers, 220 and 80, rounded up."""
VERDICT = Size(420.0, 182.0)
"""400 tokens in the middle vocabulary: a sentence or two on each of five dimensions, and the scores."""
LOW_ANSWER, LOW_VERDICT = 0.5, 0.25
"""The tersest of the eight models; scores with hardly a word."""
ENOUGH = 5
"""Replies that must have come before they are believed."""
PULL = 20
"""Replies that weigh as much as the ratio of the means does."""
FLOOR = 0.1
"""Of the mean: no reply is expected to be shorter."""
FIRST_TOKEN_S, TOKENS_PER_S = 0.5, 100.0
"""How fast a call is assumed to be where none was seen: about as fast as interfaces are today, so that a
bound in time stays one."""

Party = tuple[WorkStage, str]


class Replies:
    """What came back from one model or judge: a few numbers a reply."""

    def __init__(self) -> None:
        self.numbers = array("q")
        """The trial of each."""
        self.input_tokens, self.output_tokens = array("q"), array("q")
        self.characters = array("q")
        self._latency_s, self._timed = 0.0, 0

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, number: int, reply: Response) -> None:
        """One reply; without usage it says nothing."""
        if reply.usage is None:
            return
        self.numbers.append(number)
        self.input_tokens.append(reply.usage.input_tokens)
        self.output_tokens.append(reply.usage.output_tokens)
        self.characters.append(len(reply.text))
        if reply.latency_s > 0:
            self._latency_s += reply.latency_s
            self._timed += 1

    @property
    def mean_latency_s(self) -> float | None:
        """Seconds a call; None: none was timed."""
        return self._latency_s / self._timed if self._timed else None


class Seen:
    """What came back so far, by party."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parties: defaultdict[Party, Replies] = defaultdict(Replies)

    def enter(self, record: Record) -> None:
        """A line of the journal: an answer, or a judgment with all its asks."""
        if not isinstance(record, Answer | Judgment):
            return
        number = self._plan.number(record.trial)
        if number is None:
            return
        for reply in (record.response,) if isinstance(record, Answer) else record.asks:
            self.add(number, reply)

    def add(self, number: int, reply: Response) -> None:
        """A reply to one of the plan's trials."""
        self._parties[self._party(number)].add(number, reply)

    def of(self, stage: WorkStage, name: str) -> Replies:
        return self._parties[stage, name]

    def _party(self, number: int) -> Party:
        if self._plan.is_answer(number):
            return "answers", self._plan.sweep.models[self._plan.model_index(number)].name
        return "judgments", self._plan.sweep.judges[self._plan.judge_index(number)].name


class Shapes:
    """How long a reply to each item is expected to be before any came."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.basis: Basis = "default"
        """Of answers."""
        if any(any(question.references) for question in plan.benchmark.questions):
            self.basis = "references"

    @cached_property
    def answers(self) -> tuple[Size, ...]:
        """By the number of the item."""
        return tuple(_answer_shape(question, turn) for question, turn in self._plan.items)

    def of(self, number: int) -> Size:
        """Of a trial: its answer, or its verdict."""
        if self._plan.is_answer(number):
            return self.answers[self._plan.item_index(number)]
        return VERDICT


class Line(Struct, frozen=True):
    """Length by the length of the shape. `short`: the share of it that is hardly undercut."""

    short: float
    slope: float = 1.0
    base: float = 0.0
    floor: float = 0.0
    mean: float = math.inf
    """Of what was seen: the least of what a line and a mean say is low."""

    def likely(self, shape: float) -> float:
        """The length that is likely."""
        return max(self.base + self.slope * shape, self.floor)

    def low(self, shape: float) -> float:
        """A length that is hardly undercut, in total."""
        return self.short * min(self.likely(shape), self.mean)


class Expectation(Struct, frozen=True, kw_only=True):
    """What one party's next replies will be like."""

    vocabulary: Vocabulary
    tokens: Line
    """Billed tokens, by those of the shape."""
    text: Line
    """Characters that a judge gets to see, by those of the shape."""
    cap: int | None
    """max_tokens."""
    seen: int
    basis: Basis
    measured_s: float | None

    def output(self, shape: Size) -> Range:
        """Tokens of the reply that has this shape."""
        size = self.vocabulary.tokens(shape)
        low, likely = self.tokens.low(size), self.tokens.likely(size)
        return Range(self._capped(low), self._capped(likely), self.cap)

    def text_size(self, shape: Size) -> tuple[Size, Size]:
        """The text of that reply: at the least, and likely."""
        size = shape.characters
        low, likely = self.text.low(size), self.text.likely(size)
        return shape * (low / size), shape * (likely / size)

    def latency_s(self, output: Range, calls: int) -> Range:
        """Mean seconds of a call: as measured, or assumed for replies of so many tokens in all."""
        if self.measured_s is not None:
            return Range(self.measured_s, self.measured_s, None)
        low, likely = (
            FIRST_TOKEN_S + tokens / calls / TOKENS_PER_S for tokens in (output.low, output.likely)
        )
        return Range(low, likely, None)

    def _capped(self, tokens: float) -> float:
        return tokens if self.cap is None else min(tokens, self.cap)


def expectation(
    replies: Replies,
    shape_of: Callable[[int], Size],
    vocabulary: Vocabulary,
    *,
    stage: WorkStage,
    basis: Basis,
    cap: int | None,
) -> Expectation:
    """From what came, if it is enough; else the stage's own. `shape_of`: of a trial."""
    least = LOW_ANSWER if stage == "answers" else LOW_VERDICT
    tokens = text = Line(least)
    enough = len(replies) >= ENOUGH
    if enough:
        shapes = [shape_of(number) for number in replies.numbers]
        tokens = _line(replies.output_tokens, [vocabulary.tokens(shape) for shape in shapes])
        text = _line(replies.characters, [shape.characters for shape in shapes])
    return Expectation(
        vocabulary=vocabulary,
        tokens=tokens,
        text=text,
        cap=cap,
        seen=len(replies) if enough else 0,
        basis="seen" if enough else basis,
        measured_s=replies.mean_latency_s if enough else None,
    )


def _line(real: array[int], shapes: list[float]) -> Line:
    """Short: the lower quartile of real ÷ likely, if that is below 1."""
    n = len(shapes)
    mean, mean_shape = sum(real) / n, sum(shapes) / n
    ratio = mean / mean_shape
    pairs = list(zip(real, shapes, strict=True))
    spread = sum((x - mean_shape) ** 2 for x in shapes)
    together = sum((x - mean_shape) * (y - mean) for y, x in pairs)
    steep = max(together / spread, 0.0) if spread else ratio
    slope = (n * steep + PULL * ratio) / (n + PULL)
    line = Line(1.0, slope, mean - slope * mean_shape, FLOOR * mean, mean)
    shares = sorted(y / line.likely(x) for y, x in pairs) if mean else [1.0]
    return replace(line, short=min(shares[len(shares) // 4], 1.0))


def _answer_shape(question: Question, turn: int) -> Size:
    reference = question.references[turn] if turn < len(question.references) else ""
    return ANSWER_BASE + size_of(reference) * ANSWER_SLOPE if reference else ANSWER_UNKNOWN
