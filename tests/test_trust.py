"""Whose certificates are believed, and which proxy is used: against real servers on this machine."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from data.catalog import ProviderTable, resolve
from data.errors import ConfigError, TransportError
from engine.keys import endpoint_of
from providers.spoken import spoken
from providers.transport import AiohttpTransport
from providers.wire import Endpoint, HttpReply, HttpRequest

KEY = "sk-canary-7f3a9b2c"
BODY = b'{"model":"m"}'


class Seen:
    """What a server heard: the head of each request, to the byte."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []


@asynccontextmanager
async def server(
    context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[Seen]:
    """Answers every request with {}; a CONNECT it turns down, as a proxy that has been found out."""
    seen = Seen()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            seen.heads.append(head)
            status = "403 Forbidden" if head.startswith("CONNECT") else "200 OK"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    seen.url = f"{'https' if context else 'http'}://{host}:{port}"
    try:
        yield seen
    finally:
        listener.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority of our own (ca.pem) and a certificate of it for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl(
            *new,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            "-subj",
            f"/CN={name}",
            "-days",
            "2",
        )
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", "host.key", "-out", "host.csr", "-subj", "/CN=localhost"),
    )
    (folder / "san").write_text("subjectAltName=DNS:localhost\n")
    openssl(
        *(
            "x509",
            "-req",
            "-in",
            "host.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ),
        *("-out", "host.pem", "-days", "2", "-extfile", "san"),
    )
    return folder


def context_of(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "host.pem", folder / "host.key")
    return context


async def send(endpoint: Endpoint) -> HttpReply:
    transport = AiohttpTransport(connections=2)
    try:
        return await transport.send(HttpRequest("/chat/completions", BODY), endpoint)
    finally:
        await transport.aclose()


def endpoint(url: str, **table: Any) -> Endpoint:
    """As bootstrap and check make it."""
    given = {"api": "openai-chat", "base_url": f"{url}/v1", "api_key_env": "K", **table}
    spec = resolve("mine", ProviderTable(**given), where="w")
    return endpoint_of(spec, spoken(spec), {"K": KEY})


# --- certificates ------------------------------------------------------------------------------


def over_tls(
    authority: Path, host: str = "localhost", **table: Any
) -> tuple[HttpReply | str, Seen]:
    async def main() -> tuple[HttpReply | str, Seen]:
        async with server(context_of(authority), host=host) as seen:
            try:
                return await send(endpoint(seen.url, timeout_s=10.0, **table)), seen
            except TransportError as error:
                return str(error), seen

    return asyncio.run(main())


def test_an_authority_of_ones_own_is_believed_where_its_file_is_named(authority: Path) -> None:
    """A gateway behind a company's own certificates."""
    reply, seen = over_tls(authority, ca_file=str(authority / "ca.pem"))
    assert isinstance(reply, HttpReply)
    assert reply.status == 200
    assert f"authorization: bearer {KEY}" in seen.heads[0].lower()


@pytest.mark.parametrize("ca_file", [None, "other.pem"])
def test_a_stranger_is_not_believed_and_hears_nothing(authority: Path, ca_file: str | None) -> None:
    """Neither by the system's authorities nor by another one of ours."""
    table = {"ca_file": str(authority / ca_file)} if ca_file else {}
    said, seen = over_tls(authority, **table)
    assert "certificate" in str(said).lower()
    assert seen.heads == []


def test_a_certificate_for_another_name_is_not_believed(authority: Path) -> None:
    """The name is checked, too."""
    said, seen = over_tls(authority, host="127.0.0.1", ca_file=str(authority / "ca.pem"))
    assert "mismatch" in str(said).lower() or "certificate" in str(said).lower()
    assert seen.heads == []


def test_two_accounts_of_one_transport_believe_different_authorities(authority: Path) -> None:
    """The one's file does not open the door for the other."""

    async def main() -> tuple[int, str]:
        transport = AiohttpTransport(connections=2)
        async with server(context_of(authority), host="localhost") as seen:
            good = endpoint(seen.url, ca_file=str(authority / "ca.pem"))
            bad = endpoint(seen.url, ca_file=str(authority / "other.pem"))
            request = HttpRequest("/x", BODY)
            try:
                status = (await transport.send(request, good)).status
                with pytest.raises(TransportError) as caught:
                    await transport.send(request, bad)
                return status, str(caught.value)
            finally:
                await transport.aclose()

    status, said = asyncio.run(main())
    assert status == 200
    assert "certificate" in said.lower()


@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_a_file_without_a_certificate_is_a_user_error_before_anything_is_sent(
    tmp_path: Path, text: str | None
) -> None:
    """It names the file and the provider."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="cannot use ca_file") as caught:
        endpoint("https://h", ca_file=str(path))
    assert str(path) in str(caught.value)
    assert caught.value.where == "provider `mine`"


# --- proxies -----------------------------------------------------------------------------------


def through(monkeypatch: pytest.MonkeyPatch, proxy: bool | str, **env: str) -> tuple[Seen, Seen]:
    """(the proxy, the server) after one request; `URL` in env stands for the proxy's address."""

    async def main() -> tuple[Seen, Seen]:
        async with server() as between, server() as target:
            for name, value in env.items():
                monkeypatch.setenv(name, value.replace("URL", between.url))
            wanted = between.url if proxy == "URL" else proxy
            await send(endpoint(target.url, proxy=wanted))
            return between, target

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return asyncio.run(main())


def test_a_proxy_that_is_named_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the whole address."""
    between, target = through(monkeypatch, "URL")
    assert between.heads[0].startswith(f"POST {target.url}/v1/chat/completions HTTP/1.1")
    assert target.heads == []


def test_the_environments_proxy_is_used_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`proxy = true`."""
    between, target = through(monkeypatch, False, http_proxy="URL")
    assert (len(between.heads), len(target.heads)) == (0, 1)
    between, target = through(monkeypatch, True, http_proxy="URL")
    assert (len(between.heads), len(target.heads)) == (1, 0)


def test_what_the_environment_excepts_goes_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY counts."""
    between, target = through(monkeypatch, True, http_proxy="URL", no_proxy="127.0.0.1")
    assert (len(between.heads), len(target.heads)) == (0, 1)


def test_asking_for_a_proxy_where_there_is_none_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes straight."""
    between, target = through(monkeypatch, True)
    assert (len(between.heads), len(target.heads)) == (0, 1)


def test_a_proxy_of_an_https_address_sees_neither_key_nor_prompt() -> None:
    """Only a CONNECT; what it refuses is a transport error."""

    async def main() -> tuple[str, Seen]:
        async with server() as between:
            there = endpoint("https://api.example.invalid", proxy=between.url)
            with pytest.raises(TransportError) as caught:
                await send(there)
            return str(caught.value), between

    said, between = asyncio.run(main())
    assert "403" in said
    assert between.heads[0].startswith("CONNECT api.example.invalid:443 ")
    assert KEY not in between.heads[0]
    assert KEY not in said
