"""Whole sessions under load, on virtual time: every limit that can bind, and an account that dies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from bench.makespan import SITUATIONS, Figures, Situation, play
from data import codec
from data.errors import TransportError
from data.schema import Answer, Intent, ProviderSpec
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.results import results
from engine.rundir import records
from engine.runtime import run as run_loop
from engine.streams import Options
from providers.simulator import SimulatorTransport, simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

MODELS = 6
"""864 requests: enough for more than a minute at every limit."""
BY_NAME = {situation.name: situation for situation in SITUATIONS}
TIMES = re.compile(rb'"(?:at|latency_s|ttft_s|sent_at|time)":[0-9.e+-]+,?')
CRC = re.compile(rb',"crc":"[0-9a-f]{8}"')


@cache
def figures(name: str) -> Figures:
    """One session of a situation, played once for all tests."""
    return play(BY_NAME[name], models=MODELS)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_every_trial_is_done_however_the_account_limits(situation: Situation) -> None:
    """Complete, each request answered once."""
    seen = figures(situation.name)
    assert (seen.outcome.state, seen.outcome.pending, seen.outcome.failed) == ("complete", 0, 0)
    assert sum(call.status == 200 for call in seen.calls) == MODELS * 72 * 2
    assert {call.status for call in seen.calls} <= {200, 429}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_refusals_stay_rare(situation: Situation) -> None:
    """By the goal of each situation, but two are always allowed: short runs learn as much as long."""
    seen = figures(situation.name)
    assert seen.refusals <= max(situation.refusals, 2 / len(seen.calls))


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_the_time_taken_is_near_the_shortest_possible(situation: Situation) -> None:
    """A short run pays for learning in full: a tenth is allowed on top of the goal of long ones."""
    assert 0.99 <= figures(situation.name).ratio <= situation.goal + 0.1


@pytest.mark.parametrize("name", ["rpm-bound", "tpm-bound", "concurrency-bound"])
def test_the_same_seed_leaves_the_same_trace(name: str) -> None:
    """Every journal line but the header, times left out."""
    again = play(BY_NAME[name], models=MODELS)
    assert trace(again.journal) == trace(figures(name).journal)
    assert again.makespan_s == pytest.approx(figures(name).makespan_s)


def trace(journal: bytes) -> list[bytes]:
    """The lines without what names the run or the moment, sorted."""
    _, *lines = journal.splitlines()
    kept = [line for line in lines if codec.decode(line).get("kind") != "synced"]
    return sorted(TIMES.sub(b"", CRC.sub(b"", line)) for line in kept)


# --- two accounts ------------------------------------------------------------------------------


class Dead:
    """A provider that never answers well until `back_s`; with a status, it says no instead."""

    def __init__(self, inner: SimulatorTransport, status: int, back_s: float) -> None:
        self._inner, self._status, self._back_s = inner, status, back_s
        self.asked = 0

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        self.asked += 1
        if asyncio.get_running_loop().time() >= self._back_s:
            return await self._inner.send(request, endpoint)
        await asyncio.sleep(0.2)
        if self._status:
            return HttpReply(self._status, {}, b'{"error": {"message": "no"}}')
        raise TransportError("the connection was refused")

    async def aclose(self) -> None:
        """Nothing to close."""


def two_accounts(folder: Path, status: int, back_s: float) -> tuple[Outcome, Dead, float]:
    """One model and judge at a well account, another model at one that is dead for a while."""
    lines = ['name = "two"\nbenchmark = "mini"']
    lines += [
        f'[providers.{name}]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true\n'
        f"rpm = 240\nconcurrency = 20\n[providers.{name}.simulator]\nlatency_s = 1.0\nrpm = 240"
        for name in ("well", "dead")
    ]
    lines += [
        f'[[models]]\nname = "{name}-1"\nprovider = "{name}"\nmodel = "{name}-1"'
        for name in ("well", "dead")
    ]
    lines.append('[[judges]]\nname = "j"\nprovider = "well"\nmodel = "gpt-4-0613"')
    (folder / "s.toml").write_text("\n".join(lines), encoding="utf-8")
    loaded = load(folder / "s.toml", home=folder / "home")
    made: dict[str, Transport] = {}

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        made["well"] = simulator_for(specs[0].options, [loaded.benchmark])
        made["dead"] = Dead(simulator_for({}, [loaded.benchmark]), status, back_s)
        return made

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    outside = Outside({}, None, 1.8e9, view, lambda session: None, transports)
    options = Options(folder=folder / "run", selection=select(loaded))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    outcome, end_s = run_loop(session, virtual=True)
    dead = made["dead"]
    assert isinstance(dead, Dead)
    return outcome, dead, end_s


def test_a_revoked_key_stops_its_account_at_once_and_no_other(tmp_path: Path) -> None:
    """The well account does all its work in its own time; the other's stays pending."""
    outcome, dead, end_s = two_accounts(tmp_path, 401, 1e9)
    assert outcome.state == "partial"
    assert (outcome.pending, outcome.failed) == (2 * 72, 0)
    assert [stop.name for stop in outcome.stopped] == ["dead"]
    assert dead.asked <= 20
    done = [r for r in results(tmp_path / "run") if isinstance(r, Answer)]
    assert {r.trial.model for r in done} == {"well-1"}
    assert len(done) == 72
    assert end_s < 60


def test_an_outage_costs_few_requests_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    """A minute without a connection: the breaker probes, the other account goes on."""
    outcome, dead, end_s = two_accounts(tmp_path, 0, 60.0)
    assert outcome.state in ("complete", "partial")
    assert dead.asked <= 72 + 20 + 20 + outcome.failed
    assert outcome.failed <= 8
    assert end_s < 240


def test_a_judge_elsewhere_does_not_wait_for_a_batch_of_answers(tmp_path: Path) -> None:
    """One slow answer after the other, more than are admitted at once: the first is judged at once."""
    lines = ['name = "slow"\nbenchmark = "mini"']
    lines += [
        f'[providers.{name}]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true\n'
        f"concurrency = 1\n[providers.{name}.simulator]\nlatency_s = 2.0"
        for name in ("models", "judges")
    ]
    lines += [f'[[models]]\nname = "m{i}"\nprovider = "models"\nmodel = "m{i}"' for i in range(4)]
    lines.append('[[judges]]\nname = "j"\nprovider = "judges"\nmodel = "gpt-4-0613"')
    (tmp_path / "s.toml").write_text("\n".join(lines), encoding="utf-8")
    loaded = load(tmp_path / "s.toml", home=tmp_path / "home")

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    outside = Outside({}, None, 1.8e9, view, lambda session: None)
    options = Options(folder=tmp_path / "run", selection=select(loaded))
    run_loop(lambda: conduct(loaded, options, outside), virtual=True)
    sent = [r for r in records(tmp_path / "run") if isinstance(r, Intent)]
    second_answer, first_judgment = sent[1], next(r for r in sent if r.trial.kind == "judgment")
    assert first_judgment.t_s == pytest.approx(second_answer.t_s, abs=0.5)
