"""How many tokens a party's prompts are: the requests themselves, measured. Pure.

A request whose words are all known is measured as it will be sent. One that waits for an answer is
rendered without it, measured, and the answer is added as long as it is expected to be. What prompts of
this party really took, where any came back, corrects the estimate.
"""

from __future__ import annotations

from data.prices import OVERHEAD_TOKENS
from data.schema import Request, Struct
from engine.estimate import KNOWN_LOW, LEAST_OVERHEAD, OVERHEAD, Size, Vocabulary, size_of
from engine.expectation import ENOUGH
from engine.workload import Range


class Prompt(Struct, frozen=True):
    """A request, measured."""

    size: Size
    messages: int
    body_bytes: int


class Missing(Struct, frozen=True):
    """An answer that a prompt waits for: its text, at the least and probably, and max_tokens."""

    low: Size
    likely: Size
    cap: int | None


def prompt_of(request: Request, body: bytes) -> Prompt:
    """`body`: as it goes over the wire."""
    size = sum((size_of(message.content) for message in request.messages), Size())
    return Prompt(size, len(request.messages), len(body))


class Gauge:
    """Adds up the prompts of one party."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._sum = Range()
        self._short = 0.0
        """As `likely`, with the answers that are missing at their shortest."""
        self._estimated = self._real = 0.0
        self._learned = 0
        self.largest = 0
        """The most that a single prompt may take; what is unbounded left out."""

    def add(self, prompt: Prompt, missing: tuple[Missing, ...] = ()) -> None:
        """One prompt that is to be sent."""
        short = likely = prompt.size
        worst: float | None = prompt.body_bytes + OVERHEAD_TOKENS
        for answer in missing:
            short, likely = short + answer.low, likely + answer.likely
            worst = None if worst is None or answer.cap is None else worst + answer.cap
        tokens, around = self._vocabulary, OVERHEAD * prompt.messages
        least = tokens.least_tokens(short) + LEAST_OVERHEAD * prompt.messages
        self._sum += Range(least, tokens.tokens(likely) + around, worst)
        self._short += tokens.tokens(short) + around
        self.largest = max(self.largest, int(worst or 0))

    def learn(self, prompt: Prompt, input_tokens: int) -> None:
        """What a prompt really took."""
        if input_tokens > 0:
            around = OVERHEAD * prompt.messages
            self._estimated += self._vocabulary.tokens(prompt.size) + around
            self._real += input_tokens
            self._learned += 1

    @property
    def input(self) -> Range:
        """Tokens of all prompts that were added."""
        if self._learned < ENOUGH:
            return self._sum
        factor = self._real / self._estimated
        return Range(KNOWN_LOW * factor * self._short, factor * self._sum.likely, self._sum.worst)
