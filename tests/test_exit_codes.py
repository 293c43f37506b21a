"""Each exit code of docs/contracts.md through the real command line; its counts are the journal's."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from providers.hostile.repertoire import SCENES
from tests.hostile_host import hosting, questions, sweep

if TYPE_CHECKING:
    from providers.hostile.server import HostileServer
    from tests.conftest import Ended, Program

PRICE = 'max_tokens = 64\nprice = { currency = "USD", input = "1", output = "2" }'
KINDS = {"answer": "answered", "judgment": "judged", "failure": "failed"}


def prepared(program: Program, server: HostileServer, *, top: str = "", count: int = 3) -> None:
    (program.folder / "q.jsonl").write_text(questions(count))
    text = sweep(server.url("HOUSE"), {"target": "target"}, judge="target", top=top, party=PRICE)
    (program.folder / "s.toml").write_text(text)


def run(program: Program, *words: str) -> Ended:
    return program.run("run", "s.toml", "--progress", "none", *words)


def agrees(program: Program, **expected: int) -> None:
    """What `status` counts is what stands in the journal, line by line, and is as expected."""
    counted = json.loads(program.run("status", "s", "--json").out)["counts"]
    last: dict[str, str] = {}
    for line in (program.folder / "runs/s/journal.jsonl").read_bytes().split(b"\n"):
        row = json.loads(line) if line else {"kind": ""}
        if row["kind"] in KINDS:
            last[json.dumps(row["trial"])] = row.get("state", KINDS[row["kind"]])
    ours = [*last.values()]
    states = (*KINDS.values(), "refused")
    assert {name: counted[name] for name in states} == {name: ours.count(name) for name in states}
    assert {name: counted[name] for name in expected} == expected


def test_0_every_trial_is_final(program: Program) -> None:
    """And the summary says how many."""
    with hosting({"target": SCENES["slow"].play}) as server:
        prepared(program, server)
        ended = run(program)
    assert ended.code == 0
    agrees(program, answered=3, judged=3, failed=0, pending=0)


def test_0_refusals_are_final(program: Program) -> None:
    """A content filter's word is an outcome; there is nothing left to judge."""
    with hosting({"target": SCENES["200_content_filter"].play}) as server:
        prepared(program, server)
        assert run(program).code == 0
    agrees(program, refused=3, judged=0, failed=0, pending=0)


def test_1_an_internal_error(program: Program) -> None:
    """A bug of ours ends with a traceback, not with a table, and the journal is whole."""
    with hosting({"target": SCENES["500"].play}) as server:
        prepared(program, server)
        broken = "import engine.session as s; s.decide = lambda *a: 1 / 0"
        process = program.start("run", "s.toml", "--progress", "none", before=broken)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"ZeroDivisionError" in err
    assert out == b""
    agrees(program, answered=0, judged=0)


def test_2_the_user_can_mend_it(program: Program) -> None:
    """Nothing is sent."""
    with hosting({}) as server:
        prepared(program, server, top="asks = 0")
        assert run(program).code == 2
        assert server.ledger.houses == {}


def test_3_trials_failed(program: Program) -> None:
    """They are counted, in the summary and in the journal alike."""
    with hosting({"target": SCENES["400_schema"].play}) as server:
        prepared(program, server)
        ended = run(program)
    assert ended.code == 3
    assert "3 x" in ended.err
    agrees(program, answered=0, failed=3, pending=3)


def test_3_trials_are_pending(program: Program) -> None:
    """A dead key leaves everything to the next session."""
    with hosting({"target": SCENES["401"].play}) as server:
        prepared(program, server)
        assert run(program).code == 3
    agrees(program, answered=0, failed=0, pending=6)


def test_4_a_ceiling_is_reached(program: Program) -> None:
    """What is booked stays below it."""
    with hosting({}) as server:
        prepared(program, server, top='[budget]\ntotal = "0.002"')
        ended = run(program)
        assert ended.code == 4, ended
        assert server.ledger.of("target")
    status = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert sum(nano for _, _, nano in status["money"]) <= 2_000_000
    agrees(program, failed=0)


def test_6_a_report_is_not_what_the_journal_gives(program: Program) -> None:
    """One digit is enough."""
    with hosting({}) as server:
        prepared(program, server)
        assert run(program).code == 0
    assert program.run("verify", "s").code == 0
    table = program.folder / "runs/s/report/leaderboard.csv"
    table.write_bytes(table.read_bytes() + b"1")
    assert program.run("verify", "s").code == 6


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_130_interrupted(program: Program, presses: int) -> None:
    """While nobody answers: after the grace, at once, or in the middle of everything."""
    with hosting({"target": SCENES["hang"].play}) as server:
        prepared(program, server)
        words = ("run", "s.toml", "--progress", "none", "--grace", "0.5")
        process = program.start(*words)
        due = time.monotonic() + 40
        while not server.ledger.houses and time.monotonic() < due:
            time.sleep(0.02)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    agrees(program, answered=0, failed=0, pending=6)
