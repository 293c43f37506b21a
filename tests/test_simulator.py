"""The simulated provider, in process and on virtual time."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.errors import BadRequest, CallError, ConfigError, Overloaded, RateLimited, TransportError
from data.schema import Benchmark, Message, Question, Request
from providers.openai import OpenAIChat
from providers.persona import Cast
from providers.ratelimits import limits_in
from providers.scorebook import published
from providers.simulator import (
    SimOptions,
    SimReply,
    Simulator,
    SimulatorTransport,
    sim_options,
    simulator_for,
)
from providers.virtual import new_loop
from providers.wire import Endpoint, HttpReply, HttpRequest

QUESTIONS = tuple(Question(n, "专业能力", "历史", (f"第{n}题是什么？",)) for n in range(1, 31))
SMALL = Benchmark(name="small", title="small", questions=QUESTIONS, sha256="")
CAST = Cast(0, [SMALL], [published()])
CODEC = OpenAIChat()
ENDPOINT = Endpoint("simulated:", {}, 30.0)
ENDPOINT_SLOW = Endpoint("simulated:", {}, 3600.0)


def body(text: str = "第1题是什么？", model: str = "qwen-7b-chat", **more: Any) -> bytes:
    request = Request(model=model, messages=(Message("user", text),), parameters=more)
    return CODEC.encode(request).body


def bodies(count: int) -> list[bytes]:
    return [body(f"问题{n}") for n in range(count)]


def one_by_one(simulator: Simulator, requests: list[bytes]) -> list[SimReply]:
    """Each answered and gone before the next comes."""
    replies = []
    for number, request in enumerate(requests):
        replies.append(simulator.answer(request, float(number)))
        simulator.finish(replies[-1])
    return replies


def virtually(main: Any) -> Any:
    return anyio.run(main, backend_options={"loop_factory": new_loop})


def http(reply: SimReply) -> HttpReply:
    return HttpReply(reply.status, reply.headers, reply.body)


def error_of(reply: SimReply) -> CallError:
    with pytest.raises(CallError) as caught:
        CODEC.decode(http(reply))
    return caught.value


# --- the wire ----------------------------------------------------------------------------------


def test_a_reply_is_read_by_the_codec_and_says_that_it_is_simulated() -> None:
    """Text, usage, names and the flag."""
    reply = Simulator(SimOptions(), CAST).answer(body(), 0.0)
    response = CODEC.decode(http(reply))
    assert response.text.startswith("〔simulated qwen-7b-chat 1 0〕")
    assert response.simulated
    assert (response.served_model, response.fingerprint) == ("qwen-7b-chat", "sim-0")
    assert response.usage is not None
    assert response.usage.output_tokens > 20
    assert response.request_id.startswith("req-sim-")
    raw = codec.decode(reply.body)
    assert (raw["object"], raw["created"]) == ("chat.completion", 0)
    assert raw["usage"]["total_tokens"] == sum(
        raw["usage"][key] for key in ("prompt_tokens", "completion_tokens")
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"model": "m"}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": [{"role": "user", "content": 7}]}',
        body(stream=True),
        body(n=2),
        body(n=0),
        body(max_tokens=0),
    ],
)
def test_a_request_that_cannot_be_served_is_a_bad_request(bad: bytes) -> None:
    """In an envelope that the codec reads, and at once."""
    simulator = Simulator(SimOptions(), CAST)
    reply = simulator.answer(bad, 0.0)
    simulator.finish(reply)
    assert (reply.status, reply.delay_s) == (400, 0.0)
    assert type(error_of(reply)) is BadRequest
    assert simulator.statistics().in_flight == 0


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    """What is no request is answered with 400."""
    assert Simulator(SimOptions(), CAST).answer(raw, 0.0).status == 400


def test_content_in_parts_is_read_too() -> None:
    """Some clients send a list."""
    parts = [{"type": "text", "text": "第2题是什么？"}]
    raw = codec.encode({"model": "m", "messages": [{"role": "user", "content": parts}]})
    reply = Simulator(SimOptions(), CAST).answer(raw, 0.0)
    assert CODEC.decode(http(reply)).text.startswith("〔simulated m 2 0〕")


# --- limits ------------------------------------------------------------------------------------


def test_over_the_rate_limit_comes_a_429_that_says_when_to_come_back() -> None:
    """And then there is room, not a moment before."""
    simulator = Simulator(SimOptions(rpm=3), CAST)
    first = [simulator.answer(request, now) for now, request in enumerate(bodies(3))]
    assert [r.headers["x-ratelimit-remaining-requests"] for r in first] == ["2", "1", "0"]
    refused = simulator.answer(body(), 10.5)
    assert refused.status == 429
    assert refused.headers["retry-after"] == "50"
    assert refused.headers["retry-after-ms"] == "49500"
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert refused.headers["x-ratelimit-reset-requests"] == "49500ms"
    error = error_of(refused)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 49.5
    assert simulator.answer(body(), 59.99).status == 429
    assert simulator.answer(body(), 60.0).status == 200
    assert simulator.statistics().by_status == {"200": 4, "429": 2}


@given(st.integers(1, 5), st.lists(st.floats(0, 30), max_size=60))
def test_never_more_than_rpm_requests_pass_in_any_60_seconds(rpm: int, gaps: list[float]) -> None:
    """And none is refused while there is room."""
    simulator = Simulator(SimOptions(rpm=rpm), CAST)
    passed: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        recent = sum(then > now - 60 + 1e-6 for then in passed)
        reply = simulator.answer(body(), now)
        assert (reply.status == 200) == (recent < rpm)
        if reply.status == 200:
            passed.append(now)


def test_over_the_concurrency_limit_comes_a_429_without_a_word_when() -> None:
    """A place is free again as soon as a reply has left."""
    simulator = Simulator(SimOptions(concurrency=2), CAST)
    one, two = simulator.answer(body(), 0.0), simulator.answer(body(), 0.0)
    refused = simulator.answer(body(), 0.0)
    assert (one.status, two.status, refused.status) == (200, 200, 429)
    assert dict(refused.headers) == {"content-type": "application/json"}
    assert error_of(refused).retry_after_s is None
    simulator.finish(refused)
    assert simulator.answer(body(), 0.0).status == 429
    simulator.finish(one)
    assert simulator.answer(body(), 0.0).status == 200
    assert simulator.statistics().max_in_flight == 2


def tokens_in(reply: SimReply) -> int:
    total: int = codec.decode(reply.body)["usage"]["total_tokens"]
    return total


@pytest.mark.parametrize(
    ("name", "limit", "unit", "field"),
    [
        ("tpm", 1000, "tokens", "total_tokens"),
        ("input_tpm", 300, "input-tokens", "prompt_tokens"),
        ("output_tpm", 1000, "output-tokens", "completion_tokens"),
    ],
)
def test_tokens_are_limited_by_what_prompt_and_answer_really_take(
    name: str, limit: int, unit: str, field: str
) -> None:
    """What passes in any 60 s is within the limit; the 429 says the limit and when to come back."""
    simulator = Simulator(sim_options({name: limit}, where="test"), CAST)
    passed, refused = [], []
    for number, request in enumerate(bodies(300)):
        now = number * 0.7
        reply = simulator.answer(request, now)
        simulator.finish(reply)
        if reply.status == 200:
            passed.append((now, codec.decode(reply.body)["usage"][field]))
            assert sum(n for then, n in passed if then > now - 60 + 1e-6) <= limit
        else:
            refused.append(reply)
    assert len(passed) > 4
    assert simulator.statistics().limited == {name: len(refused)}
    assert refused[0].headers[f"x-ratelimit-limit-{unit}"] == str(limit)
    error = error_of(refused[0])
    assert isinstance(error, RateLimited)
    assert 0 < (error.retry_after_s or 0) <= 60
    seen = {told.name: told.limit for told in limits_in(429, refused[0].headers)}
    assert seen == {name: limit}


def test_a_refused_request_takes_no_tokens_and_fares_the_same_later() -> None:
    """As if it had never come."""
    first, second = bodies(2)
    free = [Simulator(SimOptions(), CAST).answer(request, 0.0) for request in (first, second)]
    both = sum(tokens_in(reply) for reply in free)
    simulator = Simulator(SimOptions(tpm=both - 1), CAST)
    assert simulator.answer(first, 0.0).status == 200
    refused = [simulator.answer(second, 1.0) for _ in range(5)]
    assert {r.status for r in refused} == {429}
    assert not any(r.admitted for r in refused)
    assert simulator.answer(second, 60.0).body == free[1].body
    assert simulator.statistics().distinct_bodies == 2


def test_a_day_has_its_requests_too() -> None:
    """In headers that say that it is a day's."""
    simulator = Simulator(SimOptions(rpd=2), CAST)
    replies = [simulator.answer(request, 10.0) for request in bodies(3)]
    assert [r.status for r in replies] == [200, 200, 429]
    assert [(s.name, s.limit) for s in limits_in(429, replies[2].headers)] == [("rpd", 2.0)]
    assert simulator.answer(body(), 10.0 + 86_399).status == 429
    assert simulator.answer(body(), 10.0 + 86_400).status == 200


