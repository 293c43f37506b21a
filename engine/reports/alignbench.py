"""A run in AlignBench's own record format, so that its authors' scripts can read it.

    model_answer/MODEL.jsonl     a question's fields, model_id, answer_id, answer (null: none came)
    judgment/JUDGE/MODEL.jsonl   the same, then dimensions, judge_prompt, judgment, rating, score

Wire format: get_answers.py and judge.py of THUDM/AlignBench. `judgment`, `rating` and `score` are
the first reply and what upstream's parser reads from it, so `show_result.py` prints our compat
table. Lines stand in benchmark order; several samples or repeats of a question are several lines,
each of which upstream counts. Rows of a simulated run say so in one more field. Questions that were
not answered yet have no line.

Three departures, because one such value would end upstream's script: lone surrogates become U+FFFD,
numbers in `rating` that no 64-bit integer holds are left out, and folders with answer or judgment
files of another origin are refused, since upstream would count those too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from data import codec
from data.compat import SCORE_KEY, UNREADABLE, read_compat
from data.errors import ConfigError, DataError
from data.schema import Answer, Benchmark, Failure, Judgment, Question, QuestionId, Trial
from engine.reports.files import write_whole
from engine.reports.names import file_names

ANSWERS, JUDGMENTS = "model_answer", "judgment"
_INT64 = 2**63
Prompt = Callable[[Trial, Question, str], tuple[Sequence[str], str]]
"""A judgment's trial, its question and the answer's text -> (dimensions, the judge's prompt)."""
Row = dict[str, Any]
Slot = tuple[QuestionId, int, int]
R = TypeVar("R", Answer | Failure, Judgment)


class RunView(Protocol):
    """What is exported. Records may come in any order; each trial once, in its last state."""

    @property
    def benchmark(self) -> Benchmark: ...

    @property
    def models(self) -> Sequence[str]: ...

    @property
    def judges(self) -> Sequence[str]: ...

    def answers(self, model: str) -> Iterable[Answer | Failure]:
        """All answers of a model, and answers that ended in an error."""

    def judgments(self, judge: str, model: str) -> Iterable[Judgment]:
        """All verdicts of a judge about a model, readable or not."""


def export(view: RunView, out_dir: Path, *, prompt: Prompt) -> list[Path]:
    """Write all files below `out_dir`, each whole, and return them.

    Raises ConfigError if there are files in the way that this export would not rewrite, and
    StorageError if a file cannot be written.
    """
    models, judges = file_names(view.models), file_names(view.judges)
    folders = [out_dir / ANSWERS, *(out_dir / JUDGMENTS / judges[j] for j in view.judges)]
    _check_folders(folders, set(models.values()))
    layout = _Layout(view.benchmark)
    written: list[Path] = []
    for model in view.models:
        answers = layout.sorted(view.answers(model))
        rows = {_slot(a.trial): layout.answer_row(model, a) for a in answers}
        written.append(_write(out_dir / ANSWERS / f"{models[model]}.jsonl", rows.values()))
        for judge in view.judges:
            judgments = layout.sorted(view.judgments(judge, model))
            lines = (layout.judgment_row(rows, judgment, prompt) for judgment in judgments)
            folder = out_dir / JUDGMENTS / judges[judge]
            written.append(_write(folder / f"{models[model]}.jsonl", lines))
    return written


# --- rows --------------------------------------------------------------------------------------


class _Layout:
    """How a record of this benchmark becomes a row, and where the row stands."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._questions = {q.id: q for q in benchmark.questions}
        self._place = {q.id: place for place, q in enumerate(benchmark.questions)}
        self._evidences = any(q.evidences is not None for q in benchmark.questions)

    def sorted(self, records: Iterable[R]) -> list[R]:
        """Records of the benchmark's own questions, in its order."""

        def place(record: R) -> tuple[int, int, int, int]:
            trial = record.trial
            return (self._place[trial.question_id], trial.turn, trial.sample, trial.repeat)

        return sorted((r for r in records if r.trial.question_id in self._place), key=place)

    def answer_row(self, model: str, record: Answer | Failure) -> Row:
        """The question as its file has it, then who answered what."""
        trial = record.trial
        question = self._questions[trial.question_id]
        row: Row = {
            "question_id": question.id,
            "category": question.category,
            "subcategory": question.subcategory,
            "question": question.turns[trial.turn],
            "reference": question.references[trial.turn] if question.references else "",
        }
        if self._evidences:
            row["evidences"] = codec.plain(question.evidences)
        row |= {"model_id": model, "answer_id": f"{question.id}_{model}", "answer": None}
        if isinstance(record, Answer):
            row["answer"] = None if record.state == "refused" else record.response.text
            if record.response.simulated:
                row["simulated"] = True
        return row

    def judgment_row(self, answers: dict[Slot, Row], record: Judgment, prompt: Prompt) -> Row:
        """The judged answer's row, then the judge's first reply as upstream reads it."""
        trial = record.trial
        answer = answers.get(_slot(trial))
        if answer is None:
            where = f"{trial.model}, question {trial.question_id}"
            raise DataError("a judgment of an answer that is not there", path=where)
        dimensions, asked = prompt(
            trial, self._questions[trial.question_id], answer["answer"] or ""
        )
        reply = record.asks[0].text if record.asks else ""
        rating = {k: v for k, v in read_compat(reply)[0].items() if v < _INT64}
        row = answer | {
            "dimensions": list(dimensions),
            "judge_prompt": asked,
            "judgment": reply,
            "rating": rating,
            "score": _score(record.compat, rating),
        }
        if any(ask.simulated for ask in record.asks):
            row["simulated"] = True
        return row


def _score(compat: float, rating: dict[str, int]) -> float | int:
    """Upstream writes an integer where it read one (or nothing), a float from its fallback."""
    if compat in {rating.get(SCORE_KEY), UNREADABLE}:
        return int(compat)
    return compat


# --- order, files ------------------------------------------------------------------------------


def _slot(trial: Trial) -> Slot:
    """The answer a trial is or judges."""
    return (trial.question_id, trial.turn, trial.sample)


def _check_folders(folders: Iterable[Path], own: set[str]) -> None:
    for folder in folders:
        present = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
        foreign = [path.name for path in present if path.stem not in own]
        if foreign:
            raise ConfigError(
                f"{foreign[0]} is in the way: upstream's scripts would count it with this run",
                where=str(folder),
                how="remove it, or export to an empty folder",
            )


def _write(path: Path, rows: Iterable[Row]) -> Path:
    write_whole(path, (codec.encode(_whole(row)) + b"\n" for row in rows))
    return path


def _whole(row: Row) -> Row:
    return {key: _mended(value) for key, value in row.items()}


def _mended(value: Any) -> Any:
    """Texts without lone surrogates, whatever they stand in."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(k): _mended(v) for k, v in value.items()}
    return value
