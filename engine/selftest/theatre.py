"""One performance: a small sweep of the real engine, over real sockets, against one scene.

Each performance has an address, a run folder and a cache of its own, so many go on side by side. The
cast: `target`, who is played to (or answers soundly, where the scene is the judge's), `judge`, and
`other` at an account of its own where the scene stops one. Two questions, two calls in flight.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data import codec
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.selftest.expected import ATTEMPTS, LIMITED, state_of, stops
from engine.streams import Options
from providers.hostile.ledger import Exchange
from providers.hostile.scene import Scene
from providers.hostile.server import HOST, HostileServer, House, Mode

KEY = "sk-selftest-4c8f1b7e90d25a63"
"""What must never be seen anywhere but in the header that carries it."""
KEY_ENV = "ALIGNSWEEP_SELFTEST_K"
IN_FLIGHT = 2
QUESTIONS = (1, 2)
DEADLINE_S, LIMITED_S = 30.0, 6.0
"""What a trial may take: in general, and where it is limited for ever."""
PRICE = (1000, 2000)
"""Nano-dollars a token, in and out."""
LONGEST_S = 60.0
"""No performance takes longer, whatever is played."""

_SWEEP = """\
name = "selftest"
benchmark = "questions.jsonl"
attempts = {attempts}
asks = {attempts}
deadline_s = {deadline_s}

[budget]
total = "1000"

[providers.stage]
api = "openai-chat"
base_url = "{stage_url}"
api_key_env = "{key_env}"
concurrency = {in_flight}
timeout_s = {timeout_s}

[providers.calm]
api = "openai-chat"
base_url = "{calm_url}"
api_key_env = "{key_env}"
concurrency = {in_flight}
timeout_s = 30.0
"""
_PARTY = """
[[{table}]]
name = "{name}"
provider = "{provider}"
model = "{name}"
max_tokens = 64
price = {{ currency = "USD", input = "1", output = "2" }}
"""


@dataclass(eq=False)
class Performance:
    """What was played, what both sides wrote down, and how it ended."""

    scene: Scene
    mode: Mode
    folder: Path
    exchanges: Sequence[Exchange] = ()
    strangers: Sequence[str] = ()
    """Requests at an address to which only a redirect leads."""
    outcome: Outcome | None = None
    crash: str = ""
    took_s: float = 0.0
    lines: list[dict[str, Any]] = field(default_factory=list)
    """The journal, as plain JSON."""

    @property
    def name(self) -> str:
        """Scene and mode."""
        return f"{self.scene.name}.{self.mode}"

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def state(self) -> str:
        """How each trial of whom was played to has to end."""
        return state_of(self.scene, self.mode)

    @property
    def models(self) -> tuple[str, ...]:
        """Who answers."""
        return ("target", "other") if stops(self.scene) else ("target",)


async def perform(
    scene: Scene, mode: Mode, server: HostileServer, folder: Path, silent: int
) -> Performance:
    """Play a scene. `silent`: a port where nobody ever says a word. Never raises for what goes wrong."""
    shown = Performance(scene, mode, folder)
    server.open_house(shown.name, House(scene.play, scene.model, mode))
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        loaded = _loaded(shown, server, silent)
        async with asyncio.timeout(LONGEST_S):
            shown.outcome = await conduct(loaded, _options(loaded, shown), _outside(shown, began))
    except TimeoutError:
        shown.crash = f"it did not end within {LONGEST_S:g} s"
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        place = traceback.extract_tb(error.__traceback__)[-1]
        shown.crash = f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})"
    shown.took_s = loop.time() - began
    shown.exchanges = server.ledger.of(shown.name)
    shown.strangers = tuple(server.ledger.strangers)
    journal = shown.run / "journal.jsonl"
    if journal.exists():
        shown.lines = [codec.decode(line) for line in journal.read_bytes().split(b"\n") if line]
    return shown


def _loaded(shown: Performance, server: HostileServer, silent: int) -> Loaded:
    folder, scene = shown.folder, shown.scene
    folder.mkdir(parents=True)
    rows = [codec.encode({"id": n, "question": f"问题 QST{n}QST？"}) for n in QUESTIONS]
    (folder / "questions.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    house = server.url(shown.name)
    own = scene.url.replace("PORT", str(server.port)).replace("SILENT", str(silent))
    limited = shown.mode == "always" and scene.meets == LIMITED
    text = _SWEEP.format(
        attempts=ATTEMPTS,
        deadline_s=LIMITED_S if limited else DEADLINE_S,
        stage_url=own or house,
        calm_url=house,
        key_env=KEY_ENV,
        in_flight=IN_FLIGHT,
        timeout_s=scene.timeout_s,
    )
    for name in shown.models:
        on_stage = name == scene.model
        text += _PARTY.format(table="models", name=name, provider="stage" if on_stage else "calm")
    judges = "stage" if scene.model == "judge" else "calm"
    text += _PARTY.format(table="judges", name="judge", provider=judges)
    (folder / "sweep.toml").write_text(text, encoding="utf-8")
    return load(folder / "sweep.toml", home=folder / "home")


def _options(loaded: Loaded, shown: Performance) -> Options:
    return Options(folder=shown.run, selection=select(loaded))


def _outside(shown: Performance, now_s: float) -> Outside:
    return Outside(
        env={KEY_ENV: KEY},
        cache_path=shown.folder / "cache.sqlite",
        now_s=now_s,
        view=None,
        stops=lambda session: None,
    )


async def silent_port() -> asyncio.Server:
    """A listener that takes connections and never says a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
        except OSError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, HOST, 0)
