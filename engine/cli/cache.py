"""`alignsweep cache`: what is remembered, and forgetting it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError, DataError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from cache.responses import ResponseStore

app = typer.Typer(no_args_is_help=True)
_SIDES = ("-wal", "-shm")
"""Files that SQLite keeps beside its own."""


@app.command()
def info() -> None:
    """Where the response cache is and what it holds, by provider and model."""
    from engine.cli.session import cache_file

    path = cache_file()
    typer.echo(f"cache: {path}")
    if not path.exists():
        typer.echo("empty")
        return
    store = _store()
    rows = store.info()
    store.close()
    for row in rows:
        newest = time.strftime("%Y-%m-%d", time.localtime(row.newest_s))
        typer.echo(
            f"{row.entries:>9,}  {row.size_bytes / 1e6:>8.1f} MB  {newest}"
            f"  {printable(row.model)}  ({printable(row.identity)})"
        )
    total = sum(row.entries for row in rows)
    typer.echo(f"{total:>9,}  {sum(row.size_bytes for row in rows) / 1e6:>8.1f} MB  in all")


@app.command()
def prune(
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=0, help="Entries older than so many days.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Entries of this model, as its provider calls it.")
    ] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="Entries of simulators.")] = False,
) -> None:
    """Forget the entries that meet all conditions given."""
    if older_than is None and model is None and not simulated:
        raise ConfigError(
            "no condition given",
            how="--older-than DAYS, --model NAME, --simulated; or `cache clear`",
        )
    before = None if older_than is None else time.time() - 86400 * older_than
    store = _store()
    deleted = store.prune(before_s=before, model=model, simulated=simulated)
    store.close()
    typer.echo(f"forgot {deleted:,} answers")


@app.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget everything. Runs keep their own answers."""
    if not yes:
        typer.confirm("Forget all cached answers? They were paid for.", abort=True)
    try:
        store = _store()
        deleted = store.prune()
        store.close()
    except DataError:  # not readable any more: then the file itself goes
        _remove_files()
        typer.echo("the cache could not be read; its files are removed")
        return
    typer.echo(f"forgot {deleted:,} answers")


@app.command()
def export(
    run: flags.RunName,
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
) -> None:
    """Hand on the replies of a run: with this file, its sweep can be run again without asking anybody.

    The other side: `alignsweep run SWEEP.toml --cache-from FILE`.
    """
    from cache.bundle import write_bundle
    from engine.asked import Asked
    from engine.bundling import entries
    from engine.reports.files import whole
    from engine.rundir import find_run, read_run

    if out.exists():
        raise ConfigError(f"{out} exists already", where="--out", how="choose another name")
    with Asked(read_run(find_run(run))) as asked, whole(out) as draft:
        count = write_bundle(draft, entries(asked))
    size = out.stat().st_size / 1e6
    typer.echo(f"wrote {printable(str(out))}: {count:,} replies, {size:.1f} MB")


def _remove_files() -> None:
    from engine.cli.session import cache_file

    for side in ("", *_SIDES):
        path = cache_file()
        path.with_name(path.name + side).unlink(missing_ok=True)


def _store() -> ResponseStore:
    from cache.responses import ResponseStore
    from engine.cli.session import cache_file

    return ResponseStore(cache_file())
