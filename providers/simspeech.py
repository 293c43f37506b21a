"""What a dialect's own server does, for the simulator: the words that the four of them share. Pure.

Each turns a request into a chat completion's (whose keys stand in one order, so that the same question is
the same bytes in every dialect), and a completion into its own reply, whole or as events. The shapes are
those that the API references show; each reply says `simulated: true` where a codec looks for it. They stand
in `simopenai.py`, `simanthropic.py` and `simgemini.py`; `simgateway.py` chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from data.schema import Struct
from providers.simfaults import UNPAID

Object: TypeAlias = Mapping[str, Any]
Events: TypeAlias = Iterator[tuple[str, Object]]
"""(event name, data); an unnamed event has the name ""."""


class Completion(Struct, frozen=True):
    """What the simulator answered."""

    id: str
    model: str
    text: str
    finish: str
    """stop, length or content_filter."""
    asked: int
    said: int
    """Tokens of the prompt and of the answer."""
    fingerprint: str

    @property
    def chat_usage(self) -> Object:
        return {
            "prompt_tokens": self.asked,
            "completion_tokens": self.said,
            "total_tokens": self.asked + self.said,
        }


class Trouble(Struct, frozen=True):
    """An error, as the simulator says it."""

    status: int
    message: str
    kind: str
    code: str
    retry_after: str = ""
    """Seconds; empty: it does not say."""

    @property
    def unpaid(self) -> bool:
        """Is it about money?"""
        return self.code == UNPAID


class Speech(Protocol):
    """One dialect, seen from the server."""

    @property
    def opening(self) -> int:
        """Events of a stream before the first piece of the text."""

    def chat(self, path: str, body: Object) -> dict[str, Any]:
        """The request as that of a chat completion. Anything may be missing in it."""

    def whole(self, answer: Completion) -> Object:
        """The reply."""

    def events(self, answer: Completion, pieces: Sequence[str]) -> Events:
        """The reply as a stream; one event for each piece of the text, some before and after them."""

    def error(self, trouble: Trouble) -> Object:
        """The body of an error."""

    def error_event(self, trouble: Trouble) -> tuple[str, Object]:
        """The same within a stream."""


def request(model: object, messages: object, fields: Object) -> dict[str, Any]:
    """A chat completion's request; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {"model": model, "messages": messages, **given}
