"""Other projects' judge prompts as rubric files; one's own rubric checked before a sweep."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.benchmark import load
from data.checkout import import_checkout
from data.errors import ConfigError, DataError
from data.pairing import render_pair
from data.prompts_import import find_prompts
from data.rubric import render, type_of
from data.rubric_files import BUILT_IN, checked, load_rubric
from data.rubric_toml import rubric_toml
from data.schema import Question, Rubric
from tests import sample_clone
from tests.conftest import Program

HERE = Path(__file__).parent
OFFICIAL = Path(__file__).parents[2] / "shared" / "alignbench" / "data_v1.1_release.jsonl"
SINGLE = {
    "name": "one",
    "type": "single",
    "system_prompt": "你只打分。",
    "prompt_template": '[Q]\n{question}\n[R]{ref_answer_1}\n{{literal}} \\ """\n'
    "[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]",
    "output_format": "[[rating]]",
}
PAIR = {
    "name": "two",
    "type": "pairwise",
    "system_prompt": "你只比较。",
    "prompt_template": "{question}|{answer_a}|{answer_b}",
    "output_format": "[[A]]",
}
LONG = {**PAIR, "name": "long", "prompt_template": "{question_1}{answer_a_1}{answer_b_1}"}
QUESTION = Question(1, "数学计算", "初等数学", ("几 {x}？",), ("二",))


def fastchat(folder: Path, *prompts: dict[str, str]) -> Path:
    file = folder / "judge_prompts.jsonl"
    file.write_text("\n".join(json.dumps(p, ensure_ascii=False) for p in prompts), "utf-8")
    return file


def clone_in(folder: Path) -> Path:
    for name, data in sample_clone.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


# --- what is made ------------------------------------------------------------------------------


def test_fastchat_prompts_render_byte_for_byte(tmp_path: Path) -> None:
    """As `str.format` of their template, with the system message before it."""
    found = find_prompts(fastchat(tmp_path, SINGLE, PAIR, LONG))
    one, two = found.rubrics
    system, user = render(one, QUESTION, "三 {y}", seed=0).messages
    expected = SINGLE["prompt_template"].format(
        question="几 {x}？", answer="三 {y}", ref_answer_1="二"
    )
    assert (system.role, system.content, user.content) == ("system", "你只打分。", expected)
    assert (one.bracketed, one.opening) == (True, "[The Start of Assistant's Answer]")
    _, pair = render_pair(two, QUESTION, ("甲",), ("乙",), seed=0).messages
    assert pair.content == "几 {x}？|甲|乙"
    assert two.labels == {"[[A]]": "first", "[[B]]": "second", "[[C]]": "tie"}
    assert [line.split(":")[0] for line in found.left_out] == ["long"]


def test_alignbench_makes_the_same_rubric_as_data_import(tmp_path: Path) -> None:
    """One identity, so scores compare; the configuration says where its files lie."""
    clone = clone_in(tmp_path / "clone")
    (rubric,) = find_prompts(clone).rubrics
    (imported,) = import_checkout(clone, home=tmp_path / "home")
    assert rubric.sha256 == load_rubric(imported.name, home=tmp_path / "home").sha256
    sets = clone / "config" / "dimension_set.json"
    sets.rename(clone / "config" / "elsewhere.json")
    paths = {"Paths": {"dimension_set_filepath": "config/elsewhere.json"}}
    (clone / "config" / "multi-dimension.json").write_text(json.dumps(paths), "utf-8")
    assert find_prompts(clone).rubrics[0].sha256 == rubric.sha256
    paths = {"Paths": {"dimension_set_filepath": "../../secret.json"}}
    (clone / "config" / "multi-dimension.json").write_text(json.dumps(paths), "utf-8")
    with pytest.raises(DataError, match="elsewhere"):
        find_prompts(clone)


