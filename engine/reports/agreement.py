"""Judge against humans as lines of text for 80 columns. Pure; all foreign text is made inert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine import figures
from engine.agreement.against_human import AgainstHuman, CategoryRow, Predictor
from engine.agreement.against_labels import AgainstLabels, LabelPredictor
from engine.agreement.calibration import Calibration
from engine.agreement.estimate import Estimate
from engine.agreement.joined import LeftOut
from engine.agreement.levels import Correlations
from engine.agreement.ppi import Anchored
from engine.cells import inert
from engine.reports.estimates import UNDEFINED, estimate_row, number, ranged, reasons, row

COEFFICIENTS = ("Pearson", "Spearman", "Kendall-b")
BY_CATEGORY = ("n", "Pearson", "Spearman", "Kendall-b", "text-level", "length's")
_CELL = 11


def human_lines(found: AgainstHuman) -> Iterator[str]:
    """Scores of single answers."""
    low, high = found.human_range
    yield (
        f"  {figures.count(found.n)} answers to {figures.count(found.questions)} questions by"
        f" {found.models} models; humans gave {low:g} to {high:g}"
    )
    if found.without_verdict:
        yield f"  {figures.count(found.without_verdict)} more have no readable verdict"
    yield from _levels(found.predictors)
    yield from _upstream(found)
    yield from _pairs(found.predictors)
    yield from _categories(found.categories)
    yield from _scale(found)
    yield from _anchored(found.anchored)


def label_lines(found: AgainstLabels) -> Iterator[str]:
    """Labels of pairs."""
    first, second, ties = found.labels
    yield (
        f"  {figures.count(found.n)} pairs of answers to {figures.count(found.questions)} questions;"
        f" humans: first {first}, second {second}, tie {ties}"
    )
    if found.without_verdict:
        yield f"  {figures.count(found.without_verdict)} more lack a readable verdict"
    yield ""
    yield row("", ("accuracy", "without ties", "both orders"))
    for own in found.predictors:
        shown = [ranged(own.pairs.with_ties), ranged(own.pairs.without_ties), _swap(own)]
        yield row(own.name, shown)
    yield from reasons(
        (own.name, e)
        for own in found.predictors
        for e in (own.pairs.with_ties, own.pairs.without_ties)
    )
    yield "  both orders: agreement / consistency when each pair is also shown swapped"
    told = [
        f"{own.name} {number(own.upstream.agreement)} / {number(own.upstream.consistency)}"
        for own in found.predictors
        if own.upstream is not None
    ]
    if told:
        yield "  upstream's script, on these rows as they are (not in swapped pairs), prints"
        yield f"    {', '.join(told)}"
    yield ""
    yield row("by category", ("accuracy", "without ties", "longer wins"))
    for part in found.categories:
        cells = (part.pairs.with_ties, part.pairs.without_ties, part.longer.with_ties)
        yield row(f"{part.category or figures.NONE} ({part.pairs.with_ties.n})", map(ranged, cells))


def left_out_line(left_out: LeftOut) -> str:
    """What of the human file was about nothing in the run; empty if all was."""
    parts = (
        (left_out.question, "of other questions"),
        (left_out.answer, "of answers that are not there"),
        (left_out.text, "of another text than the run's answer"),
    )
    told = ", ".join(f"{figures.count(n)} {what}" for n, what in parts if n)
    return f"  human rows left out: {told}" if told else ""


# --- levels ------------------------------------------------------------------------------------


def three(found: Correlations) -> tuple[Estimate, Estimate, Estimate]:
    """In the order of COEFFICIENTS."""
    return (found.pearson, found.spearman, found.kendall)


def _levels(predictors: Sequence[Predictor]) -> Iterator[str]:
    yield ""
    yield row("item level", COEFFICIENTS)
    for own in predictors:
        yield estimate_row(own.name, three(own.item))
    yield ""
    yield row("text level", COEFFICIENTS)
    for own in predictors:
        yield estimate_row(own.name, three(own.text.mean))
        used = own.text.groups - own.text.constant_x - own.text.constant_y
        yield (
            f"    {used} of {own.text.groups} questions (flat {own.text.constant_x}, humans"
            f" {own.text.constant_y}); tie-aware {ranged(own.text.tie_aware)}"
        )
    yield "  flat: one score for all answers; tie-aware: tau-b with a 0 for each of those"
    yield ""
    yield row("system level", COEFFICIENTS)
    for own in predictors:
        yield estimate_row(own.name, three(own.system))


def _upstream(found: AgainstHuman) -> Iterator[str]:
    if not found.upstream:
        return
    yield ""
    yield row("blocks of 8 rows", COEFFICIENTS)
    for own in found.upstream:
        yield estimate_row(own.name, three(own.text.mean))
    yield "  upstream's script takes eight rows on end for one question's; in this file"
    yield "  they are not, so what it prints (this table) is not text level"
    yield from reasons((f"{c}", text.mean.pearson) for c, text in found.upstream[1].categories)


def _pairs(predictors: Sequence[Predictor]) -> Iterator[str]:
    yield ""
    yield row("pairs by score", ("agreement", "without ties", "pairs"))
    for own in predictors:
        both = (own.pairs.with_ties, own.pairs.without_ties)
        yield row(own.name, (*map(ranged, both), figures.count(both[0].n)))
    yield from reasons(
        (own.name, e) for own in predictors for e in (own.pairs.with_ties, own.pairs.without_ties)
    )


def _categories(categories: Sequence[CategoryRow]) -> Iterator[str]:
    yield ""
    yield row("by category", BY_CATEGORY, name_width=12, cell=_CELL)
    for own in categories:
        cells = (*three(own.item), own.text.mean.spearman, own.length.spearman)
        shown = [UNDEFINED if e.value is None else number(e.value) for e in cells]
        yield row(
            own.category or figures.NONE, (figures.count(own.n), *shown), name_width=12, cell=_CELL
        )
    yield "  text-level and length's: Spearman"
    told = [(f"text level of {own.category}", own.text.mean.spearman) for own in categories]
    told += [(f"item level of {own.category}", own.item.spearman) for own in categories]
    yield from reasons(told)


# --- scale and means ---------------------------------------------------------------------------


def _scale(found: AgainstHuman) -> Iterator[str]:
    if found.calibrations:
        yield ""
        yield row("humans' scale from", ("RMSE", "MAE"))
        for own in found.calibrations:
            yield estimate_row(own.kind, (own.rmse, own.mae))
        yield "  cross-validated over questions"
        yield from _map(found.calibrations[-1])
    if found.kappa is not None:
        yield f"  quadratic kappa after calibration: {_told(found.kappa)}"
    if found.annotators is not None:
        people = found.annotators
        yield (
            f"  {people.people} annotators among themselves, Krippendorff's alpha:"
            f" ordinal {_told(people.ordinal)}, interval {_told(people.interval)}"
        )


def _map(found: Calibration) -> Iterator[str]:
    if len(found.table) <= 12:
        pairs = "  ".join(f"{x:g}→{y:.1f}" for x, y in found.table)
        yield f"  {found.kind}: {pairs}"


def _anchored(anchored: Mapping[str, Anchored]) -> Iterator[str]:
    if not anchored:
        return
    yield ""
    if all(own.powered.value is None for own in anchored.values()):
        yield "  humans' means with the judge's help (prediction-powered):"
        yield from reasons((model, own.powered) for model, own in anchored.items())
        return
    yield row("mean by", ("humans", "with judge's help", "judge"))
    for model, own in anchored.items():
        cells = (
            ranged(own.human, 2),
            ranged(own.powered, 2),
            f"{number(own.judge, 2)} of {own.labelled + own.unlabelled}",
        )
        yield row(model, cells)
    yield "  right if the answers that humans scored were chosen at random"
    yield from reasons((model, own.powered) for model, own in anchored.items())


def _swap(own: LabelPredictor) -> str:
    if own.swap is None:
        return "scores singly"
    return f"{number(own.swap.agreement)} / {number(own.swap.consistency)}"


def _told(found: Estimate) -> str:
    return ranged(found) if found.value is not None else f"{UNDEFINED}: {inert(found.why)}"
