"""A sweep against a real llama.cpp server: real inference, by a model that knows nothing.

Needs ALIGNSWEEP_COUNTERPARTS, a Python with xllamacpp and gguf; see tests/tiny_model.py.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cache.journal import scan
from data.errors import ContextTooLong, TransportError, Unauthorized
from data.schema import (
    Answer,
    Intent,
    Judgment,
    Message,
    ProviderSpec,
    Record,
    Request,
    Response,
    Settled,
    Trial,
)
from providers.registry import codec_of
from providers.transport import AiohttpTransport
from providers.wire import Endpoint

if TYPE_CHECKING:
    from tests.conftest import Ended, Program

PYTHON = os.environ.get("ALIGNSWEEP_COUNTERPARTS", "")
SCRIPT = Path(__file__).parent / "tiny_model.py"
QUESTIONS, MAX_TOKENS, CONCURRENCY = 12, 64, 4
RUN = ("run", "s.toml", "--limit", str(QUESTIONS), "--progress", "none")

pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(not PYTHON, reason="ALIGNSWEEP_COUNTERPARTS names no Python with xllamacpp"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a llama.cpp server with the tiny model."""
    with serving(tmp_path_factory.mktemp("llama")) as url:
        yield url


@contextmanager
def serving(folder: Path, *key: str) -> Iterator[str]:
    """A server of its own, for as long as the block runs."""
    with (folder / "log").open("wb") as log:
        command = [PYTHON, str(SCRIPT), str(folder), *key]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            url = first_line(process)
            assert url.startswith("http://127.0.0.1:"), (folder / "log").read_text()
            wait_until_ready(url)
            yield url
        finally:
            process.kill()
            process.communicate()


def first_line(process: subprocess.Popen[bytes], deadline_s: float = 60.0) -> str:
    """What the process says first; empty if it says nothing in time."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        said = selector.select(deadline_s)
    return process.stdout.readline().decode().strip() if said else ""


def wait_until_ready(url: str, deadline_s: float = 60.0) -> None:
    """Until the model is loaded."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server never became ready")


def written_by(url: str) -> int:
    """Tokens that the server has generated in its life, by its own count."""
    return metric(url, "tokens_predicted_total")


def metric(url: str, name: str) -> int:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10) as reply:
        found = re.search(rf"^llamacpp:{name} (\d+)".encode(), reply.read(), re.MULTILINE)
    assert found
    return int(found[1])


def write_sweep(program: Program, url: str, *, asks: int) -> None:
    party = f'provider = "llama"\nmodel = "tiny-random"\nmax_tokens = {MAX_TOKENS}'
    text = (
        f'name = "s"\nbenchmark = "mini"\nasks = {asks}\n'
        f'[providers.llama]\napi = "openai-chat"\nbase_url = "{url}"\nconcurrency = {CONCURRENCY}\n'
        f'[[models]]\nname = "noise"\n{party}\n[[judges]]\nname = "noise too"\n{party}\n'
    )
    (program.folder / "s.toml").write_text(text, encoding="utf-8")


def records(program: Program) -> list[Record]:
    lines = scan(program.folder / "runs" / "s" / "journal.jsonl")
    return [record for _, record in lines if record is not None]


def results(found: list[Record]) -> dict[Trial, Answer | Judgment]:
    """The final record of each trial; no trial has two."""
    kept: dict[Trial, Answer | Judgment] = {}
    for record in found:
        if isinstance(record, Answer | Judgment):
            assert record.trial not in kept
            kept[record.trial] = record
    return kept


def counts(program: Program) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(program.run("status", "s", "--json").out)["counts"]
    return found


@pytest.fixture(scope="module")
def noise(
    server: str, tmp_path_factory: pytest.TempPathFactory, program_in: type[Program]
) -> tuple[Program, Ended, int]:
    """A whole sweep: the model answers, the model judges. And the tokens that the server wrote."""
    program = program_in(tmp_path_factory.mktemp("noise"))
    write_sweep(program, server, asks=3)
    before = written_by(server)
    ended = program.run(*RUN, timeout_s=120)
    return program, ended, written_by(server) - before


def test_a_sweep_against_a_real_server_completes(noise: tuple[Program, Ended, int]) -> None:
    """Every trial is final, and our count of tokens is the server's own."""
    program, ended, written = noise
    assert ended.code == 0, ended
    found = counts(program)
    assert (found["failed"], found["possibly_billed"]) == (0, 0)
    assert found["unscorable"] == QUESTIONS
    assert found["answered"] + found["truncated"] == QUESTIONS
    assert found["output_tokens"] == written
    assert found["input_tokens"] > 1000 * QUESTIONS  # the judge's prompts are long
    answers = [r.response for r in records(program) if isinstance(r, Answer)]
    assert all(r.text and r.served_model == "tiny-random" and not r.simulated for r in answers)


