"""`alignsweep data` as a user types it: what it says and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import sample_clone

ROOT = Path(__file__).resolve().parent.parent


class Result:
    """How one command ended."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out, self.err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Run:
    """Run `alignsweep data …` with a home of its own."""
    env = os.environ | {
        "XDG_DATA_HOME": str(tmp_path / "xdg"),
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
    }

    def run(*words: str | Path) -> Result:
        program = "from engine.cli.main import main; main()"
        command = [sys.executable, "-c", program, "data", *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
        return Result(done)

    return run


def test_import_list_show_and_validate_work_together(data: Run, tmp_path: Path) -> None:
    """From a clone to a judge prompt on the screen."""
    clone = sample_clone.make(tmp_path / "clone")
    first, again = data("import", clone), data("import", clone)
    assert (first.code, again.code) == (0, 0)
    assert "alignbench-v1.1: 3 questions, imported" in first.out
    assert "was there already, unchanged" in again.out
    listed = data("list").out
    assert "alignbench-v1.1  imported" in listed
    assert "note: not a published file" in listed
    valid = data("validate", "alignbench-v1.1")
    assert (valid.code, valid.out.splitlines()[-1]) == (0, "ok")
    assert "    2  专业能力 (1 subcategory, temperature 0.2)" in valid.out
    shown = data("show", "alignbench-v1.1", "--question", "2")
    assert " 1\\r加\u00a0{1}？" in shown.out
    prompt = data("show", "alignbench-v1.1", "--question", "2", "--rubric")
    assert "[助手的答案开始]\n（这里是助手的回答）\n[助手的答案结束]" in prompt.out
    assert "{question}" in data("show", "alignbench-v1.1", "--rubric").out


def test_a_bad_file_ends_with_code_2_and_all_its_faults(data: Run, tmp_path: Path) -> None:
    """On standard error, without a traceback or an escape code."""
    rows = [{"question_id": "\x1b[2J", "question": "q"}] * 2 + [{"question_id": 3}]
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    bad = data("validate", path)
    assert (bad.code, bad.out) == (2, "")
    assert "line 2: question_id \\x1b[2J stands on line 1 already" in bad.err
    assert "line 3: no question" in bad.err
    assert "Traceback" not in bad.err
    assert "\x1b" not in bad.err


def test_escape_codes_in_questions_are_shown_not_obeyed(data: Run, tmp_path: Path) -> None:
    """Neither from a question nor from a category or a file name."""
    path = tmp_path / "\x1b]0;name\x07.jsonl"
    row = {"id": 1, "category": "\x1b[31m", "question": "a\x1b[2J\u202eb\nc", "reference": "\x9b0m"}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    for words in (("show", path), ("show", path, "--question", "1"), ("validate", path)):
        shown = data(*words)
        assert shown.code == 0
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown.out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "nosuch"), "no benchmark is named 'nosuch'"),
        (("show", "mini", "--question", "zz"), "mini has no question 'zz'"),
        (("validate", "none.jsonl"), "none.jsonl: no such file"),
        (("import", "nowhere"), "no such folder"),
        (("fetch", "mmlu"), "to be had: alignbench"),
        (("fetch", "alignbench", "--version", "9"), "give 1.0, 1.1 or all"),
        (("fetch", "alignbench", "--base-url", "http://example.org"), "plain http is refused"),
    ],
)
def test_what_a_user_can_mend_ends_with_code_2(
    data: Run, words: tuple[str, ...], says: str
) -> None:
    """One message that says how."""
    ended = data(*words)
    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err
