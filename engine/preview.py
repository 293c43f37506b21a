"""What a session would send, before it sends anything: for `plan` and `--dry-run`.

It walks the same trials, renders the same requests and looks in the same cache as the session will,
so "would be sent" is exact for answers. A judgment's request needs its answer's text: where that is
not known yet, the judgment counts as to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from cache.journal import scan
from cache.key import cache_key
from cache.responses import ResponseStore
from data.codec import decode_record
from data.schema import Answer, ProviderSpec, Request, Response, Struct, Trial
from engine import judging
from engine.answering import answer_request
from engine.bootstrap import Options
from engine.config import Loaded, Selection
from engine.plan import JUDGEABLE, Ledger, Plan, State
from providers.registry import DIALECTS

BATCH = 500


class Share(Struct, frozen=True):
    """What one provider would see of one model or judge."""

    provider: str
    party: str
    stage: str
    """"answers" or "judgments"."""
    done: int
    """Final in this run already."""
    cached: int
    """In the response cache: nothing is sent for them."""
    to_send: int


class Preview:
    """Counts of one session to be."""

    def __init__(
        self,
        loaded: Loaded,
        selection: Selection,
        ledger: Ledger,
        store: ResponseStore | None,
        text_of: Callable[[int], str],
    ) -> None:
        self._loaded, self._selection, self._store = loaded, selection, store
        self._plan = Plan(loaded.sweep, loaded.benchmark)
        self._ledger = ledger
        self._stored_text = text_of
        self._texts: dict[int, str] = {}
        self._providers: Mapping[str, ProviderSpec] = {p.name: p for p in loaded.sweep.providers}

    def shares(self, *, generate: bool = True, judge: bool = True) -> list[Share]:
        """A row per model and per judge, in the sweep file's order."""
        found = []
        if generate:
            found += [self._model_share(m) for m in self._selection.models]
        if judge:
            found += [self._judge_share(j) for j in range(len(self._loaded.sweep.judges))]
        return found

    def _model_share(self, model: int) -> Share:
        spec = self._loaded.sweep.models[model]
        numbers = list(self._plan.answer_numbers([model], self._selection.items))
        owed = [n for n in numbers if self._ledger.state(n) <= State.FAILED]
        cached = self._count_cached(owed, spec.provider)
        done = len(numbers) - len(owed)
        return Share(spec.provider, spec.name, "answers", done, cached, len(owed) - cached)

    def _judge_share(self, judge: int) -> Share:
        spec = self._loaded.sweep.judges[judge]
        answers = self._plan.answer_numbers(self._selection.models, self._selection.items)
        numbers = [
            n
            for a in answers
            if self._ledger.state(a) is not State.REFUSED
            for n in self._plan.judgments_of(a)
            if self._plan.judge_index(n) == judge
        ]
        owed = [n for n in numbers if self._ledger.state(n) <= State.FAILED]
        cached = self._count_cached(owed, spec.provider)
        done = len(numbers) - len(owed)
        return Share(spec.provider, spec.name, "judgments", done, cached, len(owed) - cached)

    def _count_cached(self, owed: list[int], provider: str) -> int:
        if self._store is None or provider not in self._providers:
            return 0
        spec, hits = self._providers[provider], 0
        for batch in _batches(iter(owed)):
            keys = {key: n for n in batch if (key := self._key(n, spec)) is not None}
            for key, response in self._store.get_many(list(keys)).items():
                hits += 1
                self._keep_text(keys[key], response)
        return hits

    def _key(self, number: int, spec: ProviderSpec) -> bytes | None:
        request = self._request(number)
        if request is None:
            return None
        http = DIALECTS[spec.api].encode(request)
        return cache_key(spec.cache_identity, http.path, http.body, request.draw)

    def _request(self, number: int) -> Request | None:
        """The first request of a trial, if all it needs is known."""
        try:
            if self._plan.is_answer(number):
                return answer_request(self._plan, number, self._text)
            answer = self._text(self._plan.answer_of(number))
        except KeyError:
            return None
        sweep = self._loaded.sweep
        judge = sweep.judges[self._plan.judge_index(number)]
        question, _ = self._plan.item(number)
        rubric = self._loaded.rubrics[judge.rubric]
        turns = self._plan.turns_before(self._plan.answer_of(number))
        earlier = tuple(self._text(n) for n in turns)
        trial = self._plan.trial(number)
        case = judging.Case(sweep, judge, rubric, trial, question, answer, earlier)
        return judging.judge_request(case, 0)[0]

    def _text(self, answer: int) -> str:
        """Raises KeyError if the answer does not exist yet."""
        if self._ledger.state(answer) in JUDGEABLE:
            return self._stored_text(answer)
        return self._texts[answer]

    def _keep_text(self, number: int, response: Response) -> None:
        if self._plan.is_answer(number):
            self._texts[number] = response.text


def look_ahead(loaded: Loaded, options: Options, cache_path: Path | None) -> list[Share]:
    """The shares of a session. Reads the run's journal and the cache if they exist; writes nothing."""
    plan = Plan(loaded.sweep, loaded.benchmark)
    ledger = Ledger(plan)
    journal = options.folder / "journal.jsonl"
    if journal.exists():
        for place, record in scan(journal):
            if record is not None:
                ledger.enter(record, place.offset, place.length)
    for given in options.answers:
        trial = Trial(kind="answer", question_id=given.question_id, candidates=((given.model, 0),))
        number = plan.number(trial)
        if number is not None and given.text is not None:
            ledger.set(number, State.ANSWERED)
    store = ResponseStore(cache_path) if cache_path is not None and cache_path.exists() else None

    def stored_text(number: int) -> str:
        if ledger.offsets[number] < 0:
            raise KeyError(number)
        with journal.open("rb") as file:
            file.seek(ledger.offsets[number])
            record = decode_record(file.read(ledger.lengths[number]))
        return record.response.text if isinstance(record, Answer) else ""

    preview = Preview(loaded, options.selection, ledger, store, stored_text)
    try:
        return preview.shares(generate=options.generate, judge=options.judge)
    finally:
        if store is not None:
            store.close()


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    while batch := list(islice(numbers, BATCH)):
        yield batch
