"""`alignsweep rank` and `alignsweep compare`, typed as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cells import inert, width
from engine.reports.plain import NAME_MIN, Heading, grid_lines, paragraph
from tests.conftest import ROOT, Ended, Program
from tests.inside import Inside

HOSTILE = "[/red]{x}坏％s"
MODELS = ("gpt-4-1106-preview", "gpt-4-0613", "chatglm3-6b", "baichuan2-7b-chat")
JUDGES = ("gpt-4-0613", "CritiqueLLM", "third")


def sweep(
    *, models: tuple[str, ...] = MODELS, judges: tuple[str, ...] = JUDGES, more: str = ""
) -> str:
    """Simulated, with the noise of seeds: repeats differ."""
    parts = [
        'name = "s"\nbenchmark = "mini"\nrepeats = 2\nsend_seed = true',
        "[providers.simulated]\nrpm = 600000\nconcurrency = 64",
        f"[providers.simulated.simulator]\nlatency_s = 0.01\n{more}",
        *(
            f'[[models]]\nname = {json.dumps(m)}\nprovider = "simulated"\nmodel = "m{i}"'
            for i, m in enumerate(models)
        ),
        *(
            f'[[judges]]\nname = "{j}"\nprovider = "simulated"\nmodel = "{j}"\nrubric = "alignsweep"'
            for j in judges
        ),
    ]
    text = "\n\n".join(parts)
    for i, model in enumerate(models):
        if model in MODELS:
            text = text.replace(f'model = "m{i}"', f'model = "{model}"')
    return text


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """In this process."""
    return Inside(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A finished run of four models and three judges."""
    program = Inside(tmp_path_factory.mktemp("rank"))
    (program.folder / "s.toml").write_text(
        sweep(more="refusal_rate = 0.01\nmalformed_verdict_rate = 0.05")
    )
    ended = program.run("run", "s.toml", "--progress", "none")
    assert ended.code == 0, ended
    return program


def narrow(program: Program, *words: str, columns: int = 80) -> Ended:
    program.env["COLUMNS"] = str(columns)
    ended = program.run(*words)
    assert ended.code == 0, ended
    assert max(width(line) for line in ended.out.splitlines()) <= columns, ended
    return ended


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    for word in words:
        assert word in ended.err, ended


# --- rank --------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_rank_says_which_neighbours_are_told_apart(finished: Program, columns: int) -> None:
    """A table per judge, the answer in words, and that all of it is simulated."""
    out = narrow(finished, "rank", "s", columns=columns).out
    for judge in JUDGES:
        assert f"mini by {judge} (simulated): 4 models, 72 questions" in out
    assert out.count("Neighbours told apart:") == 3
    assert "2 from 3" in out
    assert "Between the 3 judges" in out
    assert "Everything here is simulated" in out
    assert ("p flip" in out) is (columns == 120)
    assert "Judge noise is" in out


def test_rank_agrees_with_the_report(finished: Program) -> None:
    """The same totals, in the same order, each in its interval."""
    report = json.loads(finished.run("report", "s", "--format", "json").out)
    ranked = json.loads(finished.run("rank", "s", "--json").out)
    assert ranked["schema"] == "alignsweep.rank/1"
    assert ranked["simulated"] is True
    for theirs, ours in zip(report["judges"], ranked["judges"], strict=True):
        (ranking,) = ours["rankings"]
        assert theirs["judge"] == ours["judge"]
        assert [m["model"] for m in theirs["models"]] == [s["model"] for s in ranking["standings"]]
        for model, standing in zip(theirs["models"], ranking["standings"], strict=True):
            guess = standing["estimate"]
            assert guess["value"] == pytest.approx(model["robust"]["total"], rel=1e-12)
            assert guess["low"] < guess["value"] < guess["high"]
            assert guess["se"] == pytest.approx(model["intervals"]["total"]["se"])
            assert standing["rank_low"] <= standing["place"] <= standing["rank_high"]
        assert len(ranking["pairs"]) == ranking["tests_corrected_together"] == 6


