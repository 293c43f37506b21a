"""Scenes in which the line breaks: resets, closes, hangs, and replies whose framing lies.

Whatever arrives, no part of an answer is ever taken for the whole, and none for another's.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

from providers.hostile.scene import Scene
from providers.hostile.stage import Pairs, Play, Stage, head

SHORT_S = 2.0
"""The client's deadline where the server only stops it by that."""
DRIP_S = 0.2
CHUNKED = (("Transfer-Encoding", "chunked"),)
_AGAIN = "a lost attempt: tried again"
_DEADLINE = "ended by the deadline, its place given back, tried again"


def _unread(stage: Stage) -> bytes:
    """A sound reply of which nothing may be believed, since it never comes whole."""
    return stage.completion(stage.sound_text(), tells=False)


async def _close(stage: Stage) -> bool:
    return False


async def _reset(stage: Stage) -> bool:
    return stage.reset()


def _within(start: Callable[[Stage], bytes], then: str) -> Play:
    """Begin a reply, then close, reset or hang."""

    async def play(stage: Stage) -> bool:
        if begun := start(stage):
            await stage.write(begun)
        if then == "hang":
            await stage.wait()
        return stage.reset() if then == "reset" else False

    return play


def _half_head(stage: Stage) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: appli"


def _half_body(stage: Stage) -> bytes:
    body = _unread(stage)
    return head(200, [("Content-Length", str(len(body)))]) + body[: len(body) // 2]


def _nothing(stage: Stage) -> bytes:
    return b""


def _framed(pairs: Pairs, frame: Callable[[bytes], bytes]) -> Play:
    """A reply with these headers, its body put through `frame`; the connection is closed after it."""

    async def play(stage: Stage) -> bool:
        body = _unread(stage)
        told = [(name, value.replace("SIZE", str(len(body)))) for name, value in pairs]
        told = [
            (n, v.replace("LESS", str(len(body) - 9)).replace("MORE", str(len(body) + 9)))
            for n, v in told
        ]
        await stage.write(head(200, told) + frame(body))
        return False

    return play


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n"


def _raw(data: bytes) -> Play:
    async def play(stage: Stage) -> bool:
        await stage.write(data)
        return False

    return play


async def _drips(stage: Stage) -> bool:
    """A byte at a time, for ever: no silence, and no reply."""
    body = _unread(stage)
    await stage.write(head(200, [("Content-Length", str(len(body)))]))
    for at in range(len(body)):
        await stage.write(body[at : at + 1])
        await stage.wait(DRIP_S)
    return False


async def _drips_headers(stage: Stage) -> bool:
    await stage.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(10_000):
        await stage.write(b"X-%d: 1\r\n" % n)
        await stage.wait(DRIP_S)
    return False


async def _slow(stage: Stage) -> bool:
    """Late, but sound."""
    await stage.wait(0.3)
    return await stage.send(stage.completion(stage.sound_text()))


async def _two_replies(stage: Stage) -> bool:
    """A sound reply, and at once a second one that nobody asked for."""
    body = stage.completion(stage.sound_text())
    other = stage.completion("somebody else's answer", tells=False)
    stage.exchange.said = stage.sound_text()
    first = head(200, [("Content-Length", str(len(body)))]) + body
    await stage.write(first + head(200, [("Content-Length", str(len(other)))]) + other)
    return True


async def _dead_after(stage: Stage) -> bool:
    """Sound; then the connection is closed without a word."""
    await stage.send(stage.completion(stage.sound_text()))
    return False


def _packed(name: str, pack: Callable[[bytes], bytes]) -> Play:
    async def play(stage: Stage) -> bool:
        return await stage.send(pack(_unread(stage)), 200, [("Content-Encoding", name)])

    return play


async def _packed_whole(stage: Stage) -> bool:
    """Compressed although nobody asked for it: readable all the same."""
    body = gzip.compress(stage.completion(stage.sound_text()))
    return await stage.send(body, 200, [("Content-Encoding", "gzip")])


LINES = (
    Scene("close_before", _close, "TransportError", _AGAIN),
    Scene("reset_before", _reset, "TransportError", _AGAIN),
    Scene("close_mid_headers", _within(_half_head, "close"), "TransportError", _AGAIN),
    Scene("reset_mid_headers", _within(_half_head, "reset"), "TransportError", _AGAIN),
    Scene("close_mid_body", _within(_half_body, "close"), "TransportError", _AGAIN),
    Scene("reset_mid_body", _within(_half_body, "reset"), "TransportError", _AGAIN),
    Scene("ok_then_dead", _dead_after, "answered", "taken; the next goes over a new connection"),
    Scene("unsolicited", _two_replies, "answered", "the second reply is nobody's answer"),
    Scene("slow", _slow, "answered", "waited for"),
)
HANGS = tuple(
    Scene(name, play, "TransportError", _DEADLINE, timeout_s=SHORT_S)
    for name, play in (
        ("hang", _within(_nothing, "hang")),
        ("hang_mid_headers", _within(_half_head, "hang")),
        ("hang_mid_body", _within(_half_body, "hang")),
        ("slow_headers", _drips_headers),
        ("slow_body", _drips),
        ("chunk_bad_size", _framed(CHUNKED, lambda body: b"zz\r\n" + body)),
        ("chunk_truncated", _framed(CHUNKED, lambda body: b"fff\r\n" + body)),
        ("chunk_endless_size", _framed(CHUNKED, lambda body: b"0" * 100_000)),
    )
)
FRAMES = (
    Scene(
        "cl_too_long",
        _framed([("Content-Length", "MORE")], bytes),
        "TransportError",
        "less came than was announced: tried again",
    ),
    Scene(
        "cl_too_short",
        _framed([("Content-Length", "LESS")], bytes),
        "TransportError",
        "what follows belongs to nobody, half an object is no answer: tried again",
    ),
    Scene("cl_negative", _framed([("Content-Length", "-5")], bytes), "TransportError", _AGAIN),
    Scene(
        "cl_twice",
        _framed([("Content-Length", "SIZE"), ("Content-Length", "5")], bytes),
        "TransportError",
        _AGAIN,
    ),
    Scene(
        "te_and_cl",
        _framed([*CHUNKED, ("Content-Length", "5")], lambda body: _chunk(body) + b"0\r\n\r\n"),
        "TransportError",
        "two framings that contradict each other: tried again",
    ),
    Scene("garbage", _raw(b"\x00\xff\x16SSH-2.0 nonsense\r\n\r\n"), "TransportError", _AGAIN),
    Scene("bad_status_line", _raw(b"HTTP/9.9 abc\r\n\r\n"), "TransportError", _AGAIN),
    Scene("gzip_unasked", _packed_whole, "answered", "unpacked, and read"),
    Scene(
        "gzip_cut",
        _packed("gzip", lambda body: gzip.compress(body)[:-20]),
        "TransportError",
        "never a part of an answer: tried again",
    ),
    Scene(
        "gzip_corrupt",
        _packed("gzip", lambda body: gzip.compress(body)[:-8] + b"\x00" * 8),
        "TransportError",
        _AGAIN,
    ),
    Scene("gzip_lie", _packed("gzip", bytes), "TransportError", _AGAIN),
    Scene(
        "gzip_members",
        _packed("gzip", lambda body: gzip.compress(body) + gzip.compress(b"x") * 2000),
        "TransportError",
        _AGAIN,
    ),
    Scene(
        "deflate_cut", _packed("deflate", lambda b: zlib.compress(b)[:-9]), "TransportError", _AGAIN
    ),
    Scene("enc_unknown", _packed("rot13", bytes), "TransportError", _AGAIN),
)
UNREACHED = tuple(
    Scene(name, _close, "TransportError", says, modes=("always",), timeout_s=SHORT_S, url=url)
    for name, url, says in (
        ("port_closed", "http://127.0.0.1:1/x/v1", "refused: tried again, then failed"),
        ("plain_on_tls", "https://127.0.0.1:PORT/x/v1", "no TLS there: nothing is sent"),
        ("handshake_hang", "https://127.0.0.1:SILENT/x/v1", _DEADLINE),
        ("unknown_host", "http://nobody.invalid/x/v1", "no such host: tried again, then failed"),
    )
)
SCENES = (*LINES, *HANGS, *FRAMES, *UNREACHED)
