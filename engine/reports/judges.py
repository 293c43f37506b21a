"""Judge against judge as lines of text for 80 columns: in a run, as published, and over time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import figures
from engine.agreement.between_judges import BetweenJudges, Part
from engine.agreement.drift import Drift, Served
from engine.agreement.estimate import Estimate
from engine.agreement.leaderboards import Column, Leaderboards
from engine.cells import inert
from engine.reports.agreement import COEFFICIENTS, three
from engine.reports.estimates import UNDEFINED, estimate_row, number, ranged, reasons, row
from engine.reports.ranked import p_value


def judges_lines(found: BetweenJudges) -> Iterator[str]:
    """Two judges of one run."""
    yield f"  A  {inert(found.first)}"
    yield f"  B  {inert(found.second)}"
    yield (
        f"  {figures.count(found.n)} answers to {figures.count(found.questions)} questions by"
        f" {found.models} models have a score by both"
        + (f"; {figures.count(found.one_only)} by one only" if found.one_only else "")
    )
    names = ("A and B", "length and A", "length and B")
    for title, level in (
        ("item level", "item"),
        ("text level", "text"),
        ("system level", "system"),
    ):
        yield ""
        yield row(title, COEFFICIENTS)
        for name, compared in zip(names, found.compared, strict=True):
            own = compared.text.mean if level == "text" else getattr(compared, level)
            yield estimate_row(name, three(own))
    flat = found.compared[0].text
    yield (
        f"  text level leaves out {figures.count(flat.constant_x + flat.constant_y)} of"
        f" {figures.count(flat.groups)} questions where A or B gave all the same"
    )
    yield ""
    yield f"  A - B              {_told(found.shift, signed=True)}"
    yield f"  same score         {_told(found.same)} of answers; within a point {_told(found.near)}"
    yield f"  quadratic kappa    {_told(found.kappa)}"
    yield f"  Krippendorff alpha {_told(found.ordinal_alpha)} ordinal"
    yield f"                     {_told(found.interval_alpha)} interval"
    yield f"  same order         {_told(found.compared[0].pairs.with_ties)} of pairs"
    yield from _parts("by category", found.by_category)
    yield from _parts("by model", found.by_model)
    yield "  beyond: how much more than over all A favours it; a family shows here"


def board_lines(found: Leaderboards) -> Iterator[str]:
    """Two published leaderboards."""
    yield f"  A  {inert(found.first)}"
    yield f"  B  {inert(found.second)}"
    yield f"  {found.models} models; {inert(found.source)}"
    yield ""
    heads = (*COEFFICIENTS, "rho's 95 %", " mean B-A", " max |B-A|")
    yield row("system level", heads, name_width=12, cell=11)
    for column in found.columns:
        yield row(column.name, _board_cells(column), name_width=12, cell=11)
    yield from reasons((c.name, c.correlations.pearson) for c in found.columns)
    yield ""
    if not found.rank_changes:
        yield "  no model's rank changes"
    for change in found.rank_changes:
        yield f"  rank {_rank(change.first)} -> {_rank(change.second)}  {inert(change.model)}"
    values = list(found.differences.values())
    mean = sum(values) / len(values) if values else 0.0
    against = [(m, d) for m, d in found.differences.items() if d * mean < 0]
    if against:
        yield f"  the mean of B - A is {number(mean, 2, signed=True)}; the other way round go:"
        for model, difference in sorted(against, key=lambda item: -abs(item[1])):
            yield f"    {number(difference, 2, signed=True)}  {inert(model)}"


def drift_lines(found: Drift) -> Iterator[str]:
    """A judge over time. The last line says whether to worry."""
    yield (
        f"  {figures.count(found.n)} answers to {figures.count(found.questions)} questions judged twice"
        + (f"; {figures.count(found.not_compared)} not compared" if found.not_compared else "")
    )
    yield f"  served before      {_served(found.served_before)}"
    yield f"  served after       {_served(found.served_after)}"
    if found.another_served:
        yield "  note: the provider does not name the same model as before"
    if found.cached:
        yield f"  note: {figures.count(found.cached)} later verdicts are cached ones (--no-cache)"
    yield ""
    yield f"  shift of the mean  {_told(found.shift, signed=True)}{_p(found.test.p)}"
    if found.test.detectable is not None:
        yield (
            f"  detectable shift   {number(found.test.detectable, 2)} points: a true one of this size is"
            " found in 80 % of such canaries"
        )
    yield f"  same score         {_told(found.same)} of answers"
    yield f"  quadratic kappa    {_told(found.kappa)}"
    for own in found.categories:
        yield f"    {inert(own.category)}  {_told(own.shift, signed=True)}"
    yield ""
    yield _verdict(found)


# --- inside ------------------------------------------------------------------------------------


def _board_cells(column: Column) -> Sequence[str]:
    rho = column.correlations.spearman
    found = three(column.correlations)
    return (
        *(UNDEFINED if e.value is None else number(e.value, 4) for e in found),
        f"[{number(rho.low, 2)}, {number(rho.high, 2)}]",
        f" {number(column.difference.value, 3, signed=True)}",
        f" {number(column.largest, 2)}",
    )


def _rank(places: tuple[int, int]) -> str:
    best, worst = places
    return str(best) if best == worst else f"{best}-{worst}"


def _parts(title: str, parts: Sequence[Part]) -> Iterator[str]:
    yield ""
    yield row(title, ("n", "rho", "kappa", "A", "B", "A-B", "beyond"), cell=8)
    for own in parts:
        cells = (
            figures.count(own.n),
            _short(own.item.spearman),
            _short(own.kappa),
            number(own.first, 2),
            number(own.second, 2),
            number(own.shift.value, 2, signed=True),
            number(own.excess, 2, signed=True),
        )
        yield row(own.name, cells, cell=8)
    told = [(f"rho of {own.name}", own.item.spearman) for own in parts]
    told += [(f"kappa of {own.name}", own.kappa) for own in parts]
    yield from reasons(told)


def _short(found: Estimate) -> str:
    return "undef." if found.value is None else number(found.value, 2)


def _served(served: Sequence[Served]) -> str:
    parts = []
    for own in served[:4]:
        mark = f" ({own.fingerprint})" if own.fingerprint else ""
        parts.append(f"{own.model or 'not said'}{mark} x {figures.count(own.verdicts)}")
    more = f" and {len(served) - 4} more" if len(served) > 4 else ""
    return inert(", ".join(parts) + more) or "nothing"


def _p(p: float | None) -> str:
    return "" if p is None else f"  p {p_value(p)}"


def _verdict(found: Drift) -> str:
    shift, low, high = found.shift.value or 0.0, found.shift.low, found.shift.high
    limit = f"{found.threshold:g}"
    chance = low is not None and high is not None and low <= 0 <= high
    if found.alarm:
        doubt = " (though the interval holds 0: judge more answers)" if chance else ""
        return (
            f"  ALARM: the mean moved by {number(shift, 2, signed=True)}, more than {limit}{doubt}"
        )
    seen = found.test.detectable
    blunt = ""
    if seen is not None and seen > found.threshold:
        blunt = f"; {limit} would often be missed: judge more answers"
    moved = number(shift, 2, signed=True)
    return f"  no alarm: the mean moved by {moved}, not more than {limit}{blunt}"


def _told(found: Estimate, *, signed: bool = False) -> str:
    if found.value is None:
        return f"{UNDEFINED}: {inert(found.why)}"
    return ranged(found, signed=signed)