def test_a_token_limit_that_falls_below_what_was_taken_refuses_before_counting() -> None:
    """How many tokens the next request would need does not matter then."""
    request, other = bodies(2)
    simulator = Simulator(
        sim_options({"tpm": 10_000, "limit_changes": [[10, "tpm", 1]]}, where="test"), CAST
    )
    assert simulator.answer(request, 0.0).status == 200
    refused = simulator.answer(other, 20.0)
    assert refused.status == 429
    assert 39 <= float(refused.headers["retry-after"]) <= 41


def test_statistics_count_the_tokens_of_good_replies_and_the_time_in_flight() -> None:
    """Refused and failed requests have none."""
    requests = bodies(40)
    transport = SimulatorTransport(SimOptions(latency_s=2.0, error_rate=0.3, rpm=30), CAST)

    async def main() -> list[HttpReply]:
        replies = []
        for request in requests:
            try:
                replies.append(await transport.send(HttpRequest("/", request), ENDPOINT))
            except TransportError:
                continue
        return replies

    began = 100.0
    replies = anyio.run(main, backend_options={"loop_factory": partial(new_loop, began)})
    seen = transport.statistics()
    good = [codec.decode(reply.body)["usage"] for reply in replies if reply.status == 200]
    assert 0 < len(good) < 40
    assert seen.input_tokens == sum(usage["prompt_tokens"] for usage in good)
    assert seen.output_tokens == sum(usage["completion_tokens"] for usage in good)
    assert transport.busy_s >= sum(reply.latency_s for reply in replies)


