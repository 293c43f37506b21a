"""Question files: what they may look like, and what is said when they do not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.benchmark import GROUPS, load, names
from data.errors import ConfigError, DataError
from data.question_rows import SHOWN, parse
from data.schema import Evidence

SHARED = Path(__file__).parents[2] / "shared" / "alignbench"


def write(folder: Path, *lines: str | bytes, name: str = "mine.jsonl") -> Path:
    """A file of these lines."""
    path = folder / name
    parts = [line.encode("utf-8") if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"\n".join(parts) + b"\n")
    return path


def row(**members: object) -> str:
    """One good row, changed by `members`."""
    return json.dumps({"question_id": 1, "question": "问？"} | members, ensure_ascii=False)


def complaint(path: Path, home: Path) -> DataError:
    """What `load` says about a file."""
    with pytest.raises(DataError) as caught:
        load(str(path), home=home)
    assert caught.value.path == str(path)
    return caught.value


def test_the_built_in_benchmark_covers_all_eight_categories(tmp_path: Path) -> None:
    """It is in AlignBench's format, with AlignBench's column groups."""
    mini = load("mini", home=tmp_path)
    assert len(mini.questions) == 72
    assert {c for members in mini.groups.values() for c in members} == set(mini.categories)
    assert mini.groups == GROUPS
    assert mini.rubric == "alignsweep"
    assert mini.temperatures["数学计算"] == 0.1
    assert [listed.name for listed in names(tmp_path)] == ["mini"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("version", "nulls", "filled", "middle"), [("1.0", 683, 0, 397), ("1.1", 229, 150, 472)]
)
def test_alignbench_loads_with_all_its_oddities(
    tmp_path: Path, version: str, nulls: int, filled: int, middle: int
) -> None:
    """Junk numeric keys, an order that is not id order, three kinds of no evidence."""
    path = SHARED / f"data_v{version}_release.jsonl"
    if not path.exists():
        pytest.skip("AlignBench's files are not beside the project")
    benchmark = load(str(path), home=tmp_path)
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    assert [q.id for q in benchmark.questions] == [r["question_id"] for r in rows]
    assert [q.text for q in benchmark.questions] == [r["question"] for r in rows]
    assert [q.reference for q in benchmark.questions] == [r["reference"] for r in rows]
    assert benchmark.questions[396].id == middle
    assert sum(q.evidences is None for q in benchmark.questions) == nulls
    assert sum(bool(q.evidences) for q in benchmark.questions) == filled
    assert benchmark.groups == GROUPS


def test_a_users_file_needs_only_ids_and_questions(tmp_path: Path) -> None:
    """Category, subcategory, reference and evidences may be left out; no groups are invented."""
    benchmark = load(str(write(tmp_path, row(), row(question_id="b", id=9))), home=tmp_path)
    first, second = benchmark.questions
    assert (first.id, first.category, first.subcategory) == (1, "全部", "")
    assert (first.references, first.evidences) == ((), None)
    assert second.id == "b"
    assert (benchmark.name, benchmark.groups, benchmark.temperatures) == ("mine", {}, {})


def test_dialogues_have_one_reference_per_turn(tmp_path: Path) -> None:
    """Both spellings of the turns are read; a turn without a reference has an empty one."""
    path = write(
        tmp_path,
        row(question=["一", "二"], reference=["甲", None]),
        '{"id": 2, "turns": ["一", "二", "三"]}',
    )
    first, second = load(str(path), home=tmp_path).questions
    assert (first.turns, first.references) == (("一", "二"), ("甲", ""))
    assert (second.turns, second.references) == (("一", "二", "三"), ())


def test_a_bom_and_crlf_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    """What Windows editors do to a file changes no question."""
    path = tmp_path / "w.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + b"\r\n".join([row().encode(), b"", row(id=2, question_id=2).encode()])
        + b"\r\n"
    )
    assert [q.id for q in load(str(path), home=tmp_path).questions] == [1, 2]


@given(
    question=st.text(min_size=1).filter(lambda text: text.strip()),
    reference=st.text(min_size=1).filter(lambda text: text.strip()),
    escaped=st.booleans(),
)
def test_texts_are_kept_to_the_last_blank(question: str, reference: str, escaped: bool) -> None:
    """Carriage returns, U+00A0, U+2028 and the rest come through as they are."""
    line = json.dumps(
        {"question_id": 1, "question": question, "reference": reference, "17": {"question_id": 5}},
        ensure_ascii=escaped,
    ).encode("utf-8")
    (read,) = parse(line + b"\n", path="x")
    assert (read.text, read.reference) == (question, reference)


def test_evidences_are_kept_with_their_whitespace() -> None:
    """Published urls end in line breaks; null, [] and nothing are told apart where it matters."""
    item = {"url": "https://a\n\n", "quote": " q "}
    lines = [
        row(evidences=[item]),
        row(question_id=2, evidences=[]),
        row(question_id=3, evidences=None),
    ]
    questions = parse("\n".join(lines).encode(), path="x")
    expected = [(Evidence("https://a\n\n", " q "),), (), None]
    assert [q.evidences for q in questions] == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (row(question=None), "no question (members here: question_id, question)"),
        (row(question="  "), "question is empty"),
        (row(question=[]), "question is empty"),
        (row(question=["a", ""]), "question is empty"),
        (row(question=5), "question is a number, not a text"),
        (row(question={"a": 1}), "question is an object"),
        (row(question=["a", 5]), "question holds a number"),
        (row(turns=["a"]), "both question and turns"),
        (row(question_id=None), "no question_id"),
        (row(question_id=True), "question_id is true or false"),
        (row(question_id=1.5), "question_id is a number, not an integer"),
        (row(question_id=" "), "question_id is empty"),
        (row(category=["a"]), "category is a list"),
        (row(category=""), "category is empty"),
        (row(subcategory=1), "subcategory is a number"),
        (row(reference=1), "reference is not a text"),
        (row(question=["a", "b"], reference="r"), "turns: 2, references: 1"),
        (row(evidences={"url": "u"}), "evidences is not a list"),
        (row(evidences=[{"url": 1}]), "url is a number"),
        ("[1]", "one JSON array"),
        ("{", "a JSON object over several lines"),
        ('"text"', "a text, not a JSON object"),
        (row() + " trailing", "not one JSON object"),
        (row()[:-1], "not one JSON object"),
        ('{"question_id": NaN, "question": "q"}', "not one JSON object"),
        (row()[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}", "not one JSON object"),
    ],
)
def test_each_fault_is_named_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    """Path, line and reason, and never a traceback."""
    error = complaint(write(tmp_path, line), tmp_path)
    assert error.line == 1
    assert says in str(error)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no question"),
        (b"\n  \n", "holds no question"),
        ("\ufeff{}".encode("utf-16"), "UTF-16"),
        ('{"question_id":1,"question":"问"}'.encode("gb18030"), "not UTF-8 at byte"),
        ('{"question_id":1,"question":"问'.encode()[:-1], "cut in the middle of a character"),
        (b'{"question_id":1,\x00"question":"q"}', "a NUL byte"),
        (b"\xef\xbb\xbf[\n{}]", "one JSON array"),
    ],
)
def test_files_that_are_something_else_are_named_as_what_they_are(
    tmp_path: Path, data: bytes, says: str
) -> None:
    """Other encodings, other formats, nothing at all."""
    path = tmp_path / "odd.jsonl"
    path.write_bytes(data)
    assert says in str(complaint(path, tmp_path))


def test_a_missing_file_a_folder_and_a_locked_file_are_told_apart(tmp_path: Path) -> None:
    """Each has its own plain sentence."""
    assert "no such file" in str(complaint(tmp_path / "none.jsonl", tmp_path))
    assert "this is a folder" in str(complaint(tmp_path, tmp_path))
    if os.geteuid() != 0:
        path = write(tmp_path, row())
        path.chmod(0)
        assert "no permission" in str(complaint(path, tmp_path))


def test_a_duplicate_names_both_lines_and_text_ids_count_as_equal(tmp_path: Path) -> None:
    """1 and "1" would be one name in every report."""
    error = complaint(write(tmp_path, row(), "", row(question_id="1")), tmp_path)
    assert error.line == 3
    assert "question_id 1 stands on line 1 already" in str(error)


def test_all_faults_are_told_at_once_and_long_lists_are_cut(tmp_path: Path) -> None:
    """One round of mending is enough; two thousand faults do not fill the screen."""
    bad = [row(question_id=n, question="") for n in range(2000)]
    error = complaint(write(tmp_path, row(question_id="fine"), *bad), tmp_path)
    told = str(error).splitlines()
    assert told[0].endswith("2000 lines cannot be read")
    assert told[1].strip().startswith("line 2: question is empty")
    assert told[-1].strip() == f"and {2000 - SHOWN} more"
    assert len(told) == SHOWN + 2


def test_escape_codes_in_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """What a file says is data, in complaints too."""
    twice = row(question_id="\x1b[31mred\u202e")
    assert str(complaint(write(tmp_path, twice, twice), tmp_path)).count("\\x1b[31mred\\u202e") == 1


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    """A bare name never depends on the working directory."""
    with pytest.raises(ConfigError, match="no benchmark is named 'nosuch'") as caught:
        load("nosuch", home=tmp_path)
    assert "known here: mini" in str(caught.value)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_anything_but_a_data_error(data: bytes) -> None:
    """A question file is hostile until read."""
    try:
        questions = parse(data, path="x")
    except DataError:
        return
    assert questions


@given(
    st.dictionaries(
        st.sampled_from(
            ["question_id", "id", "question", "turns", "reference", "evidences", "category"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
            ),
            max_leaves=6,
        ),
    )
)
def test_no_row_of_json_makes_anything_but_a_data_error(members: dict[str, object]) -> None:
    """Whatever stands in the known members, it is read or named."""
    try:
        (question,) = parse(json.dumps(members).encode(), path="x")
    except DataError:
        return
    assert all(turn.strip() for turn in question.turns)
