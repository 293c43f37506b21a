"""Which servers keep a connection after a stream: found out by watching one, never by losing a call.

Some servers (llama.cpp's among them) close a connection after a stream and do not say so; a request that
goes out on it just then is lost, and nobody knows whether it is billed. TLS endpoints are big and behave;
for plain http the first stream to each server goes over a connection that nobody else may use, which is
watched for `WATCH_S` after the stream's end. Until then, and for good where it was closed, every stream
asks for its connection to be closed. A server that is seen to drop one later is not trusted again.
"""

from __future__ import annotations

import asyncio
from typing import Literal

WATCH_S = 1.0
Manner = Literal["keep", "close", "watch"]
"""How the next stream goes: on a shared connection, on one that ends with it, on one that is watched."""


class Habits:
    """What is known of each server, by its address."""

    def __init__(self, watch_s: float = WATCH_S) -> None:
        self._watch_s = watch_s
        self._known: dict[str, Manner] = {}

    def next(self, server: str) -> Manner:
        """How to ask for the next stream. After `watch`, say how it went: `ended` or `unclear`."""
        manner = self._known.get(server, "watch")
        if manner == "watch":
            self._known[server] = "close"
        return manner

    def ended(self, server: str, line: asyncio.BaseTransport) -> None:
        """The watched stream is over; `line` is its connection, which nobody uses now."""
        loop = asyncio.get_running_loop()
        loop.call_later(self._watch_s, self._look, server, line)

    def unclear(self, server: str) -> None:
        """The watched stream came to nothing: the next one is watched."""
        self._known.pop(server, None)

    def dropped(self, server: str) -> None:
        """A connection that was kept was closed under a request."""
        self._known[server] = "close"

    def _look(self, server: str, line: asyncio.BaseTransport) -> None:
        if not line.is_closing():
            self._known[server] = "keep"
