"""A run's folder: started, resumed, grown, refused, read."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from cache.journal import FORMAT, RunLock, Tail, scan, seal, survey
from cache.offload import Inline
from data.codec import encode, replace
from data.errors import (
    ConfigError,
    DataError,
    JournalDamaged,
    JournalMismatch,
    RunBusy,
    StorageError,
)
from data.schema import (
    Amended,
    Answer,
    Failure,
    Header,
    Judgment,
    Record,
    Response,
    Synced,
    Trial,
    Verdict,
)
from engine.config import Loaded, load
from engine.identity import digest
from engine.plan import State
from engine.rundir import Opened, find_run, open_run, read_run, records
from providers.virtual import new_loop

Result = TypeVar("Result")

HEAD = 'name = "night"\nbenchmark = "mini"\nseed = 1\n'
ONE = '[[models]]\nname = "one"\nprovider = "simulated"\nmodel = "m-1"\n'
TWO = '[[models]]\nname = "two"\nprovider = "simulated"\nmodel = "m-2"\n'
JUDGE = '[[judges]]\nname = "j"\nprovider = "simulated"\nmodel = "g"\nrubric = "alignsweep"\n'
SWEEP = HEAD + ONE + JUDGE

FRESH = {"benchmark.json", "journal.jsonl", "lock", "rubrics.json", "sweep.toml"}


def loaded(tmp_path: Path, text: str = SWEEP) -> Loaded:
    path = tmp_path / "my-sweep.toml"
    path.write_text(text)
    return load(path, home=tmp_path / "home")


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """On virtual time."""
    return anyio.run(main, backend_options={"loop_factory": new_loop})


def visit(
    folder: Path, sweep: Loaded, work: Callable[[Opened], Any] = lambda _: None, *, now: float = 7.0
) -> Any:
    """Open the run, do something with it, and close it."""

    async def main() -> Any:
        opened = open_run(folder, sweep, offload=Inline(), tell=lambda _: None, wall=lambda: now)
        try:
            return work(opened)
        finally:
            await opened.aclose()

    return run(main)


def notes(opened: Opened) -> list[str]:
    return opened.notes


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and bytes; the lock apart, which whoever looks must take."""
    return {
        p.name: (p.stat().st_mode, p.read_bytes()) for p in folder.iterdir() if p.name != "lock"
    }


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def answer(opened: Opened, number: int, text: str) -> Answer:
    record = Answer(trial=opened.plan.trial(number), response=Response(text=text))
    place = opened.journal.append(record)
    opened.ledger.enter(record, place.offset, place.length)
    return record


def last(folder: Path, kind: type[Result]) -> Result:
    return [record for record in records(folder) if isinstance(record, kind)][-1]


# --- starting ----------------------------------------------------------------------------------


def test_a_start_leaves_all_that_a_report_needs(tmp_path: Path) -> None:
    """The sweep file byte for byte, the questions, the rubrics, and a journal with its header."""
    folder, sweep = tmp_path / "runs" / "night", loaded(tmp_path)
    assert visit(folder, sweep, notes) == []
    assert {p.name for p in folder.iterdir()} == FRESH
    assert (folder / "sweep.toml").read_bytes() == SWEEP.encode()
    stored = read_run(folder)
    assert (stored.benchmark, stored.rubrics) == (sweep.benchmark, sweep.rubrics)
    assert stored.sweep == stored.header.sweep == sweep.sweep
    assert stored.header.digest == digest(sweep.sweep)
    assert (stored.header.format, stored.header.created_s) == (FORMAT, 7.0)
    assert [type(r) for r in records(folder)] == [Header]


def test_two_starts_of_one_sweep_are_two_runs(tmp_path: Path) -> None:
    """Their run ids differ, their digests do not."""
    sweep = loaded(tmp_path)
    visit(tmp_path / "a", sweep, now=1.0)
    visit(tmp_path / "b", sweep, now=2.0)
    one, two = read_run(tmp_path / "a").header, read_run(tmp_path / "b").header
    assert one.run_id != two.run_id
    assert one.digest == two.digest


def test_a_run_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    """Folder 0700, files 0600, also those that resuming writes."""
    folder = tmp_path / "runs" / "night"
    with umask(0):
        visit(folder, loaded(tmp_path))
        visit(folder, loaded(tmp_path, SWEEP + TWO))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()} == dict.fromkeys(
        FRESH, 0o600
    )


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    """`--run-dir .` must not lock others out of a project; the files in it are private anyway."""
    folder = tmp_path / "project"
    folder.mkdir()
    folder.chmod(0o755)
    with umask(0):
        visit(folder, loaded(tmp_path))
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}


