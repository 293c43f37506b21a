"""A benchmark's world for tests: servers whose truth is known, on virtual time, and what they saw."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from pathlib import Path
from typing import Any

from data.codec import convert
from data.errors import TransportError
from data.schema import ProviderSpec
from engine.benching.conduct import measure
from engine.benching.folder import Benched, read
from engine.benching.settings import Settings, check
from engine.benching.targets import targets_of
from engine.benching.work import Connected, Finished, Order, Told, World
from engine.budget import TOTAL, Ceiling
from engine.config import Loaded, load
from engine.runtime import run as run_loop
from providers.wire import Endpoint, HttpReply, HttpRequest

SWEEP = """
name = "s"
benchmark = "{benchmark}"
attempts = 3
[providers.p]
api = "openai-chat"
base_url = "http://127.0.0.1:1/v1"
timeout_s = 60
{provider}
[[models]]
name = "m"
provider = "p"
model = "m"
max_tokens = 100
price = {{ currency = "USD", input = "1", output = "10", cached_input = "0.1" }}
[[judges]]
name = "j"
provider = "p"
model = "j"
rubric = "alignsweep"
max_tokens = 100
price = {{ currency = "USD", input = "1", output = "10" }}
"""


class Server:
    """So many places, first come first served; what it does is what its fields say."""

    def __init__(
        self, *, slots: int = 10**6, latency_s: float = 0.25, sigma: float = 0.0, seed: int = 3
    ) -> None:
        self.latency_s, self.sigma = latency_s, sigma
        self.rpm: float | None = None
        self.cap: int | None = None
        self.failing = 0.0
        self.cached_share = 0.0
        self.verdicts = 1.0
        """Share of verdicts that can be read."""
        self.bodies: list[dict[str, Any]] = []
        self.busy = self.most_busy = 0
        self._places = asyncio.Semaphore(slots)
        self._dice = random.Random(seed)
        self._recent: deque[float] = deque()

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        clock = asyncio.get_running_loop().time
        started = clock()
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            status, body = await self._serve(request)
        finally:
            self.busy -= 1
        headers = {"content-type": "application/json"}
        return HttpReply(status, headers, json.dumps(body).encode(), clock() - started)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _serve(self, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        if self.cap is not None and self.busy > self.cap:
            return 429, _error(f"too many requests in flight; the limit is {self.cap}")
        if self.rpm is not None and self._full(self.rpm):
            return 429, _error("slow down")
        chat = json.loads(request.body)
        self.bodies.append(chat)
        async with self._places:
            stretch = self._dice.lognormvariate(-(self.sigma**2) / 2, self.sigma)
            await asyncio.sleep(self.latency_s * stretch)
        luck = self._dice.random()
        if luck < self.failing / 2:
            return 503, {"error": {"message": "overloaded", "type": "server_error"}}
        if luck < self.failing:
            raise TransportError("the connection was reset")
        return 200, self._reply(chat)

    def _full(self, rpm: float) -> bool:
        """A window of a minute."""
        now = asyncio.get_running_loop().time()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if len(self._recent) >= rpm:
            return True
        self._recent.append(now)
        return False

    def _reply(self, chat: dict[str, Any]) -> dict[str, Any]:
        text = "an answer"
        if chat["model"] == "j":
            text = "{'综合得分': 7}" if self._dice.random() < self.verdicts else "no verdict"
        usage = {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": int(1000 * self.cached_share)},
        }
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "x", "model": chat["model"], "choices": [choice], "usage": usage}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "requests", "code": "rate_limit_exceeded"}}


def loaded_sweep(folder: Path, *, benchmark: str = "mini", provider: str = "") -> Loaded:
    """The sweep file above, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "s.toml"
    path.write_text(SWEEP.format(benchmark=benchmark, provider=provider), encoding="utf-8")
    return load(path, home=folder / "home")


def settings(**given: Any) -> Settings:
    return check(convert(given, Settings, where="the test"))


def bench(
    folder: Path,
    server: Server,
    wanted: Settings,
    *,
    leg: str = "answer",
    max_nano: int | None = None,
    told: list[Told] | None = None,
    provider: str = "",
    benchmark: str = "mini",
    cache_path: Path | None = None,
) -> tuple[Finished, Benched]:
    """One session on virtual time, and what its journal holds then."""
    from datetime import date

    loaded = loaded_sweep(folder, provider=provider, benchmark=benchmark)
    limits = {} if max_nano is None else {TOTAL: max_nano}
    order = Order(
        loaded=loaded,
        settings=wanted,
        targets=targets_of(loaded, leg, wanted, date(2026, 1, 1)),
        answers={},
        ceiling=Ceiling(currency="USD", limits=limits),
    )

    def connect(accounts: list[ProviderSpec], _: Loaded, __: int) -> Connected:
        return Connected({spec.name: server for spec in accounts}, lambda: (0, 0))

    world = World(
        env={},
        now_s=1_800_000_000.0,
        connect=connect,
        hear=(told if told is not None else []).append,
        virtual=True,
        cache_path=cache_path,
    )

    async def main() -> Finished:
        return await measure(order, folder / "b", world)

    return run_loop(main, virtual=True), read(folder / "b")
