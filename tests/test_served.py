"""Versions of a model that changed while a run was under way, and everybody who tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data import codec
from data.schema import Answer, Intent, Judgment, Response, Trial
from engine.events import AnswerSaved, JudgmentSaved, Planned
from engine.reports.web.notes import chinese
from engine.served import MOST, OTHERS, WORDS, Served, dated, sentence
from engine.tally import Tally

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """
name = "s"
benchmark = "mini"
[[models]]
name = "m"
provider = "one"
model = "qwen-7b-chat"
[[judges]]
name = "j"
provider = "two"
model = "CritiqueLLM"
[providers.one]
preset = "simulated"
concurrency = 1
simulator = { latency_s = 1.0, version_changes = [[0.0, "fp-old"], [5.0, "fp-new"]] }
[providers.two]
preset = "simulated"
"""


def answer(question: int, *said: str) -> Answer:
    trial = Trial(kind="answer", question_id=question, candidates=(("m", 0),))
    model, fingerprint, upstream = (*said, "", "", "")[:3]
    response = Response(text="x", served_model=model, fingerprint=fingerprint, upstream=upstream)
    return Answer(trial=trial, response=response)


def folded(*records: Answer | Judgment) -> Served:
    served = Served()
    for record in records:
        served.enter(record)
    return served


def test_what_is_said_once_and_what_is_not_said_is_no_change() -> None:
    """A refusal names no version; an alias is served under its real name from the beginning."""
    assert not folded(answer(1, "a"), answer(2), answer(3, "a", "f"), answer(4, "", "f")).changes()


@pytest.mark.parametrize("kind", range(len(WORDS)))
def test_every_kind_of_version_is_told_with_its_counts_and_times(kind: int) -> None:
    """From what, to what, when, how many."""
    old, new = ["", "", ""], ["", "", ""]
    old[kind], new[kind] = "v1", "v2"
    records = [answer(1, *old), answer(2, *old), answer(3, *new), answer(4, *old)]
    (change,) = folded(*records).changes()
    assert (change.stage, change.name, change.what) == ("generate", "m", WORDS[kind])
    assert [(v.value, v.count) for v in change.versions] == [("v1", 3), ("v2", 1)]
    intents = [Intent(n, r.trial, "p", 1_795_000_000.0 + n) for n, r in enumerate(records)]
    (told,) = dated((change,), intents)
    assert told.versions[1].since_s == 1_795_000_002.0
    said = sentence(told)
    assert said == (
        f"m: the {WORDS[kind]} changed: v1 (3 replies), then v2 (1, since 2026-11-18 11:06 UTC)."
    )
    assert chinese(said) != said


def test_replies_of_a_judge_are_the_judges() -> None:
    """Each ask is one."""
    trial = Trial(kind="judgment", question_id=1, candidates=(("m", 0),), judge="j", rubric="r")
    asks = tuple(Response(text="", served_model=name) for name in ("a", "b", "b"))
    (change,) = folded(Judgment(trial=trial, asks=asks)).changes()
    assert (change.stage, change.name) == ("judge", "j")
    assert [version.count for version in change.versions] == [1, 2]


def test_memory_is_bounded_by_versions_and_names_are_inert() -> None:
    """A gateway that invents a fingerprint for every reply fills no memory and moves no cursor."""
    served = folded(*(answer(n, "", f"f\x1b{n}") for n in range(10 * MOST)))
    (change,) = served.changes()
    assert len(change.versions) == MOST + 1
    assert change.versions[-1].value == OTHERS
    assert sum(version.count for version in change.versions) == 10 * MOST
    said = sentence(change)
    assert "and 47 more" in said
    assert "\x1b" not in said


def test_the_picture_of_a_running_sweep_tells_it_when_it_happens() -> None:
    """Once for each new version, with the time since the start; cached answers have none."""
    tally = Tally("s", started=100.0)
    tally.add(Planned("m", 3, 0), 100.0)
    for at, cached, name in ((101.0, True, "a"), (160.0, False, "b"), (161.0, False, "b")):
        tally.add(AnswerSaved("m", "answered", cached, said=(name, "", "")), at)
    tally.add(JudgmentSaved("m", "j", 5.0, False, said=("x", "", "")), 162.0)
    progress = tally.progress(170.0)
    (change,) = progress.served
    assert [(v.value, v.count, v.since_s) for v in change.versions] == [
        ("a", 1, None),
        ("b", 2, 60.0),
    ]
    assert [line.text for line in progress.log] == ["m: the served model changed from a to b"]
    assert "then b (2, 1m00s after the start)" in sentence(change, elapsed=True)


def test_every_report_of_a_run_tells_it(program: Program, tmp_path: Path) -> None:
    """The end of the run, status, and all formats that have notes."""
    (program.folder / "s.toml").write_text(SWEEP, encoding="utf-8")
    said = "m: the fingerprint changed: fp-old ("
    ended = program.run("run", "s.toml", "--limit", "12", "--progress", "none")
    assert ended.code == 0, ended
    assert "the fingerprint changed" in ended.out
    assert said in program.run("status", "runs/s").out
    assert said in program.run("report", "runs/s", "--format", "md").out.replace("\\", "")
    (judge,) = codec.decode(program.run("report", "runs/s", "--format", "json").out.encode())[
        "judges"
    ]
    (note,) = [note for note in judge["notes"] if "changed" in note]
    assert "since 20" in note
    page = (program.folder / "runs" / "s" / "report" / "report.html").read_text(encoding="utf-8")
    assert said in page
    assert "系统指纹中途有变" in page
    again = SWEEP.replace('name = "s"', 'name = "g"', 1)
    (program.folder / "g.toml").write_text(again, encoding="utf-8")
    answers = program.run("generate", "g.toml", "--limit", "12", "--progress", "none", "--no-cache")
    assert f"note: {said}" in answers.err
