"""Simulated providers in bad weather: spells of refusals, faults and outages on top of their own limits.

A `Sky` is one account's transport for a whole day. Below the weather stands the product's own simulator
with its limits; what it says is `Terse`: a few bytes that depend on the words of the request alone, so
whoever knows a request knows its only right answer. Every exchange is written down with what was billed
for it, delivered or not.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate

from data import codec
from data.errors import TransportError
from providers.persona import Chat, Manner, Spoken
from providers.simulator import SimReply, Simulator
from providers.wire import Endpoint, HttpReply, HttpRequest

PASSING = (
    *("told", "told date", "told body", "silent", "silent page", "500", "502 page", "503 told"),
    *("reset", "cut", "hang", "late hang", "slow", "broken json", "no choices", "error in 200"),
)
"""Faults after which the same request may work at once or later."""
LASTING = ("dead key", "no quota", "long told", "no model", "bad request")
"""Those that stop an account, a model or a trial for a session."""
BILLED_UNSEEN = frozenset({"cut", "late hang", "broken json", "no choices"})
"""The provider did the work, and nobody can read it."""
REFUSAL_S = 0.05
LONG_S = 3600.0
HTML = {"content-type": "text/html"}
SERVER_CLOCK_S = 946_684_800.0
"""The providers' clocks began elsewhere: a date is worth something only beside their own."""
UNREADABLE, UNREADABLE_FIRST, REFUSED, CUT = 1, 4, 6, 9
"""Of 256 requests, which way of saying it: never readable, readable at the second ask, filtered, cut."""


@dataclass(frozen=True)
class Spell:
    """From when to when (virtual seconds), what, and the share of calls that it hits."""

    start_s: float
    end_s: float
    kind: str
    share: float = 1.0


@dataclass(eq=False)
class Exchange:
    """One request as the provider saw it. `status` 0: no reply; `billed`: tokens in and out."""

    at_s: float
    account: str
    model: str
    body: bytes
    fate: str = "in flight"
    status: int = 0
    ended_s: float = float("inf")
    told_s: float = 0.0
    billed: tuple[int, int] | None = None
    work: object = None
    """The trial and ask that it serves, as the journal names them."""
    text: str = ""
    """What was said, where a sound 200 was delivered."""


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=12).digest()


