"""Two models side by side, as text and as JSON, ending in a plain sentence. Pure.

Everything foreign goes through `inert`. Numbers in JSON are not rounded. What each figure means stands
in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data import codec
from data.codec import replace
from data.schema import QuestionId, Struct
from engine import figures
from engine.cells import cut, inert, width
from engine.duels import Pairing
from engine.reports.plain import Heading, grid_lines, paragraph
from engine.reports.ranked import p_value, signed
from engine.reports.table import TOTAL
from engine.reports.won import games_line
from engine.stats.battles import WinRate
from engine.stats.length_control import LengthControlled
from engine.stats.paired import ALPHA, Comparison

SCHEMA = "alignsweep.compare/1"
LARGEST = 5
"""Questions shown on either side."""
_HEADS = (
    Heading("", right=False),
    Heading("A"),
    Heading("B"),
    Heading("A - B"),
    Heading("95 % CI"),
    Heading("p"),
    Heading("MDD"),
    Heading("W:T:L"),
    Heading("p flip", optional=True),
    Heading("left out", optional=True),
)


class Line(Struct, frozen=True, kw_only=True):
    """One column of the table: both means on the questions that both have, and the difference."""

    name: str
    kind: str
    """total, group or category."""
    mean_a: float | None
    mean_b: float | None
    comparison: Comparison
    p: float | None
    """For categories after Holm, over all categories."""


class Apart(Struct, frozen=True, kw_only=True):
    """A question on which the two differ much."""

    question: QuestionId
    category: str
    a: float
    b: float
    text: str


class Compared(Struct, frozen=True, kw_only=True):
    """Two models as one judge sees them."""

    judge: str
    a: str
    b: str
    lines: tuple[Line, ...]
    """The total first."""
    refused: str
    """Why there is no total, if there is none."""
    win_rate: WinRate
    equal_length: LengthControlled
    largest: tuple[Apart, ...]
    """Largest differences first, those in favour of a before those of b."""
    questions: int
    clusters: int | None
    games: tuple[Pairing, ...] = ()
    """Of a judge that compares two answers: those behind the lines, each from A's or B's side. Then all
    values are win rates in per cent."""
    baseline: str = ""
    """Whom both were compared with, if not each other."""

    @property
    def unit(self) -> str:
        """What the total counts."""
        return "win %" if self.games else TOTAL

    @property
    def total(self) -> Comparison:
        return self.lines[0].comparison

    @property
    def told_apart(self) -> bool:
        """By the total, at 5 %."""
        return not self.refused and self.total.p is not None and self.total.p < ALPHA


def lines(one: Compared, columns: int, *, title: str) -> list[str]:
    """Title, table, largest differences, the sentence."""
    rows = [_row(one, line) for line in one.lines]
    found = ["", title, f"  A = {inert(one.a)}", f"  B = {inert(one.b)}"]
    if one.games:
        how = f"each against {inert(one.baseline)}" if one.baseline else "against each other"
        found += paragraph(f"{one.unit}: {how}, a draw is half a win", columns, first="  ")
    found += grid_lines(_HEADS, rows, columns, name=0)
    for note in _notes(one):
        found += paragraph(note, columns, first="  * ")
    for head, ours in (("Better by A", True), ("Better by B", False)):
        questions = [q for q in one.largest if (q.a > q.b) is ours]
        if questions:
            found += ["", head, *(_question(q, columns) for q in questions)]
    return [*found, "", *paragraph(conclusion(one), columns)]


def between_judges(all_compared: Sequence[Compared], columns: int) -> list[str]:
    """What the judges have in common."""
    if len(all_compared) < 2:
        return []
    n = len(all_compared)
    for_a = sum(one.told_apart and (one.total.effect.value or 0) > 0 for one in all_compared)
    for_b = sum(one.told_apart and (one.total.effect.value or 0) < 0 for one in all_compared)
    a, b = inert(all_compared[0].a), inert(all_compared[0].b)
    if for_a and for_b:
        text = (
            f"Of {n} judges {for_a} find {a} better and {for_b} find {b} better: it depends on the"
            " judge."
        )
    elif for_a or for_b:
        who = a if for_a else b
        share = f"All {n} judges" if for_a + for_b == n else f"{for_a + for_b} of {n} judges"
        text = f"{share} find {who} better" + (
            "." if for_a + for_b == n else "; the others cannot tell."
        )
    else:
        text = f"None of {n} judges can tell them apart."
    return ["", *paragraph(text, columns)]


def conclusion(one: Compared) -> str:
    """One plain sentence."""
    a, b, effect = inert(one.a), inert(one.b), one.total.effect
    if one.refused or effect.value is None:
        return f"No conclusion on {one.unit}: {inert(one.refused or effect.reason)}."
    if effect.low is None or effect.high is None or one.total.p is None:
        return f"No conclusion on {one.unit}: {inert(effect.reason)}."
    asked = f"{figures.count(effect.n)} questions"
    if one.games and not one.baseline:
        return _by_games(one, a, b, asked)
    if one.told_apart:
        better, worse = (a, b) if effect.value > 0 else (b, a)
        low, high = sorted((abs(effect.low), abs(effect.high)))
        return (
            f"{better} is better than {worse}: {abs(effect.value):.2f} more in {_what(one)} on the same"
            f" {asked} (95 % interval {low:.2f} to {high:.2f}, p {_p(one.total.p)})."
        )
    return (
        f"{a} and {b} cannot be told apart on these {asked}: the difference of {effect.value:+.2f} in"
        f" {_what(one)} may lie anywhere from {effect.low:+.2f} to {effect.high:+.2f}"
        f" (p {_p(one.total.p)}); a true difference below {one.total.detectable or 0:.2f} would often"
        " be missed."
    )


def _what(one: Compared) -> str:
    return f"{one.unit} against {inert(one.baseline)}" if one.baseline else one.unit


def _by_games(one: Compared, a: str, b: str, asked: str) -> str:
    """Two models that met: the rate of the better one, as people say it. `A - B` is twice its lead."""
    effect, total = one.total.effect, one.total
    assert effect.value is not None
    assert effect.low is not None
    assert effect.high is not None
    assert total.p is not None
    better, worse, sign = (a, b, 1) if effect.value >= 0 else (b, a, -1)
    rate = 50 + abs(effect.value) / 2
    low, high = sorted(min(max(50 + sign * end / 2, 0), 100) for end in (effect.low, effect.high))
    if one.told_apart:
        return (
            f"{better} beats {worse}: it wins {rate:.1f} % of their games on the same {asked}"
            f" (95 % interval {low:.1f} to {high:.1f}, p {_p(total.p)})."
        )
    return (
        f"{a} and {b} cannot be told apart on these {asked}: {better} wins {rate:.1f} % of their games, and"
        f" it may be anything from {low:.1f} to {high:.1f} (p {_p(total.p)}); a true rate below"
        f" {50 + (total.detectable or 0) / 2:.1f} would often be missed."
    )


def document(all_compared: Sequence[Compared], facts: dict[str, Any]) -> bytes:
    """One JSON object and a newline."""
    judges = [
        {**_plain(one), "told_apart": one.told_apart, "conclusion": conclusion(one)}
        for one in all_compared
    ]
    return codec.encode({"schema": SCHEMA, **facts, "judges": judges}) + b"\n"


def _plain(one: Compared) -> dict[str, Any]:
    games = tuple(replace(pairing, questions={}) for pairing in one.games)
    return {**codec.plain(replace(one, games=games)), "unit": one.unit}


# --- rows --------------------------------------------------------------------------------------


def _row(compared: Compared, line: Line) -> list[str]:
    one, effect, refused = line.comparison, line.comparison.effect, compared.refused
    name = {"total": compared.unit, "group": inert(line.name)}.get(
        line.kind, f"  {inert(line.name)}"
    )
    counts = f"{one.wins}:{one.ties}:{one.losses}"
    if refused and line.kind != "category":
        dashes = [figures.NONE] * 6
        return [name, *dashes, counts, figures.NONE, figures.count(one.left_out)]
    return [
        name,
        figures.score(line.mean_a),
        figures.score(line.mean_b),
        figures.NONE if effect.value is None else signed(effect.value),
        _span(effect.low, effect.high),
        p_value(line.p),
        figures.score(one.detectable),
        counts,
        p_value(one.p_flip),
        figures.count(one.left_out),
    ]


def _question(one: Apart, columns: int) -> str:
    scores = f"{_short(one.a):>4} : {_short(one.b):<4}"
    head = f"  {inert(str(one.question)):>6}  {scores}  {inert(one.category)}  "
    return head + cut(inert(one.text), max(columns - width(head), 0))


def _short(score: float) -> str:
    """9.5, 8.33, 7"""
    return f"{score:.2f}".rstrip("0").rstrip(".")


def _notes(one: Compared) -> list[str]:
    what = "questions" if one.clusters is None else f"{one.clusters} subcategories"
    found = [
        f"95 % CI and p: paired, over {what}; categories: p after Holm. MDD: the smallest true"
        " difference found with 80 % power. W:T:L: questions that A won, tied, lost."
    ]
    if one.total.left_out:
        found.append(
            f"Left out: {figures.count(one.total.left_out)} of {figures.count(one.questions)} questions"
            " without a score for both. A and B are the means on the others."
        )
    rate = one.win_rate
    if one.games:
        found.append(games_line(one.games) + _length_note(one))
    elif rate.adjusted is not None:
        interval = "" if rate.low is None else f" ({_percent(rate.low)}–{_percent(rate.high)})"
        text = f"A wins {_percent(rate.adjusted)} of the questions, a tie as half{interval}"
        found.append(text + _equal_length(one.equal_length))
    unknown = [
        line for line in one.lines if line.kind == "category" and line.comparison.effect.reason
    ]
    empty = [inert(line.name) for line in unknown if line.comparison.effect.value is None]
    if empty:
        found.append(f"No question with a score for both in {', '.join(empty)}.")
    found += [
        f"{inert(line.name)}: {inert(line.comparison.effect.reason)}."
        for line in unknown
        if line.comparison.effect.value is not None
    ]
    return found


def _length_note(one: Compared) -> str:
    """Of two that met; through a baseline there is no rate of one against the other."""
    return "" if one.baseline else f" A wins{_equal_length(one.equal_length).removeprefix(';')}"


def _equal_length(one: LengthControlled) -> str:
    if one.win_rate is None:
        return f"; at equal length: undefined ({inert(one.reason)})."
    mean = ""
    if one.mean_lengths is not None:
        ours, theirs = (figures.count(round(length)) for length in one.mean_lengths)
        mean = f" Mean length: A {ours}, B {theirs} characters."
    return f"; at equal length {_percent(one.win_rate)} ({_percent(one.low)}–{_percent(one.high)}).{mean}"


def _span(low: float | None, high: float | None) -> str:
    return figures.NONE if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def _percent(share: float | None) -> str:
    return figures.NONE if share is None else f"{100 * share:.1f} %"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