def test_a_start_that_was_killed_half_way_can_be_started_again(tmp_path: Path) -> None:
    """After each of its files, and in the middle of each."""
    sweep = loaded(tmp_path)
    visit(tmp_path / "whole", sweep)
    files = ["sweep.toml", "benchmark.json", "rubrics.json", "journal.jsonl"]
    for step, name in enumerate(files):
        for part in (0, 10):
            folder = tmp_path / f"killed-{step}-{part}"
            folder.mkdir()
            for done in files[:step]:
                (folder / done).write_bytes((tmp_path / "whole" / done).read_bytes())
            unborn = "journal.new" if name == "journal.jsonl" else name + ".new"
            (folder / unborn).write_bytes((tmp_path / "whole" / name).read_bytes()[:part])
            visit(folder, sweep)
            assert {p.name for p in folder.iterdir()} == FRESH
            assert read_run(folder).sweep == sweep.sweep


def test_somebodys_own_sweep_file_is_not_overwritten(tmp_path: Path) -> None:
    """A folder without a journal is no run, so what lies there is not ours."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sweep.toml").write_text("# my work of last week\n")
    before = snapshot(folder)
    with pytest.raises(ConfigError, match="would be overwritten") as caught:
        visit(folder, loaded(tmp_path))
    assert "--run-dir" in str(caught.value)
    assert snapshot(folder) == before


@pytest.mark.parametrize("below", ["file", "file/run", "file/a/run"])
def test_a_place_that_cannot_be_a_folder_is_one_clear_error(tmp_path: Path, below: str) -> None:
    """It names the place and another way."""
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / below
    with pytest.raises(ConfigError, match="cannot make the run folder") as caught:
        visit(folder, loaded(tmp_path))
    assert str(folder) in str(caught.value)
    assert "--run-dir" in str(caught.value)


@pytest.mark.parametrize("name", ["lock", "sweep.toml.new", "journal.new"])
def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path, name: str) -> None:
    """Here a folder lies in its place; the run can be started once it is gone."""
    folder = tmp_path / "run"
    (folder / name).mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot (lock|write|start) .*directory"):
        visit(folder, loaded(tmp_path))
    (folder / name).rmdir()
    visit(folder, loaded(tmp_path))


def test_a_run_at_work_is_refused_and_free_afterwards(tmp_path: Path) -> None:
    """Also when the start in between failed."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)

    def meanwhile(_: Opened) -> None:
        before = snapshot(folder)
        with pytest.raises(RunBusy, match=f"in use by process {os.getpid()} on "):
            open_run(folder, sweep, offload=Inline(), tell=lambda _: None, wall=lambda: 0.0)
        assert snapshot(folder) == before

    visit(folder, sweep, meanwhile)
    with pytest.raises(JournalMismatch):
        visit(folder, loaded(tmp_path, SWEEP.replace("seed = 1", "seed = 2")))
    RunLock(folder).close()


# --- resuming ----------------------------------------------------------------------------------


def test_resuming_knows_what_was_done_and_where_each_answer_stands(tmp_path: Path) -> None:
    """The last line of a trial decides."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)
    odd = "答\ud800\x00\u2028\r\n"

    def first(opened: Opened) -> None:
        answer(opened, 0, odd)
        opened.journal.append(Failure(trial=opened.plan.trial(1), error="Overloaded", message=""))
        opened.journal.append(Failure(trial=opened.plan.trial(2), error="Overloaded", message=""))
        answer(opened, 2, "second try")
        [judged] = opened.plan.judgments_of(0)
        trial = opened.plan.trial(judged)
        opened.journal.append(Judgment(trial=trial, asks=(), verdict=Verdict(8.0)))

    def second(opened: Opened) -> list[State]:
        assert opened.notes == []
        assert (opened.answer_text(0), opened.answer_text(2)) == (odd, "second try")
        assert opened.ledger.foreign == 0
        [judged] = opened.plan.judgments_of(0)
        return [opened.ledger.state(n) for n in (0, 1, 2, 3, judged)]

    visit(folder, sweep, first)
    expected = [State.ANSWERED, State.FAILED, State.ANSWERED, State.PENDING, State.JUDGED]
    assert visit(folder, sweep, second) == expected
    assert visit(folder, sweep, second) == expected


def test_a_torn_tail_is_cut_and_said(tmp_path: Path) -> None:
    """The answer in it is owed again; what stood before it is kept."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)
    visit(folder, sweep, lambda opened: answer(opened, 0, "kept"))
    path = folder / "journal.jsonl"
    size = path.stat().st_size
    torn = seal(Answer(trial=read_trial(folder), response=Response(text="torn")))[:-9]
    path.write_bytes(path.read_bytes() + torn)
    assert survey(path, lambda *_: None).torn == Tail(size, len(torn))
    told = visit(folder, sweep, notes)
    assert told == [f"the journal ended in {len(torn)} torn bytes (a crash); they were cut away"]
    assert [r.response.text for r in records(folder) if isinstance(r, Answer)] == ["kept"]
    assert visit(folder, sweep, notes) == []


