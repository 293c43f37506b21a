"""Runs written straight to disk, so that a test can have any text in any place. For tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cache.journal import FORMAT, seal
from data.codec import encode
from data.schema import (
    Answer,
    AnswerState,
    Benchmark,
    Choice,
    Failure,
    Header,
    Intent,
    JudgeSpec,
    Judgment,
    ModelSpec,
    ProviderSpec,
    Question,
    Record,
    Response,
    Rubric,
    Settled,
    StopReason,
    Sweep,
    Trial,
    Usage,
    Verdict,
)
from engine.identity import digest
from engine.plan import Plan

START_S = 1_795_000_000.0
CATEGORIES = ("数学计算", "逻辑推理", "基本任务", "中文理解")
GROUPS: dict[str, tuple[str, ...]] = {"中文推理": CATEGORIES[:2], "中文语言": CATEGORIES[2:]}
DIMENSIONS = ("事实正确性", "清晰度")
_STOPS: dict[AnswerState, StopReason] = {
    "answered": "stop",
    "truncated": "length",
    "refused": "content_filter",
}
Say = Callable[[Trial], str]
Mark = Callable[[Trial], float | None]


def questions(
    count: int, text: Callable[[int], str] = "第 {} 题：为什么？".format
) -> list[Question]:
    """Questions 1 to `count`, their categories in turn."""
    return [
        Question(
            id=i,
            category=CATEGORIES[i % len(CATEGORIES)],
            subcategory="小类",
            turns=(text(i),),
            references=(f"参考 {i}",),
        )
        for i in range(1, count + 1)
    ]


def default_mark(trial: Trial) -> float | None:
    """A score from 1 to 10 that depends on everything, and on the model most."""
    place = len(trial.model) % 7
    asked = sum(map(ord, str(trial.question_id)[:40]))
    luck = (asked * 7 + place * 3 + len(trial.judge)) % 5
    return float(min(10, 1 + place + luck))


class Maker:
    """What a run holds; `write` puts it on disk."""

    def __init__(
        self,
        asked: Sequence[Question],
        models: Sequence[str] = ("甲", "model-b", "丙 C"),
        judges: Sequence[str] = ("judge one", "评委二"),
        pairwise: Sequence[str] = (),
        name: str = "made",
    ) -> None:
        self.answer: Say = lambda trial: f"{trial.model} 对 {trial.question_id} 的回答"
        self.verdict: Say = lambda trial: f"{trial.judge} 的评语。{{'综合得分': 7}}"
        self.mark: Mark = default_mark
        self.choice: Callable[[Trial], Choice | None] = lambda trial: "first"
        self.state: Callable[[Trial], AnswerState] = lambda trial: "answered"
        self.error: Callable[[Trial], str] = lambda trial: ""
        self.simulated = False
        self.cost = 1_000_000
        self.benchmark = Benchmark(
            name="小考",
            title="小考 exam",
            questions=tuple(asked),
            sha256="ab" * 32,
            groups=GROUPS,
        )
        rubric = Rubric(name="r", template="{answer}", definitions={}, types={}, subcategories={})
        pairs = Rubric(
            name="p",
            template="{answer}",
            definitions={},
            types={},
            subcategories={},
            labels={"A": "first", "B": "second"},
        )
        self.rubrics = {"r": rubric, "p": pairs}
        self.sweep = Sweep(
            name=name,
            benchmark="小考",
            benchmark_sha256="ab" * 32,
            rubric_sha256={"r": "cd" * 32, "p": "ef" * 32},
            temperatures={"": 0.7},
            models=tuple(ModelSpec(name=m, provider="east", model=f"id of {m}") for m in models),
            judges=(
                *(JudgeSpec(name=j, provider="west", model=j, rubric="r") for j in judges),
                *(
                    JudgeSpec(name=j, provider="west", model=j, rubric="p", pairwise=True)
                    for j in pairwise
                ),
            ),
            providers=(
                ProviderSpec(name="east", api="openai-chat", base_url="https://east.invalid/v1"),
                ProviderSpec(name="west", api="openai-chat", base_url="https://west.invalid/v1"),
            ),
        )

    def write(self, folder: Path) -> Path:
        """The run's folder, as `engine/rundir.py` reads it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.toml").write_text("", encoding="utf-8")
        (folder / "benchmark.json").write_bytes(encode(self.benchmark))
        (folder / "rubrics.json").write_bytes(encode(self.rubrics))
        with (folder / "journal.jsonl").open("wb") as file:
            for record in self._records():
                file.write(seal(record))
        return folder

    def _records(self) -> list[Record]:
        plan = Plan(self.sweep, self.benchmark)
        found: list[Record] = [
            Header(
                format=FORMAT,
                run_id="run-of-a-test",
                digest=digest(self.sweep),
                created_s=START_S,
                engine="alignsweep test",
                sweep=self.sweep,
            )
        ]
        for number in range(len(plan)):
            trial = plan.trial(number)
            result = self._result(trial, refused=self._refused(plan, number))
            if result is None:
                continue
            account = "east" if trial.kind == "answer" else "west"
            found.append(Intent(number + 1, trial, account, START_S + number / 10, reserve=9))
            failed = isinstance(result, Failure)
            found.append(
                Settled(
                    number + 1,
                    latency_s=0.5 + number % 7 / 10,
                    usage=None if failed else Usage(20, 30),
                    error="Overloaded" if failed else "",
                    cost=self.cost,
                    currency="USD",
                )
            )
            found.append(result)
        return found

    def _refused(self, plan: Plan, number: int) -> bool:
        """A judgment of an answer that does not exist, or was refused, never comes."""
        if plan.is_answer(number):
            return False
        needed = [plan.trial(n) for n in plan.answers_of(number)]
        return any(self.error(t) or self.state(t) == "refused" for t in needed)

    def _result(self, trial: Trial, *, refused: bool) -> Answer | Judgment | Failure | None:
        if refused:
            return None
        if message := self.error(trial):
            return Failure(trial=trial, error="Overloaded", message=message, attempts=3)
        if trial.kind == "answer":
            state = self.state(trial)
            reply = self._reply(self.answer(trial), _STOPS[state])
            return Answer(trial=trial, response=reply, state=state)
        asks = (self._reply(self.verdict(trial), "stop"),)
        if len(trial.candidates) > 1:
            choice = self.choice(trial)
            verdict = None if choice is None else Verdict(0.5, source="label", choice=choice)
            return Judgment(trial=trial, asks=asks, verdict=verdict)
        mark = self.mark(trial)
        if mark is None:
            return Judgment(trial=trial, asks=asks)
        dimensions = dict.fromkeys(DIMENSIONS, mark)
        return Judgment(trial=trial, asks=asks, verdict=Verdict(mark, dimensions), compat=mark)

    def _reply(self, text: str, stop: StopReason) -> Response:
        return Response(
            text=text,
            stop_reason=stop,
            usage=Usage(20, 30),
            served_model="served",
            latency_s=1.25,
            simulated=self.simulated,
        )
