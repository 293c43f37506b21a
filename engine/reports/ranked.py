"""Rankings as text and as JSON: who stands where, and which ranks are told apart. Pure.

Everything foreign goes through `inert`. Numbers in JSON are not rounded. What each figure means stands
in docs/statistics.md; the notes under a table say it in short.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

from data import codec
from data.schema import Struct
from engine import figures
from engine.cells import inert
from engine.money import Amount, formatted
from engine.reports.plain import Heading, grid_lines, paragraph
from engine.reports.table import TOTAL, ranks
from engine.stats.design import TOTAL as TOTAL_COLUMN
from engine.stats.panel import FAR, Disagreement
from engine.stats.ranking import Pair, Ranking, Standing
from engine.stats.resample import RESAMPLES
from engine.stats.stratified import Estimate
from engine.stats.variance import Noise, Worth

SCHEMA = "alignsweep.rank/1"
APART, ALIKE = ">", "~"
_FIRST = (Heading("rank"), Heading("model", right=False))
_REST = (
    Heading("95 % CI"),
    Heading("rank CI"),
    Heading("lead  "),
    Heading("p Holm"),
    Heading("MDD"),
    Heading("p", optional=True),
    Heading("p flip", optional=True),
    Heading("ahead", optional=True),
)


class Judged(Struct, frozen=True, kw_only=True):
    """One judge's rankings (the total, or every category) and what goes with them."""

    judge: str
    rankings: tuple[Ranking, ...]
    clusters: int | None
    """Subcategories, where those are what was sampled."""
    noise: tuple[Noise, ...] = ()
    worth: Worth | None = None
    saved: tuple[Amount, ...] = ()
    """What the repeats cost that changed no rank; empty where unknown."""
    disagreement: Disagreement | None = None


def lines(judged: Judged, columns: int, *, title: str) -> list[str]:
    """One judge's tables with their notes, `columns` cells wide."""
    found = ["", title]
    for ranking in judged.rankings:
        if ranking.column != TOTAL_COLUMN:
            found += ["", inert(ranking.column)]
        found += _table(ranking, columns)
        for text in verdict(ranking):
            found += paragraph(text, columns, first="  ", rest="    ")
    for note in _notes(judged):
        found += paragraph(note, columns, first="  * ")
    return found


