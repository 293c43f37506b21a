"""What must hold of `escalate` in a sweep file, before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from data.errors import ConfigError
from data.schema import EscalateRule, JudgeSpec, Rubric
from data.text import printable


def check_escalation(
    judges: Sequence[JudgeSpec], rubrics: Mapping[str, Rubric], where: Callable[[int], str]
) -> None:
    """`where(i)`: the place of the i-th judge's `escalate`. Raises ConfigError."""
    by_name = {judge.name: judge for judge in judges}
    for i, judge in enumerate(judges):
        if judge.escalate is None:
            continue
        try:
            _check_rule(judge.escalate, rubrics[judge.rubric])
            below = [_below(name, judge, by_name) for name in judge.escalate.judges]
            for one in (judge, *below):
                _check_scores(one, judge, rubrics)
        except ConfigError as error:
            raise ConfigError(error.what, where=where(i), how=error.how) from None


def _check_rule(rule: EscalateRule, rubric: Rubric) -> None:
    names = rule.judges
    if not names or len(set(names)) < len(names):
        raise ConfigError("`from` names judges, each once", how='from = ["cheap-a", "cheap-b"]')
    if len(names) < 2 and (rule.disagree is not None or rule.rank):
        raise ConfigError(
            "one judge cannot disagree with itself",
            how="name two or more in `from`; with one, leave `disagree` and `rank` out: the judge is"
            " asked where no verdict can be read",
        )
    width = rubric.high - rubric.low
    if rule.disagree is not None and not 0 < rule.disagree <= width:
        raise ConfigError(
            f"`disagree = {rule.disagree:g}` on a scale of {rubric.low:g} to {rubric.high:g}",
            how=f"more than 0 and at most {width:g}: the distance of two scores",
        )


def _below(name: str, judge: JudgeSpec, by_name: Mapping[str, JudgeSpec]) -> JudgeSpec:
    found = by_name.get(name)
    if found is None or name == judge.name or found.escalate is not None:
        asked = [n for n, one in by_name.items() if one.escalate is None]
        told = "is no judge of this sweep"
        if found is not None:
            told = "is not asked about everything itself"
        raise ConfigError(
            f"`from`: `{printable(name, 80)}` {told}",
            how=f"there are: {', '.join(map(printable, asked)) or 'none'}",
        )
    return found


def _check_scores(one: JudgeSpec, judge: JudgeSpec, rubrics: Mapping[str, Rubric]) -> None:
    """All scores are read alike, from single answers, on one scale."""
    name = printable(one.name, 80)
    if one.pairwise:
        raise ConfigError(
            f"`{name}` compares two answers; escalation goes by scores of single ones",
            how='such as rubric = "alignsweep"',
        )
    if one.parse != "robust":
        raise ConfigError(
            f"`{name}` has parse = {one.parse}, whose readings are no scores to compare",
            how='leave `parse` out, or set parse = "robust"',
        )
    mine, theirs = rubrics[judge.rubric], rubrics[one.rubric]
    if (mine.low, mine.high) != (theirs.low, theirs.high):
        raise ConfigError(
            f"`{name}` scores from {theirs.low:g} to {theirs.high:g},"
            f" `{printable(judge.name, 80)}` from {mine.low:g} to {mine.high:g}",
            how="judges that escalate to one another need one scale",
        )
