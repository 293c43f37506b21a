"""The one room that touches a socket, and where aiohttp's exceptions end.

Rules: one session for all accounts, no cookie jar, no proxy that was not asked for, TLS verified (by an
authority of one's own where an endpoint names its file), redirects never followed (they would carry the
prompt to another host), a total deadline always, and a body is read up to a cap, since a hostile or
broken server must not fill the memory.
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import os
import ssl
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from data.errors import ConfigError, TransportError
from data.text import printable
from providers.deadline import Deadline, Deadlines
from providers.habits import Habits
from providers.wire import Endpoint, HttpReply, HttpRequest

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a reply body, after decompression."""
MAX_STREAM = 2 * MAX_BODY
"""Bytes of a streamed one, which repeats some 300 bytes around every token."""
FREE_BODY, LARGE_BODIES = 1024 * 1024, 2
"""Bytes of a body that anybody may hold, and how many may hold more at once: with hundreds of calls in
flight, the cap alone would not bound the memory. No answer is so long; streams are not counted here."""
FIRST_MARKS, LAST_MARKS = 1024, 64
"""How many arrivals are noted of a stream's beginning and end; between them the next noted one counts."""
LARGE = 1024 * 1024
"""Bytes of a request from which on it is sent piece by piece; aiohttp warns of larger ones as a whole."""
MOST_UNREAD = 64
"""Replies on one connection that nobody has read yet. A sound server sends one, and few interim ones."""
CONNECT_S = 30.0
BASE_HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "alignsweep/0.1",
}


class Connections:
    """How many connections were opened, and how many requests went out on one that was there already."""

    def __init__(self) -> None:
        self.opened = self.reused = 0

    def trace(self) -> aiohttp.TraceConfig:
        """What tells a session's connections to these counts."""

        async def opened(*_: object) -> None:
            self.opened += 1

        async def reused(*_: object) -> None:
            self.reused += 1

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(opened)
        trace.on_connection_reuseconn.append(reused)
        return trace


class _Guarded(ResponseHandler):
    """aiohttp's own reader, but for a flood of interim replies (`100 Continue`): it keeps every one of
    them until somebody reads it, and reads on meanwhile."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > MOST_UNREAD and self.transport is not None:
            self._buffer.clear()
            self.transport.close()
            self.set_exception(HttpProcessingError(code=400, message="too many interim replies"))


class AiohttpTransport:
    """Transport over real HTTP. `connections` bounds the sockets of all accounts together."""

    def __init__(self, connections: int, counts: Connections | None = None) -> None:
        """`counts`: where to count connections; nobody counts them else."""
        self._session = _session(connections, counts)
        self._closing = _session(connections, counts, force_close=True)
        """For streams whose connections end with them."""
        self._watched = _session(connections, counts)
        """For the one stream to each server that shows whether it keeps connections."""
        self._habits = Habits()
        self._large = asyncio.Semaphore(LARGE_BODIES)
        self._deadlines: dict[float, Deadlines] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._trusts: dict[str, ssl.SSLContext] = {}

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            with self._deadline(endpoint.timeout_s):
                return await self._exchange(request, endpoint, started)
        except TimeoutError:
            raise TransportError(f"no whole reply within {endpoint.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = TransportError(_told(error))
            failure.unsent = isinstance(error, aiohttp.ClientConnectorError)
            raise failure from None

    async def _exchange(
        self, request: HttpRequest, endpoint: Endpoint, started: float
    ) -> HttpReply:
        """One request and its reply; `started` is when times are counted from."""
        if not request.streams or not endpoint.base_url.startswith("http:"):
            return await self._post(self._session, request, endpoint, started)
        server = f"{endpoint.base_url} {endpoint.proxy}"
        manner = self._habits.next(server)
        if manner == "close":
            return await self._post(self._closing, request, endpoint, started)
        if manner == "watch":
            return await self._watch(server, request, endpoint, started)
        try:
            return await self._post(self._session, request, endpoint, started)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            self._habits.dropped(server)
            raise

    async def _watch(
        self, server: str, request: HttpRequest, endpoint: Endpoint, started: float
    ) -> HttpReply:
        """A first stream, on a connection of its own."""
        lines: list[asyncio.BaseTransport] = []
        try:
            reply = await self._post(self._watched, request, endpoint, started, lines=lines)
        except BaseException:  # then it was closed by us, which says nothing of the server
            self._habits.unclear(server)
            raise
        if lines:
            self._habits.ended(server, lines[0])
        else:
            self._habits.unclear(server)
        return reply

    async def _post(
        self,
        session: aiohttp.ClientSession,
        request: HttpRequest,
        endpoint: Endpoint,
        started: float,
        lines: list[asyncio.BaseTransport] | None = None,
    ) -> HttpReply:
        """`lines`: where to put the connection of a stream that began."""
        clock = asyncio.get_running_loop().time
        headers = {**endpoint.headers, **request.headers} if request.headers else endpoint.headers
        async with session.post(
            endpoint.base_url + request.path,
            data=request.body if len(request.body) < LARGE else io.BytesIO(request.body),
            headers=headers,
            timeout=self._timeout(endpoint.timeout_s),
            allow_redirects=False,
            ssl=self._trust(endpoint.ca_file),
            proxy=endpoint.proxy or None,
        ) as response:
            told = _lowered(response.headers)
            streams = "event-stream" in told.get("content-type", "").lower()
            connection = response.connection
            if lines is not None and streams and connection and connection.transport:
                lines.append(connection.transport)
            marks = Marks(clock, started) if streams else None
            if streams:
                body = await _read(response, told, MAX_STREAM, marks)
            else:
                body = await _read(response, told, MAX_BODY, large=self._large)
            noted = marks.noted if marks and not _encoding(told) else ()
            return HttpReply(response.status, told, body, clock() - started, noted)

    async def get(self, url: str, *, max_bytes: int, timeout_s: float) -> HttpReply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        _refuse_unsafe(url)
        getting = self._session.get(
            url,
            headers={"Accept": "*/*"},
            timeout=self._timeout(timeout_s),
            allow_redirects=False,
        )
        try:
            with self._deadline(timeout_s):
                async with getting as response:
                    told = _lowered(response.headers)
                    body = await _read(response, told, max_bytes)
                    return HttpReply(response.status, told, body, loop.time() - started)
        except TimeoutError:
            raise TransportError(f"no whole reply within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(_told(error)) from None

    async def aclose(self) -> None:
        for session in (self._session, self._closing, self._watched):
            await session.close()

    def _trust(self, ca_file: str) -> ssl.SSLContext | bool:
        """Whose certificates are believed. Raises OSError for a file that cannot be read."""
        if ca_file and ca_file not in self._trusts:
            self._trusts[ca_file] = ssl.create_default_context(cafile=ca_file)
        return self._trusts.get(ca_file, True)

    def _deadline(self, total_s: float) -> Deadline:
        """Of a whole exchange. aiohttp's own total would set a timer and a context for each."""
        deadlines = self._deadlines.get(total_s)
        if deadlines is None:
            deadlines = self._deadlines[total_s] = Deadlines(total_s)
        return deadlines.one()

    def _timeout(self, total_s: float) -> aiohttp.ClientTimeout:
        """Of connecting only."""
        timeout = self._timeouts.get(total_s)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, total_s))
            self._timeouts[total_s] = timeout
        return timeout


