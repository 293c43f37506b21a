"""The simulated provider on a real loopback port."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from data import codec
from data.errors import ConfigError, RateLimited, TransportError, Unauthorized, WrongAddress
from data.schema import Benchmark, Message, Question, Request
from providers.openai import OpenAIChat
from providers.persona import Cast
from providers.registry import DIALECTS, STREAMED
from providers.scorebook import published
from providers.simserver import MAX_BODY, SimServer, serve_in_thread
from providers.simulator import SimOptions, Simulator
from providers.transport import AiohttpTransport
from providers.wire import Endpoint, HttpReply, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = tuple(Question(n, "专业能力", "历史", (f"第{n}题是什么？",)) for n in range(1, 31))
CAST = Cast(0, [Benchmark(name="b", title="b", questions=QUESTIONS, sha256="")], [published()])
FAST = SimOptions(latency_s=0.0)
CODEC = OpenAIChat()


PLAIN = Request(model="qwen-7b-chat", messages=(Message("user", "第1题是什么？"),))


def post(text: str = "第1题是什么？") -> HttpRequest:
    return CODEC.encode(Request(model="qwen-7b-chat", messages=(Message("user", text),)))


def get(url: str, key: str = "", data: bytes | None = None) -> tuple[int, Any]:
    """(status, decoded body) over the standard library's own client."""
    request = urllib.request.Request(url, data=data)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, codec.decode(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, codec.decode(error.read())


def really(
    talk: Callable[[AiohttpTransport, Endpoint, SimServer], Awaitable[None]],
    options: SimOptions = FAST,
    *,
    api_key: str = "",
    timeout_s: float = 10.0,
) -> None:
    """Run `talk` with our own transport against a server in the same loop, on real time."""

    async def main() -> None:
        async with SimServer(options, CAST, api_key=api_key) as server:
            transport = AiohttpTransport(connections=64)
            endpoint = Endpoint(server.url, CODEC.authorize(api_key), timeout_s)
            try:
                with anyio.fail_after(20):
                    await talk(transport, endpoint, server)
            finally:
                await transport.aclose()

    anyio.run(main)


def test_it_says_over_the_wire_what_the_simulator_says_in_process() -> None:
    """Byte for byte, so both have one behaviour."""

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        reply = await transport.send(post(), endpoint)
        expected = Simulator(FAST, CAST).answer(post().body, 0.0)
        assert (reply.status, reply.body) == (200, expected.body)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"] == expected.headers["x-request-id"]
        assert CODEC.decode(reply).simulated
        assert server.url.startswith("http://127.0.0.1:")

    really(talk)


def test_many_at_once_are_each_given_their_own_answer() -> None:
    """And waiting for one holds nobody up."""

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        marks: set[str] = set()

        async def send(number: int) -> None:
            reply = CODEC.decode(await transport.send(post(f"第{number}题是什么？"), endpoint))
            assert f" {number} 0〕" in reply.text
            marks.add(reply.text)

        async with anyio.create_task_group() as group:
            for number in range(1, 31):
                group.start_soon(send, number)
        assert len(marks) == 30
        assert server.statistics().max_in_flight > 20
        assert server.statistics().in_flight == 0

    really(talk, SimOptions(latency_s=0.05))


def test_the_rate_limit_reaches_the_client_as_one_it_understands() -> None:
    """With the time to wait."""

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        assert (await transport.send(post(), endpoint)).status == 200
        with pytest.raises(RateLimited) as caught:
            CODEC.decode(await transport.send(post(), endpoint))
        assert caught.value.retry_after_s is not None
        assert 50 < caught.value.retry_after_s <= 60
        assert server.statistics().by_status == {"200": 1, "429": 1}

    really(talk, SimOptions(latency_s=0.0, rpm=1))


def test_faults_are_real_faults_of_the_connection() -> None:
    """A reset is a reset, silence runs into the client's own timeout, and no place stays taken."""

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        seen: Counter[str] = Counter()

        async def send(number: int) -> None:
            try:
                reply = await transport.send(post(f"问题{number}"), endpoint)
                seen[str(reply.status)] += 1
            except TransportError as error:
                seen["hang" if "within" in error.message else error.message] += 1

        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(send, number)
        told = server.statistics().by_status
        for kind in ("500", "503", "hang"):
            assert seen[kind] == told[kind] > 0
        assert sum("reset" in kind.lower() for kind in seen) == 1
        assert seen.total() == 60
        while server.statistics().in_flight:  # really() ends this if it never does
            await anyio.lowlevel.checkpoint()

    really(talk, SimOptions(latency_s=0.0, error_rate=1.0), timeout_s=0.5)


def test_a_key_is_asked_for_where_one_is_set() -> None:
    """Neither a missing nor a wrong one is served; the statistics stay open."""

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        assert CODEC.decode(await transport.send(post(), endpoint)).simulated
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "sk-right"}):
            with pytest.raises(Unauthorized):
                CODEC.decode(await transport.send(post(), Endpoint(server.url, headers, 10.0)))
        assert server.statistics().requests == 1

    really(talk, api_key="sk-right")


