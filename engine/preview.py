"""What a session would send, before it sends anything: for `plan`, `--dry-run` and a run's last words.

Reads the run's journal and the response cache if they exist, as the session will, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cache.bundle import Layered, open_bundles
from cache.journal import scan
from cache.responses import ResponseStore
from data.codec import decode_record
from data.schema import Answer, Struct, Trial
from engine.config import Loaded
from engine.escalation import Escalations
from engine.expectation import Seen
from engine.plan import Ledger, Plan, State
from engine.purse import Spent
from engine.rundir import check_same
from engine.streams import Options
from engine.walk import Walk
from engine.workload import Workload


class Ahead(Struct, frozen=True):
    """What is to come, and what it has cost so far."""

    workload: Workload
    spent: Spent
    """By earlier sessions of this run."""


def look_ahead(
    loaded: Loaded,
    options: Options,
    cache_path: Path | None,
    cache_from: Sequence[Path] = (),
    *,
    teach: Callable[[Plan, Seen], None] | None = None,
) -> Ahead:
    """The workload of a session. Raises JournalMismatch for a run that this sweep cannot go on with.

    `teach` adds replies that came elsewhere, such as in a benchmark of this sweep.
    """
    plan = Plan(loaded.sweep, loaded.benchmark)
    ledger, seen, spent = Ledger(plan), Seen(plan), Spent()
    journal = options.folder / "journal.jsonl"
    if journal.exists():
        check_same(options.folder, loaded)
        for place, record in scan(journal):
            if record is not None:
                ledger.enter(record, place.offset, place.length)
                seen.enter(record)
                spent.enter(record)
    spent.close()
    if teach is not None:
        teach(plan, seen)
    given = _given_texts(options, plan)
    for number in given:
        ledger.mark(number, State.ANSWERED)
    escalations = Escalations(plan, ledger)
    escalations.settle(foresee=True)
    with _stored(cache_path, cache_from) as store, _opened(journal) as file:

        def text_of(number: int) -> str:
            if number in given:
                return given[number]
            if file is None or ledger.offsets[number] < 0:
                raise KeyError(number)
            file.seek(ledger.offsets[number])
            record = decode_record(file.read(ledger.lengths[number]))
            return record.response.text if isinstance(record, Answer) else ""

        walk = Walk(
            loaded,
            options,
            ledger,
            store,
            text_of,
            seen=seen,
            escalations=escalations,
            caching=cache_path is not None,
        )
        return Ahead(walk.workload(), spent)


def _given_texts(options: Options, plan: Plan) -> dict[int, str]:
    """Answers from elsewhere, by the number of their trial."""
    texts: dict[int, str] = {}
    for given in options.answers:
        trial = Trial(kind="answer", question_id=given.question_id, candidates=((given.model, 0),))
        number = plan.number(trial)
        if number is not None and given.text is not None:
            texts[number] = given.text
    return texts


@contextmanager
def _stored(path: Path | None, below: Sequence[Path]) -> Iterator[Layered | None]:
    """The response cache, if there is one, above the files of replies."""
    if path is None:
        yield None
        return
    bundles = open_bundles(below)
    store = Layered(ResponseStore(path) if path.exists() else None, bundles)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _opened(journal: Path) -> Iterator[BinaryIO | None]:
    """The run's journal, if there is one."""
    if not journal.exists():
        yield None
        return
    with journal.open("rb") as file:
        yield file
