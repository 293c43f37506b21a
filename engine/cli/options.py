"""Flags that several commands share, each with its one explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[Path, typer.Argument(help="The sweep file (see `alignsweep init`).")]
RunName = Annotated[str, typer.Argument(help="A run: its folder, or its name below ./runs.")]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Only the first N questions (after --category).")
]
Category = Annotated[
    list[str] | None, typer.Option("--category", help="Only this category; may be repeated.")
]
Models = Annotated[
    list[str] | None, typer.Option("--models", help="Only this model; may be repeated.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")
]
RunDir = Annotated[
    Path | None, typer.Option("--run-dir", help="The run's folder, instead of runs/NAME.")
]
Fork = Annotated[
    str | None,
    typer.Option("--fork", help="Start a new run of this name; cached answers are reused."),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor write the response cache.")
]
CacheFrom = Annotated[
    list[Path] | None,
    typer.Option(
        "--cache-from",
        help="Replies that somebody handed on (`cache export`): what they answer is not asked"
        " for; may be repeated.",
    ),
]
NoRetryFailed = Annotated[
    bool, typer.Option("--no-retry-failed", help="Leave failed trials of earlier sessions alone.")
]
Grace = Annotated[
    float,
    typer.Option(
        "--grace", min=0, help="Seconds that calls in flight are given after the first Ctrl-C."
    ),
]
ProgressMode = Annotated[
    str,
    typer.Option(
        "--progress",
        help="auto, full (live), inline (six lines), plain (lines), json or none; on stderr.",
    ),
]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw the live view in ASCII.")]
