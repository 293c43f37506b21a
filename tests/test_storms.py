"""Mistakes that simulated days found (`tests/day.py`), each played by itself, plainly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from data import codec
from data.errors import TransportError
from data.schema import Failure, Intent, ProviderSpec, Record, Settled
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.rundir import records
from engine.runtime import run as run_loop
from engine.session import Session
from engine.streams import Options
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

SWEEP = """
name = "s"
benchmark = "mini"
{top}
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
{provider}
[[models]]
name = "m"
provider = "sim"
model = "m"
max_tokens = 100
{model}
"""
PRICE = 'price = { input = "1", output = "1" }'
Reply = Callable[[int], Awaitable[HttpReply]]


def good(text: str = "yes") -> HttpReply:
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return HttpReply(200, {}, codec.encode({"choices": [choice], "usage": usage}))


class Scripted:
    """`reply` is given the number of the call, from 0. Keeps when each began."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.sent: list[float] = []

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        began_s = asyncio.get_running_loop().time()
        self.sent.append(began_s)
        reply = await self._reply(len(self.sent) - 1)
        waited_s = asyncio.get_running_loop().time() - began_s
        return codec.replace(reply, latency_s=waited_s)

    async def aclose(self) -> None:
        """Nothing to close."""


class Played:
    """One session of a sweep of one model, without a judge."""

    def __init__(
        self,
        folder: Path,
        reply: Reply,
        *,
        limit: int,
        stops: Callable[[Session], Any] = lambda session: None,
        **parts: str,
    ) -> None:
        text = SWEEP.format(**{"top": "", "provider": "", "model": "", **parts})
        (folder / "s.toml").write_text(text, encoding="utf-8")
        loaded = load(folder / "s.toml", home=folder / "home")
        provider = Scripted(reply)

        def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
            return {"sim": provider}

        outside = Outside({}, folder / "cache.sqlite", 1.8e9, None, stops, transports)
        options = Options(folder=folder / "run", selection=select(loaded, limit=limit), judge=False)

        async def main() -> Outcome:
            return await asyncio.wait_for(conduct(loaded, options, outside), 100_000)

        self.outcome = run_loop(main, virtual=True)
        self.sent = provider.sent
        self.records: list[Record] = list(records(folder / "run"))


async def after(seconds: float, reply: HttpReply) -> HttpReply:
    await asyncio.sleep(seconds)
    return reply


# --- money -------------------------------------------------------------------------------------


def test_who_waited_for_money_keeps_the_pace_when_it_comes_back(tmp_path: Path) -> None:
    """All the money is reserved for slow calls; what they give back must not let a crowd out at once."""

    async def reply(n: int) -> HttpReply:
        waits_s = max(30.0 - asyncio.get_running_loop().time(), 0.1)
        return await after(waits_s, good())

    played = Played(
        tmp_path,
        reply,
        limit=15,
        top='[budget]\ntotal = "0.0055"',
        provider="rpm = 60\nconcurrency = 12",
        model=PRICE,
    )
    assert len(played.sent) == 15
    gaps = [later - first for first, later in zip(played.sent, played.sent[1:], strict=False)]
    assert min(gaps) >= 1.0 - 1e-6


def test_what_a_deadline_cut_off_may_have_been_billed(tmp_path: Path) -> None:
    """It is booked at its worst, as a lost reply is."""
    played = Played(
        tmp_path, lambda n: after(1e6, good()), limit=1, top="deadline_s = 20", model=PRICE
    )
    (intent,) = [r for r in played.records if isinstance(r, Intent)]
    (end,) = [r for r in played.records if isinstance(r, Settled)]
    assert (end.error, end.cost, end.estimated) == ("DeadlinePassed", intent.reserve, True)
    assert played.outcome.spent.total.estimated == intent.reserve


def test_a_trial_whose_time_is_over_is_not_sent_any_more(tmp_path: Path) -> None:
    """Its retry was due in time, but had to queue."""

    async def reply(n: int) -> HttpReply:
        await asyncio.sleep(15.0)
        raise TransportError("gone")

    played = Played(
        tmp_path, reply, limit=8, top="deadline_s = 20", provider="concurrency = 1\nrpm = 2"
    )
    failures = [r for r in played.records if isinstance(r, Failure)]
    assert len(failures) == 8
    ends = [r for r in played.records if isinstance(r, Settled)]
    assert all(end.latency_s > 1.0 for end in ends)


# --- stops -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 500])
def test_a_fault_that_comes_after_its_account_was_stopped_ends_with_it(
    tmp_path: Path, status: int
) -> None:
    """Nobody serves that account any more: a retry would wait for ever, and the session with it."""

    async def reply(n: int) -> HttpReply:
        if n == 3:
            return await after(1.0, HttpReply(401, {}, b'{"error": {"message": "no"}}'))
        await asyncio.sleep(5.0)
        if status == 0:
            raise TransportError("gone")
        return HttpReply(status, {}, b"{}")

    played = Played(tmp_path, reply, limit=20, provider="concurrency = 4")
    assert (played.outcome.state, played.outcome.pending) == ("partial", 20)
    assert len(played.sent) == 4


@pytest.mark.parametrize("how", ["dead key", "ctrl-c"])
def test_no_second_copy_is_sent_where_nothing_more_may_be_sent(tmp_path: Path, how: str) -> None:
    """A straggler is in flight when the account's key dies, or when the user wants to stop."""

    def stop(session: Session) -> None:
        if how == "ctrl-c":
            loop = asyncio.get_running_loop()
            loop.call_later(9.2, lambda: tasks.append(loop.create_task(session.stop(200.0))))

    async def reply(n: int) -> HttpReply:
        if n == 70:  # the last but one hangs
            return await after(100.0, good())
        if n == 71 and how == "dead key":
            return await after(1.0, HttpReply(401, {}, b'{"error": {"message": "no"}}'))
        return await after(1.0, good())

    tasks: list[asyncio.Task[None]] = []
    played = Played(
        tmp_path, reply, limit=72, stops=stop, top="hedge = true", provider="concurrency = 8"
    )
    assert len(played.sent) == 72
