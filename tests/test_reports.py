"""Reports: one leaderboard in five formats, and nothing a model's name could do to any of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from data.answers import read_answers
from data.errors import DataError, StorageError
from data.schema import (
    Benchmark,
    JudgeSpec,
    Judgment,
    ParsePolicy,
    Question,
    Response,
    Result,
    Trial,
    Verdict,
)
from engine.events import AnswerSaved, JudgmentSaved, Planned, Stopped
from engine.reports import csvfile, jsonfile, markdown, terminal
from engine.reports.files import write_whole
from engine.reports.names import file_names
from engine.reports.table import ranks, sheets
from engine.reports.terminal import print_scores, print_summary
from engine.scores import Scores, score
from engine.tally import Tally

CATEGORIES = ("数学计算", "逻辑推理", "基本任务", "中文理解")
GROUPS: dict[str, tuple[str, ...]] = {"中文推理": CATEGORIES[:2], "中文语言": CATEGORIES[2:]}
HOSTILE = '=HYPER("x")|[a](b)<b>`c`[/red]\x1b[31m\u202e'


def judgment(model: str, question: int, value: float | None, *, fake: bool = False) -> Judgment:
    place = Trial(kind="judgment", question_id=question, candidates=((model, 0),), judge="评委")
    verdict = None if value is None else Verdict(value, {"事实正确性": value})
    compat = -1.0 if value is None else value
    asks = (Response(text="x", simulated=fake),)
    return Judgment(trial=place, asks=asks, verdict=verdict, compat=compat)


def scores_of(
    values: Mapping[str, Sequence[float | None]],
    *,
    fake: bool = False,
    parse: ParsePolicy = "robust",
) -> Scores:
    """One question per category; None is an unreadable verdict, a short list is a run under way."""
    questions = tuple(
        Question(id=i, category=c, subcategory=c, turns=("问",))
        for i, c in enumerate(CATEGORIES, start=1)
    )
    bench = Benchmark(name="小考", title="小考", questions=questions, sha256="ab", groups=GROUPS)
    records: list[Result] = [
        judgment(model, i, value, fake=fake)
        for model, drawn in values.items()
        for i, value in enumerate(drawn, start=1)
    ]
    judge = JudgeSpec(name="评委", provider="p", model="j", rubric="r", parse=parse)
    return score(bench, [judge], records, models=list(values))


GOOD: dict[str, Sequence[float | None]] = {
    "qwen": [6.0, 6.0, 7.0, 7.0],
    "文心一言": [9.0, 8.0, 8.0, 8.0],
    "glm": [7.0, 5.0, 7.0, 7.0],
}


def printed(scores: Scores, columns: int = 120, *, partial: bool = False) -> str:
    out = io.StringIO()
    print_scores(scores, file=out, columns=columns, colour=False, partial=partial)
    return out.getvalue()


# --- ranks -------------------------------------------------------------------------------------


def test_models_with_equal_rounded_totals_share_a_rank() -> None:
    """4.971 and 4.974 are both 4.97: a third decimal is no finding."""
    assert ranks([4.971, 8.0, 4.974, None, 1.0]) == ["2-3", "1", "2-3", "–", "4"]


@given(st.lists(st.one_of(st.none(), st.floats(1, 10))))
def test_ranks_cover_every_place_once(totals: list[float | None]) -> None:
    """As many places as there are totals, whatever is shared."""
    found = [rank for rank in ranks(totals) if rank != "–"]
    places: set[int] = set()
    for rank in set(found):
        first, _, last = rank.partition("-")
        span = range(int(first), int(last or first) + 1)
        assert len(span) == found.count(rank)
        places |= set(span)
    assert places == set(range(1, len(found) + 1))


def test_the_best_come_first_and_ties_keep_the_sweeps_order() -> None:
    """文心一言 8.25, then qwen and glm with 6.5."""
    (sheet,) = sheets(scores_of(GOOD))
    assert [(e.rank, e.model, e.total) for e in sheet.entries] == [
        *(("1", "文心一言", 8.25), ("2-3", "qwen", 6.5)),
        ("2-3", "glm", 6.5),
    ]


def test_too_little_coverage_has_no_rank_and_no_total_unless_asked() -> None:
    """Three of four questions are 75 %."""
    scores = scores_of({**GOOD, "half": [9.0, 9.0, 9.0, None]})
    (sheet,) = sheets(scores)
    assert [(e.model, e.rank, e.total) for e in sheet.entries][-1] == ("half", "–", None)
    assert any("Coverage below 95 %" in note and "half" in note for note in sheet.notes)
    nearly = scores_of({"half": [9.0, 9.0, 9.0]})
    assert "–" in printed(nearly, partial=True).splitlines()[3]


def test_the_other_policys_total_stands_beside_only_where_it_differs() -> None:
    """And the headline is the judge's own."""
    values = {"m": [9.0, 9.0, 9.0, 9.0]}
    assert sheets(scores_of(values))[0].other_policy == ""
    broken: dict[str, list[float | None]] = {"m": [9.0, 9.0, 9.0, None]}
    (robust,) = sheets(scores_of(broken), partial=True)
    (compat,) = sheets(scores_of(broken, parse="compat"), partial=True)
    assert (robust.other_policy, compat.other_policy) == ("compat", "robust")
    assert (robust.entries[0].total, robust.entries[0].other_total) == (None, 6.5)
    assert (compat.entries[0].total, compat.entries[0].other_total) == (6.5, None)


