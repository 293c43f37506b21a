"""What a benchmark is asked to do: the sweep file's `[bench]`, flags above it, and somebody's yes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from data.errors import ConfigError
from engine.cli.benching import INTERRUPTED

if TYPE_CHECKING:
    from data.schema import LoadKind
    from engine.benching.work import Order
    from engine.config import Loaded


def order_of(
    sweep: Path,
    given: dict[str, Any],
    loads: tuple[LoadKind, tuple[float, ...] | None],
    target: list[str] | None,
    run_dir: Path | None,
    *,
    polite: bool = False,
) -> Order:
    """The sweep file's `[bench]`, and the flags that were given above it. Raises ConfigError."""
    from data.codec import replace
    from engine.benching.settings import wished
    from engine.benching.stored import stored_answers
    from engine.benching.targets import targets_of
    from engine.benching.work import Order
    from engine.budget import TOTAL, Ceiling
    from engine.cli.session import run_folder
    from engine.config import load
    from engine.money import nano
    from engine.paths import data_home

    loaded = load(sweep, home=data_home())
    _check_table(loaded)
    table = replace(loaded.bench, **{k: v for k, v in given.items() if v is not None})
    settings = wished(table, targets=target or (), load=loads[0], levels=loads[1])
    settings = replace(settings, polite=polite)
    today = datetime.now(tz=UTC).date()
    targets = targets_of(loaded, table.leg, settings, today)
    most = table.max_cost
    limits = {} if most is None else {TOTAL: nano(most, where="--max-cost")}
    judges = any(target.stage == "judge" for target in targets)
    return Order(
        loaded=loaded,
        settings=settings,
        targets=targets,
        answers=stored_answers(run_folder(loaded, run_dir)) if judges else {},
        ceiling=Ceiling(currency=loaded.terms.exchange.currency, limits=limits),
    )


def _check_table(loaded: Loaded) -> None:
    """Raises ConfigError that names the file where its own table is at fault, and no flag."""
    from engine.benching.settings import wished

    try:
        wished(loaded.bench)
    except ConfigError as error:
        flag = error.where.split()[0] if error.where.startswith("--") else ""
        where = f"{loaded.path}: [bench] {flag[2:].replace('-', '_')}".rstrip()
        raise ConfigError(error.what, where=where, how=error.how) from None


def agree(order: Order, yes: bool) -> None:
    """Real providers cost real money: somebody has to agree."""
    if yes or all(target.provider.simulated for target in order.targets):
        return
    if not sys.stdin.isatty():
        raise ConfigError("this sends real requests", where="bench run", how="add --yes to agree")
    if not typer.confirm("send them?", err=True):
        raise typer.Exit(INTERRUPTED)


def new_folder(order: Order) -> Path:
    """Below `runs/`, by the second."""
    stamp = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{order.loaded.sweep.name}-bench-{stamp}"
