"""The walk over all that a session can get to: what is done, what the cache knows, what would be sent.

It walks the same trials, renders the same requests and looks in the same cache as the session will,
so "would be sent" is exact where the words are known. A judgment needs its answer's text, and a later
turn the answers before it: where these do not exist yet, they count as to be sent, and their prompts
are measured with an answer of the length that is expected. With a cache the same words are sent once,
whoever wants them. Models come before judges, since a judge's prompts hold what models say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, islice

from cache.bundle import Layered
from cache.key import cache_key
from data.codec import replace
from data.schema import Draw, JudgeSpec, ModelSpec, ProviderSpec, Request, Response, Struct
from engine import judging
from engine.answering import answer_request
from engine.config import Loaded
from engine.escalation import Escalations
from engine.estimate import vocabulary_of
from engine.expectation import Expectation, Party, Replies, Seen, Shapes, expectation
from engine.measure import Gauge, Missing, Prompt, prompt_of
from engine.plan import JUDGEABLE, Ledger, State
from engine.streams import Options, judgments_wanted
from engine.workload import Range, Share, Workload, WorkStage
from providers.spoken import spoken
from providers.wire import Provider

BATCH = 500
SAMPLES = 64
"""Prompts of earlier sessions that are rendered again, to compare their estimate with what they took."""


class _Wire(Struct, frozen=True):
    """A request as it would be sent."""

    path: str
    body: bytes
    draw: Draw
    prompt: Prompt


class Walk:
    """One look at a sweep. `text_of` reads a stored answer and raises KeyError where there is none."""

    def __init__(
        self,
        loaded: Loaded,
        options: Options,
        ledger: Ledger,
        store: Layered | None,
        text_of: Callable[[int], str],
        *,
        seen: Seen | None = None,
        escalations: Escalations | None = None,
        caching: bool = True,
    ) -> None:
        """`seen`: replies of earlier sessions. `caching`: the same words are sent once."""
        self._escalations = escalations or Escalations(ledger.plan, ledger)
        self._loaded, self._options, self._store = loaded, options, store
        self._selection = options.selection
        self._plan, self._ledger = ledger.plan, ledger
        self._stored_text = text_of
        self._texts: dict[int, str] = {}
        self._refused: set[int] = set()
        """Answers that a file of replies knows to be refused: nobody will judge them."""
        self._sent: set[bytes] = set()
        """Keys of requests that are counted as to be sent already."""
        self._seen = seen or Seen(self._plan)
        self._shapes = Shapes(self._plan)
        self._expected: dict[Party, Expectation] = {}
        self._empty: dict[tuple[int, int], Prompt] = {}
        """Prompts without any answer, by judge and item."""
        self._caching = caching
        self._providers: Mapping[str, ProviderSpec] = {p.name: p for p in loaded.sweep.providers}
        self._codecs = {p.name: spoken(p) for p in loaded.sweep.providers}

    def workload(self) -> Workload:
        """A share per model and per judge, in the sweep file's order."""
        found = []
        if self._options.generate:
            found += [self._model_share(m) for m in self._selection.models]
        if self._options.judge:
            found += [self._judge_share(j) for j in range(len(self._loaded.sweep.judges))]
        return Workload(tuple(found))

    # --- whose trials --------------------------------------------------------------------------

    def _model_share(self, model: int) -> Share:
        spec = self._loaded.sweep.models[model]
        numbers = list(self._plan.answer_numbers([model], self._selection.items))
        return self._share(spec, "answers", numbers)

    def _judge_share(self, judge: int) -> Share:
        spec = self._loaded.sweep.judges[judge]
        answers = self._plan.answer_numbers(self._selection.models, self._selection.items)
        numbers = [
            n
            for n in judgments_wanted(self._plan, self._ledger, self._options, answers)
            if self._plan.judge_index(n) == judge and all(map(self._comes, self._needed(n)))
        ]
        share = self._share(spec, "judgments", numbers)
        if spec.escalate is None or not share.to_send:
            return share
        unsure = sum(self._owed(n) and not self._escalations.open(n) for n in numbers)
        return _doubtful(share, min(unsure, share.to_send), *self._escalations.doubted(judge))

    def _comes(self, answer: int) -> bool:
        """Is it there, or will this session ask for it?"""
        owed = self._owed(answer) and answer not in self._refused
        return owed or self._ledger.state(answer) in JUDGEABLE

    def _owed(self, number: int) -> bool:
        """As the session will see it."""
        state = self._ledger.state(number)
        return state < State.FAILED or (state is State.FAILED and self._options.retry_failed)

    # --- one share -----------------------------------------------------------------------------

    def _share(self, party: ModelSpec | JudgeSpec, stage: WorkStage, numbers: list[int]) -> Share:
        """`numbers` are the party's trials that this session can get to."""
        owed = [n for n in numbers if self._owed(n)]
        done = sum(self._ledger.state(n) > State.FAILED for n in numbers)
        spec = self._providers.get(party.provider)
        if spec is None:  # answers from elsewhere
            return Share(party.provider, party.name, stage, done, cached=0, to_send=0)
        gauge = Gauge(vocabulary_of(party.model, simulated=spec.simulated))
        to_send, waiting = self._sort_out(owed, spec, gauge)
        expected = self._expectation(stage, party)
        for number in waiting:
            gauge.add(self._hollow(number, spec), tuple(self._missing(number)))
        if to_send:
            self._calibrate(gauge, self._seen.of(stage, party.name), spec)
        shapes = Counter(self._shapes.of(number) for number in to_send)
        output = sum((expected.output(shape) * n for shape, n in shapes.items()), Range())
        return Share(
            party.provider,
            party.name,
            stage,
            done,
            cached=len(owed) - len(to_send),
            to_send=len(to_send),
            model=party.model,
            input=gauge.input.whole(),
            output=output.whole(),
            largest_input=gauge.largest,
            seen=expected.seen,
            basis=expected.basis,
            latency_s=expected.latency_s(output, len(to_send)) if to_send else Range(),
            latency_seen=expected.measured_s is not None,
            turns=self._longest_conversation(to_send),
        )

    def _sort_out(
        self, owed: list[int], spec: ProviderSpec, gauge: Gauge
    ) -> tuple[list[int], list[int]]:
        """What would be sent, and what of it waits for words; the prompts that are known are measured."""
        to_send: list[int] = []
        waiting: list[int] = []
        owed.sort(key=lambda n: self._plan.item(n)[1])  # a later turn needs the texts before it
        for _, turn in groupby(owed, key=lambda n: self._plan.item(n)[1]):
            for batch in _batches(turn):
                wires = {n: self._wire(n, spec) for n in batch}
                known = self._served(wires, spec, gauge)
                to_send += [n for n in batch if n not in known]
                waiting += [n for n, wire in wires.items() if wire is None]
        return to_send, waiting

    def _served(
        self, wires: Mapping[int, _Wire | None], spec: ProviderSpec, gauge: Gauge
    ) -> set[int]:
        """Trials that the cache answers, or the answer to the same words. The others are measured."""
        keys = {
            n: cache_key(spec.cache_identity, wire.path, wire.body, wire.draw)
            for n, wire in wires.items()
            if wire is not None
        }
        wanted = list(dict.fromkeys(keys.values()))
        replies = self._store.get_many(wanted) if self._store is not None else {}
        served: set[int] = set()
        for number, key in keys.items():
            wire = wires[number]
            if wire is None:
                continue
            if key in replies:
                self._learn(number, wire.prompt, replies[key], gauge)
            if key in replies or key in self._sent:
                served.add(number)
                continue
            gauge.add(wire.prompt)
            if self._caching:
                self._sent.add(key)
        return served

    def _learn(self, number: int, prompt: Prompt, reply: Response, gauge: Gauge) -> None:
        """A cached reply tells about those that are not."""
        self._seen.add(number, reply)
        if reply.usage is not None:
            gauge.learn(prompt, reply.usage.input_tokens)
        if self._plan.is_answer(number) and reply.state == "refused":
            self._refused.add(number)
        elif self._plan.is_answer(number):
            self._texts[number] = reply.text

    def _calibrate(self, gauge: Gauge, replies: Replies, spec: ProviderSpec) -> None:
        """Compare prompts of earlier sessions with what they really took."""
        step = max(1, len(replies) // SAMPLES)
        for i in range(0, len(replies), step):
            wire = self._wire(replies.numbers[i], spec)
            if wire is not None:
                gauge.learn(wire.prompt, replies.input_tokens[i])

    def _longest_conversation(self, numbers: list[int]) -> int:
        """Answers that follow one another; judgments follow nothing of their own kind."""
        firsts = Counter(
            (self._plan.turns_before(n) or [n])[0] for n in numbers if self._plan.is_answer(n)
        )
        return max(firsts.values(), default=1)

    # --- expectations --------------------------------------------------------------------------

    def _expectation(self, stage: WorkStage, party: ModelSpec | JudgeSpec) -> Expectation:
        """What the party's replies will be like; ask for it when the cache has been looked into."""
        key = (stage, party.name)
        if key not in self._expected:
            spec = self._providers.get(party.provider)
            self._expected[key] = expectation(
                self._seen.of(*key),
                self._shapes.of,
                vocabulary_of(party.model, simulated=spec is not None and spec.simulated),
                stage=stage,
                basis=self._shapes.basis if stage == "answers" else "default",
                cap=party.max_tokens,
            )
        return self._expected[key]

    def _missing(self, number: int) -> Iterator[Missing]:
        """The answers that a prompt waits for."""
        for answer in self._needed(number):
            if self._known_text(answer) is None:
                model = self._loaded.sweep.models[self._plan.model_index(answer)]
                expected = self._expectation("answers", model)
                low, likely = expected.text_size(self._shapes.of(answer))
                yield Missing(low, likely, expected.cap)

    def _needed(self, number: int) -> list[int]:
        """Answers whose texts are part of a trial's request."""
        if self._plan.is_answer(number):
            return self._plan.turns_before(number)
        answers = self._plan.answers_of(number)
        return [n for answer in answers for n in (*self._plan.turns_before(answer), answer)]

    # --- requests ------------------------------------------------------------------------------

    def _wire(self, number: int, spec: ProviderSpec) -> _Wire | None:
        """The first request of a trial, if all it needs is known."""
        try:
            return _wire(self._request(number, self._text), self._codecs[spec.name])
        except KeyError:
            return None

    def _hollow(self, number: int, spec: ProviderSpec) -> Prompt:
        """The prompt of a trial with nothing where an answer is missing."""
        if self._plan.is_answer(number):
            return _wire(
                self._request(number, self._text_or_nothing), self._codecs[spec.name]
            ).prompt
        if any(self._known_text(answer) is not None for answer in self._needed(number)):
            return _wire(
                self._request(number, self._text_or_nothing), self._codecs[spec.name]
            ).prompt
        key = (self._plan.judge_index(number), self._plan.item_index(number))
        if key not in self._empty:
            self._empty[key] = _wire(
                self._request(number, self._text_or_nothing), self._codecs[spec.name]
            ).prompt
        return self._empty[key]

    def _filled(self, number: int, spec: ProviderSpec) -> Prompt:
        request = self._request(number, self._text_or_nothing)
        return _wire(request, self._codecs[spec.name]).prompt

    def _request(self, number: int, text_of: Callable[[int], str]) -> Request:
        """Raises KeyError if `text_of` does."""
        if self._plan.is_answer(number):
            return answer_request(self._plan, number, text_of)
        dialogues = tuple(
            tuple(text_of(n) for n in (*self._plan.turns_before(answer), answer))
            for answer in self._plan.answers_of(number)
        )
        sweep = self._loaded.sweep
        judge = sweep.judges[self._plan.judge_index(number)]
        question, _ = self._plan.item(number)
        rubric = self._loaded.rubrics[judge.rubric]
        trial = self._plan.trial(number)
        case = judging.Case(sweep, judge, rubric, trial, question, dialogues)
        return judging.judge_request(case, 0)[0]

    def _text(self, answer: int) -> str:
        """Raises KeyError if the answer does not exist yet."""
        if answer in self._texts:
            return self._texts[answer]
        if self._ledger.state(answer) in JUDGEABLE:
            return self._stored_text(answer)
        raise KeyError(answer)

    def _known_text(self, answer: int) -> str | None:
        try:
            return self._text(answer)
        except KeyError:
            return None

    def _text_or_nothing(self, answer: int) -> str:
        return self._known_text(answer) or ""


def _doubtful(share: Share, unsure: int, doubt: float, seen: bool) -> Share:
    """The share with `unsure` of its calls being sent only in case of doubt."""
    share = replace(share, unsure=unsure, doubt=doubt, doubt_seen=seen)
    low, likely = (share.calls(figure) / share.to_send for figure in ("low", "likely"))
    return replace(
        share,
        input=share.input.scaled(low, likely).whole(),
        output=share.output.scaled(low, likely).whole(),
    )


def _wire(request: Request, codec: Provider) -> _Wire:
    http = codec.encode(request)
    return _Wire(http.path, http.body, request.draw, prompt_of(request, http.body))


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    while batch := list(islice(numbers, BATCH)):
        yield batch
