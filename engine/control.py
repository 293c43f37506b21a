"""Steering a running sweep from a second terminal: a Unix socket in the run's folder.

Wire format: one JSON object a line in each direction. A request has `op`:

    {"op": "status"}                                       the Progress of this moment, every account's
                                                           limits, and what the trials wait for
    {"op": "pause", "account": "openai"}                   nothing more goes out; "" means all accounts
    {"op": "resume", "account": "openai"}
    {"op": "limit", "account": "openai", "name": "rpm", "value": 300}

and the reply has `ok` and either `result` or `error`. The socket belongs to its owner alone (0600) and
goes away with the run. Its path is given relative to the folder, since a socket's address holds
108 bytes and a run's folder may be deeper than that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from data.codec import Undecodable, decode, encode
from data.errors import AlignsweepError, ConfigError

SOCKET = "ctl.sock"
MAX_LINE = 64 * 1024
"""Bytes of a request; a reply may be longer."""
REPLY_S = 5.0
Handler = Callable[[Mapping[str, Any]], Any]
"""Carries out one request; raises AlignsweepError with what is wrong with it."""


@asynccontextmanager
async def control_socket(folder: Path, handle: Handler) -> AsyncIterator[None]:
    """Listen in `folder` as long as the block runs. Where sockets cannot be had, there is none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                writer.write(_reply(line, handle) + b"\n")
                await writer.drain()
        writer.close()

    path, unborn = folder / SOCKET, folder / f"{SOCKET}.new"
    with suppress(FileNotFoundError):
        path.unlink()
    try:
        with _inside(folder, unborn.name) as place:
            server = await asyncio.start_unix_server(serve, place, limit=MAX_LINE)
        unborn.chmod(0o600)
        unborn.rename(path)  # nobody ever sees it with another mode
    except (OSError, NotImplementedError, AttributeError):
        yield
        return
    try:
        yield
    finally:
        server.close()
        with suppress(FileNotFoundError):
            path.unlink()


async def ask(folder: Path, request: Mapping[str, Any]) -> Any:
    """Send one request to the run in `folder`. Raises ConfigError if none is at work, or if it refuses."""
    try:
        with _inside(folder) as place:
            opening = asyncio.open_unix_connection(place, limit=1 << 24)
            reader, writer = await asyncio.wait_for(opening, REPLY_S)
        writer.write(encode(request) + b"\n")
        line = await asyncio.wait_for(reader.readline(), REPLY_S)
        writer.close()
        reply = decode(line)
    except (FileNotFoundError, ConnectionRefusedError):
        raise ConfigError(
            f"no run is at work in {folder}",
            how="`alignsweep status` reads what it has left behind",
        ) from None
    except (OSError, TimeoutError, Undecodable) as error:
        raise ConfigError(
            f"the run in {folder} does not answer ({type(error).__name__})",
            how="`alignsweep status` reads what it has left behind",
        ) from None
    if not isinstance(reply, dict) or not reply.get("ok"):
        raise ConfigError(str(reply.get("error") if isinstance(reply, dict) else "no reply"))
    return reply.get("result")


def _reply(line: bytes, handle: Handler) -> bytes:
    try:
        request = decode(line)
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            raise ConfigError('a request is an object with an "op"')
        return encode({"ok": True, "result": handle(request)})
    except (AlignsweepError, Undecodable) as error:
        return encode({"ok": False, "error": str(error)})


class _inside:
    """A short address of the socket in `folder`, by way of an open descriptor of the folder."""

    def __init__(self, folder: Path, name: str = SOCKET) -> None:
        self._fd, self._name = os.open(folder, os.O_RDONLY), name

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._fd}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
