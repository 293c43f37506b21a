"""Human scores and labels from files: what is read, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.human import HumanFile, read_human

SHARED = Path(__file__).parents[2] / "shared" / "critiquellm"
SCORE = {"question_id": 1, "model": "m", "score": 4}
PAIR = {"question_id": "q", "model_a": "m", "model_b": "n", "label": "tie"}
CRITIQUE = {"id": 0, "question": "问", "response": "答", "model": "m", "human_score": 3.0}
CRITIQUE_PAIR = {"id": 0, "question": "问", "response_1": "a", "response_2": "b", "label": 1}


def read(folder: Path, text: str | bytes, name: str = "human") -> HumanFile:
    """The file with this content."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_human(path)


def lines(*rows: object) -> str:
    """JSONL."""
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def refused(folder: Path, text: str | bytes) -> DataError:
    """The error for a file with this content."""
    with pytest.raises(DataError) as caught:
        read(folder, text)
    return caught.value


def test_scores_are_the_same_from_csv_and_jsonl(tmp_path: Path) -> None:
    """Ids become text, an annotator may be a number, further columns are ignored."""
    rows = [SCORE | {"annotator": 7, "x": 1}, SCORE | {"annotator": 8, "score": 2.5}]
    first = read(tmp_path, lines(*rows))
    head = "score,model,question_id,annotator,note"
    second = read(tmp_path, f'{head}\r\n4,m,1,7,"a, b"\r\n\r\n2.5,m,1,8,\r\n')
    third = read(tmp_path, f"\ufeff{head}\n4,m,1,7,\n2.5,m,1,8,\n".replace(",", ";"))
    for file in (first, second, third):
        assert [(s.question_id, s.model, s.score, s.annotator) for s in file.scores] == [
            ("1", "m", 4.0, "7"),
            ("1", "m", 2.5, "8"),
        ]
        assert (file.pairs, file.blocks) == ((), False)


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Also below a cell of several lines."""
    file = read(tmp_path, 'question_id,model,score,response\n1,m,3,"a\nb"\n2,m,3,c\n')
    assert [row.line for row in file.scores] == [2, 4]
    assert file.scores[0].response == "a\nb"


def test_labels_say_which_is_better(tmp_path: Path) -> None:
    """Ours in words, CritiqueLLM's in numbers."""
    own = [PAIR | {"question_id": i, "label": label} for i, label in enumerate(("A", "b", " tie "))]
    assert [pair.label for pair in read(tmp_path, lines(*own)).pairs] == [0, 1, 2]
    theirs = [CRITIQUE_PAIR | {"question": str(i), "label": i} for i in (2, 0, 1)]
    file = read(tmp_path, lines(*theirs))
    assert [pair.label for pair in file.pairs] == [2, 0, 1]
    assert file.blocks
    assert file.pairs[0].responses == ("a", "b")


def test_critiquellm_rows_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    """As upstream's scripts sort them."""
    rows = [CRITIQUE | {"id": i, "model": f"m{i}"} for i in (3, 1, 2)]
    assert [row.model for row in read(tmp_path, lines(*rows)).scores] == ["m1", "m2", "m3"]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/critiquellm")
