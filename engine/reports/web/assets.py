"""Template, style, script and dictionary of the page: readable files beside this package."""

from __future__ import annotations

from functools import cache
from importlib import resources

SCRIPTS = (
    "core.js",
    "blocks.js",
    "filters.js",
    "matrix.js",
    "drawer.js",
    "compare.js",
    "strips.js",
    "radar.js",
    "tables.js",
    "main.js",
)
"""In the order in which they run; each is a script element of its own, and they share their names."""


@cache
def asset(name: str) -> str:
    """The text of one file of `engine/reports/assets/`."""
    place = resources.files("engine.reports").joinpath("assets", name)
    return place.read_text(encoding="utf-8")
