"""Downloads are checked to the last byte before anything is written. The server is on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from data import codec
from data.benchmark import load
from data.errors import AlignsweepError, ConfigError, DataError
from engine.fetch import BASE_URL, PINS, Pin, Snapshot, download, install, pins_for
from providers.transport import AiohttpTransport
from tests import sample_clone

FILES = sample_clone.files()
PIN = {"1.1": Pin("c0ffee", {path: codec.sha256(data) for path, data in FILES.items()})}
QUESTIONS = "data/data_v1.1_release.jsonl"

Reply = Callable[[str], bytes]


def ok(path: str, body: bytes | None = None) -> bytes:
    """The file as it is, or another body under its name."""
    data = FILES[path] if body is None else body
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


def only_questions(reply: bytes) -> Reply:
    """Everything is right but the question file."""
    return lambda path: reply if path == QUESTIONS else ok(path)


@contextlib.asynccontextmanager
async def server(reply: Reply, asked: list[str]) -> AsyncIterator[str]:
    """A one-shot HTTP server on loopback; its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1].decode())
        path = asked[-1].removeprefix("/base/c0ffee/")
        with contextlib.suppress(ConnectionError):
            writer.write(reply(path).replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/base/"


def fetched(reply: Reply, asked: list[str] | None = None) -> list[Snapshot]:
    """What `download` makes of a server that answers so."""

    async def main() -> list[Snapshot]:
        async with server(reply, [] if asked is None else asked) as base:
            return await with_transport(lambda t: download(t, PIN, base_url=base))

    return anyio.run(main)


async def with_transport(
    work: Callable[[AiohttpTransport], Awaitable[list[Snapshot]]],
) -> list[Snapshot]:
    transport = AiohttpTransport(connections=1)
    try:
        return await work(transport)
    finally:
        await transport.aclose()


def test_good_files_become_a_benchmark(tmp_path: Path) -> None:
    """Each is asked for once, below BASE/COMMIT, and what arrives is what is imported."""
    asked: list[str] = []
    (imported,) = install(fetched(ok, asked), home=tmp_path)
    assert sorted(asked) == sorted(f"/base/c0ffee/{path}" for path in FILES)
    assert load(imported.name, home=tmp_path).sha256 == codec.sha256(FILES[QUESTIONS])


def tampered() -> bytes:
    data = bytearray(FILES[QUESTIONS])
    data[len(data) // 2] ^= 1
    return ok(QUESTIONS, bytes(data))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (tampered(), "not the published file: "),
        (ok(QUESTIONS, FILES[QUESTIONS][:-9]), "not the published file: "),
        (ok(QUESTIONS, b"<html>please log in</html>"), "not the published file: 26 bytes"),
        (ok(QUESTIONS, b""), "not the published file: 0 bytes"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: /base/c0ffee/judge.py\r\ncontent-length: 0\r\n\r\n",
            "HTTP 302, a redirect to /base/c0ffee/judge.py, which is not followed",
        ),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n", "HTTP 404"),
        (b"HTTP/1.1 503 Busy\r\nlocation: \x1b[31m\r\ncontent-length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\nhalf", "download failed: "),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", "download failed: "),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (5 << 20), "download failed: "),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "download failed: "),
    ],
)
def test_anything_but_the_pinned_bytes_is_one_error(reply: bytes, says: str) -> None:
    """Tampered, cut, a page, a redirect, an error, too long: each named with its URL."""
    with pytest.raises(DataError) as caught:
        fetched(only_questions(reply))
    assert says in str(caught.value)
    assert "/base/c0ffee/data/data_v1.1_release.jsonl" in caught.value.path
    assert "nothing was written" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_redirect_is_never_followed() -> None:
    """Not even on the same host: the target is not asked for a second time."""
    asked: list[str] = []
    moved = b"HTTP/1.1 301 Moved\r\nlocation: /base/c0ffee/elsewhere\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(DataError):
        fetched(lambda _: moved, asked)
    assert len(asked) == 1


def test_nobody_listening_is_one_error() -> None:
    """A refused connection has no reply to show."""

    async def main() -> list[Snapshot]:
        return await with_transport(lambda t: download(t, PIN, base_url="http://127.0.0.1:1"))

    with pytest.raises(DataError, match="download failed"):
        anyio.run(main)


@pytest.mark.parametrize(
    "base",
    [
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "ftp://127.0.0.1/x",
        "file:///etc",
        "https://",
        "x",
        "",
        "http://[::1",
        "https://user:secret@example.org",
        "https://example.org/?a=",
        "https://example.org/#a",
    ],
)
def test_an_unsafe_base_url_is_refused_before_a_byte_is_sent(base: str) -> None:
    """Only https, or this machine; nothing that carries a password."""

    async def main() -> list[Snapshot]:
        return await with_transport(lambda t: download(t, PIN, base_url=base))

    with pytest.raises(ConfigError) as caught:
        anyio.run(main)
    assert "secret" not in str(caught.value)


def test_files_that_two_versions_share_are_downloaded_once() -> None:
    """Equal digests are equal files."""
    asked: list[str] = []

    async def main() -> list[Snapshot]:
        async with server(ok, asked) as base:
            pins = {"1.1": PIN["1.1"], "again": PIN["1.1"]}
            return await with_transport(lambda t: download(t, pins, base_url=base))

    first, second = anyio.run(main)
    assert first.files == second.files == FILES
    assert len(asked) == len(FILES)


def test_the_pins_name_whole_commits_and_whole_digests() -> None:
    """Both versions, each with the files the importer reads."""
    assert set(pins_for("all")) == {"1.0", "1.1"} == set(PINS)
    for version, pin in PINS.items():
        assert pins_for(version) == {version: pin}
        assert len(pin.commit) == 40
        assert {len(digest) for digest in pin.files.values()} == {64}
        assert {p for p in pin.files if not p.startswith("data/")} == set(FILES) - {QUESTIONS}
    assert BASE_URL.startswith("https://")
    with pytest.raises(AlignsweepError, match=r"no version '2\.0'"):
        pins_for("2.0")
