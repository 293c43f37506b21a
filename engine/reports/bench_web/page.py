"""The whole page of a benchmark: what to use first, then every figure, its drawing, and how it was had.

It has no script at all, loads nothing, and its two style sheets stand in the Content-Security-Policy by
their hashes; whatever a model or a server called itself is text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from engine import figures
from engine.benching.document import Document, TargetReport
from engine.benching.samples import Samples
from engine.cells import inert
from engine.reports import benched
from engine.reports.bench_web import charts, tables
from engine.reports.web.assets import asset
from engine.reports.web.markup import Markup, join, tag

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_DRAWN = (
    ("ttft", "time to first token", 1.0, "seconds"),
    ("tpot", "time per output token", 1000.0, "milliseconds"),
    ("latency", "latency", 1.0, "seconds"),
)
DEFINED = (
    ("useful", "an answer that the sweep would judge, or a verdict that its parser reads, after its"
     " own asks and retries"),
    ("useful / min", "closed load: calls in progress ÷ mean time of a call × share that was useful"
     " (Little's law); open load: completions in the window ÷ its length"),
    ("latency", "last token − sent; without a stream, last byte − sent; of one attempt"),
    ("TTFT", "first token of any channel − sent; streams only"),
    ("TPOT", "(last token − first token) ÷ (output tokens − 1); only where the provider counts tokens"),
    ("wall", "end of a call − when it was meant to begin: limits, retries and waits included"),
    ("parsed", "useful replies among all that were read"),
    ("cost", "of 1,000 useful results, every billed attempt counted; cold: nothing from the"
     " provider's prompt cache; warm: each prompt with the largest cached share that was seen"),
    ("waste", "share of the money that went into attempts which brought nothing"),
    ("knee", "calls in flight from which on they only queue: a hockey-stick fit of latency"),
    ("good / min", "useful results of calls that kept every upper bound on a duration"),
    ("intervals", "95 %: percentiles by order statistics, rates by Wilson, means by batches; – where"
     " there are too few calls to say"),
)  # fmt: skip


def render(doc: Document, samples: Samples) -> bytes:
    """The file."""
    parts = {
        "policy": Markup(policy()),
        "style": _style(),
        "title": tag("title", f"{doc.sweep} · benchmark"),
        "header": _header(doc),
        "main": join(*_sections(doc, samples)),
    }
    pieces = _PLACE.split(asset("bench.html"))
    whole = (parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))
    return "".join(whole).encode()


def policy() -> str:
    """Our own style sheet by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _style() -> str:
    return asset("report.css") + asset("bench.css")