def test_limits_change_at_their_time_after_the_first_request() -> None:
    """Whatever the clock said then; a limit may also come up that was none before."""
    changes = [[100, "rpm", 2], [200, "concurrency", 1]]
    simulator = Simulator(sim_options({"rpm": 4, "limit_changes": changes}, where="test"), CAST)

    def passed(now: float, *, keep: bool = False) -> int:
        replies = [simulator.answer(request, 5000 + now) for request in bodies(6)]
        for reply in replies:
            if not keep:
                simulator.finish(reply)
        return sum(reply.status == 200 for reply in replies)

    assert (passed(0), passed(99.9), passed(100.1), passed(170)) == (4, 4, 0, 2)
    assert passed(300, keep=True) == 1
    assert simulator.statistics().limited == {"rpm": 2 + 2 + 6 + 4, "concurrency": 5}


@pytest.mark.parametrize(("tells", "waits"), [("wait", True), ("nothing", False)])
def test_a_simulator_may_keep_its_limits_to_itself(tells: str, waits: bool) -> None:
    """No headers, no number in the message; perhaps not even when to come back."""
    simulator = Simulator(sim_options({"rpm": 1, "tells": tells}, where="test"), CAST)
    first, second = (simulator.answer(request, 0.0) for request in bodies(2))
    assert not limits_in(200, first.headers)
    assert not limits_in(429, second.headers, second.body)
    error = error_of(second)
    assert isinstance(error, RateLimited)
    assert (error.retry_after_s is not None) == waits


# --- faults ------------------------------------------------------------------------------------


def test_errors_come_at_their_rate_and_in_all_four_kinds() -> None:
    """500 and 503, resets, and silence."""
    simulator = Simulator(SimOptions(error_rate=0.5), CAST)
    replies = one_by_one(simulator, bodies(1000))
    kinds = Counter(r.fault or str(r.status) for r in replies)
    assert 430 < kinds["200"] < 570
    assert kinds["500"] > kinds["503"] > kinds["reset"] > kinds["hang"] > 20
    assert simulator.statistics().by_status == dict(kinds)
    assert all(r.delay_s == math.inf for r in replies if r.fault == "hang")
    for reply in replies:
        if reply.status in (500, 503):
            assert isinstance(error_of(reply), Overloaded)


@pytest.mark.parametrize(
    ("option", "stop_reason"),
    [("refusal_rate", "content_filter"), ("truncation_rate", "length")],
)
def test_refused_and_cut_answers_come_at_their_rate(option: str, stop_reason: str) -> None:
    """As outcomes that the codec reads."""
    simulator = Simulator(sim_options({option: 0.2}, where="test"), CAST)
    responses = [CODEC.decode(http(r)) for r in one_by_one(simulator, bodies(500))]
    reasons = Counter(r.stop_reason for r in responses)
    assert set(reasons) == {"stop", stop_reason}
    assert 65 < reasons[stop_reason] < 135  # type: ignore[index]


