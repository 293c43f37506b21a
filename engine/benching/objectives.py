"""Service level objectives: `p95 ttft < 2 s, error rate < 1 %`. Pure.

    objectives  objective {"," objective}
    objective   figure ("<" | "<=" | ">" | ">=") number [unit]
    figure      ("p50" | "p90" | "p95" | "p99" | "mean") DURATION | error rate | 429 rate | parsed | ok
    DURATION    ttft  ttfa  tpot  ttfb  latency  wall  wait       as docs/benchmarking.md defines them
    unit        ms  s  min  of a duration (s if left out), % of a share

`error rate` is of attempts that failed, 429s apart; `ok` of those that did neither. An objective is met
or missed by its figure's estimate; where there are too few calls for one, nobody knows, and that is not
met. `sure` says that the whole 95 % interval lies on the same side.

Goodput is useful results a minute, counting only calls that keep every bound which is set on a duration
from above (whatever percentile it is set for), as vLLM's and MLPerf's do.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from data.codec import replace
from data.errors import ConfigError
from data.schema import Struct, Timing
from data.text import printable
from engine.benching import durations
from engine.benching.quantiles import Range, share
from engine.benching.rungs import Measured, Rung, Spread, rung

State = Literal["met", "missed", "unknown"]
DURATIONS = ("ttft", "ttfa", "tpot", "ttfb", "latency", "wall", "wait")
SUMMARIES = ("p50", "p90", "p95", "p99", "mean")
RATES = ("error rate", "429 rate", "parsed", "ok")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "": 1.0}
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHAPE = re.compile(r"([a-z0-9 ]+?)\s*(<=|>=|<|>)\s*([0-9.]+)\s*(ms|s|min|%)?")
_HOW = "p95 ttft < 2 s, error rate < 1 %"


class Objective(Struct, frozen=True):
    """One of them. `bound` is in seconds, or a share of 1."""

    text: str
    figure: str
    """A rate, or a duration."""
    summary: str
    """p50, p90, p95, p99 or mean of a duration; empty: a rate."""
    sign: str
    bound: float


class Verdict(Struct, frozen=True, kw_only=True):
    """How one rung stands to one objective."""

    objective: str
    state: State
    sure: bool = False
    found: Range | None = None
    """Seconds, or a share of 1."""


def objectives_of(text: str, where: str = "--slo") -> tuple[Objective, ...]:
    """Read what somebody wrote; nothing gives none. Raises ConfigError."""
    parts = [part for part in text.split(",") if part.strip()]
    return tuple(_read(part.strip(), where) for part in parts)


def _read(part: str, where: str) -> Objective:
    text = " ".join(part.lower().replace("≤", "<=").replace("≥", ">=").split())
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise _wrong(part, where, "no objective")
    figure, sign, number, unit = shape[1], shape[2], shape[3], shape[4] or ""
    summary = ""
    if figure not in RATES:
        summary, _, figure = figure.partition(" ")
        if summary not in SUMMARIES or figure not in DURATIONS:
            known = f"{', '.join(RATES)}; {'|'.join(SUMMARIES)} of {'|'.join(DURATIONS)}"
            raise _wrong(part, where, f"its figure is none of: {known}")
    if (unit == "%") != (not summary) and unit:
        raise _wrong(part, where, f"`{unit}` is no unit of that figure")
    try:
        bound = float(number) * (0.01 if unit == "%" else _UNITS[unit])
    except ValueError:
        raise _wrong(part, where, "no number") from None
    if not summary and bound > 1:
        raise _wrong(part, where, "a share is at most 100 %")
    text = " ".join(word for word in (summary, figure, sign, number, unit) if word)
    return Objective(text, figure, summary, sign, bound)


def _wrong(part: str, where: str, what: str) -> ConfigError:
    return ConfigError(f"`{printable(part, 60)}`: {what}", where=where, how=_HOW)


# --- at a rung ---------------------------------------------------------------------------------


def verdicts(found: Rung, objectives: Sequence[Objective]) -> tuple[Verdict, ...]:
    """How a rung stands to each."""
    return tuple(_verdict(objective, _figure(found, objective)) for objective in objectives)


def missed(found: Rung, objectives: Sequence[Objective]) -> str:
    """The first objective that a rung does not meet, and by how much; empty: it meets all."""
    for verdict in verdicts(found, objectives):
        if verdict.state == "unknown":
            return f"too few calls to say whether {verdict.objective}"
        if verdict.state == "missed":
            return f"it misses {verdict.objective}"
    return ""


def _verdict(objective: Objective, value: Range | None) -> Verdict:
    if value is None:
        return Verdict(objective=objective.text, state="unknown")
    holds = _SIGNS[objective.sign]
    met = holds(value.est, objective.bound)
    ends = [end for end in (value.low, value.high) if end is not None]
    sure = len(ends) == 2 and all(holds(end, objective.bound) == met for end in ends)
    state: State = "met" if met else "missed"
    return Verdict(objective=objective.text, state=state, sure=sure, found=value)


def _figure(found: Rung, objective: Objective) -> Range | None:
    if objective.summary:
        spread: Spread = getattr(found, objective.figure)
        value: Range | None = getattr(spread, objective.summary)
        return value
    failed, limited = found.failed, found.limited
    part = {
        "error rate": failed,
        "429 rate": limited,
        "parsed": found.parsed,
        "ok": share(failed.n - failed.k - limited.k, failed.n),
    }[objective.figure]
    return None if part.est is None else Range(part.est, part.low, part.high)


# --- goodput -----------------------------------------------------------------------------------


def goodput(measured: Sequence[Measured], objectives: Sequence[Objective]) -> Range | None:
    """Useful results a minute that kept every upper bound on a duration."""
    bounds = [o for o in objectives if o.summary and o.sign.startswith("<")]
    counted = []
    for block, timings in measured:
        intended: dict[int, float] = {}
        for timing in timings:
            intended.setdefault(timing.call, timing.intended_s)
        counted.append((block, [_counted(t, intended[t.call], bounds) for t in timings]))
    return rung(counted).useful_per_min


def _counted(timing: Timing, intended_s: float, bounds: Sequence[Objective]) -> Timing:
    """Not as useful where it was too slow. What a provider does not say breaks no bound."""
    if timing.end != "useful":
        return timing
    values = {
        "ttft": timing.ttft_s,
        "ttfa": timing.ttfa_s,
        "tpot": durations.tpot_s(timing),
        "ttfb": timing.first_byte_s,
        "latency": durations.latency_s(timing),
        "wall": timing.done_s - intended_s,
        "wait": timing.sent_s - intended_s,
    }
    for bound in bounds:
        value = values[bound.figure]
        if value is not None and not _SIGNS[bound.sign](value, bound.bound):
            return replace(timing, end="unreadable")
    return timing
