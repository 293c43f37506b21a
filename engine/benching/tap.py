"""A transport that notes when each exchange began and ended, and passes everything on unchanged."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from data.schema import Response, Struct
from engine.benching.durations import ARRIVAL_UNIT_S
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

Marks = tuple[tuple[int, float], ...]


class Exchange(Struct, frozen=True):
    """One exchange: seconds of the loop's clock, HTTP status (0: no reply), arrivals of a stream."""

    sent_s: float
    done_s: float
    status: int = 0
    marks: Marks = ()


class Tap:
    """Stands between an account and its transport. A request that is out is known by its identity."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._seen: dict[int, Exchange] = {}

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            reply = await self._inner.send(request, endpoint)
        except BaseException:
            self._seen[id(request)] = Exchange(started, clock())
            raise
        ended = started + reply.latency_s
        self._seen[id(request)] = Exchange(started, ended, reply.status, reply.marks)
        return reply

    def take(self, request: HttpRequest) -> Exchange | None:
        """What was noted of a request's last exchange, once."""
        return self._seen.pop(id(request), None)

    async def aclose(self) -> None:
        """The inner transport belongs to whoever made it."""


def arrivals(marks: Marks, response: Response) -> tuple[int, ...]:
    """Gaps between reads of the body from its first token to its last, in units of `Timing.arrivals`."""
    first, last = response.ttft_s, response.last_token_s
    if first is None or last is None:
        return ()
    times = [at for _, at in marks if first <= at <= last]
    return tuple(round((b - a) / ARRIVAL_UNIT_S) for a, b in pairwise(times))