class Terse:
    """A few bytes for every request, decided by its words: what is said to equal words is equal."""

    seed = 0

    def __init__(self) -> None:
        self._asked: dict[bytes, int] = {}

    def reply(self, chat: Chat, manner: Manner = "plain") -> Spoken:
        """`manner` is ignored: nothing but the words decides."""
        words = "\n".join(message.text for message in chat.messages)
        own = digest(f"{chat.model} {words}".encode())
        nth = self._asked[own] = self._asked.get(own, 0) + 1
        text, finish = said(own, chat.model.startswith("judge"), nth)
        short = 24 if finish == "length" else 1 + own[1] % 24
        return Spoken(text, finish, len(words) // 2 + 7, short)  # type: ignore[arg-type]


def said(own: bytes, judges: bool, nth: int = 2) -> tuple[str, str]:
    """The text and finish reason of the `nth` reply to a request with this digest."""
    luck = own[0]
    if judges and (luck < UNREADABLE or (luck < UNREADABLE_FIRST and nth == 1)):
        return f"no verdict {own.hex()}", "stop"
    if not judges and UNREADABLE_FIRST <= luck < REFUSED:
        return "", "content_filter"
    finish = "length" if not judges and REFUSED <= luck < CUT else "stop"
    return (f"{{'综合得分': {score(own)}}}" if judges else f"answer {own.hex()}"), finish


def score(own: bytes) -> int:
    """What a judge gives."""
    return 1 + own[2] % 10


@dataclass(eq=False)
class Sky:
    """A transport of one account. It keeps a list of every exchange."""

    account: str
    simulator: Simulator
    spells: Sequence[Spell]
    faults: float
    """The share of calls that fail for no reason at all."""
    dice: random.Random
    most: int = 1_000_000
    """Faults that one request may meet."""
    log: list[Exchange] = field(default_factory=list)
    began: Callable[[Exchange], None] = lambda exchange: None
    ended: Callable[[Exchange], None] = lambda exchange: None
    met: dict[bytes, int] = field(default_factory=dict)

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        """A reply, if the weather lets it through. Raises TransportError."""
        loop = asyncio.get_running_loop()
        model = codec.decode(request.body)["model"]
        one = Exchange(loop.time(), self.account, model, digest(request.body))
        self.began(one)
        self.log.append(one)
        try:
            reply = await self._reply(one, request, endpoint)
            one.status = reply.status
            return codec.replace(reply, latency_s=loop.time() - one.at_s)
        except asyncio.CancelledError:
            one.fate = "given up"
            raise
        finally:
            one.ended_s = loop.time()
            self.ended(one)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _trouble(self, one: Exchange) -> Spell | None:
        """The weather that this call meets."""
        if self.met.get(one.body, 0) >= self.most:
            return None
        for spell in self.spells:
            inside = spell.start_s <= one.at_s < spell.end_s
            if inside and self.dice.random() < spell.share:
                return spell
        if self.dice.random() < self.faults:
            return Spell(one.at_s, one.at_s + 2, self.dice.choice(PASSING))
        return None

    async def _reply(self, one: Exchange, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        spell = self._trouble(one)
        if spell is None:
            return await self._worked(one, request, endpoint, "sound")
        self.met[one.body] = self.met.get(one.body, 0) + 1
        if spell.kind in BILLED_UNSEEN or spell.kind == "slow":
            return await self._worked(one, request, endpoint, spell.kind)
        one.fate = spell.kind
        if spell.kind == "hang":
            await asyncio.sleep(endpoint.timeout_s)
            raise TransportError("no whole reply in time (simulated)")
        await asyncio.sleep(REFUSAL_S)
        if spell.kind == "reset":
            raise TransportError("the connection was reset (simulated)")
        return _refusal(one, spell, self.dice)

    async def _worked(
        self, one: Exchange, request: HttpRequest, endpoint: Endpoint, fate: str
    ) -> HttpReply:
        """The simulator took it, or its limits refused it; what comes back may be spoilt."""
        reply = self.simulator.answer(request.body, one.at_s)
        one.fate = fate if reply.status == 200 else f"limit {reply.status}"
        if reply.status == 429:
            one.told_s = float(reply.headers.get("retry-after-ms", 0)) / 1000
        else:
            usage = codec.decode(reply.body)["usage"]
            one.billed = (usage["prompt_tokens"], usage["completion_tokens"])
        delay_s = reply.delay_s * (20 if fate == "slow" else 1)
        late = one.fate == "late hang" or delay_s > endpoint.timeout_s
        try:
            await asyncio.sleep(endpoint.timeout_s if late else delay_s)
        finally:
            self.simulator.finish(reply)
        if late:
            one.fate = "late hang"
            raise TransportError("no whole reply in time (simulated)")
        return _spoilt(one, reply)


def _spoilt(one: Exchange, reply: SimReply) -> HttpReply:
    """A reply that the simulator meant well, after the weather."""
    body = reply.body
    if one.fate == "cut":
        raise TransportError("the body ended too soon (simulated)")
    if one.fate == "broken json":
        body = body[: len(body) // 2]
    elif one.fate == "no choices":
        body = codec.encode({**codec.decode(body), "choices": []})
    elif reply.status == 200:
        one.text = codec.decode(body)["choices"][0]["message"]["content"]
    return HttpReply(reply.status, reply.headers, body)


def _refusal(one: Exchange, spell: Spell, dice: random.Random) -> HttpReply:
    """No work was done, and this says so."""
    wait_s = min(40, 1 + int(spell.end_s - one.at_s))
    if spell.kind.startswith(("told", "long told")):
        return _told(one, spell.kind, wait_s)
    status, headers, body = {
        "silent": (429, {}, _error("slow down")),
        "silent page": (429, HTML, b"<html><h1>429 Too Many Requests</h1></html>"),
        "502 page": (502, HTML, b"<html><h1>502 Bad Gateway</h1></html>"),
        "503 told": (503, {"retry-after": str(1 + wait_s % 7)}, b"{}"),
        "500": (dice.choice((500, 504, 529)), {}, _error("broken")),
        "error in 200": (200, {}, _error("oops", 500)),
        "dead key": (401, {}, _error("no such key")),
        "no quota": (429, {}, _error("pay first", "insufficient_quota")),
        "no model": (404, {}, _error("no such model", "model_not_found")),
        "bad request": (400, {}, _error("not like this")),
    }[spell.kind]
    return HttpReply(status, headers, body)


def _told(one: Exchange, kind: str, wait_s: float) -> HttpReply:
    """429 with a time to come back, in one of the ways in which it is told."""
    headers, body = {}, _error("slow down")
    now_s = SERVER_CLOCK_S + one.at_s // 1
    match kind:
        case "told":
            wait_s -= 0.5
            headers = {"retry-after": f"{wait_s}"}
        case "told date":
            then = formatdate(now_s + wait_s, usegmt=True)
            headers = {"retry-after": then, "date": formatdate(now_s, usegmt=True)}
        case "told body":
            body = _error(f"Rate limited. Please try again in {wait_s}s.")
        case _:
            wait_s = LONG_S
            headers = {"retry-after": f"{wait_s}"}
    one.told_s = wait_s
    return HttpReply(429, headers, body)


def _error(message: str, code: str | int = "") -> bytes:
    return codec.encode({"error": {"message": message, "code": code}})
