"""How many tokens a text will be, without a tokenizer: for admission and forecasts, not for billing.

    tokens ≈ a · CJK characters + b · other characters

The number of CJK characters is taken as (UTF-8 bytes - characters) / 2, which is exact for text of ASCII
and three-byte characters and costs a microsecond. Coefficients: least squares over 764 questions and
references of Chinese evaluation data for three public vocabularies; total error 1-3 %, single texts
-34..+23 %. The first vocabulary is the largest, so it stands in where the model is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from data.schema import Struct

CJK, OTHER = 1.229, 0.312
"""cl100k: GPT-4, GPT-3.5."""
BY_FAMILY: Mapping[str, tuple[float, float]] = {
    "gpt-4o": (0.802, 0.348),
    "gpt-5": (0.802, 0.348),
    "o1": (0.802, 0.348),
    "o3": (0.802, 0.348),
    "qwen": (0.655, 0.395),
}
"""Model id prefix -> (CJK, other)."""
LARGE_FAMILIES = ("gpt-4", "gpt-3.5")
"""Those whose vocabulary is the first one for certain; every other model's is unknown."""
MIDDLE, LEAST = (0.802, 0.348), (0.655, 0.312)
"""What forecasts take for an unknown vocabulary: the middle one of the three, and the least of each."""
SIMULATED = (0.7, 0.27)
"""How a simulated provider counts (`providers/persona.py`)."""
KNOWN_LOW = 0.97
"""A known vocabulary is met within 3 % in total."""
LEAST_OVERHEAD = 1
CAREFUL = 6.0
"""Mean deviations above the mean that are reserved for a sum. More than a normal sum would need: the
long answers are in flight for longer, so what is in flight is longer than the mean."""
OVERHEAD = 8
"""Tokens around a message: roles and separators."""


class Tokens(Struct, frozen=True):
    """An estimate of one call, in tokens."""

    input: int
    output: int


class Size(Struct, frozen=True):
    """A text without its words: all that its number of tokens depends on here."""

    cjk: float = 0.0
    other: float = 0.0

    def __add__(self, more: Size) -> Size:
        return Size(self.cjk + more.cjk, self.other + more.other)

    def __mul__(self, factor: float) -> Size:
        return Size(self.cjk * factor, self.other * factor)

    @property
    def characters(self) -> float:
        """Of both kinds."""
        return self.cjk + self.other


def size_of(text: str) -> Size:
    """The size of a text, CJK counted as `tokens_of` does. Half surrogates count as three bytes."""
    cjk = (len(text.encode("utf-8", "surrogatepass")) - len(text)) / 2
    return Size(cjk, len(text) - cjk)


class Vocabulary(Struct, frozen=True):
    """What a tokenizer makes of a text: probably, and at the least. (CJK, other) each."""

    likely: tuple[float, float]
    least: tuple[float, float]

    def tokens(self, size: Size) -> float:
        """Probably so many tokens, without what stands around a message."""
        return self.likely[0] * size.cjk + self.likely[1] * size.other

    def least_tokens(self, size: Size) -> float:
        """Hardly fewer than so many."""
        return self.least[0] * size.cjk + self.least[1] * size.other


def vocabulary_of(model: str, *, simulated: bool = False) -> Vocabulary:
    """The vocabulary of a model by the provider's id of it; `vendor/model` is known by its last part."""
    if simulated:
        return Vocabulary(SIMULATED, SIMULATED)
    name = model.lower().rpartition("/")[2]
    for prefix, pair in {**BY_FAMILY, **dict.fromkeys(LARGE_FAMILIES, (CJK, OTHER))}.items():
        if name.startswith(prefix):
            return Vocabulary(pair, (KNOWN_LOW * pair[0], KNOWN_LOW * pair[1]))
    return Vocabulary(MIDDLE, LEAST)


def tokens_of(characters: int, utf8_bytes: int, model: str = "") -> int:
    """Estimated tokens of a text of so many characters and UTF-8 bytes."""
    cjk = max(0, utf8_bytes - characters) / 2
    for prefix, (per_cjk, per_other) in BY_FAMILY.items():
        if model.lower().startswith(prefix):
            return round(per_cjk * cjk + per_other * max(0.0, characters - cjk)) + OVERHEAD
    return round(CJK * cjk + OTHER * max(0.0, characters - cjk)) + OVERHEAD


class InputGuess:
    """Real ÷ estimated prompt tokens of a model or judge: what a foreign tokenizer makes of its texts."""

    def __init__(self) -> None:
        self._factor, self._seen = 1.0, 0

    def learn(self, estimated: int, real: int) -> None:
        """One more pair: an exponential mean of about the last 50."""
        if estimated <= 0 or real <= 0:
            return
        self._seen += 1
        weight = max(1 / self._seen, 1 / 50)
        self._factor += weight * (real / estimated - self._factor)

    def corrected(self, estimated: int) -> int:
        """What a prompt will really take."""
        return max(1, round(estimated * self._factor))

    def least(self, estimated: int) -> int:
        """What it takes at least: before the first real figure, half, as with the thriftiest tokenizer."""
        return self.corrected(estimated) if self._seen else max(1, estimated // 2)


class OutputGuess:
    """What a model's answers (or a judge's verdicts) will cost in output tokens, learned as they come."""

    def __init__(self, start: int, cap: int | None) -> None:
        self._mean, self._deviation, self._seen = float(start), float(start) / 4, 0
        self._cap = cap

    def learn(self, output_tokens: int) -> None:
        """One more real figure: an exponential mean of about the last 50."""
        self._seen += 1
        weight = max(1 / self._seen, 1 / 50)
        self._deviation += weight * (abs(output_tokens - self._mean) - self._deviation)
        self._mean += weight * (output_tokens - self._mean)

    @property
    def likely(self) -> int:
        """What the next one will take."""
        return self._capped(self._mean)

    @property
    def least(self) -> int:
        """What the next one takes at least, as far as is known: what they took so far."""
        return self.likely if self._seen else 1

    def careful(self, among: int = 1) -> int:
        """What to reserve for one of `among` calls in flight, so that together they hardly take more.

        The mean and a multiple of the mean deviation ÷ √among, since single errors cancel out as their
        number grows; twice the mean at most.
        """
        margin = CAREFUL * self._deviation / math.sqrt(max(among, 1))
        return self._capped(self._mean + min(margin, self._mean))

    def _capped(self, value: float) -> int:
        guess = max(1, round(value))
        return guess if self._cap is None else min(guess, self._cap)
