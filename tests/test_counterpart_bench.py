"""What `bench` says of a real llama.cpp server, against what the server says of itself.

Needs ALIGNSWEEP_COUNTERPARTS, a Python with xllamacpp and gguf; see tests/tiny_model.py.

Its `timings` count `prompt_ms` from the beginning of the prompt to the first token, so TTFT is that and
the way there and back; `predicted_ms` runs from the first token to the last, but is divided by all tokens,
so TPOT (which divides by those after the first) is n / (n - 1) of `predicted_per_token_ms`.
"""

from __future__ import annotations

import json
import os
import re
import time
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from data.schema import ProviderSpec
from engine.benching.conduct import measure, reach
from engine.benching.folder import Benched, read
from engine.benching.targets import targets_of
from engine.benching.work import Connected, Finished, Order, World
from engine.budget import Ceiling
from engine.config import Loaded, load
from engine.runtime import run as run_loop
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport
from tests.benching_world import settings
from tests.test_counterpart_llama import serving

PYTHON = os.environ.get("ALIGNSWEEP_COUNTERPARTS", "")
pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(not PYTHON, reason="ALIGNSWEEP_COUNTERPARTS names no Python with xllamacpp"),
]

CALLS, TOKENS = 24, 96
SWEEP = """
name = "s"
benchmark = "long.jsonl"
[providers.llama]
api = "openai-chat"
base_url = "{url}"
stream = true
[[models]]
name = "noise"
provider = "llama"
model = "tiny-random"
max_tokens = {tokens}
"""
_TIMINGS = re.compile(rb'"timings":(\{[^}]*\})')


class Ear:
    """Passes everything on, and keeps what the server says of itself, by question."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.told: dict[str, dict[str, Any]] = {}

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        reply = await self._inner.send(request, endpoint)
        said = _TIMINGS.search(reply.body)
        assert said, reply.body[-400:]
        question = json.loads(request.body)["messages"][-1]["content"].split()[0]
        self.told[question] = json.loads(said[1])
        return reply

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benched, dict[str, Any]]:
    """One call at a time; what the benchmark measured, and what the server told of the same calls."""
    folder = tmp_path_factory.mktemp("bench")
    questions = [
        {
            "question_id": n,
            "category": "长",
            "subcategory": "",
            "question": f"{n} " + "长话短说" * 1000,
        }
        for n in range(CALLS + 8)
    ]
    lines = "\n".join(json.dumps(q, ensure_ascii=False) for q in questions)
    (folder / "long.jsonl").write_text(lines, encoding="utf-8")
    with serving(folder) as url:
        (folder / "s.toml").write_text(SWEEP.format(url=url, tokens=TOKENS), encoding="utf-8")
        ears: list[Ear] = []
        benched = measured(folder, ears)
    return benched, ears[0].told


def measured(folder: Path, ears: list[Ear]) -> Benched:
    """One rung on real sockets and real time."""
    loaded = load(folder / "s.toml", home=folder / "home")
    wanted = settings(
        levels=(1,), min_requests=CALLS, max_requests=CALLS, min_seconds=1, max_seconds=60
    )

    def connect(accounts: list[ProviderSpec], loaded: Loaded, most: int) -> Connected:
        connected = reach(accounts, loaded, most)
        ears.extend(Ear(transport) for transport in connected.transports.values())
        return Connected(dict(zip(connected.transports, ears, strict=True)), connected.counts)

    order = Order(
        loaded=loaded,
        settings=wanted,
        targets=targets_of(loaded, "answer", wanted, date(2026, 1, 1)),
        answers={},
        ceiling=Ceiling(currency="USD", limits={}),
    )
    world = World(
        env={}, now_s=time.time(), connect=connect, cpu_s=time.process_time, hear=lambda _: None
    )

    async def main() -> Finished:
        return await measure(order, folder / "b", world)

    assert run_loop(main, virtual=False, exact=True).state == "complete"
    return read(folder / "b")


def test_times_are_those_that_the_server_tells(both: tuple[Benched, dict[str, Any]]) -> None:
    """TTFT and TPOT, by their medians, within a tenth."""
    benched, told = both
    [(_, timings)] = benched.blocks
    own = [told[str(timing.question_id)] for timing in timings]
    [rung] = benched.rungs()
    assert rung.ttft.p50 is not None
    assert rung.tpot.p50 is not None
    prompts = median(t["prompt_ms"] for t in own) / 1000
    per_token = [t["predicted_ms"] / (t["predicted_n"] - 1) / 1000 for t in own]
    assert prompts > 0.05
    assert rung.ttft.p50.est == pytest.approx(prompts, rel=0.1)
    assert rung.tpot.p50.est == pytest.approx(median(per_token), rel=0.1)


def test_tokens_are_those_that_the_server_counts(both: tuple[Benched, dict[str, Any]]) -> None:
    """Call by call: what was read (anew or from its cache), and what was written."""
    benched, told = both
    [(_, timings)] = benched.blocks
    assert len(timings) >= CALLS
    for timing in timings:
        own = told[str(timing.question_id)]
        assert timing.usage is not None
        assert timing.usage.input_tokens == own["prompt_n"] + own["cache_n"]
        assert timing.usage.cached_tokens == own["cache_n"]
        assert timing.usage.output_tokens == own["predicted_n"] <= TOKENS


def test_no_call_is_lost_to_a_connection_that_was_dropped(
    both: tuple[Benched, dict[str, Any]],
) -> None:
    """This server drops its connection after each stream: each call has one of its own, and arrives."""
    benched, _ = both
    [(block, timings)] = benched.blocks
    assert [t.error for t in timings] == [""] * len(timings)
    assert (block.opened, block.reused) == (len(timings), 0)
