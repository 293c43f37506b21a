"""A benchmark's results as one document: what every other form of the report is made from.

Its JSON Schema is docs/bench.schema.json, made from these records (`schema`); within
`alignsweep.bench/1` fields are only added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data import codec
from data.catalog import accounts_of
from data.schema import JudgeSpec, ModelSpec, Struct
from engine.benching.advice import Advice, advise
from engine.benching.discovered import LimitFound, latest_limits
from engine.benching.folder import Benched
from engine.benching.objectives import Objective, Verdict, goodput, objectives_of, verdicts
from engine.benching.predicted import Prediction
from engine.benching.quantiles import Range
from engine.benching.rungs import LITTLE_GAP, Measured, Rung
from engine.benching.rungs import rung as rung_of
from engine.benching.settings import Settings

SCHEMA = "alignsweep.bench/1"


class Service(Struct, frozen=True, kw_only=True):
    """How one rung stands to the objectives."""

    level: float
    goodput_per_min: Range | None
    """Useful results a minute that kept every bound."""
    verdicts: tuple[Verdict, ...]


class TargetReport(Struct, frozen=True, kw_only=True):
    """One model or judge: its rungs, and what they say."""

    target: str
    provider: str
    model: str
    rungs: tuple[Rung, ...]
    advice: Advice
    service: tuple[Service, ...] = ()
    """Rung by rung; empty where there are no objectives."""


class Together(Struct, frozen=True, kw_only=True):
    """Answers of one model, judged by all judges: what a judged answer takes. Null: not known."""

    model: str
    judges: tuple[str, ...]
    judged_per_min: float | None = None
    """The slowest of them decides, if each gets its recommended calls in flight and nothing else."""
    slowest: str = ""
    cost: float | None = None
    """Nano-units of the document's currency, per judged answer."""


class Document(Struct, frozen=True, kw_only=True):
    """The whole report."""

    schema: str
    simulated: bool
    run_id: str
    sweep: str
    digest: str
    benchmark: str
    benchmark_sha256: str
    engine: str
    started_s: float
    """Seconds since the epoch."""
    currency: str
    spent: int
    """Nano-units, everything that was sent counted; estimated where nobody said."""
    possibly_billed: int
    """Reserved for attempts that a crash or Ctrl-C cut off: nobody knows."""
    unpriced: int
    settings: Settings
    targets: tuple[TargetReport, ...]
    together: tuple[Together, ...]
    limits: tuple[LimitFound, ...]
    warnings: tuple[str, ...]
    slo: tuple[str, ...] = ()
    """The objectives that it was held against."""
    prediction: Prediction | None = None
    """The rest of this sweep; null where the sweep file was not at hand."""


def document(benched: Benched, slo: str | None = None) -> Document:
    """Everything that a benchmark's journal says. `slo`: other objectives than were asked for then."""
    objectives = objectives_of(benched.settings.slo if slo is None else slo)
    sweep = benched.header.sweep
    parties: dict[str, ModelSpec | JudgeSpec] = {f"model:{m.name}": m for m in sweep.models}
    parties |= {f"judge:{j.name}": j for j in sweep.judges}
    specs = {spec.name: spec for spec in sweep.providers}
    measured = benched.measured()
    rungs = [rung_of(blocks) for blocks in measured]
    targets = []
    for name in dict.fromkeys(one.target for one in rungs):
        party = parties[name]
        mine = [(r, blocks) for r, blocks in zip(rungs, measured, strict=True) if r.target == name]
        own = tuple(one for one, _ in mine)
        timeout_s = accounts_of(specs[party.provider])[0].timeout_s
        targets.append(
            TargetReport(
                target=name,
                provider=party.provider,
                model=party.model,
                rungs=own,
                advice=advise(own, timeout_s, objectives),
                service=tuple(_service(*pair, objectives) for pair in mine) if objectives else (),
            )
        )
    attempts = list(benched.timings())
    return Document(
        schema=SCHEMA,
        simulated=benched.simulated,
        run_id=benched.header.run_id,
        sweep=sweep.name,
        digest=benched.header.digest,
        benchmark=sweep.benchmark,
        benchmark_sha256=sweep.benchmark_sha256,
        engine=benched.header.engine,
        started_s=benched.header.created_s,
        currency=next((t.currency for t in attempts if t.currency), ""),
        spent=sum(t.cost or 0 for t in attempts),
        possibly_billed=_possibly_billed(benched),
        unpriced=sum(t.cost is None for t in attempts),
        settings=benched.settings,
        targets=tuple(targets),
        together=_together(targets, sweep.repeats),
        limits=latest_limits(benched.limits),
        warnings=tuple(_warnings(benched, targets)),
        slo=tuple(objective.text for objective in objectives),
    )


