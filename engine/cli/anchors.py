"""`alignsweep data anchors`: answers of known quality, to find out what a judge is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.text import printable


def anchors(
    benchmark: Annotated[str, typer.Argument(help="A name of `data list`, or a question file.")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the files.")] = Path("anchors"),
) -> None:
    """Write the reference, empty, off-topic and doubled answers, to be judged like a model's."""
    from data import benchmark as benchmarks
    from data.anchors import anchors as make
    from data.codec import encode
    from data.errors import ConfigError
    from engine.paths import data_home
    from engine.reports.files import write_whole

    loaded = benchmarks.load(benchmark, home=data_home())
    made = make(loaded)
    count = min(map(len, made.values()))
    if not count:
        raise ConfigError(
            f"no single-turn question of {printable(loaded.name, 80)} has a reference",
            how="anchors are made from references",
        )
    for name, rows in made.items():
        path = out / f"{name}.jsonl"
        write_whole(path, [encode(row) + b"\n" for row in rows])
        typer.echo(printable(str(path)))
    typer.echo(f"{count:,} questions each; judge them in a run of their own:", err=True)
    typer.echo(f"  alignsweep judge SWEEP.toml --answers {printable(str(out))}", err=True)
    typer.echo("where SWEEP.toml has [[judges]] and no [[models]]; then `audit`", err=True)
