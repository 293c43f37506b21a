"""What a session says when it ends, and the small reports it leaves in the run's folder."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from data.text import printable

if TYPE_CHECKING:
    from data.schema import JudgeSpec, ModelSpec
    from engine.bootstrap import Outcome
    from engine.budget import Statistics
    from engine.cli.session import CacheFiles
    from engine.config import Loaded
    from engine.events import Progress, Stopped
    from engine.scores import Scores
    from engine.streams import Options

REASONS = 5


def say(
    loaded: Loaded,
    options: Options,
    outcome: Outcome,
    command: str,
    caches: CacheFiles = (None, ()),
) -> None:
    """The summary on stdout; warnings on stderr."""
    from data.codec import replace
    from engine.reports.plain import paragraph
    from engine.reports.terminal import print_summary

    scores = None
    if loaded.sweep.judges and options.judge and not outcome.trouble:
        scores = _scores(loaded, options)
    files = _leave_reports(options, scores, outcome) if scores is not None else []
    if outcome.state != "interrupted":
        _leave_manifest(loaded, options, files)
    facts = [
        ("files", " · ".join(files)),
        ("money", money_line(outcome.spent)),
        ("time", time_line(outcome.progress)),
        ("bench", benched_line(loaded, outcome)),
        ("next", _next_command(loaded, outcome, options, command)),
    ]
    print_summary(
        replace(outcome.progress, state=_word(outcome)),
        scores,
        run_dir=str(options.folder),
        file=sys.stdout,
        partial=outcome.elsewhere > 0,  # a first try, with --limit
        ties=_ties(loaded, scores, outcome),
        facts=facts,
    )
    if outcome.state == "budget":
        for line in _left(loaded, options, outcome, caches):
            typer.echo(f"  {line}")
    _tell_actions(scores)
    columns = shutil.get_terminal_size().columns if sys.stderr.isatty() else 10**6
    for remark in _remarks(loaded, outcome):
        indent = " " * (len(remark) - len(remark.lstrip()))
        for line in paragraph(remark, columns, first=indent, rest=f"{indent}  "):
            typer.echo(line, err=True)


def _tell_actions(scores: Scores | None) -> None:
    """On GitHub Actions the leaderboard goes into the job's summary, too."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path and scores is not None:
        from pathlib import Path

        from engine.reports import markdown

        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown.render(scores))


def _remarks(loaded: Loaded, outcome: Outcome) -> Iterator[str]:
    """What a user may have to act upon, most telling first."""
    from engine.served import sentence

    if outcome.broke:
        yield f"stopped: {printable(outcome.broke)}"
    if outcome.trouble:
        yield f"error: {printable(outcome.trouble)}"
        yield "  everything counted above is safe; make room, then run the same command again"
    for stop in outcome.stopped:
        yield f"stopped: {printable(f'{stop.name}: {stop.error}: {stop.message}')}"
        if hint := _hint(loaded, stop):
            yield f"  {hint}"
    for reason, count in outcome.progress.errors[:REASONS]:
        yield f"failed: {count:,} x {printable(reason, 200)}"
    if len(outcome.progress.errors) > REASONS:
        yield f"  and {len(outcome.progress.errors) - REASONS:,} other reasons (see `status`)"
    if not (loaded.sweep.judges and outcome.progress.judges):  # else it stands under the table
        for change in outcome.progress.served:
            yield f"note: {sentence(change, elapsed=True)}"
    if outcome.progress.hedged:
        won = outcome.progress.hedges_won
        yield f"note: {outcome.progress.hedged:,} stragglers were sent twice, {won:,} times it helped"
    if outcome.unanswered:
        yield (
            f"note: {outcome.unanswered:,} answers do not exist, so there is nothing to judge"
            " (--null-as-none judges a null as the text None)"
        )
    if outcome.elsewhere:
        yield f"note: {outcome.elsewhere:,} trials of this sweep were left out by this command's flags"
    for note in outcome.notes:
        yield f"note: {printable(note.splitlines()[0])}"


def _hint(loaded: Loaded, stop: Stopped) -> str:
    """How to mend what stopped an account or a model."""
    from data.catalog import accounts_of
    from engine.advice import advice

    providers = {provider.name: provider for provider in loaded.sweep.providers}
    found = {a.name: a for provider in providers.values() for a in accounts_of(provider)}
    if stop.scope == "model":
        parties: list[ModelSpec | JudgeSpec] = [*loaded.sweep.models, *loaded.sweep.judges]
        found = {party.name: providers[party.provider] for party in parties}
    return advice(stop.error, found[stop.name]) if stop.name in found else ""


def _word(outcome: Outcome) -> str:
    words = {"complete": "finished", "interrupted": "interrupted"}
    return words.get(outcome.state, "partial")