def test_rank_can_be_asked_for_one_judge_categories_clusters_and_ratings(finished: Program) -> None:
    """Each way fits into 80 columns."""
    one = narrow(finished, "rank", "s", "--judge", "CritiqueLLM").out
    assert "by CritiqueLLM" in one
    assert "by third" not in one
    parts = narrow(finished, "rank", "s", "--judge", "third", "--by", "category").out
    assert parts.count("rank  model") == 8
    assert "all 48 pairs of all categories" in parts
    rated = narrow(finished, "rank", "s", "--judge", "third", "--by", "rating").out
    assert "Bradley-Terry ratings" in rated
    assert "equal style" in rated
    davidson = narrow(
        finished, "rank", "s", "--judge", "third", "--by", "rating", "--ties", "davidson"
    ).out
    assert "a chance of their own (nu = " in davidson
    document = json.loads(finished.run("rank", "s", "--by", "rating", "--json").out)
    assert [len(one["ratings"]["ratings"]) for one in document["judges"]] == [4, 4, 4]


def test_clusters_widen_or_narrow_what_is_said_but_not_the_scores(finished: Program) -> None:
    """The questions are the same; what was sampled is not."""
    plain, clustered = (
        json.loads(finished.run("rank", "s", "--judge", "third", "--json", *more).out)["judges"][0]
        for more in ((), ("--cluster",))
    )
    for one, two in zip(*(j["rankings"][0]["standings"] for j in (plain, clustered)), strict=True):
        assert one["estimate"]["value"] == two["estimate"]["value"]
        assert one["estimate"]["se"] != two["estimate"]["se"]
    assert plain["clusters"] is None
    assert clustered["clusters"] > 8


def test_a_panel_combines_all_judges(finished: Program) -> None:
    """Its mean is the mean of theirs where all of them scored."""
    out = narrow(
        finished, "rank", "s", "--judge", "panel", "--panel", "median", "--quorum", "3"
    ).out
    assert "panel (median of 3)" in out
    assert "a score needs 3 of 3 judges" in out
    told = finished.run("report", "s", "--panel", "median", "--quorum", "3", "--format", "json").out
    [alone] = json.loads(
        finished.run(
            *("rank", "s", "--judge", "panel", "--panel", "median", "--quorum", "3", "--json")
        ).out
    )["judges"]
    last = json.loads(told)["judges"][-1]
    assert last["judge"] == alone["judge"] == "panel (median of 3)"
    for model, standing in zip(last["models"], alone["rankings"][0]["standings"], strict=True):
        assert model["model"] == standing["model"]
        assert model["robust"]["total"] == pytest.approx(standing["estimate"]["value"])
        assert model["intervals"]["total"]["low"] == pytest.approx(standing["estimate"]["low"])
    refused(finished.run("report", "s", "--quorum", "2"), "add --panel mean")
    document = json.loads(finished.run("rank", "s", "--judge", "panel", "--json").out)
    (judged,) = document["judges"]
    assert judged["disagreement"]["judges"] == list(JUDGES)
    assert judged["disagreement"]["mean_range"] > 0


def test_what_cannot_be_is_refused_in_one_sentence(finished: Program) -> None:
    """Exit 2, no traceback."""
    refused(
        finished.run("rank", "s", "--judge", "nobody"), "no judge `nobody`", "CritiqueLLM", "panel"
    )
    refused(finished.run("rank", "s", "--judge", "panel", "--quorum", "4"), "quorum of 4 of 3")
    refused(finished.run("rank", "s", "--quorum", "2"), "only a panel", "--judge panel")
    refused(finished.run("rank", "s", "--panel", "median"), "only a panel", "--judge panel")
    refused(finished.run("rank", "no-run"), "no run `no-run`")
    refused(finished.run("compare", "s", "nobody", MODELS[0]), "no model `nobody`", MODELS[1])
    refused(finished.run("compare", "s", MODELS[0], MODELS[0]), "the same model twice")
    assert finished.run("rank", "s", "--by", "luck").code == 2


