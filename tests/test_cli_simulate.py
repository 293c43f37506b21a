"""`alignsweep simulate`: what its flags make of the server, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data import codec
from tests.conftest import ROOT

COMMAND = [sys.executable, "-c", "from engine.cli.main import main; main()", "simulate"]
BODY = codec.encode({"model": "m", "messages": [{"role": "user", "content": "第1题是什么？"}]})


@contextmanager
def served(*flags: str) -> Iterator[str]:
    """The base URL of a server of its own."""
    words = [*COMMAND, "--port", "0", "--latency-ms", "0", *flags]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def ask(url: str) -> tuple[int, Any]:
    """(status, decoded body) of one completion."""
    try:
        with urllib.request.urlopen(f"{url}/chat/completions", data=BODY, timeout=10) as reply:
            return reply.status, codec.decode(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, codec.decode(error.read())


def refused(*flags: str) -> str:
    """What is said on stderr, with exit code 2 and nothing served."""
    done = subprocess.run(
        [*COMMAND, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_fault_comes_as_often_as_its_flag_says() -> None:
    """All of one kind."""
    with served("--fault", "503=1") as url:
        assert [ask(url)[0] for _ in range(3)] == [503] * 3


def test_the_credit_runs_out_and_another_version_is_served() -> None:
    """Two flags at once."""
    with served("--credit", "1", "--version-change", "0=v2") as url:
        status, reply = ask(url)
        assert (status, reply["system_fingerprint"]) == (200, "v2")
        status, reply = ask(url)
        assert (status, reply["error"]["code"]) == (429, "insufficient_quota")


def test_a_limit_is_judged_on_the_window_of_the_flag() -> None:
    """120 a minute on windows of one second are two."""
    with served("--rpm", "120", "--window-s", "1") as url:
        assert [ask(url)[0] for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--fault", "503"), "`503` is not KIND=RATE"),
        (("--fault", "cut=much"), "`much` is no number"),
        (("--fault", "cut=0.6", "--fault", "hang=0.6"), "more than all requests"),
        (("--fault", "cut=0.1", "--fault", "cut=0.2"), "named twice"),
        (("--fault", "fire=0.1"), "no fault `fire`"),
        (("--fault", "cut=0.1", "--error-rate", "0.1"), "contradict each other"),
        (("--version-change", "9=a", "--version-change", "3=b"), "times rise"),
        (("--window-s", "90"), "at most 60"),
    ],
)
def test_flags_that_cannot_be_are_one_clear_error(flags: tuple[str, ...], said: str) -> None:
    """Before a port is opened."""
    assert said in refused(*flags)
