"""Sweeps with judges that compare two answers: whole sessions on virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import ConfigError
from data.schema import Judgment
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import load, select
from engine.events import Progress
from engine.reports.table import duel_sheets
from engine.results import latest_judgments, scores_of
from engine.rundir import read_run
from engine.runtime import run as run_loop
from engine.session import Session
from engine.streams import Options

HEAD = """
name = "pairs"
benchmark = "{benchmark}"
samples = {samples}
[providers.simulated]
simulator = {{ refusal_rate = {refusals}, malformed_verdict_rate = {malformed} }}
"""
MODEL = '[[models]]\nname = "{0}"\nprovider = "simulated"\nmodel = "{0}"\n'
JUDGE = '[[judges]]\nname = "{0}"\nprovider = "simulated"\nmodel = "gpt-4-0613"\n{1}\n'
PAIRS = 'rubric = "alignsweep-pairs"'
NAMES = ("gpt-4-0613", "qwen-14b-chat", "chatglm3-6b")


def play(
    folder: Path,
    judges: str,
    *,
    models: tuple[str, ...] = NAMES,
    limit: int | None = 6,
    chosen: tuple[str, ...] = (),
    stop_after_s: float | None = None,
    benchmark: str = "mini",
    samples: int = 1,
    refusals: float = 0.0,
    malformed: float = 0.0,
) -> Outcome:
    """One session, given up after so many virtual seconds if that is said."""
    head = HEAD.format(benchmark=benchmark, samples=samples, refusals=refusals, malformed=malformed)
    text = head + "".join(map(MODEL.format, models)) + judges
    (folder / "s.toml").write_text(text, encoding="utf-8")
    loaded = load(folder / "s.toml", home=folder / "home")

    async def view(latest: Callable[[], Progress]) -> None:
        """Nobody watches."""

    def stops(session: Session) -> None:
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, session.abandon)

    outside = Outside({}, None, 1.8e9, view, stops)
    options = Options(folder=folder / "run", selection=select(loaded, models=chosen, limit=limit))

    async def session() -> Outcome:
        return await conduct(loaded, options, outside)

    return run_loop(session, virtual=True)


def judgments(folder: Path) -> list[Judgment]:
    """The last of each trial."""
    return list(latest_judgments(read_run(folder / "run")))


def test_all_models_meet_in_both_positions(tmp_path: Path) -> None:
    """Three pairs, two positions, six questions; each verdict names a winner or a tie."""
    outcome = play(tmp_path, JUDGE.format("j", PAIRS))
    assert (outcome.state, outcome.pending, outcome.failed) == ("complete", 0, 0)
    made = judgments(tmp_path)
    assert len(made) == 3 * 2 * 6
    assert Counter(record.trial.position for record in made) == {0: 18, 1: 18}
    assert all(record.verdict and record.verdict.choice for record in made)
    assert outcome.progress.done == outcome.progress.planned == 18 + 36


def test_a_better_model_wins_more_whoever_judges_first(tmp_path: Path) -> None:
    """The order of win rates is that of the published scores."""
    play(tmp_path, JUDGE.format("j", PAIRS), limit=None)
    [table] = scores_of(read_run(tmp_path / "run")).duels
    assert [row.model for row in table.rows] == list(NAMES)
    assert sum(row.wins for row in table.rows) == sum(row.losses for row in table.rows) > 0
    assert table.first_wins is not None
    assert 0.5 < table.first_wins < 0.7


def test_a_baseline_meets_everybody_and_nobody_else_meets(tmp_path: Path) -> None:
    """Two pairs in one position, which the content decides: both positions come up."""
    own = f'{PAIRS}\nbaseline = "chatglm3-6b"\npositions = "one"'
    play(tmp_path, JUDGE.format("j", own), limit=None)
    made = judgments(tmp_path)
    assert len(made) == 2 * 72
    assert {record.trial.candidates[1][0] for record in made} == {"chatglm3-6b"}
    assert set(Counter(record.trial.position for record in made)) == {0, 1}


def test_scores_and_comparisons_live_side_by_side(tmp_path: Path) -> None:
    """A judge of each kind in one sweep; neither counts the other's records."""
    play(tmp_path, JUDGE.format("points", "") + JUDGE.format("pairs", PAIRS))
    scores = scores_of(read_run(tmp_path / "run"), min_coverage=0)
    assert [table.judge for table in scores.tables] == ["points"]
    assert [table.judge for table in scores.duels] == ["pairs"]
    assert scores.ignored == 0
    means = [row.robust.categories for table in scores.tables for row in table.rows]
    assert all(1 <= mean <= 10 for found in means for mean in found.values() if mean is not None)


