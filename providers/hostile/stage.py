"""The stage on which one request is played to: what was asked, and the pen to answer with.

A play writes bytes, as sound or as broken as it likes: no HTTP library stands between it and the socket,
since none would send what is sent here. A play returns True if the connection may be used again.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from data import codec
from data.schema import Usage
from providers.hostile.ledger import Exchange

Pairs: TypeAlias = Sequence[tuple[str, str]]
REASONS: Mapping[int, str] = {200: "OK", 429: "Too Many Requests", 500: "Internal Server Error"}
FLOOD = 64 * 1024 * 1024
"""Bytes of what is called endless: twice what a client may take."""
HANG_S = 120.0
"""How long a reply that never comes is held for a client that never leaves."""


class Stage:
    """One request and the connection that it came on."""

    def __init__(
        self, exchange: Exchange, writer: asyncio.StreamWriter, gone: asyncio.Event, elsewhere: str
    ) -> None:
        self.exchange = exchange
        self.elsewhere = elsewhere
        """An address of another host, to lure clients to."""
        self._writer, self._gone = writer, gone
        self._clock = asyncio.get_running_loop().time

    # --- writing -------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """These bytes. Raises ConnectionError once the client has left."""
        if self.exchange.spoke_s is None:
            self.exchange.spoke_s = self._clock()
        if self._gone.is_set():
            raise ConnectionResetError
        self._writer.write(data)
        await self._writer.drain()
        self.exchange.sent += len(data)

    async def send(self, body: bytes, status: int = 200, headers: Pairs = ()) -> bool:
        """A whole, sound reply."""
        await self.write(head(status, [*headers, ("Content-Length", str(len(body)))]) + body)
        return True

    async def flood(self, piece: bytes) -> None:
        """This over and over: until the client leaves, or `FLOOD` bytes are out and it is waited for."""
        while self.exchange.sent < FLOOD:
            await self.write(piece)
            await asyncio.sleep(0)
        await self.wait()

    async def wait(self, seconds: float = HANG_S) -> None:
        """So long, or until the client has left."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            return

    def reset(self) -> bool:
        """Close with RST instead of FIN."""
        transport = self._writer.transport
        connection = transport.get_extra_info("socket")
        if connection is not None:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        return False

    # --- what sound replies say ----------------------------------------------------------------

    def completion(self, text: str | None, *, tells: bool = True, **changes: Any) -> bytes:
        """A chat completion that says this. `changes` replace members of the body, or of its choice
        (`finish_reason`, `message`). With `tells`, the ledger notes what can be read in it."""
        words = self.exchange.words
        usage = Usage(7 + len(words) // 4, 1 + len(text or "") // 4)
        message = changes.pop("message", {"role": "assistant", "content": text})
        finish = changes.pop("finish_reason", "stop")
        body = {
            "id": f"req-{self.exchange.digest.hex()}",
            "object": "chat.completion",
            "model": self.exchange.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
            },
            **changes,
        }
        if tells:
            self.exchange.usage = usage if "usage" not in changes else self.exchange.usage
            self.exchange.said = text
        return codec.encode({name: value for name, value in body.items() if value is not ...})

    def sound_text(self) -> str:
        """What is said where nothing is played: it belongs to this body and to no other."""
        seal = self.exchange.digest.hex()
        if self.exchange.model == "judge":
            return f"评语 {seal}\n{{'综合得分': {score_of(self.exchange)}}}"
        return f"{self.exchange.model} 的回答 {seal}"


Play: TypeAlias = Callable[[Stage], Awaitable[bool]]


def score_of(exchange: Exchange) -> int:
    """What a sound judge gives to this body: 1 to 10."""
    return 1 + exchange.digest[0] % 10


def head(status: int, headers: Pairs) -> bytes:
    """A status line and headers, to the byte as they are given."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}"]
    if not any(name.lower() == "content-type" for name, _ in headers):
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def error(message: str, code: str = "", kind: str = "") -> bytes:
    """An error as the chat dialect writes it."""
    return codec.encode({"error": {"message": message, "type": kind or "error", "code": code}})
