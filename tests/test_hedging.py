"""Second copies of the last stragglers: when, how many, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from data.schema import Intent, ProviderSpec, Settled
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.rundir import records
from engine.runtime import run as run_loop
from engine.streams import Options
from providers.simulator import simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

SWEEP = """
name = "hedged"
benchmark = "mini"
hedge = {hedge}
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
concurrency = 10
[[models]]
name = "m"
provider = "sim"
model = "m"
max_tokens = 4000
price = {{ currency = "USD", input = "1", output = "2" }}
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
max_tokens = 4000
price = {{ currency = "USD", input = "1", output = "2" }}
"""
LAST = 140
"""The session has 144 calls."""


class Stalls:
    """From the LAST call on, a request is answered only when it is sent a second time."""

    def __init__(self, inner: Transport, *, for_ever: bool) -> None:
        self._inner, self._for_ever = inner, for_ever
        self.sent: list[bytes] = []
        self.given_up = 0

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        again = request.body in self.sent
        self.sent.append(request.body)
        if len(self.sent) >= LAST and (self._for_ever or not again):
            try:
                await asyncio.sleep(200.0)
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return await self._inner.send(request, endpoint)

    async def aclose(self) -> None:
        """Nothing to close."""


def play(folder: Path, *, hedge: bool, for_ever: bool = False) -> tuple[Outcome, Stalls, float]:
    """One session on virtual time."""
    (folder / "s.toml").write_text(SWEEP.format(hedge=str(hedge).lower()), encoding="utf-8")
    loaded = load(folder / "s.toml", home=folder / "home")
    made = Stalls(simulator_for({"latency_s": 1.0}, [loaded.benchmark]), for_ever=for_ever)

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        return {"sim": made}

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    outside = Outside({}, None, 1.8e9, view, lambda session: None, transports)
    options = Options(folder=folder / "run", selection=select(loaded))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    outcome, end_s = run_loop(session, virtual=True)
    return outcome, made, end_s


def test_the_last_stragglers_are_sent_twice_and_the_faster_copy_counts(tmp_path: Path) -> None:
    """The session ends minutes earlier, and nothing is recorded twice."""
    outcome, sent, end_s = play(tmp_path, hedge=True)
    assert (outcome.state, outcome.failed) == ("complete", 0)
    assert outcome.progress.hedged == outcome.progress.hedges_won == sent.given_up > 0
    assert end_s < 100
    assert outcome.progress.done == 144


def test_every_copy_is_in_the_journal_with_its_end_and_its_price(tmp_path: Path) -> None:
    """As many ends as intents; a copy that was given up is booked as estimated."""
    outcome, sent, _ = play(tmp_path, hedge=True)
    kept = list(records(tmp_path / "run"))
    intents = [r.id for r in kept if isinstance(r, Intent)]
    ends = {r.id: r for r in kept if isinstance(r, Settled)}
    assert sorted(intents) == sorted(ends)
    assert len(intents) == len(sent.sent) == 144 + outcome.progress.hedged
    outrun = [end for end in ends.values() if end.error == "Outrun"]
    assert len(outrun) == outcome.progress.hedged
    assert all(end.estimated and end.cost for end in outrun)
    assert outcome.spent.total.estimated == sum(end.cost or 0 for end in outrun)
    assert outcome.spent.total.reserved == 0


def test_where_it_is_off_nothing_is_sent_twice(tmp_path: Path) -> None:
    """It costs money twice, so it is the user's choice."""
    outcome, sent, end_s = play(tmp_path, hedge=False)
    assert (outcome.state, outcome.progress.hedged, len(sent.sent)) == ("complete", 0, 144)
    assert end_s > 200


def test_a_straggler_has_one_copy_at_most(tmp_path: Path) -> None:
    """Also if that one is as slow; the first that comes ends the other."""
    outcome, sent, _ = play(tmp_path, hedge=True, for_ever=True)
    assert outcome.state == "complete"
    assert max(map(sent.sent.count, sent.sent)) == 2
    assert outcome.progress.hedges_won == 0 < outcome.progress.hedged
