"""The real transport against a small hostile server on this machine."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from data.errors import ConfigError, TransportError
from providers.transport import (
    FIRST_MARKS,
    LAST_MARKS,
    MAX_BODY,
    MAX_STREAM,
    AiohttpTransport,
    Marks,
)
from providers.wire import Endpoint, HttpReply, HttpRequest

KEY = "sk-canary-7f3a9b2c"
HEADERS = {"Authorization": f"Bearer {KEY}", "X-Team": "eval"}
Play = Callable[["Seen", asyncio.StreamWriter], Awaitable[bool]]
"""Plays one reply; True: the connection stays open for another request."""


class Seen:
    """One request as it arrived: on which connection, and what it said."""

    def __init__(self, connection: int, head: str, body: bytes) -> None:
        self.connection, self.head, self.body = connection, head, body
        self.lines = [line.lower() for line in head.split("\r\n")]


class Server:
    """Speaks just enough HTTP to misbehave."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.seen: list[Seen] = []
        self.connections = 0
        self.left = asyncio.Event()
        """A client has closed its connection."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":  # a TLS handshake
                    writer.write(http(b"plain", status="400 Bad Request"))
                    break
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lengths = [
                    h.split(":")[1]
                    for h in head.lower().split("\r\n")
                    if h[:15] == "content-length:"
                ]
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                self.seen.append(Seen(number, head, body))
                if not await self._play(self.seen[-1], writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def hostile(play: Play) -> AsyncIterator[tuple[Server, AiohttpTransport]]:
    """A server that plays this, and a transport to ask it with."""
    server = Server(play)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    transport = AiohttpTransport(connections=8)
    try:
        yield server, transport
    finally:
        await transport.aclose()
        listener.close()


def raw(data: bytes, *, keep: bool = False) -> Play:
    """Send these bytes; close, unless told to keep the connection."""

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return keep

    return play


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A reply in full, with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def ask(server: Server, transport: AiohttpTransport, timeout_s: float = 20.0) -> HttpReply:
    """One POST."""
    endpoint = Endpoint(server.url + "/v1/", HEADERS, timeout_s, KEY)
    return await transport.send(HttpRequest("/chat/completions", b'{"model":"m"}'), endpoint)


def fails(play: Play, timeout_s: float = 20.0) -> str:
    """What the TransportError says that this play leads to; never the key."""

    async def main() -> TransportError:
        async with hostile(play) as (server, transport):
            with pytest.raises(TransportError) as caught:
                await ask(server, transport, timeout_s)
            return caught.value

    error = asyncio.run(main())
    assert KEY not in f"{error} {error!r} {error.__cause__!r}"
    assert str(error).isprintable()
    return str(error)


def succeeds(play: Play, count: int = 1) -> tuple[Server, list[HttpReply]]:
    """The replies to `count` requests, one after the other."""

    async def main() -> tuple[Server, list[HttpReply]]:
        async with hostile(play) as (server, transport):
            return server, [await ask(server, transport) for _ in range(count)]

    return asyncio.run(main())


# --- what goes out -----------------------------------------------------------------------------


def test_the_request_goes_out_as_the_codec_made_it() -> None:
    """Path appended, body untouched, the account's headers with it."""
    server, [reply] = succeeds(raw(http(b"{}", "X-Request-Id: req-1")))
    (seen,) = server.seen
    assert seen.head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert seen.body == b'{"model":"m"}'
    expected = {
        f"authorization: bearer {KEY}",
        "x-team: eval",
        "content-type: application/json",
        "accept-encoding: identity",
    }
    assert expected <= set(seen.lines)
    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (200, b"{}", "req-1")
    assert 0 < reply.latency_s < 20


def test_a_very_large_request_arrives_whole() -> None:
    """A judge's prompt around an answer of a megabyte; aiohttp would warn, and some stop at warnings."""

    async def main() -> Seen:
        async with hostile(raw(http(b"{}"))) as (server, transport):
            request = HttpRequest("/chat/completions", body)
            await transport.send(request, Endpoint(server.url, HEADERS, 20.0))
            return server.seen[0]

    body = os.urandom(3_000_000)
    seen = asyncio.run(main())
    assert seen.body == body
    assert f"content-length: {len(body)}" in seen.lines