# --- compare -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_compare_ends_in_a_sentence(finished: Program, columns: int) -> None:
    """Clear for a clear pair, by every judge."""
    out = narrow(finished, "compare", "s", "chatglm3-6b", "gpt-4-1106-preview", columns=columns).out
    assert out.count("gpt-4-1106-preview is better than chatglm3-6b:") == 3
    assert "All 3 judges find gpt-4-1106-preview better." in " ".join(out.split())
    assert "Better by B" in out
    assert "at equal length" in out
    assert "数学计算" in out


def test_compare_says_when_nothing_can_be_said(finished: Program) -> None:
    """Two models that the tables put at the same place."""
    out = narrow(finished, "compare", "s", "chatglm3-6b", "baichuan2-7b-chat").out
    assert "cannot be told apart on these" in out
    assert "would often be missed" in " ".join(out.split())


def test_compare_and_rank_have_the_same_numbers(finished: Program) -> None:
    """Effect, p, p of the permutation, detectable."""
    a, b = "gpt-4-0613", "chatglm3-6b"
    ranked = json.loads(finished.run("rank", "s", "--judge", "third", "--json").out)
    compared = json.loads(finished.run("compare", "s", a, b, "--judge", "third", "--json").out)
    (judged,) = compared["judges"]
    pairs = ranked["judges"][0]["rankings"][0]["pairs"]
    (pair,) = [
        p["comparison"] for p in pairs if {p["comparison"]["a"], p["comparison"]["b"]} == {a, b}
    ]
    total = judged["lines"][0]
    assert total["comparison"] == pair
    assert total["mean_a"] - total["mean_b"] == pytest.approx(pair["effect"]["value"])
    assert judged["told_apart"] is True
    assert pair["wins"] + pair["ties"] + pair["losses"] + pair["left_out"] == 72
    largest = [q["a"] - q["b"] for q in judged["largest"]]
    assert len(largest) <= 10
    assert largest[0] == max(largest)


def test_too_little_coverage_has_no_total_but_categories(program: Program) -> None:
    """The threshold of the report holds here, too; lowering it is one flag."""
    (program.folder / "s.toml").write_text(sweep(more="refusal_rate = 0.12", judges=JUDGES[:1]))
    assert program.run("run", "s.toml", "--progress", "none").code == 0
    out = narrow(program, "rank", "s").out
    assert "nobody is ranked" in out
    assert all(model in out for model in MODELS)
    thin = narrow(program, "compare", "s", MODELS[0], MODELS[2]).out
    assert "No conclusion on 总分" in thin
    lowered = narrow(program, "compare", "s", MODELS[0], MODELS[2], "--min-coverage", "0.2").out
    assert "is better than" in lowered


def test_a_run_of_three_questions_does_not_crash(program: Program) -> None:
    """Undefined is said, everywhere."""
    (program.folder / "s.toml").write_text(sweep(judges=JUDGES[:2]))
    assert program.run("run", "s.toml", "--progress", "none", "--limit", "3").code == 0
    for words in (
        ("rank", "s", "--min-coverage", "0"),
        ("rank", "s", "--min-coverage", "0", "--by", "category", "--cluster"),
        ("rank", "s", "--min-coverage", "0", "--by", "rating"),
        ("rank", "s", "--min-coverage", "0", "--judge", "panel", "--panel", "majority"),
        ("compare", "s", *MODELS[:2], "--min-coverage", "0"),
    ):
        narrow(program, *words)
        assert program.run(*words, "--json").code == 0
    assert (
        "No conclusion" in narrow(program, "compare", "s", *MODELS[:2], "--min-coverage", "0").out
    )