@pytest.mark.parametrize("name", sorted(path.stem for path in BUILT_IN.glob("*.toml")))
def test_every_built_in_rubric_survives_being_written(tmp_path: Path, name: str) -> None:
    """Read back, it is the same rubric."""
    rubric = load_rubric(name, home=tmp_path)
    (tmp_path / "again.toml").write_text(rubric_toml(rubric, heading="x"), "utf-8", newline="")
    assert load_rubric(str(tmp_path / "again.toml"), home=tmp_path).sha256 == rubric.sha256


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_words_survive_being_written(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Quotes, backslashes, carriage returns and control characters included."""
    folder = tmp_path_factory.mktemp("written")
    escaped = text.replace("{", "{{").replace("}", "}}")
    rubric = checked(
        Rubric(
            name="r",
            template="{question}{answer}" + escaped + "\n" * 101,
            system=text,
            fenced=False,
            definitions={},
            types={},
            subcategories={},
        ),
        where="test",
    )
    (folder / "r.toml").write_bytes(rubric_toml(rubric, heading="x").encode())
    again = load_rubric(str(folder / "r.toml"), home=folder)
    assert (again.template, again.system) == (rubric.template, rubric.system)


@pytest.mark.counterpart
def test_all_official_prompts_are_byte_identical(tmp_path: Path, program: Program) -> None:
    """683 questions through the imported file, against digests made with upstream's own code."""
    clone = os.environ.get("ALIGNSWEEP_ALIGNBENCH")
    if not clone:
        pytest.skip("ALIGNSWEEP_ALIGNBENCH does not name a clone of AlignBench")
    assert program.run("rubrics", "import", clone, "--as", "theirs").code == 0
    rubric = load_rubric(str(program.folder / "theirs.toml"), home=tmp_path)
    sample = json.loads((HERE / "samples" / "alignbench_prompts.json").read_bytes())
    for imported in import_checkout(clone, home=tmp_path):
        questions = load(imported.name, home=tmp_path).questions
        made = {
            str(q.id): [
                hashlib.sha256(
                    render(rubric, q, answer, seed=3).messages[0].content.encode()
                ).hexdigest()
                for answer in (sample["answer"], None)
            ]
            for q in questions
        }
        assert made == sample[imported.name]
        assert len(made) == 683


@pytest.mark.shared
@pytest.mark.skipif(not OFFICIAL.exists(), reason="no ../shared/alignbench")
def test_critiquellm_knows_every_official_category(tmp_path: Path) -> None:
    """基本任务 is its 基本能力: each of the 683 questions has one of the four types."""
    rubric = load_rubric("critiquellm", home=tmp_path)
    counts = Counter(type_of(rubric, q) for q in load(str(OFFICIAL), home=tmp_path).questions)
    assert counts == {
        "事实与解释型回答": 124 + 68 + 58,
        "逻辑推理型回答": 112 + 92,
        "生成型回答": 116 + 75,
        "建议型回答": 38,
    }


# --- what is refused ---------------------------------------------------------------------------


def test_a_place_without_prompts_says_what_was_looked_for(tmp_path: Path) -> None:
    """Nowhere, nothing, garbage, and only prompts of two turns."""
    with pytest.raises(DataError, match="no such folder or file"):
        find_prompts(tmp_path / "nowhere")
    with pytest.raises(DataError, match="neither"):
        find_prompts(tmp_path)
    (tmp_path / "judge_prompts.jsonl").write_text('{"name": 3}\n', "utf-8")
    with pytest.raises(DataError) as caught:
        find_prompts(tmp_path)
    assert caught.value.line == 1
    fastchat(tmp_path, LONG)
    with pytest.raises(DataError, match="no prompt of one turn"):
        find_prompts(tmp_path)
    fastchat(tmp_path, {**SINGLE, "output_format": "[[A]]"})
    with pytest.raises(ConfigError, match="output_format"):
        find_prompts(tmp_path)


# --- the program -------------------------------------------------------------------------------


def test_the_program_imports_and_checks(program: Program) -> None:
    """Files appear whole, are never overwritten with others, and run through `check` and a sweep."""
    fastchat(program.folder, SINGLE, PAIR, LONG)
    ended = program.run("rubrics", "import", "judge_prompts.jsonl", "--as", "fc")
    assert ended.code == 0, ended
    assert {"fc-one.toml", "fc-two.toml"} <= program.files()
    assert "left out: long" in ended.err
    assert program.run("rubrics", "import", "judge_prompts.jsonl", "--as", "fc").code == 0
    (program.folder / "fc-one.toml").write_text("mine", "utf-8")
    refused = program.run("rubrics", "import", "judge_prompts.jsonl", "--as", "fc")
    assert refused.code == 2
    assert "is there already and differs" in refused.err
    sound = program.run("rubrics", "check", "fc-two.toml")
    assert sound.code == 0, sound
    assert "fc-two: sound" in sound.out
    assert "72 of mini" in sound.out
    assert "你只比较。" in sound.out
    for name in ("../x", ".x", " "):
        assert program.run("rubrics", "import", "judge_prompts.jsonl", "--as", name).code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('template = "{question}{answr}"', "unknown placeholder {answr}"),
        ('template = "{question}{answer}"', "lacks {closing}, {opening}"),
        ('template = "{question"', "expected '}'"),
        ('templat = "x"', "templat"),
        ('fenced = false\ntemplate = "{question}{answer}"\nlow = 3\nhigh = 3', "is not below high"),
        (
            'fenced = false\ntemplate = "{question}{answer}"\n[subcategories]\na = "b"',
            "no such type",
        ),
        ("= 3", "not TOML"),
    ],
)
def test_check_says_what_is_wrong_with_a_rubric(program: Program, text: str, words: str) -> None:
    """One clear error, exit code 2."""
    (program.folder / "own.toml").write_text(text, "utf-8")
    ended = program.run("rubrics", "check", "own.toml")
    assert ended.code == 2
    assert words in ended.err
    assert "own.toml" in ended.err


def test_check_reads_a_reply_in_every_way(program: Program) -> None:
    """What would come of it, before money is spent."""
    (program.folder / "reply.txt").write_text('{"综合得分": 7}', "utf-8")
    ended = program.run("rubrics", "check", "general", "--reply", "reply.txt")
    assert ended.code == 0, ended
    lines = dict(line.strip().split(maxsplit=1) for line in ended.out.splitlines()[-3:])
    assert lines == {"robust": "7", "compat": "-1", "opencompass": "no score: dropped"}


def test_the_list_says_which_rubric_shows_the_sources(program: Program) -> None:
    """So that it can be found by whoever wants v1.1's evidences in the prompt."""
    shown = program.run("rubrics", "list").out.splitlines()
    (line,) = [line for line in shown if "with the sources of the reference" in line]
    assert line.startswith("alignsweep-evidence")