@pytest.mark.parametrize(
    ("api", "header"),
    [("anthropic", "x-api-key"), ("gemini", "x-goog-api-key"), ("openai-responses", "")],
)
def test_each_dialect_has_its_own_address_key_and_errors(api: str, header: str) -> None:
    """So that one sweep can speak four dialects with one server."""
    codec_ = DIALECTS[api]
    request = codec_.encode(
        Request(model="qwen-7b-chat", messages=(Message("user", "第1题是什么？"),), max_tokens=2000)
    )

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        base = server.url + ("beta" if api == "gemini" else "")
        good = Endpoint(base, codec_.authorize("sk-right"), 10.0)
        answer = codec_.decode(await transport.send(request, good))
        assert answer.text.startswith("〔simulated qwen-7b-chat 1 0〕")
        assert not header or good.headers[header] == "sk-right"
        wrong = Endpoint(base, codec_.authorize("sk-wrong"), 10.0)
        with pytest.raises(Unauthorized):
            codec_.decode(await transport.send(request, wrong))
        nowhere = Endpoint(server.url + "/x", codec_.authorize("sk-right"), 10.0)
        with pytest.raises(WrongAddress):
            codec_.decode(await transport.send(request, nowhere))

    really(talk, api_key="sk-right")


# --- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("api", sorted(STREAMED))
def test_a_stream_comes_piece_by_piece_and_its_times_are_the_servers(api: str) -> None:
    """What the client measures is what the simulator has set, but for the machine's own slowness."""
    codec_ = STREAMED[api]
    options = SimOptions(latency_s=0.4, latency_spread=0.0)
    request = codec_.encode(
        Request(model="qwen-7b-chat", messages=(Message("user", "第1题是什么？"),), max_tokens=2000)
    )

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        base = server.url + ("beta" if api == "gemini" else "")
        got = codec_.decode(await transport.send(request, Endpoint(base, {}, 10.0)))
        truth = Simulator(options, CAST).reply_to(request.path, request.body, 0.0)
        meant = codec_.decode(HttpReply(200, truth.headers, truth.body, marks=truth.pieces))
        assert got.text == meant.text
        for name in ("ttft_s", "ttfa_s", "last_token_s"):
            measured, set_ = getattr(got, name), getattr(meant, name)
            assert set_ <= measured < set_ + 0.25, name
        assert got.ttft_s is not None
        assert got.latency_s > 2 * got.ttft_s
        assert server.statistics().in_flight == 0

    really(talk, options)


def test_who_leaves_in_the_middle_of_a_stream_frees_the_place() -> None:
    """Nobody writes to a client that is gone."""
    codec_ = STREAMED["openai-chat"]

    async def talk(transport: AiohttpTransport, endpoint: Endpoint, server: SimServer) -> None:
        short = Endpoint(server.url, {}, 0.3)
        with pytest.raises(TransportError, match="within"):
            await transport.send(codec_.encode(PLAIN), short)
        while server.statistics().in_flight:  # really() ends this if it never does
            await anyio.lowlevel.checkpoint()

    really(talk, SimOptions(latency_s=8.0, latency_spread=0.0))


def test_models_and_statistics_can_be_looked_at() -> None:
    """Counts of requests, statuses, distinct bodies, and work done twice."""
    with serve_in_thread(FAST, CAST) as url:
        for text in ("第1题是什么？", "第1题是什么？", "第2题是什么？"):
            status, reply = get(f"{url}/chat/completions", data=post(text).body)
            assert (status, reply["simulated"]) == (200, True)
        assert get(f"{url}/chat/completions", data=b"{}")[0] == 400
        names = [model["id"] for model in get(f"{url}/models")[1]["data"]]
        assert "CritiqueLLM" in names
        assert "qwen-7b-chat" in names
        assert get(url.replace("/v1", "/stats"))[1] == {
            "requests": 4,
            "by_status": {"200": 3, "400": 1},
            "played": {"answered": 3, "bad request": 1},
            "distinct_bodies": 3,
            "answered_again": 1,
            "in_flight": 0,
            "max_in_flight": 1,
            "limited": {},
            "input_tokens": 27,
            "output_tokens": 381,
        }


def test_other_addresses_and_methods_are_refused_in_the_same_envelope() -> None:
    """A misspelt base URL is told as such."""
    with serve_in_thread(FAST, CAST) as url:
        for address, data, status in (
            ("/completions", b"{}", 404),
            ("/chat/completions", None, 405),
            ("/models", b"{}", 405),
        ):
            found, body = get(url + address, data=data)
            assert (found, body["error"]["type"]) == (status, "invalid_request_error")


def test_a_request_that_announces_too_much_is_refused_unread() -> None:
    """The limit stands before the body is read."""
    with serve_in_thread(FAST, CAST) as url:
        host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                + f"Content-Length: {MAX_BODY + 1}\r\n\r\n".encode()
            )
            assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_it_listens_on_loopback_only_and_is_gone_after_the_block() -> None:
    """Nothing of it stays behind."""
    with serve_in_thread(FAST, CAST) as url:
        host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
        assert host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    """From the thread too."""
    with serve_in_thread(FAST, CAST) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        with (
            pytest.raises(ConfigError, match=f"cannot listen on port {port}"),
            serve_in_thread(FAST, CAST, port=port),
        ):
            pass


@contextmanager
def command(*flags: str) -> Iterator[subprocess.Popen[str]]:
    """The command alone in a process of its own."""
    code = (
        "import typer; from engine.cli import simulate; app = typer.Typer(); "
        "simulate.register(app); app()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_prints_its_url_serves_and_ends_well_on_ctrl_c() -> None:
    """The first line is all that a script needs."""
    with command("--port", "0", "--latency-ms", "0", "--seed", "3") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        status, reply = get(f"{url}/chat/completions", data=post().body)
        assert (status, reply["system_fingerprint"]) == (200, "sim-3")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert "1 requests (200: 1)" in process.stdout.read()
