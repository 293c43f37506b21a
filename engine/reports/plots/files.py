"""Which plots a run has, and under which names they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial as bound
from pathlib import Path
from typing import Any, Literal

from data.errors import ConfigError
from engine.dossier import Dossier
from engine.judge_pairs import judge_pairs
from engine.reports.files import whole
from engine.reports.names import file_names
from engine.reports.plots import canvas, drawings
from engine.reports.table import sheets
from engine.reports.uncertainty import intervals

Kind = Literal["svg", "png"]
Draw = Callable[[], Any]


def write(dossier: Dossier, folder: Path, kind: Kind, *, partial: bool = False) -> list[Path]:
    """All plots of a run into `folder`; what a run has nothing for is left out.

    Raises ConfigError where matplotlib is missing, or a font for a PNG; StorageError.
    """
    canvas.library()
    if kind == "png":
        _need_font(dossier)
    written: list[Path] = []
    with canvas.style(kind):
        for name, draw in _plots(dossier, partial):
            figure = draw()
            if figure is None:
                continue
            path = folder / f"{name}.{kind}"
            with whole(path) as draft:
                canvas.save(figure, draft, kind)
            written.append(path)
    return written


def _plots(dossier: Dossier, partial: bool) -> Iterator[tuple[str, Draw]]:
    """(file name, how to draw it)"""
    sure = intervals(dossier.scores, dossier.run.benchmark)
    found = sheets(dossier.scores, partial=partial)
    names = file_names(sheet.judge for sheet in found)
    for sheet in found:
        own = names[sheet.judge]
        if any(e.total is not None for e in sheet.entries):
            yield f"leaderboard-{own}", bound(drawings.leaderboard, sheet, sure)
            yield f"cost-{own}", bound(drawings.cost, sheet, dossier)
        if any(v is not None for e in sheet.entries for v in e.values):
            yield f"categories-{own}", bound(drawings.categories, sheet)
    for pair in judge_pairs(dossier):
        name = f"judges-{names[pair.first]}-{names[pair.second]}"
        yield name, bound(drawings.judges, pair, simulated=dossier.scores.simulated)
    yield "progress", bound(drawings.progress, dossier)


def _need_font(dossier: Dossier) -> None:
    """A PNG with Chinese needs a font that has it."""
    sweep, scores = dossier.run.sweep, dossier.scores
    names = [m.name for m in sweep.models] + [j.name for j in sweep.judges]
    shown = [sweep.name, scores.benchmark, *names, *scores.categories, *scores.groups]
    if any(map(canvas.needs_chinese, shown)) and not canvas.chinese_font():
        raise ConfigError(
            "no font with Chinese was found: a PNG would be full of boxes",
            how="install one (Debian: apt-get install fonts-noto-cjk), or take --format svg, whose"
            " text is drawn by whoever opens it",
        )
