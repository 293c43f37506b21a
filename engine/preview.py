"""What a session would send, before it sends anything: for `plan` and `--dry-run`.

It walks the same trials, renders the same requests and looks in the same cache as the session will,
so "would be sent" is exact where the words are known. A judgment needs its answer's text, and a later
turn the answers before it: where these do not exist yet, they count as to be sent. With a cache the
same words are sent once, whoever wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path

from cache.journal import scan
from cache.key import cache_key
from cache.responses import ResponseStore
from data.codec import decode_record
from data.schema import (
    Answer,
    JudgeSpec,
    ModelSpec,
    ProviderSpec,
    Request,
    Response,
    Struct,
    Trial,
)
from engine import judging
from engine.answering import answer_request
from engine.config import Loaded, Selection
from engine.plan import JUDGEABLE, Ledger, Plan, State
from engine.rundir import check_same
from engine.sweep import Options
from providers.spoken import spoken
from providers.wire import Provider

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
    """In the response cache, or the same words as another trial's: nothing is sent for them."""
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
        *,
        caching: bool = True,
        generate: bool = True,
        retry_failed: bool = True,
    ) -> None:
        self._loaded, self._selection, self._store = loaded, selection, store
        self._plan = Plan(loaded.sweep, loaded.benchmark)
        self._ledger = ledger
        self._stored_text = text_of
        self._texts: dict[int, str] = {}
        self._sent: set[bytes] = set()
        """Keys of requests that are counted as to be sent already."""
        self._caching = caching
        self._generate, self._retry_failed = generate, retry_failed
        self._providers: Mapping[str, ProviderSpec] = {p.name: p for p in loaded.sweep.providers}
        self._codecs: Mapping[str, Provider] = {p.name: spoken(p) for p in loaded.sweep.providers}

    def shares(self, *, judge: bool = True) -> list[Share]:
        """A row per model and per judge, in the sweep file's order."""
        found = []
        if self._generate:
            found += [self._model_share(m) for m in self._selection.models]
        if judge:
            found += [self._judge_share(j) for j in range(len(self._loaded.sweep.judges))]
        return found

    def _model_share(self, model: int) -> Share:
        spec = self._loaded.sweep.models[model]
        numbers = list(self._plan.answer_numbers([model], self._selection.items))
        return self._share(spec, "answers", numbers)

    def _judge_share(self, judge: int) -> Share:
        spec = self._loaded.sweep.judges[judge]
        answers = self._plan.answer_numbers(self._selection.models, self._selection.items)
        numbers = [
            n
            for a in answers
            if self._ledger.state(a) in JUDGEABLE or (self._generate and self._owed(a))
            for n in self._plan.judgments_of(a)
            if self._plan.judge_index(n) == judge
        ]
        return self._share(spec, "judgments", numbers)

    def _share(self, party: ModelSpec | JudgeSpec, stage: str, numbers: list[int]) -> Share:
        """`numbers` are the party's trials that this session can get to."""
        owed = [n for n in numbers if self._owed(n)]
        done = sum(self._ledger.state(n) > State.FAILED for n in numbers)
        unsent = 0
        if party.provider in self._providers:
            spec = self._providers[party.provider]
            owed.sort(key=lambda n: self._plan.item(n)[1])  # a later turn needs the texts before it
            for _, turn in groupby(owed, key=lambda n: self._plan.item(n)[1]):
                unsent += sum(self._count_unsent(batch, spec) for batch in _batches(turn))
        return Share(party.provider, party.name, stage, done, unsent, len(owed) - unsent)

    def _owed(self, number: int) -> bool:
        """As the session will see it."""
        state = self._ledger.state(number)
        return state < State.FAILED or (state is State.FAILED and self._retry_failed)

    def _count_unsent(self, batch: list[int], spec: ProviderSpec) -> int:
        """Trials that the cache answers, or the answer to the same words."""
        keys = {n: key for n in batch if (key := self._key(n, spec)) is not None}
        wanted = list(dict.fromkeys(keys.values()))
        known = self._store.get_many(wanted) if self._store is not None else {}
        unsent = 0
        for number, key in keys.items():
            if key in known:
                self._keep_text(number, known[key])
            unsent += key in known or key in self._sent
            if self._caching and key not in known:
                self._sent.add(key)
        return unsent

    def _key(self, number: int, spec: ProviderSpec) -> bytes | None:
        request = self._request(number)
        if request is None:
            return None
        http = self._codecs[spec.name].encode(request)
        return cache_key(spec.cache_identity, http.path, http.body, request.draw)

    def _request(self, number: int) -> Request | None:
        """The first request of a trial, if all it needs is known."""
        try:
            if self._plan.is_answer(number):
                return answer_request(self._plan, number, self._text)
            answer = self._text(self._plan.answer_of(number))
            turns = self._plan.turns_before(self._plan.answer_of(number))
            earlier = tuple(self._text(n) for n in turns)
        except KeyError:
            return None
        sweep = self._loaded.sweep
        judge = sweep.judges[self._plan.judge_index(number)]
        question, _ = self._plan.item(number)
        rubric = self._loaded.rubrics[judge.rubric]
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
        check_same(options.folder, loaded)
        for place, record in scan(journal):
            if record is not None:
                ledger.enter(record, place.offset, place.length)
    for given in options.answers:
        trial = Trial(kind="answer", question_id=given.question_id, candidates=((given.model, 0),))
        number = plan.number(trial)
        if number is not None and given.text is not None:
            ledger.mark(number, State.ANSWERED)
    store = ResponseStore(cache_path) if cache_path is not None and cache_path.exists() else None

    def stored_text(number: int) -> str:
        if ledger.offsets[number] < 0:
            raise KeyError(number)
        with journal.open("rb") as file:
            file.seek(ledger.offsets[number])
            record = decode_record(file.read(ledger.lengths[number]))
        return record.response.text if isinstance(record, Answer) else ""

    preview = Preview(
        loaded,
        options.selection,
        ledger,
        store,
        stored_text,
        caching=cache_path is not None,
        generate=options.generate,
        retry_failed=options.retry_failed,
    )
    try:
        return preview.shares(judge=options.judge)
    finally:
        if store is not None:
            store.close()


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    while batch := list(islice(numbers, BATCH)):
        yield batch
