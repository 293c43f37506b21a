"""The simulator in four dialects: the same words, limits and faults whatever API is spoken."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.errors import CallError, Overloaded, RateLimited
from data.schema import Benchmark, Message, ProviderSpec, Question, Request, Response
from providers.persona import Cast
from providers.ratelimits import limits_in
from providers.registry import DIALECTS, codec_of
from providers.scorebook import published
from providers.simgateway import gateway_of, is_spoken
from providers.simulator import SimOptions, SimReply, Simulator, SimulatorTransport
from providers.virtual import new_loop
from providers.wire import Endpoint, HttpReply, Provider

QUESTIONS = tuple(Question(n, "专业能力", "历史", (f"第{n}题是什么？",)) for n in range(1, 31))
CAST = Cast(0, [Benchmark(name="b", title="b", questions=QUESTIONS, sha256="")], [published()])
ENDPOINT = Endpoint("simulated:", {}, 60.0)
CALM = SimOptions(latency_s=0.0)
APIS = sorted(DIALECTS)
EVERY = [(api, stream) for api in APIS for stream in (False, True)]


def speaker(api: str, stream: bool) -> Provider:
    return codec_of(ProviderSpec(name="p", api=api, base_url="", stream=stream))


def asked(text: str = "第1题是什么？", **more: Any) -> Request:
    fields = {"temperature": 0.1, "max_tokens": 2000, **more}
    messages = (Message("system", "简短。"), Message("user", text))
    return Request(model="qwen-7b-chat", messages=messages, **fields)


def replied(simulator: Simulator, codec_: Provider, request: Request, now: float = 0.0) -> SimReply:
    http = codec_.encode(request)
    reply = simulator.reply_to(http.path, http.body, now)
    simulator.finish(reply)
    return reply


def http(reply: SimReply) -> HttpReply:
    return HttpReply(reply.status, reply.headers, reply.body, marks=reply.pieces)


@pytest.mark.parametrize(("api", "stream"), EVERY)
def test_the_same_question_gets_the_same_words_in_every_dialect(api: str, stream: bool) -> None:
    """With the same counts; and each reply says that it is simulated."""
    plain = speaker("openai-chat", stream=False)
    expected = plain.decode(http(replied(Simulator(CALM, CAST), plain, asked())))
    got = speaker(api, stream)
    answer = got.decode(http(replied(Simulator(CALM, CAST), got, asked())))
    assert (answer.text, answer.usage, answer.simulated) == (expected.text, expected.usage, True)
    assert answer.served_model == "qwen-7b-chat"
    assert answer.request_id
    assert answer.flags == ()


@pytest.mark.parametrize(("api", "stream"), EVERY)
@pytest.mark.parametrize(
    ("options", "state"),
    [
        (SimOptions(latency_s=0.0, refusal_rate=1.0), "refused"),
        (SimOptions(latency_s=0.0, truncation_rate=1.0), "truncated"),
    ],
)
def test_refusals_and_truncation_are_told_in_the_dialects_own_words(
    api: str, stream: bool, options: SimOptions, state: str
) -> None:
    """And read as what they are."""
    codec_ = speaker(api, stream)
    simulator = Simulator(options, CAST)
    assert codec_.decode(http(replied(simulator, codec_, asked()))).state == state


@pytest.mark.parametrize(("api", "stream"), EVERY)
def test_a_limit_is_told_in_the_dialects_own_way(api: str, stream: bool) -> None:
    """Headers of its own names, or the details of its body; always with the wait."""
    codec_ = speaker(api, stream)
    simulator = Simulator(SimOptions(latency_s=0.0, rpm=1), CAST)
    first = replied(simulator, codec_, asked())
    assert codec_.decode(http(first)).state == "answered"
    refused = replied(simulator, codec_, asked("第2题是什么？"), 20.0)
    assert refused.status == 429
    with pytest.raises(RateLimited) as caught:
        codec_.decode(http(refused))
    assert caught.value.retry_after_s == pytest.approx(40.0)
    told = {limit.name: limit.limit for limit in limits_in(200, first.headers)}
    assert told == ({} if api == "gemini" else {"rpm": 1.0})


@pytest.mark.parametrize(("api", "stream"), EVERY)
def test_trouble_is_an_error_of_the_dialect(api: str, stream: bool) -> None:
    """Within a stream it comes after the 200, as it does from real servers."""
    codec_ = speaker(api, stream)
    simulator = Simulator(SimOptions(latency_s=0.0, error_rate=1.0), CAST)
    seen: Counter[int | str] = Counter()
    for n in range(60):
        reply = replied(simulator, codec_, asked(f"问题{n}"))
        seen[reply.fault or reply.status] += 1
        if not reply.fault:
            with pytest.raises(Overloaded):
                codec_.decode(http(reply))
    expected = 200 if stream else 529 if api == "anthropic" else 503
    assert seen.keys() == {500, expected, "reset", "hang"}


@pytest.mark.parametrize(("api", "stream"), EVERY)
def test_what_cannot_be_read_is_refused_in_the_dialect(api: str, stream: bool) -> None:
    """With status 400 and an error object that says why."""
    codec_ = speaker(api, stream)
    path = codec_.encode(asked()).path
    for body in (b"", b"{", b"[]", b'{"stream": true}', b'{"messages": 7, "stream": true}'):
        reply = Simulator(CALM, CAST).reply_to(path, body, 0.0)
        assert reply.status == 400
        with pytest.raises(CallError):
            codec_.decode(http(reply))


def test_anthropics_api_wants_a_limit() -> None:
    """As the real one does."""
    body = codec.encode({"model": "m", "messages": [{"role": "user", "content": "a"}]})
    reply = Simulator(CALM, CAST).reply_to("/messages", body, 0.0)
    error = codec.decode(reply.body)
    assert (reply.status, error["error"]["type"]) == (400, "invalid_request_error")
    assert "max_tokens" in error["error"]["message"]


def test_content_may_be_written_in_several_ways() -> None:
    """As the official clients write it: texts, lists of parts, instructions, one string."""
    parts = [{"type": "text", "text": "第1题是什么？"}]
    bodies: dict[str, list[dict[str, Any]]] = {
        "/messages": [
            {"messages": [{"role": "user", "content": parts}], "max_tokens": 2000},
            {
                "messages": [{"role": "user", "content": "第1题是什么？"}],
                "system": parts,
                "max_tokens": 9,
            },
        ],
        "/responses": [
            {"input": "第1题是什么？"},
            {"input": [{"role": "user", "content": parts}], "instructions": "简短。"},
        ],
        "/models/qwen-7b-chat:generateContent": [{"contents": [{"parts": parts}]}],
    }
    for path, every in bodies.items():
        for body in every:
            reply = Simulator(CALM, CAST).reply_to(path, codec.encode({"model": "m", **body}), 0.0)
            assert reply.status == 200
            assert "〔simulated" in reply.body.decode()


def test_plain_chat_completions_go_past_the_gateway() -> None:
    """It costs nothing where nothing is to be translated."""
    body = codec.encode({"model": "m", "messages": [{"role": "user", "content": '"stream": true'}]})
    assert gateway_of("/chat/completions", body) is None
    assert is_spoken("/models/m:generateContent")
    assert not is_spoken("/embeddings")


# --- time --------------------------------------------------------------------------------------


def virtually(main: Any) -> Any:
    return anyio.run(main, backend_options={"loop_factory": new_loop})


@pytest.mark.parametrize("api", APIS)
def test_the_first_token_comes_before_the_last_one(api: str) -> None:
    """A quarter of a typical delay after the request, the last one at the end of the delay."""
    codec_ = speaker(api, stream=True)

    async def main() -> Response:
        transport = SimulatorTransport(SimOptions(latency_s=4.0, latency_spread=0.0), CAST)
        reply = await transport.send(codec_.encode(asked()), ENDPOINT)
        assert reply.latency_s == asyncio.get_running_loop().time()
        return codec_.decode(reply)

    got = virtually(main)
    assert got.ttft_s == got.ttfa_s
    assert 1.0 <= got.ttft_s < 1.5
    assert got.ttft_s < got.last_token_s <= got.latency_s
    whole = 1.0 + 3.0 * got.usage.output_tokens / 200
    assert got.latency_s == pytest.approx(whole)


@given(st.sampled_from(APIS), st.floats(0, 100), st.text(max_size=50))
def test_pieces_cover_the_body_in_order(api: str, latency_s: float, text: str) -> None:
    """Their times rise and end with the delay."""
    codec_ = speaker(api, stream=True)
    simulator = Simulator(SimOptions(latency_s=latency_s), CAST)
    reply = replied(simulator, codec_, asked(text))
    sizes = [size for size, _ in reply.pieces]
    times = [at_s for _, at_s in reply.pieces]
    assert sizes == sorted(set(sizes))
    assert times == sorted(times)
    assert sizes[-1] == len(reply.body)
    assert times[0] >= 0
    assert times[-1] == pytest.approx(reply.delay_s)