def test_who_has_played_too_few_games_has_no_rank(tmp_path: Path) -> None:
    """As for scores: six of 72 questions make no leaderboard; `--min-coverage 0` shows them ranked."""
    play(tmp_path, JUDGE.format("j", PAIRS))
    run = read_run(tmp_path / "run")
    [sheet] = duel_sheets(scores_of(run))
    assert {row[0] for row in sheet.rows} == {"–"}
    assert any("below 95 %: no rank" in note for note in sheet.notes)
    [sheet] = duel_sheets(scores_of(run, min_coverage=0))
    assert "–" not in {row[0] for row in sheet.rows}


@pytest.mark.parametrize("stop_after_s", [0.1, 0.5, 1.0])
def test_interrupted_and_resumed_nothing_is_judged_twice(
    tmp_path: Path, stop_after_s: float
) -> None:
    """Whatever was there when it was given up."""
    judges = JUDGE.format("j", PAIRS)
    first = play(tmp_path, judges, stop_after_s=stop_after_s)
    assert first.state == "interrupted"
    assert play(tmp_path, judges).state == "complete"
    trials = [record.trial for record in judgments(tmp_path)]
    assert len(set(trials)) == len(trials) == 36


def test_a_refused_answer_takes_its_comparisons_along(tmp_path: Path) -> None:
    """They are not owed, and the rest is complete: every pair whose answers both exist."""
    outcome = play(tmp_path, JUDGE.format("j", PAIRS), limit=None, refusals=0.15)
    refused = sum(row.refused for row in outcome.progress.models)
    assert refused > 5
    assert (outcome.state, outcome.pending) == ("complete", 0)
    made = judgments(tmp_path)
    assert 0 < len(made) < 72 * 6
    assert outcome.progress.done == outcome.progress.planned
    again = play(tmp_path, JUDGE.format("j", PAIRS), limit=None, refusals=0.15)
    assert (again.state, len(judgments(tmp_path))) == ("complete", len(made))


def test_an_unreadable_comparison_is_asked_again(tmp_path: Path) -> None:
    """And unscorable when the asks are used up, never a tie."""
    outcome = play(tmp_path, JUDGE.format("j", PAIRS), limit=None, malformed=0.5)
    assert outcome.state == "complete"
    made = judgments(tmp_path)
    assert any(len(record.asks) > 1 for record in made)
    assert all((record.verdict is None) <= (len(record.asks) == 3) for record in made)


def test_a_model_that_joins_meets_those_that_were_there(tmp_path: Path) -> None:
    """Growing a run asks for the new pairs alone."""
    judges = JUDGE.format("j", PAIRS)
    play(tmp_path, judges, models=NAMES[:2])
    before = {record.trial for record in judgments(tmp_path)}
    assert len(before) == 12
    play(tmp_path, judges)
    assert before < {record.trial for record in judgments(tmp_path)}
    assert len(judgments(tmp_path)) == 36


def test_the_order_of_models_in_the_file_does_not_matter(tmp_path: Path) -> None:
    """The same pairs are asked for, so nothing is judged again."""
    judges = JUDGE.format("j", PAIRS)
    play(tmp_path, judges)
    again = play(tmp_path, judges, models=NAMES[::-1])
    assert again.progress.reused == again.progress.done == 18 + 36


def test_a_chosen_model_meets_only_what_is_there(tmp_path: Path) -> None:
    """With --models one alone has nobody to meet; later it meets all that came."""
    judges = JUDGE.format("j", PAIRS)
    alone = play(tmp_path, judges, chosen=NAMES[:1])
    assert (alone.state, judgments(tmp_path)) == ("complete", [])
    play(tmp_path, judges, chosen=NAMES[1:2])
    assert play(tmp_path, judges).state == "complete"
    assert len(judgments(tmp_path)) == 36


def test_samples_meet_samples_of_the_same_number(tmp_path: Path) -> None:
    """Two draws, each compared with the other model's draw of that number."""
    play(tmp_path, JUDGE.format("j", PAIRS), models=NAMES[:2], samples=2)
    made = judgments(tmp_path)
    assert len(made) == 6 * 2 * 2
    assert all(len({sample for _, sample in r.trial.candidates}) == 1 for r in made)


@pytest.mark.parametrize(
    ("own", "models", "reason"),
    [
        (f'{PAIRS}\nbaseline = "nobody"', NAMES, "the baseline `nobody` is none of the models"),
        ('baseline = "chatglm3-6b"', NAMES, "`baseline` and `positions` are for comparisons"),
        (PAIRS, NAMES[:1], "a comparison needs two models"),
        (f'{PAIRS}\npositions = "three"', NAMES, "positions"),
    ],
)
def test_nonsense_is_refused(
    tmp_path: Path, own: str, models: tuple[str, ...], reason: str
) -> None:
    """With the line, before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        play(tmp_path, JUDGE.format("j", own), models=models)
    assert reason in str(caught.value)
    assert "s.toml:" in str(caught.value)
