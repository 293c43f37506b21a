"""`alignsweep simulate`: the simulated provider on a loopback port, until Ctrl-C.

Its first line on stdout is the base URL that a sweep file's provider takes, so scripts can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.errors import ConfigError
from data.text import printable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from providers.persona import Cast
    from providers.simserver import SimServer
    from providers.simulator import SimOptions


def _rate(help_: str) -> Any:
    """An option that is a share of requests."""
    return typer.Option(min=0, max=1, help=help_)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("simulate")(simulate)


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8100,
    seed: Annotated[int, typer.Option(help="Decides every word, score and fault.")] = 0,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose questions it knows: a name or a path; repeatable; mini if left out."
        ),
    ] = None,
    latency_ms: Annotated[
        float, typer.Option(min=0, help="Median; longer answers take longer.")
    ] = 300,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests in any 60 s.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight.")] = None,
    window_s: Annotated[
        float, typer.Option(help="Limits a minute are judged on windows of so many seconds.")
    ] = 60,
    error_rate: Annotated[float, _rate("Share of errors: 500, 503, resets, silence.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=RATE",
            help="Share of one kind of error: 500, 503, inside, reset, cut, hang, empty; repeatable,"
            " instead of --error-rate.",
        ),
    ] = None,
    malformed_verdict_rate: Annotated[float, _rate("Share of verdicts miswritten.")] = 0,
    refusal_rate: Annotated[float, _rate("Share stopped by a content filter.")] = 0,
    truncation_rate: Annotated[float, _rate("Share cut for length.")] = 0,
    credit: Annotated[
        int | None, typer.Option(min=0, help="Requests until no money is left.")
    ] = None,
    version_change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECONDS=NAME",
            help="From then on another version of the model is served; repeatable.",
        ),
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Variable that holds the key which requests must carry.")
    ] = "",
) -> None:
    """Run a simulated provider (all dialects, whole and streamed) on 127.0.0.1 until Ctrl-C."""
    from providers.simulator import sim_options

    values = {
        "seed": seed,
        "latency_s": latency_ms / 1000,
        "rpm": rpm,
        "concurrency": concurrency,
        **_errors(error_rate, _pairs("--fault", "KIND=RATE", fault)),
        "window_s": window_s,
        "credit": credit,
        "version_changes": _versions(_pairs("--version-change", "SECONDS=NAME", version_change)),
        "malformed_verdict_rate": malformed_verdict_rate,
        "refusal_rate": refusal_rate,
        "truncation_rate": truncation_rate,
    }
    options = sim_options(values, where="alignsweep simulate")
    _serve(options, _cast(seed, benchmark or ["mini"]), port, _key(api_key_env))


def _errors(rate: float, faults: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The rate of all errors, and what they are. Raises ConfigError."""
    if not faults:
        return {"error_rate": rate}
    if rate:
        raise ConfigError("--error-rate and --fault contradict each other", how="leave one out")
    shares = {kind: _number("--fault", share) for kind, share in faults}
    if len(shares) < len(faults):
        raise ConfigError("one kind of error is named twice", where="--fault")
    if sum(shares.values()) > 1:
        raise ConfigError("these shares are more than all requests", where="--fault")
    return {"error_rate": sum(shares.values()), "faults": shares}


def _versions(changes: Sequence[tuple[str, str]]) -> list[list[Any]]:
    return [[_number("--version-change", at_s), name] for at_s, name in changes]


def _pairs(flag: str, form: str, given: Sequence[str] | None) -> list[tuple[str, str]]:
    """What stands on both sides of `=`. Raises ConfigError."""
    found = []
    for text in given or ():
        left, equals, right = text.partition("=")
        if not (left and equals and right):
            raise ConfigError(f"`{printable(text, 80)}` is not {form}", where=flag)
        found.append((left, right))
    return found


def _number(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"`{printable(text, 80)}` is no number", where=flag) from None


def _cast(seed: int, names: Sequence[str]) -> Cast:
    from data.benchmark import load
    from engine.paths import data_home
    from providers.persona import Cast
    from providers.scorebook import published

    home = data_home()
    return Cast(seed, [load(name, home=home) for name in names], [published()])


def _key(variable: str) -> str:
    """The key in that variable; empty: no key is asked for."""
    import os

    if not variable:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(
            f"{variable} is not set, or empty", where="--api-key-env", how="export it first"
        )
    return key


def _serve(options: SimOptions, cast: Cast, port: int, api_key: str) -> None:
    """Until SIGINT or SIGTERM; both are a good end."""
    import asyncio
    import contextlib

    from providers.simserver import SimServer

    async def main() -> None:
        leave = _leave_event()
        async with SimServer(options, cast, port=port, api_key=api_key) as server:
            typer.echo(f"{server.url}")
            typer.echo("simulated provider: nothing it says is a real model's (Ctrl-C stops it)")
            await leave.wait()
            _say_statistics(server)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


def _leave_event() -> asyncio.Event:
    """Set by the first signal; where signals cannot be handled, KeyboardInterrupt does its work."""
    import asyncio
    import contextlib
    import signal

    leave = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, leave.set)
    return leave


def _say_statistics(server: SimServer) -> None:
    seen = server.statistics()
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(seen.by_status.items()))
    told = f" ({kinds})" if kinds else ""
    typer.echo(
        f"{seen.requests} requests{told}, {seen.distinct_bodies} distinct, "
        f"{seen.answered_again} answered more than once, at most {seen.max_in_flight} in flight"
    )
