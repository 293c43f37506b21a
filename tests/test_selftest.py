"""`alignsweep selftest`: every scene, and every check seen to fail."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.schema import Usage
from engine.runtime import run
from engine.selftest.invariants import CHECKS
from engine.selftest.performing import Verdict, parts, perform_all, scratch
from engine.selftest.theatre import KEY, Performance, perform, silent_port
from providers.hostile.repertoire import SCENES
from providers.hostile.server import Mode, hostile_server

if TYPE_CHECKING:
    from tests.conftest import Program


@pytest.fixture(scope="module")
def verdicts() -> Iterator[dict[str, list[Verdict]]]:
    """Every scene, once, twice and for ever, played in one go."""
    folder = scratch()

    async def main() -> list[Verdict]:
        return await perform_all(parts(), folder)

    found: dict[str, list[Verdict]] = {}
    for verdict in run(main):
        found.setdefault(verdict.name, []).append(verdict)
    yield found
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_ends_as_it_must(verdicts: dict[str, list[Verdict]], name: str) -> None:
    """However often it is played."""
    assert {v.mode for v in verdicts[name]} == set(SCENES[name].modes)
    assert [(v.mode, v.complaints) for v in verdicts[name] if v.complaints] == []


# --- the checks themselves ---------------------------------------------------------------------


def played(folder: Path, name: str, mode: Mode = "first") -> Performance:
    """One performance, to be tampered with."""

    async def main() -> Performance:
        silent = await silent_port()
        async with hostile_server() as server:
            port = int(silent.sockets[0].getsockname()[1])
            shown = await perform(SCENES[name], mode, server, folder / "p", port)
        silent.close()
        return shown

    return asyncio.run(main())


def lost_record(shown: Performance) -> None:
    shown.lines = [line for line in shown.lines if line["kind"] != "answer"]


def second_record(shown: Performance) -> None:
    shown.lines += [line for line in shown.lines if line["kind"] == "answer"]


def other_class(shown: Performance) -> None:
    next(line for line in shown.lines if line.get("error"))["error"] = "BadRequest"


def other_score(shown: Performance) -> None:
    next(line for line in shown.lines if line["kind"] == "judgment")["verdict"]["score"] = 99


def flipped_bit(shown: Performance) -> None:
    path = shown.run / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"attempt":2', b'"attempt":3', 1))


def early(shown: Performance) -> None:
    again = next(each for each in shown.exchanges if each.nth == 2)
    again.came_s = next(e for e in shown.exchanges if e.hostile).spoke_s or 0.0


def one_too_many(shown: Performance) -> None:
    shown.exchanges = [*shown.exchanges, *shown.exchanges[-3:]]


def wrong_tokens(shown: Performance) -> None:
    shown.exchanges[-1].usage = Usage(1, 1)


def others_text(shown: Performance) -> None:
    next(line for line in shown.lines if line["kind"] == "answer")["response"]["text"] = "other"


def late(shown: Performance) -> None:
    next(line for line in shown.lines if line["kind"] == "settled")["latency_s"] = 31.5


def flood(shown: Performance) -> None:
    shown.exchanges[0].sent = 1 << 30


def half_a_key(shown: Performance) -> None:
    (shown.run / "notes").write_text(KEY[-8:])


def cookie(shown: Performance) -> None:
    shown.exchanges[0].head += "\r\nCookie: a=b"


def readable(shown: Performance) -> None:
    (shown.run / "journal.jsonl").chmod(0o644)


def lured(shown: Performance) -> None:
    shown.strangers = [f"POST /elsewhere HTTP/1.1\r\nAuthorization: Bearer {KEY}"]


def escape(shown: Performance) -> None:
    next(line for line in shown.lines if line["kind"] == "settled")["message"] = "\x1b[2J"


@pytest.mark.parametrize(
    ("check", "tamper"),
    [
        ("ended", lost_record),
        ("records", second_record),
        ("records", other_class),
        ("records", other_score),
        ("records", flipped_bit),
        ("polite", early),
        ("polite", one_too_many),
        ("paid once", one_too_many),
        ("money", wrong_tokens),
        ("attributed", others_text),
        ("in time", late),
        ("bounded", flood),
        ("secret", half_a_key),
        ("secret", cookie),
        ("secret", readable),
        ("secret", lured),
        ("inert", escape),
    ],
)
def test_a_check_sees_what_it_is_there_for(
    tmp_path: Path, check: str, tamper: Callable[[Performance], None]
) -> None:
    """A check that never fires guards nothing."""
    shown = played(tmp_path, "429_ra_float")
    assert list(CHECKS[check](shown)) == []
    tamper(shown)
    assert list(CHECKS[check](shown)) != []


# --- the command -------------------------------------------------------------------------------


def test_the_command_says_a_line_a_performance(program: Program) -> None:
    """And leaves nothing behind."""
    ended = program.run("selftest", "--only", "500", "--only", "judge_t*")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines() if line.startswith("ok ")]
    assert sorted({line[1] for line in lines}) == ["500", "judge_two"]
    assert len(lines) == 6
    assert ended.out.endswith("all ok\n")
    assert program.files() == set()


def test_it_lists_and_speaks_json(program: Program) -> None:
    """Both are one scene a line, or one performance."""
    listed = program.run("selftest", "--list").out.splitlines()
    assert [line.split()[0] for line in listed] == list(SCENES)
    rows = program.run("selftest", "--json", "--only", "out_ansi").out.splitlines()
    assert [json.loads(row)["state"] for row in rows] == ["ok", "ok", "ok"]


def test_what_fails_is_said_and_kept_and_ends_with_6(program: Program) -> None:
    """The same command with a broken engine."""
    broken = "import engine.retry as r; r._jitter = lambda n, dice: 0.0"
    process = program.start("selftest", "--only", "500", before=broken)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 6
    assert b"polite: sent again after" in out
    folder = Path(err.decode().rpartition("their folders: ")[2].strip())
    assert (folder / "500.first" / "run" / "journal.jsonl").exists()


def test_an_unknown_scene_is_a_user_error(program: Program) -> None:
    """Nothing is played."""
    ended = program.run("selftest", "--only", "nope")
    assert (ended.code, ended.out) == (2, "")
