"""What a benchmark found that belongs into the sweep file. Pure.

Per provider: `concurrency`, the most that was recommended for any of its models and judges (they share
the account); `rpm` and `tpm`, where the provider named one or a rate was learned from its 429s, and the
file says none; `timeout_s`, only upwards, where the slowest replies come near it. Each with its evidence.
Limits that somebody wrote into the file are theirs and stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from data.catalog import accounts_of
from data.schema import ProviderSpec, Struct
from engine.benching.document import Document, TargetReport, chosen

KEYS = ("concurrency", "rpm", "tpm", "timeout_s")
TOLD = ("headers", "429 body")
SLOW, ROOM, STEP_S = 0.5, 4.0, 10.0
"""A timeout is too short when the slowest percentile passes this share of it; then it becomes so many
times that percentile, in these steps."""


class Finding(Struct, frozen=True):
    """One key of one provider's table."""

    provider: str
    key: str
    value: int
    before: float | None
    evidence: str


def findings(doc: Document, providers: Sequence[ProviderSpec]) -> tuple[Finding, ...]:
    """What would change, provider by provider. `providers`: as the sweep file has them now."""
    return tuple(
        finding
        for spec in providers
        if not spec.accounts  # each account has limits of its own, and one was measured
        for finding in _of(doc, spec, [t for t in doc.targets if t.provider == spec.name])
        if finding.value != finding.before
    )


def _of(doc: Document, spec: ProviderSpec, reports: Sequence[TargetReport]) -> Iterator[Finding]:
    sound = [report for report in reports if report.advice.concurrency is not None]
    if sound:
        best = max(sound, key=lambda report: report.advice.concurrency or 0)
        most = best.advice.concurrency or 1
        evidence = f"{best.target}: {best.advice.why}"
        yield Finding(spec.name, "concurrency", most, spec.concurrency, evidence)
    account = accounts_of(spec)[0].name
    met = {limit.name: limit for limit in doc.limits if limit.account == account}
    for key, names in (("rpm", ("rpm", "pace")), ("tpm", ("tpm",))):
        limit = next((met[name] for name in names if name in met), None)
        if limit is not None and getattr(spec, key) is None and limit.value >= 1:
            yield Finding(spec.name, key, int(limit.value), None, f"{limit.name} by {limit.source}")
    slowest = max((_slowest_s(report) for report in reports), default=0.0)
    if slowest > SLOW * spec.timeout_s:
        wanted = math.ceil(ROOM * slowest / STEP_S) * STEP_S
        evidence = f"the slowest replies take {slowest:.0f} s"
        yield Finding(spec.name, "timeout_s", int(wanted), spec.timeout_s, evidence)


def _slowest_s(report: TargetReport) -> float:
    """The highest percentile that is known, at the rung that is recommended."""
    rung = chosen(report)
    if rung is None:
        return 0.0
    latency = rung.latency
    for found in (latency.p99, latency.p95, latency.p90, latency.p50):
        if found is not None:
            return found.est
    return 0.0