def test_names_are_never_markup_or_escape_codes(program: Program) -> None:
    """A model's name is data, in a table and in an error."""
    (program.folder / "s.toml").write_text(sweep(models=(HOSTILE, "plain"), judges=JUDGES[:1]))
    assert program.run("run", "s.toml", "--progress", "none").code == 0
    for words in (
        ("rank", "s"),
        ("rank", "s", "--by", "rating"),
        ("compare", "s", HOSTILE, "plain"),
    ):
        ended = narrow(program, *words)
        assert HOSTILE in ended.out
    refused(program.run("compare", "s", "\x1b[31m", "plain"), "no model `\\x1b[31m`")
    assert (
        HOSTILE
        in json.loads(program.run("compare", "s", HOSTILE, "plain", "--json").out)["judges"][0]["a"]
    )


def test_a_run_without_judges_and_a_panel_of_one_are_refused(program: Program) -> None:
    """With what to do about it."""
    (program.folder / "s.toml").write_text(sweep(judges=()))
    assert program.run("generate", "s.toml", "--progress", "none", "--limit", "1").code == 0
    refused(program.run("rank", "s"), "has no judges", "[[judges]]")
    (program.folder / "t.toml").write_text(sweep(judges=JUDGES[:1]).replace('"s"', '"t"'))
    assert program.run("run", "t.toml", "--progress", "none", "--limit", "1").code == 0
    refused(program.run("rank", "t", "--judge", "panel"), "a panel needs two judges")


def test_a_run_of_pairs_is_ranked_by_wins(program: Program) -> None:
    """All commands tell the same rates; AlignBench's format has only the answers."""
    text = sweep(judges=JUDGES[:1]).replace('"alignsweep"', '"alignsweep-pairs"')
    (program.folder / "s.toml").write_text(text.replace("repeats = 2", ""))
    assert program.run("run", "s.toml", "--progress", "none").code == 0
    out = narrow(program, "rank", "s").out
    assert "mini by gpt-4-0613 (simulated), pair by pair: 4 models, 72 questions" in out
    assert "Neighbours told apart" in out
    assert "inconsistent (another verdict when turned)" in " ".join(out.split())
    told = json.loads(program.run("rank", "s", "--json").out)
    assert told["judges"] == []
    [judge] = told["pairwise"]
    [ranking] = judge["rankings"]
    report = json.loads(program.run("report", "s", "--format", "json").out)
    rates = {row["model"]: row for row in report["duels"][0]["rows"]}
    for standing in ranking["standings"]:
        row, guess = rates[standing["model"]], standing["estimate"]
        assert guess["value"] == pytest.approx(100 * row["adjusted_win_rate"])
        ends = row["interval_percent"]
        assert (ends["low"], ends["high"]) == pytest.approx((guess["low"], guess["high"]))
        assert (ends["rank_low"], ends["rank_high"]) == (
            standing["rank_low"],
            standing["rank_high"],
        )
    lines = program.run("report", "s", "--format", "csv").out.splitlines()
    assert len(lines) == 1 + len(MODELS)
    assert lines[0].endswith("adjusted_low,adjusted_high,rank_low,rank_high")
    program.env["COLUMNS"] = "80"
    shown = program.run("report", "s").out.splitlines()
    assert any("95 % CI" in line and width(line) <= 80 for line in shown)
    assert "95 % CI" in program.run("report", "s", "--format", "md").out
    rated = narrow(program, "rank", "s", "--by", "rating").out
    assert "equal style" in rated
    assert "Ties and inconsistent games count half a win" in " ".join(rated.split())
    assert narrow(program, "rank", "s", "--by", "category").out.count("rank  model") == 8
    exported = program.run("export", "s", "--alignbench")
    assert exported.code == 0, exported
    assert len(exported.out.splitlines()) == len(MODELS)
    assert "compares two answers" in exported.err


