"""`alignsweep demo`: a whole sweep on simulated providers, over real sockets on this machine.

17 models and two judges on the built-in benchmark; then the table beside the published one. It needs
no key and no network, and everything it makes is marked as simulated.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.config import Loaded

RUN = Path("runs") / "demo"
LATENCY_S = 0.4


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo")(demo)


def demo(
    progress: flags.ProgressMode = "auto",
    ascii_only: flags.Ascii = False,
    latency_s: Annotated[
        float, typer.Option("--latency", min=0, help="Median seconds of a simulated reply.")
    ] = LATENCY_S,
) -> None:
    """Run the main job on simulated providers: 17 models, two judges, 72 questions."""
    from engine.cli.session import conduct_session, exit_code
    from engine.config import load, select
    from engine.paths import data_home
    from engine.streams import Options
    from providers.persona import Cast
    from providers.scorebook import published
    from providers.simserver import serve_in_thread
    from providers.simulator import SimOptions

    board = published()
    _make_room()
    with tempfile.TemporaryDirectory(prefix="alignsweep-demo-") as scratch:
        path = Path(scratch) / "demo.toml"
        models = list(next(iter(board.judges.values())))
        path.write_text(_sweep_text("http://127.0.0.1:1/v1", models), encoding="utf-8")
        benchmark = load(path, home=data_home()).benchmark
        options = SimOptions(latency_s=latency_s, malformed_verdict_rate=0.01)
        with serve_in_thread(options, Cast(0, (benchmark,), (board,))) as url:
            path.write_text(_sweep_text(url, models), encoding="utf-8")
            loaded = load(path, home=data_home())
            outcome = conduct_session(
                loaded,
                Options(folder=RUN, selection=select(loaded)),
                caches=(None, ()),
                progress=progress,
                ascii_only=ascii_only,
                command="make demo",
            )
        _show_published(loaded)
    raise typer.Exit(exit_code(outcome))


def _sweep_text(url: str, models: list[str]) -> str:
    from importlib import resources

    head = resources.files("data").joinpath("templates", "demo.toml").read_text(encoding="utf-8")
    tables = [
        f'[[models]]\nname = "{name}"\nmodel = "{name}"\n'
        f'provider = "simulated-{"east" if i % 2 else "west"}"\n'
        for i, name in enumerate(models)
    ]
    return head.replace("ADDRESS", url) + "\n" + "\n".join(tables)


def _make_room() -> None:
    """An earlier demo goes away; anything else in its place stays."""
    from engine.rundir import read_run

    if not RUN.exists():
        return
    if not (RUN / "journal.jsonl").exists() or read_run(RUN).sweep.name != "demo":
        raise ConfigError(
            f"{RUN} exists and is not an earlier demo", how="run it in another folder"
        )
    shutil.rmtree(RUN)


def _show_published(loaded: Loaded) -> None:
    from engine.reports.published import beside
    from engine.results import scores_of
    from engine.rundir import read_run
    from providers.scorebook import published

    board = published()
    typer.echo()
    for line in beside(scores_of(read_run(RUN)), board):
        typer.echo(line)
    typer.echo(
        "\nEverything above is simulated. The simulated judges are centred on the published category"
        "\nmeans, so the agreement is built in: it shows that the machinery works, it is no finding."
        f"\n  published  {board.source}, read {board.date}"
    )
