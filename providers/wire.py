"""What every provider and every transport agree on.

A Provider is pure: it turns a Request into bytes and bytes into a Response, or raises one of the
CallErrors. It opens no socket, never sleeps, never retries and sees no key until `authorize`.
A Transport moves bytes and knows no provider. The fake is a Transport too (`providers/simulator.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from data.blotting import Blotter
from data.schema import Request, Response, Struct


class HttpRequest(Struct, frozen=True):
    """A POST as the codec wants it: `path` is appended to the endpoint's base URL."""

    path: str
    body: bytes
    headers: Mapping[str, str] = {}
    streams: bool = False
    """The reply is asked for as a stream."""


class HttpReply(Struct, frozen=True):
    """A reply, whole. Header names are lower case; `latency_s` counts from sending to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_s: float = 0.0
    marks: tuple[tuple[int, float], ...] = ()
    """When a streamed body arrived: (bytes that were there, seconds since sending), both rising. So a
    codec that knows where in the body a token stands knows when it came. Empty for other bodies."""


class Endpoint:
    """Where an account's requests go, with its key. Its repr tells the address and nothing else."""

    __slots__ = ("base_url", "blotter", "ca_file", "headers", "proxy", "timeout_s")

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        timeout_s: float,
        key: str = "",
        *,
        ca_file: str = "",
        proxy: str = "",
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.headers = dict(headers)
        self.timeout_s = timeout_s
        self.blotter = Blotter(key)
        """Finds the key where a server repeats it."""
        self.ca_file = ca_file
        """PEM: the only authorities that are believed; empty: the system's."""
        self.proxy = proxy
        """http://host:port of a proxy that is asked for; empty: none."""

    def __repr__(self) -> str:
        return f"<Endpoint {self.base_url}>"


class Provider(Protocol):
    """One API dialect, streamed or not."""

    @property
    def needs(self) -> frozenset[str]:
        """Fields of a Request that this API cannot do without."""

    def encode(self, request: Request) -> HttpRequest:
        """The exact bytes that go over the wire. Equal requests give equal bytes."""

    def decode(self, reply: HttpReply) -> Response:
        """The answer in a reply. Raises a CallError of the class that decides what happens next."""

    def authorize(self, key: str) -> Mapping[str, str]:
        """Headers that carry the key."""


class Transport(Protocol):
    """Moves one request and one reply."""

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        """Raises TransportError when no whole reply came within `endpoint.timeout_s`."""

    async def aclose(self) -> None:
        """Close all connections."""


class Downloader(Protocol):
    """Fetches public files."""

    async def get(self, url: str, *, max_bytes: int, timeout_s: float) -> HttpReply:
        """A download, for public data: no key goes along, no redirect is followed.

        Raises TransportError when no whole reply of at most `max_bytes` came within `timeout_s`, and
        ConfigError for a URL that is neither https nor on this machine.
        """
