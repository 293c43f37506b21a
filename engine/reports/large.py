"""The reports that are files by nature: one page, one workbook, several plots. Where each of them goes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.dossier import Dossier
from engine.reports.files import write_whole
from engine.reports.uncertainty import Intervals
from engine.reports.web.blocks import Which

Large = Literal["html", "xlsx", "svg", "png"]
PLACES: dict[Large, str] = {
    "html": "report.html",
    "xlsx": "results.xlsx",
    "svg": "plots",
    "png": "plots",
}
"""Below `report/` in the run's folder, where nobody names another place."""
WHOLE = 100_000_000
"""Bytes of a journal of which a page with every text is still pleasant to open (about 40 MB)."""


def texts_for(folder: Path) -> Which:
    """Which texts a page that nobody asked for holds: all, unless there are too many of them."""
    size = (folder / "journal.jsonl").stat().st_size
    return "all" if size <= WHOLE else "failures"


def write_large(
    dossier: Dossier,
    kind: Large,
    out: Path | None = None,
    *,
    partial: bool = False,
    texts: Which = "all",
    sure: Intervals | None = None,
) -> list[Path]:
    """Write it, and return the files. Plots go into a folder, the others into one file.

    `sure` are intervals that are known already; else the statistics are asked.
    Raises ConfigError where a package for this format is missing, StorageError where writing fails.
    """
    place = out or dossier.run.folder / "report" / PLACES[kind]
    if kind == "html":
        from engine.reports.web.page import render

        write_whole(place, render(dossier, partial=partial, which=texts, sure=sure))
        return [place]
    if kind == "xlsx":
        from engine.reports import workbook

        return [workbook.write(dossier, place, partial=partial)]
    from engine.reports.plots import files

    return files.write(dossier, place, kind, partial=partial)
