"""What `plan` says, and what then happens: whole sweeps, predicted and played on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from data.schema import Intent, Judgment, Settled, Struct
from engine.bootstrap import Outcome, Outside, booked, conduct
from engine.bound import slowest
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.prediction import Prediction, predict
from engine.preview import look_ahead
from engine.rundir import records
from engine.runtime import run
from engine.streams import Options
from engine.workload import Range

MODELS, JUDGES = ("m0", "m1", "m2"), ("j0", "j1")
DIALOGUE = [
    {
        "id": 1,
        "turns": ["介绍一下长城。", "它有多长？", "谁修的？"],
        "reference": ["长城是古代工程。", None, "历代"],
    },
    {"id": 2, "question": "一加一等于几？", "reference": "二"},
]
SITUATIONS = {
    "requests": "rpm = 300\nconcurrency = 100",
    "few requests": "rpm = 30\nconcurrency = 100",
    "many requests": "rpm = 6000\nconcurrency = 100",
    "tokens": "tpm = 200_000\nconcurrency = 100",
    "few tokens": "tpm = 40_000\nconcurrency = 100",
    "output tokens": "output_tpm = 20_000\nconcurrency = 100",
    "input tokens": "input_tpm = 150_000\nconcurrency = 100",
    "calls in flight": "concurrency = 5",
}
"""What a provider allows, and what the sweep file says of it."""


class Played(Struct, frozen=True):
    """A plan, and what came of it."""

    prediction: Prediction
    outcome: Outcome
    took_s: float
    tokens: dict[str, tuple[int, int]]
    """Input and output by party."""


@cache
def played(
    limits: str, *, seed: int = 0, limit: int | None = 20, benchmark: str = "mini", first: int = 0
) -> Played:
    """Predict a sweep and play it; `first`: after a session of so many questions."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in DIALOGUE)
        (folder / "own.jsonl").write_text(rows, encoding="utf-8")
        path = folder / "s.toml"
        path.write_text(sweep_text(limits, seed, benchmark), encoding="utf-8")
        loaded = load(path, home=folder)
        if first:
            session(loaded, options(loaded, folder, first))
        now = options(loaded, folder, limit)
        prediction = foreseen(loaded, now)
        before = usage(now.folder) if first else {}
        outcome, took_s = session(loaded, now)
        after = usage(now.folder)
        tokens = {
            party: tuple(b - a for a, b in zip(before.get(party, (0, 0)), pair, strict=True))
            for party, pair in after.items()
        }
        return Played(prediction, outcome, took_s, tokens)  # type: ignore[arg-type]


def sweep_text(limits: str, seed: int, benchmark: str) -> str:
    """Three models and two judges with one provider that keeps to its word."""
    tables = [
        f'name = "s"\nbenchmark = "{benchmark}"\n[budget]\ntotal = "1000"',
        '[providers.sim]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true',
        f"{limits}\n[providers.sim.simulator]\nseed = {seed}\nlatency_s = 2.0\n{limits}",
    ]
    price = 'price = { currency = "USD", input = "10", output = "30" }'
    for kind, names in (("models", MODELS), ("judges", JUDGES)):
        tables += [
            f'[[{kind}]]\nname = "{name}"\nprovider = "sim"\nmodel = "{name}"\nmax_tokens = 1500\n'
            f"{price}"
            for name in names
        ]
    return "\n".join(tables)


def options(loaded: Loaded, folder: Path, limit: int | None) -> Options:
    return Options(folder=folder / "run", selection=select(loaded, limit=limit))


def foreseen(loaded: Loaded, options: Options) -> Prediction:
    """As `plan` has it, without a cache."""
    ahead = look_ahead(loaded, options, None)
    money = booked(loaded, options, ahead.spent, 0.0)
    return predict(ahead.workload, loaded.sweep, loaded.terms, on=date(2026, 1, 1), booked=money)


def session(loaded: Loaded, options: Options) -> tuple[Outcome, float]:
    """Play it; the virtual seconds it took."""

    async def main() -> tuple[Outcome, float]:
        outside = Outside({}, None, 1.8e9, unseen, lambda session: None)
        began = asyncio.get_running_loop().time()
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time() - began

    return run(main, virtual=True)


