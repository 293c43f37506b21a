"""Commands run inside the test's own process: the same words in a tenth of the time."""

from __future__ import annotations

import io
import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.conftest import Ended, Program

HERE = frozenset(
    {"rank", "compare", "agree", "report", "audit", "export"} | {"run", "generate", "judge", "data"}
)
"""Those that leave nothing behind in a process: simulated runs end on virtual time."""


class Inside(Program):
    """The program as a user types it; anything else gets a process of its own."""

    def run(self, *words: str | Path, stdin: bytes = b"", timeout_s: float = 60.0) -> Ended:
        if str(words[0]) not in HERE:
            return super().run(*words, stdin=stdin, timeout_s=timeout_s)
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        with (
            pytest.MonkeyPatch.context() as own,
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            for name, value in self.env.items():
                own.setenv(name, value)
            own.setattr("sys.argv", ["alignsweep", *map(str, words)])
            code = _code_of_main()
        return Ended(code, *(_bytes(stream) for stream in (out, err)))


def _code_of_main() -> int:
    mask = os.umask(0o077)
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        os.umask(mask)
    assert isinstance(code, int), code
    return code


def _bytes(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
