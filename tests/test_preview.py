"""What `plan` says will be sent is what is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from cache.journal import seal
from data.codec import replace
from data.schema import Failure, ProviderSpec
from engine.bootstrap import Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.plan import Ledger, Plan, State
from engine.preview import look_ahead
from engine.runtime import run
from engine.streams import Options
from engine.walk import Walk
from engine.workload import Share
from providers.simulator import simulator_for
from providers.wire import Transport

SWEEP = """\
name = "s"
benchmark = "own.jsonl"
repeats = 2

[[models]]
name = "a"
provider = "simulated"
model = "same"

[[models]]
name = "b"
provider = "simulated"
model = "other"

[[judges]]
name = "j"
provider = "simulated"
model = "j"
"""
TWIN = '\n[[models]]\nname = "twin"\nprovider = "simulated"\nmodel = "same"\n'
ROWS = [
    {"id": 1, "question": "一？"},
    {"id": 2, "turns": ["二？", "再说", "完了？"]},
    {"id": 3, "question": "三？"},
]


class Bench:
    """A sweep, its cache and its run, in a folder."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.cache = folder, folder / "cache.sqlite"
        (folder / "own.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
        (folder / "sweep.toml").write_text(SWEEP + more, encoding="utf-8")
        self.loaded = load(folder / "sweep.toml", home=folder)

    def options(
        self,
        name: str = "run",
        *,
        limit: int | None = None,
        generate: bool = True,
        judge: bool = True,
        retry_failed: bool = True,
    ) -> Options:
        """A session of this run."""
        return Options(
            folder=self.folder / name,
            selection=select(self.loaded, limit=limit),
            generate=generate,
            judge=judge,
            retry_failed=retry_failed,
        )

    def shares(self, options: Options, *, cache: bool = True) -> dict[str, tuple[int, int, int]]:
        """(done, cached, to send) by party."""
        found = look_ahead(self.loaded, options, self.cache if cache else None).workload.shares
        return {share.party: (share.done, share.cached, share.to_send) for share in found}

    def sent(self, options: Options, *, cache: bool = True) -> int:
        """Run the session; how many requests reached the provider."""
        simulators = []

        def transports(specs: object, loaded: Loaded) -> dict[str, Transport]:
            made = simulator_for({"latency_s": 0.01}, [loaded.benchmark])
            simulators.append(made)
            assert isinstance(specs, list)
            return {spec.name: made for spec in specs if isinstance(spec, ProviderSpec)}

        async def main() -> object:
            outside = Outside(
                env={},
                cache_path=self.cache if cache else None,
                now_s=0.0,
                view=unseen,
                stops=lambda session: None,
                transports=transports,
            )
            return await conduct(self.loaded, options, outside)

        run(main, virtual=True)
        return sum(made.statistics().requests for made in simulators)


async def unseen(latest: Callable[[], Progress]) -> None:
    """A console that nobody looks at."""
    await anyio.sleep_forever()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two models, five turns, one judge, two repeats."""
    return Bench(tmp_path)


def test_a_fresh_sweep_sends_everything_and_a_finished_one_nothing(bench: Bench) -> None:
    """As told before, and as counted by the provider."""
    options = bench.options()
    assert bench.shares(options) == {"a": (0, 0, 5), "b": (0, 0, 5), "j": (0, 0, 20)}
    assert bench.sent(options) == 30
    assert bench.shares(options) == {"a": (5, 0, 0), "b": (5, 0, 0), "j": (20, 0, 0)}
    assert bench.sent(options) == 0


def test_looking_ahead_leaves_no_trace(bench: Bench) -> None:
    """Neither a run's folder nor a cache comes into being."""
    before = sorted(bench.folder.iterdir())
    bench.shares(bench.options())
    assert sorted(bench.folder.iterdir()) == before


def test_another_run_of_the_same_words_costs_nothing(bench: Bench) -> None:
    """All turns of a dialogue are found in the cache, though each needs the text before it."""
    bench.sent(bench.options())
    again = bench.options("again")
    assert bench.shares(again) == {"a": (0, 5, 0), "b": (0, 5, 0), "j": (0, 20, 0)}
    assert bench.sent(again) == 0


def test_without_the_cache_it_costs_everything(bench: Bench) -> None:
    """`--no-cache` is heard here too."""
    bench.sent(bench.options())
    again = bench.options("again")
    assert bench.shares(again, cache=False) == {"a": (0, 0, 5), "b": (0, 0, 5), "j": (0, 0, 20)}
    assert bench.sent(again, cache=False) == 30


def test_the_same_words_are_sent_once(tmp_path: Path) -> None:
    """A second name for a model costs nothing, as far as its words are known: a dialogue's later
    turns hang on answers that do not exist yet, so they count as to be sent."""
    bench = Bench(tmp_path, TWIN)
    options = bench.options(judge=False)
    assert bench.shares(options) == {"a": (0, 0, 5), "b": (0, 0, 5), "twin": (0, 3, 2)}
    assert bench.shares(options, cache=False)["twin"] == (0, 0, 5)
    assert bench.sent(options) == 10


def test_only_a_part_is_counted_where_only_a_part_is_chosen(bench: Bench) -> None:
    """What an earlier session did is done; the rest is still to come."""
    first = bench.options(limit=1)
    assert bench.shares(first) == {"a": (0, 0, 1), "b": (0, 0, 1), "j": (0, 0, 4)}
    assert bench.sent(first) == 6
    assert bench.shares(bench.options()) == {"a": (1, 0, 4), "b": (1, 0, 4), "j": (4, 0, 16)}
    assert bench.sent(bench.options()) == 24


def test_judging_alone_counts_only_answers_that_exist(bench: Bench) -> None:
    """`judge` after half of `generate`."""
    assert bench.sent(bench.options(limit=2, judge=False)) == 8
    judging = bench.options(generate=False)
    assert bench.shares(judging) == {"j": (0, 0, 16)}
    assert bench.sent(judging) == 16
    assert bench.shares(judging) == {"j": (16, 0, 0)}


# --- states that a sound simulator does not bring about ----------------------------------------


def preview(bench: Bench, states: dict[int, State], **more: Any) -> tuple[Share, ...]:
    """The shares of a run in these states, without a cache."""
    plan = Plan(bench.loaded.sweep, bench.loaded.benchmark)
    ledger = Ledger(plan)
    for number, state in states.items():
        ledger.mark(number, state)
    walk = Walk(bench.loaded, bench.options(**more), ledger, None, lambda n: f"text {n}")
    return walk.workload().shares


def to_send(shares: tuple[Share, ...]) -> dict[str, int]:
    """By party."""
    return {share.party: share.to_send for share in shares}


def test_failed_trials_are_to_be_sent_again_unless_told_not_to(bench: Bench) -> None:
    """And an answer that will not come brings no judgments."""
    failed = {0: State.FAILED}
    assert to_send(preview(bench, failed)) == {"a": 5, "b": 5, "j": 20}
    assert to_send(preview(bench, failed, retry_failed=False)) == {"a": 4, "b": 5, "j": 18}


def test_a_refused_answer_is_done_and_not_judged(bench: Bench) -> None:
    """There is nothing to judge."""
    shares = preview(bench, {0: State.REFUSED})
    assert to_send(shares) == {"a": 4, "b": 5, "j": 18}
    assert shares[0].done == 1


def test_a_truncated_answer_is_done_and_judged(bench: Bench) -> None:
    """What there is of it."""
    assert to_send(preview(bench, {0: State.TRUNCATED})) == {"a": 4, "b": 5, "j": 20}


def test_an_unscorable_judgment_is_final(bench: Bench) -> None:
    """It was asked for often enough."""
    plan = Plan(bench.loaded.sweep, bench.loaded.benchmark)
    first = plan.judgments_of(0)[0]
    shares = preview(bench, {0: State.ANSWERED, first: State.UNSCORABLE})
    assert (shares[2].done, shares[2].to_send) == (1, 19)


def test_a_failure_in_the_journal_is_seen(bench: Bench) -> None:
    """From the run's own file, read as the session will read it."""
    options = bench.options(limit=1, judge=False)
    bench.sent(options)
    failure = Failure(
        trial=Plan(bench.loaded.sweep, bench.loaded.benchmark).trial(0),
        error="Overloaded",
        message="m",
    )
    with (options.folder / "journal.jsonl").open("ab") as journal:
        journal.write(seal(failure))
    bench.cache.unlink()
    assert bench.shares(options)["a"] == (0, 0, 1)
    kept = bench.options(limit=1, judge=False, retry_failed=False)
    assert bench.shares(kept)["a"] == (0, 0, 0)


def test_models_without_a_provider_have_nothing_to_send(bench: Bench) -> None:
    """Answers from elsewhere; only their judgments are."""
    models = tuple(replace(m, provider="") for m in bench.loaded.sweep.models)
    bench.loaded = replace(bench.loaded, sweep=replace(bench.loaded.sweep, models=models))
    shares = preview(bench, dict.fromkeys(range(10), State.ANSWERED), generate=False)
    assert to_send(shares) == {"j": 20}
