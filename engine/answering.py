"""A question becomes a model's request. Pure.

The temperature is the model's own if the sweep file gives one, else the benchmark's for the question's
category; "default" sends none. A later turn of a conversation carries the model's own earlier answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from data.schema import Draw, JudgeSpec, Message, ModelSpec, Request
from engine.judging import derived_seed
from engine.plan import Plan


def answer_request(plan: Plan, number: int, text_of: Callable[[int], str]) -> Request:
    """What the model is sent. `text_of` gives the text of an earlier answer by its number."""
    sweep = plan.sweep
    question, _ = plan.item(number)
    model = sweep.models[plan.model_index(number)]
    draw = Draw(sample=plan.trial(number).sample)
    return Request(
        model=model.model,
        messages=tuple(_conversation(plan, number, model.system, text_of)),
        temperature=temperature_of(model, question.category, sweep.temperatures),
        max_tokens=model.max_tokens,
        seed=derived_seed(sweep.seed, draw) if sweep.send_seed else None,
        parameters=model.parameters,
        draw=draw,
        thinking=model.thinking,
    )


def temperature_of(
    model: ModelSpec | JudgeSpec, category: str, temperatures: Mapping[str, float]
) -> float | None:
    """What a model is asked with; None: nothing is sent. `temperatures`: the benchmark's, by category."""
    if model.temperature is None:
        return temperatures.get(category, temperatures.get(""))
    return None if model.temperature == "default" else model.temperature


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