def test_an_error_reply_is_a_reply() -> None:
    """Its status and body are the codec's affair."""
    _, [reply] = succeeds(raw(http(b"<html>", status="503 Service Unavailable")))
    assert (reply.status, reply.body) == (503, b"<html>")


def test_a_connection_is_used_again() -> None:
    """One handshake serves many requests."""
    server, _ = succeeds(raw(http(b"{}"), keep=True), count=5)
    assert server.connections == 1
    assert [seen.connection for seen in server.seen] == [1] * 5


def test_cookies_are_never_sent_back() -> None:
    """A provider cannot tie requests together. (By name: no client keeps cookies of a number.)"""
    cookies = [f"Set-Cookie: c{i}=v{i}; Path=/" for i in range(50)]

    async def main() -> Server:
        async with hostile(raw(http(b"{}", *cookies), keep=True)) as (server, transport):
            server.url = server.url.replace("127.0.0.1", "localhost")
            for _ in range(3):
                await ask(server, transport)
            return server

    seen = asyncio.run(main()).seen
    assert len(seen) == 3
    assert not [line for request in seen for line in request.lines if line[:7] == "cookie:"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
def test_a_redirect_is_not_followed(status: str) -> None:
    """It would carry prompt and key to another host."""

    async def main() -> tuple[HttpReply, int]:
        async with hostile(raw(http(b"{}"))) as (evil, _):
            to = f"Location: {evil.url}/v1/chat/completions"
            async with hostile(raw(http(b"", to, status=status))) as (server, transport):
                return await ask(server, transport), evil.connections

    reply, evil_hits = asyncio.run(main())
    assert reply.status == int(status[:3])
    assert evil_hits == 0


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would see prompts that nobody meant it to see."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server, [reply] = succeeds(raw(http(b"{}")))
    assert (reply.status, server.connections) == (200, 1)


def test_an_endpoint_does_not_show_its_key() -> None:
    """Not in its repr, so not in a traceback or a log either."""
    endpoint = Endpoint("http://h/v1/", HEADERS, 1.0, KEY)
    assert repr(endpoint) == "<Endpoint http://h/v1>"
    assert KEY not in f"{endpoint} {AiohttpTransport!r}"


def test_a_model_in_the_path_stays_where_it_was_put() -> None:
    """What a codec has escaped is not unescaped on the way."""
    path = "/models/..%2F..%2Fx%3Fkey%23f:streamGenerateContent?alt=sse"

    async def main() -> Server:
        async with hostile(raw(http(b"{}"))) as (server, transport):
            await transport.send(HttpRequest(path, b"{}"), Endpoint(f"{server.url}/v1", {}, 9.0))
            return server

    (seen,) = asyncio.run(main()).seen
    assert seen.head.startswith(f"POST /v1{path} HTTP/1.1\r\n")


# --- streams -----------------------------------------------------------------------------------

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def slowly(*chunks: bytes, pause_s: float = 0.05) -> Play:
    """Send a stream's chunks with a pause before each."""

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(STREAM_HEAD)
        for chunk in chunks:
            await asyncio.sleep(pause_s)
            writer.write(chunk)
            await writer.drain()
        return False

    return play


def test_a_stream_comes_with_the_times_of_its_pieces() -> None:
    """Bytes so far and seconds since sending, both rising, up to the whole body."""
    _, [reply] = succeeds(slowly(b": wait\n\n", b"data: a\n\n", b"data: b\n\n"))
    assert reply.body == b": wait\n\ndata: a\n\ndata: b\n\n"
    assert [size for size, _ in reply.marks] == [8, 17, 26]
    times = [at_s for _, at_s in reply.marks]
    assert 0.05 <= times[0] < times[1] < times[2] <= reply.latency_s
    assert times[2] - times[0] >= 0.1


def test_other_replies_have_no_marks() -> None:
    """Nor has a stream that was compressed on the way: its bytes are not those of the body."""
    assert succeeds(raw(http(b"{}")))[1][0].marks == ()
    kind = "Content-Type: text/event-stream"
    compressed = http(gzip.compress(b"data: a\n\n"), kind, "Content-Encoding: gzip")
    [reply] = succeeds(raw(compressed))[1]
    assert (reply.body, reply.marks) == (b"data: a\n\n", ())


def test_marks_of_an_endless_stream_are_bounded() -> None:
    """The first and the last are exact; in between the next one that was noted stands in."""
    clock = iter(range(10**6))
    marks = Marks(lambda: float(next(clock)), 0.0)
    for size in range(1, 5001):
        marks.note(size)
    noted = marks.noted
    assert len(noted) == FIRST_MARKS + LAST_MARKS
    assert list(noted) == sorted(noted)
    assert noted[FIRST_MARKS - 1] == (FIRST_MARKS, FIRST_MARKS - 1.0)
    assert noted[-1] == (5000, 4999.0)


def test_a_stream_is_read_up_to_a_limit_of_its_own() -> None:
    """Longer than that of other bodies, since every token has a frame around it."""
    chunk = b": " + b"x" * ((1 << 20) - 4) + b"\n\n"
    limit = MAX_STREAM // len(chunk)
    assert "longer than" in fails(flood(STREAM_HEAD, chunk, limit + 8))
    _, [reply] = succeeds(flood(STREAM_HEAD, chunk, limit - 1))
    assert len(reply.body) > MAX_BODY


def test_a_cut_stream_is_no_reply() -> None:
    """By its chunk lengths the transport knows that something is missing."""
    head = STREAM_HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    assert "not completed" in fails(raw(head + b"9\r\ndata: a\n\n\r\n"))


# --- connections that were kept ----------------------------------------------------------------


def test_a_connection_that_was_closed_meanwhile_costs_an_attempt() -> None:
    """Nothing is sent twice behind the journal's back: whether to try again is the engine's decision."""

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(b"{}"))
        await writer.drain()
        return False

    async def main() -> list[int]:
        counts = []
        async with hostile(play) as (server, transport):
            for _ in range(3):
                with suppress(TransportError):
                    await ask(server, transport)
                counts.append(len(server.seen))
        return counts

    counts = asyncio.run(main())
    assert counts == sorted(counts)
    assert counts[-1] <= 3


