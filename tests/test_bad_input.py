"""The real command line on bad input: one clear error, exit code 2, and nothing sent.

The provider is a real server on the loopback interface that counts its connections.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CANARY = "sk-canary-Zm9vYmFy"
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "好"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}
SWEEP = """\
name = "s"
benchmark = "own.jsonl"

[providers.local]
api = "openai-chat"
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "CANARY_KEY"

[[models]]
name = "m"
provider = "local"
model = "m-1"
"""
JUDGE = '\n[[judges]]\nname = "j"\nprovider = "local"\nmodel = "j-1"\n'
QUESTIONS = '{"id": 1, "question": "问"}\n{"id": 2, "question": "问？"}\n'


class CountingServer:
    """Answers every POST with the same answer, and counts connections and requests."""

    def __init__(self) -> None:
        self.connections = self.requests = 0
        self.heads: list[str] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        async with server:
            await self._leave.wait()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        body = json.dumps(ANSWER).encode()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                self.heads.append(head.decode("latin-1"))
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(10)


class Bench:
    """A working folder, a server, and the command line."""

    def __init__(self, folder: Path, server: CountingServer) -> None:
        self.folder, self.server = folder, server
        self.server.connections = self.server.requests = 0
        self.server.heads.clear()
        self.write("own.jsonl", QUESTIONS)
        self.write("sweep.toml", self.sweep())

    def sweep(self) -> str:
        """A sound sweep file."""
        return SWEEP.format(port=self.server.port)

    def write(self, name: str, text: str | bytes) -> Path:
        """A file of the working folder."""
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """`alignsweep WORDS…` with a home of its own; a variable "" is left out."""
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "CANARY_KEY": CANARY,
            **env,
        }
        program = "from engine.cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=self.folder,
            env={name: value for name, value in own.items() if value},
            capture_output=True,
            check=False,
            timeout=60,
        )

    def refused(self, *words: str, **env: str) -> str:
        """Run, and see to all that every refusal promises; the message."""
        done = self.run(*words, **env)
        said, told = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 2, (said, told)
        assert told.startswith("error: "), told
        assert len(re.findall("(?m)^error: ", told)) == 1
        assert "Traceback" not in told + said
        assert CANARY not in told + said
        assert (self.server.connections, self.server.requests) == (0, 0)
        assert not (self.folder / "runs").exists()
        return told


@pytest.fixture(scope="module")
def server() -> Iterator[CountingServer]:
    """One for all tests."""
    made = CountingServer()
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, server: CountingServer) -> Bench:
    """A sound sweep; each test spoils one thing."""
    return Bench(tmp_path, server)


def test_sound_input_reaches_the_server_or_none_of_this_would_mean_anything(bench: Bench) -> None:
    """With a BOM and CRLF in both files, the key in its header, and in no file and no output."""
    bom = b"\xef\xbb\xbf"
    bench.write("sweep.toml", bom + bench.sweep().replace("\n", "\r\n").encode())
    bench.write("own.jsonl", bom + QUESTIONS.replace("\n", "\r\n").encode())
    done = bench.run("run", "sweep.toml", "--progress", "none")
    assert done.returncode == 0, done.stderr.decode()
    assert bench.server.requests == 2
    assert all(f"authorization: bearer {CANARY}".lower() in h.lower() for h in bench.server.heads)
    files = [p for p in bench.folder.rglob("*") if p.is_file()]
    assert bench.folder / "runs" / "s" / "journal.jsonl" in files
    leaks = [p for p in files if CANARY.encode() in p.read_bytes()]
    assert leaks == []
    assert CANARY.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('model = "m-1"', 'model = "m-1"\nmax_token = 5', "sweep.toml:13: unknown key `max_token`"),
        ('provider = "local"', 'provider = "locl"', "sweep.toml:11: unknown provider `locl`"),
        ('name = "s"', 'name = "../s"', "sweep.toml:1: `name` is a folder's name"),
    ],
)
def test_a_spoilt_sweep_file_is_refused(bench: Bench, old: str, new: str, says: str) -> None:
    """With its line and how to mend it."""
    bench.write("sweep.toml", bench.sweep().replace(old, new, 1))
    assert bench.refused("run", "sweep.toml").startswith(f"error: {says}")


def test_a_missing_key_variable_is_refused(bench: Bench) -> None:
    """By the dry run as well, which says what would be sent first."""
    says = "error: provider `local`: the environment variable CANARY_KEY is not set"
    assert bench.refused("run", "sweep.toml", CANARY_KEY="").startswith(says)
    assert bench.refused("run", "sweep.toml", "--dry-run", CANARY_KEY="").startswith(says)


def test_a_key_that_would_break_its_header_is_refused_unseen(bench: Bench) -> None:
    """Not a part of it is shown."""
    told = bench.refused("run", "sweep.toml", CANARY_KEY=f"{CANARY}\nX-Evil: 1")
    assert "CANARY_KEY holds no usable key" in told
    assert "Evil" not in told


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            b'{"id": 1, "question": "a"}\n{"id": 2, "question": "b"}\n{"id": 1, "question": "c"}',
            "own.jsonl:3: question_id 1 stands on line 1 already",
        ),
        (QUESTIONS.encode("gb18030"), "not UTF-8"),
        (b"", "own.jsonl"),
        (b'{"id": 1, "question": "a\x00"}', "own.jsonl"),
        (b"[" * 100_000, "own.jsonl"),
    ],
)
def test_a_spoilt_question_file_is_refused(bench: Bench, rows: bytes, says: str) -> None:
    """Duplicate ids, another encoding, nothing in it, no JSON lines."""
    bench.write("own.jsonl", rows)
    assert says in bench.refused("run", "sweep.toml")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (b"", "sweep.toml: an empty sweep file"),
        ('name = "é"\n'.encode("latin-1"), "sweep.toml:1: not UTF-8"),
        (None, "sweep.toml: no such file"),
    ],
)
def test_a_sweep_file_that_is_none_is_refused(bench: Bench, spoil: bytes | None, says: str) -> None:
    """Empty, in another encoding, or not there."""
    if spoil is None:
        (bench.folder / "sweep.toml").unlink()
    else:
        bench.write("sweep.toml", spoil)
    assert bench.refused("run", "sweep.toml").startswith(f"error: {says}")


def test_a_folder_is_no_file(bench: Bench) -> None:
    """Neither as a sweep file nor as a benchmark."""
    assert "this is a folder, not a file" in bench.refused("run", ".")
    (bench.folder / "own.jsonl").unlink()
    (bench.folder / "own.jsonl").mkdir()
    assert "this is a folder, not a file" in bench.refused("run", "sweep.toml")


def test_a_run_folder_that_cannot_be_made_is_refused(bench: Bench) -> None:
    """Below a regular file not even root may write."""
    told = bench.refused("run", "sweep.toml", "--run-dir", "own.jsonl/run")
    assert told.startswith("error: cannot make the run folder own.jsonl/run: Not a directory\n")
    assert "--run-dir" in told
    told = bench.refused("run", "sweep.toml", "--run-dir", "own.jsonl")
    assert "cannot make the run folder own.jsonl" in told


def test_a_cache_that_cannot_be_made_is_refused(bench: Bench) -> None:
    """Its folder is below a regular file."""
    done = bench.run("run", "sweep.toml", XDG_CACHE_HOME=str(bench.folder / "own.jsonl"))
    told = done.stderr.decode()
    assert (done.returncode, bench.server.connections) == (2, 0)
    assert told.startswith("error: ")
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "sweep.toml", "--limit", "0"), "--limit must be at least 1"),
        (("run", "sweep.toml", "--models", "x"), "no model `x` in this sweep"),
        (("run", "sweep.toml", "--fork", "a/b"), "--fork: `a/b` is a folder"),
        (("run", "sweep.toml", "--progress", "loud"), "--progress: no progress mode `loud`"),
        (("judge", "sweep.toml"), "sweep.toml: this sweep has no [[judges]]"),
        (("report", "nothing"), "no run `nothing`"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_refused(
    bench: Bench, words: tuple[str, ...], says: str
) -> None:
    """Before anything else happens."""
    assert bench.refused(*words).startswith(f"error: {says}")


def test_answers_that_fit_nothing_are_refused(bench: Bench) -> None:
    """A stranger's answer, and one to a question that is not asked."""
    bench.write("sweep.toml", bench.sweep() + JUDGE)
    bench.write("a.jsonl", '{"question_id": 1, "model_id": "x", "answer": "a"}')
    told = bench.refused("judge", "sweep.toml", "--answers", "a.jsonl")
    assert told.startswith("error: a.jsonl:1: an answer of `x`, which is no model of sweep.toml")
