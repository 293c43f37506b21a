"""A chat server so quick that it is not what a benchmark measures: real HTTP/1.1, canned replies.

    POST …/chat/completions   an answer, or a verdict for a model whose name begins with `judge`
    GET  /seen                what has been asked since the last look

It parses no JSON and keeps connections open. Each answer carries a number of its own, so that no two
judge requests are the same; texts have the length that answers and verdicts in Chinese usually have.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

from data import codec
from data.schema import Struct
from engine.runtime import run

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_SENTENCE = "与参考答案相比，回答覆盖了大部分要点，但推导略去了一步，结论的由来没有解释清楚。"
_DIMENSIONS = "事实正确性 满足用户需求 清晰度 完备性 逻辑连贯性 创造性 丰富度 公平与可负责程度"
_SCORES = ", ".join(f'\\"{name}\\": 7' for name in [*_DIMENSIONS.split(), "综合得分"])
ANSWER = "这是第 %08d 个回答。" + _SENTENCE * 10
VERDICT = _SENTENCE * 9 + "（%08d）\\n{" + _SCORES + "}"
_BODY = (
    '{"id":"canned-%%08d","object":"chat.completion","created":1760000000,"model":"canned",'
    '"simulated":true,"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":900,"completion_tokens":420,'
    '"total_tokens":1320}}'
)


class Seen(Struct, frozen=True):
    """Requests since the last look, when the first came and the last reply left, and how many at once.

    Times are seconds of the machine's monotonic clock.
    """

    requests: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    most_at_once: int = 0

    @property
    def per_second(self) -> float:
        """Requests per second from the first request to the last reply."""
        return self.requests / (self.last_s - self.first_s)


class Desk:
    """What all connections share: the replies, and the counts."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self._answer, self._verdict = (
            _reply((_BODY % text).encode()) for text in (ANSWER, VERDICT)
        )
        self._total = 0
        self._now = asyncio.get_running_loop().time
        self._open = 0
        self._forget()

    def _forget(self) -> None:
        self._requests = self._most = 0
        self._first = self._last = 0.0

    def asked(self, body: bytes) -> bytes:
        """Count a request in; the bytes of its reply."""
        if not self._requests:
            self._first = self._now()
        self._requests += 1
        self._total += 1
        self._open += 1
        self._most = max(self._most, self._open)
        template = self._verdict if b'"model":"judge' in body[:64] else self._answer
        return template % (self._total, self._total)

    def answered(self) -> None:
        """A reply left."""
        self._open -= 1
        self._last = self._now()

    def seen(self) -> bytes:
        """The counts as a reply; they begin anew."""
        seen = Seen(self._requests, self._first, self._last, self._most)
        self._forget()
        return _reply(codec.encode(seen))


class Connection(asyncio.Protocol):
    """One client's connection: a request, a reply, again and again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while (head_end := self._buffer.find(_END)) >= 0:
            length = _LENGTH.search(self._buffer, 0, head_end)
            end = head_end + len(_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._serve(request, head_end + len(_END))

    def _serve(self, request: bytes, body_at: int) -> None:
        if request.startswith(b"GET"):
            self._transport.write(self._desk.seen())
            return
        reply = self._desk.asked(request[body_at:])
        if self._desk.latency_s:
            asyncio.get_running_loop().call_later(self._desk.latency_s, self._send, reply)
        else:
            self._send(reply)

    def _send(self, reply: bytes) -> None:
        self._desk.answered()
        self._transport.write(reply)


def main() -> None:
    """Serve on a free port until killed; its address is the only line printed."""
    latency_s = float(sys.argv[1]) / 1000

    async def serve() -> None:
        desk = Desk(latency_s)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(desk), "127.0.0.1", 0, backlog=4096
        )
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        await server.serve_forever()

    run(serve)


def _reply(body: bytes) -> bytes:
    """The whole reply; each `%08d` in it is to become eight digits."""
    length = len(body) + body.count(b"%08d") * (8 - len(b"%08d"))
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: canned\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    ) + body
