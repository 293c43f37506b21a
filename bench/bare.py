"""The least that could be done: one aiohttp session, N workers, orjson out and in. What we compare with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson


def main() -> None:
    """`url bodies workers`: post each line of the file `bodies`, on the standard event loop."""
    url, bodies, workers = sys.argv[1:]
    asyncio.run(post_all(url, Path(bodies), int(workers)))


async def post_all(url: str, bodies: Path, workers: int) -> None:
    """Send, wait, parse; `workers` at a time."""
    todo = iter([orjson.loads(line) for line in bodies.read_bytes().splitlines()])
    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(_work(session, url, todo) for _ in range(workers)))


async def _work(session: aiohttp.ClientSession, url: str, todo: Iterator[object]) -> None:
    for body in todo:
        async with session.post(
            f"{url}/chat/completions",
            data=orjson.dumps(body),
            headers={"Content-Type": "application/json"},
        ) as response:
            reply = orjson.loads(await response.read())
            assert reply["choices"][0]["message"]["content"]
