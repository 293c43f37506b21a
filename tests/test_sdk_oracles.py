"""The providers' own clients against our simulator: they read what we read, and fail as they do there.

What an SDK parses without complaint has the shape of the real API, and the class of the exception it
raises is the one its users know. Each test is skipped where its SDK is not installed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import anyio
import pytest

from data.schema import Benchmark, Message, ProviderSpec, Question, Request, Response
from providers.persona import Cast
from providers.registry import codec_of
from providers.scorebook import published
from providers.simgateway import error_body, error_frame
from providers.simserver import SimServer, serve_in_thread
from providers.simspeech import Trouble
from providers.simulator import SimOptions
from providers.transport import AiohttpTransport
from providers.wire import Endpoint

QUESTION, MODEL = "第1题是什么？", "qwen-7b-chat"
QUESTIONS = tuple(Question(n, "专业能力", "历史", (f"第{n}题是什么？",)) for n in range(1, 31))
CAST = Cast(0, [Benchmark(name="b", title="b", questions=QUESTIONS, sha256="")], [published()])
LIMIT = 2000


class Read(NamedTuple):
    """What a client makes of a reply."""

    text: str
    stop: str
    input_tokens: int
    output_tokens: int


class Oracle(NamedTuple):
    """A way to ask with an official client, and what it calls the ends that we call by other names."""

    api: str
    stream: bool
    ask: Callable[[str, int], Read]
    stops: dict[str, str]
    errors: dict[int, str]
    """HTTP status -> the class of the exception."""


OPENAI_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}
ANTHROPIC_ERRORS = {**OPENAI_ERRORS, 503: "OverloadedError"}
GOOGLE_ERRORS = {
    status: "ClientError" if status < 500 else "ServerError" for status in OPENAI_ERRORS
}


@cache
def openai_client() -> Any:
    return pytest.importorskip("openai").OpenAI(base_url="http://x", api_key="k", max_retries=0)


@cache
def anthropic_client() -> Any:
    return pytest.importorskip("anthropic").Anthropic(
        base_url="http://x", api_key="k", max_retries=0
    )


@cache
def google_client() -> Any:
    return pytest.importorskip("google.genai").Client(api_key="k")


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    """Making a client is slow, so each is made once; what was made is closed."""
    yield
    for made in (openai_client, anthropic_client, google_client):
        if made.cache_info().currsize:
            made().close()


def chat(url: str, limit: int) -> Read:
    completions = openai_client().with_options(base_url=url).chat.completions
    messages = [{"role": "user", "content": QUESTION}]
    got = completions.create(model=MODEL, messages=messages, max_tokens=limit)
    choice, usage = got.choices[0], got.usage
    text, stop = choice.message.content, choice.finish_reason
    return Read(text, stop, usage.prompt_tokens, usage.completion_tokens)


def chat_stream(url: str, limit: int) -> Read:
    with (
        openai_client()
        .with_options(base_url=url)
        .chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": QUESTION}],
            max_tokens=limit,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream
    ):
        chunks = list(stream)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    usage = chunks[-1].usage
    return Read(text, choices[-1].finish_reason, usage.prompt_tokens, usage.completion_tokens)


def responses(url: str, limit: int) -> Read:
    api = openai_client().with_options(base_url=url).responses
    got = api.create(model=MODEL, input=QUESTION, max_output_tokens=limit)
    return Read(got.output_text, got.status, got.usage.input_tokens, got.usage.output_tokens)


def responses_stream(url: str, limit: int) -> Read:
    """This client gives an error event on like any other."""
    api = openai_client().with_options(base_url=url).responses
    with api.create(model=MODEL, input=QUESTION, max_output_tokens=limit, stream=True) as events:
        last = list(events)[-1]
    if last.type == "error":
        raise RuntimeError(last.message)
    got = last.response
    return Read(got.output_text, got.status, got.usage.input_tokens, got.usage.output_tokens)


def messages(url: str, limit: int) -> Read:
    api = anthropic_client().with_options(base_url=url.removesuffix("/v1")).messages
    said = [{"role": "user", "content": QUESTION}]
    got = api.create(model=MODEL, max_tokens=limit, messages=said)
    usage = got.usage
    return Read(got.content[0].text, got.stop_reason, usage.input_tokens, usage.output_tokens)


def messages_stream(url: str, limit: int) -> Read:
    api = anthropic_client().with_options(base_url=url.removesuffix("/v1")).messages
    said = [{"role": "user", "content": QUESTION}]
    with api.stream(model=MODEL, max_tokens=limit, messages=said) as events:
        text = "".join(events.text_stream)
        got = events.get_final_message()
    return Read(text, got.stop_reason, got.usage.input_tokens, got.usage.output_tokens)


def google_options(url: str, limit: int) -> dict[str, Any]:
    base = {"base_url": url.removesuffix("/v1")}
    return {"max_output_tokens": limit, "http_options": base}


def gemini(url: str, limit: int) -> Read:
    api, config = google_client().models, google_options(url, limit)
    got = api.generate_content(model=MODEL, contents=QUESTION, config=config)
    usage = got.usage_metadata
    stop = got.candidates[0].finish_reason.value
    return Read(got.text, stop, usage.prompt_token_count, usage.candidates_token_count)


def gemini_stream(url: str, limit: int) -> Read:
    api, config = google_client().models, google_options(url, limit)
    got = list(api.generate_content_stream(model=MODEL, contents=QUESTION, config=config))
    usage, stop = got[-1].usage_metadata, got[-1].candidates[0].finish_reason.value
    text = "".join(chunk.text for chunk in got)
    return Read(text, stop, usage.prompt_token_count, usage.candidates_token_count)


CHAT_STOPS = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
STATUSES = {"stop": "completed", "length": "incomplete", "content_filter": "incomplete"}
REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
ORACLES = [
    Oracle("openai-chat", False, chat, CHAT_STOPS, OPENAI_ERRORS),
    Oracle("openai-chat", True, chat_stream, CHAT_STOPS, OPENAI_ERRORS),
    Oracle("openai-responses", False, responses, STATUSES, OPENAI_ERRORS),
    Oracle("openai-responses", True, responses_stream, STATUSES, OPENAI_ERRORS),
    Oracle("anthropic", False, messages, REASONS, ANTHROPIC_ERRORS),
    Oracle("anthropic", True, messages_stream, REASONS, ANTHROPIC_ERRORS),
    Oracle("gemini", False, gemini, FINISHES, GOOGLE_ERRORS),
    Oracle("gemini", True, gemini_stream, FINISHES, GOOGLE_ERRORS),
]
each_oracle = pytest.mark.parametrize("oracle", ORACLES, ids=lambda o: f"{o.api}-{o.stream}")


@contextmanager
def simulated(**options: Any) -> Iterator[str]:
    with serve_in_thread(SimOptions(latency_s=0.0, **options), CAST) as url:
        yield url


def ours(oracle: Oracle, url: str, limit: int) -> Response:
    """The same question, asked by ourselves. Raises CallError."""
    codec = codec_of(ProviderSpec(name="p", api=oracle.api, base_url="", stream=oracle.stream))
    base = url + ("beta" if oracle.api == "gemini" else "")
    request = Request(model=MODEL, messages=(Message("user", QUESTION),), max_tokens=limit)

    async def main() -> Response:
        transport = AiohttpTransport(1)
        try:
            endpoint = Endpoint(base, codec.authorize("k"), 10.0)
            return codec.decode(await transport.send(codec.encode(request), endpoint))
        finally:
            await transport.aclose()

    return anyio.run(main)


@each_oracle
@pytest.mark.parametrize(
    ("limit", "options", "stop"),
    [
        (LIMIT, {}, "stop"),
        (30, {}, "length"),
        (LIMIT, {"refusal_rate": 1.0}, "content_filter"),
    ],
)
def test_the_official_client_reads_what_we_read(
    oracle: Oracle, limit: int, options: dict[str, Any], stop: str
) -> None:
    """Text, end and counts."""
    with simulated(**options) as url:
        theirs = oracle.ask(url, limit)
        got = ours(oracle, url, limit)
    assert got.usage is not None
    assert (got.text, got.stop_reason) == (theirs.text, stop)
    assert theirs.stop == oracle.stops[stop]
    assert got.usage.input_tokens == theirs.input_tokens
    assert got.usage.output_tokens == theirs.output_tokens


@contextmanager
def failing(status: int, *, within_stream: bool = False) -> Iterator[str]:
    """A server that gives every request this error, as our simulator writes it for that address."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    trouble = Trouble(status, "no", kind, "rate_limit_exceeded" if status == 429 else "none")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix("/v1").removeprefix("beta")
            body, kind = error_body(path, trouble), "application/json"
            if within_stream:
                body, kind = error_frame(path, trouble), "text/event-stream"
            self.send_response(200 if within_stream else status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@each_oracle
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequest"),
        (401, "Unauthorized"),
        (404, "WrongAddress"),
        (429, "RateLimited"),
        (500, "Overloaded"),
        (503, "Overloaded"),
    ],
)
def test_the_official_client_raises_the_error_that_its_users_know(
    oracle: Oracle, status: int, kind: str
) -> None:
    """And we the one that decides what happens next."""
    sent = 529 if (oracle.api, status) == ("anthropic", 503) else status
    with failing(sent) as url:
        theirs, mine = (
            thrown(lambda: oracle.ask(url, LIMIT)),
            thrown(lambda: ours(oracle, url, LIMIT)),
        )
    assert type(theirs).__name__ == oracle.errors[status]
    assert type(mine).__name__ == kind


