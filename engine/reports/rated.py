"""Bradley-Terry ratings as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data import codec
from data.schema import Struct
from engine import figures
from engine.cells import inert
from engine.reports.plain import Heading, grid_lines, paragraph
from engine.reports.ranked import signed
from engine.stats.battles import TIE_WITHIN
from engine.stats.bradley_terry import Ratings
from engine.stats.resample import RESAMPLES
from engine.stats.style_control import StyleControlled

SCHEMA = "alignsweep.rating/1"
_HEADS = (
    Heading("rank"),
    Heading("model", right=False),
    Heading("rating"),
    Heading("95 % CI"),
    Heading("equal style"),
    Heading("95 % CI", optional=True),
)


class Rated(Struct, frozen=True, kw_only=True):
    """One judge's ratings, plain and at equal style."""

    judge: str
    ratings: Ratings
    styled: StyleControlled | None
    """None where ties have a chance of their own: the two scales would not be one."""
    unranked: tuple[str, ...]
    games: str = ""
    """Of a judge that compares two answers: how its games ended. Empty: battles are made of scores."""


def lines(rated: Rated, columns: int, *, title: str) -> list[str]:
    """The table with its notes."""
    found = ["", title]
    if rated.ratings.reason:
        return [
            *found,
            *paragraph(f"no ratings: {inert(rated.ratings.reason)}", columns, first="  "),
        ]
    styled = {one.model: one for one in rated.styled.ratings} if rated.styled else {}
    heads = _HEADS if rated.styled else _HEADS[:4]
    rows: list[list[str]] = []
    for place, one in enumerate(rated.ratings.ratings, start=1):
        other = styled.get(one.model)
        rows.append(
            [
                str(place),
                inert(one.model),
                f"{one.value:.0f}",
                _span(one.low, one.high),
                figures.NONE if other is None else f"{other.value:.0f}",
                figures.NONE if other is None else _span(other.low, other.high),
            ]
        )
    found += grid_lines(heads, [row[: len(heads)] for row in rows], columns)
    for note in _notes(rated):
        found += paragraph(note, columns, first="  * ")
    return found


def document(all_rated: Sequence[Rated], facts: dict[str, Any]) -> bytes:
    """One JSON object and a newline."""
    return codec.encode({"schema": SCHEMA, **facts, "judges": list(all_rated)}) + b"\n"


def _notes(rated: Rated) -> list[str]:
    one = rated.ratings
    ties = "count half a win"
    if one.tie_strength is not None:
        ties = f"have a chance of their own (nu = {one.tie_strength:.2f})"
    battles = (
        f"{rated.games} Ties and inconsistent games {ties}."
        if rated.games
        else f"{figures.count(one.battles)} battles, one per question and pair; scores within"
        f" {TIE_WITHIN:g} of each other are ties ({figures.count(one.ties)}) and {ties}."
    )
    found = [
        f"{battles} Every question counts the same, whatever its category"
        f"{'' if rated.games else ', so the order may differ from the total’s'}. 400 points are odds of"
        f" 10 to 1. 95 % CI: over {figures.count(RESAMPLES)} resamples of the questions, each with all"
        " its battles."
    ]
    if rated.styled is None:
        found.append("Ratings at equal style: with --ties half.")
    elif rated.styled.reason:
        found.append(f"No rating at equal style: {inert(rated.styled.reason)}.")
    elif rated.styled.effects:
        worth = ", ".join(f"{name} {signed(value)}" for name, value in rated.styled.effects.items())
        found.append(
            "equal style: the rating if answers had the same length and markdown. What the judge"
            f" gives for more of it (log odds per typical difference): {worth}."
        )
    if rated.unranked:
        found.append(f"Not rated, coverage too low: {', '.join(map(inert, rated.unranked))}.")
    return found


def _span(low: float | None, high: float | None) -> str:
    return figures.NONE if low is None or high is None else f"{low:.0f}–{high:.0f}"
