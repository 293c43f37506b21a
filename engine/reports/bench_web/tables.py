"""A benchmark's tables as elements: each estimate with its interval below it.

Figures that there are too few values for are `–`; names are other people's words and inert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from engine import figures
from engine.benching.discovered import LimitFound
from engine.benching.document import Document, Service, TargetReport, chosen
from engine.benching.objectives import RATES, Verdict
from engine.benching.quantiles import Range, Share
from engine.benching.rungs import Rung, Spread
from engine.money import NANO
from engine.reports.benched import limit_word
from engine.reports.web.markup import Child, Markup, join, tag
from engine.reports.web.sections import table

Cell = Callable[[Rung], Child]
Column = tuple[str, Cell]


def rungs(doc: Document) -> Markup:
    """Every load on every target: speed, durations, shares, money."""
    money = f"{doc.currency} / 1,000" if doc.currency else "cost / 1,000"
    columns: tuple[Column, ...] = (
        ("useful / min", lambda r: _range(r.useful_per_min, _rate)),
        ("latency p50, s", lambda r: _duration(r.latency, r.latency.p50)),
        ("p95", lambda r: _duration(r.latency, r.latency.p95)),
        ("p99", lambda r: _duration(r.latency, r.latency.p99)),
        ("TTFT p50, s", lambda r: _duration(r.ttft, r.ttft.p50)),
        ("p95", lambda r: _duration(r.ttft, r.ttft.p95)),
        ("TPOT p50, ms", lambda r: _range(r.tpot.p50, lambda v: f"{1000 * v:.1f}")),
        ("wall p95, s", lambda r: _duration(r.wall, r.wall.p95)),
        ("429", lambda r: _share(r.limited)),
        ("failed", lambda r: _share(r.failed)),
        ("parsed", lambda r: _share(r.parsed)),
        ("tokens / s", lambda r: f"{r.tokens.output_per_s:,.0f}"),
        (money, lambda r: _range(r.money.per_useful, _per_1000)),
        ("calls", lambda r: figures.count(r.calls)),
    )
    return _by_rung(doc, columns)


def objectives(doc: Document) -> Markup:
    """Goodput, and each objective, at each load."""
    cells = [_head("target", "name"), _head("load"), _head("good / min")]
    cells += [_head(text) for text in doc.slo]
    rows = []
    for report in doc.targets:
        for service, rung in zip(report.service, report.rungs, strict=True):
            held = [_verdict(verdict) for verdict in service.verdicts]
            rows.append(_row(report, rung, [_good(service), *held]))
    return table(cells, rows, "objectives")


def costs(doc: Document) -> Markup:
    """Of what is recommended: the three prices of 1,000 useful results, tokens, cached share, waste."""
    unit = f", {doc.currency}" if doc.currency else ""
    names = (
        *("target", f"as billed{unit}", "cold", "warm", "waste", "tokens in", "of them cached"),
        *("tokens out", "of them thinking", "without counts"),
    )
    rows = [
        tag("tr", tag("th", report.target, scope="row", class_="name"), *_cost_cells(rung))
        for report in doc.targets
        if (rung := chosen(report)) is not None
    ]
    return table([_head(n, "name" if n == "target" else "num") for n in names], rows, "costs")


def client(doc: Document) -> Markup:
    """How this machine did, load by load."""
    columns: tuple[Column, ...] = (
        ("loop lag p99, ms", lambda r: _thousandths(r.client.lag_p99_s)),
        ("sent late p99, ms", lambda r: _thousandths(r.client.dispatch_p99_s)),
        ("CPU of a core", lambda r: _percent(r.client.cpu)),
        ("connections reused", lambda r: _percent(r.client.reuse)),
        ("Little's law off by", lambda r: _percent(r.client.little_gap)),
        ("in flight", lambda r: f"{r.in_flight:.1f}"),
        ("window, s", lambda r: f"{r.window_s:.0f}"),
        ("could not keep up with", lambda r: ", ".join(r.client.bound)),
    )
    return _by_rung(doc, columns)


def errors(doc: Document) -> Markup | None:
    """By class, where there were any; None: there were none."""
    rows = [
        tag(
            "tr",
            tag("th", report.target, scope="row", class_="name"),
            tag("td", f"{rung.level:g}", class_="num"),
            tag("td", name, class_="name"),
            tag("td", figures.count(n), class_="num"),
            tag("td", figures.percent(n / rung.requests, 1), class_="num"),
        )
        for report in doc.targets
        for rung in report.rungs
        for name, n in rung.errors.items()
    ]
    heads = _head("target", "name"), _head("load"), _head("error", "name")
    cells = [*heads, _head("attempts"), _head("share")]
    return table(cells, rows, "errors") if rows else None


def limits(found: Sequence[LimitFound]) -> Markup | None:
    """Limits that were met on the way; None: none was."""
    rows = [
        tag(
            "tr",
            tag("th", limit.account, scope="row", class_="name"),
            tag("td", limit_word(limit.name), class_="name"),
            tag("td", f"{limit.value:,g}", class_="num"),
            tag("td", limit.source, class_="name"),
        )
        for limit in found
    ]
    heads = _head("account", "name"), _head("limit", "name"), _head("value")
    return table([*heads, _head("source", "name")], rows, "limits") if rows else None


# --- rows --------------------------------------------------------------------------------------


def _by_rung(doc: Document, columns: Sequence[Column]) -> Markup:
    cells = [_head("target", "name"), _head("load"), *(_head(name) for name, _ in columns)]
    rows = [
        _row(report, rung, [tag("td", cell(rung), class_="num") for _, cell in columns])
        for report in doc.targets
        for rung in report.rungs
    ]
    return table(cells, rows, "rungs")


def _row(report: TargetReport, rung: Rung, cells: Sequence[Markup]) -> Markup:
    recommended = rung.load == "closed" and rung.level == report.advice.level
    kinds = ["begins"] if rung is report.rungs[0] else []
    kinds += ["bound"] if rung.client.bound else ["chosen"] if recommended else []
    mark = "! " if rung.client.bound else "▸ " if recommended else ""
    unit = "" if rung.load == "closed" else "/min"
    return tag(
        "tr",
        tag("th", report.target, scope="row", class_="name"),
        tag("td", f"{mark}{rung.level:g}{unit}", class_="num level"),
        *cells,
        class_=" ".join(kinds) or None,
    )


def _cost_cells(rung: Rung) -> Iterator[Markup]:
    money, tokens = rung.money, rung.tokens
    shown: tuple[Child, ...] = (
        _range(money.per_useful, _per_1000),
        _per_1000(money.per_useful_cold),
        _per_1000(money.per_useful_warm),
        _percent(money.waste),
        figures.tokens(tokens.input),
        _percent(tokens.cached / tokens.input if tokens.input else None),
        figures.tokens(tokens.output),
        _percent(tokens.reasoning / tokens.output if tokens.output else None),
        figures.some(tokens.unknown),
    )
    return (tag("td", value, class_="num") for value in shown)


# --- cells -------------------------------------------------------------------------------------


def _head(name: str, kind: str = "num") -> Markup:
    return tag("th", name, scope="col", class_=kind)


def _range(value: Range | None, shown: Callable[[float], str]) -> Child:
    if value is None:
        return figures.NONE
    if value.low is None or value.high is None:
        return shown(value.est)
    return join(shown(value.est), tag("small", f"{shown(value.low)}–{shown(value.high)}"))


def _duration(spread: Spread, value: Range | None) -> Child:
    """`>60` where it is only known to be more."""
    cap = spread.at_least_s

    def shown(seconds: float) -> str:
        return f"{'>' if cap is not None and seconds >= cap else ''}{_seconds(seconds)}"

    return _range(value, shown)


def _share(share: Share) -> Child:
    if share.est is None:
        return figures.NONE
    span = f"{100 * share.low:.0f}–{100 * share.high:.0f}%"
    return join(_percent(share.est), tag("small", span))


def _good(service: Service) -> Markup:
    return tag("td", _range(service.goodput_per_min, _rate), class_="num")


def _verdict(verdict: Verdict) -> Markup:
    if verdict.found is None:
        return tag("td", f"{figures.NONE} too few calls", class_="num bad")
    rate = any(word in verdict.objective for word in RATES)
    shown = _range(verdict.found, (lambda v: f"{v:.1%}") if rate else _seconds)
    met = verdict.state == "met"
    mark = ("✓ " if met else "✗ ") + ("" if verdict.sure else "? ")
    return tag("td", mark, shown, class_=f"num {'good' if met else 'bad'}")


def _rate(per_minute: float) -> str:
    return f"{per_minute:.1f}" if per_minute < 100 else f"{per_minute:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:.{3 if value < 0.1 else 2 if value < 10 else 1}f}"


def _thousandths(seconds: float | None) -> str:
    return figures.NONE if seconds is None else f"{1000 * seconds:.1f}"


def _percent(share: float | None) -> str:
    if share is None:
        return figures.NONE
    return f"{100 * share:.0f}%" if share in (0, 1) else f"{100 * share:.1f}%"


def _per_1000(nano: float | None) -> str:
    return figures.NONE if nano is None else f"{1000 * nano / NANO:,.4g}"
