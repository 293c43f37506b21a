"""The plots themselves: leaderboard, categories, two judges, score against cost, progress over time.

Each is a function from what is known about a run to a figure. Means are those of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data.schema import Struct
from engine import figures
from engine.dossier import Dossier
from engine.judge_pairs import JudgePair
from engine.money import NANO
from engine.reports.plots.canvas import (
    CI,
    DIM,
    DOT,
    HIGH,
    INK,
    LINE,
    LOW,
    figure,
    heading,
    label,
    library,
)
from engine.reports.table import Sheet
from engine.reports.uncertainty import Interval, Intervals

_LINES = 200
"""Points of a line over time: more cannot be seen."""


def leaderboard(sheet: Sheet, sure: Intervals) -> Any:
    """Totals as dots with whiskers, best on top, on an axis cut to the data."""
    entries = [e for e in sheet.entries if e.total is not None]
    found, axes = figure(7.2, 1.1 + 0.26 * len(entries))
    for place, entry in enumerate(entries):
        interval = sure.get((sheet.judge, entry.model), Interval())
        if interval.low is not None and interval.high is not None:
            ends = [interval.low, interval.high]  # butt: a line that ends where the interval does
            axes.plot(ends, [place] * 2, color=CI, lw=3, solid_capstyle="butt", zorder=1)
        axes.plot([entry.total], [place], "o", color=DOT, ms=5.5, zorder=2)
    axes.set_yticks(range(len(entries)), [label(e.model) for e in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(entries)), [figures.score(e.total) for e in entries])
    right.tick_params(length=0, labelcolor=INK)
    right.spines["right"].set_visible(False)
    axes.grid(axis="x", color=LINE, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_title(heading(sheet.title))
    return found


def categories(sheet: Sheet) -> Any:
    """Every column of the table as a heat map, its number in every cell."""
    rows = [list(e.values) for e in sheet.entries]
    values = [v for row in rows for v in row if v is not None]
    found, axes = figure(2.4 + 0.62 * len(sheet.heads), 1.2 + 0.27 * len(rows))
    numbers = [[float("nan") if v is None else v for v in row] for row in rows]
    axes.imshow(numbers, cmap=_blues(), aspect="auto", vmin=min(values), vmax=max(values))
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            axes.text(x, y, figures.score(value), ha="center", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [label(e.model) for e in sheet.entries])
    axes.set_xticks(range(len(sheet.heads)), [label(h.name, 16) for h in sheet.heads])
    tilted = any(len(h.name) > 5 for h in sheet.heads)
    axes.tick_params(
        axis="x", length=0, labelcolor=INK, labelbottom=False, labeltop=True,
        labelrotation=30 if tilted else 0,
    )  # fmt: skip
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    _bare(axes)
    axes.set_title(heading(sheet.title), pad=14)
    return found


def judges(pair: JudgePair, *, simulated: bool) -> Any:
    """How often the one judge gave one score and the other another."""
    values = [v for a, b, _ in pair.counts for v in (a, b)]
    low, high = int(min(values)), int(max(values))
    size = high - low + 1
    grid = [[0] * size for _ in range(size)]
    for a, b, n in pair.counts:
        grid[int(a) - low][int(b) - low] = n
    found, axes = figure(1.6 + 0.46 * size, 1.8 + 0.4 * size)
    axes.imshow([[n**0.5 for n in row] for row in grid], cmap=_blues(), aspect="auto")
    for y, row in enumerate(grid):
        for x, n in enumerate(row):
            if n:
                axes.text(x, y, figures.count(n), ha="center", va="center", fontsize=7.5, color=INK)
    ticks = [str(low + i) for i in range(size)]
    axes.set_xticks(range(size), ticks)
    axes.set_yticks(range(size), ticks)
    axes.tick_params(length=0)
    axes.set_xlabel(label(pair.second))
    axes.set_ylabel(label(pair.first))
    _bare(axes)
    same, near = figures.percent(pair.same), figures.percent(pair.near)
    axes.set_title(
        f"{figures.count(pair.n)} answers: same score {same}, within one {near},\n"
        f"r {figures.score(pair.pearson)}, shift {pair.shift:+.2f}{_marked(simulated)}",
        fontsize=9,
        fontweight="normal",
    )
    return found


def cost(sheet: Sheet, dossier: Dossier) -> Any | None:
    """Totals against what the answers cost; None where costs are unknown or in several currencies."""
    money = {p.name: p.booked for p in dossier.parties if p.stage == "generate"}
    codes = {code for booked in money.values() for code in booked}
    points = [
        (sum(money[e.model].values()) / NANO, e.total, label(e.model, 24))
        for e in sheet.entries
        if e.total is not None and sum(money[e.model].values()) > 0
    ]
    if len(codes) != 1 or len(points) < 2:
        return None
    found, axes = figure(7.2, 4.6)
    x, y = [p[0] for p in points], [p[1] for p in points]
    if max(x) / min(x) > 20:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    front = _front(points)
    axes.plot([p[0] for p in front], [p[1] for p in front], color=CI, lw=1.5, zorder=1)
    axes.plot(x, y, "o", color=DOT, ms=6, zorder=2)
    axes.grid(color=LINE, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"cost of the answers, {codes.pop()}")
    axes.set_ylabel("total")
    axes.margins(x=0.1, y=0.08)
    found.draw_without_rendering()
    _name_points(axes, points)
    axes.set_title(heading(sheet.title))
    return found


def progress(dossier: Dossier) -> Any | None:
    """Replies so far, over the time since the run began; None where nothing was sent."""
    line = dossier.timeline
    if not line.answers and not line.judgments:
        return None
    start = dossier.sessions[0].t_s
    found, axes = figure(7.2, 3.2)
    for times, colour, name in (
        (line.answers, DOT, "answers"),
        (line.judgments, "#b8500e", "judgments"),
    ):
        if times:
            hours, done = _thinned([(t - start) / 60 for t in times])
            axes.plot(hours, done, color=colour, lw=1.8)
            axes.annotate(
                f" {name} {figures.count(len(times))}",
                (hours[-1], done[-1]),
                color=colour,
                va="center",
            )
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color=LINE, lw=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(lambda value, _: figures.count(int(value)))
    axes.set_xlabel("minutes since the start")
    axes.set_ylabel("replies")
    axes.set_title(label(dossier.run.sweep.name, 60) + _marked(dossier.scores.simulated))
    return found


# --- pieces ------------------------------------------------------------------------------------


def _marked(simulated: bool) -> str:
    return " (simulated)" if simulated else ""


def _blues() -> Any:
    library()
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", [LOW, HIGH])


def _bare(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def _front(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float]]:
    """Points that no cheaper one is better than."""
    front: list[tuple[float, float]] = []
    for x, y, _ in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


_DOT_PX = 6.0
_LINE_PX = 13.0
"""Half a dot, and the height of a name, in pixels at 100 dots an inch."""


def _name_points(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside their dots, where they lie on no other name and no other dot; inside the frame."""
    dots = [tuple(axes.transData.transform((x, y))) for x, y, _ in points]
    taken = [_Box(x - _DOT_PX, x + _DOT_PX, y) for x, y in dots]
    order = sorted(range(len(points)), key=lambda i: points[i][1])
    for i in order:
        x, y, name = points[i]
        width = 12 + 6.3 * sum(1.8 if ord(c) > 0x2E7F else 1 for c in name)
        own = taken[i]
        others = [box for box in taken if box is not own]
        left, shift = _free_place(dots[i], width, others, (axes.bbox.x0, axes.bbox.x1))
        begin = dots[i][0] - width if left else dots[i][0]
        taken.append(_Box(begin, begin + width, dots[i][1] + shift))
        said = axes.annotate(
            name,
            (x, y),
            (-7 if left else 7, shift * 0.72),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
            color=DIM,
            zorder=1.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )
        said.set_in_layout(False)


class _Box(Struct, frozen=True, eq=False):
    """What is taken: from `start` to `end`, a line high around `middle`. Pixels."""

    start: float
    end: float
    middle: float


def _free_place(
    dot: Sequence[float], width: float, taken: Sequence[_Box], frame: tuple[float, float]
) -> tuple[bool, float]:
    """(to the left?, how far up): the nearest place that is free."""
    for step in range(40):
        for shift in (3.0 * step, -3.0 * step):
            for left in (False, True):
                begin = dot[0] - width if left else dot[0]
                inside = frame[0] <= begin and begin + width < frame[1]
                if inside and not any(
                    abs(dot[1] + shift - box.middle) < _LINE_PX
                    and begin < box.end
                    and box.start < begin + width
                    for box in taken
                ):
                    return left, shift
    return dot[0] + width >= frame[1], 0.0


def _thinned(times: Sequence[float]) -> tuple[list[float], list[int]]:
    """A rising line through at most `_LINES` of its points, the last one among them."""
    step = max(1, len(times) // _LINES)
    places = [*range(0, len(times), step)]
    if places[-1] != len(times) - 1:
        places.append(len(times) - 1)
    return [times[i] for i in places], [i + 1 for i in places]
