"""Our codecs and transport against aimock, a mock of many providers that somebody else wrote.

Needs ALIGNSWEEP_AIMOCK, the path of its `llmock` (npm install @copilotkit/aimock), and node. It speaks the
shapes of OpenAI, Anthropic, Gemini, OpenRouter and Ark, tells limits in headers, and really cuts streams.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import anyio
import pytest

from data.errors import CallError
from data.schema import Message, ProviderSpec, Request, Response, Usage
from providers.ratelimits import limits_in
from providers.registry import codec_of
from providers.transport import AiohttpTransport
from providers.wire import Endpoint, HttpReply

MOCK = os.environ.get("ALIGNSWEEP_AIMOCK", "")
pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(not MOCK, reason="ALIGNSWEEP_AIMOCK names no llmock of @copilotkit/aimock"),
]
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
THOUGHT = {"reasoning": "先想一想", "content": "评分：[[7]]", "usage": USAGE}
LIMITED = {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
FIXTURES: list[dict[str, Any]] = [
    {"match": {"model": "limited"}, "response": {"error": LIMITED, "status": 429}},
    {
        "match": {"model": "overloaded"},
        "response": {"error": {"message": "no", "type": "overloaded_error"}, "status": 529},
    },
    {"match": {"model": "thinks"}, "response": THOUGHT},
    {
        "match": {"model": "cut"},
        "response": {"content": "这个回答很长" * 20},
        "truncateAfterChunks": 2,
        "latency": 30,
    },
    {
        "match": {"model": "paced"},
        "response": {"content": "一二三四五六七八九十" * 12},
        "latency": 40,
    },
    {"match": {"model": "long"}, "response": {"content": "太长", "finishReason": "length"}},
    {"match": {"model": "filtered"}, "response": {"content": "", "finishReason": "content_filter"}},
    {"match": {}, "response": {"content": "好"}},
]


class Account(NamedTuple):
    """An API at its path."""

    api: str
    base: str


CHAT, OPENROUTER = Account("openai-chat", "/v1"), Account("openai-chat", "/api/v1")
ARK, RESPONSES = Account("openai-chat", "/api/v3"), Account("openai-responses", "/v1")
MESSAGES, GEMINI = Account("anthropic", "/v1"), Account("gemini", "/v1beta")
ACCOUNTS = [CHAT, OPENROUTER, ARK, RESPONSES, MESSAGES, GEMINI]
each_account = pytest.mark.parametrize("account", ACCOUNTS, ids=lambda a: f"{a.api}{a.base}")
whole_and_streamed = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it listens."""
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}), encoding="utf-8")
    command = ["node", MOCK, "-p", "0", "-f", str(fixtures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield listening(process)
        finally:
            process.kill()


def listening(process: subprocess.Popen[bytes], deadline_s: float = 30.0) -> str:
    """The address that it prints."""
    assert process.stdout is not None
    end, said = time.monotonic() + deadline_s, ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(end - time.monotonic(), 0)):
            line = process.stdout.readline().decode()
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return found[0]
            said += line
            assert line, said
    raise AssertionError(said)


def sent(url: str, account: Account, stream: bool, model: str) -> HttpReply:
    """The reply to one call."""
    codec = codec_of(ProviderSpec(name="p", api=account.api, base_url="", stream=stream))
    request = Request(model=model, messages=(Message("user", "你好"),), max_tokens=100)

    async def main() -> HttpReply:
        transport = AiohttpTransport(1)
        try:
            endpoint = Endpoint(url + account.base, codec.authorize("k"), 10.0)
            return await transport.send(codec.encode(request), endpoint)
        finally:
            await transport.aclose()

    return anyio.run(main)


def exchange(url: str, account: Account, stream: bool, model: str) -> Response:
    """What it means. Raises CallError."""
    codec = codec_of(ProviderSpec(name="p", api=account.api, base_url="", stream=stream))
    return codec.decode(sent(url, account, stream, model))


def failure(url: str, account: Account, stream: bool, model: str) -> CallError:
    with pytest.raises(CallError) as caught:
        exchange(url, account, stream, model)
    return caught.value


@each_account
@whole_and_streamed
def test_thinking_answer_and_usage_are_read_in_every_shape(
    url: str, account: Account, stream: bool
) -> None:
    """Each API has its own place for all of them."""
    got = exchange(url, account, stream, "thinks")
    assert (got.text, got.reasoning, got.state) == ("评分：[[7]]", "先想一想", "answered")
    assert got.usage == Usage(100, 50)
    assert got.flags == ()
    assert got.request_id
    assert (got.ttft_s is not None) is stream


@each_account
@whole_and_streamed
def test_a_cut_answer_is_truncated_in_every_shape(url: str, account: Account, stream: bool) -> None:
    """Whatever the API calls it."""
    assert exchange(url, account, stream, "long").state == "truncated"


@pytest.mark.parametrize("account", [CHAT, OPENROUTER, ARK, MESSAGES, GEMINI])
@whole_and_streamed
def test_a_filtered_answer_is_refused(url: str, account: Account, stream: bool) -> None:
    """An outcome, not an error. (Its Responses says `failed`, which the real one does not.)"""
    got = exchange(url, account, stream, "filtered")
    assert (got.state, got.refused_by) == ("refused", "provider")


@each_account
@whole_and_streamed
def test_limits_and_overload_are_told_apart(url: str, account: Account, stream: bool) -> None:
    """With the wait of the header; 529 is no limit of ours."""
    limited = failure(url, account, stream, "limited")
    assert (limited.kind, limited.status, limited.retry_after_s) == ("RateLimited", 429, 1.0)
    overloaded = failure(url, account, stream, "overloaded")
    assert (overloaded.kind, overloaded.status) == ("Overloaded", 529)


@each_account
def test_a_stream_that_is_cut_on_the_wire_is_no_answer(url: str, account: Account) -> None:
    """The connection ends in the middle; the same answer arrives where it is not streamed."""
    assert failure(url, account, True, "cut").kind == "TransportError"
    assert exchange(url, account, False, "cut").state == "answered"


@each_account
def test_tokens_are_timed_one_by_one(url: str, account: Account) -> None:
    """Chunks come 40 ms apart: the first long before the last."""
    got = exchange(url, account, True, "paced")
    assert got.text == "一二三四五六七八九十" * 12
    assert got.ttft_s is not None
    assert got.last_token_s is not None
    assert got.last_token_s - got.ttft_s > 0.1
    assert got.last_token_s <= got.latency_s


def test_a_gateway_says_who_answered_and_a_refusal_which_limit(url: str) -> None:
    """The one in the body (OpenRouter), the other in headers (OpenAI)."""
    assert exchange(url, OPENROUTER, False, "thinks").upstream
    refused = sent(url, CHAT, False, "limited")
    assert {limit.name for limit in limits_in(429, refused.headers)} >= {"rpm", "tpm"}