def test_noise_is_unscorable_and_never_a_score(noise: tuple[Program, Ended, int]) -> None:
    """Every ask is kept, coverage is nought, and the table shows no number."""
    program, ended, _ = noise
    judgments = [r for r in records(program) if isinstance(r, Judgment)]
    assert [r.verdict for r in judgments] == [None] * QUESTIONS
    assert {len(r.asks) for r in judgments} == {3}
    verdicts = program.run("report", "s", "--format", "jsonl").out.splitlines()
    assert {json.loads(line)["score"] for line in verdicts} == {None}
    (judge,) = json.loads(program.run("report", "s", "--format", "json").out)["judges"]
    (row,) = judge["models"]
    assert (row["rank"], row["complete"], row["coverage"]["share"]) == (None, False, 0.0)
    assert row["robust"]["total"] is None, row
    assert f"{QUESTIONS} verdicts unreadable" in ended.out


def test_a_killed_run_goes_on_and_buys_again_only_what_was_in_flight(
    server: str, program: Program
) -> None:
    """By the journal and by the server's own count of tokens."""
    write_sweep(program, server, asks=1)
    before = written_by(server)
    for wanted in (3, 14):
        process = program.start(*RUN, "--no-cache")
        end = time.monotonic() + 30
        path = program.folder / "runs" / "s" / "journal.jsonl"
        while not (path.exists() and len(results(records(program))) >= wanted):
            assert process.poll() is None, "it was done before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.002)
        process.kill()
        process.communicate()
    kept = results(records(program))
    ended = program.run(*RUN, "--no-cache", timeout_s=120)
    assert ended.code == 0, ended
    found = records(program)
    whole = results(found)
    assert len(whole) == 2 * QUESTIONS
    assert all(whole[trial] == record for trial, record in kept.items())
    intents = sum(isinstance(r, Intent) for r in found)
    lost = intents - sum(isinstance(r, Settled) for r in found)
    assert intents == 2 * QUESTIONS + lost
    assert lost <= 2 * CONCURRENCY
    ours = counts(program)["output_tokens"]
    assert ours <= written_by(server) - before <= ours + lost * MAX_TOKENS


# --- dialects ----------------------------------------------------------------------------------

APIS = ("openai-chat", "openai-responses", "anthropic")
each_dialect = pytest.mark.parametrize(
    ("api", "stream"), [(api, stream) for api in APIS for stream in (False, True)]
)


def ask(url: str, api: str, stream: bool, text: str, limit: int, **more: Any) -> Response:
    """One call with our own transport and codec. Raises CallError."""
    key, timeout_s = more.pop("key", ""), more.pop("timeout_s", 60.0)
    codec = codec_of(ProviderSpec(name="p", api=api, base_url=url, stream=stream))
    messages = (Message("system", "s"), Message("user", text))
    request = Request(
        model="tiny-random", messages=messages, max_tokens=limit, temperature=0.0, **more
    )

    async def main() -> Response:
        transport = AiohttpTransport(1)
        try:
            endpoint = Endpoint(url, codec.authorize(key), timeout_s)
            return codec.decode(await transport.send(codec.encode(request), endpoint))
        finally:
            await transport.aclose()

    return anyio.run(main)


@each_dialect
def test_each_dialect_reads_real_inference(server: str, api: str, stream: bool) -> None:
    """Text, counts by the server's own count, and times only where the reply was streamed."""
    before = written_by(server)
    got = ask(server, api, stream, f"这是{api}的第{int(stream)}个问题。", MAX_TOKENS)
    assert got.usage is not None
    assert got.usage.output_tokens == written_by(server) - before
    assert got.text
    assert (got.served_model, got.simulated, got.flags) == ("tiny-random", False, ())
    assert got.raw_usage
    if stream:
        assert got.ttft_s is not None
        assert got.ttfa_s is not None
        assert got.last_token_s is not None
        assert 0 < got.ttft_s == got.ttfa_s < got.last_token_s <= got.latency_s
    else:
        assert (got.ttft_s, got.ttfa_s, got.last_token_s) == (None, None, None)


@each_dialect
def test_cached_tokens_are_part_of_the_input_in_every_dialect(
    server: str, api: str, stream: bool
) -> None:
    """Anthropic's input_tokens leave them out, the others' do not; our meaning is one."""
    text = f"缓存{api}{stream}" * 30
    first, again = (ask(server, api, stream, text, 4) for _ in range(2))
    assert first.usage is not None
    assert again.usage is not None
    assert again.usage.input_tokens == first.usage.input_tokens > 200
    assert first.usage.cached_tokens < 100 < again.usage.cached_tokens
    assert again.usage.cached_tokens <= again.usage.input_tokens


