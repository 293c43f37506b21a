"""A benchmark's results as files: JSON as it is, CSV a rung a line, Markdown for a page.

The same figures as in the terminal, from the same document.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from data import codec
from engine.benching.document import Document, TargetReport
from engine.benching.quantiles import Range
from engine.benching.rungs import Rung, Spread
from engine.money import NANO
from engine.reports import benched, foretold
from engine.reports.csvfile import text as cell
from engine.reports.markdown import text as escaped
from engine.reports.plain import Heading

DURATIONS = ("latency", "wall", "wait", "ttfb", "ttft", "ttfa", "tpot", "arrival")
PERCENTILES = ("p50", "p90", "p95", "p99")


def as_json(doc: Document) -> bytes:
    """One line."""
    return codec.encode(doc) + b"\n"


def as_csv(doc: Document) -> bytes:
    """A rung a line, numbers unrounded, with a byte order mark for spreadsheets; unknown is empty."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    lines = [dict(_fields(doc, report, rung)) for report in doc.targets for rung in report.rungs]
    if lines:
        writer.writerow(lines[0])
    for line in lines:
        writer.writerow(["" if value is None else value for value in line.values()])
    return out.getvalue().encode("utf-8-sig")


def as_markdown(doc: Document) -> str:
    """The table with all columns, the advice, the notes and the definitions."""
    title = f"# Benchmark of {escaped(doc.sweep)}" + (" (simulated)" if doc.simulated else "")
    rows = [benched.row(report, rung) for report in doc.targets for rung in report.rungs]
    heads, held = benched.objectives(doc)
    said = [f"- {escaped(r.target)}: {escaped(benched.advice(r))}" for r in doc.targets]
    notes = [f"- {escaped(warning)}" for warning in doc.warnings]
    ahead = list(foretold.lines(doc.prediction, 120)) if doc.prediction is not None else []
    parts = [
        title,
        _table(benched.HEADS, rows),
        _table(heads, held) if held else "",
        "\n".join(said),
        "\n".join(notes),
        "\n".join(f"    {line}" for line in ahead),
        benched.DEFINITIONS,
        benched.GOODPUT if held else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(heads: Sequence[Heading], rows: Sequence[Sequence[str]]) -> str:
    names = [escaped(head.text) for head in heads]
    rule = ["---", *["---:"] * (len(names) - 1)]
    cells = ([escaped(value) for value in row] for row in rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in (names, rule, *cells))


def _fields(doc: Document, report: TargetReport, rung: Rung) -> Iterator[tuple[str, object]]:
    """Name and value of every cell of a rung's line."""
    yield "simulated", str(doc.simulated).lower()
    yield "target", cell(report.target)
    yield "provider", cell(report.provider)
    yield "model", cell(report.model)
    yield "load", rung.load
    yield "level", rung.level
    yield "recommended", str(rung.level == report.advice.level).lower()
    yield "client_bound", "; ".join(rung.client.bound)
    for name in ("window_s", "requests", "calls", "useful", "truncated", "in_flight"):
        yield name, getattr(rung, name)
    for name in ("useful_per_min", "calls_per_min"):
        yield from _range(name, getattr(rung, name))
    yield "rate_limited", rung.limited.est
    yield "failed", rung.failed.est
    yield "parsed", rung.parsed.est
    for name in DURATIONS:
        spread: Spread = getattr(rung, name)
        yield f"{name}_n", spread.n
        yield from _range(f"{name}_mean_s", spread.mean)
        for percentile in PERCENTILES:
            yield from _range(f"{name}_{percentile}_s", getattr(spread, percentile))
    for name in ("input", "cached", "output", "reasoning", "unknown"):
        yield f"tokens_{name}", getattr(rung.tokens, name)
    money = rung.money
    yield "currency", money.currency
    yield from _range("cost_per_useful", _in_units(money.per_useful))
    for name in ("per_useful_cold", "per_useful_warm", "per_1000_requests"):
        nano = getattr(money, name)
        yield f"cost_{name}", None if nano is None else nano / NANO
    yield "cost_waste", money.waste
    if doc.slo:
        service = next(s for s in report.service if s.level == rung.level)
        yield from _range("goodput_per_min", service.goodput_per_min)
        yield "slo_met", str(all(v.state == "met" for v in service.verdicts)).lower()


def _range(name: str, value: Range | None) -> Iterator[tuple[str, float | None]]:
    yield name, value.est if value else None
    yield f"{name}_low", value.low if value else None
    yield f"{name}_high", value.high if value else None


def _in_units(nano: Range | None) -> Range | None:
    if nano is None:
        return None
    low, high = (None if end is None else end / NANO for end in (nano.low, nano.high))
    return Range(nano.est / NANO, low, high)