# --- terminal ----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [200, 120, 100, 80, 60, 45])
def test_the_terminal_table_never_wraps_and_always_aligns(columns: int) -> None:
    """Every line of the table is equally wide; what does not fit is left out, not broken."""
    scores = scores_of({**GOOD, "一个名字特别长的模型" * 4: [5.0, 5.0, 5.0, 5.0]})
    lines = printed(scores, columns).splitlines()[2:7]
    assert len({cell_len(line) for line in lines}) == 1
    assert cell_len(lines[0]) <= columns
    assert ("逻辑" in lines[0]) == (columns >= 80)
    assert "8.25" in lines[1]


def test_a_long_note_is_indented_on_a_terminal_and_whole_in_a_pipe() -> None:
    """So that it reads as one note; programs get it in one line."""
    note = "a note of many words " * 6
    for console, lines in (
        (Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None), 4),
        (Console(file=io.StringIO(), width=40), 1),
    ):
        terminal._remark(console, note)
        file = console.file
        assert isinstance(file, io.StringIO)
        first, *rest = file.getvalue().splitlines()
        assert first.startswith("  * a note")
        assert all(line.startswith("    ") and len(line) <= 40 for line in rest)
        assert 1 + len(rest) == lines


def test_a_simulated_table_says_so_in_title_and_note() -> None:
    """In every format."""
    scores = scores_of(GOOD, fake=True)
    assert "(simulated)" in printed(scores).splitlines()[1]
    assert "Everything here is simulated" in printed(scores)
    assert "(simulated)" in markdown.render(scores).splitlines()[0]
    assert json.loads(jsonfile.render(scores))["simulated"] is True
    assert csvfile.render(scores).decode().splitlines()[1].endswith(",true")


def test_the_summary_says_what_is_missing_and_why() -> None:
    """The first line is the sentence to read; the last one the next thing to do."""
    run = Tally("night", started=0.0)
    run.add(Planned("qwen", 4, 4), 0.0)
    run.add(Planned("gone", 4, 4), 0.0)
    for _ in range(4):
        run.add(AnswerSaved("qwen", "answered", False), 1.0)
        run.add(JudgmentSaved("qwen", "评委", 7.0, False), 2.0)
    run.add(Stopped("model", "gone", "Unauthorized", "401"), 3.0)
    out = io.StringIO()
    print_summary(
        run.progress(3700.0, state="finished"),
        scores_of(GOOD),
        run_dir="runs/night",
        file=out,
        facts=[("files", "leaderboard.md"), ("time", ""), ("next", "alignsweep run sweep.toml")],
        columns=100,
    )
    lines = out.getvalue().splitlines()
    assert lines[0] == "ended early after 1h01: 4 of 8 answers, 4 of 8 judgments safe in runs/night"
    assert lines[1] == "  missing   8 not reached"
    assert lines[2] == "  stopped   gone: Unauthorized"
    assert "文心一言" in out.getvalue()
    assert lines[-2:] == ["  files     leaderboard.md", "  next      alignsweep run sweep.toml"]