@each_dialect
def test_a_prompt_that_does_not_fit_is_told_so(server: str, api: str, stream: bool) -> None:
    """Before anything is streamed: status 400 and an error object."""
    with pytest.raises(ContextTooLong, match="context size"):
        ask(server, api, stream, "长" * 40_000, 8)


def test_a_truncated_answer_is_told_so(server: str) -> None:
    """Not by llama.cpp's Responses, which says `completed` whatever happened; see docs/dialects.md."""
    for api in ("openai-chat", "anthropic"):
        for stream in (False, True):
            assert ask(server, api, stream, "你好", 4).state == "truncated"


def test_a_stream_that_we_give_up_stops_costing(server: str) -> None:
    """The server notices that nobody listens, and frees the place long before the answer's end."""
    for api in APIS:
        before = written_by(server)
        with pytest.raises(TransportError, match="within"):
            ask(server, api, True, "长篇大论", 12_000, timeout_s=0.5)
        end = time.monotonic() + 20
        while metric(server, "requests_processing"):
            assert time.monotonic() < end, "it goes on although nobody listens"
            time.sleep(0.02)
        assert written_by(server) - before < 11_000


def test_many_streams_over_few_connections_all_arrive(server: str) -> None:
    """This server closes a connection after a stream without saying so; no call is lost to that."""
    codec = codec_of(ProviderSpec(name="p", api="openai-chat", base_url=server, stream=True))

    async def several(transport: AiohttpTransport, start: int, found: list[Response]) -> None:
        for n in range(start, start + 20):
            message = Message("user", f"问题{n}")
            request = Request(model="tiny-random", messages=(message,), max_tokens=3)
            reply = await transport.send(codec.encode(request), Endpoint(server, {}, 60.0))
            found.append(codec.decode(reply))

    async def main() -> list[Response]:
        transport, found = AiohttpTransport(2), list[Response]()
        try:
            async with anyio.create_task_group() as group:
                for start in (0, 20):
                    group.start_soon(several, transport, start, found)
        finally:
            await transport.aclose()
        return found

    assert len(anyio.run(main)) == 40


def test_a_wrong_key_stops_the_account(tmp_path: Path) -> None:
    """Whichever header carries it."""
    with serving(tmp_path, "sk-right") as url:
        for api in APIS:
            assert ask(url, api, True, "你好", 3, key="sk-right").text
            with pytest.raises(Unauthorized):
                ask(url, api, False, "你好", 3, key="sk-wrong")
            with pytest.raises(Unauthorized):
                ask(url, api, True, "你好", 3)


def test_a_sweep_of_several_dialects_counts_what_the_server_counts(
    server: str, program: Program
) -> None:
    """Streamed and whole, as answers and as judgments, with one journal."""
    accounts = {"chat": ("openai-chat", "true"), "msg": ("anthropic", "true")}
    accounts["resp"] = ("openai-responses", "false")
    text = 'name = "s"\nbenchmark = "mini"\nasks = 1\n'
    for name, (api, stream) in accounts.items():
        text += f'[providers.{name}]\napi = "{api}"\nstream = {stream}\nbase_url = "{server}"\n'
        party = f'name = "{name}"\nprovider = "{name}"\nmodel = "tiny-random"\nmax_tokens = 16\n'
        text += f"[[models]]\n{party}[[judges]]\n{party}"
    (program.folder / "s.toml").write_text(text, encoding="utf-8")
    before = written_by(server)
    ended = program.run("run", "s.toml", "--limit", "4", "--progress", "none", timeout_s=120)
    assert ended.code == 0, ended
    found = counts(program)
    assert (found["failed"], found["possibly_billed"]) == (0, 0)
    assert found["output_tokens"] == written_by(server) - before
    answers = [r for r in records(program) if isinstance(r, Answer)]
    streamed = {a.trial.model for a in answers if a.response.ttft_s is not None}
    assert streamed == {"chat", "msg"}


def test_the_check_finds_the_server_and_sees_its_faults_for_what_they_are(
    server: str, tmp_path: Path, program_in: type[Program]
) -> None:
    """A preset of the user's own at its address; a key it never asked for does no harm."""
    program = program_in(tmp_path)
    config = tmp_path / "home" / "config" / "alignsweep"
    config.mkdir(parents=True)
    (config / "providers.toml").write_text(f'[mine]\npreset = "llama-cpp"\nbase_url = "{server}"\n')
    ended = program.run("providers", "check", "mine", "--model", "tiny-random", "--faults")
    assert ended.code == 0, ended
    assert "mine: answers (cut at max_tokens) as tiny-random, " in ended.out
    assert "a wrong key: it answers all the same" in ended.out