async def unseen(latest: Callable[[], Progress]) -> None:
    """A console that nobody looks at."""
    await anyio.sleep_forever()


def usage(folder: Path) -> dict[str, tuple[int, int]]:
    """Tokens by party, as the journal has them; re-asks apart from first asks are none here."""
    intents: dict[int, str] = {}
    sums: dict[str, tuple[int, int]] = {}
    for record in records(folder):
        if isinstance(record, Intent):
            intents[record.id] = record.trial.judge or record.trial.model
        elif isinstance(record, Settled) and record.usage is not None:
            party = intents[record.id]
            asked, said = sums.get(party, (0, 0))
            sums[party] = asked + record.usage.input_tokens, said + record.usage.output_tokens
        elif isinstance(record, Judgment):
            assert len(record.asks) == 1
    return sums


def within(figure: int, expected: Range) -> bool:
    """Between low and worst?"""
    assert expected.worst is not None
    return expected.low <= figure <= expected.worst


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_sweep_never_ends_before_its_bound(name: str, seed: int) -> None:
    """Neither the bound that was foreseen nor the one of what was really done."""
    seen = played(SITUATIONS[name], seed=seed)
    assert seen.outcome.state == "complete"
    foreseen = slowest(bound for bound in seen.prediction.bounds if not bound.assumed)
    assert foreseen is None or foreseen.seconds <= seen.took_s
    done = seen.outcome.progress.bound
    assert done is not None
    assert done.bound_s is not None
    assert done.bound_s <= seen.took_s


@pytest.mark.parametrize("name", sorted(SITUATIONS.keys() - {"many requests"}))
def test_the_bound_of_what_was_done_is_near_what_it_took(name: str) -> None:
    """And names what was binding: else it would be no use."""
    seen = played(SITUATIONS[name])
    done = seen.outcome.progress.bound
    assert done is not None
    assert done.bound_s is not None
    assert done.bound_s >= 0.8 * seen.took_s
    words = name.removeprefix("few ")
    assert done.bound_by.replace("-", " ").replace("/", " ").startswith(words)


@pytest.mark.parametrize("first", [0, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_tokens_and_money_lie_between_low_and_worst(seed: int, first: int) -> None:
    """Of each model and judge, whether replies of it are known or not."""
    seen = played(SITUATIONS["requests"], seed=seed, first=first)
    assert set(seen.tokens) == {*MODELS, *JUDGES}
    for share in seen.prediction.workload.shares:
        asked, said = seen.tokens[share.party]
        assert within(asked, share.input), share
        assert within(said, share.output), share
        assert share.basis == (
            "seen" if first else "default" if share.stage == "judgments" else "references"
        )
    (total,), (fit,) = seen.prediction.totals, seen.prediction.fits
    spent = seen.outcome.spent.total.spent - fit.booked
    assert total.worst is not None
    assert total.low <= spent <= total.worst


def test_what_came_makes_the_guess_better() -> None:
    """Six questions teach what the other fourteen will take, to a quarter in all."""
    seen = played(SITUATIONS["requests"], first=6)
    work = seen.prediction.workload
    asked, said = (sum(pair[i] for pair in seen.tokens.values()) for i in (0, 1))
    assert work.input.likely == pytest.approx(asked, rel=0.1)
    assert work.output.likely == pytest.approx(said, rel=0.25)
    assert all(share.latency_seen for share in work.shares)
    for share in work.shares[: len(MODELS)]:  # all words are known, and how they are counted, too
        assert share.input.likely == pytest.approx(seen.tokens[share.party][0], rel=0.03)


def test_dialogues_are_measured_with_the_answers_they_will_hold() -> None:
    """A third turn carries two answers, and is judged with all that was said."""
    seen = played(SITUATIONS["requests"], benchmark="own.jsonl", limit=None)
    shares = {share.party: share for share in seen.prediction.workload.shares}
    assert shares["m0"].turns == 3
    for party, (asked, said) in seen.tokens.items():
        assert within(asked, shares[party].input)
        assert within(said, shares[party].output)
