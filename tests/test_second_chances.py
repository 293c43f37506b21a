"""What a trial may still get: a larger cap when its answer was cut, and an end to its patience."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from data import codec
from data.errors import ConfigError
from data.schema import Answer, Failure, Judgment, ProviderSpec, Settled
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.rundir import records
from engine.runtime import run as run_loop
from engine.streams import Options
from providers.simulator import simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

HEAD = """
name = "chances"
benchmark = "mini"
{top}
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
[[models]]
name = "m"
provider = "sim"
model = "m"
{model}
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
{judge}
"""


class Cuts:
    """Cuts every reply whose `max_tokens` is below `needed`, to its first ten characters."""

    def __init__(self, inner: Transport, needed: int) -> None:
        self._inner, self._needed = inner, needed
        self.caps: Counter[tuple[str, int | None]] = Counter()

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        body: dict[str, Any] = codec.decode(request.body)
        self.caps[body["model"], body.get("max_tokens")] += 1
        reply = await self._inner.send(request, endpoint)
        if (body.get("max_tokens") or 10**9) >= self._needed:
            return reply
        said = codec.decode(reply.body)
        said["choices"][0]["finish_reason"] = "length"
        message = said["choices"][0]["message"]
        message["content"] = message["content"][:10]
        return codec.replace(reply, body=codec.encode(said))

    async def aclose(self) -> None:
        """Nothing to close."""


class Silent:
    """A provider that keeps some calls waiting for ever and refuses the rest for a while."""

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        await asyncio.sleep(0.5)
        if len(request.body) % 3 == 0:
            await asyncio.sleep(1e6)
        return HttpReply(429, {"retry-after": "7"}, b'{"error": {"message": "slow down"}}')

    async def aclose(self) -> None:
        """Nothing to close."""


def play(
    folder: Path,
    make: Callable[[Loaded], Transport],
    limit: int | None = None,
    /,
    **texts: str,
) -> tuple[Outcome, Transport, float]:
    """One session on virtual time."""
    text = HEAD.format(**{"top": "", "model": "", "judge": "", **texts})
    (folder / "s.toml").write_text(text, encoding="utf-8")
    loaded = load(folder / "s.toml", home=folder / "home")
    made = make(loaded)

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        return {"sim": made}

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    outside = Outside({}, None, 1.8e9, view, lambda session: None, transports)
    options = Options(folder=folder / "run", selection=select(loaded, limit=limit))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    outcome, end_s = run_loop(session, virtual=True)
    return outcome, made, end_s


def cutting(needed: int) -> Callable[[Loaded], Transport]:
    """Makes the transport that cuts."""
    return lambda loaded: Cuts(simulator_for({}, [loaded.benchmark]), needed)


def answers(folder: Path) -> list[Answer]:
    """What the run holds."""
    return [record for record in records(folder / "run") if isinstance(record, Answer)]


def test_a_cut_answer_is_asked_for_once_more_with_the_larger_cap(tmp_path: Path) -> None:
    """Whole in the end; both exchanges are in the journal, for both are paid."""
    caps = "max_tokens = 100\nretry_max_tokens = 8000"
    outcome, sent, _ = play(tmp_path, cutting(4000), 5, model=caps)
    assert isinstance(sent, Cuts)
    assert outcome.state == "complete"
    assert sent.caps["m", 100] == sent.caps["m", 8000] == 5
    assert [record.state for record in answers(tmp_path)] == ["answered"] * 5
    paid = [r for r in records(tmp_path / "run") if isinstance(r, Settled) and r.usage]
    assert len(paid) == 5 + 5 + 5


def test_what_is_cut_again_is_recorded_as_cut(tmp_path: Path) -> None:
    """One more try, never two; a truncated answer is judged as it is."""
    caps = "max_tokens = 100\nretry_max_tokens = 200"
    outcome, sent, _ = play(tmp_path, cutting(4000), 3, model=caps)
    assert isinstance(sent, Cuts)
    assert (sent.caps["m", 100], sent.caps["m", 200]) == (3, 3)
    assert [record.state for record in answers(tmp_path)] == ["truncated"] * 3
    assert (outcome.state, outcome.pending) == ("complete", 0)


def test_without_a_larger_cap_a_cut_answer_is_final_at_once(tmp_path: Path) -> None:
    """The sweep file did not ask for more."""
    _, sent, _ = play(tmp_path, cutting(4000), 3, model="max_tokens = 100")
    assert isinstance(sent, Cuts)
    assert sent.caps["m", 100] == 3
    assert [record.state for record in answers(tmp_path)] == ["truncated"] * 3


def test_a_judge_that_was_cut_is_asked_again_with_the_larger_cap(tmp_path: Path) -> None:
    """Each ask is kept, and the verdict comes from the whole reply."""
    caps = "max_tokens = 100\nretry_max_tokens = 8000"
    _, sent, _ = play(tmp_path, cutting(4000), 3, judge=caps)
    assert isinstance(sent, Cuts)
    assert sent.caps["gpt-4-0613", 100] == sent.caps["gpt-4-0613", 8000] == 3
    judged = [record for record in records(tmp_path / "run") if isinstance(record, Judgment)]
    assert [len(record.asks) for record in judged] == [2, 2, 2]
    assert all(record.verdict is not None for record in judged)


def test_a_trial_past_its_deadline_is_a_failure_and_the_session_ends(tmp_path: Path) -> None:
    """Neither a reply that never comes nor endless 429s hold a session up for longer."""
    outcome, _, end_s = play(tmp_path, lambda _: Silent(), 20, top="deadline_s = 60")
    failures = [r for r in records(tmp_path / "run") if isinstance(r, Failure)]
    assert {failure.error for failure in failures} == {"DeadlinePassed"}
    assert (outcome.state, outcome.failed) == ("partial", 20)
    assert end_s < 20 * 60


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({"top": "deadline_s = 0"}, "`deadline_s` must be 1 to 86,400"),
        ({"model": "max_tokens = 10\nretry_max_tokens = 10"}, "must be larger than `max_tokens`"),
        ({"judge": "retry_max_tokens = 10"}, "must be larger than `max_tokens`"),
        ({"judge": "max_tokens = 1\nretry_max_tokens = 0"}, "`retry_max_tokens` must be 1 to"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, texts: dict[str, str], reason: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        play(tmp_path, cutting(0), None, **texts)
    assert reason in str(caught.value)
