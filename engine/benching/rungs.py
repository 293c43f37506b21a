"""What was measured at one load on one target: every figure of the report. Pure.

Throughput. Under a closed load (a fixed number of calls at a time, L) it is Little's law, λ = L / W
(Operations Research 9, 1961): calls in progress on average, divided by the mean time of a call, times
the share that was useful. Counting completions in a window is a few percent off when the window holds
few rounds; it is the cross-check, and `little_gap` says how far the two are apart. Under an open load it
is completions in the window, and an interval from equal slices of it.

Useful is an answer that the sweep would judge, or a verdict that its own parser reads, after the sweep's
own asks and retries. Money counts every attempt that was billed, whatever became of it: those in the
window and the attempts of their calls outside it alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from data.errors import RateLimited
from data.schema import Block, LoadKind, Struct, Timing
from engine.benching import batches, durations
from engine.benching.calls import Call, Window, begun, calls_of, ended, length_s, overlap_s, sent
from engine.benching.costs import Money, money_of
from engine.benching.quantiles import Range, Share, percentile, quantile, share

PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
LIMITED = RateLimited.__name__
SLICES = 10
ROUNDS_FOR_LITTLE = 20
LITTLE_GAP = 0.02
"""What Little's law and a count may differ by, beside the round that a window's edges may cut."""
LAG_S, LAG_SHARE, CPU = 0.020, 0.05, 0.85
"""A client is called bound when its loop or its dispatching lags this much, or this share of the median
latency, or when it uses this much of a core."""


class Spread(Struct, frozen=True, kw_only=True):
    """One duration in seconds. A percentile is None where there are too few values for it."""

    n: int
    mean: Range | None = None
    p50: Range | None = None
    p90: Range | None = None
    p95: Range | None = None
    p99: Range | None = None
    at_least_s: float | None = None
    """Values from here on are lower bounds: so long was waited, and no longer."""


class Tokens(Struct, frozen=True, kw_only=True):
    """Of the attempts in the window."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    unknown: int = 0
    """Replies without usage."""
    input_per_s: float = 0.0
    output_per_s: float = 0.0
    characters_per_s: float = 0.0
    """Of text: a speed that needs no tokenizer, so that it compares across providers."""


class Client(Struct, frozen=True, kw_only=True):
    """How this process did. `bound` names what it could not keep up with; then nothing is ranked."""

    lag_p99_s: float | None = None
    dispatch_p99_s: float | None = None
    cpu: float | None = None
    reuse: float | None = None
    """Share of requests on a connection that was open already."""
    little_gap: float | None = None
    bound: tuple[str, ...] = ()


class Rung(Struct, frozen=True, kw_only=True):
    """One load on one target, all its repeats together. Rates are per minute."""

    target: str
    load: LoadKind
    level: float
    blocks: int
    window_s: float
    requests: int
    """Attempts sent in the window."""
    calls: int
    """Calls begun in the window, and awaited."""
    useful: int
    errors: dict[str, int]
    limited: Share
    failed: Share
    """Attempts that ended in an error other than a 429."""
    parsed: Share
    """Useful replies among all that were read."""
    truncated: int
    in_flight: float
    """Mean attempts in flight."""
    calls_per_min: Range | None
    useful_per_min: Range | None
    completions_per_min: float | None
    latency: Spread
    wall: Spread
    wait: Spread
    ttfb: Spread
    ttft: Spread
    ttfa: Spread
    tpot: Spread
    arrival: Spread
    tokens: Tokens
    money: Money
    client: Client
    turned_away: int = 0
    """429s in the blocks as a whole, the time before their windows too."""


Measured = tuple[Block, Sequence[Timing]]
"""A block and its attempts, in the order in which they ended."""