STREAM_ENDS = b"0\r\n\r\n"


def stream(*, keep: bool) -> Play:
    """An event stream in two pieces, after which the server keeps the connection or drops it unsaid."""
    head = STREAM_HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"6\r\ndata:\n\r\n" + STREAM_ENDS)
        await writer.drain()
        return keep and "connection: close" not in seen.head.lower()

    return play


async def streamed(server: Server, transport: AiohttpTransport) -> None:
    endpoint = Endpoint(server.url, HEADERS, 5.0)
    await transport.send(HttpRequest("/x", b"{}", streams=True), endpoint)


@pytest.mark.parametrize("keep", [True, False])
def test_streams_share_connections_once_the_server_was_seen_to_keep_one(keep: bool) -> None:
    """Only the first is left open, alone; meanwhile, and where it was dropped, each is closed."""

    async def main() -> None:
        async with hostile(stream(keep=keep)) as (server, transport):
            transport._habits._watch_s = 0.1
            for _ in range(3):
                await streamed(server, transport)
            asked = ["connection: close" in seen.head.lower() for seen in server.seen]
            assert asked == [False, True, True]
            assert server.connections == 3
            await asyncio.sleep(0.2)
            for _ in range(4):
                await streamed(server, transport)
            assert server.connections == (4 if keep else 7)
            assert len(server.seen) == 7

    asyncio.run(main())


def test_a_server_that_drops_a_kept_connection_is_not_trusted_again() -> None:
    """The request that was lost costs an attempt, and is not sent twice."""
    replies = 0

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        nonlocal replies
        replies += 1
        if replies == 3:  # on the connection that was kept
            writer.transport.abort()
            return False
        return await stream(keep=True)(seen, writer)

    async def main() -> None:
        async with hostile(play) as (server, transport):
            transport._habits._watch_s = 0.05
            await streamed(server, transport)
            await asyncio.sleep(0.1)
            await streamed(server, transport)
            with pytest.raises(TransportError):
                await streamed(server, transport)
            assert len(server.seen) == 3
            await streamed(server, transport)
            assert "connection: close" in server.seen[-1].head.lower()

    asyncio.run(main())


