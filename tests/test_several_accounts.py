"""One provider, several keys: the work is shared, the limits are each account's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from data.catalog import accounts_of
from data.errors import ConfigError
from data.schema import Failure, Intent, ProviderSpec
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.rundir import records
from engine.runtime import run as run_loop
from engine.streams import Options
from providers.simulator import simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

HEAD = """
name = "shared"
benchmark = "mini"
[[models]]
name = "m"
provider = "sim"
model = "m"
price = { currency = "USD", input = "1", output = "2" }
max_tokens = 4000
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
price = { currency = "USD", input = "1", output = "2" }
max_tokens = 4000
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
concurrency = 20
"""
FAST_AND_SLOW = """
[[providers.sim.accounts]]
rpm = 240
[[providers.sim.accounts]]
rpm = 60
"""


class Refuses:
    """A provider that knows no key."""

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        await asyncio.sleep(0.1)
        return HttpReply(401, {}, b'{"error": {"message": "no such key"}}')

    async def aclose(self) -> None:
        """Nothing to close."""


def loaded_from(folder: Path, text: str) -> Loaded:
    """A sweep file, read."""
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return load(folder / "s.toml", home=folder / "home")


def play(folder: Path, text: str, *, revoked: Sequence[str] = ()) -> tuple[Outcome, float]:
    """One session on virtual time; accounts named in `revoked` have a wrong key."""
    loaded = loaded_from(folder, text)

    def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
        return {
            spec.name: Refuses()
            if spec.name in revoked
            else simulator_for(
                {"latency_s": 1.0, "rpm": int(spec.rpm or 0) or None}, [loaded.benchmark]
            )
            for spec in specs
        }

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    outside = Outside({}, None, 1.8e9, view, lambda session: None, transports)
    options = Options(folder=folder / "run", selection=select(loaded))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    return run_loop(session, virtual=True)


def shares(folder: Path) -> dict[str, int]:
    """Calls by account."""
    found: dict[str, int] = {}
    for record in records(folder / "run"):
        if isinstance(record, Intent):
            found[record.account] = found.get(record.account, 0) + 1
    return found


def test_accounts_share_the_work_by_what_each_allows(tmp_path: Path) -> None:
    """Four to one, done in the time that both allow together, and nobody is refused."""
    outcome, end_s = play(tmp_path, HEAD + FAST_AND_SLOW)
    assert (outcome.state, outcome.failed) == ("complete", 0)
    calls = shares(tmp_path)
    assert sum(calls.values()) == 144
    assert calls["sim#1"] == pytest.approx(4 * calls["sim#2"], rel=0.15)
    assert end_s < 1.2 * 144 / 300 * 60


def test_a_revoked_key_leaves_its_work_to_the_others(tmp_path: Path) -> None:
    """One account stops and is named; everything is done by the other."""
    outcome, _ = play(tmp_path, HEAD + FAST_AND_SLOW, revoked=["sim#2"])
    assert outcome.state == "complete"
    assert [(stop.scope, stop.name) for stop in outcome.stopped] == [("account", "sim#2")]
    assert outcome.pending == 0


SMALL_AND_LARGE = """
[[providers.sim.accounts]]
tpm = 300
concurrency = 1
[[providers.sim.accounts]]
tpm = 200000
concurrency = 1
"""


def failures(folder: Path) -> list[Failure]:
    return [record for record in records(folder / "run") if isinstance(record, Failure)]


def test_a_call_too_large_for_one_account_goes_to_a_larger_one(tmp_path: Path) -> None:
    """Judges' prompts exceed the small account's whole window; nothing fails of that."""
    outcome, _ = play(tmp_path, HEAD + SMALL_AND_LARGE)
    assert (outcome.state, outcome.failed, outcome.pending) == ("complete", 0, 0)
    calls = shares(tmp_path)
    assert sum(calls.values()) == 144
    assert calls["sim#1"] > 0
    judged = {
        r.account for r in records(tmp_path / "run") if isinstance(r, Intent) and r.trial.judge
    }
    assert judged == {"sim#2"}


def test_a_call_too_large_for_every_account_fails_once_the_large_one_has_stopped(
    tmp_path: Path,
) -> None:
    """It says so, instead of waiting for somebody who will not come back."""
    outcome, _ = play(tmp_path, HEAD + SMALL_AND_LARGE, revoked=["sim#2"])
    assert outcome.state == "partial"
    assert [stop.name for stop in outcome.stopped] == ["sim#2"]
    unjudged = sum(failure.trial.kind == "answer" for failure in failures(tmp_path))
    assert outcome.pending == unjudged
    assert {failure.error for failure in failures(tmp_path)} == {"TooLarge"}
    assert len(failures(tmp_path)) == outcome.failed > 0


def test_without_any_key_left_the_trials_stay_pending(tmp_path: Path) -> None:
    """Both accounts stop; nothing failed, everything is owed."""
    outcome, _ = play(tmp_path, HEAD + FAST_AND_SLOW, revoked=["sim#1", "sim#2"])
    assert (outcome.state, outcome.failed, outcome.pending) == ("partial", 0, 144)
    assert {stop.name for stop in outcome.stopped} == {"sim#1", "sim#2"}


def test_a_ceiling_on_a_provider_covers_all_its_accounts(tmp_path: Path) -> None:
    """Both together stay below it, over two sessions."""
    text = HEAD + FAST_AND_SLOW + '[budget]\ncurrency = "USD"\naccounts = { sim = "0.1" }\n'
    for _ in range(2):
        outcome, _ = play(tmp_path, text)
        assert outcome.state == "budget"
        line = outcome.spent.accounts["sim"]
        assert 0 < line.spent + line.estimated + line.possibly_billed <= 100_000_000


def test_an_account_inherits_what_it_does_not_name(tmp_path: Path) -> None:
    """Limits and keys; a key of its own replaces both ways of naming one."""
    text = HEAD.replace("concurrency = 20", 'concurrency = 20\napi_key_env = "A"\nrpm = 7') + (
        '[[providers.sim.accounts]]\napi_key_file = "~/key"\n[[providers.sim.accounts]]\nrpm = 9\n'
    )
    one, two = accounts_of(loaded_from(tmp_path, text).sweep.providers[0])
    assert (one.name, one.rpm, one.api_key_env, one.api_key_file) == ("sim#1", 7, "", "~/key")
    assert (two.name, two.rpm, two.api_key_env, two.concurrency) == ("sim#2", 9, "A", 20)


@pytest.mark.parametrize(
    ("entry", "line", "reason"),
    [
        ("rpm = 0", 22, "`rpm` must be"),
        ('api_key = "x"', 22, "`api_key` in the sweep file"),
        ('api_key_env = "sk-123456"', 22, "no name of an environment variable"),
        ("rps = 1", 22, "rps"),
    ],
)
def test_a_fault_in_an_account_is_told_with_its_line(
    tmp_path: Path, entry: str, line: int, reason: str
) -> None:
    """As for everything else in a sweep file."""
    with pytest.raises(ConfigError) as caught:
        loaded_from(tmp_path, HEAD + f"[[providers.sim.accounts]]\n{entry}\n")
    assert reason in str(caught.value)
    assert f"s.toml:{line}" in str(caught.value)
