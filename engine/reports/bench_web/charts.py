"""A benchmark's drawings: what more calls in flight bring, speed against latency, and durations.

Every mark is one that the tables beside it give in figures. Colours are classes, since the page's policy
allows no style but its own sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from data.schema import Struct
from engine.benching.document import TargetReport
from engine.benching.quantiles import Range, quantile
from engine.benching.rungs import Rung
from engine.reports.bench_web.scales import Scale, fitting, linear, logarithmic, tick_text
from engine.reports.web.markup import Markup, drawing, join, tag

WIDTH, HEIGHT = 460.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 24.0, 12.0, 34.0
ROW, NAME = 24.0, 52.0
COLOURS = 5
LEAST_BOX = 6
"""With fewer values than this each is a dot."""


class Curve(Struct, frozen=True):
    """One line of a plot: rising in x, with an interval of y where there is one."""

    number: int
    points: tuple[tuple[float, Range], ...]
    faint: bool = False


def throughput(report: TargetReport, number: int) -> Markup | None:
    """Useful results a minute by calls in flight, with intervals, and the knee."""
    points = _points(report, lambda rung: rung.useful_per_min)
    return _by_load(report, [Curve(number, points)], "useful results / min")


def latency(report: TargetReport, number: int) -> Markup | None:
    """p50 and (faint) p95 of latency by calls in flight, and the knee."""
    curves = [
        Curve(number, _points(report, lambda rung: rung.latency.p95), faint=True),
        Curve(number, _points(report, lambda rung: rung.latency.p50)),
    ]
    return _by_load(report, curves, "latency, s: p50 and (faint) p95")


def speed_against_latency(reports: Sequence[TargetReport]) -> Markup | None:
    """All targets: median latency over useful results a minute, each point its calls in flight."""
    found = []
    for number, report in enumerate(reports):
        rungs = [r for r in report.rungs if r.load == "closed" and r.useful_per_min]
        points = [
            (r.useful_per_min.est, r.latency.p50.est, r)
            for r in rungs
            if r.useful_per_min and r.latency.p50
        ]
        found.append((number, report, points))
    every = [point for _, _, points in found for point in points]
    if len(every) < 2:
        return None
    x = fitting([p[0] for p in every], LEFT, WIDTH - RIGHT)
    y = fitting([p[1] for p in every], HEIGHT - BOTTOM, TOP)
    marks = [_frame(x, y, "useful results / min", "latency p50, s")]
    for number, report, points in found:
        at = [(x.place(a), y.place(b)) for a, b, _ in points]
        marks.append(_line(at, number))
        for (px, py), (_, _, rung) in zip(at, points, strict=True):
            chosen = rung.level == report.advice.level
            marks.append(_dot(px, py, number, chosen=chosen))
            marks.append(tag("text", f"{rung.level:g}", x=px + 6, y=py - 5, class_="point"))
    return drawing(WIDTH, HEIGHT, *marks, class_="plot")


def boxes(
    rows: Sequence[tuple[str, Sequence[float], bool]], number: int, unit: str = "seconds"
) -> Markup | None:
    """A row for each load: p5 to p95, the middle half thick, the median a dot; few values as dots."""
    filled = [(name, values, chosen) for name, values, chosen in rows if values]
    if not filled:
        return None
    ends = [v for _, values, _ in filled for v in (_at(values, 0.05), _at(values, 0.95))]
    height = TOP + ROW * len(filled) + BOTTOM
    x = fitting(ends, NAME, WIDTH - RIGHT)
    marks = [_below(x, TOP, height - BOTTOM, unit)]
    for place, (name, values, chosen) in enumerate(filled):
        middle = TOP + ROW * (place + 0.5)
        kind = "row chosen" if chosen else "row"
        marks.append(tag("text", name, x=NAME - 8, y=middle + 4, text_anchor="end", class_=kind))
        marks += _box(x, middle, values, number, chosen=chosen)
    return drawing(WIDTH, height, *marks, class_="plot")


# --- by calls in flight ------------------------------------------------------------------------


def _points(
    report: TargetReport, measure: Callable[[Rung], Range | None]
) -> tuple[tuple[float, Range], ...]:
    found = ((rung.level, measure(rung)) for rung in report.rungs if rung.load == "closed")
    return tuple((level, value) for level, value in found if value is not None)


def _by_load(report: TargetReport, curves: Sequence[Curve], title: str) -> Markup | None:
    levels = [x for curve in curves for x, _ in curve.points]
    if len(set(levels)) < 2:
        return None
    tops = [r.high or r.est for curve in curves for _, r in curve.points]
    x = _loads(levels)
    y = linear(tops, HEIGHT - BOTTOM, TOP)
    marks = [_frame(x, y, "calls in flight", title), *_knee(report, x)]
    for curve in curves:
        at = [(x.place(a), y.place(r.est)) for a, r in curve.points]
        for (px, _), (_, value) in zip(at, curve.points, strict=True):
            if value.low is not None and value.high is not None:
                ends = y.place(value.low), y.place(value.high)
                kind = f"whisker s{_colour(curve.number)}{' faint' if curve.faint else ''}"
                marks.append(tag("line", x1=px, x2=px, y1=ends[0], y2=ends[1], class_=kind))
        marks.append(_line(at, curve.number, faint=curve.faint))
        marks += [
            _dot(px, py, curve.number, chosen=level == report.advice.level and not curve.faint)
            for (px, py), (level, _) in zip(at, curve.points, strict=True)
        ]
    return drawing(WIDTH, HEIGHT, *marks, class_="plot")


def _loads(levels: Sequence[float]) -> Scale:
    """A logarithmic axis whose ticks are the very loads that were measured."""
    plain = logarithmic(levels, LEFT, WIDTH - RIGHT)
    ticks = tuple(sorted(set(levels)))
    return Scale(plain.low, plain.high, ticks, plain.start, plain.end, logarithmic=True)


def _knee(report: TargetReport, x: Scale) -> Iterator[Markup]:
    at = report.advice.knee.in_flight
    if at is not None:
        px = x.place(at)
        yield tag("line", x1=px, x2=px, y1=TOP, y2=HEIGHT - BOTTOM, class_="knee")
        yield tag("text", f"knee {at:.1f}", x=px + 4, y=HEIGHT - BOTTOM - 6, class_="point")


# --- marks -------------------------------------------------------------------------------------


def _frame(x: Scale, y: Scale, below: str, title: str) -> Markup:
    """Axes with their ticks and names."""
    lines = [
        join(
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y.place(t), y2=y.place(t), class_="grid"),
            tag("text", tick_text(t), x=LEFT - 6, y=y.place(t) + 4, text_anchor="end"),
        )
        for t in y.ticks
    ]
    name = tag("text", title, x=LEFT + 4, y=TOP + 2, class_="title")
    return join(*lines, _below(x, TOP, HEIGHT - BOTTOM, below), name)


def _below(x: Scale, top: float, bottom: float, name: str) -> Markup:
    """The x axis: its ticks, as lines too, and its name."""
    parts = []
    for t in x.ticks:
        px = x.place(t)
        parts.append(tag("line", x1=px, x2=px, y1=top, y2=bottom, class_="grid"))
        parts.append(tag("text", tick_text(t), x=px, y=bottom + 14, text_anchor="middle"))
    middle = (x.start + x.end) / 2
    return join(*parts, tag("text", name, x=middle, y=bottom + 29, text_anchor="middle"))


def _line(points: Sequence[tuple[float, float]], number: int, *, faint: bool = False) -> Markup:
    if not points:
        return join()
    way = "M" + "L".join(f"{a:g} {b:g}" for a, b in points)
    return tag("path", d=way, class_=f"line s{_colour(number)}{' faint' if faint else ''}")


def _dot(x: float, y: float, number: int, *, chosen: bool) -> Markup:
    """What is recommended has a ring around it."""
    dot = tag("circle", cx=x, cy=y, r=3, class_=f"f{_colour(number)}")
    ring = tag("circle", cx=x, cy=y, r=6.5, class_=f"halo s{_colour(number)}") if chosen else None
    return join(dot, ring)


def _box(
    x: Scale, middle: float, values: Sequence[float], number: int, *, chosen: bool
) -> Iterator[Markup]:
    if len(values) < LEAST_BOX:
        for value in values:
            yield tag("circle", cx=x.place(value), cy=middle, r=2.5, class_=f"f{_colour(number)}")
        return
    p5, p25, p50, p75, p95 = (x.place(_at(values, p)) for p in (0.05, 0.25, 0.5, 0.75, 0.95))
    stroke = f"s{_colour(number)}"
    yield tag("line", x1=p5, x2=p95, y1=middle, y2=middle, class_=f"span {stroke}")
    yield tag("line", x1=p25, x2=p75, y1=middle, y2=middle, class_=f"half {stroke}")
    yield _dot(p50, middle, number, chosen=chosen)


def _at(values: Sequence[float], p: float) -> float:
    return quantile(values, p)


def _colour(number: int) -> int:
    return number % COLOURS + 1