# --- bodies without measure --------------------------------------------------------------------


def flood(head: bytes, chunk: bytes, count: int) -> Play:
    """Send `head`, then `chunk` so many times, as long as the client stays."""

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(head)
        for _ in range(count):
            writer.write(chunk)
            await writer.drain()
        return False

    return play


def test_a_body_that_announces_too_much_is_not_read() -> None:
    """The length alone is reason enough."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
    assert "announces" in fails(raw(head))


def test_a_body_without_length_is_read_up_to_the_limit() -> None:
    """Endless bodies end there, and the connection with them."""
    chunk = b"x" * (1 << 20)
    limit = MAX_BODY // len(chunk)
    plain = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert "longer than" in fails(flood(plain, chunk, limit + 8))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert "longer than" in fails(flood(chunked, b"100000\r\n" + chunk + b"\r\n", limit + 8))


def test_after_a_flood_the_connection_is_dropped() -> None:
    """What is still in it never becomes the next answer."""
    endless = flood(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * (1 << 20), 10_000)

    async def main() -> Server:
        async with hostile(endless) as (server, transport):
            with pytest.raises(TransportError):
                await ask(server, transport)
            async with asyncio.timeout(10):
                await server.left.wait()
            return server

    assert asyncio.run(main()).connections == 1


def packed(body: bytes, encoding: str = "gzip") -> Play:
    return raw(http(body, f"Content-Encoding: {encoding}"))


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b'{"a":1}'), "gzip"),
        (gzip.compress(b'{"a":1}'), "X-GZIP"),
        (zlib.compress(b'{"a":1}'), "deflate"),
    ],
)
def test_a_body_compressed_unasked_is_unpacked(body: bytes, encoding: str) -> None:
    """Some gateways compress whatever the client accepts."""
    _, [reply] = succeeds(packed(body, encoding))
    assert reply.body == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (gzip.compress(b"0" * (MAX_BODY + 1)), "gzip", "larger than the limit"),
        (gzip.compress(os.urandom(2000))[:-100], "gzip", "cut"),
        (gzip.compress(b'{"a":1}')[:-8] + b"\0" * 8, "gzip", "broken"),
        (gzip.compress(b'{"a":') + gzip.compress(b"1}"), "gzip", "follows"),
        (b"", "gzip", "cut"),
        (b'{"a":1}', "gzip", "broken"),
        (b"anything", "br", "nobody asked for"),
        (b"anything", "gzip, gzip", "nobody asked for"),
        (b"anything", "\x01\xff", ""),
    ],
)
def test_a_compressed_body_that_is_not_whole_is_no_reply(
    body: bytes, encoding: str, said: str
) -> None:
    """Never a part of an answer, and never a bomb in memory."""
    assert said in fails(packed(body, encoding))


def test_a_large_compressed_body_within_the_limit_arrives_whole() -> None:
    """The limit counts what comes out."""
    text = os.urandom(1 << 20) + b"0" * (MAX_BODY - (1 << 20))
    _, [reply] = succeeds(packed(gzip.compress(text, 1)))
    assert reply.body == text


# --- lines that break --------------------------------------------------------------------------


async def reset(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    """Close with RST."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    return False


def then_reset(data: bytes) -> Play:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return await reset(seen, writer)

    return play


