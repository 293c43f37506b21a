"""CritiqueLLM's files of human scores, taken over as questions and answers to be judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data import benchmark, codec
from data.answers import read_answers
from data.critiquellm import SUBCATEGORIES, Taken, import_human
from data.errors import ConfigError, DataError
from data.human import read_human
from data.rubric_files import load_rubric

SHARED = Path(__file__).parents[2] / "shared" / "critiquellm"
ROW = {"id": 0, "category": "基本能力", "question": "问", "response": "答", "model": "m"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of these rows."""
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


def scored(**changes: Any) -> dict[str, Any]:
    """A row of scores."""
    return ROW | {"human_score": 3} | changes


def test_a_question_stands_once_whoever_answered_it(tmp_path: Path) -> None:
    """Its category as AlignBench calls it; its answers by model; the file kept as it was."""
    rows = [
        scored(),
        scored(id=1, model="n", response="答二"),
        scored(id=2, question="二", reference="R"),
    ]
    path = write(tmp_path / "h.jsonl", *rows)
    taken = import_human(path, home=tmp_path)
    loaded = benchmark.load(taken.name, home=tmp_path)
    assert [(q.text, q.category, q.reference) for q in loaded.questions] == [
        ("问", "基本任务", ""),
        ("二", "基本任务", "R"),
    ]
    answers = list(read_answers([Path(taken.answers_path)]))
    first = loaded.questions[0].id
    assert [(a.question_id, a.model, a.text) for a in answers][:2] == [
        (first, "m", "答"),
        (first, "n", "答二"),
    ]
    assert Path(taken.human_path).read_bytes() == path.read_bytes()
    assert (taken.questions, taken.answers, taken.models, taken.changed) == (2, 3, 2, True)
    assert not import_human(path, home=tmp_path).changed


def test_each_pair_is_a_question_of_its_own(tmp_path: Path) -> None:
    """For the file does not say who answered; the same question twice is two pairs."""
    pair = {"id": 0, "category": "代码", "question": "问", "response_1": "a", "response_2": "b"}
    rows = [pair | {"label": 0}, pair | {"id": 1, "response_2": "c", "label": 1}]
    taken = import_human(write(tmp_path / "p.jsonl", *rows), home=tmp_path)
    loaded = benchmark.load(taken.name, home=tmp_path)
    assert [q.text for q in loaded.questions] == ["问", "问"]
    assert len({q.id for q in loaded.questions}) == 2
    answers = list(read_answers([Path(taken.answers_path)]))
    assert [(a.model, a.text) for a in answers] == [
        ("response_1", "a"),
        ("response_2", "b"),
        ("response_1", "a"),
        ("response_2", "c"),
    ]


def test_a_name_stands_for_one_set_of_questions(tmp_path: Path) -> None:
    """Another file needs another name, and can have one."""
    import_human(write(tmp_path / "a.jsonl", scored()), home=tmp_path)
    other = write(tmp_path / "b.jsonl", scored(question="其他"))
    with pytest.raises(ConfigError, match="with other questions") as caught:
        import_human(other, home=tmp_path)
    assert "--name" in caught.value.how
    assert import_human(other, home=tmp_path, name="mine").name == "mine"


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "mini", ""])
def test_a_name_is_one_that_leads_back_to_it(tmp_path: Path, name: str) -> None:
    """No path, and no built-in benchmark's; an empty one is told by the content."""
    path = write(tmp_path / "a.jsonl", scored())
    if not name:
        assert import_human(path, home=tmp_path).name == "critiquellm-pointwise-free"
        return
    with pytest.raises(ConfigError, match="no name for a benchmark"):
        import_human(path, home=tmp_path, name=name)
    assert not (tmp_path / benchmark.FOLDER).exists()


def test_a_file_of_scores_without_answers_is_refused(tmp_path: Path) -> None:
    """There is nothing to judge in it."""
    path = tmp_path / "own.csv"
    path.write_text("question_id,model,score\n1,m,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="no questions and answers"):
        import_human(path, home=tmp_path)


def test_every_category_gets_the_type_that_critiquellm_gives_it() -> None:
    """By our own rubric, and so by AlignBench's, whose types it shares."""
    rubric = load_rubric("alignsweep", home=Path("none"))
    kinds = {c: rubric.subcategories[s].removesuffix("回答") for c, s in SUBCATEGORIES.items()}
    assert kinds == {
        **dict.fromkeys(("基本任务", "中文理解", "专业能力"), "事实与解释型"),
        "综合问答": "建议型",
        **dict.fromkeys(("文本写作", "角色扮演", "多语言能力"), "生成型"),
        **dict.fromkeys(("逻辑推理", "数学计算", "代码"), "逻辑推理型"),
    }


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/critiquellm")
def test_the_published_samples_become_benchmarks(tmp_path: Path) -> None:
    """All four; every human score and pair finds its answers again by text."""
    found: dict[str, Taken] = {}
    for path in sorted(SHARED.glob("*/*.jsonl")):
        taken = import_human(path, home=tmp_path)
        found[taken.name] = taken
        loaded = benchmark.load(taken.name, home=tmp_path)
        assert set(loaded.groups) == {"中文推理", "中文语言"}
        texts = {(a.model, a.text) for a in read_answers([Path(taken.answers_path)])}
        file = read_human(Path(taken.human_path))
        assert {(s.model, s.response) for s in file.scores} <= texts
        for pair in file.pairs:
            assert pair.responses is not None
            assert {("response_1", pair.responses[0]), ("response_2", pair.responses[1])} <= texts
    sizes = {name: (t.questions, t.answers, t.models) for name, t in found.items()}
    assert sizes == {
        "critiquellm-pairwise-referenced": (100, 200, 2),
        "critiquellm-pairwise-free": (100, 200, 2),
        "critiquellm-pointwise-referenced": (86, 100, 8),
        "critiquellm-pointwise-free": (90, 100, 8),
    }
    assert codec.sha256(b"") not in {t.sha256 for t in found.values()}


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/critiquellm")
def test_our_types_are_those_of_the_published_table() -> None:
    """category2type_alignbench.json, word by word."""
    table = codec.decode((SHARED / "category2type_alignbench.json").read_bytes())
    rubric = load_rubric("alignsweep", home=Path("none"))
    renamed = {"基本能力": "基本任务"}
    for category, kind in table.items():
        own = SUBCATEGORIES[renamed.get(category, category)]
        assert rubric.subcategories[own] == kind
