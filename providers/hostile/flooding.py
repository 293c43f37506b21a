"""Scenes in which too much comes: bodies, headers, trailers, interim replies, nesting, compression.

Sizes are such that a client that keeps its bounds is quick with them, and one that does not is seen.
"""

from __future__ import annotations

import zlib
from functools import cache

from data.codec import replace
from providers.hostile.breaking import SHORT_S
from providers.hostile.scene import Scene
from providers.hostile.stage import Play, Stage, head

PIECE = b" " * 262_144
MIB = 1024 * 1024
_DEADLINE = "nothing of it is kept, the deadline ends it; tried again"
_CUT = "cut off at a bound, the connection dropped, tried again"


async def _endless(stage: Stage) -> bool:
    await stage.write(head(200, [("Connection", "close")]) + b'{"choices": [')
    await stage.flood(PIECE)
    return False


async def _endless_chunks(stage: Stage) -> bool:
    await stage.write(head(200, [("Transfer-Encoding", "chunked")]))
    await stage.flood(b"%x\r\n" % len(PIECE) + PIECE + b"\r\n")
    return False


async def _endless_stream(stage: Stage) -> bool:
    told = [("Content-Type", "text/event-stream"), ("Connection", "close")]
    await stage.write(head(200, told))
    line = b"data: " + b" " * 65_000 + b"\n\n"
    await stage.flood(line)
    return False


async def _endless_error(stage: Stage) -> bool:
    await stage.write(head(500, [("Connection", "close")]))
    await stage.flood(PIECE)
    return False


async def _announced(stage: Stage) -> bool:
    await stage.write(head(200, [("Content-Length", str(1 << 40))]) + PIECE)
    await stage.wait()
    return False


@cache
def _bomb(layers: int, size: int) -> bytes:
    """`size` MiB of nothing, compressed so many times."""
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(b" " * MIB) for _ in range(size)) + packer.flush()
    for _ in range(layers - 1):
        packer = zlib.compressobj(9, wbits=31)
        body = packer.compress(body) + packer.flush()
    return body


def _bombing(encoding: str, layers: int, size: int = 24) -> Play:
    async def play(stage: Stage) -> bool:
        return await stage.send(_bomb(layers, size), 200, [("Content-Encoding", encoding)])

    return play


async def _many_headers(stage: Stage) -> bool:
    lines = b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(20_000))
    await stage.write(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    return False


async def _long_header(stage: Stage) -> bool:
    await stage.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MIB + b"\r\n\r\n")
    return False


async def _endless_header(stage: Stage) -> bool:
    await stage.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    await stage.flood(PIECE)
    return False


async def _trailers(stage: Stage) -> bool:
    await stage.write(head(200, [("Transfer-Encoding", "chunked")]) + b"2\r\n{}\r\n0\r\n")
    await stage.flood(b"X-Trailer: 1\r\n" * 1000)
    return False


async def _interim(stage: Stage) -> bool:
    await stage.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    return False


async def _quotes(stage: Stage) -> bool:
    """A string that never ends and whose every quote could begin another one."""
    return await stage.send(b"[" * 201 + b'"' + b'\\"' * 500_000)


def _nested(start: bytes, depth: int) -> Play:
    async def play(stage: Stage) -> bool:
        return await stage.send(start * depth)

    return play


_FLOODS = (
    Scene("endless", _endless, "TransportError", _CUT),
    Scene("endless_chunked", _endless_chunks, "TransportError", _CUT),
    Scene("endless_stream", _endless_stream, "TransportError", _CUT),
    Scene("endless_error", _endless_error, "TransportError", _CUT),
    Scene("huge_announced", _announced, "TransportError", "not even read; tried again"),
    Scene("gzip_bomb", _bombing("gzip", 1), "TransportError", _CUT),
    Scene("gzip_bomb_layers", _bombing("gzip, gzip", 2), "TransportError", _CUT),
    Scene("header_count", _many_headers, "TransportError", _CUT),
    Scene("header_long", _long_header, "TransportError", _CUT),
    Scene("header_endless", _endless_header, "TransportError", _DEADLINE, timeout_s=SHORT_S),
    Scene("trailer_flood", _trailers, "TransportError", _CUT, timeout_s=SHORT_S),
    Scene("1xx_flood", _interim, "TransportError", _DEADLINE, timeout_s=SHORT_S),
    Scene("200_deep", _nested(b"[", 1_000_000), "BadReply", "no tower is built of it; tried again"),
    Scene("200_quotes", _quotes, "BadReply", "nothing is looked at twice; tried again"),
    Scene("200_deep_objects", _nested(b'{"a":', 200_000), "BadReply", "likewise"),
)
SCENES = tuple(replace(scene, heavy=True) for scene in _FLOODS)
