"""The command line's front door: one app, its command groups, and how errors end.

Exit codes: 0 every trial final, 1 internal error (a bug), 2 the user can mend it and nothing was
sent, 3 partial, 4 budget reached, 6 what was checked is not so, 130 interrupted. `--help` stays
instant: command files import the engine inside their functions.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from data.errors import AlignsweepError
from engine.cli import (
    agree,
    anchors,
    audit,
    bench,
    cache,
    compare,
    ctl,
    data,
    demo,
    diff,
    explain,
    init,
    plan,
    providers,
    rank,
    rehearse,
    report,
    rubrics,
    run,
    selftest,
    simulate,
    verify,
    watch,
)

app = typer.Typer(
    name="alignsweep",
    help="Judge many language models on many questions: fast, resumable, nothing lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run,
    watch,
    plan,
    rehearse,
    init,
    report,
    rank,
    compare,
    diff,
    agree,
    audit,
    verify,
    simulate,
    selftest,
    demo,
):
    command.register(app)
app.add_typer(ctl.app, name="ctl", help="Look at a running sweep and steer it.")
app.add_typer(bench.app, name="bench", help="What providers give per minute and per coin.")
app.add_typer(cache.app, name="cache", help="The response cache: info, export, prune, clear.")
app.add_typer(providers.app, name="providers", help="Providers: list, show, check.")
app.add_typer(explain.app, name="explain-study", help="People compare two judges' explanations.")
app.add_typer(
    data.app, name="data", help="Benchmarks: import, fetch, list, show, validate, anchors."
)
data.app.command("anchors")(anchors.anchors)
app.add_typer(rubrics.app, name="rubrics", help="How judges are asked: list, show, check, import.")


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"alignsweep {version('alignsweep')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Judge many language models on many questions: fast, resumable, nothing lost."""


def main() -> None:
    """Entry point. Errors of our own tree become one message and exit code 2."""
    os.umask(0o077)  # answers may be confidential: whatever is written is its owner's alone
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese shows `?`
    try:
        app()
    except AlignsweepError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:  # before the command itself listens for it
        sys.exit(130)
    except BrokenPipeError:
        _leave_quietly()
    except OSError as error:
        typer.echo(f"error: cannot write the output: {error.strerror or error}", err=True)
        _leave_quietly(2)


def _leave_quietly(code: int = 141) -> None:
    """Whoever read our output is gone (141, as after SIGPIPE): say nothing more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
