"""A benchmark told in 80 columns: a table of rungs, what to use, and what to keep in mind.

Figures that there are too few values for are `–`. Names are other people's words and inert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.benching.discovered import LimitFound
from engine.benching.document import Document, TargetReport, Together
from engine.benching.objectives import RATES, Verdict
from engine.benching.outlook import Outlook
from engine.benching.quantiles import Range, Share
from engine.benching.rungs import Rung, Spread
from engine.cells import inert
from engine.limits import WORDS
from engine.money import NANO
from engine.reports import foretold
from engine.reports.plain import Heading, grid_lines, paragraph

COLUMNS = 80
HEADS = (
    Heading("target", right=False),
    Heading("load"),
    Heading("use/min"),
    Heading("±95%"),
    Heading("p50"),
    Heading("p95"),
    Heading("ok"),
    Heading("429"),
    Heading("cost/1k", optional=True),
    Heading("parsed", optional=True),
    Heading("ttft", optional=True),
    Heading("tok/s", optional=True),
    Heading("p99", optional=True),
    Heading("wall p95", optional=True),
)
_LIMIT_WORDS = {
    **WORDS,
    "concurrency": "calls in flight",
    "pace": "requests/min that went through",
}
DEFINITIONS = (
    "use/min: useful results; an answer that the sweep would judge, or a verdict that its parser"
    " reads, after its own asks and retries; under a closed load calls in progress / mean time of a"
    " call (Little's law). p50, p95, p99: seconds from sending to the last token (else byte), of one"
    " attempt. ttft: first token of any channel. cost/1k: of 1,000 useful results, every billed"
    " attempt counted. ±95%: half the interval. –: too few calls to say."
)
GOODPUT = (
    "good/min: useful results of calls that kept every bound on a duration. ✓ met, ✗ missed, by the"
    " estimate; ?: the 95 % interval lies on both sides of the bound."
)


def lines(doc: Document, columns: int = COLUMNS) -> Iterator[str]:
    """The whole report."""
    simulated = "  (simulated)" if doc.simulated else ""
    yield f"bench · {inert(doc.sweep)} · {inert(doc.benchmark)} · seed {doc.settings.seed}{simulated}"
    yield f"spent {spent(doc)}"
    yield ""
    yield from table(doc.targets, columns)
    yield ""
    heads, rows = objectives(doc)
    if rows:
        yield from grid_lines(heads, rows, columns, name=0)
        yield ""
    for report in doc.targets:
        yield from paragraph(advice(report), columns, first=f"{inert(report.target)}: ", rest="  ")
    for pair, text in together(doc):
        yield from paragraph(text, columns, first=f"{inert(pair.model)} ", rest="  ")
    for limit in doc.limits:
        yield f"limit of {inert(limit.account)}: {inert(limit.name)} {limit.value:g} ({limit.source})"
    for warning in doc.warnings:
        yield from paragraph(inert(warning), columns, first="note: ", rest="  ")
    if doc.prediction is not None:
        yield ""
        yield from foretold.lines(doc.prediction, columns)
    yield ""
    yield from paragraph(DEFINITIONS + (f" {GOODPUT}" if rows else ""), columns)


def objectives(doc: Document) -> tuple[tuple[Heading, ...], list[list[str]]]:
    """Rung by rung: goodput, and how each objective stands; no rows where there are none."""
    heads = (
        Heading("target", right=False),
        Heading("load"),
        Heading("good/min"),
        *(Heading(inert(text)) for text in doc.slo),
    )
    rows = [
        [
            inert(report.target),
            f"{service.level:g}",
            _per_min(service.goodput_per_min),
            *(_verdict(verdict) for verdict in service.verdicts),
        ]
        for report in doc.targets
        for service in report.service
    ]
    return heads, rows


def _verdict(verdict: Verdict) -> str:
    """`1.32 s ✓`; `?` where the interval goes over the bound, `–` where there are too few calls."""
    if verdict.found is None:
        return figures.NONE
    est = verdict.found.est
    rate = any(word in verdict.objective for word in RATES)
    shown = f"{est:.1%}" if rate else f"{est:.3g} s"
    return f"{shown} {'✓' if verdict.state == 'met' else '✗'}{'' if verdict.sure else '?'}"


def table(reports: Sequence[TargetReport], columns: int) -> list[str]:
    """One line per rung; ▸ marks what is recommended, ! what this machine could not keep up with."""
    rows = [row(report, rung) for report in reports for rung in report.rungs]
    if not rows:
        return ["nothing was measured"]
    return grid_lines(HEADS, rows, columns, name=0)


def row(report: TargetReport, rung: Rung) -> list[str]:
    """The cells of one rung, in the order of HEADS."""
    mark = "▸" if rung.load == "closed" and rung.level == report.advice.level else ""
    mark = "!" if rung.client.bound else mark
    unit = "" if rung.load == "closed" else "/min"
    ok = None if rung.failed.est is None else 1 - rung.failed.est - (rung.limited.est or 0)
    money = rung.money.per_useful
    return [
        inert(report.target),
        f"{mark}{rung.level:g}{unit}",
        _per_min(rung.useful_per_min),
        _precision(rung.useful_per_min),
        _seconds(rung.latency, rung.latency.p50),
        _seconds(rung.latency, rung.latency.p95),
        _percent(ok),
        _share(rung.limited),
        figures.NONE if money is None else f"{1000 * money.est / NANO:.4g}",
        _percent(rung.parsed.est),
        _seconds(rung.ttft, rung.ttft.p50),
        f"{rung.tokens.output_per_s:.0f}",
        _seconds(rung.latency, rung.latency.p99),
        _seconds(rung.wall, rung.wall.p95),
    ]


def advice(report: TargetReport) -> str:
    """What to use, in a sentence."""
    found = report.advice
    if found.concurrency is None:
        return f"nothing to recommend: {found.why or 'no ladder was measured'}"
    best = figures.NONE if found.best_per_min is None else _number(found.best_per_min)
    return f"use {found.concurrency} in flight ({found.why}); at best {best} useful a minute"


def together(doc: Document) -> Iterator[tuple[Together, str]]:
    """What a judged answer takes, model by model, in a sentence that goes on after its name."""
    for pair in doc.together:
        speed = figures.NONE if pair.judged_per_min is None else _number(pair.judged_per_min)
        money = figures.NONE if pair.cost is None else _per_1000(pair.cost, doc.currency)
        slowest = f" ({inert(pair.slowest)} is the slowest)" if pair.slowest else ""
        yield pair, f"with its judges: {speed} judged answers a minute{slowest}, {money}"


def limit_word(name: str) -> str:
    """What a limit is called."""
    return _LIMIT_WORDS.get(name, inert(name))


def plan_lines(plan: Outlook, columns: int, most: int | None) -> Iterator[str]:
    """What would be sent; `most`: the benchmark's budget in nano-units."""
    heads = (
        Heading("target", right=False),
        Heading("calls"),
        Heading(f"likely {plan.currency}"),
        Heading("at most"),
        Heading("model", right=False, optional=True),
    )
    rows = [
        [
            inert(t.target),
            f"{t.least_calls:,}–{t.most_calls:,}",
            _nano(t.likely_cost),
            _nano(t.worst_cost),
            inert(t.model),
        ]
        for t in plan.targets
    ]
    yield from grid_lines(heads, rows, columns, name=0)
    span = f"{figures.span(plan.least_s)} to {figures.span(plan.most_s)}"
    yield f"{figures.many(plan.blocks, 'block')}, {span}; ladders that level off end early"
    total = _nano(plan.worst_cost)
    bound = (
        "no budget is set (--max-cost)" if most is None else f"budget {_nano(most)}, never exceeded"
    )
    yield f"money at most: {total} {plan.currency}; {bound}"
    if plan.wraps:
        yield from paragraph(
            f"{plan.questions} questions may not be enough for the most calls: those asked again"
            " begin with salt",
            columns,
            first="note: ",
            rest="  ",
        )