def test_miswritten_verdicts_come_from_judges_only() -> None:
    """Answers of models stay as they are."""
    options = SimOptions(malformed_verdict_rate=1.0)
    plain, odd = Simulator(SimOptions(), CAST), Simulator(options, CAST)
    assert plain.answer(body(), 0.0).body == odd.answer(body(), 0.0).body
    prompts = [body(f"给出综合得分。\n〔simulated m {n} 0〕答。") for n in range(1, 31)]
    texts = [CODEC.decode(http(r)).text.splitlines()[-1] for r in one_by_one(odd, prompts)]
    assert {text[:2] for text in texts} == {'{"', "综合", "总的"}


def test_the_same_seed_gives_the_same_faults_in_any_order() -> None:
    """Only the body and how often it was seen decide."""
    options = SimOptions(seed=5, error_rate=0.3, refusal_rate=0.1)
    requests = bodies(60)
    one = dict(zip(requests, one_by_one(Simulator(options, CAST), requests), strict=True))
    backwards = requests[::-1]
    two = dict(zip(backwards, one_by_one(Simulator(options, CAST), backwards), strict=True))
    assert one == two
    other = one_by_one(Simulator(SimOptions(seed=6, error_rate=0.3), CAST), requests)
    assert [r.status for r in other] != [one[r].status for r in requests]


def test_a_retry_may_fare_better_but_says_the_same() -> None:
    """Faults are drawn anew each time a body is admitted; words are not."""
    simulator = Simulator(SimOptions(error_rate=0.5), CAST)
    replies = one_by_one(simulator, [body()] * 30)
    assert {r.status for r in replies} > {200}
    assert len({r.body for r in replies if r.status == 200}) == 1
    assert simulator.statistics().distinct_bodies == 1
    assert simulator.statistics().answered_again == 1


# --- latency, on virtual time ------------------------------------------------------------------


def test_half_of_the_replies_come_within_the_median_and_longer_ones_later() -> None:
    """The median is that of an answer of 200 tokens."""
    simulator = Simulator(SimOptions(latency_s=2.0), CAST)
    rows = sorted(
        (codec.decode(r.body)["usage"]["completion_tokens"], r.delay_s)
        for r in one_by_one(simulator, bodies(600))
    )
    typical = [delay for tokens, delay in rows if 150 <= tokens <= 250]
    assert 1.6 < median(typical) < 2.4
    assert median(d for _, d in rows[:150]) < median(d for _, d in rows[-150:])
    still = Simulator(SimOptions(latency_spread=0.0, latency_s=1.0), CAST)
    for reply in one_by_one(still, bodies(20)):
        tokens = codec.decode(reply.body)["usage"]["completion_tokens"]
        assert reply.delay_s == pytest.approx(0.25 + 0.75 * tokens / 200)


def test_the_transport_waits_on_the_loops_clock() -> None:
    """Latency is what the reply took, and all requests wait at the same time."""
    transport = SimulatorTransport(SimOptions(latency_s=60.0), CAST)

    async def main() -> tuple[list[HttpReply], float]:
        replies: list[HttpReply] = []

        async def send(request: bytes) -> None:
            replies.append(await transport.send(HttpRequest(CODEC.path, request), ENDPOINT_SLOW))

        async with anyio.create_task_group() as group:
            for request in bodies(50):
                group.start_soon(send, request)
        return replies, anyio.current_time()

    replies, took_s = virtually(main)
    assert took_s == max(r.latency_s for r in replies) > 60
    assert all(a.latency_s <= b.latency_s for a, b in pairwise(replies))
    assert transport.statistics().max_in_flight == 50
    assert transport.statistics().in_flight == 0


def test_resets_and_silence_are_transport_errors_at_their_time() -> None:
    """Silence lasts as long as the client's own timeout."""
    transport = SimulatorTransport(SimOptions(error_rate=1.0, latency_s=1.0), CAST)
    told: dict[str, list[float]] = {"reset": [], "no whole reply within 30 s": []}

    async def send(request: bytes) -> None:
        try:
            reply = await transport.send(HttpRequest(CODEC.path, request), ENDPOINT)
            assert reply.status in (500, 503)
        except TransportError as error:
            kind = "reset" if "reset" in error.message else error.message
            told[kind].append(anyio.current_time())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for request in bodies(200):
                group.start_soon(send, request)

    virtually(main)
    silence, resets = told["no whole reply within 30 s"], told["reset"]
    assert silence == [pytest.approx(30.0)] * len(silence)
    assert max(resets) < 30
    assert len(resets) > len(silence) > 5
    assert transport.statistics().in_flight == 0


