"""The simulated provider on a loopback port, for clients that want a real socket.

    POST /v1/chat/completions   the simulator's reply, after its delay, as a stream if that is asked for;
         /v1/responses          the same question gets the same answer in every dialect
         /v1/messages
         /v1beta/models/MODEL:generateContent and :streamGenerateContent?alt=sse
    GET  /v1/models             the names its cast knows (any other name is played too)
    GET  /stats                 what has been asked so far

Rules. It binds 127.0.0.1 and nothing else, writes no access log, and does as little as it can for a
request, since measurements run against it: aiohttp's low-level server without routes or middlewares.
A reset really resets the connection; a reply that never comes holds it until the client leaves.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType

from aiohttp import web

from data import codec
from data.errors import ConfigError
from providers.persona import Cast
from providers.simgateway import error_body, is_spoken
from providers.simspeech import Trouble
from providers.simulator import SimOptions, SimReply, SimStatistics, Simulator

HOST = "127.0.0.1"
MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request; more is answered with 413."""
HANG_S = 3600.0
"""How long a reply that never comes is held for a client that never leaves."""


class SimServer:
    """`async with SimServer(options, cast) as server`: it listens at `server.url` until the end.

    `port` 0 takes a free one. With `api_key`, requests must carry it: as a bearer token, or as
    `x-api-key` or `x-goog-api-key`.
    """

    def __init__(
        self, options: SimOptions, cast: Cast, *, port: int = 0, api_key: str = ""
    ) -> None:
        self._simulator, self._cast = Simulator(options, cast), cast
        self._port = port
        self._key = api_key.encode()
        self._runner: web.ServerRunner | None = None
        self._now = asyncio.get_running_loop().time

    @property
    def url(self) -> str:
        """The base URL that clients are given, `/v1` included."""
        return f"http://{HOST}:{self._port}/v1"

    def statistics(self) -> SimStatistics:
        """Counts so far."""
        return self._simulator.statistics()

    async def __aenter__(self) -> SimServer:
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port, backlog=1024).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"cannot listen on port {self._port}: {error.strerror or error}",
                how="choose another port; 0 takes a free one",
            ) from None
        self._runner, self._port = runner, runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method, path = request.method, request.rel_url.raw_path
        if path == "/stats" and method == "GET":
            return _json(200, codec.encode(self.statistics()))
        if self._key and not self._known(request):
            self._simulator.turned_away("wrong key")
            return _error(path, 401, "incorrect API key provided (simulated)", "invalid_api_key")
        if path == "/v1/models":
            return self._models() if method == "GET" else _error(path, 405, "use GET")
        if is_spoken(_below_base(path)):
            return (
                await self._ask(request, path)
                if method == "POST"
                else _error(path, 405, "use POST")
            )
        return _error(path, 404, "no such address here", "not_found")

    def _known(self, request: web.BaseRequest) -> bool:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = bearer if scheme == "Bearer" else ""
        for name in ("x-api-key", "x-goog-api-key"):
            given = given or request.headers.get(name, "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key)

    async def _ask(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_BODY:
            return _error(path, 413, f"a request has at most {MAX_BODY} bytes")
        body = await request.content.read()
        came = self._now()
        reply = self._simulator.reply_to(_below_base(path), body, came)
        try:
            if reply.pieces:
                return await self._stream(request, reply, came)
            if reply.delay_s:
                await asyncio.sleep(min(reply.delay_s, HANG_S))
        finally:
            self._simulator.finish(reply)
        if reply.fault == "cut":
            return await self._cut(request, reply)
        if reply.fault:
            _reset(request)
        return _whole_reply(reply)

    async def _cut(self, request: web.BaseRequest, reply: SimReply) -> web.StreamResponse:
        """The first half of a reply that announced the whole, and a reset."""
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: reply.kept])
        _reset(request)
        return response

    async def _stream(
        self, request: web.BaseRequest, reply: SimReply, came: float
    ) -> web.StreamResponse:
        """Each piece at its time; those that are due at once go out together."""
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        await response.prepare(request)
        sent = 0
        for number, (size, at_s) in enumerate(reply.pieces, start=1):
            if number < len(reply.pieces) and reply.pieces[number][1] <= at_s:
                continue
            if (wait_s := came + at_s - self._now()) > 0:
                await asyncio.sleep(wait_s)
            await response.write(reply.body[sent : min(size, reply.kept)])
            if size > reply.kept:
                _reset(request)
                return response
            sent = size
        await response.write_eof()
        return response

    def _models(self) -> web.Response:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulated"}
            for name in self._cast.names
        ]
        return _json(200, codec.encode({"object": "list", "data": models}))


@contextmanager
def serve_in_thread(
    options: SimOptions, cast: Cast, port: int = 0, *, api_key: str = ""
) -> Iterator[str]:
    """A server in a thread of its own for as long as the block runs; gives its base URL.

    Raises ConfigError when the port cannot be had.
    """
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        leave = asyncio.Event()
        async with SimServer(options, cast, port=port, api_key=api_key) as server:
            ready.set_result((server.url, asyncio.get_running_loop(), leave))
            await leave.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="simulator", daemon=True)
    thread.start()
    url, loop, leave = ready.result()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join()


def _below_base(path: str) -> str:
    """A path below the base URL that clients are given, which ends in the API's version."""
    if path.startswith("/v1beta/models/"):
        return path.removeprefix("/v1beta")
    return path.removeprefix("/v1") if path.startswith("/v1/") else ""


def _whole_reply(reply: SimReply) -> web.Response:
    return web.Response(status=reply.status or 500, body=reply.body, headers=reply.headers)


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _error(path: str, status: int, message: str, code: str = "invalid_request") -> web.Response:
    trouble = Trouble(status, message, "invalid_request_error", code)
    return _json(status, error_body(_below_base(path), trouble))


def _reset(request: web.BaseRequest) -> None:
    """Close with RST instead of FIN: nothing more is sent, and the client sees a reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