def limit_lines(found: Sequence[LimitFound], now_s: float, columns: int) -> list[str]:
    """One line per limit: what it is, who said so, how long ago."""
    heads = (
        Heading("account", right=False),
        Heading("limit", right=False),
        Heading("value"),
        Heading("source", right=False),
        Heading("age"),
        Heading("seen in", right=False, optional=True),
    )
    rows = [
        [
            inert(limit.account),
            limit_word(limit.name),
            f"{limit.value:,g}",
            inert(limit.source),
            figures.NONE if limit.found_s is None else _age(now_s - limit.found_s),
            inert(limit.where),
        ]
        for limit in found
    ]
    return grid_lines(heads, rows, columns, name=0) if rows else ["no limit is known"]


def _age(seconds: float) -> str:
    """In minutes, hours or days."""
    if seconds < 2 * figures.HOUR_S:
        return f"{max(0, seconds) / figures.MINUTE_S:.0f} min"
    hours = seconds / figures.HOUR_S
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _nano(amount: int | None) -> str:
    return figures.NONE if amount is None else figures.money(amount)


def spent(doc: Document) -> str:
    """`USD 1.23`, and what nobody knows."""
    known = figures.money(doc.spent, doc.currency) if doc.currency else ""
    unknown = f"{figures.many(doc.unpriced, 'attempt')} of unknown price" if doc.unpriced else ""
    cut = (
        f"up to {figures.money(doc.possibly_billed, doc.currency)} more for calls that were cut off"
    )
    parts = known, unknown, cut if doc.possibly_billed else ""
    return ", ".join(part for part in parts if part) or "nothing"


def _per_min(rate: Range | None) -> str:
    if rate is None:
        return figures.NONE
    return _number(rate.est)


def _number(per_minute: float) -> str:
    return f"{per_minute:.1f}" if per_minute < 100 else f"{per_minute:.0f}"


def _per_1000(nano: float, currency: str) -> str:
    return f"{figures.money(round(1000 * nano), currency)} per 1,000"


def _precision(rate: Range | None) -> str:
    if rate is None or rate.low is None:
        return figures.NONE
    return f"{100 * rate.precision:.0f}%"


def _seconds(spread: Spread, value: Range | None) -> str:
    """`>60` where it is only known to be more."""
    if value is None:
        return figures.NONE
    over = spread.at_least_s is not None and value.est >= spread.at_least_s
    digits = 1 if value.est >= 10 else 2
    return f"{'>' if over else ''}{value.est:.{digits}f}"


def _share(share: Share) -> str:
    return figures.NONE if share.est is None else f"{share.est:.1%}" if share.k else "0"


def _percent(share: float | None) -> str:
    """100% is all of it."""
    return figures.NONE if share is None else "100%" if share == 1 else f"{share:.1%}"