@pytest.mark.parametrize(
    "play",
    [
        raw(b""),
        reset,
        raw(b"HTTP/1.1 200 O"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half"),
        then_reset(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{half\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{half\r\n0\r\n\r\n"),
        raw(b"\x00\x01\x02 garbage \x1b]0;x\x07\r\n\r\n"),
        raw(b"HTTP/1.1 twohundred OK\r\n\r\n"),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{abc}"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ],
)
def test_a_reply_that_is_not_whole_is_a_transport_error(play: Play) -> None:
    """Cut, reset or garbled: tried again later, never half read."""
    assert fails(play)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_hang_ends_at_the_deadline(start: bytes) -> None:
    """Before the headers or in the body: a slot is never lost for ever."""

    async def hang(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(start)
        await writer.drain()
        await asyncio.Event().wait()
        return False

    assert fails(hang, timeout_s=0.2) == "no whole reply within 0.2 s"


def test_a_body_that_only_trickles_ends_at_the_deadline() -> None:
    """The deadline is for the whole reply, not for the next byte."""

    async def trickle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    assert "within 0.3 s" in fails(trickle, timeout_s=0.3)


def test_a_late_reply_is_never_taken_for_the_next_answer() -> None:
    """After a timeout the connection is gone, and so is what comes on it."""
    release = asyncio.Event()

    async def late_first(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.connection == 1:
            await release.wait()
            writer.write(http(b'"late"'))
        else:
            writer.write(http(b'"right"'))
        return True

    async def main() -> HttpReply:
        async with hostile(late_first) as (server, transport):
            with pytest.raises(TransportError):
                await ask(server, transport, timeout_s=0.2)
            release.set()
            return await ask(server, transport)

    assert asyncio.run(main()).body == b'"right"'


def test_an_unsolicited_second_reply_is_never_attributed() -> None:
    """A server that answers twice answers only one request."""

    async def twice(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(b'"%d"' % seen.connection) + http(b'"forged"'))
        await writer.drain()
        return True

    _, replies = succeeds(twice, count=4)
    assert b'"forged"' not in [reply.body for reply in replies]


def test_a_closed_port_and_an_unknown_host_are_named() -> None:
    """The user sees which address is meant."""

    async def main(url: str) -> str:
        transport = AiohttpTransport(connections=1)
        try:
            with pytest.raises(TransportError) as caught:
                await transport.send(HttpRequest("/x", b""), Endpoint(url, HEADERS, 5.0, KEY))
            return str(caught.value)
        finally:
            await transport.aclose()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in asyncio.run(main(f"http://127.0.0.1:{port}"))
    assert "nope.invalid" in asyncio.run(main("http://nope.invalid"))


@pytest.mark.parametrize(
    "url", ["http://h:99999/v1", "http://exa mple/v1", "http://[::1/v1", "http://..h../v1"]
)
def test_an_address_that_is_none_is_a_transport_error(url: str) -> None:
    """Whatever slips through the sweep file's checks ends here, as an error of ours."""

    async def main() -> None:
        transport = AiohttpTransport(connections=1)
        try:
            await transport.send(HttpRequest("/x", b""), Endpoint(url, HEADERS, 2.0))
        finally:
            await transport.aclose()

    with pytest.raises(TransportError):
        asyncio.run(main())


def test_a_server_without_tls_is_an_error() -> None:
    """Encryption is never dropped silently."""

    async def main() -> str:
        async with hostile(raw(http(b"{}"))) as (server, transport):
            endpoint = Endpoint(server.url.replace("http:", "https:"), HEADERS, 5.0)
            with pytest.raises(TransportError) as caught:
                await transport.send(HttpRequest("/x", b""), endpoint)
            assert caught.value.unsent
            return str(caught.value)

    said = asyncio.run(main())
    assert said.startswith("no TLS with 127.0.0.1:")
    assert said.endswith(" (http://?): wrong version number")


# --- downloads ---------------------------------------------------------------------------------


def test_a_download_carries_no_key_and_keeps_to_its_own_limit() -> None:
    """Public data is fetched as anybody would."""

    async def main(size: int) -> tuple[Seen, Any]:
        async with hostile(raw(http(b"x" * size))) as (server, transport):
            try:
                got: Any = await transport.get(server.url + "/f", max_bytes=100, timeout_s=5)
            except TransportError as error:
                got = str(error)
            return server.seen[0], got

    seen, reply = asyncio.run(main(100))
    assert reply.body == b"x" * 100
    assert seen.head.startswith("GET /f ")
    assert "authorization" not in seen.head.lower()
    _, told = asyncio.run(main(101))
    assert "100 is the limit" in told


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/f",
        "ftp://127.0.0.1/f",
        "https://",
        "file:///etc/passwd",
        "https://u:p@h/f",
    ],
)
def test_a_download_is_https_or_from_this_machine(url: str) -> None:
    """Nothing else is fetched, and no password is repeated."""

    async def main() -> None:
        transport = AiohttpTransport(connections=1)
        try:
            await transport.get(url, max_bytes=1, timeout_s=1)
        finally:
            await transport.aclose()

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert "u:p" not in str(caught.value)
