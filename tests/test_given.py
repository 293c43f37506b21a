"""Answers of any origin enter a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import AlignsweepError, ConfigError
from engine.config import Loaded, load
from engine.given import UPSTREAM_NULL, with_answers

SWEEP = """\
name = "s"
benchmark = "mini"
{more}
[[judges]]
name = "j"
provider = "simulated"
model = "j"
"""
NO_RUN = Path("no/such/run")
MODELS = '[[models]]\nname = "{}"\nprovider = "simulated"\nmodel = "x"\n'


def sweep(folder: Path, more: str = "") -> Loaded:
    """A sweep of one judge."""
    path = folder / "sweep.toml"
    path.write_text(SWEEP.format(more=more), encoding="utf-8")
    return load(path, home=folder)


def answers(folder: Path, *rows: dict[str, object], name: str = "a.jsonl") -> Path:
    """A file in AlignBench's model_answer format."""
    path = folder / name
    lines = [{"question_id": 1, "model_id": "m", "answer": "x"} | row for row in rows]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def complaint(loaded: Loaded, *paths: Path) -> str:
    """What is said about these files."""
    with pytest.raises(AlignsweepError) as caught:
        with_answers(loaded, paths, NO_RUN)
    return str(caught.value)


def test_models_are_those_of_the_files_in_order(tmp_path: Path) -> None:
    """Each once; they have no provider, for nothing will be asked of them."""
    path = answers(tmp_path, {"model_id": "乙"}, {"model_id": "a"}, {"question_id": 2})
    loaded, given = with_answers(sweep(tmp_path), [path], NO_RUN)
    assert [(m.name, m.provider) for m in loaded.sweep.models] == [("乙", ""), ("a", ""), ("m", "")]
    assert [(g.model, g.question_id, g.text) for g in given] == [
        ("乙", 1, "x"),
        ("a", 1, "x"),
        ("m", 2, "x"),
    ]
    assert loaded.benchmark == sweep(tmp_path).benchmark


def test_a_sweep_with_models_takes_only_their_answers(tmp_path: Path) -> None:
    """And stays as it is."""
    loaded = sweep(tmp_path, MODELS.format("m"))
    path = answers(tmp_path, {})
    assert with_answers(loaded, [path], NO_RUN)[0] is loaded
    path = answers(tmp_path, {}, {"model_id": "\x1b[2Jx"})
    said = complaint(loaded, path)
    assert said.startswith(f"{path}:2: an answer of `\\x1b[2Jx`, which is no model of ")


def test_null_is_no_answer_unless_upstreams_way_is_asked_for(tmp_path: Path) -> None:
    """AlignBench's own script judges the word None."""
    path = answers(tmp_path, {"answer": None}, {"question_id": 2, "answer": ""})
    _, given = with_answers(sweep(tmp_path), [path], NO_RUN)
    assert [g.text for g in given] == [None, ""]
    _, given = with_answers(sweep(tmp_path), [path], NO_RUN, null_as_none=True)
    assert [g.text for g in given] == [UPSTREAM_NULL, ""] == ["None", ""]


def test_without_files_a_sweep_needs_models(tmp_path: Path) -> None:
    """Then its own run's answers are judged."""
    loaded = sweep(tmp_path, MODELS.format("m"))
    assert with_answers(loaded, [], NO_RUN) == (loaded, ())
    with pytest.raises(ConfigError, match="no models in the sweep file and no --answers"):
        with_answers(sweep(tmp_path), [], NO_RUN)


def test_files_without_a_single_answer_are_refused(tmp_path: Path) -> None:
    """A session with nothing to do would look finished."""
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"\n\n")
    assert complaint(sweep(tmp_path), path) == f"{path}: no answers in these files"


def test_an_answer_file_has_one_sample(tmp_path: Path) -> None:
    """More of them would stay owed for ever."""
    said = complaint(sweep(tmp_path, "samples = 2"), answers(tmp_path, {}))
    assert "`samples` is 2; answer files hold one answer a question\n  set samples = 1" in said


@pytest.mark.parametrize("name", ["x" * 101, " ", "a\x1b[31m", "a\nb"])
def test_a_models_name_must_be_fit_to_be_shown(tmp_path: Path, name: str) -> None:
    """The same rule as for a sweep file's models."""
    path = answers(tmp_path, {}, {"model_id": name})
    said = complaint(sweep(tmp_path), path)
    assert said == f"{path}:2: `model_id` must be 1 to 100 printable characters"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"answer": 3}], "1: `answer` must be a text or null"),
        ([{}, {}], "2: m answers question 1 a second time"),
        ([{"question_id": True}], "1: `question_id` must be"),
    ],
)
def test_a_bad_line_is_told_with_its_place(
    tmp_path: Path, rows: list[dict[str, object]], says: str
) -> None:
    """Nothing is guessed."""
    path = answers(tmp_path, *rows)
    assert f"{path}:{says}" in complaint(sweep(tmp_path), path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And so is a folder without answers."""
    assert "no such file" in complaint(sweep(tmp_path), tmp_path / "none.jsonl")
    (tmp_path / "folder").mkdir()
    assert "no .jsonl file in this folder" in complaint(sweep(tmp_path), tmp_path / "folder")
