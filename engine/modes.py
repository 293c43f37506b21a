"""How a stream is to be shown a run: what `auto` comes to, with or without colour, in which signs.

- **full**     a real terminal of 60 x 16 or more: the picture on the alternate screen
- **inline**   a smaller one, or whoever asks for it: six lines, repainted in place
- **plain**    everything else: lines for logs, appended
- **json**, **none**

A library's own idea of a terminal is not asked: FORCE_COLOR makes some call a pipe one. In an
unspoken C locale Python writes UTF-8, and so do nearly all terminals; who says LANG=C gets ASCII.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Literal

from data.schema import Struct

Mode = Literal["auto", "full", "inline", "plain", "json", "none"]
Shown = Literal["full", "inline", "plain", "json", "none"]
MIN_COLUMNS, MIN_LINES = 60, 16
INLINE_COLUMNS, INLINE_LINES = 20, 4
_UTF8 = {"utf8", "utf8sig"}


class Choice(Struct, frozen=True):
    """How a run is shown."""

    mode: Shown
    colour: bool = False
    ascii_only: bool = False
    """Our own signs in ASCII; names stay as they are."""
    encoding: str = "utf-8"
    """What the terminal can show at all."""
    annotated: bool = False
    """Plain: warnings and errors as GitHub Actions reads them."""


def choose(
    mode: Mode, *, stream: IO[str], env: Mapping[str, str], ascii_only: bool = False
) -> Choice:
    """What `mode` comes to on this stream."""
    encoding = _encoding(stream, env)
    terminal = _isatty(stream) and env.get("TERM", "") not in {"", "dumb"}
    if mode == "auto":
        mode = _fitting(stream) if terminal and not env.get("CI") else "plain"
    if mode in ("full", "inline") and not _isatty(stream):
        mode = "plain"
    assert mode != "auto"
    painted = mode in ("full", "inline")
    forced = any(env.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return Choice(
        mode,
        colour=not env.get("NO_COLOR") and (painted or (forced and mode == "plain")),
        ascii_only=ascii_only or encoding != "utf-8",
        encoding=encoding,
        annotated=mode == "plain" and env.get("GITHUB_ACTIONS") == "true",
    )


def _encoding(stream: IO[str], env: Mapping[str, str]) -> str:
    """`ascii` where the user says so: Python's own answer to LANG=C is UTF-8 (PEP 538 and 540)."""
    spoken = env.get("LC_ALL") or env.get("LANG") or ""
    if not env.get("LC_ALL") and env.get("LC_CTYPE", "C.UTF-8") not in {"C.UTF-8", "C.utf8"}:
        spoken = env["LC_CTYPE"]
    if spoken in {"C", "POSIX"}:
        return "ascii"
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    return "utf-8" if encoding.replace("-", "").replace("_", "") in _UTF8 else encoding


def _fitting(stream: IO[str]) -> Mode:
    """The picture that a terminal has room for."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return "plain"
    if size.columns >= MIN_COLUMNS and size.lines >= MIN_LINES:
        return "full"
    roomy = size.columns >= INLINE_COLUMNS and size.lines >= INLINE_LINES
    return "inline" if roomy else "plain"


def _isatty(stream: IO[str]) -> bool:
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
