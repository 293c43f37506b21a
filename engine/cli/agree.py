"""`alignsweep agree`: how far to trust a judge. It sends nothing and changes no run."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.errors import ConfigError
from data.text import printable

if TYPE_CHECKING:
    from data.human import HumanFile
    from engine.rundir import Stored

SCHEMA = "alignsweep.agreement/1"
DRIFTED = 3
"""Exit code of an alarm."""
_HOW = """\
agree RUN --human FILE            a run's judges against human scores or labels
  agree RUN --human FILE --rubrics  the judges side by side: which rubric is best
  agree RUN --judge A --judge B     two judges of a run
  agree RUN_A RUN_B --canary        the same answers judged again, later
  agree --human FILE --baselines    what judges that read nothing get on a human file
  agree --leaderboards alignbench   two published leaderboards"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("agree")(agree)


def agree(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [RUN_B]", help="A run's folder, or its name below ./runs."),
    ] = None,
    human: Annotated[
        Path | None,
        typer.Option("--human", help="Human scores, or labels of pairs: CSV or JSONL."),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="Only this judge; twice: these two against each other."),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Only the baselines, on the human file alone.")
    ] = False,
    rubrics: Annotated[
        bool,
        typer.Option("--rubrics", help="The judges (rubrics) of a run side by side, with tests."),
    ] = False,
    leaderboards: Annotated[
        str | None,
        typer.Option("--leaderboards", help="Published tables: `alignbench`, or a JSON file."),
    ] = None,
    canary: Annotated[
        bool, typer.Option("--canary", help="Has the judge drifted from RUN to RUN_B?")
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", help="With --canary: a larger shift of the mean ends in code 3."
        ),
    ] = 0.2,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Agreement: judge against human, judge against judge, a judge against itself later."""
    names, judges = tuple(runs or ()), tuple(judge or ())
    if leaderboards is not None:
        _need(not names and human is None and not canary and not baselines)
        _leaderboards(leaderboards, judges, as_json)
    elif canary:
        _need(len(names) == 2 and human is None and not baselines)
        _canary(names, judges, threshold, as_json)
    elif baselines:
        _need(human is not None and not names and not judges)
        _baselines(_human(human), as_json)
    elif rubrics:
        _need(len(names) == 1 and human is not None)
        _rubrics(names[0], _human(human), judges, as_json)
    elif human is not None:
        _need(len(names) == 1)
        _against_human(names[0], human, judges, as_json)
    else:
        _need(len(names) == 1 and len(set(judges)) == 2)
        _judges(names[0], judges, as_json)


# --- one of six --------------------------------------------------------------------------------


def _against_human(name: str, human: Path, judges: tuple[str, ...], as_json: bool) -> None:
    from engine.agreement.against_human import judge_against_human
    from engine.agreement.against_labels import judge_against_labels
    from engine.agreement.joined import Desk
    from engine.agreement.run_scores import is_simulated, judge_of, judged_answers
    from engine.reports.agreement import human_lines, label_lines, left_out_line

    run, file = _run(name), _human(human)
    chosen = [judge_of(run, j).name for j in judges] or [j.name for j in run.sweep.judges]
    _need_judges(run, chosen)
    answers = judged_answers(run)
    desk = Desk(run, answers)
    shown: list[tuple[str, Any, Iterable[str]]] = []
    if file.pairs:
        labelled, left_out = desk.labels(file)
        for judge in chosen:
            labels = judge_against_labels(judge, labelled)
            shown.append((judge, labels, label_lines(labels)))
    else:
        scored, left_out = desk.scores(file)
        for judge in chosen:
            scores = judge_against_human(judge, scored, file, answers)
            shown.append((judge, scores, human_lines(scores)))
    simulated = is_simulated(run)
    if as_json:
        kind = "human_labels" if file.pairs else "human_scores"
        body = {**_told_run(run), **_told_file(file), "left_out": left_out}
        _print_json(kind, simulated, {**body, "judges": [found for _, found, _ in shown]})
        return
    for judge, _, lines in shown:
        _say(
            [
                f"{printable(judge)}{_mark(simulated)} against humans"
                f" ({printable(run.sweep.benchmark)}; {file.path})",
                *filter(None, [left_out_line(left_out)]),
                *lines,
                "",
            ],
            simulated=simulated,
        )


def _rubrics(name: str, file: HumanFile, judges: tuple[str, ...], as_json: bool) -> None:
    from engine.agreement.joined import Desk
    from engine.agreement.rubrics import compare_rubrics
    from engine.agreement.run_scores import is_simulated, judge_of, judged_answers
    from engine.reports.agreement import left_out_line
    from engine.reports.rubrics import rubric_lines

    run = _run(name)
    if file.pairs:
        raise ConfigError(
            "these are labels of pairs; rubrics are compared on scores",
            where=file.path,
            how="alignsweep agree RUN --human FILE tells each judge's agreement with labels",
        )
    chosen = [judge_of(run, judge) for judge in dict.fromkeys(judges)]
    chosen = chosen or [judge for judge in run.sweep.judges if not judge.pairwise]
    if len(chosen) < 2:
        raise ConfigError(
            f"{printable(run.sweep.name)} has {len(chosen)} judge of single answers; it takes two",
            where="--rubrics",
            how='add [[judges]] with other rubrics, such as rubric = "general" and "rules"',
        )
    scored, left_out = Desk(run, judged_answers(run)).scores(file)
    found = compare_rubrics([(judge.name, judge.rubric) for judge in chosen], scored)
    simulated = is_simulated(run)
    if as_json:
        body = {**_told_run(run), **_told_file(file), "left_out": left_out, "comparison": found}
        _print_json("rubrics", simulated, body)
        return
    title = (
        f"rubrics{_mark(simulated)} against humans ({printable(run.sweep.benchmark)}; {file.path})"
    )
    _say(
        [title, *filter(None, [left_out_line(left_out)]), *rubric_lines(found)], simulated=simulated
    )


def _judges(name: str, judges: tuple[str, ...], as_json: bool) -> None:
    from engine.agreement.between_judges import between_judges
    from engine.agreement.run_scores import is_simulated, judge_of, judged_answers
    from engine.reports.judges import judges_lines

    run = _run(name)
    first, second = (judge_of(run, judge).name for judge in dict.fromkeys(judges))
    found = between_judges(judged_answers(run), first, second)
    if not found.n:
        raise ConfigError("these two judges share no answer that both have scored", where=name)
    simulated = is_simulated(run)
    if as_json:
        _print_json("judges", simulated, {**_told_run(run), "comparison": found})
        return
    title = f"judge against judge{_mark(simulated)} ({printable(run.sweep.benchmark)})"
    _say([title, *judges_lines(found)], simulated=simulated)


def _baselines(file: HumanFile, as_json: bool) -> None:
    from engine.agreement.against_human import baselines_against_human
    from engine.agreement.against_labels import baselines_against_labels
    from engine.reports.agreement import human_lines, label_lines

    found: Any
    lines: Iterable[str]
    if file.pairs:
        found = baselines_against_labels(file)
        lines = label_lines(found)
    else:
        found = baselines_against_human(file)
        lines = human_lines(found)
    if as_json:
        _print_json("baselines", False, {**_told_file(file), "comparison": found})
        return
    _say([f"judges that read nothing, against humans ({file.path})", *lines])


def _leaderboards(name: str, judges: tuple[str, ...], as_json: bool) -> None:
    from engine.agreement.leaderboards import compare_boards, load_board
    from engine.reports.judges import board_lines

    found = compare_boards(load_board(name), judges)
    if as_json:
        _print_json("leaderboards", False, {"comparison": found})
        return
    _say([f"published leaderboards of {printable(found.name)}", *board_lines(found)])


def _canary(
    names: tuple[str, ...], judges: tuple[str, ...], threshold: float, as_json: bool
) -> None:
    from engine.agreement.drift import common_judges, drift
    from engine.agreement.run_scores import is_simulated, judge_of
    from engine.reports.judges import drift_lines

    if not math.isfinite(threshold) or threshold < 0:
        raise ConfigError(f"{threshold:g} is no threshold", where="--threshold")
    before, after = (_run(name) for name in names)
    simulated = is_simulated(before)
    if simulated != is_simulated(after):
        raise ConfigError("one of these runs is simulated; they say nothing about each other")
    for judge in judges:
        judge_of(before, judge)
        judge_of(after, judge)
    found = [
        drift(before, after, judge, threshold=threshold)
        for judge in judges or common_judges(before, after)
    ]
    if as_json:
        folders = {"before": _told_run(before), "after": _told_run(after)}
        _print_json("canary", simulated, {**folders, "judges": found})
    for own in () if as_json else found:
        title = f"{printable(own.judge)}{_mark(simulated)}: {names[0]}, then {names[1]}"
        _say([printable(title), *drift_lines(own), ""], simulated=simulated)
    if any(own.alarm for own in found):
        raise typer.Exit(DRIFTED)


# --- what they share ---------------------------------------------------------------------------


def _need(said: bool) -> None:
    if not said:
        raise ConfigError("these words do not say what to compare", where="agree", how=_HOW)


def _need_judges(run: Stored, judges: list[str]) -> None:
    if not judges:
        raise ConfigError(f"{run.sweep.name} has no judges", where=str(run.folder))


def _run(name: str) -> Stored:
    from engine.rundir import find_run, read_run

    return read_run(find_run(name))


def _human(path: Path | None) -> HumanFile:
    from data.human import read_human

    assert path is not None
    return read_human(path)


def _mark(simulated: bool) -> str:
    return " (simulated)" if simulated else ""


def _told_run(run: Stored) -> dict[str, Any]:
    return {
        "run": str(run.folder),
        "run_id": run.header.run_id,
        "benchmark": run.sweep.benchmark,
        "benchmark_sha256": run.sweep.benchmark_sha256,
    }


def _told_file(file: HumanFile) -> dict[str, Any]:
    return {"human": file.path, "human_sha256": file.sha256}


def _print_json(kind: str, simulated: bool, body: dict[str, Any]) -> None:
    from data.codec import encode

    sys.stdout.buffer.write(
        encode({"schema": SCHEMA, "kind": kind, "simulated": simulated, **body}) + b"\n"
    )


def _say(lines: Iterable[str], *, simulated: bool = False) -> None:
    from engine.reports.estimates import wrapped

    for line in wrapped(lines):
        typer.echo(line)
    if simulated:
        typer.echo("  * Simulated: these scores are made up, and so is any agreement.")
