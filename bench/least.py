"""A bare loop with what no sweep can leave out: the yardstick between `bench/bare.py` and the engine.

Each request is hashed and its intent written before it goes out; each reply is decoded, written with its
settled line, and stored in the response cache, with the engine's own functions. Nothing is rendered, no
verdict is read, and there are no limits, no budget, no retries, no deadline, no console.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from cache.journal import seal
from cache.key import cache_key
from cache.offload import Threads
from cache.responses import Entry, ResponseCache, ResponseStore
from data.schema import Answer, Draw, Intent, Settled, Trial
from engine.runtime import run
from providers.openai import OpenAIChat
from providers.wire import HttpReply

CODEC = OpenAIChat()
TRIAL = Trial(kind="answer", question_id=1, candidates=(("model-0", 0),))


def main() -> None:
    """`url bodies workers`: post each line of the file `bodies`, on the engine's event loop."""
    url, bodies, workers = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="alignsweep-bench-") as scratch:
        run(lambda: post_all(url, Path(bodies), int(workers), Path(scratch)))


async def post_all(url: str, bodies: Path, workers: int, scratch: Path) -> None:
    """Send, wait, keep; `workers` at a time."""
    todo = enumerate(bodies.read_bytes().splitlines(), start=1)
    store = ResponseStore(scratch / "cache.sqlite")
    cache = ResponseCache(store, Threads("cache"), time.time)
    journal = os.open(scratch / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector) as session:
        work = (_work(session, url, todo, cache, journal) for _ in range(workers))
        await asyncio.gather(*work)
    await cache.aclose()
    os.close(journal)


async def _work(
    session: aiohttp.ClientSession,
    url: str,
    todo: Iterator[tuple[int, bytes]],
    cache: ResponseCache,
    journal: int,
) -> None:
    clock = asyncio.get_running_loop().time
    for number, body in todo:
        key = cache_key(url, CODEC.path, body, Draw())
        os.write(journal, seal(Intent(number, TRIAL, "sim", time.time())))
        started = clock()
        async with session.post(
            url + CODEC.path, data=body, headers={"Content-Type": "application/json"}
        ) as reply:
            headers = {name.lower(): value for name, value in reply.headers.items()}
            text = await reply.read()
        response = CODEC.decode(HttpReply(reply.status, headers, text, clock() - started))
        settled = Settled(number, response.latency_s, response.usage)
        os.write(journal, seal(settled) + seal(Answer(trial=TRIAL, response=response)))
        cache.put(Entry(key, url, "model-0", response))
