"""A canary: the same answers, judged by the same judge at two times. Has the judge changed?

A judge behind a moving alias may be another one tomorrow. So a fixed set of answers is judged again
(`--no-cache`, or nothing is asked), and the later scores are held against the earlier ones, answer by
answer; only the very same text counts as the same answer. The alarm is the shift of the mean beyond
a threshold; beside it stand a test of no shift, and the smallest shift that so many answers could have
shown. What the provider said it served is compared, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data.errors import ConfigError
from data.schema import Judgment, Struct
from data.text import printable
from engine.agreement.estimate import Estimate
from engine.agreement.reliability import quadratic_kappa
from engine.agreement.run_scores import Judged, judged_answers
from engine.agreement.sample import Pair, Sample, sample_of
from engine.agreement.shift import ShiftTest, mean_shift, share_within, shift_test
from engine.results import results
from engine.rundir import Stored

THRESHOLD = 0.2
"""Points of the judge's own scale."""


class Served(Struct, frozen=True):
    """What a provider said it served, and how often. Empty: it did not say."""

    model: str
    fingerprint: str
    verdicts: int


class CategoryShift(Struct, frozen=True):
    """One category's part of it."""

    category: str
    shift: Estimate


class Drift(Struct, frozen=True, kw_only=True):
    """One judge, earlier (A) and later (B). Shifts are later - earlier."""

    judge: str
    n: int
    questions: int
    not_compared: int
    """Answers that only one of the two runs has a score for, or whose text differs."""
    shift: Estimate
    threshold: float
    alarm: bool
    same: Estimate
    kappa: Estimate
    categories: tuple[CategoryShift, ...]
    served_before: tuple[Served, ...]
    served_after: tuple[Served, ...]
    cached: int
    """Later verdicts that came out of the cache: they say nothing about the judge of today."""
    test: ShiftTest = ShiftTest()

    @property
    def another_served(self) -> bool:
        """Whether the providers named different models (or fingerprints)."""
        return {(s.model, s.fingerprint) for s in self.served_before} != {
            (s.model, s.fingerprint) for s in self.served_after
        }


def drift(before: Stored, after: Stored, judge: str, *, threshold: float = THRESHOLD) -> Drift:
    """Raises ConfigError where the two runs cannot be compared or nothing was judged anew."""
    _check(before, after, judge)
    told_before, told_after = _served(before, judge), _served(after, judge)
    cached = told_after[1]
    if cached and cached == sum(s.verdicts for s in told_after[0]):
        raise ConfigError(
            f"every verdict of {printable(judge, 60)} in {after.folder} came out of the cache",
            how="nobody was asked; judge again with --no-cache",
        )
    rows, missed = _matched(judged_answers(before), judged_answers(after), judge)
    if not rows:
        raise ConfigError(
            f"{before.folder} and {after.folder} share no answer that {printable(judge, 60)}"
            " has scored in both",
            how="judge the same answers again: alignsweep judge SWEEP --answers … --no-cache",
        )
    sample = _sample(rows, judge)
    shift = mean_shift(sample)
    return Drift(
        judge=judge,
        n=len(rows),
        questions=sample.questions,
        not_compared=missed,
        shift=shift,
        threshold=threshold,
        alarm=abs(shift.value or 0.0) > threshold,
        same=share_within(sample, 0.0),
        kappa=quadratic_kappa(sample),
        categories=_categories(rows, judge),
        served_before=told_before[0],
        served_after=told_after[0],
        cached=cached,
        test=shift_test(sample),
    )


def common_judges(before: Stored, after: Stored) -> tuple[str, ...]:
    """Names of the judges that both runs have. Raises ConfigError if there are none."""
    later = {judge.name for judge in after.sweep.judges}
    found = tuple(judge.name for judge in before.sweep.judges if judge.name in later)
    if not found:
        raise ConfigError(f"{before.folder} and {after.folder} have no judge in common")
    return found


# --- inside ------------------------------------------------------------------------------------

Row = tuple[Judged, Judged]


def _check(before: Stored, after: Stored, judge: str) -> None:
    if before.header.run_id == after.header.run_id:
        raise ConfigError(
            f"{before.folder} and {after.folder} are one and the same run",
            how="judge the same answers again under another name: --fork NAME --no-cache",
        )
    rubrics = []
    for run in (before, after):
        spec = next(spec for spec in run.sweep.judges if spec.name == judge)
        rubrics.append(run.sweep.rubric_sha256.get(spec.rubric))
    if rubrics[0] != rubrics[1]:
        raise ConfigError(
            f"{printable(judge, 60)} judges by another rubric in {after.folder}",
            how="a canary changes nothing but the time",
        )


def _matched(
    before: Iterable[Judged], after: Iterable[Judged], judge: str
) -> tuple[list[Row], int]:
    earlier = {a.key: a for a in before if judge in a.scores}
    later = {a.key: a for a in after if judge in a.scores}
    rows = [
        (answer, later[key])
        for key, answer in earlier.items()
        if key in later and later[key].digest == answer.digest
    ]
    return rows, len(earlier.keys() | later.keys()) - len(rows)


def _sample(rows: Iterable[Row], judge: str) -> Sample:
    pairs = (Pair(a.question, a.model, b.scores[judge], a.scores[judge]) for a, b in rows)
    return sample_of(pairs, ("the later judge", "the earlier judge"))


def _categories(rows: Sequence[Row], judge: str) -> tuple[CategoryShift, ...]:
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[0].category, []).append(row)
    return tuple(
        CategoryShift(name, mean_shift(_sample(own, judge))) for name, own in parts.items()
    )


def _served(run: Stored, judge: str) -> tuple[tuple[Served, ...], int]:
    """What was served, most frequent first, and how many verdicts came out of the cache."""
    last: dict[object, Judgment] = {}
    for record in results(run.folder):
        if isinstance(record, Judgment) and record.trial.judge == judge and record.asks:
            last[record.trial] = record
    counts: dict[tuple[str, str], int] = {}
    for judgment in last.values():
        said = (judgment.asks[-1].served_model, judgment.asks[-1].fingerprint)
        counts[said] = counts.get(said, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    served = tuple(Served(model, fingerprint, n) for (model, fingerprint), n in ordered)
    return served, sum(judgment.asks[-1].cached for judgment in last.values())
