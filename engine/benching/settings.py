"""What is asked of a benchmark: its loads, how long each lasts, and when it is enough.

Every complaint is a ConfigError that names the flag.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from data import codec
from data.errors import ConfigError
from data.schema import LoadKind, Struct
from data.text import printable
from engine.benching.objectives import objectives_of
from engine.benchtable import LADDER, BenchTable

Streaming = Literal["auto", "yes", "no"]
CacheMode = Literal["natural", "cold"]


class Settings(Struct, frozen=True, kw_only=True):
    """How a benchmark goes about it."""

    load: LoadKind = "closed"
    levels: tuple[float, ...] = LADDER
    """Calls in flight (closed), or calls a minute; rising."""
    targets: tuple[str, ...] = ()
    """Of all, in the sweep file's order."""
    limit: int | None = None
    """Questions at most; None: the whole benchmark."""
    min_requests: int = 40
    max_requests: int = 400
    min_seconds: float = 20.0
    max_seconds: float = 90.0
    """Of one block. A closed one goes on for three rounds of calls all the same, up to twice as long."""
    ci: float = 0.10
    """A block is enough when throughput is known within this, half the width of its interval."""
    repeats: int = 1
    total_seconds: float | None = None
    seed: int = 0
    stream: Streaming = "auto"
    cache: CacheMode = "natural"
    max_errors: float = 0.05
    """A larger share of errors, or of 429s, ends a target's ladder."""
    slo: str = ""
    """Objectives (engine/benching/objectives.py); none if empty."""
    polite: bool = False
    """The first 429 ends a block, and its target's ladder."""


def wished(
    table: BenchTable,
    *,
    targets: Sequence[str] = (),
    load: LoadKind = "closed",
    levels: Sequence[float] | None = None,
) -> Settings:
    """The settings of a table; `levels` other than its ladder's. Raises ConfigError, naming a flag."""
    least_s, most_s = seconds_of(table.step_seconds)
    given = {
        "load": load,
        "levels": tuple(sorted(set(table.ladder if levels is None else levels))),
        "targets": tuple(targets),
        "limit": table.questions,
        "min_requests": table.min_requests,
        "max_requests": table.max_requests,
        "min_seconds": least_s,
        "max_seconds": most_s,
        "ci": table.ci,
        "repeats": table.repeat,
        "total_seconds": table.max_seconds,
        "seed": table.seed,
        "stream": table.stream,
        "cache": table.cache,
        "slo": table.slo,
    }
    return check(codec.convert(given, Settings, where="alignsweep bench"))


def settings_of(record: dict[str, Any], where: str) -> Settings:
    """The settings in a journal's line. Raises ConfigError for another version's."""
    return codec.convert(record, Settings, where=where)


def check(settings: Settings) -> Settings:
    """Raises ConfigError for numbers that make no sense."""
    _require(settings.levels != (), "--ladder", "it is empty")
    for level in settings.levels:
        whole = settings.load != "closed" or level == int(level)
        fine = math.isfinite(level) and level > 0 and whole
        _require(fine, "--ladder or --rpm", f"{level:g} is no load")
    _require(0 < settings.ci < 1, "--ci", "a share between 0 and 1")
    _require(settings.min_requests >= 1, "--min-requests", "at least 1")
    _require(settings.max_requests >= settings.min_requests, "--max-requests", "below the least")
    _require(
        0 < settings.min_seconds <= settings.max_seconds, "--step-seconds", "MIN..MAX, above 0"
    )
    _require(settings.repeats >= 1, "--repeat", "at least 1")
    objectives_of(settings.slo)
    _require(settings.limit is None or settings.limit >= 1, "--questions", "at least 1")
    return settings


def levels_of(text: str) -> tuple[float, ...]:
    """`1,2,4,8` as rising numbers, each once."""
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise ConfigError(
            f"`{printable(text, 60)}` is no list of numbers", where="--ladder", how="1,2,4,8,16"
        ) from None


def seconds_of(text: str) -> tuple[float, float]:
    """`20..90`, or one number for both."""
    parts: Sequence[str] = text.split("..")
    try:
        low, high = float(parts[0]), float(parts[-1])
    except ValueError:
        low = high = math.nan
    if len(parts) > 2 or not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(
            f"`{printable(text, 60)}` is no range of seconds", where="--step-seconds", how="20..90"
        )
    return low, high


def _require(fine: bool, where: str, what: str) -> None:
    if not fine:
        raise ConfigError(what, where=where)
