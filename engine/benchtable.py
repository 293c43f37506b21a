"""The `[bench]` table of a sweep file: what `alignsweep bench` does where no flag says otherwise.

It changes nothing about the sweep's own results, so it is no part of what a run is known by.
"""

from __future__ import annotations

from data.codec import Table

LADDER = (1, 2, 4, 8, 16, 32, 64)


class BenchTable(Table, frozen=True, kw_only=True):
    """Each key is the flag of its name; engine/benching/settings.py says what is sound."""

    leg: str = "both"
    ladder: tuple[float, ...] = LADDER
    questions: int | None = None
    min_requests: int = 40
    max_requests: int = 400
    step_seconds: str = "20..90"
    ci: float = 0.10
    repeat: int = 1
    max_cost: str | int | float | None = None
    max_seconds: float | None = None
    cache: str = "natural"
    stream: str = "auto"
    seed: int = 0
    slo: str = ""
