"""Who stands in for real models in a rehearsal: as many tokens as theirs, words of no meaning. Pure.

A rehearsal asks how long a sweep takes and what it costs, so only lengths matter. What they are on average
is the `Script`'s affair; here they are spread around it (log-normal, mean-preserving) and put into words.
An answer's text is as long as it is expected to be, because judges are sent it and prompts are measured; it
is cut from stock text. A verdict's text is read once and goes nowhere, so it is one short line, whatever
its token count. It can always be read: its rubric is recognised by the words of its template.

Every length is decided by the seed, the model, the prompt and how often that was asked before, since the
same words again are another sample. The request's own limit cuts answers; verdicts are spared, since a
judge's `max_tokens` is there to be enough.
"""

from __future__ import annotations

import math
import string
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from data.schema import Rubric, Struct
from providers.persona import FINISH, Chat, Manner, Spoken
from providers.scorebook import normal

ANSWER_SIGMA, VERDICT_SIGMA = 0.8, 0.25
"""Of the logarithm of a length: of the 300 answers that CritiqueLLM's authors published for AlignBench,
around what their references lead one to expect; and an assumption."""
STEPS = 1024
"""Different draws of a length."""
WIDE_STOCK = (
    "这是排练用的文字，没有意义，只求长短与真实的回答相近。"
    "先说明题意，再列出条件，然后逐步推导，最后给出结论并检查一遍。"
    "凡是用到的材料都写在这里，读起来像一段普通的解释，却不回答任何问题。"
) * 32
NARROW_STOCK = " These words are for a rehearsal: only their number matters, nothing else." * 32

Rate = tuple[float, float]
"""Tokens of a wide character and of a narrow one, as `data` counts them: (UTF-8 bytes - characters) / 2
are wide."""


class Length(Struct, frozen=True):
    """How long an answer is expected to be: tokens that are billed, and characters that are shown."""

    tokens: float
    wide: float
    narrow: float


class Script(Struct, frozen=True):
    """What the models of one provider are expected to say, by the provider's ids of them."""

    answers: Mapping[str, Mapping[str, Length]]
    """Of a model, by the text of a turn."""
    verdicts: Mapping[str, float]
    """Of a judge, in tokens."""
    rates: Mapping[str, Rate]
    overhead: int
    """Tokens around a message."""


class Understudy:
    """Speaks for every model of one provider. What is no question of its script asks for a verdict."""

    def __init__(self, seed: int, script: Script, rubrics: Sequence[Rubric]) -> None:
        self.seed = seed
        self._script = script
        self._verdicts = [(_literals(rubric), _verdict_of(rubric)) for rubric in rubrics]
        self._starts: dict[str, int] = {}
        self._asked: Counter[int] = Counter()

    def reply(self, chat: Chat, manner: Manner = "plain") -> Spoken:
        """An answer to a known question, else a verdict."""
        texts = [message.text for message in chat.messages]
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        prompt, asked, luck = self._tokens(chat, texts, raw), texts[-1], self._luck(chat, raw[-1])
        expected = self._script.answers.get(chat.model, {}).get(asked)
        if expected is not None:
            return _answer(chat, prompt, expected, luck, manner)
        length = self._script.verdicts[chat.model] * _stretches(VERDICT_SIGMA)[luck % STEPS]
        spent = max(int(min(length, _limit(chat))), 1)
        text = f"（{chat.model} 的替身，不是真实的评价。）{self._verdict(asked)}"
        return Spoken(text, FINISH.get(manner, "stop"), prompt, spent)

    def _luck(self, chat: Chat, asked: bytes) -> int:
        """32 bits."""
        words = zlib.crc32(asked, self._start(chat.model))
        self._asked[words] += 1
        return zlib.crc32(b"%d %d" % (chat.seed or 0, self._asked[words]), words)

    def _verdict(self, prompt: str) -> str:
        """As the rubric of this prompt has it."""
        if len(self._verdicts) == 1:
            return self._verdicts[0][1]
        fitting = (words for parts, words in self._verdicts if all(p in prompt for p in parts))
        return next(fitting, "")

    def _tokens(self, chat: Chat, texts: list[str], raw: list[bytes]) -> int:
        """Of the whole prompt."""
        characters = sum(map(len, texts))
        wide = (sum(map(len, raw)) - characters) / 2
        wide_rate, narrow_rate = self._script.rates[chat.model]
        around = self._script.overhead * len(texts)
        return int(wide_rate * wide + narrow_rate * (characters - wide) + around)

    def _start(self, model: str) -> int:
        """Where the checksum begins that is our chance: elsewhere for each seed and model."""
        start = self._starts.get(model)
        if start is None:
            start = self._starts[model] = zlib.crc32(f"{self.seed} {model}".encode())
        return start


def _answer(chat: Chat, prompt: int, expected: Length, luck: int, manner: Manner) -> Spoken:
    stretch = _stretches(ANSWER_SIGMA)[luck % STEPS]
    length, finish = expected.tokens * stretch, FINISH.get(manner, "stop")
    limit = _limit(chat)
    if length > limit:
        length, finish, stretch = limit, "length", stretch * limit / length
    head = f"〔simulated {chat.model} {luck:08x} {chat.seed or 0}〕"
    narrow = _cut(NARROW_STOCK, expected.narrow * stretch - len(head))
    text = head + _cut(WIDE_STOCK, expected.wide * stretch) + narrow
    return Spoken(text, finish, prompt, max(int(length), 1))


def _limit(chat: Chat) -> float:
    return chat.max_completion_tokens or chat.max_tokens or math.inf


def _literals(rubric: Rubric) -> tuple[str, ...]:
    """The words of a template that stand in every prompt made of it."""
    return tuple(text for text, *_ in string.Formatter().parse(rubric.template) if text.strip())


def _verdict_of(rubric: Rubric) -> str:
    """The middle of the scale, or a tie if there is one."""
    if rubric.labels:
        ties = (label for label, choice in rubric.labels.items() if choice == "tie")
        return next(ties, next(iter(rubric.labels)))
    middle = math.ceil((rubric.low + rubric.high) / 2)
    return f"[[{middle}]]" if rubric.bracketed else f"{{'{rubric.score_key}': {middle}}}"


@cache
def _stretches(sigma: float) -> tuple[float, ...]:
    """Evenly spaced quantiles of a log-normal with mean 1."""
    shares = ((step + 0.5) / STEPS for step in range(STEPS))
    return tuple(math.exp(sigma * normal(share) - sigma**2 / 2) for share in shares)


def _cut(stock: str, length: float) -> str:
    """So many characters of a stock text, however many."""
    size = max(round(length), 0)
    return (stock if size <= len(stock) else stock * (size // len(stock) + 1))[:size]