def rung(measured: Sequence[Measured]) -> Rung:
    """All blocks of one target, load and level (at least one)."""
    seen = [_Seen(block, timings) for block, timings in measured if block.window is not None]
    first = measured[0][0]
    window_s = sum(one.length_s for one in seen)
    requests = [timing for one in seen for timing in one.sent]
    calls = [call for one in seen for call in one.begun]
    useful = sum(call.end == "useful" for call in calls)
    ok = [timing for timing in requests if durations.is_ok(timing)]
    errors = Counter(timing.error for timing in requests if timing.error)
    limited = errors.get(LIMITED, 0)
    cut_off = [t for t in requests if t.timed_out]
    in_flight = sum(one.in_flight_s for one in seen) / window_s if window_s else 0.0
    latency = _spread(requests, durations.latency_s, cut_off, in_flight)
    rate, useful_rate = _rates(first.load, seen, calls)
    counted = sum(len(one.ended) for one in seen) / window_s * 60 if window_s else None
    return Rung(
        target=first.target,
        load=first.load,
        level=first.level,
        blocks=len(measured),
        window_s=window_s,
        requests=len(requests),
        calls=len(calls),
        useful=useful,
        errors=dict(sorted(errors.items())),
        limited=share(limited, len(requests)),
        failed=share(errors.total() - limited, len(requests)),
        parsed=share(sum(t.end == "useful" for t in ok), len(ok)),
        truncated=sum(t.stop == "length" for t in ok),
        in_flight=in_flight,
        calls_per_min=rate,
        useful_per_min=useful_rate,
        completions_per_min=counted,
        latency=latency,
        wall=_of([call.wall_s for call in calls], places=in_flight),
        wait=_spread([t for t in requests if (t.ask, t.attempt) == (0, 1)], durations.wait_s),
        ttfb=_spread(ok, lambda t: t.first_byte_s),
        ttft=_spread(ok, lambda t: t.ttft_s),
        ttfa=_spread(ok, lambda t: t.ttfa_s),
        tpot=_spread(ok, durations.tpot_s),
        arrival=_of([gap for t in ok for gap in durations.arrivals_s(t)]),
        tokens=_tokens(ok, window_s),
        money=money_of([t for _, timings in measured for t in timings], requests),
        turned_away=sum(t.error == LIMITED for _, timings in measured for t in timings),
        client=_client(measured, seen, requests, latency, rate, counted),
    )


class _Seen:
    """One block through its window."""

    def __init__(self, block: Block, timings: Sequence[Timing]) -> None:
        assert block.window is not None
        self.window: Window = block.window
        self.length_s = length_s(self.window)
        self.calls = calls_of(timings)
        self.sent = sent(timings, self.window)
        self.begun = begun(self.calls, self.window)
        self.ended = ended(self.calls, self.window)
        self.in_flight_s = overlap_s(((t.sent_s, t.done_s) for t in timings), self.window)
        self.calls_s = overlap_s(((c.intended_s, c.done_s) for c in self.calls), self.window)


# --- rates -------------------------------------------------------------------------------------


def _rates(
    load: LoadKind, seen: Sequence[_Seen], calls: Sequence[Call]
) -> tuple[Range | None, Range | None]:
    """Calls, and useful calls, per minute."""
    window_s = sum(one.length_s for one in seen)
    if not window_s or not calls:
        return None, None
    if load == "closed":
        at_once = sum(one.calls_s for one in seen) / window_s
        walls = [call.wall_s for call in calls]
        useful = [float(call.end == "useful") for call in calls]
        each = batches.ratio(walls, [1.0] * len(calls), places=at_once)
        good = batches.ratio(walls, useful, places=at_once)
        return _per_minute(at_once, each), _per_minute(at_once, good)
    return _sliced(seen, lambda call: True), _sliced(seen, lambda call: call.end == "useful")


def _per_minute(at_once: float, seconds: Range | None) -> Range | None:
    """Little's law: calls in progress / seconds of a call."""
    if seconds is None or seconds.est <= 0:
        return None
    low = None if seconds.high is None else 60 * at_once / seconds.high
    high = 60 * at_once / seconds.low if seconds.low else None
    both = low is not None and high is not None
    return Range(60 * at_once / seconds.est, low if both else None, high if both else None)


