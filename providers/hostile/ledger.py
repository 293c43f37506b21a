"""What a hostile server writes down of every request: the other side's books, to hold ours against.

One `Exchange` a request, in the order in which they came; times are seconds of the server's loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from data.schema import Usage

PROMPT = "/chat/completions"


@dataclass(eq=False)
class Exchange:
    """One request as it was heard, and what became of it."""

    house: str
    """Under whose address it came: every run has a house of its own."""
    came_s: float
    head: str
    """Request line and headers, as they were sent."""
    body: bytes
    model: str = ""
    words: str = ""
    """All messages, joined."""
    nth: int = 1
    """How often this house has heard this body by now."""
    hostile: bool = False
    """Was it played to, or answered soundly?"""
    said: str | None = None
    """The text of a completion that was sent whole."""
    usage: Usage | None = None
    """Tokens that the reply tells in a way that can be read."""
    told_s: float = 0.0
    """How long the reply asks to wait."""
    sent: int = 0
    """Bytes of the reply that the client's side took."""
    spoke_s: float | None = None
    """When the first byte of the reply went out."""
    ended_s: float | None = None
    """When the reply was over, or the client had left."""

    @property
    def digest(self) -> bytes:
        """Which body it is."""
        return hashlib.blake2b(self.body, digest_size=12).digest()


@dataclass(eq=False)
class Ledger:
    """All exchanges of one server, by house."""

    houses: dict[str, list[Exchange]] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    """Request lines at addresses to which only a redirect leads."""

    def enter(self, exchange: Exchange) -> None:
        """Count it among those of its house."""
        own = self.houses.setdefault(exchange.house, [])
        exchange.nth = 1 + sum(other.body == exchange.body for other in own)
        own.append(exchange)

    def of(self, house: str, model: str = "") -> Sequence[Exchange]:
        """The exchanges of a house, of one of its models only if it is named."""
        own = self.houses.get(house, [])
        return [each for each in own if not model or each.model == model]


def by_body(exchanges: Sequence[Exchange]) -> Iterator[list[Exchange]]:
    """Those of one body together, in order."""
    bodies: dict[bytes, list[Exchange]] = {}
    for each in exchanges:
        bodies.setdefault(each.body, []).append(each)
    yield from bodies.values()


def most_in_flight(exchanges: Sequence[Exchange]) -> int:
    """How many were open at once. One that never ended counts to the end."""
    steps = [(each.came_s, 1) for each in exchanges]
    steps += [(each.ended_s, -1) for each in exchanges if each.ended_s is not None]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most
