"""One tiny request per account: is it there, does the key work, what does it take, what does it tell?

The request goes the way of every other one: the same codec with the provider's own ways, the same
transport. A parameter that the provider refuses by name is left out and the request is sent again, so that
one check tells all of them. Nothing here knows the console; nothing that is returned holds a key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import anyio

from data.codec import replace
from data.errors import BadRequest, CallError, ConfigError, Unauthorized, UnknownModel
from data.prices import Price, price_of
from data.sampling import NAMES, adapted, profile
from data.schema import Message, ProviderSpec, Request, Response, SamplingRule, Struct
from data.text import printable
from engine.advice import advice
from providers import discretion
from providers.ratelimits import LimitSeen, limits_in
from providers.spoken import spoken
from providers.wire import Endpoint, HttpReply, Transport

QUESTION = "1+1=?"
MAX_TOKENS = 16
"""Enough for the answer of a model that does not think; one that does is cut, which is an answer too."""
THINKING_TOKENS = 8192
"""For a model that is told to think: some count its thoughts, and some want room for them."""
MOST_LEFT_OUT = 4
"""Refused parameters that are left out one after the other."""
NOBODY = "alignsweep-check"
"""A model that no provider has; asked for where none is named, it shows that the key is accepted."""
WRONG_KEY = "alignsweep-check-wrong-key"


class Probe(Struct, frozen=True, kw_only=True):
    """What is asked of one account. `model` empty: only whether it is there and takes the key."""

    spec: ProviderSpec
    model: str = ""
    temperature: float | None = 0.0
    max_tokens: int = MAX_TOKENS
    thinking: str = ""
    parameters: dict[str, Any] = {}
    own_price: Price | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """What one account did. `error` empty: it answered, or there was no more to ask of it."""

    account: str
    model: str = ""
    response: Response | None = None
    error: str = ""
    """A class of `data/errors.py`."""
    message: str = ""
    latency_s: float | None = None
    """Of the last exchange; None: no reply came."""
    limits: tuple[LimitSeen, ...] = ()
    price: Price | None = None
    changes: tuple[str, ...] = ()
    """What its preset changes about the request."""
    left_out: tuple[str, ...] = ()
    """Parameters that it refused by name, as they stand in a sampling rule: `drop temperature`."""
    faults: tuple[str, ...] = ()
    """How it answers a wrong key and an unknown model, where that was asked for."""
    advice: str = ""
    """How to mend the error, if that is known."""

    @property
    def fine(self) -> bool:
        """Could a sweep use it?"""
        return not self.error


async def check(
    probes: Sequence[tuple[Probe, Endpoint, Transport]], *, faults: bool, on: date
) -> list[Finding]:
    """All accounts at once; findings in the same order. `faults` sends two wrong requests more each."""
    found: dict[int, Finding] = {}

    async def one(number: int, probe: Probe, endpoint: Endpoint, transport: Transport) -> None:
        found[number] = await _check_one(probe, endpoint, transport, faults=faults, on=on)

    async with anyio.create_task_group() as tasks:
        for number, (probe, endpoint, transport) in enumerate(probes):
            tasks.start_soon(one, number, probe, endpoint, transport)
    return [found[number] for number in range(len(probes))]


async def _check_one(
    probe: Probe, endpoint: Endpoint, transport: Transport, *, faults: bool, on: date
) -> Finding:
    spec = probe.spec
    model = probe.model or NOBODY
    own = profile(spec.sampling, model, probe.thinking)
    finding = Finding(
        account=spec.name,
        model=probe.model,
        price=price_of(spec, probe.model, own=probe.own_price, on=on) if probe.model else None,
        changes=tuple(map(str, adapted(own, _request(probe))[1])) if probe.model else (),
    )
    finding = await _asked(probe, finding, endpoint, transport)
    if faults and finding.fine:
        told = [
            await _told(probe, "a wrong key", _with_key(probe, WRONG_KEY, endpoint), transport),
            await _told(replace(probe, model=NOBODY), "an unknown model", endpoint, transport),
        ]
        finding = replace(finding, faults=tuple(told))
    return finding


def _request(probe: Probe) -> Request:
    return Request(
        model=probe.model or NOBODY,
        messages=(Message("user", QUESTION),),
        temperature=probe.temperature,
        max_tokens=probe.max_tokens,
        thinking=probe.thinking,
        parameters=probe.parameters,
    )


async def _asked(
    probe: Probe, finding: Finding, endpoint: Endpoint, transport: Transport
) -> Finding:
    """Ask until it answers, or refuses something that cannot be left out."""
    spec, left_out = probe.spec, finding.left_out
    while True:
        reply: HttpReply | None = None
        try:
            http = spoken(spec).encode(_request(probe))
            reply = await discretion.send(transport, http, endpoint)
            response = discretion.decode(spoken(spec), reply, endpoint)
        except (CallError, ConfigError) as error:
            finding = _heard(finding, reply)
            cure = _cure(error, left_out)
            if cure is not None and len(left_out) < MOST_LEFT_OUT:
                left_out = (*left_out, *_spoken_of(cure))
                spec = replace(spec, sampling=(*spec.sampling, cure))
                continue
            if isinstance(error, UnknownModel) and not probe.model:
                return replace(finding, left_out=left_out)  # there, and the key is accepted
            kind = error.kind if isinstance(error, CallError) else type(error).__name__
            return replace(
                finding,
                error=kind,
                message=str(error),
                left_out=left_out,
                advice=advice(kind, spec),
            )
        return replace(_heard(finding, reply), response=response, left_out=left_out)


def _heard(finding: Finding, reply: HttpReply | None) -> Finding:
    if reply is None:
        return finding
    body = reply.body if reply.status == 429 else None
    seen = limits_in(reply.status, reply.headers, body)
    return replace(finding, latency_s=reply.latency_s, limits=seen or finding.limits)


def _cure(error: Exception, left_out: Sequence[str]) -> SamplingRule | None:
    """The rule that would have spared us a refusal which names a parameter of ours."""
    if not isinstance(error, BadRequest):
        return None
    for name in NAMES:
        if not re.search(rf"\b{name}\b", error.message, re.IGNORECASE):
            continue
        other = "max_completion_tokens"
        if name == "max_tokens" and other in error.message and f"rename {name}" not in left_out:
            return SamplingRule(rename={name: other})
        if f"drop {name}" not in left_out:
            return SamplingRule(drop=(name,))
    return None


def _spoken_of(rule: SamplingRule) -> tuple[str, ...]:
    return (*(f"drop {n}" for n in rule.drop), *(f"rename {n}" for n in rule.rename))


async def _told(probe: Probe, fault: str, endpoint: Endpoint, transport: Transport) -> str:
    """One line: how a fault is answered, and what it is taken for."""
    codec = spoken(probe.spec)
    try:
        reply = await discretion.send(transport, codec.encode(_request(probe)), endpoint)
        discretion.decode(codec, reply, endpoint)
    except CallError as error:
        expected = Unauthorized if fault == "a wrong key" else UnknownModel
        verdict = "recognised" if isinstance(error, expected) else f"taken for {error.kind}"
        return f"{fault}: {verdict}: {printable(str(error), 160)}"
    return f"{fault}: it answers all the same"


def _with_key(probe: Probe, key: str, endpoint: Endpoint) -> Endpoint:
    headers = {**probe.spec.headers, **spoken(probe.spec).authorize(key)}
    return Endpoint(
        endpoint.base_url,
        headers,
        endpoint.timeout_s,
        key,
        ca_file=endpoint.ca_file,
        proxy=endpoint.proxy,
    )
