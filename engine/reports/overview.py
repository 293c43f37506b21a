"""What stands at the head of every large report: what was run, when, on what, and what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from engine import figures
from engine.dossier import Dossier


def overview(dossier: Dossier) -> Iterator[tuple[str, str]]:
    """(word, value) of what stands at the head of every report."""
    run, sweep, plan = dossier.run, dossier.run.sweep, dossier.plan
    yield "name", sweep.name
    yield "benchmark", f"{run.benchmark.title or run.benchmark.name} ({sweep.benchmark})"
    yield "question_file", f"sha256 {sweep.benchmark_sha256 or figures.NONE}"
    yield "sweep_digest", dossier.run.header.digest
    yield "run_id", run.header.run_id
    yield "engine", run.header.engine
    for i, session in enumerate(dossier.sessions):
        changes = f"  {'; '.join(session.changes)}" if session.changes else ""
        yield "changed" if i else "started", moment(session.t_s) + changes
    times = [*dossier.timeline.answers, *dossier.timeline.judgments]
    if times:
        yield "took", figures.span(max(times) - dossier.sessions[0].t_s)
    yield "answers", f"{_final(dossier, 'generate'):,} / {plan.answers:,}"
    if plan.judgments:
        yield "judgments", f"{_final(dossier, 'judge'):,} / {plan.judgments:,}"
    yield "money", money_of(total_money(dossier), sum(p.unpriced for p in dossier.parties))
    yield "samples", f"{sweep.samples} × {sweep.repeats}"
    yield "seed", str(sweep.seed)
    temperatures = (f"{name or '*'} {value:g}" for name, value in sweep.temperatures.items())
    yield "temperatures", ", ".join(temperatures) or figures.NONE
    for name, sha in sweep.rubric_sha256.items():
        yield "rubric", f"{name}  sha256 {sha}"


def facts(dossier: Dossier) -> list[tuple[str, str]]:
    """The same in English, for reports without a dictionary."""
    return [(word.replace("_", " "), value) for word, value in overview(dossier)]


def total_money(dossier: Dossier) -> dict[str, int]:
    """All parties together, by currency."""
    whole: Counter[str] = Counter()
    for party in dossier.parties:
        whole.update(party.booked)
    return dict(whole)


def moment(t_s: float) -> str:
    """An instant in UTC, so that a report is the same wherever it is made."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(t_s))


def _final(dossier: Dossier, stage: str) -> int:
    """Trials of a stage that have come to an end of their own: no error, no missing answer."""
    open_ = {"pending", "failed", "active"} | ({"refused"} if stage == "judge" else set())
    return sum(
        n
        for party in dossier.parties
        if party.stage == stage
        for state, n in party.states.items()
        if state not in open_
    )


def money_of(booked: Mapping[str, int], unpriced: int = 0) -> str:
    """`USD 4.10`, a sum per currency, or – where no price is known."""
    parts = [figures.money(nano, code) for code, nano in sorted(booked.items())]
    return " + ".join(parts) + (" +?" if unpriced and parts else "") or figures.NONE
