"""A pairwise judge's ranking by win rate, as text and as data. Pure.

Everything foreign goes through `inert`. Rates are per cent; numbers in JSON are not rounded. What each
figure means stands in docs/statistics.md; the notes under a table say it in short.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from data import codec
from data.codec import replace
from data.schema import Struct
from engine import figures
from engine.cells import inert
from engine.duels import DuelTable, Pairing
from engine.reports.plain import Heading, grid_lines, paragraph
from engine.reports.ranked import (
    ALIKE,
    APART,
    overlap,
    p_value,
    plain_ranking,
    rank_span,
    signed,
    verdict,
)
from engine.reports.table import ranks
from engine.stats.design import TOTAL
from engine.stats.length_control import LengthControlled
from engine.stats.ranking import Pair, Ranking, Standing
from engine.stats.resample import RESAMPLES
from engine.stats.stratified import Estimate

UNIT = "win %"
_FIRST = (Heading("rank"), Heading("model", right=False), Heading(UNIT), Heading("95 % CI"))
_NEXT = (Heading("rank CI"), Heading("lead  "), Heading("p Holm"), Heading("MDD"))
_WIDE = 100
"""Cells from which on there is room for more than names."""
_LAST = (Heading("p", optional=True), Heading("p flip", optional=True))


class Won(Struct, frozen=True, kw_only=True):
    """One pairwise judge's rankings by win rate (the total, or every category)."""

    table: DuelTable
    rankings: tuple[Ranking, ...]
    clusters: int | None
    """Subcategories, where those are what was sampled."""
    equal_length: Mapping[str, LengthControlled] = {}
    """By model, against the baseline; empty without one."""

    @property
    def judge(self) -> str:
        return self.table.judge


def lines(won: Won, columns: int, *, title: str) -> list[str]:
    """Tables with their notes, `columns` cells wide."""
    found = ["", title]
    for ranking in won.rankings:
        if ranking.column != TOTAL:
            found += ["", inert(ranking.column)]
        found += _table(won, ranking, columns)
        for text in verdict(ranking):
            found += paragraph(text, columns, first="  ", rest="    ")
    for note in _notes(won):
        found += paragraph(note, columns, first="  * ")
    return found


def plain(won: Won) -> dict[str, Any]:
    """As data, without the games of each question."""
    table = won.table
    return {
        "judge": table.judge,
        "unit": UNIT,
        "baseline": table.baseline,
        "clusters": won.clusters,
        "consistency": table.consistency,
        "first_wins": table.first_wins,
        "games": table.rows,
        "pairings": [codec.plain(replace(one, questions={})) for one in table.pairings],
        "rankings": [plain_ranking(one) for one in won.rankings],
        "equal_length": won.equal_length,
    }


def percent(value: float | None) -> str:
    """A rate that is per cent already: 62.3"""
    return figures.NONE if value is None else f"{value:.1f}"


def games_line(pairings: Sequence[Pairing]) -> str:
    """How the games ended: decided, tied, or the other way round when turned."""
    counts = {
        name: sum(getattr(one, name) for one in pairings)
        for name in ("wins", "ties", "losses", "inconsistent", "missing")
    }
    decided, gone = counts["wins"] + counts["losses"], counts["missing"]
    games = decided + counts["ties"] + counts["inconsistent"]
    if not games:
        return f"No game has a result; {figures.count(gone)} are missing."
    kinds = (
        (decided, "decided"),
        (counts["ties"], "ties"),
        (counts["inconsistent"], "inconsistent (another verdict when turned)"),
    )
    told = ", ".join(f"{100 * n / games:.1f} % {what}" for n, what in kinds)
    missing = f"; {figures.count(gone)} more are missing" if gone else ""
    return f"Of {figures.count(games)} games {told}{missing}."


# --- a table -----------------------------------------------------------------------------------


def _table(won: Won, ranking: Ranking, columns: int) -> list[str]:
    if not ranking.standings:
        return ["  nobody is ranked"]
    shared = ranks([one.estimate.value for one in ranking.standings])
    nexts: list[Pair | None] = [*ranking.neighbours, None]
    lc = bool(won.equal_length) and ranking.column == TOTAL
    last = _LAST if columns >= _WIDE else ()
    heads = (*_FIRST, *((Heading("LC %"),) if lc else ()), *_NEXT, *last)
    rows = [
        _row(won, one, rank, pair, lc)
        for one, rank, pair in zip(ranking.standings, shared, nexts, strict=True)
    ]
    return grid_lines(heads, [row[: len(heads)] for row in rows], columns)


