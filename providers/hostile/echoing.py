"""Scenes in which the server repeats the key: plain, escaped, encoded, in headers, and in answers.

It must be found nowhere afterwards: in no file, no message, no cache. A key of our own is blotted out of
answers too; what only looks like one is data and stays.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from data.codec import encode
from providers.hostile.scene import Scene
from providers.hostile.stage import Play, Stage, error, head

_GONE: Final = "the key is blotted out"


def _key(stage: Stage) -> str:
    """What the request carried."""
    lines = stage.exchange.head.split("\r\n")
    found = (line.partition(" ")[2] for line in lines if line.lower().startswith("authorization:"))
    return next(found, "").removeprefix("Bearer ")


def _refusing(status: int, body: Callable[[str], bytes]) -> Play:
    async def play(stage: Stage) -> bool:
        return await stage.send(body(_key(stage)), status)

    return play


def _escaped(key: str) -> bytes:
    spelt = "".join(f"\\u{ord(char):04x}" for char in key)
    return b'{"error": {"message": "Incorrect API key provided: %s"}}' % spelt.encode()


def _encoded(key: str) -> bytes:
    return error("your header was " + base64.b64encode(f"Bearer {key}".encode()).decode())


async def _in_headers(stage: Stage) -> bool:
    body = stage.completion(stage.sound_text())
    return await stage.send(body, 200, [("X-Request-Id", _key(stage)), ("X-Echo", _key(stage))])


async def _in_bad_header(stage: Stage) -> bool:
    """A header that no client accepts, so that its exception may quote it."""
    await stage.write(
        head(200, []).replace(b"\r\n\r\n", b"\r\nX-Ec ho\x00: %s\r\n\r\n" % _key(stage).encode())
    )
    return False


async def _in_status_line(stage: Stage) -> bool:
    await stage.write(b"HTTP/1.1 %s\r\n\r\n" % _key(stage).encode())
    return False


async def _in_answer(stage: Stage) -> bool:
    said = f"{stage.sound_text()} Authorization: Bearer {_key(stage)}"
    body = stage.completion(said)
    stage.exchange.said = said.replace(_key(stage), "[key]")
    return await stage.send(body)


async def _in_members(stage: Stage) -> bool:
    """As the names of the model, the fingerprint and a count."""
    key = _key(stage)
    body = stage.completion(stage.sound_text(), model=key, system_fingerprint=key, id=key)
    return await stage.send(body.replace(b'"usage":{', b'"usage":{"%s":1,' % key.encode()))


SCENES = (
    Scene(
        "401_echo_key",
        _refusing(401, lambda key: error(f"Incorrect API key provided: {key}")),
        "Unauthorized",
        _GONE,
    ),
    Scene("401_echo_escaped", _refusing(401, _escaped), "Unauthorized", _GONE),
    Scene("401_echo_encoded", _refusing(401, _encoded), "Unauthorized", _GONE),
    Scene(
        "400_echo_html", _refusing(400, lambda key: f"<p>{key}</p>".encode()), "BadRequest", _GONE
    ),
    Scene(
        "500_echo_json",
        _refusing(500, lambda key: encode({"authorization": key})),
        "Overloaded",
        _GONE,
    ),
    Scene("200_echo_page", _refusing(200, lambda key: f"<p>{key}</p>".encode()), "BadReply", _GONE),
    Scene("200_echo_headers", _in_headers, "answered", _GONE),
    Scene("200_echo_members", _in_members, "answered", _GONE),
    Scene("200_echo_answer", _in_answer, "answered", "blotted out of the answer"),
    Scene("header_echo", _in_bad_header, "TransportError", _GONE),
    Scene("status_line_echo", _in_status_line, "TransportError", _GONE),
)
