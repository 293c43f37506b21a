"""The journal as a state machine: append, sync, die, reopen, mend, in any order, against a model."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cache.journal import Journal, RunLock, replay, seal, survey
from cache.offload import Inline
from cache.salvage import salvage
from data.errors import JournalDamaged, RunBusy
from data.schema import Answer, Header, Response, Sweep, Trial

MEMORY = Path("/dev/shm")
SWEEP = Sweep(
    name="s",
    benchmark="b",
    benchmark_sha256="0" * 64,
    rubric_sha256={},
    temperatures={},
    models=(),
    judges=(),
    providers=(),
)
HEADER = Header(format=1, run_id="r", digest="d", created_s=1.5, engine="e", sweep=SWEEP)


class Machine(RuleBasedStateMachine):
    """The model is a list of numbers; the journal must never hold another list than a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "journal.jsonl"
        self.loop = asyncio.new_event_loop()
        self.written: list[int] = []
        self.told: list[int] = []
        self.next = 0
        self.journal: Journal[int] | None = None
        self.lock: RunLock | None = None

    def teardown(self) -> None:
        self._die()
        self.loop.close()
        shutil.rmtree(self.folder)

    @initialize()
    def start(self) -> None:
        self.lock = RunLock(self.folder)
        self.journal = Journal.create(self.path, HEADER, Inline(), self.told.append)

    @precondition(lambda self: self.journal)
    @rule(size=st.integers(0, 600))
    def append(self, size: int) -> None:
        assert self.journal is not None
        trial = Trial(kind="answer", question_id=self.next, candidates=(("m", 0),))
        self.journal.append(
            Answer(trial=trial, response=Response(text="字" * size)), told=self.next
        )
        self.written.append(self.next)
        self.next += 1

    @precondition(lambda self: self.journal)
    @rule()
    def sync(self) -> None:
        assert self.journal is not None
        self.loop.run_until_complete(self.journal.sync())
        assert self.told[-1:] == self.written[-1:] or not self.written

    @precondition(lambda self: self.journal)
    @rule()
    def second_process(self) -> None:
        with pytest.raises(RunBusy):
            RunLock(self.folder)

    @precondition(lambda self: self.journal)
    @rule(share=st.floats(0, 1), junk=st.sampled_from([b"", b"\0" * 700, b"{\n\xff"]))
    def die(self, share: float, junk: bytes) -> None:
        """Anything beyond what is proven durable may be torn, and end in rubbish."""
        proven = survey(self.path, lambda place, record: None).durable
        durable = max(proven, len(seal(HEADER)))  # synced before the file got its name
        size = self.path.stat().st_size
        self._die()
        os.truncate(self.path, durable + round((size - durable) * share))
        with self.path.open("ab") as file:
            file.write(junk)
        self.written = self._held()

    @precondition(lambda self: self.journal is None)
    @rule()
    def reopen(self) -> None:
        self.lock = RunLock(self.folder)
        before = self._held()
        found = survey(self.path, lambda place, record: None)
        self.journal = Journal.reopen(
            self.path, found.size, Inline(), self.told.append, durable=found.durable
        )
        assert self._held() == before == self.written

    @precondition(lambda self: self.journal is None)
    @rule(at=st.integers(0, 10_000))
    def damage_and_mend(self, at: int) -> None:
        """A changed byte in a durable line is refused; mending loses that line and no other."""
        found = survey(self.path, lambda place, record: None)
        places = [
            (place, record.trial.question_id)
            for place, record in replay(self.path)
            if isinstance(record, Answer) and place.offset + place.length <= found.durable
        ]
        assert salvage(self.path) is None
        if not places:
            return
        place, lost = places[at % len(places)]
        data = bytearray(self.path.read_bytes())
        data[place.offset + at % (place.length - 1)] ^= 1
        self.path.write_bytes(data)
        with pytest.raises(JournalDamaged):
            survey(self.path, lambda place, record: None)
        mended = salvage(self.path)
        assert mended is not None
        assert mended.original.read_bytes() == bytes(data)
        self.written = [number for number in self.written if number != lost]
        self.told = [number for number in self.told if number != lost]
        assert salvage(self.path) is None

    @invariant()
    def nothing_told_is_lost(self) -> None:
        if self.path.exists():
            held = self._held()
            assert held == self.written
            assert set(self.told) <= set(held)

    def _held(self) -> list[int]:
        numbers = [r.trial.question_id for _, r in replay(self.path) if isinstance(r, Answer)]
        return [number for number in numbers if isinstance(number, int)]

    def _die(self) -> None:
        if self.journal is not None:
            os.close(self.journal._fd)
            self.journal = None
        if self.lock is not None:
            self.lock.close()
            self.lock = None


TestJournal = Machine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


@pytest.mark.torture
def test_ten_thousand_journals_keep_what_they_told() -> None:
    """The same machine, more often."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=10_000, stateful_step_count=50, deadline=None)
    )
