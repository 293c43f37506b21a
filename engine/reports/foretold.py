"""What a benchmark foretells of its sweep, in 80 columns; and after the sweep, what became of it.

Intervals hold 80 %. Names are other people's words and inert.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine import figures
from engine.benching.predicted import Between, Choice, Prediction, Scenario
from engine.cells import inert
from engine.reports.plain import Heading, grid_lines, paragraph

HEADS = (
    Heading("in flight", right=False),
    Heading("takes"),
    Heading("80%"),
    Heading("costs"),
    Heading("80%"),
    Heading("decided by", right=False),
)


def lines(found: Prediction, columns: int) -> Iterator[str]:
    """The rest of the sweep at every rung, what to choose, and what is the cheapest."""
    calls = sum(leg.calls for leg in found.legs)
    if not calls:
        yield "this sweep: nothing is left to send"
        return
    yield f"the rest of this sweep ({calls:,} calls), in {inert(found.currency)}:"
    yield from grid_lines(HEADS, [_row(one, found) for one in found.ladder], columns, name=0)
    for choice in found.choices:
        yield from paragraph(_told(choice, found), columns, first=f"{choice.plan}: ", rest="  ")
    if sentence := _targets(found):
        yield from paragraph(sentence, columns, rest="  ")
    if found.missing:
        names = ", ".join(map(inert, found.missing))
        yield from paragraph(f"not measured, so in no figure: {names}", columns, rest="  ")
    if any(leg.on_references for leg in found.legs):
        yield from paragraph(
            "judges were only shown reference answers; verdicts on models' answers may differ, so"
            " the intervals are wider. To narrow them: alignsweep generate SWEEP --limit 20, then"
            " bench again",
            columns,
            first="note: ",
            rest="  ",
        )


def _row(one: Scenario, found: Prediction) -> list[str]:
    places = sorted(set(one.in_flight.values()))
    mark = "" if one.sound or one.duration_s is None else "!"
    why = one.bottleneck or f"not measured: {', '.join(one.unknown)}"
    return [
        mark + "/".join(map(str, places)),
        _span(one.duration_s),
        _spans(one.duration_s),
        _money(one.cost),
        _moneys(one.cost),
        inert(why) + _late(one, found),
    ]


def _late(one: Scenario, found: Prediction) -> str:
    return " (too late)" if found.deadline_s is not None and one.in_time is False else ""


def _told(choice: Choice, found: Prediction) -> str:
    one = choice.scenario
    places = ", ".join(f"{inert(name)} {n}" for name, n in one.in_flight.items())
    if one.duration_s is None:
        return f"{places} in flight: not measured ({', '.join(map(inert, one.unknown))})"
    text = (
        f"{places} in flight: {_span(one.duration_s)} ({_spans(one.duration_s)}),"
        f" {_money(one.cost)} ({_moneys(one.cost)}); {inert(one.bottleneck)} decides"
    )
    if one.stops:
        text += f"; the budget ends it after {one.done:.0%} of the work"
    if found.deadline_s is not None:
        text += "; in time" if one.in_time else "; TOO LATE for the deadline"
    return f"{text} ({choice.why})"


def _targets(found: Prediction) -> str:
    """The cheapest and the fastest of the models, and of the judges."""
    said = []
    for kind in ("model", "judge"):
        own = [t for t in found.targets if t.target.startswith(f"{kind}:")]
        priced = [(t.cost / t.calls, t.target) for t in own if t.cost is not None and t.calls]
        timed = [(t.per_min, t.target) for t in own if t.per_min is not None]
        if len(own) > 1 and priced and timed:
            said.append(
                f"cheapest {kind}: {inert(min(priced)[1])}; fastest {kind}: {inert(max(timed)[1])}"
            )
    return "; ".join(said)


def afterwards(then: Scenario, took_s: float, cost: int | None, currency: str) -> str:
    """Predicted beside what it took, for the last lines of a run."""
    assert then.duration_s is not None
    foretold = f"predicted {_span(then.duration_s)} ({_spans(then.duration_s)})"
    took = f"took {figures.span(took_s)}"
    if then.cost is not None and cost is not None:
        foretold += f", {figures.money(round(then.cost.est), currency)} ({_moneys(then.cost)})"
        took += f", {figures.money(cost, currency)}"
    return f"{foretold}; {took}"


def _span(found: Between | None) -> str:
    return figures.span(None if found is None else found.est)


def _spans(found: Between | None) -> str:
    if found is None:
        return figures.NONE
    return f"{figures.span(found.low)}–{figures.span(found.high)}"


def _money(found: Between | None) -> str:
    return figures.NONE if found is None else figures.money(round(found.est))


def _moneys(found: Between | None) -> str:
    if found is None:
        return figures.NONE
    return f"{figures.money(round(found.low))}–{figures.money(round(found.high))}"
