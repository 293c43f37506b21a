"""The server itself: real sockets on 127.0.0.1, one address a house, and a ledger of all it hears.

    POST /HOUSE/v1/chat/completions     played to, if the house has a play for this model and turn
         /elsewhere/…                   nobody is ever sent here but by a redirect

A house is a run's own address, so many runs share one server and never each other's ledger. `open_house`
says which of a body's requests are played to: the first, all, or the first two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, TypeAlias

from data import codec
from data.schema import Struct
from providers.hostile.ledger import PROMPT, Exchange, Ledger
from providers.hostile.stage import Play, Stage, error, head

HOST = "127.0.0.1"
MOST_BODY = 32 * 1024 * 1024
ELSEWHERE = "elsewhere"
Mode: TypeAlias = Literal["first", "always", "twice"]
MODES: tuple[Mode, ...] = ("first", "always", "twice")
_PLAYED: dict[Mode, int] = {"first": 1, "twice": 2, "always": 1_000_000}


class House(Struct, frozen=True):
    """What is played at one address: to this model, in this mode."""

    play: Play
    model: str
    mode: Mode


class HostileServer:
    """Plays what its houses say, and soundly answers everybody else."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.port = 0
        self._houses: dict[str, House] = {}
        self._talks: set[asyncio.Task[None]] = set()

    def open_house(self, name: str, house: House) -> None:
        """From now on this is played under /NAME/."""
        self._houses[name] = house

    def url(self, house: str) -> str:
        """The base URL of a house."""
        return f"http://{HOST}:{self.port}/{house}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to its end."""
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def close(self) -> None:
        """Leave every connection."""
        for task in tuple(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == b"\x16":  # somebody begins TLS: plain words are the answer
            writer.write(head(400, [("Connection", "close")]))
            return False
        told = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        clock = asyncio.get_running_loop().time
        came_s = clock()
        body = await reader.readexactly(min(_length(told), MOST_BODY))
        line = told.partition("\r\n")[0]
        house, _, path = line.partition(" ")[2].partition(" ")[0].lstrip("/").partition("/")
        if house == ELSEWHERE:
            self.ledger.strangers.append(told)
        exchange = Exchange(house, came_s, told, body)
        exchange.model, exchange.words = _asked(body)
        self.ledger.enter(exchange)
        gone = asyncio.Event()
        watcher = asyncio.ensure_future(_watch(reader, gone))
        try:
            stage = Stage(exchange, writer, gone, f"http://localhost:{self.port}/{ELSEWHERE}/v1")
            stays = await self._answer(stage, f"/{path}".removeprefix("/v1"))
        finally:
            exchange.ended_s = clock()
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        return stays and not gone.is_set()

    async def _answer(self, stage: Stage, path: str) -> bool:
        if path.partition("?")[0] != PROMPT:
            return await stage.send(error("no such address here", "not_found"), 404)
        exchange = stage.exchange
        house = self._houses.get(exchange.house)
        if house and house.model == exchange.model and exchange.nth <= _PLAYED[house.mode]:
            exchange.hostile = True
            return await house.play(stage)
        return await stage.send(stage.completion(stage.sound_text()))


@asynccontextmanager
async def hostile_server() -> AsyncIterator[HostileServer]:
    """A server that listens until the block ends."""
    server = HostileServer()
    listener = await asyncio.start_server(server.serve, HOST, 0, backlog=1024)
    server.port = int(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        await server.close()


async def _watch(reader: asyncio.StreamReader, gone: asyncio.Event) -> None:
    """Notice that the client has left. (Nobody here sends a second request before the reply.)"""
    while not reader.at_eof():
        if reader.exception() is not None:
            break
        await asyncio.sleep(0.02)
    gone.set()


def _length(told: str) -> int:
    lines = told.lower().split("\r\n")
    found = (line.partition(":")[2] for line in lines if line.startswith("content-length:"))
    return int(next(found, "0"))


def _asked(body: bytes) -> tuple[str, str]:
    """The model that is asked, and all words of its messages."""
    try:
        asked = codec.decode(body)
        return str(asked["model"]), "\n".join(str(m["content"]) for m in asked["messages"])
    except (codec.Undecodable, KeyError, TypeError):
        return "", ""