def _header(doc: Document) -> Markup:
    day = datetime.fromtimestamp(doc.started_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = [
        join(tag("b", figures.count(len(doc.targets))), " targets"),
        join(tag("b", figures.count(_calls(doc))), " calls measured"),
        join("spent ", tag("b", benched.spent(doc))),
        day,
    ]
    badge = tag("span", "simulated", class_="badge warn") if doc.simulated else None
    return join(
        tag("h1", f"{doc.sweep} · benchmark", " ", badge),
        tag("p", *(join(tag("span", fact), " ") for fact in facts), class_="figures"),
    )


def _sections(doc: Document, samples: Samples) -> Iterator[Markup]:
    yield _section("What to use", _advice(doc))
    if not doc.targets:
        return
    said = tag(
        "p", "▸ recommended; ! this machine could not keep up, so it is not ranked", class_="legend"
    )
    yield _section("Every load", tables.rungs(doc), said)
    if doc.slo:
        legend = tag(
            "p", "✓ met, ✗ missed; ? the interval lies on both sides of the bound", class_="legend"
        )
        yield _section("Objectives", tables.objectives(doc), legend)
    yield _section("Speed and latency", _curves(doc))
    yield _section("Distributions", _distributions(doc, samples))
    yield _section("Money and tokens, at what is recommended", tables.costs(doc))
    yield _section("Limits met", tables.limits(doc.limits) or _none("No limit was met or told."))
    yield _section("This machine", tables.client(doc))
    yield _section(
        "Errors", tables.errors(doc) or _none("Every attempt in the windows was answered.")
    )
    yield _section("Definitions", _defined(DEFINED))
    yield _section("How it was measured", _defined(_method(doc)))


def _section(title: str, *children: Markup) -> Markup:
    return tag("section", tag("h2", title), *children)


def _none(text: str) -> Markup:
    return tag("p", text, class_="dim")


def _calls(doc: Document) -> int:
    return sum(rung.calls for report in doc.targets for rung in report.rungs)


# --- parts -------------------------------------------------------------------------------------


def _advice(doc: Document) -> Markup:
    """Sentences: per target, per model with its judges, and what to keep in mind."""
    said = [join(tag("b", r.target), ": ", benched.advice(r)) for r in doc.targets]
    said += [join(tag("b", pair.model), f" {text}") for pair, text in benched.together(doc)]
    notes = tag("ul", *(tag("li", w) for w in doc.warnings), class_="notes")
    return join(
        tag("ul", *(tag("li", line) for line in said), class_="advice"),
        notes if doc.warnings else None,
        _none("Nothing was measured.") if not doc.targets else None,
    )


def _curves(doc: Document) -> Markup:
    drawn = []
    if (together := charts.speed_against_latency(doc.targets)) is not None:
        names = [
            join(tag("span", "● ", class_=f"k{n % charts.COLOURS + 1}"), r.target, " ")
            for n, r in enumerate(doc.targets)
        ]
        caption = join(tag("b", "Latency over speed"), ", points are calls in flight: ", *names)
        drawn.append(_figure(caption, together))
    for number, report in enumerate(doc.targets):
        plots = charts.throughput(report, number), charts.latency(report, number)
        drawn += [_figure(tag("b", report.target), plot) for plot in plots if plot is not None]
    if not drawn:
        return _none("One load alone makes no curve.")
    return tag("div", *drawn, class_="plots")


def _distributions(doc: Document, samples: Samples) -> Markup:
    drawn = []
    for number, report in enumerate(doc.targets):
        for name, words, scale, unit in _DRAWN:
            plot = charts.boxes(_rows(report, samples, name, scale), number, unit)
            if plot is not None:
                drawn.append(_figure(join(tag("b", report.target), f": {words}, by load"), plot))
    legend = (
        "Line: 5 % to 95 % of calls. Thick: the middle half. Dot: the median; ringed: recommended."
    )
    return join(tag("div", *drawn, class_="plots"), tag("p", legend, class_="legend"))


def _rows(
    report: TargetReport, samples: Samples, name: str, scale: float
) -> list[tuple[str, list[float], bool]]:
    return [
        (
            f"{rung.level:g}" + ("" if rung.load == "closed" else "/min"),
            [
                value * scale
                for value in samples.get((report.target, rung.load, rung.level), {}).get(name, [])
            ],
            rung.load == "closed" and rung.level == report.advice.level,
        )
        for rung in report.rungs
    ]


def _figure(caption: Markup, plot: Markup) -> Markup:
    return tag("figure", tag("figcaption", caption), plot)


def _defined(pairs: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Markup:
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", text)) for name, text in pairs),
        class_="defined",
    )


def _method(doc: Document) -> Iterator[tuple[str, str]]:
    settings = doc.settings
    levels = ", ".join(f"{level:g}" for level in settings.levels)
    kind = "calls in flight" if settings.load == "closed" else f"calls a minute, {settings.load}"
    yield "loads", f"{levels} {kind}; {figures.many(settings.repeats, 'block')} each, interleaved"
    yield (
        "a block",
        f"{settings.min_seconds:g} to {settings.max_seconds:g} s, {settings.min_requests} to"
        f" {settings.max_requests} calls, until known within {settings.ci:.0%}; its start and the"
        " filling of its places are not counted, what was begun is awaited",
    )
    yield (
        "questions",
        f"{inert(doc.benchmark)}, seed {settings.seed}, prompt caches {settings.cache}",
    )
    yield "engine", inert(doc.engine)
    yield "benchmark", inert(doc.run_id)
    yield "sweep", inert(doc.digest)
