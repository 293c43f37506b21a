"""`alignsweep ctl`: look at a running sweep and steer it from a second terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(no_args_is_help=True)
AccountName = Annotated[str, typer.Argument(help="An account; left out: all of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")]


@app.command()
def status(run: flags.RunName, as_json: AsJson = False) -> None:
    """Where a running sweep stands, and why its next calls wait."""
    from data.codec import convert
    from engine.served import Changed, sentence

    result = _ask(run, {"op": "status"})
    if as_json:
        _print_json(result)
        return
    progress, limits = result["progress"], result["limits"]
    done = sum(m["answers_done"] + m["judgments_done"] for m in progress["models"])
    planned = sum(m["answers"] + m["judgments"] for m in progress["models"])
    typer.echo(f"{printable(progress['name'])}: {done:,} of {planned:,}, {progress['state']}")
    for change in progress.get("served", ()):
        typer.echo(sentence(convert(change, Changed, where="served"), elapsed=True))
    for name, view in limits.items():
        typer.echo(f"\n{printable(name)}: {view['in_flight']} in flight")
        for limit in view["limits"]:
            typer.echo(
                f"  {limit['name']:<12} {limit['value']:>12,.0f}  from the {limit['source']}"
            )
    typer.echo("\nwhat the unfinished trials wait for:")
    for group in result["waiting"]:
        until = "" if group["until_s"] is None else f", {group['until_s']:.1f} s"
        place = f"{printable(group['where'])}: " if group["where"] else ""
        typer.echo(f"  {group['count']:>9,}  {place}{printable(group['why'])}{until}")


@app.command()
def pause(run: flags.RunName, account: AccountName = "", as_json: AsJson = False) -> None:
    """Send nothing more until `resume`; what is in flight comes in."""
    _do(run, {"op": "pause", "account": account}, "paused", as_json)


@app.command()
def resume(run: flags.RunName, account: AccountName = "", as_json: AsJson = False) -> None:
    """Go on after `pause`."""
    _do(run, {"op": "resume", "account": account}, "goes on", as_json)


@app.command()
def limit(
    run: flags.RunName,
    account: Annotated[str, typer.Argument(help="An account of the run.")],
    name: Annotated[
        str, typer.Argument(help="rpm, tpm, input_tpm, output_tpm, rpd or concurrency.")
    ],
    value: Annotated[float, typer.Argument(help="The new limit.")],
    as_json: AsJson = False,
) -> None:
    """Change a limit while the sweep runs. Concurrency cannot grow beyond the sweep file's number."""
    request = {"op": "limit", "account": account, "name": name, "value": value}
    _do(run, request, f"{name} is now {value:g}", as_json)


def _do(run: str, request: Mapping[str, Any], what: str, as_json: bool) -> None:
    result = _ask(run, request)
    if as_json:
        _print_json(result)
        return
    for name in result["accounts"]:
        typer.echo(f"{printable(name)}: {what}")


def _ask(run: str, request: Mapping[str, Any]) -> Any:
    import anyio

    from engine.control import ask
    from engine.rundir import find_run

    return anyio.run(ask, find_run(run), request)


def _print_json(result: Any) -> None:
    from data.codec import encode

    typer.echo(encode(result))