@pytest.mark.parametrize("based", ["based", "free"])
def test_the_published_samples_are_read_whole(based: str) -> None:
    """A hundred scores and a hundred labels each, with the counts as published."""
    name = f"alignbench_reference_{based}_sample.jsonl"
    scores = read_human(SHARED / "pointwise" / name).scores
    pairs = read_human(SHARED / "pairwise" / name).pairs
    counts = [sum(row.score == value for row in scores) for value in (1, 2, 3, 4, 5)]
    assert counts == ([55, 5, 17, 20, 3] if based == "based" else [49, 11, 17, 19, 4])
    assert len({row.model for row in scores}) == 8
    labels = [sum(pair.label == label for pair in pairs) for label in (0, 1, 2)]
    assert labels == ([50, 50, 0] if based == "based" else [60, 40, 0])


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "no human scores in this file"),
        ("question_id,model,score\n", 0, "no human scores in this file"),
        ("a,b\n1,2\n", 2, "these are no human scores; members here: a, b"),
        ("[]", 1, "one JSON array"),
        ('{"question_id": 1', 1, "not one JSON object"),
        (lines(SCORE) + "\n7", 2, "not a JSON object"),
        (lines(SCORE, {"question_id": 2, "model": "m"}), 2, "`score` is missing"),
        (lines(SCORE | {"score": "4"}), 1, "`score` is '4', not a number"),
        (lines(SCORE | {"score": True}), 1, "`score` is True, not a number"),
        (lines(SCORE | {"score": None}), 1, "`score` is empty, not a number; leave the row out"),
        (lines(SCORE | {"score": 10**400}), 1, "which is no score"),
        ('{"question_id": 1, "model": "m", "score": NaN}', 1, "not one JSON object"),
        ("question_id,model,score\n1,m,nan\n", 2, "`score` is nan, which is no score"),
        ("question_id,model,score\n1,m,4\n2,m,\n", 3, "`score` is empty, not a number"),
        ("question_id,model,score\n1,m,good\n", 2, "`score` is 'good', not a number"),
        ("question_id,model,score\n1,m,1_0\n", 2, "`score` is '1_0', not a number"),
        ("question_id,model,score\n1,m\n", 2, "2 cells under 3 columns"),
        ("question_id,score,score\n1,m,1\n", 1, "two columns `score`"),
        ('question_id,model,score\n1,"m,4\n', 2, "not CSV"),
        (lines(SCORE | {"question_id": None}), 1, "`question_id` is empty"),
        (lines(SCORE | {"question_id": 1.5}), 1, "`question_id` is 1.5"),
        (lines(SCORE | {"model": " "}), 1, "`model` is ' '; it must be a text"),
        (lines(SCORE | {"sample": -1}), 1, "`sample` is -1"),
        (lines(SCORE | {"annotator": [1]}), 1, "`annotator` is [1]"),
        (lines(SCORE, SCORE), 2, "the same answer by the same annotator as on line 1"),
        (lines(PAIR | {"label": "c"}), 1, "`label` is 'c'; it must be a, b or tie"),
        (lines(PAIR | {"label": 1}), 1, "`label` is 1; it must be a, b or tie"),
        (lines(PAIR | {"model_b": "m"}), 1, "`model_a` and `model_b` are the same"),
        (lines(CRITIQUE_PAIR | {"label": 3}), 1, "`label` is 3; it must be 0, 1 or 2"),
        (lines(CRITIQUE_PAIR | {"label": [1]}), 1, "`label` is [1]; it must be 0, 1 or 2"),
        (lines(CRITIQUE_PAIR | {"label": True}), 1, "`label` is True; it must be 0, 1 or 2"),
        (lines(CRITIQUE | {"response": None}), 1, "`response` is empty; it must be a text"),
        (lines(CRITIQUE, SCORE), 2, "`question` is missing"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    """The first fault, where it stands, and nothing is guessed."""
    error = refused(tmp_path, text)
    assert says in error.reason
    assert (error.line, error.path) == (line, str(tmp_path / "human"))


def test_a_file_of_questions_is_told_where_it_belongs(tmp_path: Path) -> None:
    """AlignBench's own question file is the first that somebody tries to import."""
    row = {"question_id": 1, "question": "q", "category": "c", "reference": "r"}
    assert 'benchmark = "FILE.jsonl"' in refused(tmp_path, lines(row)).how


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        ("question_id,model,score\n1,模型,4\n".encode("gb18030"), 2, "not UTF-8"),
        ("question_id,model,score\n".encode("utf-16"), 0, "UTF-16"),
        (b"question_id,model,score\n1,a\x00,4\n", 2, "a NUL byte"),
        (lines(SCORE).encode() + b"\n\xff", 2, "not UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, data: bytes, line: int, says: str
) -> None:
    """With the line on which they stand."""
    error = refused(tmp_path, data)
    assert says in error.reason
    assert error.line == line


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """With a plain reason."""
    with pytest.raises(DataError, match="no such file"):
        read_human(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a folder"):
        read_human(tmp_path)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_lead_to_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever is in the file."""
    path = tmp_path_factory.getbasetemp() / "any"
    head = b"question_id,model,score\n"
    for content in (data, head + data):
        path.write_bytes(content)
        try:
            found = read_human(path)
        except DataError:
            continue
        assert found.scores
