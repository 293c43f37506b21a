"""All chosen scenes, many at a time, each judged as soon as it is over."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from data.errors import ConfigError
from data.schema import Struct
from data.text import printable
from engine.selftest.expected import says
from engine.selftest.invariants import CHECKS
from engine.selftest.theatre import Performance, perform, silent_port
from providers.hostile.repertoire import SCENES
from providers.hostile.scene import Scene
from providers.hostile.server import HostileServer, Mode, hostile_server

SIDE_BY_SIDE, HEAVY = 128, 6
"""Performances at once: of what mostly waits, and of what keeps a processor busy."""
BREATH_S, LATE_S = 0.01, 0.05
"""The next one begins when a sleep of so long ends no later than this."""
Part: TypeAlias = tuple[Scene, Mode]


class Verdict(Struct, frozen=True, kw_only=True):
    """What one performance came to."""

    name: str
    mode: Mode
    expected: str
    """What must happen, in words."""
    ends: str
    """The state in which its trials have to end."""
    state: Literal["ok", "FAILED"]
    complaints: tuple[str, ...]
    """Each begins with the name of its check."""
    requests: int
    took_s: float


def parts(only: Sequence[str] = ()) -> list[Part]:
    """Every scene in every mode, or those whose name is `only`'s or begins with it (before a `*`).

    Raises ConfigError for a name that fits nothing.
    """
    for name in only:
        if not any(_fits(scene, name) for scene in SCENES.values()):
            raise ConfigError(
                f"no scene `{printable(name, 80)}`",
                where="--only",
                how="see alignsweep selftest --list",
            )
    return [
        (scene, mode)
        for scene in SCENES.values()
        for mode in scene.modes
        if not only or any(_fits(scene, name) for name in only)
    ]


def scratch() -> Path:
    """A new folder in memory if there is such a place: a slow disk must not make deadlines pass."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="alignsweep-selftest-", dir=place))


async def perform_all(
    chosen: Sequence[Part], folder: Path, tell: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """Play them all in `folder`, which is left empty but for what failed. `tell` hears each at its end."""
    light, heavy = asyncio.Semaphore(SIDE_BY_SIDE), asyncio.Semaphore(HEAVY)
    door = asyncio.Lock()
    silent = await silent_port()

    async def play(part: Part, server: HostileServer) -> Verdict:
        async with heavy if part[0].heavy else light:
            async with door:
                await _breath()
            home = folder / f"{part[0].name}.{part[1]}"
            port = int(silent.sockets[0].getsockname()[1])
            verdict = judged(await perform(*part, server, home, port))
            server.ledger.houses.pop(home.name, None)
            if verdict.state == "ok":
                await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
            tell(verdict)
            return verdict

    try:
        verdicts: list[Verdict] = []
        async with hostile_server() as server:
            for kind in (False, True):  # short deadlines first, undisturbed
                acts = [play(part, server) for part in chosen if part[0].heavy is kind]
                verdicts += await asyncio.gather(*acts)
        return verdicts
    finally:
        silent.close()


def judged(shown: Performance) -> Verdict:
    """Hold a performance against everything that must be so."""
    complaints = tuple(
        f"{name}: {printable(sentence, 300)}"
        for name, check in CHECKS.items()
        for sentence in _careful(check, shown)
    )
    return Verdict(
        name=shown.scene.name,
        mode=shown.mode,
        expected=says(shown.scene),
        ends=shown.state,
        state="FAILED" if complaints else "ok",
        complaints=complaints,
        requests=len(shown.exchanges),
        took_s=round(shown.took_s, 3),
    )


async def _breath() -> None:
    """Until the loop is punctual: what begins now then finds deadlines kept by its own doing only."""
    clock = asyncio.get_running_loop().time
    late_s = LATE_S
    while late_s >= LATE_S:
        due = clock() + BREATH_S
        await asyncio.sleep(BREATH_S)
        late_s = clock() - due


def _careful(check: Callable[[Performance], Iterator[str]], shown: Performance) -> list[str]:
    """A check that breaks is a complaint, too."""
    try:
        return list(check(shown))
    except Exception as error:
        return [f"could not be checked: {type(error).__name__}: {error}"]


def _fits(scene: Scene, name: str) -> bool:
    return scene.name.startswith(name[:-1]) if name.endswith("*") else scene.name == name
