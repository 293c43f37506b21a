"""How long the replies of stand-ins are: what `plan` expects of the models they stand for. Pure.

From the replies of an earlier run where there are enough of them, else from the benchmark's references
(`engine/expectation.py`), in the model's own vocabulary as far as it is known (`engine/estimate.py`).
"""

from __future__ import annotations

from engine.config import Loaded
from engine.estimate import OVERHEAD, vocabulary_of
from engine.expectation import VERDICT, Expectation, Replies, Seen, Shapes, expectation
from engine.plan import Plan
from engine.workload import WorkStage
from providers.understudy import Length, Script


def script_for(
    loaded: Loaded, provider: str, seen: Seen | None, *, simulated: bool = False
) -> Script:
    """How long the replies of a provider's models and judges are expected to be: as `plan` expects it.

    `simulated`: the provider counts tokens as simulators do.
    """
    plan = Plan(loaded.sweep, loaded.benchmark)
    shapes = Shapes(plan)

    def expected(stage: WorkStage, name: str, model: str) -> Expectation:
        replies = seen.of(stage, name) if seen else Replies()
        vocabulary = vocabulary_of(model, simulated=simulated)
        return expectation(
            replies, shapes.of, vocabulary, stage=stage, basis=shapes.basis, cap=None
        )

    models = [m for m in loaded.sweep.models if m.provider == provider]
    judges = [j for j in loaded.sweep.judges if j.provider == provider]
    likely = {m.model: expected("answers", m.name, m.model) for m in models}
    verdicts = {j.model: expected("judgments", j.name, j.model) for j in judges}
    return Script(
        answers={model: _lengths(plan, shapes, each) for model, each in likely.items()},
        verdicts={model: each.output(VERDICT).likely for model, each in verdicts.items()},
        rates={model: each.vocabulary.likely for model, each in {**likely, **verdicts}.items()},
        overhead=OVERHEAD,
    )


def _lengths(plan: Plan, shapes: Shapes, expected: Expectation) -> dict[str, Length]:
    """By the text of each turn of the benchmark."""
    found: dict[str, Length] = {}
    for (question, turn), shape in zip(plan.items, shapes.answers, strict=True):
        _, text = expected.text_size(shape)
        length = Length(expected.output(shape).likely, text.cjk, text.other)
        found.setdefault(question.turns[turn], length)
    return found