def _row(won: Won, one: Standing, rank: str, pair: Pair | None, lc: bool) -> list[str]:
    guess = one.estimate
    fixed = one.model == won.table.baseline
    found = [rank, inert(one.model), percent(guess.value)]
    found.append("baseline" if fixed else _span(guess))
    if lc:
        equal = won.equal_length.get(one.model)
        rate = None if equal is None or equal.win_rate is None else 100 * equal.win_rate
        found.append(percent(rate))
    found.append(rank_span(one.rank_low, one.rank_high))
    if pair is None:
        return [*found, *[""] * (len(_NEXT) - 1 + len(_LAST))]
    comparison = pair.comparison
    return [
        *found,
        f"{_lead(comparison.effect)} {APART if pair.told_apart else ALIKE}",
        p_value(pair.p_holm),
        percent(comparison.detectable),
        p_value(comparison.p),
        p_value(comparison.p_flip),
    ]


def _span(guess: Estimate) -> str:
    """89.8–92.7; a rate lies between 0 and 100 whatever its normal interval says."""
    if guess.low is None or guess.high is None:
        return figures.NONE
    return f"{percent(max(guess.low, 0.0))}–{percent(min(guess.high, 100.0))}"


def _lead(effect: Estimate) -> str:
    if effect.value is None:
        return figures.NONE
    half = "" if effect.low is None else f" ±{percent(effect.value - effect.low)}"
    return f"{effect.value:.1f}{half}" if effect.value >= 0 else signed(effect.value) + half


# --- in words ----------------------------------------------------------------------------------


def _notes(won: Won) -> list[str]:
    found = [_legend(won)] if any(len(one.standings) > 1 for one in won.rankings) else []
    found.append(_judge_note(won.table))
    if len(won.rankings) == 1 and (text := overlap(won.rankings[0])):
        found.append(text)
    missing = [pair.comparison.left_out for one in won.rankings for pair in one.pairs]
    if any(missing):
        found.append(
            "A pair is compared on the questions that both have a game on (left out: up to"
            f" {figures.count(max(missing))})."
        )
    if won.equal_length and won.rankings[0].column == TOTAL:
        found.append(_length_note(won))
    return found


def _legend(won: Won) -> str:
    one = won.rankings[0]
    against = f"against {inert(won.table.baseline)}" if won.table.baseline else "against all others"
    sampled = "questions" if won.clusters is None else f"{won.clusters} subcategories"
    pairs = "one pair" if one.family == 1 else f"all {figures.count(one.family)} pairs"
    where = "" if len(won.rankings) == 1 else " of all categories"
    return (
        f"{UNIT}: {against}; a draw (a tie or an inconsistent game) is half a win. All games on one"
        f" question are one observation. rank CI: over {figures.count(RESAMPLES)} resamples of the"
        f" {sampled}. lead: over the next model on the same questions, in points, ± half its 95 % CI;"
        f" {APART} told apart, {ALIKE} not (Holm over {pairs}{where}, 5 %). MDD: the smallest true lead"
        " that a single comparison finds with 80 % power."
    )


def _judge_note(table: DuelTable) -> str:
    text = games_line(table.pairings)
    if table.consistency is not None:
        text += f" Same verdict in both positions: {figures.percent(table.consistency)}."
    if table.first_wins is not None:
        text += (
            f" Shown first and found better: {figures.percent(table.first_wins)} of decided verdicts"
            " (50 % without a bias)."
        )
    return text


def _length_note(won: Won) -> str:
    effects = [one.length_effect for one in won.equal_length.values() if one.length_effect]
    text = "LC %: the win rate if both answers had the same length (AlpacaEval, minimal variant)."
    if effects:
        middle = statistics.median(effects)
        text += f" Taste for length: phi {middle:+.2f} (median; above 0 the longer answer tends to win)."
    unknown = sorted({one.reason for one in won.equal_length.values() if one.reason})
    if unknown:
        text += f" Undefined where {inert('; '.join(unknown))}."
    return text
