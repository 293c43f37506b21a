"""What a benchmark sends: the sweep's own requests, word for word.

A model is asked a question's first turn as the sweep would ask it; a judge is shown an answer as the
sweep would show it: one that the sweep's run holds, else the question's reference answer, else the
question itself. (A pairwise judge is shown the same answer twice where there is no other.)

Salt. A question that is asked a second time, or any question with `--cache cold`, begins with a short
line of its own, so that no prompt cache of the provider knows its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cache.key import cache_key
from data.codec import replace, sha256
from data.schema import (
    Draw,
    JudgeSpec,
    Message,
    ModelSpec,
    Question,
    QuestionId,
    Request,
    Trial,
    Verdict,
)
from data.schema import Response as Reply
from engine import judging
from engine.accounts import Job, Pool
from engine.answering import temperature_of
from engine.benching.targets import Target
from engine.config import Loaded

NOBODY = "reference"
"""Who wrote a reference answer."""
SALT_LENGTH = 12
Answers = Mapping[QuestionId, Sequence[tuple[str, str]]]
"""Stored answers: (model, text) by question."""


class Prompts:
    """Makes the jobs of one benchmark."""

    def __init__(self, loaded: Loaded, answers: Answers, pools: Mapping[str, Pool]) -> None:
        self._loaded, self._answers, self._pools = loaded, answers, pools
        self.questions = loaded.benchmark.questions

    def job(self, target: Target, index: int, salt: str = "") -> Job:
        """One call about question `index`, encoded; `salt`: what makes its words new, or empty."""
        question = self.questions[index]
        party = target.party
        pool = self._pools[target.provider.name]
        if isinstance(party, JudgeSpec):
            trial, shown = self._judged(party, question, index)
            job = Job(index, trial, pool, shown)
            job.case = judging.Case(
                self._loaded.sweep,
                party,
                self._loaded.rubrics[party.rubric],
                trial,
                question,
                tuple((text,) for text in shown),
            )
        else:
            named = ((party.name, 0),)
            trial = Trial(kind="answer", question_id=question.id, candidates=named)
            job = Job(index, trial, pool, ())
        self.load(job, party, salt)
        return job

    def load(self, job: Job, party: ModelSpec | JudgeSpec, salt: str) -> None:
        """Render and encode what is sent next: the first ask, or the one after an unreadable reply."""
        if job.case is not None:
            request, job.quotation = judging.judge_request(job.case, len(job.asks))
        else:
            assert isinstance(party, ModelSpec)
            request = self._question(party, self.questions[job.number])
        if salt:
            request = salted(request, salt)
        http = job.pool.codec.encode(request)
        key = cache_key(job.pool.spec.cache_identity, http.path, http.body, request.draw)
        job.carries(request, http, key)

    def verdict(self, job: Job, reply: Reply) -> Verdict | None:
        """What the sweep would read from a judge's reply."""
        assert job.case is not None
        return judging.read_verdict(job.case, reply, job.quotation)

    def _question(self, model: ModelSpec, question: Question) -> Request:
        sweep = self._loaded.sweep
        draw = Draw()
        system = (Message("system", model.system),) if model.system else ()
        return Request(
            model=model.model,
            messages=(*system, Message("user", question.text)),
            temperature=temperature_of(model, question.category, sweep.temperatures),
            max_tokens=model.max_tokens,
            seed=judging.derived_seed(sweep.seed, draw) if sweep.send_seed else None,
            parameters=model.parameters,
            draw=draw,
            thinking=model.thinking,
        )

    def _judged(
        self, judge: JudgeSpec, question: Question, index: int
    ) -> tuple[Trial, tuple[str, ...]]:
        """The trial and the answers that are judged in it; by turns those of all models."""
        stored = self._answers.get(question.id, ())
        chosen = [stored[(index + i) % len(stored)] for i in range(2)] if stored else []
        stand_in = (NOBODY, question.reference or question.text)
        shown = [*chosen, stand_in, stand_in][: 2 if judge.pairwise else 1]
        trial = Trial(
            kind="judgment",
            question_id=question.id,
            candidates=tuple((model, 0) for model, _ in shown),
            judge=judge.name,
            rubric=judge.rubric,
        )
        return trial, tuple(text for _, text in shown)


def salted(request: Request, salt: str) -> Request:
    """The same request with a line of salt before its first words."""
    first, *rest = request.messages
    begun = Message(first.role, f"[{salt}]\n{first.content}")
    return replace(request, messages=(begun, *rest))


def salt_of(*parts: object) -> str:
    """The same for the same parts, and for no others."""
    return sha256(" ".join(map(str, parts)).encode())[:SALT_LENGTH]