def between_judges(all_rankings: Sequence[Sequence[Ranking]], columns: int) -> list[str]:
    """What the judges' tables of totals have in common; each judge's rankings, one by one."""
    tables = [rankings[0] for rankings in all_rankings if len(rankings) == 1]
    if len(tables) < 2:
        return []
    told = [_told(table) for table in tables]
    same = set.intersection(*told)
    opposite = {
        pair for mine in told for pair in mine if any(pair[::-1] in other for other in told)
    }
    pairs = max(len(table.pairs) for table in tables)
    if not pairs:
        return []
    text = (
        f"Between the {len(tables)} judges: {figures.count(len(same))} of {figures.count(pairs)}"
        " pairs of models are told apart by every one of them, in the same order"
    )
    if opposite:
        names = sorted({tuple(sorted(pair)) for pair in opposite})
        shown = "; ".join(f"{inert(a)} and {inert(b)}" for a, b in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        text += f"; told apart in opposite orders: {shown}{more}."
    else:
        text += "; no pair in opposite orders."
    return ["", *paragraph(text, columns)]


def document(
    all_judged: Sequence[Judged], facts: dict[str, Any], won: Sequence[dict[str, Any]] = ()
) -> bytes:
    """One JSON object and a newline; `facts` come first. `won`: pairwise judges, as data already."""
    judges = [_plain(judged) for judged in all_judged]
    found = {"schema": SCHEMA, **facts, "judges": judges, "pairwise": won}
    return codec.encode(found) + b"\n"


# --- a table -----------------------------------------------------------------------------------


def _table(ranking: Ranking, columns: int) -> list[str]:
    if not ranking.standings:
        return ["  nobody is ranked"]
    shared = ranks([one.estimate.value for one in ranking.standings])
    nexts: list[Pair | None] = [*ranking.neighbours, None]
    placed = zip(ranking.standings, shared, nexts, strict=True)
    rows = [_row(one, rank, pair) for one, rank, pair in placed]
    score = Heading(TOTAL if ranking.column == TOTAL_COLUMN else "score")
    return grid_lines((*_FIRST, score, *_REST), rows, columns)


def _row(one: Standing, rank: str, pair: Pair | None) -> list[str]:
    guess = one.estimate
    first = [
        rank,
        inert(one.model),
        figures.score(guess.value),
        _span(guess.low, guess.high),
        rank_span(one.rank_low, one.rank_high),
    ]
    if pair is None:
        return [*first, *[""] * (len(_REST) - 2)]
    comparison = pair.comparison
    return [
        *first,
        f"{_lead(comparison.effect)} {APART if pair.told_apart else ALIKE}",
        p_value(pair.p_holm),
        figures.score(comparison.detectable),
        p_value(comparison.p),
        p_value(comparison.p_flip),
        figures.NONE if pair.outranks is None else figures.percent(pair.outranks),
    ]


def _span(low: float | None, high: float | None) -> str:
    """7.86–8.15"""
    return figures.NONE if low is None else f"{figures.score(low)}–{figures.score(high)}"


def p_value(p: float | None) -> str:
    """0.032, <0.001, >0.99; `–` where there is none."""
    if p is None:
        return figures.NONE
    if p < 0.001:
        return "<0.001"
    return ">0.99" if p > 0.99 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def signed(value: float) -> str:
    """+0.48, -0.03, and 0.00 without a sign."""
    shown = f"{value:+.2f}"
    return shown[1:] if float(shown) == 0 else shown


def _lead(effect: Estimate) -> str:
    if effect.value is None:
        return figures.NONE
    half = "" if effect.low is None else f" ±{figures.score(effect.value - effect.low)}"
    return signed(effect.value).removeprefix("+") + half


def rank_span(low: int | None, high: int | None) -> str:
    """3, 3–5, and `–` where there is no error to resample."""
    if low is None:
        return figures.NONE
    return str(low) if low == high else f"{low}–{high}"


# --- in words ----------------------------------------------------------------------------------


def verdict(ranking: Ranking) -> list[str]:
    """Which neighbours are told apart, who is not, and who has no rank."""
    found: list[str] = []
    if len(ranking.standings) > 1:
        apart = [
            f"{place} from {place + 1}"
            for place, pair in enumerate(ranking.neighbours, start=1)
            if pair.told_apart
        ]
        found.append(f"Neighbours told apart: {', '.join(apart) or 'none'}.")
        if ranking.runs:
            stretches = ", ".join(f"{first}-{last}" for first, last in ranking.runs)
            found.append(f"Cannot be told apart: ranks {stretches}.")
    by_reason: dict[str, list[str]] = {}
    for model, why in ranking.unranked:
        by_reason.setdefault(inert(why), []).append(inert(model))
    return [*found, *(f"Not ranked: {', '.join(who)} ({why})." for why, who in by_reason.items())]


def _notes(judged: Judged) -> list[str]:
    found = [_legend(judged)] if any(len(one.standings) > 1 for one in judged.rankings) else []
    if len(judged.rankings) > 1 or any(one.left_out for one in _comparisons(judged)):
        found += _left_out(judged)
    if len(judged.rankings) == 1 and (text := overlap(judged.rankings[0])):
        found.append(text)
    found += _noise_notes(judged)
    if judged.disagreement is not None:
        found.append(_panel_note(judged.disagreement))
    return found


def _legend(judged: Judged) -> str:
    one = judged.rankings[0]
    sampled = "questions" if judged.clusters is None else f"{judged.clusters} subcategories"
    asked = figures.count(one.questions)
    size = f"{asked} questions" if len(judged.rankings) == 1 else "the category's questions"
    pairs = "one pair" if one.family == 1 else f"all {figures.count(one.family)} pairs"
    where = "" if len(judged.rankings) == 1 else " of all categories"
    return (
        f"rank CI: over {figures.count(RESAMPLES)} resamples of the {sampled}. lead: over the next"
        f" model, on the same questions, ± half its 95 % CI; {APART} told apart, {ALIKE} not (Holm"
        f" over {pairs}{where}, 5 %). MDD: the smallest true lead that a single comparison on {size}"
        " finds with 80 % power."
    )


def _left_out(judged: Judged) -> list[str]:
    missing = [one.left_out for one in _comparisons(judged)]
    if not any(missing):
        return []
    most = figures.count(max(missing))
    return [
        f"A pair is compared on the questions that both have a score for (left out: up to {most})."
    ]


def _comparisons(judged: Judged) -> list[Any]:
    return [pair.comparison for one in judged.rankings for pair in one.pairs]


def overlap(ranking: Ranking) -> str:
    """Three ranks that show why stretches may overlap; empty if they do not."""
    for (first, end), (start, last) in pairwise(ranking.runs):
        for i, j, k in product(
            range(first, start), range(start, end + 1), range(end + 1, last + 1)
        ):
            if ranking.pair(i, k).told_apart:
                return (
                    f"Stretches may overlap: {j} cannot be told from {i}, nor from {k}; yet {i} can"
                    f" be told from {k}."
                )
    return ""


def _noise_notes(judged: Judged) -> list[str]:
    worth = judged.worth
    if worth is None:
        return []
    known = [one for one in judged.noise if one.share is not None]
    if not known:
        return []
    shares = [one.share or 0.0 for one in known]
    if not any(shares):
        return [
            f"The judge gave each answer one and the same score {worth.repeats} times: all but the first"
            f"{_cost(judged, (worth.repeats - 1) / worth.repeats)} taught nothing."
        ]
    now = statistics.median(one.se or 0.0 for one in known)
    without = statistics.median(one.se_without or 0.0 for one in known)
    low, high = figures.percent(min(shares)), figures.percent(max(shares))
    part = low if low == high else f"{low.removesuffix(' %')}-{high}"
    return [
        f"Judge noise is {part} of the squared standard errors, the choice of questions the rest."
        f" With {worth.repeats} repeats the standard error is {now:.3f} (median); with any number of"
        f" them it would still be {without:.3f}.",
        _worth_note(worth, judged),
    ]


def _worth_note(worth: Worth, judged: Judged) -> str:
    first = "first repeat" if worth.enough_to_tell == 1 else f"first {worth.enough_to_tell} repeats"
    if worth.enough_to_tell == worth.repeats:
        return f"All {worth.repeats} repeats were needed: fewer give another order."
    share = (worth.repeats - worth.enough_to_tell) / worth.repeats
    if worth.enough <= worth.enough_to_tell:
        cost = _cost(judged, share)
        return f"What came after the {first}{cost} changed no rank."
    swaps = "pair" if worth.swapped == 1 else "pairs"
    return (
        f"What came after the {first}{_cost(judged, share)} changed no order that can be told apart"
        f" ({worth.swapped} {swaps} swapped, all among models that are too close to call)."
    )


def _cost(judged: Judged, share: float) -> str:
    """`, 50 % of the judging (USD 12.30),`"""
    money = " + ".join(formatted(amount) for amount in judged.saved)
    return f" ({figures.percent(share)} of the judging{f', {money}' if money else ''})"


def _panel_note(one: Disagreement) -> str:
    names = ", ".join(inert(judge) for judge in one.judges)
    text = f"Panel of {names}; a score needs {one.quorum} of {len(one.judges)} judges."
    gaps = [
        (one.short, "scores by some of the judges"),
        (one.below_quorum, "left out for want of judges"),
        (one.no_majority, "left out for want of a majority"),
    ]
    counted = ", ".join(f"{figures.count(n)} {what}" for n, what in gaps if n)
    if counted:
        text += f" Of {figures.count(one.slots)}: {counted}."
    if one.unanimous is not None and one.mean_range is not None and one.far is not None:
        strict = ", ".join(
            f"{inert(judge)} {value:+.2f}"
            for judge, value in zip(one.judges, one.severity, strict=True)
            if value is not None
        )
        text += (
            f" All agree on {figures.percent(one.unanimous)}; they are {one.mean_range:.1f} apart on"
            f" average, {FAR:g} or more on {figures.percent(one.far)}. Against their mean: {strict}."
        )
    return text


# --- as data -----------------------------------------------------------------------------------


def _told(ranking: Ranking) -> set[tuple[str, str]]:
    return {(p.comparison.a, p.comparison.b) for p in ranking.pairs if p.told_apart}


def _plain(judged: Judged) -> dict[str, Any]:
    return {
        "judge": judged.judge,
        "clusters": judged.clusters,
        "rankings": [plain_ranking(one) for one in judged.rankings],
        "noise": judged.noise,
        "repeats": judged.worth,
        "saved": judged.saved,
        "disagreement": judged.disagreement,
    }


def plain_ranking(ranking: Ranking) -> dict[str, Any]:
    """One column's ranking as data."""
    return {
        "column": ranking.column,
        "questions": ranking.questions,
        "tests_corrected_together": ranking.family,
        "standings": ranking.standings,
        "unranked": [{"model": model, "reason": why} for model, why in ranking.unranked],
        "cannot_be_told_apart": ranking.runs,
        "pairs": ranking.pairs,
    }
