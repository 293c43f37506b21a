"""The single durations behind a rung's figures, for those who draw them. Pure; seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from data.schema import Timing
from engine.benching import durations
from engine.benching.calls import sent
from engine.benching.folder import Benched, Key

Samples = Mapping[Key, Mapping[str, list[float]]]
"""By target, load and level; then by duration: rising values of the attempts that were read."""
MEASURES: Mapping[str, Callable[[Timing], float | None]] = {
    "ttft": lambda timing: timing.ttft_s,
    "tpot": durations.tpot_s,
    "latency": durations.latency_s,
}


def samples(benched: Benched) -> Samples:
    """Of attempts sent in the windows, as the figures are."""
    found: dict[Key, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in MEASURES})
    for block, timings in benched.blocks:
        own = found[block.target, block.load, block.level]
        if block.window is None:
            continue
        for timing in filter(durations.is_ok, sent(timings, block.window)):
            for name, measure in MEASURES.items():
                if (value := measure(timing)) is not None:
                    own[name].append(value)
    return {key: {n: sorted(values) for n, values in own.items()} for key, own in found.items()}
