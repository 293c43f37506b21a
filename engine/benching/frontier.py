"""Which judge is worth its money and time: cost, speed and agreement side by side. Pure.

Agreement is Spearman's correlation over answers of the sweep's run, with its bootstrap interval: with
people's scores where there is a file of them (of labelled pairs: the share that is ordered alike), else
with the mean of the run's other judges. A judge is dominated where another is better in one of the three
by more than `SAME` and worse in none by more than that.

Under load: a judge's share of readable replies and its scores at the highest rung beside those at the
lowest. Scores are compared question by question (Student's t of the differences) where enough questions
were asked at both, else as two samples (Welch). Shares: Newcombe's interval of a difference (Statistics in
Medicine 17, 1998, method 10).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, variance

from data.codec import replace
from data.schema import Block, QuestionId, Struct, Timing
from engine.agreement.estimate import Estimate
from engine.benching.document import Document, chosen
from engine.benching.quantiles import TAIL, Range, Share, share
from engine.stats.student import quantile

SAME = 0.02
PAIRED = 20
"""Questions asked at both loads, from which on they are compared one by one."""


class UnderLoad(Struct, frozen=True, kw_only=True):
    """Highest rung less lowest."""

    low: float
    high: float
    """Calls in flight."""
    parsed: Range | None
    score: Range | None
    questions: int
    """Compared one by one; 0: two samples."""

    @property
    def shifted(self) -> bool:
        """Does either interval leave 0 out?"""
        return any(
            found is not None and _leaves_out_0(found) for found in (self.parsed, self.score)
        )


class JudgePoint(Struct, frozen=True, kw_only=True):
    """One judge. Money: nano-units a readable verdict; speed: those a minute at its rung."""

    judge: str
    agreement: Estimate | None
    beside: str
    """humans, labels, or other judges."""
    cost: float | None
    per_min: float | None
    level: float | None
    dominated_by: str = ""
    under_load: UnderLoad | None = None


def frontier(
    doc: Document,
    blocks: Sequence[tuple[Block, Sequence[Timing]]],
    agreements: dict[str, Estimate],
    beside: str,
) -> list[JudgePoint]:
    """The benchmark's judges, in the sweep's order. `agreements`: by judge; may lack some."""
    points = []
    for report in doc.targets:
        kind, _, name = report.target.partition(":")
        if kind != "judge":
            continue
        rung = chosen(report)
        money = rung.money.per_useful if rung is not None else None
        rate = rung.useful_per_min if rung is not None else None
        points.append(
            JudgePoint(
                judge=name,
                agreement=agreements.get(name),
                beside=beside if name in agreements else "",
                cost=None if money is None else money.est,
                per_min=None if rate is None else rate.est,
                level=None if rung is None else rung.level,
                under_load=under_load([b for b in blocks if b[0].target == report.target]),
            )
        )
    return [_placed(point, points) for point in points]


def _placed(point: JudgePoint, points: Sequence[JudgePoint]) -> JudgePoint:
    better = next((other.judge for other in points if _dominates(other, point)), "")
    return replace(point, dominated_by=better)


def _dominates(a: JudgePoint, b: JudgePoint) -> bool:
    ours, theirs = _merits(a), _merits(b)
    if a is b or ours is None or theirs is None:
        return False
    pairs = list(zip(ours, theirs, strict=True))
    no_worse = all(x >= y - SAME * abs(y) for x, y in pairs)
    return no_worse and any(x > y + SAME * abs(y) for x, y in pairs)


def _merits(point: JudgePoint) -> tuple[float, float, float] | None:
    """Agreement, cheapness, speed: more is better; None where one is unknown."""
    agreement = point.agreement.value if point.agreement is not None else None
    if agreement is None or point.cost is None or point.per_min is None:
        return None
    return agreement, -point.cost, point.per_min


# --- under load --------------------------------------------------------------------------------


def under_load(blocks: Sequence[tuple[Block, Sequence[Timing]]]) -> UnderLoad | None:
    """Of one judge; None where there is only one rung."""
    rungs: dict[float, list[Timing]] = defaultdict(list)
    for block, timings in blocks:
        if block.load == "closed":
            rungs[block.level] += timings
    if len(rungs) < 2:
        return None
    low, high = min(rungs), max(rungs)
    score, questions = _score_shift(_scores(rungs[low]), _scores(rungs[high]))
    parsed = _difference(_parsed(rungs[high]), _parsed(rungs[low]))
    return UnderLoad(low=low, high=high, parsed=parsed, score=score, questions=questions)


def _parsed(timings: Sequence[Timing]) -> Share:
    read = [t for t in timings if not t.error and t.end != "refused"]
    return share(sum(t.end == "useful" for t in read), len(read))


def _scores(timings: Sequence[Timing]) -> dict[QuestionId, list[float]]:
    found: dict[QuestionId, list[float]] = defaultdict(list)
    for timing in timings:
        if timing.score is not None:
            found[timing.question_id].append(timing.score)
    return found


def _score_shift(
    low: dict[QuestionId, list[float]], high: dict[QuestionId, list[float]]
) -> tuple[Range | None, int]:
    both = [q for q in low if q in high]
    if len(both) >= PAIRED:
        apart = [fmean(high[q]) - fmean(low[q]) for q in both]
        return _around(fmean(apart), variance(apart) / len(apart), len(apart) - 1), len(both)
    a, b = ([s for scores in one.values() for s in scores] for one in (low, high))
    if min(len(a), len(b)) < 2:
        return None, 0
    va, vb = variance(a) / len(a), variance(b) / len(b)
    rest = va**2 / (len(a) - 1) + vb**2 / (len(b) - 1)
    freedom = (va + vb) ** 2 / rest if rest else float(len(a) + len(b) - 2)
    return _around(fmean(b) - fmean(a), va + vb, freedom), 0


def _around(middle: float, squared: float, freedom: float) -> Range:
    half = quantile(1 - TAIL, freedom) * math.sqrt(squared)
    return Range(middle, middle - half, middle + half)


def _difference(high: Share, low: Share) -> Range | None:
    if high.est is None or low.est is None:
        return None
    middle = high.est - low.est
    down = math.hypot(high.est - high.low, low.high - low.est)
    up = math.hypot(high.high - high.est, low.est - low.low)
    return Range(middle, middle - down, middle + up)


def _leaves_out_0(found: Range) -> bool:
    return found.low is not None and found.high is not None and not found.low <= 0 <= found.high
