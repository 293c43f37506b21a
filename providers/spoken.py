"""One provider as it is spoken to: the codec of its api, and its own ways, which are data.

What differs between two providers of one api is not code: which parameters they take
(`data/sampling.py`), what their errors mean (`data/outcomes.toml`), where the key travels, how a path is
made. `spoken(spec)` puts that around the codec; everybody who sends to a provider speaks through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from data.codec import replace
from data.errors import CallError
from data.sampling import Profile, adapted, profile
from data.schema import ProviderSpec, Request, Response
from providers.outcomes import FLAGS, Refused, hidden_in, outcome_of, refused, rulebook
from providers.registry import codec_of
from providers.wire import HttpReply, HttpRequest, Provider

_FLAGGED = tuple(f'"{flag}"'.encode() for flag in sorted(FLAGS))
"""Bytes of a 200 that may say, beside an answer, that it was filtered."""


def spoken(spec: ProviderSpec) -> Provider:
    """The codec of a provider, as this provider has it."""
    return Spoken(spec, codec_of(spec))


class Spoken:
    """A codec with one provider's parameters, path, key header and errors."""

    def __init__(self, spec: ProviderSpec, codec: Provider) -> None:
        self._spec, self._codec = spec, codec
        self._rules = rulebook(spec.errors, spec.rules)
        self._profiles: dict[tuple[str, str], Profile] = {}
        self._query = urlencode(spec.query)

    @property
    def needs(self) -> frozenset[str]:
        """Fields of a Request that this api cannot do without."""
        needs: frozenset[str] = getattr(self._codec, "needs", frozenset())
        return needs

    def encode(self, request: Request) -> HttpRequest:
        key = request.model, request.thinking
        own = self._profiles.get(key)
        if own is None:
            own = self._profiles[key] = profile(self._spec.sampling, *key)
        http = self._codec.encode(adapted(own, request)[0])
        if not self._spec.path and not self._query:
            return http
        path = self._spec.path.replace("{model}", quote(request.model, safe="")) or http.path
        joint = "&" if "?" in path else "?"
        return replace(http, path=f"{path}{joint}{self._query}" if self._query else path)

    def authorize(self, key: str) -> Mapping[str, str]:
        way = self._spec.auth
        if not way or not key:
            return self._codec.authorize(key)
        return {"Authorization": f"Bearer {key}"} if way == "bearer" else {way: key}

    def decode(self, reply: HttpReply) -> Response:
        if reply.status != 200:
            return _ended(outcome_of(reply, self._rules), reply)
        try:
            response = self._codec.decode(reply)
        except CallError as error:
            found = hidden_in(reply, self._rules)
            if found is None:
                raise
            if isinstance(found, CallError):
                found.usage = error.usage
            return _ended(found, reply)
        if any(flag in reply.body for flag in _FLAGGED):
            found = hidden_in(reply, self._rules)
            if found is not None:
                return _ended(found, reply)
        return _attributed(response)


def _ended(found: CallError | Refused, reply: HttpReply) -> Response:
    if isinstance(found, Refused):
        return refused(found, reply)
    raise found from None


def _attributed(response: Response) -> Response:
    """A refusal that its codec lays at nobody's door came from the provider's filter."""
    if response.state != "refused" or response.refused_by == "model":
        return response
    code = response.refusal_code or response.stop_reason
    return replace(response, refused_by="provider", refusal_code=code)