def _session(
    connections: int, counts: Connections | None, *, force_close: bool = False
) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300, force_close=force_close)
    connector._factory = partial(_guarded, asyncio.get_running_loop())
    return aiohttp.ClientSession(
        trace_configs=[counts.trace()] if counts else None,
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        raise_for_status=False,
        headers=BASE_HEADERS,
    )


def _guarded(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Guarded(loop=loop)


def _refuse_unsafe(url: str) -> None:
    """https anywhere, http on this machine only; no name and password in it."""
    where = printable(url.rpartition("@")[2], 120)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise ConfigError(f"no URL: {printable(str(error), 120)}", where=where) from None
    if "@" in parts.netloc:
        raise ConfigError("a download URL carries no name or password", where=where)
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError("this is no https URL", where=where)
    if parts.scheme == "http" and not _loopback(host):
        raise ConfigError("plain http is refused", where=where, how="use https")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Marks:
    """When the bytes of a stream came: bounded, exact where the first and the last tokens stand."""

    def __init__(self, clock: Callable[[], float], started: float) -> None:
        self._clock, self._started = clock, started
        self._first: list[tuple[int, float]] = []
        self._last: deque[tuple[int, float]] = deque(maxlen=LAST_MARKS)

    def note(self, size: int) -> None:
        """So many bytes are here now."""
        mark = size, self._clock() - self._started
        (self._first if len(self._first) < FIRST_MARKS else self._last).append(mark)

    @property
    def noted(self) -> tuple[tuple[int, float], ...]:
        return (*self._first, *self._last)


def _encoding(headers: Mapping[str, str]) -> str:
    """How the body is compressed; empty: not at all."""
    encoding = headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


async def _read(
    response: aiohttp.ClientResponse,
    headers: Mapping[str, str],
    cap: int,
    marks: Marks | None = None,
    large: asyncio.Semaphore | None = None,
) -> bytes:
    """The body, decompressed if the server compressed it unasked. Raises TransportError over the cap.

    `large`: the places for bodies over `FREE_BODY`; while they are taken, the rest is not read.
    """
    if (response.content_length or 0) > cap:
        response.close()
        raise TransportError(
            f"the reply announces {response.content_length} bytes; {cap} is the limit"
        )
    async with AsyncExitStack() as place:
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            if large is not None and size <= FREE_BODY < size + len(chunk):
                await place.enter_async_context(large)
            size += len(chunk)
            if size > cap:
                response.close()
                raise TransportError(f"the reply is longer than {cap} bytes")
            chunks.append(chunk)
            if marks is not None:
                marks.note(size)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = _encoding(headers)
    return _decompressed(body, encoding, cap) if encoding else body


def _decompressed(body: bytes, encoding: str, cap: int) -> bytes:
    """Bounded, and complete: a cut gzip body is no reply."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise TransportError(f"the reply has an encoding nobody asked for: {printable(encoding)}")
    stream = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, told by the header
    try:
        text = stream.decompress(body, cap)
    except zlib.error as error:
        raise TransportError(f"the compressed reply is broken: {error}") from None
    if not stream.eof:
        raise TransportError("the compressed reply is cut or larger than the limit")
    if stream.unused_data:
        raise TransportError("something follows the compressed reply")
    return text


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _told(error: Exception) -> str:
    """One safe line about a foreign exception: its kind and what it says."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "not verified"
        place = f"{error.host}:{error.port}"
        return printable(f"the certificate of {place} is not believed (ca_file?): {why}", limit=200)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        why = str(getattr(error.os_error, "reason", "") or "no handshake").lower().replace("_", " ")
        return printable(f"no TLS with {error.host}:{error.port} (http://?): {why}", limit=200)
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.errno or 0  # its own words are for programmers
        reason = os.strerror(number) if number > 0 else error.strerror or "no such host"
        return printable(f"no connection to {error.host}:{error.port}: {reason}", limit=200)
    return printable(f"{type(error).__name__}: {error}", limit=200)
