"""A run's replies as a file that answers for its providers: `cache export`, and `--cache-from`.

Somebody who gets the file and the sweep file can run the sweep again without asking anybody: each
request finds its reply by the hash of what is sent (`cache/key.py`), so a reply to other words, of
another model, or of another provider is never taken for it. Refused, cut and unreadable replies are in
it too, or the second run would differ from the first exactly there; failures are not replies.
"""

from __future__ import annotations

from collections.abc import Iterator

from cache.key import cache_key
from cache.responses import Entry
from data.codec import replace
from data.schema import Answer, JudgeSpec, Judgment, ModelSpec, ProviderSpec, Request, Response
from engine.asked import Asked
from providers.spoken import spoken
from providers.wire import Provider


def entries(asked: Asked) -> Iterator[Entry]:
    """Every reply of the run that a request of this sweep leads to. Answers from elsewhere have none."""
    sweep = asked.plan.sweep
    desks = {spec.name: _Desk(spec, spoken(spec)) for spec in sweep.providers}
    for number, record, _ in asked.records():
        if isinstance(record, Answer) and not record.origin:
            model = sweep.models[asked.plan.model_index(number)]
            request = asked.answer_request(number)
            yield from desks[model.provider].entries(model, request, record.response)
        elif isinstance(record, Judgment):
            judge = sweep.judges[asked.plan.judge_index(number)]
            requests = asked.judge_requests(number, record)
            for request, reply in zip(requests, record.asks, strict=True):
                yield from desks[judge.provider].entries(judge, request, reply)


class _Desk:
    """One provider: how its requests are encoded and named."""

    def __init__(self, spec: ProviderSpec, codec: Provider) -> None:
        self._spec, self._codec = spec, codec

    def entries(
        self, party: ModelSpec | JudgeSpec, request: Request, reply: Response
    ) -> Iterator[Entry]:
        """The reply under its request; and under the one with the larger cap, where there is one.

        The journal keeps the reply that counted, not which of the two it answered.
        """
        caps = dict.fromkeys((request.max_tokens, party.retry_max_tokens or request.max_tokens))
        for cap in caps:
            http = self._codec.encode(replace(request, max_tokens=cap))
            identity = self._spec.cache_identity
            key = cache_key(identity, http.path, http.body, request.draw)
            yield Entry(key, identity, party.model, replace(reply, cached=False))
