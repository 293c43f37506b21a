"""`report --reprice`: what a run cost as it was booked, and what it would cost at other prices. Pure.

Tokens stand by kind: fresh input, input from the provider's cache, answer, thinking. Figures in CSV and
JSON are exact; money there is integer nano-units (10^-9).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction

from data import codec
from data.prices import PER_MILLION, Price
from engine import figures
from engine.cells import inert
from engine.reports.csvfile import text
from engine.reports.overview import money_of
from engine.reports.plain import Heading, grid_lines, paragraph
from engine.repricing import Repriced

SCHEMA = "alignsweep.repriced/1"
HEADS = (
    Heading("", right=False),
    Heading("name", right=False),
    Heading("calls", optional=True),
    Heading("input"),
    Heading("cached"),
    Heading("answer"),
    Heading("thinking"),
    Heading("booked"),
    Heading("now"),
)


MONEY = (
    "booked_currency",
    "booked_nano",
    "unbooked_calls",
    "now_currency",
    "now_nano",
    "apart_calls",
)


def lines(
    rows: Sequence[Repriced], on: date, columns: int, *, simulated: bool = False
) -> Iterator[str]:
    """A table, the sums, and where each price comes from."""
    mark = " (simulated: nobody was paid)" if simulated else ""
    yield f"booked, and charged anew at the prices of {on.isoformat()}{mark}"
    yield ""
    yield from grid_lines(HEADS, [_cells(row) for row in rows], columns)
    yield ""
    for said in _sums(rows):
        yield from paragraph(said, columns, rest="  ")
    yield ""
    yield "prices per million tokens (input, cached input, output)"
    for row in rows:
        yield from paragraph(f"{inert(row.name)}: {_said(row.price)}", columns, rest="    ")


def as_json(rows: Sequence[Repriced], on: date) -> bytes:
    """One document on one line; prices in pico-units (10^-12) a token."""
    return codec.encode({"schema": SCHEMA, "date": on.isoformat(), "parties": rows}) + b"\n"


def as_csv(rows: Sequence[Repriced]) -> bytes:
    """One line per model or judge and currency of what was booked."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    kinds = ["input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"]
    writer.writerow(["stage", "name", "model", "calls", *kinds, *MONEY])
    for row in rows:
        usage = row.usage
        counts = [usage.input_tokens, usage.cached_tokens]
        counts += [usage.output_tokens, usage.reasoning_tokens]
        booked: list[tuple[str, int | str]] = [*sorted(row.booked.items())]
        for currency, nano in booked or [("", "")]:
            names = [row.stage, text(row.name), text(row.model)]
            now = ["" if row.now is None else row.now, row.apart_calls]
            writer.writerow(
                [*names, row.calls, *counts, currency, nano, row.unbooked, row.currency, *now]
            )
    return out.getvalue().encode("utf-8-sig")


def _cells(row: Repriced) -> list[str]:
    usage = row.usage
    return [
        "judge" if row.stage == "judge" else "model",
        inert(row.name),
        figures.count(row.calls),
        figures.tokens(usage.input_tokens - usage.cached_tokens),
        figures.tokens(usage.cached_tokens),
        figures.tokens(usage.output_tokens - usage.reasoning_tokens),
        figures.tokens(usage.reasoning_tokens),
        money_of(row.booked, row.unbooked),
        figures.NONE if row.now is None else figures.money(row.now, row.currency),
    ]


def _sums(rows: Sequence[Repriced]) -> Iterator[str]:
    """Booked and now; only what can be compared is compared."""
    booked, now = _total(rows, "booked"), dict[str, int]()
    for row in rows:
        if row.now is not None:
            now[row.currency] = now.get(row.currency, 0) + row.now
    unbooked = sum(row.unbooked for row in rows)
    unknown = sum(row.calls for row in rows if row.now is None)
    yield f"booked {money_of(booked)}{_but(unbooked)}; now {money_of(now)}{_but(unknown)}"
    if not unbooked and not unknown and booked.keys() == now.keys() and len(now) == 1:
        (before,), (after,) = booked.values(), now.values()
        yield f"that is {_change(before, after)}"
    apart = _total(rows, "apart")
    if calls := sum(row.apart_calls for row in rows):
        yield (
            f"left as they are: {figures.many(calls, 'call')} of which nobody said what they took,"
            f" booked at their worst case ({money_of(apart)})"
        )


def _change(before: int, after: int) -> str:
    if before == after:
        return "the same"
    if not before:
        return "more than nothing"
    return f"{float(Fraction(after - before, before)):+.1%} of what was booked".replace("%", " %")


def _but(calls: int) -> str:
    return f" and {figures.many(calls, 'call')} of unknown price" if calls else ""


def _total(rows: Sequence[Repriced], column: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for currency, nano in getattr(row, column).items():
            total[currency] = total.get(currency, 0) + nano
    return total


def _said(price: Price | None) -> str:
    if price is None:
        return "unknown; --prices FILE can say it"
    cached = price.input_pico if price.cached_input_pico is None else price.cached_input_pico
    parts = ", ".join(_million(pico) for pico in (price.input_pico, cached, price.output_pico))
    more = "; dearer for long prompts" if price.tiers else ""
    day = f", {price.date}" if price.date else ""
    return f"{price.currency} {parts}{more} ({inert(price.source)}{day})"


def _million(pico: int) -> str:
    """Pico-units a token as units per million tokens, exactly."""
    whole, rest = divmod(pico, PER_MILLION)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")