def _service(one: Rung, blocks: Sequence[Measured], objectives: Sequence[Objective]) -> Service:
    return Service(
        level=one.level,
        goodput_per_min=goodput(blocks, objectives),
        verdicts=verdicts(one, objectives),
    )


def unmet(doc: Document) -> list[str]:
    """What is not met at the rungs that are recommended (or would be), target by target."""
    found = []
    for report in doc.targets:
        at = chosen(report)
        for service in report.service:
            if at is None or service.level != at.level:
                continue
            found += [
                f"{report.target} at {at.level:g}: {verdict.objective}"
                + (" (too few calls to say)" if verdict.state == "unknown" else " is missed")
                for verdict in service.verdicts
                if verdict.state != "met"
            ]
        if at is None and doc.slo:
            found.append(f"{report.target}: nothing was measured")
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    return codec.json_schema(Document)


def chosen(report: TargetReport) -> Rung | None:
    """The rung that is recommended; without one, the most useful that this machine kept up with."""
    ranked = [r for r in report.rungs if r.useful_per_min is not None and not r.client.bound]
    for rung in ranked:
        if rung.load == "closed" and rung.level == report.advice.level:
            return rung
    return max(ranked, key=per_min, default=None)


def per_min(rung: Rung) -> float:
    """Useful results a minute; 0 where there are none."""
    return rung.useful_per_min.est if rung.useful_per_min is not None else 0.0


def _possibly_billed(benched: Benched) -> int:
    sums = benched.spent.sums.items()
    return sum(nano for past, (nano, _) in sums if past.column == "possibly_billed")


def _together(targets: Sequence[TargetReport], repeats: int) -> tuple[Together, ...]:
    """Each model with all judges that were measured too. (Every sample is an answer of its own.)"""
    judges = [t for t in targets if t.target.startswith("judge:")]
    found = []
    for model in (t for t in targets if t.target.startswith("model:")):
        legs = [(model, 1), *((judge, repeats) for judge in judges)]
        best = [(report, chosen(report), calls) for report, calls in legs]
        speeds = [
            (per_min(rung) / calls, report.target)
            for report, rung, calls in best
            if rung is not None
        ]
        whole = judges and len(speeds) == len(legs)
        slowest = min(speeds) if whole else None
        costs = [
            calls * rung.money.per_useful.est
            for _, rung, calls in best
            if rung is not None and rung.money.per_useful is not None
        ]
        found.append(
            Together(
                model=model.target,
                judges=tuple(judge.target for judge in judges),
                judged_per_min=slowest[0] if slowest else None,
                slowest=slowest[1] if slowest else "",
                cost=sum(costs) if whole and len(costs) == len(legs) else None,
            )
        )
    return tuple(found) if judges else ()


def _warnings(benched: Benched, targets: Sequence[TargetReport]) -> list[str]:
    """What a careful reader would ask about."""
    found = []
    for report in targets:
        for rung in report.rungs:
            where = f"{report.target} at {rung.level:g}"
            if not rung.window_s:
                found.append(f"{where}: it never was steady, so there are no figures")
            if rung.client.bound:
                found.append(
                    f"{where}: this machine could not keep up ({', '.join(rung.client.bound)});"
                    " not ranked"
                )
            gap = rung.client.little_gap
            if gap is not None and gap > LITTLE_GAP + rung.level / max(rung.calls, 1):
                found.append(f"{where}: completions and Little's law differ by {gap:.1%}")
            if rung.tokens.unknown:
                found.append(f"{where}: {rung.tokens.unknown} replies without token counts")
        if lost := sum(rung.money.estimated for rung in report.rungs):
            are = "reply is" if lost == 1 else "replies are"
            found.append(f"{report.target}: {lost} lost {are} booked at the worst case")
    if any(t.salted for t in benched.timings()) and benched.settings.cache == "natural":
        found.append("questions were asked more than once; those began with salt")
    if benched.lost:
        found.append(f"{len(benched.lost)} attempts of blocks that were cut short are only billed")
    return found
