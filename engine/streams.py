"""Which trials a session has to do, and in what order they come up.

A stream of numbers per model and per judge lies in its provider's backlog. The plan's own order comes
first; what an answer opens (its judgments, the next turn of its conversation) is added as it happens, so
there is no barrier between the stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from data.answers import GivenAnswer
from data.codec import replace
from data.schema import Struct
from engine.accounts import Pool
from engine.backlog import Stream
from engine.config import Selection
from engine.escalation import Change, Escalations
from engine.plan import JUDGEABLE, Ledger, Plan, State


class Options(Struct, frozen=True, kw_only=True):
    """How this session goes about it."""

    folder: Path
    selection: Selection
    answers: tuple[GivenAnswer, ...] = ()
    """Answers from elsewhere, to be judged."""
    generate: bool = True
    judge: bool = True
    retry_failed: bool = True


class Streams:
    """The streams of one session, put into the backlogs of `pools`."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        options: Options,
        pools: Mapping[str, Pool],
        escalations: Escalations,
    ) -> None:
        self._plan, self._ledger, self._options = plan, ledger, options
        self._escalations = escalations
        self._answers: dict[str, Stream] = {}
        self._judges: list[Stream] = []
        self._chosen = frozenset(options.selection.models)
        if options.generate:
            self._add_models(pools)
        self._add_judges(pools)

    def owed(self, number: int) -> bool:
        """Is this trial for this session to do, and not yet under way?"""
        state = self._ledger.states[number]
        return state == State.PENDING or (state == State.FAILED and self._options.retry_failed)

    def turn_has_come(self, number: int) -> bool:
        """A later turn of a conversation waits for the answer to the turn before it."""
        if not self._plan.is_answer(number):
            return True
        before = self._plan.turn_before(number)
        return before is None or self._ledger.state(before) in JUDGEABLE

    def answered(self, answer: int) -> None:
        """An answer is there: its judgments may come, and the next turn."""
        self._offer(self._plan.judgments_of(answer))
        following = self._plan.turn_after(answer)
        if following is None or not self.owed(following):
            return
        model = self._plan.sweep.models[self._plan.model_index(following)]
        if model.name in self._answers:
            self._answers[model.name].add(following)

    def judged(self, number: int) -> Change:
        """A verdict is there: what more expensive judges are asked for it, and what they are spared."""
        change = self._escalations.judged(number)
        self._offer(change.opened)
        return change

    def idle(self) -> Change:
        """Nothing is left to do but what that itself decides."""
        if not self._options.judge:
            return Change()
        change = self._escalations.idle()
        items = frozenset(self._options.selection.items) if change.opened else ()
        mine = [
            n for n in change.opened if self._is_chosen(n) and self._plan.item_index(n) in items
        ]
        self._offer(mine)
        return replace(change, opened=tuple(mine))

    def _offer(self, judgments: Iterable[int]) -> None:
        for number in judgments:
            if self.owed(number) and self._may_be_judged(number):
                self._judges[self._plan.judge_index(number)].add(number)

    def judgments_lost(self, answer: int) -> dict[str, int]:
        """Judgments that this session counted on and that a refusal takes away, by model."""
        lost: dict[str, int] = {}
        for number in self._plan.judgments_of(answer) if self._options.judge else ():
            others = (a for a in self._plan.answers_of(number) if a != answer)
            gone = any(self._ledger.state(a) is State.REFUSED for a in others)
            if self.owed(number) and self._is_chosen(number) and not gone:
                name = self._plan.sweep.models[self._plan.model_index(number)].name
                lost[name] = lost.get(name, 0) + 1
        return lost

    def _may_be_judged(self, number: int) -> bool:
        """Are all answers there that a judgment needs, and is it one of this session's?"""
        if not self._is_chosen(number):
            return False
        there = all(self._ledger.states[a] in JUDGEABLE for a in self._plan.answers_of(number))
        return there and self._escalations.open(number)

    def _is_chosen(self, number: int) -> bool:
        """A judgment goes with the model that it is named after."""
        return self._plan.model_index(number) in self._chosen

    def _add_models(self, pools: Mapping[str, Pool]) -> None:
        chosen = self._options.selection
        for model in chosen.models:
            spec = self._plan.sweep.models[model]
            if spec.provider in pools:
                numbers = self._plan.answer_numbers([model], chosen.items)
                stream = Stream(spec.name, (n for n in numbers if self.owed(n)))
                self._answers[spec.name] = stream
                pools[spec.provider].backlog.add_stream(stream, "answer")

    def _add_judges(self, pools: Mapping[str, Pool]) -> None:
        for index, judge in enumerate(self._plan.sweep.judges):
            stream = Stream(judge.name, self._left_behind(index))
            self._judges.append(stream)
            if self._options.judge and judge.provider in pools:
                pools[judge.provider].backlog.add_stream(stream, "judgment")

    def _left_behind(self, judge: int) -> Iterator[int]:
        """Judgments of answers that earlier sessions left behind."""
        chosen = self._options.selection
        for answer in self._plan.answer_numbers(chosen.models, chosen.items):
            if self._ledger.states[answer] in JUDGEABLE:
                for number in self._plan.named_after(answer):
                    mine = self.owed(number) and self._plan.judge_index(number) == judge
                    if mine and self._may_be_judged(number):
                        yield number


def judgments_wanted(
    plan: Plan, ledger: Ledger, options: Options, answers: Iterable[int]
) -> Iterator[int]:
    """The judgments named after these answers that a session is to see done, if all that they judge
    comes at all; what a judge is spared is not among them."""
    models, items = frozenset(options.selection.models), frozenset(options.selection.items)

    def comes(a: int) -> bool:
        if ledger.states[a] in JUDGEABLE:
            return True
        return options.generate and plan.model_index(a) in models and plan.item_index(a) in items

    for answer in answers if options.judge else ():
        for number in plan.named_after(answer):
            spared = ledger.states[number] == State.SPARED
            if not spared and all(map(comes, plan.answers_of(number))):
                yield number
