"""The gateway in front of the simulator: any dialect in, any dialect out. Pure.

The simulator speaks chat completions, whole. A request of another dialect, or for a stream, becomes such a
request, and the simulator's reply becomes what that dialect's own server would send. So the same question
is answered in the same words in every dialect, and limits and faults are the simulator's own:

    /chat/completions   /responses   /messages   /models/MODEL:generateContent  (:streamGenerateContent)

A stream's first token comes when the part of the delay is over that does not depend on length; the others
follow evenly. What a request meets as status 503 stands in a stream as an error within 200, which is where
real servers put trouble that comes once a stream has begun.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from data import codec
from data.schema import Struct
from providers.simanthropic import AnthropicSpeech
from providers.simgemini import GeminiSpeech
from providers.simopenai import ChatSpeech, ResponsesSpeech
from providers.simspeech import Completion, Speech, Trouble

PIECE = 16
"""Characters of a chunk."""
TYPICAL_TOKENS = 200
"""Output length of which three quarters of the delay depend on length."""
CHAT: Final = "/chat/completions"
JSON: Final = {"content-type": "application/json"}
EVENT_STREAM: Final = {"content-type": "text/event-stream"}
_SPEECHES: Mapping[str, Speech] = {
    CHAT: ChatSpeech(),
    "/responses": ResponsesSpeech(),
    "/messages": AnthropicSpeech(),
    "generateContent": GeminiSpeech(),
    "streamGenerateContent": GeminiSpeech(),
}
_GEMINI = re.compile(r"/models/[^/]+:(generateContent|streamGenerateContent)(?:\?.*)?")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
"""Only ever a member of the request: within a string its quotes would be escaped."""
_RATE = re.compile(r"x-ratelimit-(limit|remaining)-(requests|tokens|input-tokens|output-tokens)")


class Said(Struct, frozen=True):
    """A reply in its dialect. `pieces`: (bytes of the body, seconds at which they are out), if streamed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    pieces: tuple[tuple[int, float], ...] = ()


class Gateway:
    """One request on its way through: `body` is what the simulator is asked."""

    def __init__(self, speech: Speech, path: str, body: bytes, *, streams: bool) -> None:
        self._speech, self._streams = speech, streams
        self.body = _as_chat(speech, path, body)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes, delay_s: float) -> Said:
        """What goes back, given the simulator's own reply."""
        said = codec.decode(body)
        if "error" not in said:
            return self._answer(_completion(said), headers, delay_s)
        return self._error(status, headers, said["error"], delay_s)

    def _answer(self, answer: Completion, headers: Mapping[str, str], delay_s: float) -> Said:
        told = _headers(self._speech, headers)
        if not self._streams:
            return Said(200, told, codec.encode(self._speech.whole(answer)))
        text = answer.text
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)] or [""]
        frames = [_frame(*event) for event in self._speech.events(answer, pieces)]
        opening = self._speech.opening
        if isinstance(self._speech, ChatSpeech):
            frames, opening = [b": keep-alive\n\n", *frames, b"data: [DONE]\n\n"], opening + 1
        first_s = delay_s / (1 + 3 * answer.said / TYPICAL_TOKENS)
        marks = tuple(_marks(frames, opening, first_s, delay_s))
        return Said(200, {**told, **EVENT_STREAM}, b"".join(frames), marks)

    def _error(
        self, status: int, headers: Mapping[str, str], error: Mapping[str, str], delay_s: float
    ) -> Said:
        meant = 503 if status == 200 else status
        trouble = Trouble(
            meant, error["message"], error["type"], error["code"], headers.get("retry-after", "")
        )
        told = _headers(self._speech, headers)
        if self._streams and meant == 503:
            frame = _frame(*self._speech.error_event(trouble))
            return Said(200, {**told, **EVENT_STREAM}, frame, ((len(frame), delay_s),))
        if status == 503 and isinstance(self._speech, AnthropicSpeech):
            status = 529
        if trouble.unpaid and isinstance(self._speech, AnthropicSpeech):
            status = 400
        return Said(status, told, codec.encode(self._speech.error(trouble)))


def gateway_of(path: str, body: bytes) -> Gateway | None:
    """Who translates a request to this path, below the base URL; None: the simulator reads it itself."""
    if gemini := _GEMINI.fullmatch(path):
        streams = gemini[1].startswith("stream")
        return Gateway(_speech(path), path.partition("?")[0], body, streams=streams)
    streams = _STREAM.search(body) is not None
    return Gateway(_speech(path), path, body, streams=streams) if streams or path != CHAT else None


def error_body(path: str, trouble: Trouble) -> bytes:
    """An error as the dialect of this path writes it."""
    return codec.encode(_speech(path).error(trouble))


def error_frame(path: str, trouble: Trouble) -> bytes:
    """The same within a stream."""
    return _frame(*_speech(path).error_event(trouble))


def is_spoken(path: str) -> bool:
    """Does any dialect have this path?"""
    return path in _SPEECHES or _GEMINI.fullmatch(path) is not None


def _speech(path: str) -> Speech:
    """The dialect of a path; of an unknown one, chat completions."""
    gemini = _GEMINI.fullmatch(path)
    return _SPEECHES.get(gemini[1] if gemini else path, _SPEECHES[CHAT])


def _as_chat(speech: Speech, path: str, body: bytes) -> bytes:
    """The request as a chat completion's; what is no JSON object goes on as it is, to be refused."""
    try:
        asked = codec.decode(body)
    except codec.Undecodable:
        return body
    return codec.encode(speech.chat(path, asked)) if isinstance(asked, dict) else body


def _completion(said: Mapping[str, Any]) -> Completion:
    choice, usage = said["choices"][0], said["usage"]
    return Completion(
        id=said["id"],
        model=said["model"],
        text=choice["message"]["content"],
        finish=choice["finish_reason"],
        asked=usage["prompt_tokens"],
        said=usage["completion_tokens"],
        fingerprint=said["system_fingerprint"],
    )


def _frame(name: str, data: Mapping[str, Any]) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + codec.encode(data) + b"\n\n"


def _marks(
    frames: list[bytes], opening: int, first_s: float, last_s: float
) -> Iterator[tuple[int, float]]:
    """When each frame is out: those of the opening at once, the others from `first_s` to `last_s`."""
    size, steps = 0, max(len(frames) - opening - 1, 1)
    for number, frame in enumerate(frames, start=-opening):
        size += len(frame)
        last = number == len(frames) - opening - 1
        at_s = first_s + (last_s - first_s) * number / steps if number >= 0 else 0.0
        yield size, last_s if last else at_s


def _headers(speech: Speech, headers: Mapping[str, str]) -> dict[str, str]:
    """Limits and ids under the names that the dialect's server uses. (Gemini's tells neither.)"""
    if isinstance(speech, AnthropicSpeech):
        limits = {
            f"anthropic-ratelimit-{found[2]}-{found[1]}": value
            for name, value in headers.items()
            if (found := _RATE.fullmatch(name))
        }
        ids = {"request-id": headers["x-request-id"]} if "x-request-id" in headers else {}
        wait = {"retry-after": headers["retry-after"]} if "retry-after" in headers else {}
        return {**JSON, **limits, **ids, **wait}
    return dict(JSON) if isinstance(speech, GeminiSpeech) else {**headers, **JSON}