def read_trial(folder: Path) -> Trial:
    return last(folder, Answer).trial


def test_an_answer_that_changed_on_disk_is_not_given_to_a_judge(tmp_path: Path) -> None:
    """Its line is checked again when it is read again."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)

    def work(opened: Opened) -> None:
        answer(opened, 0, "eight")
        path = folder / "journal.jsonl"
        data = path.read_bytes()
        path.write_bytes(data.replace(b'"eight"', b'"three"'))
        with pytest.raises(DataError, match="was an answer a moment ago"):
            opened.answer_text(0)
        path.write_bytes(data)
        assert opened.answer_text(0) == "eight"

    visit(folder, sweep, work)


def test_a_grown_sweep_goes_on_and_the_journal_says_since_when(tmp_path: Path) -> None:
    """A model and a judge come in; what was done stays done."""
    folder = tmp_path / "run"
    visit(folder, loaded(tmp_path, HEAD + ONE), lambda opened: answer(opened, 0, "kept"))
    assert read_run(folder).rubrics == {}
    grown = loaded(tmp_path, SWEEP + TWO)
    told = visit(folder, grown, lambda o: (o.notes, o.answer_text(0), len(o.plan)), now=99.0)
    amended = last(folder, Amended)
    changes = ("model `two` was added", "judge `j` was added")
    assert told == (["since the last session: " + "; ".join(changes)], "kept", len_plan(grown))
    assert amended == Amended(digest(grown.sweep), 99.0, changes, grown.sweep)
    stored = read_run(folder)
    assert (stored.sweep, stored.rubrics) == (grown.sweep, grown.rubrics)
    assert stored.header.digest != amended.digest
    assert (folder / "sweep.toml").read_text() == HEAD + ONE
    assert visit(folder, grown, notes) == []


def len_plan(sweep: Loaded) -> int:
    """Answers of two models, one judgment each."""
    return 2 * 2 * len(sweep.benchmark.questions)


def test_growing_that_was_killed_half_way_is_made_up_for(tmp_path: Path) -> None:
    """The rubrics come first: a run whose journal names a judge always has its rubric."""
    folder, grown = tmp_path / "run", loaded(tmp_path, SWEEP)
    visit(folder, loaded(tmp_path, HEAD + ONE))
    before = snapshot(folder)
    visit(folder, grown)
    after = snapshot(folder)
    whole = after["journal.jsonl"][1]
    for end in range(len(before["journal.jsonl"][1]), len(whole), 97):
        (folder / "rubrics.json").write_bytes(after["rubrics.json"][1])
        (folder / "journal.jsonl").write_bytes(whole[:end])
        assert set(read_run(folder).rubrics) == {"alignsweep"}
        visit(folder, grown)
        assert read_run(folder).sweep == grown.sweep
        assert read_run(folder).rubrics == grown.rubrics


def test_limits_may_change_and_are_said(tmp_path: Path) -> None:
    """They decide no result, so the digest stays."""
    folder = tmp_path / "run"
    visit(folder, loaded(tmp_path))
    faster = loaded(tmp_path, SWEEP + "[providers.simulated]\nrpm = 90\nconcurrency = 3\n")
    [note] = visit(folder, faster, notes)
    assert "providers.simulated.rpm: (unset) -> 90" in note
    assert last(folder, Amended).digest == read_run(folder).header.digest
    assert visit(folder, faster, notes) == []


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        (SWEEP.replace("seed = 1", "seed = 2"), "seed: 1 -> 2"),
        (SWEEP.replace('"m-1"', '"m-9"'), "model `one`: model: m-1 -> m-9"),
        (HEAD + TWO + JUDGE, "model `one` was removed"),
        (HEAD + ONE, "judge `j` was removed"),
        (SWEEP.replace("seed = 1", "seed = 1\nsamples = 3"), "samples: 1 -> 3"),
        (SWEEP + "temperature = 1.0\n", "judge `j`: temperature: 0.0 -> 1.0"),
        (SWEEP + "[providers.simulated.simulator]\nseed = 9\n", "identity"),
    ],
    ids=["seed", "model", "model gone", "judge gone", "samples", "temperature", "simulator"],
)
def test_a_changed_sweep_is_refused_with_the_difference_and_the_run_is_untouched(
    tmp_path: Path, text: str, difference: str
) -> None:
    """Old answers would stand beside new ones under one name."""
    folder = tmp_path / "run"
    visit(folder, loaded(tmp_path), lambda opened: answer(opened, 0, "kept"))
    torn = (folder / "journal.jsonl").read_bytes() + b'{"kind":"ans'
    (folder / "journal.jsonl").write_bytes(torn)
    before = snapshot(folder)
    with pytest.raises(JournalMismatch) as caught:
        visit(folder, loaded(tmp_path, text))
    assert difference in str(caught.value)
    assert "my-sweep.toml differs" in str(caught.value)
    assert "--fork" in str(caught.value)
    assert snapshot(folder) == before


def sealed(body: bytes) -> bytes:
    """A line as `seal` would write it, of whatever."""
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def test_a_journal_of_another_format_is_refused_by_its_number(tmp_path: Path) -> None:
    """Before anything is made of its other lines, which may be of kinds unknown here."""
    folder = tmp_path / "run"
    visit(folder, loaded(tmp_path))
    path = folder / "journal.jsonl"
    later = replace(read_run(folder).header, format=2, engine="alignsweep 9.9\x1b[31m")
    path.write_bytes(seal(later) + sealed(b'{"kind":"dream"') + seal(Synced(10_000)))
    before = snapshot(folder)
    for look in (lambda: visit(folder, loaded(tmp_path)), lambda: read_run(folder)):
        with pytest.raises(DataError, match="format 2; this engine writes 1") as caught:
            look()
        assert "made by alignsweep 9.9" in str(caught.value)
        assert "\x1b" not in str(caught.value)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b'{"question_id": 1, "category": "x"}\n', b"\x00" * 512]
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """Even though it has the journal's name."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(content)
    before = snapshot(folder)
    with pytest.raises(JournalDamaged, match="journal"):
        visit(folder, loaded(tmp_path))
    with pytest.raises(DataError, match="journal"):
        read_run(folder)
    assert snapshot(folder) == before