def test_an_abandoned_request_gives_its_place_back() -> None:
    """Cancelling is not a leak."""
    transport = SimulatorTransport(SimOptions(latency_s=60.0), CAST)

    async def main() -> None:
        with anyio.move_on_after(1):
            await transport.send(HttpRequest(CODEC.path, body()), ENDPOINT_SLOW)

    virtually(main)
    assert transport.statistics().in_flight == 0


def test_a_client_that_keeps_to_the_rate_is_never_refused() -> None:
    """300 requests, one a second, at 60 a minute: five virtual minutes."""
    transport = SimulatorTransport(SimOptions(rpm=60, latency_s=0.0), CAST)

    async def main() -> float:
        for request in bodies(300):
            await transport.send(HttpRequest(CODEC.path, request), ENDPOINT)
            await asyncio.sleep(1.0)
        return anyio.current_time()

    assert virtually(main) == pytest.approx(300)
    assert transport.statistics().by_status == {"200": 300}


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"latency": 1}, "did you mean `latency_s`"),
        ({"error_rate": 1.5}, "0 to 1, not 1.5"),
        ({"refusal_rate": -0.1}, "0 to 1"),
        ({"latency_s": -1.0}, "from 0 up"),
        ({"latency_s": math.nan}, "from 0 up"),
        ({"rpm": 0}, "at least 1"),
        ({"concurrency": -3}, "at least 1"),
        ({"tpm": 0}, "tpm is at least 1"),
        ({"limit_changes": [[5, "rps", 3]]}, "no limit `rps`"),
        ({"limit_changes": [[5, "rpm", 3], [4, "rpm", 2]]}, "times rise"),
        ({"limit_changes": [[5, "rpm", 0]]}, "values are at least 1"),
        ({"tells": "lies"}, "Invalid enum value"),
        ({"seed": "x"}, "Expected `int`"),
    ],
)
def test_impossible_options_are_refused_with_a_reason(
    values: dict[str, Any], complaint: str
) -> None:
    """Misspelt keys too."""
    with pytest.raises(ConfigError) as caught:
        sim_options(values, where="sweep.toml")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("sweep.toml")


def test_the_embedded_simulator_is_made_from_plain_options() -> None:
    """Its cast has the same seed, knows the questions, and has the published judges."""
    transport = simulator_for({"seed": 4, "latency_s": 0}, (SMALL,))
    send = partial(transport.send, HttpRequest(CODEC.path, body("第9题是什么？")), ENDPOINT)
    response = CODEC.decode(virtually(send))
    assert response.text.startswith("〔simulated qwen-7b-chat 9 0〕")
    assert response.fingerprint == "sim-4"
    cast = transport.simulator.cast
    assert isinstance(cast, Cast)
    assert "CritiqueLLM" in cast.names


@pytest.mark.parametrize(
    "wrong",
    [
        {"faults": {"404": 1.0}},
        {"faults": {"cut": 0.0}},
        {"window_s": 0.0},
        {"window_s": 61.0},
        {"credit": -1},
    ],
)
def test_impossible_troubles_are_refused(wrong: dict[str, Any]) -> None:
    """With the option's name."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        sim_options(wrong, where="simulator")


def test_short_windows_hold_their_share_of_the_limit() -> None:
    """600 a minute, judged over 2 s, are 20 in 2 s; the headers go on telling 600."""
    simulator = Simulator(SimOptions(rpm=600, window_s=2.0, latency_s=0.0), CAST)
    statuses = [simulator.answer(body(f"第{n}题"), 0.0).status for n in range(21)]
    assert Counter(statuses) == {200: 20, 429: 1}
    late = simulator.answer(body("第22题"), 2.0)
    assert (late.status, late.headers["x-ratelimit-limit-requests"]) == (200, "600")


def test_the_money_runs_out_once_and_for_all() -> None:
    """What is admitted counts; then every request is told so."""
    simulator = Simulator(SimOptions(credit=2, latency_s=0.0), CAST)
    played = [simulator.answer(body(f"第{n}题"), float(n)).played for n in range(4)]
    assert played == ["answered", "answered", "unpaid", "unpaid"]