def _sliced(seen: Sequence[_Seen], counts: Callable[[Call], bool]) -> Range | None:
    """Completions per minute over equal slices of the windows."""
    tops, bottoms = [], []
    for one in seen:
        start, piece = one.window[0], one.length_s / SLICES
        for i in range(SLICES):
            inside = ended(one.ended, (start + i * piece, start + (i + 1) * piece))
            tops.append(60.0 * sum(map(counts, inside)))
            bottoms.append(piece)
    return batches.ratio(tops, bottoms)


# --- durations ---------------------------------------------------------------------------------


def _spread(
    timings: Iterable[Timing],
    measure: Callable[[Timing], float | None],
    timed_out: Sequence[Timing] = (),
    places: float = 0,
) -> Spread:
    values = [value for timing in timings if (value := measure(timing)) is not None]
    cap = min((t.done_s - t.sent_s for t in timed_out), default=None)
    return _of(values, cap, places)


def _of(values: Sequence[float], cap: float | None = None, places: float = 0) -> Spread:
    """Values in the order in which they came: neighbours lean on each other."""
    rising = sorted(values)
    found = {name: percentile(rising, p) for name, p in PERCENTILES}
    return Spread(n=len(values), mean=batches.mean(values, places=places), at_least_s=cap, **found)


def _tokens(ok: Sequence[Timing], window_s: float) -> Tokens:
    told = [t.usage for t in ok if t.usage is not None]
    asked, said = sum(u.input_tokens for u in told), sum(u.output_tokens for u in told)
    characters = sum(t.characters for t in ok)
    return Tokens(
        input=asked,
        cached=sum(u.cached_tokens for u in told),
        output=said,
        reasoning=sum(u.reasoning_tokens for u in told),
        unknown=len(ok) - len(told),
        input_per_s=asked / window_s if window_s else 0.0,
        output_per_s=said / window_s if window_s else 0.0,
        characters_per_s=characters / window_s if window_s else 0.0,
    )


# --- this process ------------------------------------------------------------------------------


def _client(
    measured: Sequence[Measured],
    seen: Sequence[_Seen],
    requests: Sequence[Timing],
    latency: Spread,
    rate: Range | None,
    counted: float | None,
) -> Client:
    lags = [block.lag_p99_s for block, _ in measured if block.lag_p99_s is not None]
    cpus = [block.cpu for block, _ in measured if block.cpu is not None]
    lag = max(lags, default=None)
    dispatch = sorted(durations.dispatch_lag_s(t) for t in requests)
    dispatch_p99 = quantile(dispatch, 0.99) if dispatch else None
    opened, reused = (sum(getattr(b, name) for b, _ in measured) for name in ("opened", "reused"))
    cpu = max(cpus, default=None)
    rounds = sum(len(one.ended) for one in seen) / max(measured[0][0].level, 1.0)
    little = None
    if rate is not None and counted and measured[0][0].load == "closed":
        little = abs(counted / rate.est - 1) if rounds >= ROUNDS_FOR_LITTLE else None
    median = latency.p50.est if latency.p50 else latency.mean.est if latency.mean else 0.0
    most = max(LAG_S, LAG_SHARE * median)
    bound = []
    if lag is not None and lag > most:
        bound.append(f"event loop {lag * 1000:.0f} ms late")
    if dispatch_p99 is not None and dispatch_p99 > most:
        bound.append(f"requests sent {dispatch_p99 * 1000:.0f} ms late")
    if cpu is not None and cpu > CPU:
        bound.append(f"{cpu:.0%} of a core")
    return Client(
        lag_p99_s=lag,
        dispatch_p99_s=dispatch_p99,
        cpu=cpu,
        reuse=reused / (opened + reused) if opened + reused else None,
        little_gap=little,
        bound=tuple(bound),
    )