def test_two_models_of_a_run_of_pairs_are_compared(program: Program) -> None:
    """By their own games where they met, through the baseline where they did not."""
    text = sweep(judges=JUDGES[:2]).replace('"alignsweep"', '"alignsweep-pairs"')
    baseline = f'baseline = "{MODELS[2]}"\n'
    (program.folder / "s.toml").write_text(f"{text}\n{baseline}".replace("repeats = 2", ""))
    assert program.run("run", "s.toml", "--progress", "none").code == 0
    out = narrow(program, "compare", "s", MODELS[0], MODELS[3]).out
    assert "against each other, a draw is half a win" in out
    assert f"{MODELS[0]} beats {MODELS[3]}: it wins" in out
    assert "equal length" in out
    assert f"each against {MODELS[2]}, a draw is half a win" in out
    assert f"is better than {MODELS[3]}:" in out
    assert f"more in win % against {MODELS[2]}" in " ".join(out.split())
    words = ("compare", "s", MODELS[0], MODELS[2], "--judge", JUDGES[1], "--json")
    [direct] = json.loads(program.run(*words).out)["judges"]
    ranked = json.loads(program.run("rank", "s", "--judge", JUDGES[1], "--json").out)
    [one] = [
        s for s in ranked["pairwise"][0]["rankings"][0]["standings"] if s["model"] == MODELS[0]
    ]
    assert direct["lines"][0]["mean_a"] == pytest.approx(one["estimate"]["value"])
    [fixed] = [
        s for s in ranked["pairwise"][0]["rankings"][0]["standings"] if s["model"] == MODELS[2]
    ]
    assert fixed["estimate"]["value"] == 50
    assert "baseline" in narrow(program, "rank", "s", "--judge", JUDGES[1]).out
    refused(program.run("rank", "s", "--judge", "panel"), "judges that score single answers")


def test_judges_on_different_scales_or_policies_are_no_panel(program: Program) -> None:
    """A -1 is no score, and a 20 of 20 is no 10 of 10."""
    (program.folder / "s.toml").write_text(sweep(judges=JUDGES[:2]) + '\nparse = "compat"')
    assert program.run("run", "s.toml", "--progress", "none", "--limit", "1").code == 0
    refused(program.run("rank", "s", "--judge", "panel"), "parse = compat")
    ours = (ROOT / "data" / "rubrics" / "alignsweep.toml").read_text(encoding="utf-8")
    twenty = ours.replace("\nhigh = 10", "\nhigh = 20")
    (program.folder / "twenty.toml").write_text(twenty, encoding="utf-8")
    text = sweep(judges=JUDGES[:2]).replace('name = "s"', 'name = "t"')
    before, _, after = text.rpartition('"alignsweep"')
    (program.folder / "t.toml").write_text(f'{before}"./twenty.toml"{after}')
    ended = program.run("run", "t.toml", "--progress", "none", "--limit", "1")
    assert ended.code == 0, ended
    refused(program.run("rank", "t", "--judge", "panel"), "different scales")


# --- lines of text -----------------------------------------------------------------------------

CELL = st.text(st.sampled_from("ab9评委（"), max_size=30).map(inert)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), st.integers(20, 150))
def test_columns_line_up_and_only_the_name_is_cut(
    rows: list[tuple[str, ...]], columns: int
) -> None:
    """Numbers never; a column that may go is dropped before that."""
    heads = [Heading("#"), Heading("name", right=False), Heading("more", optional=True)]
    lines = grid_lines(heads, rows, columns)
    assert len(lines) == len(rows) + 1
    for line, (number, _, more) in zip(lines[1:], rows, strict=True):
        assert number in line
        assert "more" not in lines[0] or more in line
    widest = max(width(number) for number, _, _ in rows)
    if max(widest, 1) + 2 + NAME_MIN <= columns:
        assert max(map(width, lines)) <= columns


WORD = st.text(st.sampled_from("ab9评委（"), min_size=1, max_size=60)


@given(st.lists(WORD, min_size=1, max_size=40), st.integers(20, 150))
def test_a_paragraph_keeps_every_word_and_every_margin(words: list[str], columns: int) -> None:
    """In order, indented; a word that is wider than a line goes over several."""
    lines = paragraph(" ".join(words), columns, first="  * ")
    assert "".join(lines).replace(" ", "") == "*" + "".join(words)
    assert max(map(width, lines)) <= columns
    if max(map(width, words)) <= columns - 4:
        assert " ".join(lines).split()[1:] == words
    assert lines[0].startswith("  * ")
    assert all(line.startswith("    ") for line in lines[1:])
