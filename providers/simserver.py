"""The simulated provider on a loopback port, for clients that want a real socket.

    POST /v1/chat/completions   the simulator's reply, after its delay
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
from providers.simulator import SimOptions, SimReply, SimStatistics, Simulator, envelope

HOST = "127.0.0.1"
MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request; more is answered with 413."""
HANG_S = 3600.0
"""How long a reply that never comes is held for a client that never leaves."""


class SimServer:
    """`async with SimServer(options, cast) as server`: it listens at `server.url` until the end.

    `port` 0 takes a free one. With `api_key`, requests must carry it as a bearer token.
    """

    def __init__(
        self, options: SimOptions, cast: Cast, *, port: int = 0, api_key: str = ""
    ) -> None:
        self._simulator, self._cast = Simulator(options, cast), cast
        self._port = port
        self._authorization = f"Bearer {api_key}".encode() if api_key else b""
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
        if self._authorization and not self._known(request):
            return _error(401, "incorrect API key provided (simulated)", "invalid_api_key")
        if path == "/v1/chat/completions":
            return await self._chat(request) if method == "POST" else _error(405, "use POST")
        if path == "/v1/models":
            return self._models() if method == "GET" else _error(405, "use GET")
        return _error(404, "no such address here", "not_found")

    def _known(self, request: web.BaseRequest) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._authorization)

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.content_length or 0) > MAX_BODY:
            return _error(413, f"a request has at most {MAX_BODY} bytes")
        body = await request.content.read()
        reply = self._simulator.answer(body, self._now())
        try:
            if reply.delay_s:
                await asyncio.sleep(min(reply.delay_s, HANG_S))
        finally:
            self._simulator.finish(reply)
        if reply.fault:
            _reset(request)
        return _json_reply(reply)

    def _models(self) -> web.Response:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulated"}
            for name in self._cast.names
        ]
        return _json(200, codec.encode({"object": "list", "data": models}))


@contextmanager
def serve_in_thread(options: SimOptions, cast: Cast, port: int = 0) -> Iterator[str]:
    """A server in a thread of its own for as long as the block runs; gives its base URL.

    Raises ConfigError when the port cannot be had.
    """
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        leave = asyncio.Event()
        async with SimServer(options, cast, port=port) as server:
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


def _json_reply(reply: SimReply) -> web.Response:
    return web.Response(status=reply.status or 500, body=reply.body, headers=reply.headers)


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _error(status: int, message: str, code: str = "invalid_request") -> web.Response:
    return _json(status, envelope(message, "invalid_request_error", code))


def _reset(request: web.BaseRequest) -> None:
    """Close with RST instead of FIN: nothing more is sent, and the client sees a reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
