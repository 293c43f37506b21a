"""`alignsweep explain-study`: people compare two judges' explanations, blind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.errors import ConfigError, DataError
from data.text import printable
from engine.cli import options as flags

if TYPE_CHECKING:
    from engine.agreement.study import Key, Outcome

app = typer.Typer(no_args_is_help=True)
KEY = "key.json"
Folder = Annotated[Path, typer.Argument(help="The study's folder.")]


@app.command()
def write(
    run: flags.RunName,
    judge: Annotated[
        list[str],
        typer.Option("--judge", help="Twice: the two judges whose explanations to compare."),
    ],
    out: Annotated[Path, typer.Option("--out", help="A new folder for the sheets and their key.")],
    annotators: Annotated[
        int, typer.Option("--annotators", min=1, max=100, help="Sheets: one for each person.")
    ] = 1,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="So many answers, chosen by a hash.")
    ] = None,
) -> None:
    """Write sheets for human annotators: blind, both orders equally often, safe to open."""
    from data.codec import encode
    from engine.agreement.run_scores import is_simulated, judge_of
    from engine.agreement.study import Key, cases, sheet
    from engine.reports.files import write_whole
    from engine.reports.sheets import INSTRUCTIONS, render_sheet
    from engine.rundir import find_run, read_run

    stored = read_run(find_run(run))
    if len(set(judge)) != 2:
        raise ConfigError("it takes two judges: --judge A --judge B", where="explain-study write")
    first, second = (judge_of(stored, name) for name in dict.fromkeys(judge))
    chosen = cases(stored, first, second)[:limit]
    if not chosen:
        raise ConfigError("no answer was explained by both judges", where=str(stored.folder))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{printable(str(out))} is there already", how="give a new folder")
    sheets = [sheet(chosen, annotator) for annotator in range(annotators)]
    key = Key(
        run=str(stored.folder),
        run_id=stored.header.run_id,
        first=first.name,
        second=second.name,
        simulated=is_simulated(stored),
        cases=len(chosen),
        annotators=annotators,
        rows={row.id: key for rows in sheets for row, key in rows},
    )
    write_whole(out / KEY, [encode(key) + b"\n"])
    write_whole(out / "instructions.txt", [INSTRUCTIONS.encode("utf-8-sig")])
    for number, rows in enumerate(sheets, start=1):
        path = out / f"sheet-{number}.csv"
        write_whole(path, [render_sheet(row for row, _ in rows)])
        typer.echo(f"{printable(str(path))}: {len(rows)} comparisons")
    typer.echo(f"{printable(str(out / KEY))}: whose is whose; not for annotators")
    typer.echo(f"next: alignsweep explain-study read {printable(str(out))}")


@app.command()
def read(
    folder: Folder,
    sheets: Annotated[
        list[Path] | None,
        typer.Argument(help="Filled sheets; default: all CSV files in the folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Count the filled sheets: wins, ties, losses, missing, both denominators, sign test."""
    from engine.agreement.study import left_share, outcomes
    from engine.reports.sheets import read_sheets

    key = _key(folder / KEY)
    paths = sheets or sorted(folder.glob("*.csv"))
    if not paths:
        raise ConfigError("no sheets (*.csv)", where=printable(str(folder)))
    choices = read_sheets(paths, key)
    found = outcomes(key, choices)
    left, decided = left_share(choices)
    if as_json:
        _print_json(key, found, left, decided)
        return
    if not any(choices.values()):
        blank = "1 sheet" if len(paths) == 1 else f"{len(paths)} sheets"
        typer.echo(
            f"nothing to count yet: no verdict in {blank} ({key.cases} answers,"
            f" {key.annotators} annotators)"
        )
        typer.echo(
            "annotators write 甲, 乙 or 平 into a cell for each aspect; see instructions.txt"
        )
        return
    _say(key, found)
    if decided:
        typer.echo(f"  the left side won {left} of {decided} decided (half is expected)")
    if key.simulated:
        typer.echo("  * Simulated: the explanations were made up.")


def _key(path: Path) -> Key:
    from data.codec import Undecodable, decode_as, read_bytes
    from engine.agreement.study import Key

    try:
        key: Key = decode_as(read_bytes(path), Key)
    except Undecodable as error:
        raise DataError(
            f"no key of a study: {printable(str(error), 160)}", path=printable(str(path))
        ) from None
    return key


def _say(key: Key, found: dict[str, Outcome]) -> None:
    from engine.reports.estimates import number, ranged, row

    mark = " (simulated)" if key.simulated else ""
    typer.echo(
        f"explanations of {printable(key.first)} (A) against {printable(key.second)} (B){mark}"
    )
    typer.echo(f"  {key.cases} answers, {key.annotators} annotators")
    typer.echo("")
    heads = ("A wins", "ties", "B wins", "missing", "win rate", "margin", "of all", "p")
    typer.echo(row("", heads, name_width=8, cell=9))
    for aspect, own in found.items():
        cells = (
            *map(str, (own.wins, own.ties, own.losses, own.missing)),
            number(own.win_rate),
            number(own.margin_of_given, signed=True),
            number(own.margin_of_planned, signed=True),
            _p(own.p),
        )
        typer.echo(row(aspect, cells, name_width=8, cell=9))
    typer.echo("  win rate: without ties; margin: (A - B) of those given, and of all planned")
    typer.echo("  p: exact sign test over answers; the last row: the majority of the three")
    for aspect, own in found.items():
        if own.alpha is not None:
            shown = own.alpha.why if own.alpha.value is None else ranged(own.alpha)
            typer.echo(f"  annotators among themselves, {aspect}: alpha {shown}")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _print_json(key: Key, found: dict[str, Outcome], left: int, decided: int) -> None:
    from data.codec import encode, plain

    body: dict[str, Any] = {
        "schema": key.schema,
        "run": key.run,
        "first": key.first,
        "second": key.second,
        "simulated": key.simulated,
        "cases": key.cases,
        "annotators": key.annotators,
        "left_wins": left,
        "decided": decided,
        "aspects": {
            aspect: {
                **plain(own),
                "missing": own.missing,
                "win_rate": own.win_rate,
                "margin_of_given": own.margin_of_given,
                "margin_of_planned": own.margin_of_planned,
            }
            for aspect, own in found.items()
        },
    }
    sys.stdout.buffer.write(encode(body) + b"\n")
