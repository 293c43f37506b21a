"""A simulated provider: its pace, its limits and its faults. What it says comes from its cast.

`Simulator.answer` is the whole of it: a request body and the time go in, a reply and how long it takes
come out. Two things stand on it, so that they behave alike: `SimulatorTransport` below, which waits on
the running loop's clock (virtual or real), and the loopback server in `providers/simserver.py`.

Rules. It speaks OpenAI chat completions, not streamed (POST /chat/completions; error envelope
`{"error": {message, type, param, code}}`, rate headers as OpenAI documents them); other dialects and
streams go through `providers/simgateway.py`. Every draw is decided
by (seed, body, how often this body was admitted before), so a rehearsal can be repeated and a retry may
fare better than the first try. Limits per minute (and day) are sliding windows: a request takes one
request and the tokens of its prompt and its answer at the moment it is admitted; a refused one costs
nothing. Each instance is one account: it counts and limits all that is sent to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from data import codec
from data.errors import TransportError
from data.schema import Benchmark, Struct
from providers.persona import Cast, Chat, Manner, Spoken
from providers.scorebook import normal, published, uniform
from providers.simfaults import FAULTS, UNPAID, check_faults, envelope, pick, trouble
from providers.simgateway import gateway_of
from providers.wire import Endpoint, HttpReply, HttpRequest

MINUTE_S, DAY_S = 60.0, 86_400.0
TYPICAL_TOKENS = 200
"""Output length that takes the median latency; a quarter of the latency does not depend on length."""
MALFORMED: tuple[Manner, ...] = ("json", "prose", "nothing")
SLACK_S = 1e-6
"""Two sums of floats may differ in their last digits; a window's end is not missed for that."""

LIMITS: Mapping[str, tuple[str, str, float]] = {
    "rpm": ("requests", "requests a minute", MINUTE_S),
    "rpd": ("requests-day", "requests a day", DAY_S),
    "tpm": ("tokens", "tokens per minute", MINUTE_S),
    "input_tpm": ("input-tokens", "input tokens per minute", MINUTE_S),
    "output_tpm": ("output-tokens", "output tokens per minute", MINUTE_S),
}
"""A windowed limit -> its unit in rate headers, its words in a refusal, its span in seconds."""
TOKEN_LIMITS = ("tpm", "input_tpm", "output_tpm")

Fault: TypeAlias = Literal["", "reset", "hang", "cut"]
Tells: TypeAlias = Literal["all", "wait", "nothing"]


