"""A question becomes a model's request. Pure.

The temperature is the model's own if the sweep file gives one, else the benchmark's for the question's
category. A later turn of a conversation carries the model's own earlier answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data.schema import Draw, Message, Request
from engine.judging import derived_seed
from engine.plan import Plan


def answer_request(plan: Plan, number: int, text_of: Callable[[int], str]) -> Request:
    """What the model is sent. `text_of` gives the text of an earlier answer by its number."""
    sweep = plan.sweep
    question, _ = plan.item(number)
    model = sweep.models[plan.model_index(number)]
    by_category = sweep.temperatures.get(question.category, sweep.temperatures.get(""))
    draw = Draw(sample=plan.trial(number).sample)
    return Request(
        model=model.model,
        messages=tuple(_conversation(plan, number, model.system, text_of)),
        temperature=by_category if model.temperature is None else model.temperature,
        max_tokens=model.max_tokens,
        seed=derived_seed(sweep.seed, draw) if sweep.send_seed else None,
        parameters=model.parameters,
        draw=draw,
    )


def _conversation(
    plan: Plan, number: int, system: str, text_of: Callable[[int], str]
) -> Iterator[Message]:
    """All turns up to this one, with the model's own earlier answers between them."""
    if system:
        yield Message("system", system)
    question, turn = plan.item(number)
    earlier = plan.turns_before(number)
    for text, answer in zip(question.turns[:turn], earlier, strict=True):
        yield Message("user", text)
        yield Message("assistant", text_of(answer))
    yield Message("user", question.turns[turn])
