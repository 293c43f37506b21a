"""How much each judge of a run agrees with people, or with the run's other judges."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from data.human import HumanFile
from engine.agreement.against_labels import judge_against_labels
from engine.agreement.estimate import Estimate
from engine.agreement.joined import Desk
from engine.agreement.levels import item_level
from engine.agreement.rated import judge_column, rated_by, sampled
from engine.agreement.run_scores import Judged, judged_answers
from engine.agreement.sample import Pair, sample_of
from engine.rundir import read_run

JOURNAL = "journal.jsonl"


def agreements(run: Path, human: HumanFile | None) -> tuple[dict[str, Estimate], str]:
    """By judge, and beside whom; nothing where there is no run, or nobody else.

    Raises ConfigError for a human file that is about nothing in the run.
    """
    if not (run / JOURNAL).exists():
        return {}, ""
    stored = read_run(run)
    answers = judged_answers(stored)
    judges = [judge.name for judge in stored.sweep.judges]
    judged = [name for name in judges if any(name in a.scores for a in answers)]
    if human is None:
        found = {name: _beside_others(name, answers) for name in judged if len(judged) > 1}
        return found, "other judges" if found else ""
    desk = Desk(stored, answers)
    if human.pairs:
        labelled, _ = desk.labels(human)
        by_labels = {name: judge_against_labels(name, labelled) for name in judged}
        return {n: found.predictors[0].pairs.with_ties for n, found in by_labels.items()}, "labels"
    scored, _ = desk.scores(human)
    return {
        name: item_level(sampled(rated_by(name, scored), judge_column, name)).spearman
        for name in judged
    }, "humans"


def _beside_others(judge: str, answers: tuple[Judged, ...]) -> Estimate:
    rows = [a for a in answers if judge in a.scores and len(a.scores) > 1]
    pairs = [
        Pair(
            a.question,
            a.model,
            a.scores[judge],
            fmean(score for name, score in a.scores.items() if name != judge),
        )
        for a in rows
    ]
    return item_level(sample_of(pairs, (judge, "the other judges"))).spearman
