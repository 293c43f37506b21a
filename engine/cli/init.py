"""`alignsweep init`: a sweep file to start from, with every key explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("init")(init)


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("sweep.toml"),
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Simulated models and judges: needs no key.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented sweep file."""
    from importlib import resources

    name = "simulated.toml" if simulated else "sweep.toml"
    text = resources.files("data").joinpath("templates", name).read_bytes()
    if path.exists() and not force:
        raise ConfigError(f"{path} exists", how="choose another name, or --force")
    try:
        path.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    typer.echo(f"wrote {path}; next: alignsweep plan {path}")
