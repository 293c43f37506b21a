"""Canary keys, one from the environment and one from a file: nowhere afterwards, whoever repeats them."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from data.blotting import BLOT, Blotter
from engine.selftest.invariants import leaked
from providers.hostile.echoing import SCENES
from providers.hostile.server import House
from tests.hostile_host import hosting, questions, sweep

if TYPE_CHECKING:
    from tests.conftest import Program

IN_ENV = "sk-canary-env-8d1f0c7745ab93e2"
IN_FILE = "AIzaCanaryFile_6e0b2d94c8a71f35"
LOUD = "import logging, os; logging.basicConfig(level=1); os.umask(0)"
"""Every library says all that it can say, and the user's umask forbids nothing."""
CRASH = f"{LOUD}; import engine.session as s; s.decide = lambda *a: 1 / 0"


def prepared(program: Program, url: str) -> None:
    """A sweep in which each scene plays to a model with one key and to a model with the other."""
    names = [scene.name for scene in SCENES]
    (program.folder / "q.jsonl").write_text(questions(1))
    (program.folder / "secret").write_text(f"{IN_FILE}\n")
    (program.folder / "secret").chmod(0o600)
    program.env["CANARY_K"] = IN_ENV
    text = sweep(url, {name: f"h{name}" for name in names}, top="attempts = 2")
    by_file = f'api_key_file = "{program.folder / "secret"}"'
    parts = text.split("[providers.")
    for number, part in enumerate(parts[1:], start=1):
        key = by_file if number % 2 else 'api_key_env = "CANARY_K"'
        first, _, rest = part.partition("\n")
        parts[number] = f"{first}\n{key}\n{rest}"
    (program.folder / "s.toml").write_text("[providers.".join(parts))


def everything(program: Program) -> Iterator[tuple[str, bytes]]:
    """Every file but the one that holds the key, by name."""
    for path in program.folder.rglob("*"):
        if path.is_file() and path.name != "secret":
            yield path.name, path.read_bytes()


@pytest.mark.parametrize("before", [LOUD, CRASH], ids=["all logs on", "an internal error"])
def test_a_key_that_is_repeated_in_any_form_is_found_nowhere(program: Program, before: str) -> None:
    """Files, streams, tracebacks, command lines, addresses; and what is written is its owner's alone."""
    with hosting({}) as server:
        for scene in SCENES:  # a house is played to the model of its scene
            server.open_house(f"h{scene.name}", House(scene.play, scene.name, "always"))
        prepared(program, server.url("HOUSE"))
        process = program.start("run", "s.toml", "--progress", "plain", before=before)
        out, err = process.communicate(timeout=100)
        heard = [e for each in server.ledger.houses.values() for e in each]
    assert process.returncode == (1 if before == CRASH else 3), err[-2000:]
    keys = {key for e in heard for key in (IN_ENV, IN_FILE) if key in e.head}
    assert keys
    if before == LOUD:  # else it ended early
        assert len(heard) >= len(SCENES)
        assert keys == {IN_ENV, IN_FILE}
    assert not [e for e in heard for key in keys if key in e.head.partition("\r\n")[0]]
    seen = [*everything(program), ("stdout", out), ("stderr", err)]
    assert [(n, form) for n, data in seen for key in keys if (form := leaked(data, key))] == []
    loose = [
        path
        for folder in (program.folder / "runs", program.folder / "home")
        for path in folder.rglob("*")
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and not stat.S_ISSOCK(path.stat().st_mode)
    ]
    assert loose == []


def test_a_blotter_finds_a_key_wherever_it_was_encoded() -> None:
    """Base64 takes three bytes at a time: the key may begin at any of them."""
    key = "sk/canary+7f3a9b2c=="
    blot = Blotter(key)
    for before in ("", "a", "ab", "abc", "user:"):
        for after in ("", "x", "xyz"):
            text = base64.b64encode(f"{before}{key}{after}".encode()).decode()
            assert BLOT in blot.in_text(f"<{text}>")
    assert blot.in_text(quote(key, safe="")) == BLOT
    assert blot.in_bytes(key.encode()) == BLOT.encode()
    assert key not in repr(blot)


def test_a_dummy_key_is_a_word_and_stays() -> None:
    """Local servers are given keys like these, and answers may well use them."""
    for key in ("EMPTY", "none", ""):
        assert Blotter(key).in_text(f"an {key} answer") == f"an {key} answer"
    assert not Blotter("sk-no-key-required").sure
    assert Blotter(IN_ENV).sure