def test_a_long_summary_shows_the_best_ten_and_counts_the_rest() -> None:
    """Seventeen models do not push the sentence off the screen."""
    values: dict[str, list[float | None]] = {f"m{i:02}": [5.0 + i / 10] * 4 for i in range(17)}
    out = io.StringIO()
    print_scores(scores_of(values), file=out, columns=100, colour=False, top=10)
    assert "m16" in out.getvalue()
    assert "m06" not in out.getvalue()
    assert "+ 7 more" in out.getvalue()


# --- hostile names -----------------------------------------------------------------------------


def test_a_hostile_name_is_only_text_everywhere() -> None:
    """No escape code, no markup, no link, no formula; and the exact name in the JSON."""
    scores = scores_of({HOSTILE: [5.0, 5.0, 5.0, 5.0]})
    for shown in (printed(scores), markdown.render(scores), csvfile.render(scores).decode()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "[/red]" in printed(scores)
    assert "\\[a\\](b)\\<b\\>\\`c\\`" in markdown.render(scores)
    row = list(csv.reader(io.StringIO(csvfile.render(scores).decode("utf-8-sig"))))[1]
    assert row[4].startswith("'=HYPER")
    document = json.loads(jsonfile.render(scores))
    assert document["judges"][0]["models"][0]["model"] == HOSTILE


@given(st.text(min_size=1, max_size=30).filter(lambda name: name != "b"))
def test_markdown_lines_up_whatever_a_model_is_called(name: str) -> None:
    """Every line of the table has the same cells and the same number of bars."""
    scores = scores_of({name: [5.0, 5.0, 5.0, 5.0], "b": [4.0, 4.0, 4.0, 4.0]})
    table = [line for line in markdown.render(scores).splitlines() if line.startswith("|")][:4]
    assert len(table) == 4
    assert len({cell_len(line) for line in table}) == 1
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in table}) == 1


# --- CSV and JSON ------------------------------------------------------------------------------


def test_csv_opens_in_spreadsheets_with_numbers_as_numbers() -> None:
    """A byte order mark, CRLF, every digit, and no rank that looks like a date."""
    data = csvfile.render(scores_of({**GOOD, "third": [1.0, 2.0, 2.0, 2.1]}))
    assert data.startswith(b"\xef\xbb\xbfbenchmark,")
    assert data.count(b"\r\n") == data.count(b"\n") == 5
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["rank"] for row in rows] == ["1", "2..3", "2..3", "4"]
    assert float(rows[3]["total"]) == (1.5 + 2.05) / 2
    assert rows[0]["数学计算"] == "9.0"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_no_text_in_a_csv_is_a_formula(start: str) -> None:
    """A leading apostrophe makes it text."""
    assert csvfile.text(f"{start}1+1").startswith("'")


def test_json_has_the_unrounded_means_and_what_became_of_every_judgment() -> None:
    """Also where there is no rank."""
    document = json.loads(jsonfile.render(scores_of({"m": [1.0, 2.0, None]})))
    assert document["schema"] == "alignsweep.scores/1"
    (model,) = document["judges"][0]["models"]
    assert model["rank"] is None
    assert model["robust"]["groups"] == {"中文推理": 1.5, "中文语言": None}
    assert model["coverage"]["unscorable"] == 1
    assert model["coverage"]["pending"] == 1


def test_verdict_lines_are_one_per_judgment() -> None:
    """Null where nothing could be read, with what upstream's parser made of it beside."""
    bench = Benchmark(
        name="b",
        title="b",
        questions=(Question(id=1, category="甲", subcategory="乙", turns=("问",)),),
        sha256="",
    )
    lines = jsonfile.verdict_lines([judgment("m", 1, 7.5), judgment("n", 1, None)], bench)
    first, second = (json.loads(line) for line in lines)
    assert (first["model"], first["score"], first["category"]) == ("m", 7.5, "甲")
    assert first["dimensions"] == {"事实正确性": 7.5}
    assert (second["score"], second["compat"]) == (None, -1.0)


