"""matplotlib, tamed: no global state, no mathematics in names, the same bytes for the same run.

Text stays text in an SVG, so its reader's own fonts draw it. In a PNG we draw it ourselves, which needs a
font that has every character: such a font is looked for by the names under which systems ship one,
and without it a PNG with Chinese is refused, because it would be full of boxes.
"""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from engine.cells import inert

INK, DIM, LINE, DOT, CI = "#16202c", "#566270", "#e2e6eb", "#1c5fb8", "#9dbbe2"
LOW, HIGH = "#f5f8fc", "#5aa5f2"
STACK = ("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC")
_FILES = (
    r"NotoSansCJK.*Regular.*\.(ttc|otf)$",
    r"NotoSansSC.*\.(ttf|otf)$",
    r"SourceHanSans.*Regular.*\.(ttc|otf)$",
    r"PingFang.*\.ttc$",
    r"Hiragino Sans GB.*\.ttc$",
    r"msyh\.tt[cf]$",
    r"wqy-(zenhei|microhei).*\.ttc$",
    r"(DroidSansFallback|simhei|simsun|uming|ukai).*\.tt[cf]$",
)
"""Files of fonts with Chinese, best first."""
_ASIAN = 0x2E80
"""The first code point for which matplotlib's own font has hardly any glyph."""


def library() -> Any:
    """matplotlib. Raises ConfigError where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise ConfigError(
            "plots are drawn with the package matplotlib, which is not installed",
            how="pip install 'alignsweep[plots]' (or: pip install matplotlib)",
        ) from None
    return matplotlib


@cache
def chinese_font() -> str:
    """The family of a font here that has Chinese; empty: there is none."""
    library()
    from matplotlib import font_manager

    files = sorted(font_manager.findSystemFonts())
    for pattern in _FILES:
        for path in files:
            if re.search(pattern, Path(path).name, re.IGNORECASE):
                font_manager.fontManager.addfont(path)
                return str(font_manager.FontProperties(fname=path).get_name())
    return ""


def needs_chinese(text: str) -> bool:
    """Does it hold what only an Asian font can draw?"""
    return any(ord(char) >= _ASIAN for char in text)


@contextmanager
def style(kind: str) -> Iterator[None]:
    """The settings of all plots, for as long as one is drawn and saved."""
    matplotlib = library()
    font = chinese_font()
    families = [*([font] if font else []), *(STACK if kind == "svg" else ()), "DejaVu Sans"]
    settings = {
        "font.family": "sans-serif",
        "font.sans-serif": families,
        "font.size": 9,
        "text.color": INK,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.edgecolor": LINE,
        "axes.labelcolor": DIM,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "axes.formatter.use_mathtext": False,
        "xtick.color": DIM,
        "ytick.color": DIM,
        "svg.fonttype": "none",
        "svg.hashsalt": "alignsweep",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        if kind == "svg":  # what is measured here with another font is drawn with the reader's own
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        _hush()
        yield


def figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of this many inches, and its axes."""
    library()
    from matplotlib.figure import Figure

    found = Figure(figsize=(width, height), layout="constrained")
    return found, found.subplots()


def save(found: Any, path: Path, kind: str) -> None:
    """Write it; without a date, so that the same run gives the same bytes."""
    metadata = {"Date": None, "Creator": "alignsweep"} if kind == "svg" else {"Software": None}
    found.savefig(path, format=kind, dpi=200, metadata=metadata, facecolor="white")


_TITLE = 44
"""Characters in a line of a title."""


def label(foreign: str, most: int = 40) -> str:
    """A name as a plot shows it: inert, and not too long."""
    text = inert(foreign)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def heading(foreign: str) -> str:
    """A title in lines that fit the narrowest plot, never cut: its end says that it is simulated."""
    return "\n".join(textwrap.wrap(inert(foreign), _TITLE))


def _hush() -> None:
    """The stack names fonts that are not here; that is what it is for."""
    import logging

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
