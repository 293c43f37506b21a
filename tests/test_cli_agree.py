"""`alignsweep agree` as a user types it: on runs, human files, leaderboards, and on bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data.answers import read_answers
from engine.cells import width
from tests.inside import Inside

if TYPE_CHECKING:
    from tests.conftest import Ended, Program

SHARED = Path(__file__).parents[2] / "shared" / "critiquellm"
MODELS = ("gpt-4-0613", "chatglm3-6b", "internlm-chat-7b")
SIMULATED = "  * Simulated: these scores are made up, and so is any agreement."


def sweep(
    name: str, judges: dict[str, str], *, models: tuple[str, ...] = (), benchmark: str = "mini"
) -> str:
    """A sweep on the embedded simulator; judges by name and the model that plays them."""
    parts = [f'name = "{name}"\nbenchmark = "{benchmark}"\n[providers.simulated]\nrpm = 600000']
    parts += ["[providers.simulated.simulator]\nlatency_s = 0.01"]
    parts += [f'[[models]]\nname = "{m}"\nprovider = "simulated"\nmodel = "{m}"' for m in models]
    parts += [
        f'[[judges]]\nname = "{name}"\nprovider = "simulated"\nmodel = "{model}"'
        for name, model in judges.items()
    ]
    return "\n".join(parts)


def done(program: Program, *words: str | Path) -> Ended:
    """A command that must end well."""
    ended = program.run(*words)
    assert ended.code == 0, ended
    return ended


def told(program: Program, *words: str | Path) -> dict[str, Any]:
    """What it prints as JSON."""
    found: dict[str, Any] = json.loads(done(program, *words, "--json").out)
    return found


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """In this process."""
    return Inside(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """`first`: three models, two judges. `later`: the same answers by another judge of the name `j`,
    `cached`: by the same one, from the cache."""
    program = Inside(tmp_path_factory.mktemp("agree"))
    program.env["COLUMNS"] = "80"
    judges = {"j": "gpt-4-0613", "k": "CritiqueLLM"}
    texts = {
        "first": sweep("first", judges, models=MODELS),
        "later": sweep("later", {"j": "CritiqueLLM"}),
        "again": sweep("again", {"j": "gpt-4-0613"}),
        "cached": sweep("cached", {"j": "gpt-4-0613"}),
    }
    for name, text in texts.items():
        (program.folder / f"{name}.toml").write_text(text, encoding="utf-8")
    quiet = ("--progress", "none")
    done(program, "run", "first.toml", *quiet)
    done(program, "export", "first", "--alignbench", "--out", "out")
    answers = ("--answers", "out/model_answer", *quiet)
    done(program, "judge", "later.toml", *answers, "--no-cache")
    done(program, "judge", "again.toml", *answers, "--no-cache")
    done(program, "judge", "cached.toml", *answers)
    humans = ["question_id,model,annotator,score"]
    lines = done(program, "report", "first", "--format", "jsonl").out.splitlines()
    for i, row in enumerate(row for row in map(json.loads, lines) if row["judge"] == "k"):
        if i * 7 % 10 < 6:
            score = min(5, 1 + row["score"] // 2)
            humans += [f"{row['question_id']},{row['model']},{who},{score}" for who in ("a", "b")]
    (program.folder / "human.csv").write_text("\n".join(humans), encoding="utf-8")
    return program


# --- a run against humans ----------------------------------------------------------------------


def test_judges_of_a_run_stand_beside_humans_and_baselines(runs: Program) -> None:
    """The one whose scores the humans copied agrees better; length and a constant are there too."""
    shown = done(runs, "agree", "first", "--human", "human.csv").out
    assert "j (simulated) against humans (mini; human.csv)" in shown
    assert "k (simulated) against humans" in shown
    assert shown.count("  constant           undefined: constant gave the same score to all\n") == 2
    assert shown.rstrip("\n").endswith(SIMULATED)
    assert max(width(line) for line in shown.splitlines()) <= 80
    found = told(runs, "agree", "first", "--human", "human.csv")
    assert (found["schema"], found["kind"]) == ("alignsweep.agreement/1", "human_scores")
    assert found["simulated"] is True
    j, k = found["judges"]
    names = [p["name"] for p in j["predictors"]]
    assert names == ["j", "length", "length, 1 to 10", "constant"]
    rho = [own["predictors"][0]["item"]["spearman"]["value"] for own in (j, k)]
    assert rho[1] > 0.95 > rho[0] > 0.5
    low, high = (k["predictors"][0]["item"]["spearman"][end] for end in ("low", "high"))
    assert low <= rho[1] <= high
    assert k["annotators"]["ordinal"]["value"] == 1.0
    assert k["kappa"]["value"] > 0.9
    errors = {c["kind"]: c["rmse"]["value"] for c in k["calibrations"]}
    assert errors["isotonic"] < errors["line"] < errors["the mean"]
    assert set(k["anchored"]) == set(MODELS)
    own = k["anchored"]["chatglm3-6b"]
    assert own["labelled"] + own["unlabelled"] == 72
    assert (
        own["powered"]["high"] - own["powered"]["low"] < own["human"]["high"] - own["human"]["low"]
    )


def test_rubrics_stand_side_by_side_with_tests_between_them(runs: Program) -> None:
    """The judge whose scores the humans copied is nearer to them, and the table says so."""
    words = ("agree", "first", "--human", "human.csv", "--rubrics")
    shown = done(runs, *words).out
    assert "rubrics (simulated) against humans (mini; human.csv)" in shown
    assert "By item r: k is nearer to people than j." in shown
    assert "length, 1 to 10" in shown
    assert shown.rstrip("\n").endswith(SIMULATED)
    assert max(width(line) for line in shown.splitlines()) <= 80
    found = told(runs, *words)
    assert found["kind"] == "rubrics"
    rows = {row["name"]: row for row in found["comparison"]["rows"]}
    alone = {
        own["name"]: own["predictors"][0]["item"]["pearson"]["value"]
        for own in told(runs, "agree", "first", "--human", "human.csv")["judges"]
    }
    for name in ("j", "k"):
        assert rows[name]["measures"][0]["value"] == pytest.approx(alone[name])
    [difference] = found["comparison"]["differences"]
    assert (difference["first"], difference["second"]) == ("j", "k")
    assert difference["measures"][0]["high"] < 0
    assert difference["p_holm"][0] < 0.05
    one = runs.run("agree", "first", "--human", "human.csv", "--rubrics", "--judge", "j")
    assert one.code == 2
    assert "it takes two" in one.err


def test_the_same_input_gives_the_same_bytes(runs: Program) -> None:
    """Chance comes from the data, so two people see the same intervals."""
    words = ("agree", "first", "--human", "human.csv", "--judge", "k", "--json")
    rows = (runs.folder / "human.csv").read_text("utf-8").splitlines()
    before = done(runs, *words).out
    (runs.folder / "turned.csv").write_text("\n".join([rows[0], *rows[:0:-1]]), encoding="utf-8")
    after = done(runs, *("turned.csv" if w == "human.csv" else w for w in words)).out
    assert before == done(runs, *words).out
    assert json.loads(before)["judges"] == json.loads(after)["judges"]


def test_rows_about_nothing_in_the_run_are_counted_by_reason(runs: Program) -> None:
    """A question, a model, and an answer's text that the run does not have."""
    good = (runs.folder / "human.csv").read_text("utf-8").splitlines()[1].split(",")
    rows = [
        {"question_id": good[0], "model": MODELS[1], "score": 3},
        {"question_id": "nowhere", "model": good[1], "score": 3},
        {"question_id": good[0], "model": "stranger", "score": 3},
        {"question_id": good[0], "model": MODELS[0], "score": 3, "response": "another text"},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (runs.folder / "few.jsonl").write_text(text, encoding="utf-8")
    found = told(runs, "agree", "first", "--human", "few.jsonl", "--judge", "j")
    assert found["left_out"] == {"question": 1, "answer": 1, "text": 1}
    assert found["judges"][0]["n"] == 1
    shown = done(runs, "agree", "first", "--human", "few.jsonl", "--judge", "j").out
    told_out = (
        "human rows left out: 1 of other questions, 1 of answers that are not there, 1 of another"
    )
    assert told_out in " ".join(shown.split())
    assert "undefined: 1 to compare; it takes two" in shown


def test_labels_of_pairs_are_compared_with_the_order_of_scores(runs: Program) -> None:
    """Labels that follow k's scores: k is always right, the baselines are not."""
    lines = done(runs, "report", "first", "--format", "jsonl").out.splitlines()
    scores = {
        (row["question_id"], row["model"]): row["score"]
        for row in map(json.loads, lines)
        if row["judge"] == "k"
    }
    rows = ["question_id;model_a;model_b;label"]
    for (question, model), score in scores.items():
        if model != MODELS[0]:
            other = scores[question, MODELS[0]]
            label = "a" if score > other else "b" if score < other else "tie"
            rows.append(f"{question};{model};{MODELS[0]};{label}")
    (runs.folder / "pairs.csv").write_text("\n".join(rows), encoding="utf-8")
    found = told(runs, "agree", "first", "--human", "pairs.csv")
    assert found["kind"] == "human_labels"
    j, k = (
        {p["name"]: p["pairs"]["with_ties"]["value"] for p in own["predictors"]}
        for own in found["judges"]
    )
    assert k["k"] == 1.0
    assert 0.4 < j["j"] < 0.95
    assert set(j) == {"j", "longer wins", "first wins", "always a tie"}
    assert j["longer wins"] < j["j"]
    shown = done(runs, "agree", "first", "--human", "pairs.csv", "--judge", "k").out
    assert "144 pairs of answers to 72 questions" in shown
    assert max(width(line) for line in shown.splitlines()) <= 80


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/critiquellm")
@pytest.mark.parametrize("kind", ["pointwise", "pairwise"])
def test_critiquellms_sample_goes_the_whole_way(program: Program, kind: str) -> None:
    """Imported, judged by a simulated judge, compared with the file as published."""
    path = SHARED / kind / "alignbench_reference_based_sample.jsonl"
    name = f"critiquellm-{kind}-referenced"
    shown = done(program, "data", "import", path).out
    answers = next(line for line in shown.splitlines() if "--answers" in line).split()[-1]
    assert len(list(read_answers([Path(answers)]))) == (100 if kind == "pointwise" else 200)
    text = sweep("c", {"j": "gpt-4-0613"}, benchmark=name)
    (program.folder / "c.toml").write_text(text, encoding="utf-8")
    done(program, "judge", "c.toml", "--answers", answers, "--progress", "none")
    found = told(program, "agree", "c", "--human", path)
    assert found["left_out"] == {"question": 0, "answer": 0, "text": 0}
    (judge,) = found["judges"]
    assert judge["n"] == 100
    named = {p["name"]: p for p in judge["predictors"]}
    if kind == "pointwise":
        assert round(named["length, 1 to 10"]["item"]["pearson"]["value"], 3) == 0.344
        assert len(judge["categories"]) == 8
        assert "基本任务" in {c["category"] for c in judge["categories"]}
        assert named["constant"]["item"]["pearson"]["value"] is None
    else:
        assert named["longer wins"]["pairs"]["with_ties"]["value"] == 0.51
        assert judge["questions"] == 88


# --- judge against judge -----------------------------------------------------------------------


def test_two_judges_of_a_run_are_compared_at_every_level(runs: Program) -> None:
    """Shift, kappa and alpha besides correlation; length beside; by category and by model."""
    found = told(runs, "agree", "first", "--judge", "j", "--judge", "k")["comparison"]
    assert (found["n"], found["questions"], found["models"]) == (216, 72, 3)
    assert [(c["first"], c["second"]) for c in found["compared"]] == [
        ("j", "k"),
        ("length", "j"),
        ("length", "k"),
    ]
    turned = told(runs, "agree", "first", "--judge", "k", "--judge", "j")["comparison"]
    assert turned["shift"]["value"] == pytest.approx(-found["shift"]["value"])
    assert turned["kappa"]["value"] == pytest.approx(found["kappa"]["value"])
    assert found["ordinal_alpha"]["value"] == pytest.approx(found["kappa"]["value"], abs=0.05)
    assert sum(part["n"] for part in found["by_category"]) == 216
    excess = {part["name"]: part["excess"] for part in found["by_model"]}
    assert sum(excess.values()) == pytest.approx(0.0, abs=1e-9)
    assert max(excess, key=excess.__getitem__) == "gpt-4-0613"
    shown = done(runs, "agree", "first", "--judge", "j", "--judge", "k").out
    assert "beyond: how much more than over all A favours it" in shown
    assert max(width(line) for line in shown.splitlines()) <= 80


def test_published_leaderboards_are_compared_column_by_column(program: Program) -> None:
    """By name, or any file of the same form."""
    shown = done(program, "agree", "--leaderboards", "alignbench").out
    assert "  总分         .9851      .9945      .9668" in shown
    assert "  rank 10-11 -> 11  chatglm3-6b" in shown
    rows = {f"m{i}": {"summary": {"总分": float(i)}, "categories": {}} for i in range(6)}
    flat = {name: {"summary": {"总分": 5.0}, "categories": {}} for name in rows}
    board = {
        "benchmark": "b",
        "source": "s",
        "date": "d",
        "formula": "",
        "judges": {"x": rows, "y": flat},
    }
    (program.folder / "b.json").write_text(json.dumps(board), encoding="utf-8")
    found = done(program, "agree", "--leaderboards", "b.json").out
    assert "undefined (总分): y gave the same score to all" in found


# --- a judge over time -------------------------------------------------------------------------


def test_a_canary_that_moved_ends_in_code_3(runs: Program) -> None:
    """Another model behind the same name: the shift, what was served, and the alarm."""
    ended = runs.run("agree", "first", "later", "--canary")
    assert ended.code == 3
    assert "ALARM: the mean moved by -" in ended.out
    assert "the provider does not name the same model as before" in ended.out
    assert "served after       CritiqueLLM" in ended.out
    loose = runs.run("agree", "first", "later", "--canary", "--threshold", "9")
    assert loose.code == 0
    assert "no alarm" in loose.out
    as_json = runs.run("agree", "first", "later", "--canary", "--json")
    assert as_json.code == 3
    (found,) = json.loads(as_json.out)["judges"]
    assert found["alarm"] is True
    assert found["n"] == 216
    assert found["shift"]["value"] < -0.2
    assert found["test"]["p"] < 0.05
    assert 0 < found["test"]["detectable"] < 1
    assert "detectable shift" in ended.out
    assert max(width(line) for line in ended.out.splitlines()) <= 80


def test_a_canary_that_stands_still_is_no_alarm(runs: Program) -> None:
    """The same judge, asked anew."""
    found = told(runs, "agree", "first", "again", "--canary")
    (own,) = found["judges"]
    assert (own["shift"]["value"], own["alarm"], own["same"]["value"]) == (0.0, False, 1.0)


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("agree",), "these words do not say what to compare"),
        (("agree", "first"), "these words do not say what to compare"),
        (("agree", "first", "--judge", "j", "--judge", "j"), "these words do not say"),
        (("agree", "first", "--canary"), "these words do not say"),
        (("agree", "--baselines"), "these words do not say"),
        (("agree", "first", "--leaderboards", "alignbench"), "these words do not say"),
        (("agree", "none", "--human", "human.csv"), "no run `none`"),
        (("agree", "first", "--human", "none.csv"), "none.csv: no such file"),
        (("agree", "first", "--human", "first.toml"), "these are no human scores"),
        (("agree", "first", "--human", "human.csv", "--judge", "x"), "no judge `x` in this run"),
        (("agree", "first", "--judge", "j", "--judge", "x"), "no judge `x` in this run"),
        (("agree", "first", "cached", "--canary"), "came out of the cache"),
        (("agree", "first", "later", "--canary", "--threshold", "nan"), "nan is no threshold"),
        (("agree", "first", "first", "--canary"), "one and the same run"),
        (("agree", "first", "later", "--canary", "--judge", "k"), "no judge `k` in this run"),
        (("agree", "--human", "human.csv", "--baselines"), "no answers in this file"),
        (("agree", "--leaderboards", "human.csv"), "no leaderboards"),
        (("agree", "--leaderboards", "none.json"), "none.json: no such file"),
        (("agree", "--leaderboards", "alignbench", "--judge", "x"), "no table by `x`"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: Program, words: tuple[str, ...], says: str
) -> None:
    """One message, exit code 2, nothing on stdout."""
    ended = runs.run(*words)
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert says in ended.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no human scores in this file"),
        (b"question_id,model,score\n1,m,x\n", "bad:2: `score` is 'x', not a number"),
        (b"question_id,model,score\n1,m\n", "bad:2: 2 cells under 3 columns"),
        (b"question_id,model,score\n1,\xc4\xa3\xff,4\n", "bad:2: not UTF-8"),
        (b'{"question_id": 1, "model": "m", "score": 3}\n{', "bad:2: not one JSON object"),
        (
            b'{"question_id": 1, "model_a": "m", "model_b": "n", "label": "c"}',
            "bad:1: `label` is 'c'",
        ),
        (b'{"a\\u001b[2J": 1}', "members here: a\\x1b[2J"),
        (b"question_id,model,score\nnone,m,3\n", "its questions are not this run's"),
    ],
)
def test_a_bad_human_file_is_refused(runs: Program, content: bytes, says: str) -> None:
    """With file, line and reason; no escape code gets through."""
    (runs.folder / "bad").write_bytes(content)
    ended = runs.run("agree", "first", "--human", "bad")
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert "\x1b" not in ended.err


def test_answers_that_humans_never_saw_are_not_compared(runs: Program) -> None:
    """CritiqueLLM's texts are not this run's, though a question may be."""
    question = "x"
    row = {"id": 0, "question": question, "response": "r", "model": MODELS[0], "human_score": 3}
    (runs.folder / "other.jsonl").write_text(json.dumps(row), encoding="utf-8")
    ended = runs.run("agree", "first", "--human", "other.jsonl")
    assert ended.code == 2
    assert "judge the scored answers first: alignsweep data import FILE" in ended.err
