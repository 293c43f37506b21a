"""The hostile server in a thread of its own, for programs that are run as a user runs them. For tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from providers.hostile.server import HostileServer, House, hostile_server
from providers.hostile.stage import Play


@contextmanager
def hosting(plays: dict[str, Play], *, model: str = "") -> Iterator[HostileServer]:
    """A server with a house for each play, which is played to `model` (default: of its name)."""
    ready: Future[tuple[HostileServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        leave = asyncio.Event()
        async with hostile_server() as server:
            for name, play in plays.items():
                server.open_house(name, House(play, model or name, "always"))
            ready.set_result((server, asyncio.get_running_loop(), leave))
            await leave.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    server, loop, leave = ready.result(timeout=20)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(timeout=20)


def sweep(
    url: str,
    models: dict[str, str],
    *,
    judge: str = "",
    top: str = "",
    provider: str = "",
    party: str = "",
) -> str:
    """A sweep file: `models` by name, each with its house; the judge is asked at the house `judge`.

    `url` has HOUSE where the house stands.
    """
    houses = dict.fromkeys([*models.values(), *([judge] if judge else [])])
    lines = [f'name = "s"\nbenchmark = "q.jsonl"\n{top}']
    for house in houses:
        lines.append(
            f'[providers.{house}]\napi = "openai-chat"\nbase_url = "{url}"'.replace("HOUSE", house)
        )
        lines.append(provider)
    for name, house in models.items():
        lines.append(
            f'[[models]]\nname = "{name}"\nprovider = "{house}"\nmodel = "{name}"\n{party}'
        )
    if judge:
        lines.append(f'[[judges]]\nname = "judge"\nprovider = "{judge}"\nmodel = "judge"\n{party}')
    return "\n".join(lines)


def questions(count: int) -> str:
    """So many, as JSON lines."""
    return "".join(f'{{"id": {n}, "question": "问题 QST{n}QST？"}}\n' for n in range(1, count + 1))
