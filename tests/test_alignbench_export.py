"""The export, read back the way AlignBench's own scripts read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.answers import read_answers
from data.benchmark import load
from data.compat import read_compat
from data.errors import ConfigError, DataError
from data.schema import (
    Answer,
    Benchmark,
    Evidence,
    Failure,
    JudgeSpec,
    Judgment,
    Question,
    Response,
    Result,
    Trial,
    Verdict,
)
from engine.reports.alignbench import export
from engine.scores import score

OFFICIAL = Path(__file__).parents[2] / "shared" / "alignbench" / "data_v1.1_release.jsonl"
MODELS = ("智谱清言（chatglm）", "org/Model", "Org/model")
REPLIES = (
    "{'事实正确性': 7, '综合得分': 8}",
    "解释 {x}\n{'满足用户需求': 3, '综合得分': 2}",
    '{"综合得分": 9}',
    "{'a': 1,\n'综合得分': 6.25}",
    "{'综合得分': 99999999999999999999999}",
    "无法评分 \ud800",
    "",
)


class Run:
    """A run that exists in memory only; records come in reverse."""

    judges = ("gpt-4", "Critique/LLM")

    def __init__(self, benchmark: Benchmark, models: Iterable[str] = MODELS) -> None:
        self.benchmark, self.models = benchmark, tuple(models)

    def answers(self, model: str) -> Iterator[Answer | Failure]:
        for place, question in reversed(list(enumerate(self.benchmark.questions))):
            trial = Trial(kind="answer", question_id=question.id, candidates=((model, 0),))
            if place % 50 == 7:
                yield Failure(trial=trial, error="BadRequest", message="no")
            else:
                state = "refused" if place % 50 == 9 else "answered"
                reply = Response(text=f"答\u2028{model} \ud83d\ude00\ud800\n{question.id}")
                yield Answer(trial=trial, response=reply, state=state)  # type: ignore[arg-type]

    def judgments(self, judge: str, model: str) -> Iterator[Judgment]:
        for place, question in reversed(list(enumerate(self.benchmark.questions))):
            if place % 50 in (7, 9):
                continue
            text = REPLIES[(place * 3 + len(judge) + self.models.index(model)) % len(REPLIES)]
            compat = read_compat(text)[1]
            yield Judgment(
                trial=Trial(
                    kind="judgment",
                    question_id=question.id,
                    candidates=((model, 0),),
                    judge=judge,
                ),
                asks=(Response(text=text), Response(text="{'综合得分': 1}")),
                verdict=Verdict(compat) if 1 <= compat <= 10 else None,
                compat=compat,
            )


def prompt(trial: Trial, question: Question, answer: str) -> tuple[list[str], str]:
    return ["事实正确性"], f"{trial.judge} 评 {question.text}：{answer}"


def rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


def small(n: int = 60) -> Benchmark:
    questions = tuple(
        Question(
            id=n - i,
            category="甲" if i % 2 else "乙",
            subcategory="丙",
            turns=(f"问题{i}",),
            references=("答案",),
            evidences=(Evidence(url="u", quote="q"),) if i == 1 else None,
        )
        for i in range(n)
    )
    return Benchmark(name="b", title="b", questions=questions, sha256="")


def show_result(folder: Path, questions: Benchmark) -> dict[str, dict[str, float]]:
    """Category means as upstream's show_result.py makes them of all files of a folder."""
    categories = {q.id: q.category for q in questions.questions}
    found: dict[str, dict[str, list[float]]] = {}
    for path in folder.glob("*.jsonl"):
        for row in rows(path):
            by_category = found.setdefault(row["model_id"], {})
            by_category.setdefault(categories[row["question_id"]], []).append(row["score"])
    return {m: {c: sum(v) / len(v) for c, v in vs.items()} for m, vs in found.items()}


def post_process(judgment: str) -> tuple[dict[str, int], float]:
    """Upstream's parser, by its regular expressions."""
    match = re.search(r"{(.*?)}(?![^{]*{)", judgment)
    rating = {k: int(v) for k, v in re.findall(r"'(.*?)': (\d+)", match[1])} if match else {}
    if rating.get("综合得分", -1) != -1:
        return rating, rating["综合得分"]
    loose = re.search(r"\'综合得分\': (\d+(\.\d{1,2})?)", judgment)
    return rating, float(loose[1]) if loose else -1


@pytest.mark.shared
def test_upstreams_aggregation_of_the_export_is_our_compat_table(tmp_path: Path) -> None:
    """All 683 official questions, three models, two judges, every kind of reply."""
    if not OFFICIAL.exists():
        pytest.skip("the official questions are not here")
    run = Run(load(str(OFFICIAL), home=tmp_path))
    paths = export(run, tmp_path / "out", prompt=prompt)
    assert len(paths) == 9
    specs = [JudgeSpec(name=j, provider="p", model="m", rubric="r") for j in run.judges]
    records: list[Result] = [r for m in MODELS for r in run.answers(m)]
    records += [r for m in MODELS for j in run.judges for r in run.judgments(j, m)]
    tables = score(run.benchmark, specs, records, models=MODELS).tables
    for table, path in zip(tables, [paths[1], paths[2]], strict=True):
        theirs = show_result(path.parent, run.benchmark)
        for row in table.rows:
            ours = row.compat.categories
            assert theirs[row.model] == pytest.approx(ours, abs=1e-9)
            assert row.compat.total is not None


