"""Taking over AlignBench from a clone: read, never run; all or nothing; twice is once."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from data.benchmark import load, names
from data.checkout import import_checkout
from data.errors import ConfigError, DataError, StorageError
from data.rubric_files import load_rubric
from tests import sample_clone

CLONE_VARIABLE = "ALIGNSWEEP_ALIGNBENCH"
"""Path of a real clone, for those who have one."""


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_clone_becomes_a_benchmark_and_a_rubric(tmp_path: Path) -> None:
    """Questions byte for byte, temperatures by category, the prompt out of the script."""
    home = tmp_path / "home"
    (imported,) = import_checkout(sample_clone.make(tmp_path / "clone"), home=home)
    assert (imported.name, imported.questions, imported.changed) == ("alignbench-v1.1", 3, True)
    assert "not a published file" in imported.warning
    assert "judge.py is not the published one" in imported.warning
    benchmark = load("alignbench-v1.1", home=home)
    assert [q.id for q in benchmark.questions] == [2, 1, 3]
    assert benchmark.questions[0].text == sample_clone.ROWS[0]["question"]
    assert benchmark.temperatures == {"数学计算": 0.1, "专业能力": 0.2, "": 0.7}
    assert benchmark.sha256 == imported.sha256
    rubric = load_rubric(benchmark.rubric, home=home)
    assert rubric.template == sample_clone.PROMPT
    assert not rubric.fenced
    stored = home / "benchmarks" / "alignbench-v1.1" / "questions.jsonl"
    assert stored.read_bytes() == sample_clone.files()["data/data_v1.1_release.jsonl"]


def test_importing_twice_changes_no_byte_and_says_so(tmp_path: Path) -> None:
    """Files are left alone, down to their modification time."""
    clone, home = sample_clone.make(tmp_path / "clone"), tmp_path / "home"
    import_checkout(clone, home=home)
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*")}
    (again,) = import_checkout(clone, home=home)
    assert not again.changed
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*")} == before


def test_what_is_written_is_for_its_owner_only(tmp_path: Path) -> None:
    """Folders 0700, files 0600, no temporary file left."""
    home = tmp_path / "home"
    import_checkout(sample_clone.make(tmp_path / "clone"), home=home)
    for path in [home, *home.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.startswith(".")


def test_rows_without_evidences_are_a_v1_0(tmp_path: Path) -> None:
    """An unknown file is told apart by what it holds, and carries a warning."""
    rows = [{k: v for k, v in row.items() if k != "evidences"} for row in sample_clone.ROWS]
    files = sample_clone.files(rows)
    clone = sample_clone.make(tmp_path / "clone", data_v1_1_release=None)
    (clone / "data_v1.0_release.jsonl").write_bytes(files["data/data_v1.1_release.jsonl"])
    (imported,) = import_checkout(clone, home=tmp_path / "home")
    assert imported.name == "alignbench-v1.0"
    assert [n.warning for n in names(tmp_path / "home") if n.origin == "imported"] == [
        imported.warning
    ]


def test_both_versions_of_one_clone_are_taken_over(tmp_path: Path) -> None:
    """Oldest first."""
    clone = sample_clone.make(tmp_path / "clone")
    rows = [{k: v for k, v in row.items() if k != "evidences"} for row in sample_clone.ROWS]
    (clone / "data" / "data_release.jsonl").write_bytes(
        sample_clone.files(rows)["data/data_v1.1_release.jsonl"]
    )
    imported = import_checkout(clone, home=tmp_path / "home")
    assert [item.name for item in imported] == ["alignbench-v1.0", "alignbench-v1.1"]


def test_the_script_is_never_run(tmp_path: Path) -> None:
    """The sample's judge.py would end the process if it were; so would this one, louder."""
    trap = tmp_path / "trap"
    script = f"open({str(trap)!r}, 'w').close()\n".encode() + sample_clone.JUDGE.encode()
    import_checkout(sample_clone.make(tmp_path / "clone", judge=script), home=tmp_path / "home")
    assert not trap.exists()