def test_a_damaged_run_is_neither_resumed_nor_reported(tmp_path: Path) -> None:
    """A table without the lines that were lost would look as good as any."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)

    def work(opened: Opened) -> None:
        answer(opened, 0, "eight")
        answer(opened, 1, "nine")

    visit(folder, sweep, work)
    visit(folder, sweep)
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"eight", b"three"))
    before = snapshot(folder)
    number = [line for line, (_, r) in enumerate(scan(path), start=1) if r is None]
    assert number == [2]
    with pytest.raises(JournalDamaged, match="journal"):
        visit(folder, sweep)
    with pytest.raises(JournalDamaged) as caught:
        list(records(folder))
    assert f"{path}:2: " in str(caught.value)
    with pytest.raises(JournalDamaged):
        read_run(folder)
    assert snapshot(folder) == before


# --- reading only ------------------------------------------------------------------------------


def test_a_run_at_work_can_be_read(tmp_path: Path) -> None:
    """Without its lock; a line that is being written is left out."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)

    def work(opened: Opened) -> list[Record]:
        done = answer(opened, 0, "done")
        path = folder / "journal.jsonl"
        with path.open("ab") as file:
            file.write(seal(done)[:30])
        assert read_run(folder).sweep == sweep.sweep
        return [record for record in records(folder) if isinstance(record, Answer)]

    assert [r.response.text for r in visit(folder, sweep, work)] == ["done"]


def test_a_run_is_found_by_its_folder_and_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is looked for below ./runs; a folder without a journal is no run."""
    monkeypatch.chdir(tmp_path)
    visit(Path("runs/night"), loaded(tmp_path))
    visit(Path("elsewhere"), loaded(tmp_path))
    Path("runs/empty").mkdir()
    assert find_run("night") == Path("runs/night")
    assert find_run("elsewhere") == Path("elsewhere")
    assert find_run(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    for name in ("empty", "nothing", "", "\x00", "x" * 300):
        with pytest.raises(ConfigError, match="no run"):
            find_run(name)


@pytest.mark.parametrize("name", ["benchmark.json", "rubrics.json"])
def test_a_run_with_a_file_missing_or_spoilt_is_one_clear_error(tmp_path: Path, name: str) -> None:
    """It names the file."""
    folder = tmp_path / "run"
    visit(folder, loaded(tmp_path))
    for content in (b"", b"[1]", b'{"a": 1}', None):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_run(folder)
        assert str(caught.value).startswith(str(folder / name))


def test_what_is_stored_is_plain_json(tmp_path: Path) -> None:
    """Anybody's tools can read a run."""
    folder, sweep = tmp_path / "run", loaded(tmp_path)
    visit(folder, sweep)
    for name, value in (("benchmark.json", sweep.benchmark), ("rubrics.json", sweep.rubrics)):
        assert json.loads((folder / name).read_bytes()) == json.loads(encode(value))