def money_line(spent: Statistics) -> str:
    """Spent, estimated, possibly billed; what is unknown is said, never counted as 0."""
    from engine.money import Amount, formatted

    def shown(nano: int) -> str:
        return formatted(Amount(nano, spent.currency))

    total = spent.total
    others = [money_line(other) for other in spent.others]
    if total.calls and total.unpriced == total.calls:
        return ", ".join([*others, f"{total.unpriced:,} calls of unknown price"])
    if others and not total.calls:
        return ", ".join(others)
    parts = [f"{shown(total.spent)} spent"]
    if total.estimated:
        parts.append(f"{shown(total.estimated)} estimated")
    if total.possibly_billed:
        parts.append(f"{shown(total.possibly_billed)} possibly billed")
    if total.limit is not None:
        parts.append(f"ceiling {shown(total.limit)}")
    parts += others
    if total.unpriced:
        parts.append(f"{total.unpriced:,} calls of unknown price")
    return ", ".join(parts)


def time_line(progress: Progress) -> str:
    """How long it took beside the shortest it could have; empty where nothing was sent."""
    from engine.figures import percent, span

    if not any(account.calls for account in progress.accounts):
        return ""
    took = span(progress.elapsed_s)
    if any(account.limits_changed for account in progress.accounts):
        return f"{took}; limits changed meanwhile, so no lower bound is known"
    bound = progress.bound
    if bound is None or bound.bound_s is None:
        return took
    share = percent(min(bound.bound_s / max(progress.elapsed_s, 1e-9), 1.0))
    by = f"{printable(bound.name, 80)} {bound.bound_by}"
    return f"{took}, lower bound {span(bound.bound_s)} by {by} ({share})"


def benched_line(loaded: Loaded, outcome: Outcome) -> str:
    """What a benchmark of this sweep foretold, beside what it took; empty where there is none."""
    from pathlib import Path

    from engine.benching.foretold import looked_back
    from engine.reports.foretold import afterwards

    requests = sum(account.calls for account in outcome.progress.accounts)
    if outcome.state not in ("complete", "budget") or not requests:
        return ""
    then = looked_back(loaded, Path("runs"), requests)
    if then is None:
        return ""
    total, own = outcome.spent.total, loaded.terms.exchange.currency
    cost = None if total.unpriced else total.booked - then.booked
    return afterwards(then.scenario, outcome.progress.elapsed_s, cost, own)


def _left(loaded: Loaded, options: Options, outcome: Outcome, caches: CacheFiles) -> Iterator[str]:
    """What is left to do when the money ran out, what it would cost, and which ceilings to raise."""
    from engine.prediction import predict
    from engine.preview import look_ahead
    from engine.reports.prediction import left_lines

    ahead = look_ahead(loaded, options, *caches)
    today = datetime.now(tz=UTC).date()
    yield from left_lines(
        predict(ahead.workload, loaded.sweep, loaded.terms, on=today, booked=outcome.spent)
    )


def _scores(loaded: Loaded, options: Options) -> Scores:
    from engine.results import scores_in

    return scores_in(options.folder, loaded.sweep, loaded.benchmark)


def _ties(loaded: Loaded, scores: Scores | None, outcome: Outcome) -> dict[str, str]:
    """Which ranks cannot be told apart. Left out after an interruption, as the page is."""
    from engine.reports.uncertainty import ties

    if scores is None or outcome.state == "interrupted":
        return {}
    return ties(scores, loaded.benchmark)


def _leave_reports(options: Options, scores: Scores, outcome: Outcome) -> list[str]:
    """After an interruption only what is quick, since somebody waits for the prompt: no page, and no
    statistics in the tables."""
    from engine.dossier import read_dossier
    from engine.reports import csvfile, markdown
    from engine.reports.files import write_whole
    from engine.reports.large import texts_for, write_large
    from engine.reports.overview import facts
    from engine.reports.uncertainty import intervals

    folder = options.folder / "report"
    dossier = None if outcome.state == "interrupted" else read_dossier(options.folder)
    sure = intervals(scores, dossier.run.benchmark) if dossier else None
    known = facts(dossier) if dossier else ()
    document = markdown.render(scores, sure=sure, facts=known)
    write_whole(folder / "leaderboard.md", [document.encode()])
    write_whole(folder / "leaderboard.csv", [csvfile.render(scores, sure=sure)])
    files = ["report/leaderboard.md", "report/leaderboard.csv"]
    if scores.duels and scores.tables:
        write_whole(folder / "comparisons.csv", [csvfile.render_duels(scores, sure)])
        files.append("report/comparisons.csv")
    if dossier is None:
        return files
    write_large(dossier, "html", texts=texts_for(options.folder), sure=sure)
    return ["report/report.html", *files]


def _leave_manifest(loaded: Loaded, options: Options, files: list[str]) -> None:
    """What `alignsweep verify` compares with."""
    from engine.manifest import manifest_of, prices_of, write_manifest
    from engine.rundir import read_run

    prices = prices_of(loaded, datetime.now(tz=UTC).date())
    files.append(
        write_manifest(options.folder, manifest_of(read_run(options.folder), files, prices))
    )


def _next_command(loaded: Loaded, outcome: Outcome, options: Options, command: str) -> str:
    if outcome.state != "complete":
        return command
    if options.judge:
        return shlex.join(["alignsweep", "report", str(options.folder)])
    return shlex.join(["alignsweep", "judge", str(loaded.path)]) if loaded.sweep.judges else ""
