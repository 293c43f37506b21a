"""A sweep that is measured, foretold and then really run: on virtual time, against simulators."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from data.schema import Struct
from engine.benching.conduct import measure, reach
from engine.benching.folder import read
from engine.benching.foretold import foretold
from engine.benching.predicted import Prediction, Scenario
from engine.benching.settings import Settings
from engine.benching.stored import stored_answers
from engine.benching.targets import targets_of
from engine.benching.work import Finished, Order, World
from engine.bootstrap import Outcome, Outside, conduct
from engine.budget import Ceiling
from engine.config import Loaded, load, select
from engine.runtime import run as run_loop
from engine.streams import Options
from tests.benching_world import settings

MINI = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "mini.jsonl"
NOW_S = 1_800_000_000.0


class Came(Struct, frozen=True):
    """What a sweep took."""

    outcome: Outcome
    seconds: float
    nano: int


def sweep_text(
    *, models: int = 3, judges: int = 1, provider: str = "", judging: str | None = None,
    simulator: str = "", budget: str = "", seed: int = 0,
) -> str:  # fmt: skip
    """A sweep on one simulator, or, with `judging`, with its judges on another."""
    text = f'name = "s"\nbenchmark = "./many.jsonl"\nseed = {seed}\n'
    if budget:
        text += f'[budget]\ncurrency = "USD"\ntotal = "{budget}"\n'
    for name, own in (("p", provider), ("q", judging)):
        if own is not None:
            text += (
                f'[providers.{name}]\napi = "openai-chat"\nbase_url = "simulated:"\n'
                f"simulated = true\n{own}\n[providers.{name}.simulator]\n"
                f"seed = {seed}\nlatency_s = 2\n{simulator}\n"
            )
    price = 'max_tokens = 1000\nprice = { currency = "USD", input = "2.5", output = "10" }\n'
    for i in range(models):
        text += f'[[models]]\nname = "m{i}"\nprovider = "p"\nmodel = "gpt-4o"\n{price}'
    for i in range(judges):
        own = "p" if judging is None else "q"
        text += f'[[judges]]\nname = "j{i}"\nprovider = "{own}"\nmodel = "gpt-4o"\n{price}'
    return text


def many_questions(times: int = 4) -> Iterator[str]:
    """Those of the small benchmark, each so many times in other words."""
    rows = [json.loads(line) for line in MINI.read_text(encoding="utf-8").splitlines() if line]
    for i in range(times):
        for row in rows:
            changed = {
                "question_id": row["question_id"] + 1000 * i,
                "question": f"（{i}）{row['question']}",
            }
            yield json.dumps(row | changed, ensure_ascii=False)


def loaded_from(folder: Path, text: str) -> Loaded:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.toml").write_text(text, encoding="utf-8")
    (folder / "many.jsonl").write_text("\n".join(many_questions()), encoding="utf-8")
    return load(folder / "s.toml", home=folder / "home")


def predicted(folder: Path, loaded: Loaded, **given: Any) -> Prediction:
    """After a benchmark of both legs."""
    wanted: Settings = settings(**{"levels": (4, 8, 16), "max_requests": 70, **given})
    order = Order(
        loaded=loaded,
        settings=wanted,
        targets=targets_of(loaded, "both", wanted, date(2027, 1, 1)),
        answers=stored_answers(folder / "run"),
        ceiling=Ceiling(currency="USD"),
    )
    world = World(env={}, now_s=NOW_S, connect=reach, hear=lambda told: None, virtual=True)

    async def main() -> Finished:
        return await measure(order, folder / "b", world)

    run_loop(main, virtual=True)
    return foretold(loaded, folder / "run", read(folder / "b"), None, now_s=NOW_S)


def performed(folder: Path, loaded: Loaded, *, limit: int | None = None) -> Came:
    """The sweep itself; with a limit, its first questions, and no judge."""
    outside = Outside({}, None, NOW_S, None, lambda session: None)
    options = Options(
        folder=folder / "run", selection=select(loaded, limit=limit), judge=limit is None
    )

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    outcome, seconds = run_loop(session, virtual=True)
    return Came(outcome, seconds, outcome.spent.total.booked)


def as_written(found: Prediction) -> Scenario:
    """What is foretold for the sweep file as it stands."""
    return next(choice.scenario for choice in found.choices if choice.plan == "as written")