class SimOptions(codec.Table, frozen=True):
    """How a simulated provider behaves. Rates are shares of all admitted requests, 0 to 1."""

    seed: int = 0
    latency_s: float = 0.3
    """Median of a lognormal, for an answer of 200 tokens; longer answers take longer."""
    latency_spread: float = 0.5
    """Sigma of that lognormal."""
    rpm: int | None = None
    """Requests in any 60 s; None: unlimited."""
    tpm: int | None = None
    """Tokens in any 60 s, input and output together."""
    input_tpm: int | None = None
    output_tpm: int | None = None
    rpd: int | None = None
    """Requests in any 24 hours."""
    concurrency: int | None = None
    """Requests in flight; None: unlimited."""
    limit_changes: tuple[tuple[float, str, int], ...] = ()
    """(seconds after the first request, limit, new value), each after the one before it."""
    tells: Tells = "all"
    """What is said about limits per minute and day: rate headers and when to come back, only when to
    come back, or nothing but the status."""
    error_rate: float = 0.0
    """HTTP 500 and 503, connections reset, and replies that never come."""
    malformed_verdict_rate: float = 0.0
    """Judges that write JSON, prose, or nothing readable."""
    refusal_rate: float = 0.0
    """Answers with finish_reason content_filter."""
    truncation_rate: float = 0.0
    """Answers with finish_reason length."""
    faults: dict[str, float] = {}
    """What the errors of `error_rate` are, by share: 500, 503, inside, reset, cut, hang, empty. Left
    out: mostly 500 and 503, never inside, cut or empty."""
    window_s: float = MINUTE_S
    """Limits a minute are judged on windows this long, each of its share: some providers look at 1 to
    10 seconds."""
    credit: int | None = None
    """Requests until no money is left; None: there is no end to it."""
    version_changes: tuple[tuple[float, str], ...] = ()
    """(seconds after the first request, fingerprint), each after the one before it: another version of
    the model is served from then on."""

    def __post_init__(self) -> None:
        for name in ("error_rate", "malformed_verdict_rate", "refusal_rate", "truncation_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share: 0 to 1, not {getattr(self, name):g}")
        for name in ("latency_s", "latency_spread"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a number from 0 up, not {getattr(self, name):g}")
        check_faults(self.faults)
        if not 0 < self.window_s <= MINUTE_S:
            raise ValueError(f"window_s is above 0 and at most 60, not {self.window_s:g}")
        if self.credit is not None and self.credit < 0:
            raise ValueError(f"credit is a number of requests from 0 up, not {self.credit}")
        for name in (*LIMITS, "concurrency"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name} is at least 1, not {limit}")
        moments = [at_s for at_s, _ in self.version_changes]
        if moments != sorted(moments) or not all(0 <= at_s < math.inf for at_s in moments):
            raise ValueError("version_changes: times rise from 0")
        before = 0.0
        for at_s, name, value in self.limit_changes:
            if name not in (*LIMITS, "concurrency"):
                raise ValueError(
                    f"limit_changes: no limit `{name}`: {', '.join(LIMITS)}, concurrency"
                )
            if not before <= at_s < math.inf or value < 1:
                raise ValueError("limit_changes: times rise from 0, values are at least 1")
            before = at_s


def sim_options(values: Mapping[str, Any], *, where: str) -> SimOptions:
    """Options as a user wrote them. Raises ConfigError for an unknown key or an impossible value."""
    return codec.convert(dict(values), SimOptions, where=where)


def simulator_for(
    values: Mapping[str, Any], benchmarks: Sequence[Benchmark], *, where: str = "simulator"
) -> SimulatorTransport:
    """The embedded simulator with the published cast. Raises ConfigError for bad options."""
    options = sim_options(values, where=where)
    return SimulatorTransport(options, Cast(options.seed, benchmarks, [published()]))


class Speaker(Protocol):
    """Who says what: `Cast`, or a stand-in that is only as long-winded as the real one."""

    @property
    def seed(self) -> int:
        """Decides every word."""

    def reply(self, chat: Chat, manner: Manner = "plain") -> Spoken:
        """The answer to a request body."""


class SimReply(Struct, frozen=True):
    """What goes back `delay_s` seconds after the request came; with a fault, no reply at all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay_s: float = 0.0
    fault: Fault = ""
    admitted: bool = True
    """It was not turned away, so it is in flight until `Simulator.finish`."""
    pieces: tuple[tuple[int, float], ...] = ()
    """Of a streamed body: (bytes, seconds after the request at which they are out)."""
    played: str = "limited"
    """What this is, as `SimStatistics.played` counts it."""

    @property
    def kept(self) -> int:
        """Bytes of the body that leave: half of them where it is cut."""
        return len(self.body) // 2 if self.fault == "cut" else len(self.body)


class SimStatistics(Struct, frozen=True, kw_only=True):
    """What a simulated provider has seen so far."""

    requests: int
    by_status: dict[str, int]
    """HTTP status, or the fault's name -> requests."""
    distinct_bodies: int
    """Of admitted requests."""
    answered_again: int
    """Bodies answered with 200 more than once: work that was paid for twice."""
    in_flight: int
    max_in_flight: int
    limited: dict[str, int] = {}
    """A limit's name -> 429s because of it."""
    input_tokens: int = 0
    """Of all replies with 200, as they were told."""
    output_tokens: int = 0
    played: dict[str, int] = {}
    """How requests ended as their sender should see it: answered, refused, truncated, limited, unpaid,
    wrong key, bad request, or a fault of `providers/simfaults.py` -> requests."""


class _Window:
    """What was admitted in the last `span_s` seconds, in one unit. `limit` is what people are told."""

    def __init__(self, limit: int, full_s: float, judged_s: float) -> None:
        self.limit, self.span_s, self.used = limit, min(full_s, judged_s), 0
        self._share = self.span_s / full_s
        self._taken: deque[tuple[float, int]] = deque()

    def wait_s(self, amount: int, now: float) -> float:
        """0: it fits. Else seconds until it will, or the whole span for what never can."""
        while self._taken and self._taken[0][0] <= now - self.span_s + SLACK_S:
            self.used -= self._taken.popleft()[1]
        excess = self.used + amount - self.room
        if excess <= 0:
            return 0.0
        for at, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return at + self.span_s - now
        return self.span_s

    @property
    def room(self) -> int:
        """What fits into one window."""
        return max(1, int(self.limit * self._share))

    def take(self, amount: int, now: float) -> None:
        self._taken.append((now, amount))
        self.used += amount

    def reset_s(self, now: float) -> float:
        """When what is left next grows."""
        return self._taken[0][0] + self.span_s - now if self._taken else 0.0


class Simulator:
    """The core. Each admitted reply is to be given back to `finish` when it is out or abandoned."""

    def __init__(self, options: SimOptions, cast: Speaker) -> None:
        self.options, self.cast = options, cast
        self._key = f"simulator {options.seed}".encode()[:64]
        self._chats = codec.decoder(Chat)
        self._limit = options.concurrency
        self._windows = {
            name: self._window(name, limit)
            for name in LIMITS
            if (limit := getattr(options, name)) is not None
        }
        self._changes = deque(options.limit_changes)
        self._versions = deque(options.version_changes)
        self._version = f"sim-{cast.seed}"
        self._began: float | None = None
        self._limited: Counter[str] = Counter()
        self._seen: dict[bytes, int] = {}
        self._answered: dict[bytes, int] = {}
        self._by_status: Counter[str] = Counter()
        self._played: Counter[str] = Counter()
        self._admitted = 0
        self._again = self._in_flight = self._max_in_flight = 0
        self._input_tokens = self._output_tokens = 0

    def __repr__(self) -> str:
        return f"<Simulator seed={self.options.seed} in_flight={self._in_flight}>"

    def answer(self, body: bytes, now: float) -> SimReply:
        """The reply to a POST /chat/completions that came at `now` (seconds of any one clock)."""
        if self._changes or self._versions:
            self._change(now)
        reply = self._turned_away(_ONE_REQUEST, now) or self._admit(body, now)
        self._by_status[reply.fault or str(reply.status)] += 1
        self._played[reply.played] += 1
        return reply

    def turned_away(self, played: str) -> None:
        """A request got no further than the server's door."""
        self._played[played] += 1

    def reply_to(self, path: str, body: bytes, now: float) -> SimReply:
        """The reply to a POST to any dialect's `path` below the base URL, streamed if it is asked to be."""
        gateway = gateway_of(path, body)
        if gateway is None:
            return self.answer(body, now)
        reply = self.answer(gateway.body, now)
        if reply.fault and not reply.body:
            return reply
        said = gateway.reply(reply.status, reply.headers, reply.body, reply.delay_s)
        return codec.replace(
            reply, status=said.status, headers=said.headers, body=said.body, pieces=said.pieces
        )

    def finish(self, reply: SimReply) -> None:
        """The reply has left, or nobody waits for it any more."""
        self._in_flight -= reply.admitted

    def statistics(self) -> SimStatistics:
        """Counts so far."""
        return SimStatistics(
            requests=self._by_status.total(),
            by_status=dict(self._by_status),
            distinct_bodies=len(self._seen),
            answered_again=self._again,
            in_flight=self._in_flight,
            max_in_flight=self._max_in_flight,
            limited=dict(self._limited),
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            played=dict(self._played),
        )

    # --- limits --------------------------------------------------------------------------------

    def _change(self, now: float) -> None:
        """Changes whose time has come. What was admitted before still counts."""
        self._began = now if self._began is None else self._began
        while self._versions and self._versions[0][0] <= now - self._began:
            self._version = self._versions.popleft()[1]
        while self._changes and self._changes[0][0] <= now - self._began:
            _, name, value = self._changes.popleft()
            if name == "concurrency":
                self._limit = value
            elif name in self._windows:
                self._windows[name].limit = value
            else:
                self._windows[name] = self._window(name, value)

    def _window(self, name: str, limit: int) -> _Window:
        full_s = LIMITS[name][2]
        return _Window(limit, full_s, self.options.window_s if full_s == MINUTE_S else full_s)

    def _turned_away(self, amounts: Mapping[str, int], now: float) -> SimReply | None:
        """A 429 if a limit is reached. Only those of a window say when to come back."""
        limit = self._limit
        if limit is not None and self._in_flight >= limit:
            self._limited["concurrency"] += 1
            message = f"too many requests in flight; the limit is {limit}"
            return _refused(429, message, "requests", "rate_limit_exceeded")
        for name, window in self._windows.items():
            wait_s = window.wait_s(amounts.get(name, 0), now)
            if wait_s > 0:
                self._limited[name] += 1
                return self._out_of(name, window, amounts.get(name, 0), wait_s, now)
        return None

    def _out_of(
        self, name: str, window: _Window, amount: int, wait_s: float, now: float
    ) -> SimReply:
        """The 429 of a window."""
        kind = "tokens" if name in TOKEN_LIMITS else "requests"
        if self.options.tells == "nothing":
            return _refused(429, "slow down", kind, "rate_limit_exceeded")
        wait = {
            "retry-after": str(math.ceil(wait_s)),
            "retry-after-ms": str(math.ceil(wait_s * 1000)),
        }
        if self.options.tells == "wait":
            return _refused(429, "slow down", kind, "rate_limit_exceeded", wait)
        words = LIMITS[name][1]
        asked = f", requested {amount}" if kind == "tokens" else ""
        message = f"the limit is {window.limit} {words}{asked}; try again in {wait_s:.3f}s"
        headers = {**wait, **self._rate_headers(now)}
        return _refused(429, message, kind, "rate_limit_exceeded", headers)

    def _rate_headers(self, now: float) -> dict[str, str]:
        """`reset` is when `remaining` next grows, as a Go duration."""
        headers: dict[str, str] = {}
        if self.options.tells != "all":
            return headers
        for name, window in self._windows.items():
            unit = LIMITS[name][0]
            headers[f"x-ratelimit-limit-{unit}"] = str(window.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(max(0, window.room - window.used))
            headers[f"x-ratelimit-reset-{unit}"] = f"{math.ceil(window.reset_s(now) * 1000)}ms"
        return headers

    # --- one admitted request ------------------------------------------------------------------

    def _admit(self, body: bytes, now: float) -> SimReply:
        """Let it in, unless its tokens are too many: those are known when its answer is."""
        if self.options.credit is not None and self._admitted >= self.options.credit:
            message = "You exceeded your current quota, please check your plan and billing details."
            return _refused(429, message, UNPAID, UNPAID, played="unpaid")
        digest = hashlib.blake2b(body, digest_size=16, key=self._key).digest()
        nth = self._seen.get(digest, 0) + 1
        luck = uniform(hashlib.blake2b(digest + nth.to_bytes(8, "little")).digest())
        chat = self._read(body)
        amounts, spoken = _ONE_REQUEST, None
        if isinstance(chat, Chat) and not self._windows.keys().isdisjoint(TOKEN_LIMITS):
            spoken = self.cast.reply(chat, self._manner(luck))
            asked, said = spoken.prompt_tokens, spoken.completion_tokens
            tokens = {"tpm": asked + said, "input_tpm": asked, "output_tpm": said}
            amounts = {**_ONE_REQUEST, **tokens}
            if (refused := self._turned_away(amounts, now)) is not None:
                return refused
        self._admitted += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        self._seen[digest] = nth
        for name, window in self._windows.items():
            window.take(amounts.get(name, 0), now)
        headers = {**_HEADERS, **self._rate_headers(now)}
        headers["x-request-id"] = f"req-sim-{digest.hex()}-{nth}"
        if not isinstance(chat, Chat):
            kind, played = "invalid_request_error", "bad request"
            refused = _refused(400, chat, kind, "invalid_request", headers, played=played)
            return codec.replace(refused, admitted=True)
        wrong = luck[0] < self.options.error_rate
        fault = pick(self.options.faults or FAULTS, luck[1]) if wrong else ""
        if fault not in ("", "cut", "empty"):
            return self._fault(fault, luck, headers)
        spoken = spoken or self.cast.reply(chat, self._manner(luck))
        if fault == "empty":
            spoken = codec.replace(spoken, text="", finish_reason="stop")
        if not fault:
            self._count(spoken, digest)
        body = self._body(chat, spoken, digest)
        delay_s = self._delay_s(spoken.completion_tokens, luck[2])
        if fault == "cut":
            return SimReply(200, headers, body, delay_s, "cut", played=fault)
        if fault:
            return SimReply(200, headers, body, delay_s, played=fault)
        return SimReply(200, headers, body, delay_s, played=_ENDS[spoken.finish_reason])

    def _read(self, body: bytes) -> Chat | str:
        """The request, or why it is refused."""
        try:
            chat: Chat = codec.decode_as(body, Chat, self._chats)
        except codec.Undecodable as error:
            return f"unreadable request: {error}"
        if not chat.messages:
            return "messages is empty"
        if chat.stream or chat.n not in (None, 1):
            return "this simulator neither streams nor gives several choices"
        limits = (chat.max_tokens, chat.max_completion_tokens)
        if any(limit is not None and limit < 1 for limit in limits):
            return "max_tokens is at least 1"
        return chat

    def _fault(self, kind: str, luck: tuple[float, ...], headers: Mapping[str, str]) -> SimReply:
        delay_s = self._delay_s(TYPICAL_TOKENS, luck[2])
        if kind == "reset":
            return SimReply(0, {}, b"", delay_s, "reset", played=kind)
        if kind == "hang":
            return SimReply(0, {}, b"", math.inf, "hang", played=kind)
        status, body = trouble(kind)
        return SimReply(status, headers, body, delay_s * 0.25, played=kind)

    def _count(self, spoken: Spoken, digest: bytes) -> None:
        before = self._answered[digest] = self._answered.get(digest, 0) + 1
        self._again += before == 2
        self._input_tokens += spoken.prompt_tokens
        self._output_tokens += spoken.completion_tokens

    def _body(self, chat: Chat, spoken: Spoken, digest: bytes) -> bytes:
        message = {"role": "assistant", "content": spoken.text}
        body = {
            "id": f"chatcmpl-sim-{digest.hex()}",
            "object": "chat.completion",
            "created": 0,
            "model": chat.model,
            "choices": [{"index": 0, "message": message, "finish_reason": spoken.finish_reason}],
            "usage": {
                "prompt_tokens": spoken.prompt_tokens,
                "completion_tokens": spoken.completion_tokens,
                "total_tokens": spoken.prompt_tokens + spoken.completion_tokens,
            },
            "system_fingerprint": self._version,
            "simulated": True,
        }
        return codec.encode(body)

    def _manner(self, luck: tuple[float, ...]) -> Manner:
        options = self.options
        if luck[3] < options.refusal_rate:
            return "refused"
        if luck[4] < options.truncation_rate:
            return "cut"
        if luck[5] < options.malformed_verdict_rate:
            return MALFORMED[int(luck[6] * len(MALFORMED))]
        return "plain"

    def _delay_s(self, output_tokens: int, share: float) -> float:
        if not self.options.latency_s:
            return 0.0
        stretch = math.exp(self.options.latency_spread * normal(share))
        return self.options.latency_s * length_factor(output_tokens) * stretch


def length_factor(output_tokens: int) -> float:
    """How much longer an answer of so many tokens takes than a typical one."""
    return 0.25 + 0.75 * output_tokens / TYPICAL_TOKENS


class SimulatorTransport:
    """A Transport that needs no network: it waits on the running loop's clock. One account each."""

    def __init__(self, options: SimOptions, cast: Speaker) -> None:
        self.simulator = Simulator(options, cast)
        self.busy_s = 0.0
        """Seconds in flight, summed over all requests that are over."""

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        """Raises TransportError for a reset connection, and when the reply takes too long."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        reply = self.simulator.reply_to(request.path, request.body, started)
        try:
            if reply.delay_s > endpoint.timeout_s:
                await asyncio.sleep(endpoint.timeout_s)
                raise TransportError(f"no whole reply within {endpoint.timeout_s:g} s")
            await asyncio.sleep(reply.delay_s)
        finally:
            self.simulator.finish(reply)
            latency_s = loop.time() - started
            self.busy_s += latency_s
        if reply.fault:
            raise TransportError("the connection was reset (simulated)")
        return HttpReply(reply.status, reply.headers, reply.body, latency_s, reply.pieces)

    async def aclose(self) -> None:
        """Nothing to close."""

    def statistics(self) -> SimStatistics:
        """Counts so far."""
        return self.simulator.statistics()


_ONE_REQUEST: Mapping[str, int] = {"rpm": 1, "rpd": 1}
_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
_ENDS: Mapping[str, str] = {
    "stop": "answered",
    "length": "truncated",
    "content_filter": "refused",
}


def _refused(
    status: int,
    message: str,
    kind: str,
    code: str,
    headers: Mapping[str, str] = _HEADERS,
    played: str = "limited",
) -> SimReply:
    """An error at once, of a request that was not let in."""
    body = envelope(message, kind, code)
    return SimReply(status, {**_HEADERS, **headers}, body, admitted=False, played=played)