@pytest.mark.parametrize("oracle", [o for o in ORACLES if o.stream], ids=lambda o: o.api)
def test_an_error_event_is_an_error_to_both(oracle: Oracle) -> None:
    """Not the end of a short answer."""
    with failing(503, within_stream=True) as url:
        theirs, mine = (
            thrown(lambda: oracle.ask(url, LIMIT)),
            thrown(lambda: ours(oracle, url, LIMIT)),
        )
    assert type(theirs).__name__ in ("APIError", "APIStatusError", "ServerError", "RuntimeError")
    assert type(mine).__name__ == "Overloaded"


def test_a_limit_of_the_simulator_reaches_each_client_as_one() -> None:
    """From the real simulator, with whatever was said before."""
    for oracle in ORACLES:
        with simulated(rpm=1) as url:
            ours(oracle, url, LIMIT)
            theirs = thrown(lambda: oracle.ask(url, LIMIT))  # noqa: B023
        assert type(theirs).__name__ == oracle.errors[429]


@each_oracle
def test_a_wrong_key_is_told_by_both(oracle: Oracle) -> None:
    """The header that carries it is each dialect's own."""

    async def main() -> None:
        async with SimServer(SimOptions(latency_s=0.0), CAST, api_key="another") as server:
            url = server.url
            theirs = await anyio.to_thread.run_sync(lambda: thrown(lambda: oracle.ask(url, 9)))
            mine = await anyio.to_thread.run_sync(lambda: thrown(lambda: ours(oracle, url, 9)))
        assert type(theirs).__name__ == oracle.errors[401]
        assert type(mine).__name__ == "Unauthorized"

    anyio.run(main)


def thrown(act: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (each SDK has a tree of its own)
        act()
    return caught.value
