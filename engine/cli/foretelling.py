"""What a benchmark says beyond itself: the rest of its sweep foretold, and which judge is worth it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from data.errors import AlignsweepError, ConfigError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.benching.document import Document
    from engine.benching.folder import Benched
    from engine.config import Loaded

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Wanted(NamedTuple):
    """What the flags of `bench report` say."""

    sweep: Path | None = None
    run_dir: Path | None = None
    deadline: str = ""
    budget: str | None = None


def foretelling(doc: Document, found: Benched, bench: Path, wanted: Wanted) -> Document:
    """With a prediction, if the sweep file is at hand: the one named, else that of the folder.

    Raises ConfigError for a named file that is not that of this benchmark.
    """
    from engine.config import load
    from engine.identity import digest
    from engine.paths import data_home

    asked = wanted.sweep is not None or wanted.deadline or wanted.budget is not None
    try:
        loaded = load(wanted.sweep or bench / "sweep.toml", home=data_home())
    except AlignsweepError as error:
        if asked:
            raise
        typer.echo(f"no prediction: {printable(str(error))}; --sweep FILE names it", err=True)
        return doc
    if digest(loaded.sweep) != found.header.digest:
        if not asked:
            return doc
        raise ConfigError(
            "this benchmark was of another sweep",
            where=str(wanted.sweep or bench),
            how="name the sweep file that it was made for",
        )
    return foretold_of(doc, found, loaded, wanted.run_dir, wanted)


def foretold_of(
    doc: Document,
    found: Benched,
    loaded: Loaded,
    run_dir: Path | None,
    wanted: Wanted = Wanted(),  # noqa: B008
) -> Document:
    """With a prediction of this very sweep; without one where nothing was measured."""
    from engine.benching.foretold import foretold, with_prediction
    from engine.cli.session import cache_file, run_folder
    from engine.money import nano

    if not doc.targets:
        return doc
    made = foretold(
        loaded,
        run_folder(loaded, run_dir),
        found,
        cache_file(),
        now_s=time.time(),
        deadline_s=seconds_of(wanted.deadline) if wanted.deadline else None,
        budget=None if wanted.budget is None else nano(wanted.budget, where="--budget"),
    )
    return with_prediction(doc, made)


def seconds_of(text: str) -> float:
    """`45m`, `2h`, `1d`, `90`, `90s`. Raises ConfigError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds <= 0:
        raise ConfigError(
            f"`{printable(text, 40)}` is no span of time", where="--deadline", how="45m, 2h, 90s"
        )
    return seconds


def judges(
    bench: Annotated[Path, typer.Argument(help="A benchmark's folder.")],
    run_dir: flags.RunDir = None,
    human: Annotated[
        Path | None,
        typer.Option("--human", help="Human scores, or labels of pairs: CSV or JSONL, as `agree`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per judge.")] = False,
) -> None:
    """Set a benchmark's judges side by side: agreement, money, speed, and what load does to them."""
    from data.codec import encode
    from data.human import read_human
    from engine.benching.agreeing import agreements
    from engine.benching.document import document
    from engine.benching.folder import read
    from engine.benching.frontier import frontier
    from engine.cli.benched import columns
    from engine.reports.frontier import lines

    found = read(bench)
    doc = document(found)
    run = run_dir or Path("runs") / found.header.sweep.name
    known, beside = agreements(run, None if human is None else read_human(human))
    points = frontier(doc, found.blocks, known, beside)
    if as_json:
        for point in points:
            typer.echo(encode(point).decode())
        return
    if doc.simulated:
        typer.echo("(simulated)")
    for line in lines(points, doc.currency, columns()):
        typer.echo(line)
