"""A run on disk, as the exporters want to see it: each trial once, in its last state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from data import rubric as rubrics
from data.schema import Answer, Benchmark, Failure, Judgment, Question, Trial
from engine.reports import alignbench
from engine.results import results
from engine.rundir import Stored


def export_alignbench(run: Stored, folder: Path) -> list[Path]:
    """AlignBench's own record format, one file per model. Returns the files written.

    It has no place for the verdict on a pair, so judges that compare two answers are left out.
    """

    def prompt(trial: Trial, question: Question, answer: str) -> tuple[Sequence[str], str]:
        rendered = rubrics.render(
            run.rubrics[trial.rubric], question, answer, seed=run.sweep.seed, turn=trial.turn
        )
        return rendered.dimensions, rendered.messages[-1].content

    return alignbench.export(LastStates(run), folder, prompt=prompt)


class LastStates:
    """The last record of every trial, by model and judge."""

    def __init__(self, run: Stored) -> None:
        self.benchmark: Benchmark = run.benchmark
        self.models: Sequence[str] = [m.name for m in run.sweep.models]
        self.judges: Sequence[str] = [j.name for j in run.sweep.judges if not j.pairwise]
        self._answers: dict[str, dict[Trial, Answer | Failure]] = {}
        self._judgments: dict[tuple[str, str], dict[Trial, Judgment]] = {}
        for record in results(run.folder):
            trial = record.trial
            if trial.kind == "answer" and not isinstance(record, Judgment):
                self._answers.setdefault(trial.model, {})[trial] = record
            elif isinstance(record, Judgment):
                self._judgments.setdefault((trial.judge, trial.model), {})[trial] = record

    def answers(self, model: str) -> Iterable[Answer | Failure]:
        return self._answers.get(model, {}).values()

    def judgments(self, judge: str, model: str) -> Iterable[Judgment]:
        return self._judgments.get((judge, model), {}).values()