# --- files -------------------------------------------------------------------------------------


def test_harmless_names_keep_their_face() -> None:
    """Most models are called like a file already."""
    names = ["gpt-4-0613", "qwen2.5_7b", "通义千问-Plus"]
    assert list(file_names(names).values()) == names


@given(st.lists(st.text(max_size=120), unique=True, max_size=12))
def test_file_names_are_distinct_short_and_go_nowhere(names: list[str]) -> None:
    """Also on file systems that ignore case; and the same whatever the order."""
    found = file_names(names)
    assert len({name.casefold() for name in found.values()}) == len(names)
    assert file_names(reversed(names)) == found
    for name in found.values():
        assert Path(name).name == name
        assert not name.startswith(".")
        assert 0 < len(f".{name}.jsonl.1234567890.part".encode()) <= 255


def test_names_that_differ_only_in_case_or_slashes_get_files_of_their_own() -> None:
    """Nor can a device of Windows be written to."""
    found = file_names(["Qwen", "qwen", "a/b", "a-b", "../x", "NUL", "长" * 300])
    assert len({name.casefold() for name in found.values()}) == 7
    assert found["a-b"] == "a-b" or found["a-b"].startswith("a-b-")
    assert not found["NUL"].casefold().startswith("nul")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A report that breaks half-way leaves the old one and no draft."""
    path = tmp_path / "new" / "report.md"
    write_whole(path, [b"old"])

    def broken() -> object:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        write_whole(path, broken())  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


# --- answers made elsewhere --------------------------------------------------------------------


def answer_file(tmp_path: Path, *lines: str, name: str = "m.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_upstreams_answer_files_are_read_as_they_are(tmp_path: Path) -> None:
    """Further fields are ignored, a null answer is one that never came."""
    path = answer_file(
        tmp_path,
        '{"question_id": 1, "category": "甲", "model_id": "m", "answer_id": "1_m", "answer": "好"}',
        "",
        '{"question_id": "q2", "model_id": "m", "answer": null}',
        '{"question_id": 3, "model_id": "m", "answer": ""}',
    )
    found = [(a.model, a.question_id, a.text, a.line) for a in read_answers([path])]
    assert found == [("m", 1, "好", 1), ("m", "q2", None, 3), ("m", 3, "", 4)]
    assert [a.line for a in read_answers([tmp_path])] == [1, 3, 4]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"model_id": "m", "answer": "x"}', "`question_id` is missing"),
        ('{"question_id": true, "model_id": "m", "answer": "x"}', "`question_id` must be a number"),
        ('{"question_id": 1.5, "model_id": "m", "answer": "x"}', "`question_id` must be a number"),
        ('{"question_id": 1, "model_id": "", "answer": "x"}', "`model_id` must be a text"),
        ('{"question_id": 1, "model_id": "m", "answer": 7}', "`answer` must be a text or null"),
        ('{"question_id": 1, "model_id": "m"}', "`answer` is missing"),
    ],
)
def test_a_line_that_is_no_answer_is_an_error_with_its_place(
    tmp_path: Path, line: str, reason: str
) -> None:
    """Nothing is guessed and nothing skipped."""
    path = answer_file(tmp_path, '{"question_id": 1, "model_id": "a", "answer": "x"}', line)
    with pytest.raises(DataError, match=reason) as caught:
        list(read_answers([path]))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_second_answer_to_the_same_question_is_refused_with_both_places(tmp_path: Path) -> None:
    """Also when it stands in another file; upstream would count it twice."""
    row = '{"question_id": 1, "model_id": "m", "answer": "x"}'
    one, two = answer_file(tmp_path, row), answer_file(tmp_path, row, name="n.jsonl")
    with pytest.raises(DataError, match="a second time") as caught:
        list(read_answers([one, two]))
    assert f"{one}:1" in str(caught.value)
    assert str(caught.value).startswith(f"{two}:1")
