"""What a session would send, as figures: calls and tokens per model and judge. Pure.

Tokens come in three figures, each a sum over the calls that are to be sent:

    low      hardly fewer      likely   the best guess      worst    no call can take more

`worst` is what the budget reserves (one token a byte of the request, and max_tokens), so it is None
where nothing bounds an answer. One reply a trial is counted: re-asks and retries come on top.
"""

from __future__ import annotations

from typing import Literal

from data.schema import ProviderSpec, Struct

WorkStage = Literal["answers", "judgments"]
Figure = Literal["low", "likely"]
Basis = Literal["seen", "references", "default"]
"""Where the length of replies comes from: replies that came already, or the benchmark, or a constant."""


class Range(Struct, frozen=True):
    """Three figures for one amount. `worst` None: there is no bound."""

    low: float = 0
    likely: float = 0
    worst: float | None = 0

    def __add__(self, more: Range) -> Range:
        known = self.worst is not None and more.worst is not None
        worst = (self.worst or 0) + (more.worst or 0) if known else None
        return Range(self.low + more.low, self.likely + more.likely, worst)

    def scaled(self, low: float, likely: float) -> Range:
        """With these shares of the first two figures."""
        return Range(self.low * low, self.likely * likely, self.worst)

    def __mul__(self, times: int) -> Range:
        worst = None if self.worst is None else self.worst * times
        return Range(self.low * times, self.likely * times, worst)

    def at(self, figure: Figure) -> float:
        """One of the two figures that are always known."""
        return self.low if figure == "low" else self.likely

    def whole(self) -> Range:
        """In whole units: what is low rounded down, what is worst up."""
        worst = None if self.worst is None else int(-(-self.worst // 1))
        return Range(int(self.low), round(self.likely), worst)


class Share(Struct, frozen=True):
    """What one provider would see of one model or judge."""

    provider: str
    party: str
    stage: WorkStage
    done: int
    """Final in this run already."""
    cached: int
    """In the response cache, or the same words as another trial's: nothing is sent for them."""
    to_send: int
    model: str = ""
    """As the provider calls it."""
    input: Range = Range()
    """Tokens of all prompts."""
    output: Range = Range()
    """Tokens of all replies, reasoning included."""
    largest_input: int = 0
    """The most that a single prompt may take."""
    seen: int = 0
    """Replies that the lengths were learned from; 0: `basis` says what they come from."""
    basis: Basis = "default"
    latency_s: Range = Range()
    """Mean time of a call, by the length of the replies; nothing bounds it."""
    latency_seen: bool = False
    """It was measured, not assumed."""
    turns: int = 1
    """Calls that follow one another in the longest conversation."""
    unsure: int = 0
    """Of `to_send`: calls that are only sent where cheaper judges leave a doubt."""
    doubt: float = 0.0
    """The share of these that will likely be sent, of 1."""
    doubt_seen: bool = False
    """That share is what this run has shown so far, not assumed."""

    def calls(self, figure: Figure) -> int:
        """How many will be sent; `to_send` is the most."""
        sure = self.to_send - self.unsure
        return sure if figure == "low" else sure + round(self.unsure * self.doubt)


class Workload(Struct, frozen=True):
    """What a session would send: a share per model and per judge, in the sweep file's order."""

    shares: tuple[Share, ...]

    @property
    def to_send(self) -> int:
        return sum(share.to_send for share in self.shares)

    @property
    def cached(self) -> int:
        return sum(share.cached for share in self.shares)

    @property
    def done(self) -> int:
        return sum(share.done for share in self.shares)

    @property
    def input(self) -> Range:
        """Tokens of all prompts."""
        return sum((share.input for share in self.shares), Range())

    @property
    def output(self) -> Range:
        """Tokens of all replies."""
        return sum((share.output for share in self.shares), Range())

    def of(self, provider: ProviderSpec) -> tuple[Share, ...]:
        """The shares that one provider would see."""
        return tuple(share for share in self.shares if share.provider == provider.name)