def test_rating_and_score_are_what_upstreams_parser_reads_from_the_first_ask(
    tmp_path: Path,
) -> None:
    """Integers stay integers, the fallback's number is a float, nothing is -1."""
    run = Run(small())
    paths = export(run, tmp_path, prompt=prompt)
    seen = [row for path in paths if path.parent.parent.name == "judgment" for row in rows(path)]
    assert {type(row["score"]) for row in seen} == {int, float}
    for row in seen:
        rating, value = post_process(row["judgment"])
        assert row["rating"] == {k: v for k, v in rating.items() if v < 2**63}
        assert row["score"] == pytest.approx(value)


def test_answer_rows_have_upstreams_fields_in_upstreams_order(tmp_path: Path) -> None:
    """The question's own, evidences where the benchmark has any, then who answered what."""
    run = Run(small())
    path, judged, *_ = export(run, tmp_path, prompt=prompt)
    found = rows(path)
    assert [row["question_id"] for row in found] == [q.id for q in run.benchmark.questions]
    assert list(found[0]) == [
        *("question_id", "category", "subcategory", "question", "reference", "evidences"),
        *("model_id", "answer_id", "answer"),
    ]
    assert found[0]["evidences"] is None
    assert found[1]["evidences"] == [{"url": "u", "quote": "q"}]
    assert found[1]["answer_id"] == f"59_{MODELS[0]}"
    assert found[1]["answer"] == f"答\u2028{MODELS[0]} 😀\ufffd\n59"
    assert found[7]["answer"] is None
    assert found[9]["answer"] is None
    more = ["dimensions", "judge_prompt", "judgment", "rating", "score"]
    assert list(rows(judged)[0]) == [*found[0], *more]
    assert "评" in judged.read_text("utf-8")


def test_models_that_differ_in_case_or_slashes_are_kept_apart(tmp_path: Path) -> None:
    """Their true names stand in the rows."""
    paths = export(Run(small()), tmp_path, prompt=prompt)
    answers = [path for path in paths if path.parent.name == "model_answer"]
    assert len({path.name.casefold() for path in answers}) == 3
    assert [rows(path)[0]["model_id"] for path in answers] == list(MODELS)
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink() or ".part" in path.name]


def test_exported_answers_can_be_judged_again(tmp_path: Path) -> None:
    """What goes out comes in."""
    run = Run(small(), ["m"])
    export(run, tmp_path, prompt=prompt)
    found = {a.question_id: a.text for a in read_answers([tmp_path / "model_answer"])}
    assert len(found) == 60
    assert sum(text is None for text in found.values()) == 4


def test_a_second_export_rewrites_its_files_and_refuses_foreign_ones(tmp_path: Path) -> None:
    """Upstream reads every file of the folder: a stale one would be counted."""
    run = Run(small())
    first = [path.read_bytes() for path in export(run, tmp_path, prompt=prompt)]
    assert [path.read_bytes() for path in export(run, tmp_path, prompt=prompt)] == first
    with pytest.raises(ConfigError, match="in the way"):
        export(Run(small(), MODELS[:1]), tmp_path, prompt=prompt)


def test_simulated_rows_say_so(tmp_path: Path) -> None:
    """And real ones carry no such field."""

    class Rehearsal(Run):
        def answers(self, model: str) -> Iterator[Answer | Failure]:
            trial = Trial(kind="answer", question_id=60, candidates=((model, 0),))
            yield Answer(trial=trial, response=Response(text="〔simulated〕", simulated=True))

        def judgments(self, judge: str, model: str) -> Iterator[Judgment]:
            return iter(())

    path, *_ = export(Rehearsal(small(), ["m"]), tmp_path / "a", prompt=prompt)
    assert rows(path)[0]["simulated"] is True
    path, *_ = export(Run(small(), ["m"]), tmp_path / "b", prompt=prompt)
    assert "simulated" not in rows(path)[0]
    assert next(read_answers([tmp_path / "a" / "model_answer"])).simulated


def test_a_judgment_without_its_answer_is_an_error(tmp_path: Path) -> None:
    """Half a row would be read as a whole one."""

    class Torn(Run):
        def answers(self, model: str) -> Iterator[Answer | Failure]:
            return iter(())

    with pytest.raises(DataError, match="not there"):
        export(Torn(small()), tmp_path, prompt=prompt)


@given(st.lists(st.sampled_from(["{", "}", "'", "': ", "'综合得分': ", "7", ".5", "\n", "a"])))
def test_the_parser_behind_the_export_is_upstreams(parts: list[str]) -> None:
    """On any arrangement of the characters that matter to it."""
    text = "".join(parts)
    assert read_compat(text) == post_process(text)
