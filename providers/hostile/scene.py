"""A scene: what is played, and what a client must make of it.

`meets` is the class of `data/errors.py` as which the client has to read it, or one of four outcomes:

    answered     an answer like any other, kept to the letter
    truncated    an answer that was cut for length
    refused      a content filter's refusal: final, not an error
    unreadable   a judge's reply without a verdict: asked again, and never a score
    judged       a judge's reply whose verdict is `score`, whatever else it says

From that follows, by how often it is played, how a trial has to end (`engine/selftest/expected.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data.schema import Struct
from providers.hostile.server import MODES, Mode
from providers.hostile.stage import Pairs, Play, Stage


class Scene(Struct, frozen=True):
    """One thing that a server may do. Names are those of docs/selftest.md."""

    name: str
    play: Play
    meets: str
    says: str = ""
    """What must happen, in words."""
    model: str = "target"
    """Who plays: the model that answers (`target`), or the one that judges (`judge`)."""
    modes: tuple[Mode, ...] = MODES
    timeout_s: float = 30.0
    """Deadline that the client is given for one exchange."""
    url: str = ""
    """An address of its own, with PORT for the server's; empty: the house's."""
    heavy: bool = False
    """Does it keep a processor busy, so that few of the kind should be played at once?"""
    score: float | None = None
    """What a judge's reply is worth, if it is to be read."""


def page(status: int, body: bytes, *headers: tuple[str, str]) -> Play:
    """A play that sends this, whole, whoever asks."""

    async def play(stage: Stage) -> bool:
        return await stage.send(body, status, headers)

    return play


def told(
    status: int, body: bytes, wait_s: float, headers: Callable[[float], Pairs] | Pairs = ()
) -> Play:
    """The same with a time to come back, which the ledger notes."""

    async def play(stage: Stage) -> bool:
        stage.exchange.told_s = wait_s
        pairs = headers(wait_s) if callable(headers) else headers
        return await stage.send(body, status, pairs)

    return play


def saying(text: str, **changes: Any) -> Play:
    """A sound completion that says this."""

    async def play(stage: Stage) -> bool:
        return await stage.send(stage.completion(text, **changes))

    return play