BASE = "def prompt_construct(s, c):\n"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"judge": None}, "judge.py: no such file"),
        ({"judge": b"def other(): pass"}, "no judge prompt"),
        ({"judge": b"base_prompt = 'outside'"}, "no judge prompt"),
        ({"judge": f"{BASE}  base_prompt = 'a'\n  base_prompt += 'b'".encode()}, "no judge prompt"),
        ({"judge": f"{BASE}  base_prompt = f'{{s}}'".encode()}, "computed, not a plain string"),
        ({"judge": f"{BASE}  base_prompt = 'a' + str(s)".encode()}, "computed, not a plain string"),
        ({"judge": f"{BASE}  base_prompt = b'a'".encode()}, "computed, not a plain string"),
        ({"judge": b"def ("}, "not readable as Python"),
        ({"judge": b"(" * 100_000}, "not readable as Python"),
        ({"judge": b"\x00"}, "not readable as Python"),
        ({"judge": b"#" * (1 << 21)}, "this is not the judge script"),
        ({"data_v1_1_release": None}, "no question file here"),
        ({"data_v1_1_release": b"{}\n"}, "jsonl:1: no question (members here: none)"),
        ({"dimension_set": None}, "dimension_set.json: no such file"),
        ({"dimension_set": b"[]"}, "dimension_set.json: Expected `object`"),
        ({"dimension_set": b"{"}, "dimension_set.json: "),
        ({"temperature": b'{"a": "warm"}'}, "temperature.json: Expected `float`"),
        ({"subcategory_question_mapping": '{"物理": "事实型"}'.encode()}, "初等数学"),
    ],
)
def test_a_clone_that_is_not_as_expected_is_refused_whole(
    tmp_path: Path, changes: dict[str, bytes | None], says: str
) -> None:
    """One sentence with the file's name, and nothing is written."""
    clone, home = sample_clone.make(tmp_path / "clone", **changes), tmp_path / "home"
    with pytest.raises(DataError) as caught:
        import_checkout(clone, home=home)
    assert says in str(caught.value)
    assert not home.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dimension_definition": '{"甲": "a"}'.encode()}, "undefined: 乙"),
        ({"dimension_set": '{"事实型": ["甲"]}'.encode()}, "no such type: 推理型"),
        (
            {"judge": f"{BASE}  base_prompt = '{{answer.__class__}}{{question}}'".encode()},
            "placeholder",
        ),
        ({"judge": f"{BASE}  base_prompt = '{{question}}'".encode()}, "lacks {answer}"),
        ({"judge": f"{BASE}  base_prompt = '{{question'".encode()}, "expected '}'"),
    ],
)
def test_a_prompt_that_cannot_be_rendered_is_refused_whole(
    tmp_path: Path, changes: dict[str, bytes | None], says: str
) -> None:
    """Also format strings that would reach into objects."""
    clone, home = sample_clone.make(tmp_path / "clone", **changes), tmp_path / "home"
    with pytest.raises(ConfigError) as caught:
        import_checkout(clone, home=home)
    assert says in str(caught.value)
    assert not home.exists()


def test_two_different_files_of_one_version_are_refused(tmp_path: Path) -> None:
    """Nobody should have to guess which one a result came from."""
    clone = sample_clone.make(tmp_path / "clone")
    (clone / "data_v1.1_release.jsonl").write_bytes(
        sample_clone.files(list(reversed(sample_clone.ROWS)))["data/data_v1.1_release.jsonl"]
    )
    with pytest.raises(DataError, match="different files of one version"):
        import_checkout(clone, home=tmp_path / "home")


def test_a_file_or_nothing_in_place_of_a_clone_is_said_so(tmp_path: Path) -> None:
    """With the way to a clone."""
    with pytest.raises(DataError, match="no such folder"):
        import_checkout(tmp_path / "none", home=tmp_path / "home")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DataError, match="this is a file, not a folder"):
        import_checkout(file, home=tmp_path / "home")


def test_a_home_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "home").write_text("x")
    with pytest.raises(StorageError, match="cannot be written"):
        import_checkout(sample_clone.make(tmp_path / "clone"), home=tmp_path / "home")


@pytest.mark.parametrize(
    "name", ["benchmarks/alignbench-v1.1/questions.jsonl", "rubrics/alignbench-v1.1.json"]
)
def test_what_changed_after_the_import_is_noticed(tmp_path: Path, name: str) -> None:
    """A benchmark's results are only worth something if its files are the ones named."""
    home = tmp_path / "home"
    import_checkout(sample_clone.make(tmp_path / "clone"), home=home)
    path = home / name
    path.write_bytes(
        path.read_bytes().replace("光速".encode(), "音速".encode()).replace(b"{{", b" {{")
    )
    read = load if name.startswith("benchmarks") else load_rubric
    with pytest.raises(DataError, match="changed after it was imported"):
        read("alignbench-v1.1", home=home)


def test_damaged_metadata_is_listed_as_damaged(tmp_path: Path) -> None:
    """A list that hides a benchmark, or ends at it, helps nobody."""
    home = tmp_path / "home"
    import_checkout(sample_clone.make(tmp_path / "clone"), home=home)
    meta = home / "benchmarks" / "alignbench-v1.1" / "benchmark.json"
    told = json.loads(meta.read_bytes())
    meta.write_text(json.dumps(told | {"titel": "x"}))
    (listed,) = [n for n in names(home) if n.origin == "imported"]
    assert "unknown key `titel`" in listed.problem
    meta.write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        load("alignbench-v1.1", home=home)


@pytest.mark.counterpart
def test_a_real_clone_is_known_without_a_warning(tmp_path: Path) -> None:
    """The published files are recognised by their digests."""
    clone = os.environ.get(CLONE_VARIABLE)
    if not clone:
        pytest.skip(f"{CLONE_VARIABLE} does not name a clone of AlignBench")
    imported = import_checkout(clone, home=tmp_path / "home")
    assert all(item.questions == 683 and not item.warning for item in imported)
    first = tree(tmp_path / "home")
    import_checkout(clone, home=tmp_path / "home")
    assert tree(tmp_path / "home") == first
